"""When an address is visited, and what its visits mean: tables, and a walk over everything."""

import threading
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.model import Facts, Reason
from nexus_tray.services import address_faults as faults
from nexus_tray.services.address_watch import (
    AddressWatch,
    Means,
    State,
    Times,
    early,
    hurried,
    looked,
    unsettled,
    visited,
)
from nexus_tray.services.public_visit import Seen, Visit
from tests.cloudflare.lab import until

T = Times()
HOST = "a.example.com"


def met(seen: Seen, code: str = "", host: str = HOST) -> Visit:
    return Visit(host, seen, code=code)


OURS = met(Seen.OURS)
UNKNOWN = met(Seen.CLOUDFLARE, "1033")
BAD = met(Seen.CLOUDFLARE, "502")
NO_WAY = met(Seen.NO_WAY)


def after(
    *found: Visit, quick: bool = False, online: bool = True, since: float = 1000.0, run: int = 1
) -> State:
    """A run that is old enough, after these visits in a row."""
    state = looked(State(), run, 0, 0.0, T)
    now = since
    for one in found:
        state = looked(replace(state, looked_at=now), run, 0, now, T)
        state = visited(state, run, [one], now, T, quick=quick, online=online)
        now += T.failing
    return state


def code_of(state: State) -> str:
    return state.reason.code if state.reason else ""


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize(
    ("found", "code"),
    [
        (UNKNOWN, "address-dead"),
        (BAD, "address-dead"),
        (met(Seen.CLOUDFLARE, "429"), "address-limited"),
        (met(Seen.SILENT), "address-dead"),
        (met(Seen.REFUSED), "address-dead"),
        (met(Seen.FOREIGN), "address-foreign"),
        (met(Seen.ASTRAY), "address-leads-astray"),
        (met(Seen.NO_NAME), "address-has-no-name"),
        (NO_WAY, ""),
        (met(Seen.GUARDED), ""),
        (OURS, ""),
    ],
)
def test_three_failures_in_a_row_are_said(found: Visit, code: str, quick: bool) -> None:
    for few in range(3):
        assert code_of(after(*[found] * few, quick=quick)) == ""
    state = after(*[found] * 3, quick=quick)
    assert code_of(state) == code
    if state.reason is not None:
        assert state.reason.meaning
        assert state.reason.cure


@pytest.mark.parametrize(
    ("found", "restarted"),
    [
        (UNKNOWN, True),
        (BAD, True),
        (met(Seen.SILENT), True),
        (met(Seen.CLOUDFLARE, "429"), False),
        (met(Seen.CLOUDFLARE, "1016"), False),
        (met(Seen.CLOUDFLARE, "1101"), False),
        (met(Seen.FOREIGN), False),
        (met(Seen.ASTRAY), False),
        (met(Seen.NO_NAME), False),
        (met(Seen.UNTRUSTED), False),
        (NO_WAY, False),
    ],
)
def test_only_what_a_restart_may_cure_is_restarted(found: Visit, restarted: bool) -> None:
    assert after(*[found] * 3).restart is restarted


def test_a_quick_tunnel_is_restarted_only_when_it_is_gone() -> None:
    assert not after(*[BAD] * 50, quick=True).restart
    assert not after(*[UNKNOWN] * (T.gone - 1), quick=True).restart
    assert after(*[UNKNOWN] * T.gone, quick=True).restart
    assert after(*[met(Seen.NO_NAME)] * T.gone, quick=True).restart
    almost = [UNKNOWN] * (T.gone - 1)
    assert not after(*almost, BAD, *almost, quick=True).restart


def test_restarts_become_rarer_until_it_answers() -> None:
    """Run after run, each with as many failures as it takes."""
    state, now, moments = State(), 0.0, []
    for run in range(1, 7):
        state = looked(state, run, 0, now, T)
        now += T.settle
        while not state.restart:
            now += T.failing
            state = looked(replace(state, looked_at=now), run, 0, now, T)
            state = visited(state, run, [BAD], now, T, quick=False, online=True)
        moments.append(now)
    pauses = [b - a for a, b in pairwise(moments)]
    assert all(pause >= T.again * 2**n for n, pause in enumerate(pauses[:4]))
    state = looked(state, 9, 0, now, T)
    state = visited(state, 9, [OURS], now, T, quick=False, online=True)
    assert state.restarts == 0


def test_without_a_network_nobody_is_blamed() -> None:
    state = after(*[NO_WAY] * 9, online=False)
    assert code_of(state) == "computer-offline"
    assert not state.restart
    assert code_of(after(OURS, *[NO_WAY] * 3)) == "computer-offline"
    assert code_of(after(*[NO_WAY] * 9)) == ""  # never seen from here: unknown, and no alarm


def test_whoever_comes_meanwhile_proves_it() -> None:
    state = after(BAD, BAD)
    state = looked(state, 1, 1, 1031.0, T)
    assert state.failures == 0
    state = visited(state, 1, [BAD], 1045.0, T, quick=False, online=True)
    assert state.reason is None
    state = looked(after(*[BAD] * 3), 1, 1, 1046.0, T)
    assert state.reason is None
    assert not state.restart


def test_visitors_spare_visits_for_a_while_only() -> None:
    state = looked(State(), 1, 0, 0.0, T)
    state = visited(state, 1, [OURS], 0.0, T, quick=False, online=True)
    assert state.due_at == T.often
    for n in range(1, 40):
        state = looked(state, 1, n, n * 20.0, T)
    assert state.due_at == T.rest


def test_a_new_quick_tunnel_gets_time() -> None:
    state = looked(State(), 1, 0, 0.0, T)
    assert early(state, T.fresh - 1, T, quick=True)
    assert not early(state, T.fresh, T, quick=True)
    assert not early(state, T.settle, T, quick=False)
    for n in range(18):
        state = looked(state, 1, 0, n * T.hurry, T)
        assert state.due_at == n * T.hurry
        state = visited(state, 1, [UNKNOWN], n * T.hurry, T, quick=True, online=True)
    assert state.failures == 0
    state = visited(state, 1, [UNKNOWN], T.fresh, T, quick=True, online=True)
    assert (state.failures, state.due_at) == (1, T.fresh + T.failing)


def test_after_sleep_it_begins_anew() -> None:
    state = after(BAD, BAD)
    later = looked(state, 1, 0, 90_000.0, T)
    assert (later.failures, later.due_at) == (0, 90_000.0)  # visited at once
    assert not looked(after(*[BAD] * 3), 1, 0, 90_000.0, T).restart


def test_who_woke_is_visited_at_once_and_given_time() -> None:
    woken = hurried(after(BAD, BAD, BAD), 200.0)
    assert (woken.failures, woken.reason, woken.due_at) == (0, None, 200.0)
    woken = visited(woken, 1, [BAD], 200.0, T, quick=False, online=True)
    assert (woken.failures, woken.due_at) == (0, 202.0)  # the connection is made anew meanwhile
    woken = visited(woken, 1, [BAD], 202.0, T, quick=False, online=True)
    assert (woken.failures, woken.due_at) == (0, 202.0 + T.hurry)  # nobody is blamed yet
    woken = visited(woken, 1, [BAD], 200.0 + T.settle, T, quick=False, online=True)
    assert (woken.failures, woken.due_at) == (1, 200.0 + T.settle + T.failing)


RECONNECTS = [  # what a visit met, whether the surroundings changed, and whether to connect anew
    (met(Seen.SILENT), True, True),
    (met(Seen.CLOUDFLARE, "502"), True, True),
    (met(Seen.CLOUDFLARE, "1033"), True, True),
    (met(Seen.NO_WAY), True, False),  # this machine's network is not up yet
    (met(Seen.FOREIGN), True, False),
    (met(Seen.NO_NAME), True, False),
    (met(Seen.GUARDED), True, False),
    (OURS, True, False),
    (met(Seen.SILENT), False, False),
]


@pytest.mark.parametrize(("found", "changed", "anew"), RECONNECTS)
@pytest.mark.parametrize("quick", [True, False])
def test_a_connection_that_hangs_after_a_change_is_made_anew(
    found: Visit, changed: bool, anew: bool, quick: bool
) -> None:
    state = visited(looked(State(), 1, 0, 0.0, T), 1, [OURS], 0.0, T, quick=quick, online=True)
    state = hurried(state, 200.0) if changed else state
    state = visited(state, 1, [found], 201.0, T, quick=quick, online=True)
    assert bool(state.reconnects) is anew
    again = visited(state, 1, [found], 206.0, T, quick=quick, online=True)
    assert again.reconnects == state.reconnects  # once for each change
    moved = visited(hurried(again, 207.0), 1, [found], 208.0, T, quick=quick, online=True)
    assert (moved.reconnects > again.reconnects) is (anew or not changed)


def test_a_quick_tunnel_that_hangs_connects_anew_before_it_is_given_up() -> None:
    """Its address stays so; and at growing intervals, for it may not help."""
    state, now, anew = looked(State(), 1, 0, 0.0, T), T.fresh, list[float]()
    while now < 3600.0:
        before = state.reconnects
        state = visited(state, 1, [BAD], now, T, quick=True, online=True)
        anew += [now] if state.reconnects > before else []
        now = state.due_at
    assert anew[0] == T.fresh + 2 * T.failing
    gaps = [b - a for a, b in pairwise(anew)]
    assert gaps == sorted(gaps)
    assert gaps[0] >= T.again
    assert not state.restart
    assert not looked(state, 2, 0, now, T).reconnects  # another run has connected anew itself


def test_one_name_of_several_that_fails_is_said_and_nothing_is_restarted() -> None:
    bad = met(Seen.FOREIGN, host="b.example.com")
    state = looked(State(), 1, 0, 0.0, T)
    for n in range(3):
        assert state.partial is None
        state = visited(state, 1, [OURS, bad], n * T.failing, T, quick=False, online=True)
        assert state.due_at == n * T.failing + (T.often if n == 2 else T.failing)
    assert state.reason is None
    assert not state.restart
    assert state.partial is not None
    assert "b.example.com" in str(state.partial)
    assert faults.of_one(met(Seen.CLOUDFLARE, "1033")).code == "address-one-dead"
    assert looked(state, 1, 1, 40.0, T).partial  # a visitor at the other name cures nothing
    state = visited(state, 1, [OURS, OURS], 100.0, T, quick=False, online=True)
    assert state.partial is None


visits = st.builds(
    lambda seen, code: met(seen, code if seen is Seen.CLOUDFLARE else ""),
    st.sampled_from(list(Seen)),
    st.sampled_from(["1033", "530", "502", "429"]),
)
steps = st.tuples(
    st.floats(0.1, 100.0),  # until then
    st.sampled_from([0, 0, 0, 0, 1]),  # a new run
    st.sampled_from([0, 0, 0, 1]),  # somebody came
    st.lists(visits, min_size=1, max_size=2),
    st.booleans(),
    st.sampled_from([False, False, False, False, True]),  # on another network
)


@given(st.booleans(), st.lists(steps, max_size=80))
def test_walk(quick: bool, walk: list[tuple[float, int, int, list[Visit], bool, bool]]) -> None:
    state, now, run, served = State(), 0.0, 1, 0
    bad: list[list[Visit]] = []
    restarts: list[float] = []
    for pause, again, came, found, online, moved in walk:
        now += pause
        if moved:
            state = hurried(state, now)
            assert state.due_at == now
        slept = now - state.looked_at >= T.asleep
        run, served = run + again, served + came
        before = state
        state = looked(state, run, served, now, T)
        if came or again or run != before.run or slept or moved:
            bad = []
        assert state.due_at <= now + T.rest
        if now < state.due_at or state.restart:
            continue
        if before.visited_at is not None and before.run == run and not (slept or moved):
            new = unsettled(before, before.visited_at, T, quick=quick)
            anew = before.reconnected_at == before.visited_at  # looked at as soon as it is made
            least = 2.0 if anew else T.hurry if new else T.failing
            assert now - before.visited_at >= least
        state = visited(state, run, found, now, T, quick=quick, online=online)
        grace = unsettled(state, now, T, quick=quick)
        ours = any(one.seen in (Seen.OURS, Seen.GUARDED) for one in found)
        bad = [] if ours else bad if grace else [*bad, found]
        assert now < state.due_at <= now + T.often
        if state.reason is not None and not any(one.seen is Seen.OURS for one in found):
            assert len(bad) >= T.failures
        if state.restart:
            assert state.reason is not None
            assert all(one.seen is not Seen.OURS for one in found)
            if quick:
                gone = [o for row in bad[-T.gone :] for o in row if o.seen is not Seen.NO_WAY]
                assert all(o.seen is Seen.NO_NAME or o.code == "1033" for o in gone)
            if restarts and before.restarts:
                assert now - restarts[-1] >= T.again
            restarts.append(now)


def visiting() -> bool:
    return any(thread.name == "address visit" for thread in threading.enumerate())


class Bed:
    """A watch over visits that the test decides."""

    def __init__(self, *, quick: bool = False) -> None:
        self.now, self.served, self.answer = 0.0, 0, OURS
        self.visits: list[tuple[str, bool]] = []
        self.seen: list[Visit] = []
        self.told: list[float] = []
        self.go = threading.Event()
        self.go.set()
        self.watch = AddressWatch(
            Means(
                visit=self.visit,
                served=lambda: self.served,
                online=lambda: True,
                tell_time=self.told.append,
                met=lambda one, at: self.seen.append(one),
                connected=lambda names: None,
                now=lambda: self.now,
                wall=lambda: 1e9 + self.now,
            ),
            quick=quick,
        )

    def visit(self, hostname: str, soon: bool) -> Visit:
        self.visits.append((hostname, soon))
        assert self.go.wait(10)
        return replace(self.answer, hostname=hostname, date=5.0, round_trip_ms=12.5)

    def look(self, seconds: float, run: int = 1, names: tuple[str, ...] = (HOST,)) -> Reason | None:
        self.now += seconds
        return self.watch.look(run, names).reason

    def look_until_visited(self, seconds: float, run: int = 1) -> None:
        known = len(self.seen)
        for _ in range(int(seconds // 5)):
            self.look(5.0, run)
        until(lambda: len(self.seen) > known, "a visit")


def test_a_watch_proves_and_tells() -> None:
    bed = Bed()
    assert bed.watch.look(1, (HOST,)).facts == Facts()
    until(lambda: bed.watch.look(1, (HOST,)).facts != Facts(), "proved")
    outlook = bed.watch.look(1, (HOST,))
    assert outlook.facts == Facts(proved_at=1e9, round_trip_ms=12.5)
    assert bed.told == [5.0]
    assert bed.visits == [(HOST, False)]
    bed.look(10.0)
    assert len(bed.visits) == 1
    assert bed.watch.look(2, ()).facts == Facts()  # another run has proved nothing yet
    assert len(bed.visits) == 1  # and without a name there is nothing to visit


def test_a_look_never_waits_and_visits_one_at_a_time() -> None:
    bed = Bed()
    bed.go.clear()
    for _ in range(20):
        bed.look(20.0)
    assert len(bed.visits) == 1
    bed.go.set()
    until(lambda: bed.seen, "the visit")


def test_a_hurry_does_not_wait_for_a_visit_that_hangs_and_that_one_counts_no_more() -> None:
    bed = Bed()
    bed.answer = BAD
    bed.go.clear()
    bed.look(0.0)
    until(lambda: len(bed.visits) == 1, "the visit over the old network")
    bed.served += 1  # somebody came, but before: that is no proof of the way there is now
    bed.watch.hurry()
    bed.look(0.1)
    until(lambda: len(bed.visits) == 2, "another, at once")
    bed.answer = OURS
    bed.go.set()
    until(lambda: not visiting(), "the end of both")
    assert bed.watch.look(1, (HOST,)).facts.proved_at
    assert bed.watch._state.failures == 0


def test_who_looks_is_told_to_connect_anew_by_the_visit_itself() -> None:
    bed, told = Bed(), threading.Event()
    bed.answer = BAD
    bed.watch.look(1, (HOST,), told.set)
    until(lambda: bed.seen, "a visit")
    assert not told.is_set()
    bed.watch.hurry()
    bed.watch.look(1, (HOST,), told.set)
    assert told.wait(5)


def test_a_quick_tunnels_first_visit_looks_no_name_up() -> None:
    bed = Bed(quick=True)
    assert bed.watch.first(1, HOST).seen is Seen.OURS
    assert bed.visits == [(HOST, True)]
    assert bed.watch.look(1, (HOST,)).facts.proved_at == 1e9
    bed.look_until_visited(60.0)
    assert bed.visits[-1] == (HOST, True)  # 60 s after it came: still too early to ask for it
    bed.look_until_visited(60.0)
    assert bed.visits[-1] == (HOST, False)


def test_another_tunnels_first_visit_is_no_proof_of_its_name() -> None:
    bed = Bed()
    assert bed.watch.first(1, HOST).seen is Seen.OURS
    assert bed.watch.look(1, (HOST,)).facts == Facts()
    until(lambda: bed.watch.look(1, (HOST,)).facts.proved_at, "proved")
    assert bed.visits == [(HOST, True), (HOST, False)]


def test_who_came_during_a_visit_ends_the_row_of_failures() -> None:
    bed = Bed()
    bed.answer = BAD

    def next_visit() -> str:
        bed.look(15.0)
        until(lambda: not visiting(), "the end of the visit")
        reason = bed.look(0.0)
        return reason.code if reason else ""

    assert [next_visit() for _ in range(2)] == ["", ""]  # from when it settled
    bed.go.clear()
    bed.look(15.0)
    bed.served += 1
    bed.go.set()
    until(lambda: not visiting(), "the end of the third visit")
    assert bed.look(0.0) is None
    assert [next_visit() for _ in range(2)] == ["", "address-dead"]
