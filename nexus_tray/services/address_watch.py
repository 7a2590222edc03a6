"""Does the public address lead here? When to visit it, and what its visits mean.

Owns the decisions as pure functions over `State` (time is an argument), and `AddressWatch`,
which carries them out for one tunnel, over all its runs. A driver's probe calls `look` each
time its cloudflared says that it is connected; that never waits, for a visit is made in a
thread of its own, one at a time. Imports this room and the vocabulary.

A visit that fails says nothing by itself: three in a row do, if no visitor's request came
through the tunnel meanwhile (SECURITY.md 23). Whether the tunnel is then restarted depends on
whether that could cure it, and a quick tunnel, which would lose its address, is restarted only
when Cloudflare no longer knows it.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from nexus_tray.model import Facts, Reason
from nexus_tray.services import address_faults as faults
from nexus_tray.services.public_visit import Seen, Visit

_AFTER_RECONNECT = 2.0
"""Seconds until a connection made anew is looked at; it takes 0.3 s."""


@dataclass(frozen=True)
class Times:
    """Seconds, but for `failures` in a row before something is said, and `gone` of them in a row
    before a quick tunnel is taken for lost.

    `often`: between visits while all is well; `failing`: while it is not; `hurry`: in the
    beginning, until an address answers; `rest`: the longest
    without a visit although visitors come. `fresh`: how long a new quick tunnel's name is not
    looked up and its failures do not count; `settle`: failures do not count so long after another
    tunnel's start, and after this machine slept (known by `asleep` seconds without a look, or
    told by `hurry`) or came to another network. `again`: the
    least between two restarts, doubled each time up to `again_most`, until an address answers.
    """

    often: float = 60.0
    failing: float = 15.0
    hurry: float = 5.0
    rest: float = 600.0
    fresh: float = 90.0
    settle: float = 10.0
    asleep: float = 40.0
    failures: int = 3
    gone: int = 6
    again: float = 120.0
    again_most: float = 1800.0


@dataclass(frozen=True)
class State:
    """What is remembered. Times in the clock of `now`; `failures` and `gone` count visits in a
    row, `gone` those that showed that Cloudflare does not know the tunnel. `partial`: what is
    wrong with one name while another leads here, `amiss` such visits in a row. `served`: the
    count of visitors' requests at the last look. `changed_at`: when this machine last woke, or
    changed networks. `restart`: this run should end now. `reconnects`: how often this
    run was to connect anew, last at `reconnected_at`.
    """

    run: int = 0
    since: float = 0.0
    looked_at: float = 0.0
    visited_at: float | None = None
    due_at: float = 0.0
    served: int = 0
    failures: int = 0
    gone: int = 0
    reason: Reason | None = None
    amiss: int = 0
    partial: Reason | None = None
    changed_at: float | None = None
    restart: bool = False
    reconnects: int = 0
    reconnected_at: float | None = None
    restarts: int = 0
    restarted_at: float | None = None
    proved: bool = False


def looked(state: State, run: int, served: int, now: float, times: Times) -> State:
    """A run says that it is connected. `served`: visitors' requests through this tunnel."""
    if run != state.run:
        return replace(
            state, run=run, since=now, looked_at=now, visited_at=None, due_at=now,
            served=served, failures=0, gone=0, reason=None, amiss=0, partial=None, restart=False,
            reconnects=0, reconnected_at=None,
        )  # fmt: skip
    if now - state.looked_at >= times.asleep:  # the machine slept, or cloudflared was away
        state = hurried(state, now)
    if served != state.served:
        latest = (state.visited_at if state.visited_at is not None else state.since) + times.rest
        state = _well(replace(state, due_at=max(state.due_at, min(now + times.often, latest))))
    return replace(state, looked_at=now, served=served)


def hurried(state: State, now: float) -> State:
    """The machine woke, or is on another network: visit at once. That no address led
    here says nothing any more, nor what is found before the network has settled."""
    return replace(_well(state), due_at=now, changed_at=now)


def early(state: State, now: float, times: Times, *, quick: bool) -> bool:
    """Too early to look the name up."""
    return now - state.since < (times.fresh if quick else times.settle)


def unsettled(state: State, now: float, times: Times, *, quick: bool) -> bool:
    """Too early to hold a failure against it."""
    changed = state.changed_at is not None and now - state.changed_at < times.settle
    return changed or early(state, now, times, quick=quick)


def visited(
    state: State,
    run: int,
    found: Sequence[Visit],
    now: float,
    times: Times,
    *,
    quick: bool,
    online: bool,
) -> State:
    """Every address of the tunnel was visited once. `online`: this machine has a network."""
    if run != state.run or not found:
        return state
    new = unsettled(state, now, times, quick=quick)
    again = times.hurry if new else times.failing
    state = replace(state, visited_at=now, due_at=now + again)
    if any(met.seen is Seen.OURS for met in found):
        state = _well(replace(state, restarts=0, restarted_at=None, proved=True))
        return _partly(state, found, now, times)
    if any(map(_may_be_cured, found)) and _changed_since(state, now, times):
        state = _reconnect(state, now, times)
    if new:
        return state
    if any(met.seen is Seen.GUARDED for met in found):
        return replace(_well(state), due_at=now + times.often)
    if all(met.seen is Seen.NO_WAY for met in found):
        return _unseen(state, times, online=online)
    failed = [met for met in found if met.seen is not Seen.NO_WAY]
    gone = state.gone + 1 if all(map(_unknown_there, failed)) else 0
    state = replace(state, failures=state.failures + 1, gone=gone)
    if state.failures < times.failures:
        return state
    state = replace(state, reason=faults.of(failed[0]))
    dead = any(map(_may_be_cured, failed))
    if quick and dead:  # it keeps its address so
        state = _reconnect(state, now, times)
    cured = state.gone >= times.gone if quick else dead
    return _restart(state, now, times) if cured else state


def _well(state: State) -> State:
    return replace(state, failures=0, gone=0, reason=None, restart=False)


def _partly(state: State, found: Sequence[Visit], now: float, times: Times) -> State:
    """One address answers; another may not, which is said after the same patience."""
    bad = [met for met in found if met.seen not in (Seen.OURS, Seen.GUARDED, Seen.NO_WAY)]
    if not bad:
        return replace(state, amiss=0, partial=None, due_at=now + times.often)
    amiss = state.amiss + 1
    if amiss < times.failures:
        return replace(state, amiss=amiss, due_at=now + times.failing)
    return replace(state, amiss=amiss, partial=faults.of_one(bad[0]), due_at=now + times.often)


def _unseen(state: State, times: Times, *, online: bool) -> State:
    """Nobody could be reached at all: that is this machine, not the address."""
    failures = state.failures + 1
    known = state.proved or not online
    said = faults.OFFLINE if known and failures >= times.failures else None
    return replace(state, failures=failures, gone=0, reason=said)


def _changed_since(state: State, now: float, times: Times) -> bool:
    """The surroundings changed under this connection, and it may hang on what was before."""
    changed = state.changed_at
    return changed is not None and changed >= state.since and now - changed < 2 * times.settle


def _reconnect(state: State, now: float, times: Times) -> State:
    """cloudflared may not notice that its connection is dead: over HTTP/2 it takes 150 s (the
    kernel's keep-alive, measured). Once for each change, and then at growing intervals."""
    last, changed = state.reconnected_at, state.changed_at
    pause = min(times.again * 2.0 ** max(0, min(state.reconnects, 16) - 1), times.again_most)
    anew = last is not None and changed is not None and changed > last
    if last is not None and not anew and now - last < pause:
        return state
    soon = min(state.due_at, now + _AFTER_RECONNECT)
    return replace(state, reconnects=state.reconnects + 1, reconnected_at=now, due_at=soon)


def _restart(state: State, now: float, times: Times) -> State:
    pause = min(times.again * 2.0 ** max(0, min(state.restarts, 16) - 1), times.again_most)
    if state.restarted_at is not None and now - state.restarted_at < pause:
        return state
    return replace(state, restart=True, restarts=state.restarts + 1, restarted_at=now)


def _unknown_there(met: Visit) -> bool:
    """Cloudflare has no tunnel for that name, or the name itself is gone."""
    return met.seen is Seen.NO_NAME or (met.seen is Seen.CLOUDFLARE and met.code == "1033")


def _may_be_cured(met: Visit) -> bool:
    """A new start may cure it. Wrong DNS, certificates and foreign pages it does not."""
    dead = met.code == "1033" or met.code.startswith("5")
    return met.seen is Seen.SILENT or (met.seen is Seen.CLOUDFLARE and dead)


@dataclass(frozen=True)
class Outlook:
    """What is known of the addresses. `reason`: why they do not lead here, as far as that is
    sure; `restart`: end this run for it. `facts`: when they were last proved, and how fast."""

    reason: Reason | None = None
    restart: bool = False
    facts: Facts = field(default_factory=Facts)


@dataclass(frozen=True)
class Means:
    """What a watch needs; each may be called from any thread.

    `visit(hostname, early)` makes one visit, without looking the name up where it is early.
    `served()` counts the visitors' requests through this tunnel. `online()`: this machine has
    a network. `tell_time` hears what time the other side says it is, `met` every visit,
    `connected` the names at each look. `now` goes on while this machine sleeps, `wall` is the
    time of day.
    """

    visit: Callable[[str, bool], Visit]
    served: Callable[[], int]
    online: Callable[[], bool]
    tell_time: Callable[[float], None]
    met: Callable[[Visit, float], None]
    connected: Callable[[tuple[str, ...]], None]
    now: Callable[[], float]
    wall: Callable[[], float]


class AddressWatch:
    """Watches the public addresses of one tunnel, over all its runs. Any thread.

    In a run's probe, before the tunnel is first called ready: `first`. Then, with each reading
    that says connected: `look`.
    """

    def __init__(self, means: Means, *, quick: bool, times: Times | None = None) -> None:
        self._means = means
        self._quick = quick
        self._times = times or Times()
        self._lock = threading.Lock()
        self._state = State()
        self._facts = Facts()
        self._visiting = False
        self._changes = 0

    def first(self, run: int, hostname: str) -> Visit:
        """Visit once and wait for it (seconds): the caller wants to know whether cloudflared
        adds the secret (`Seen.REFUSED`: it does not) before the tunnel is called ready. No name
        is looked up, so only for a new quick tunnel's it counts as a proof of its address."""
        self._note_look(run)
        met = self._visit(hostname, soon=True)
        if self._quick:
            self._note_visits(run, [met])
        return met

    def look(
        self, run: int, hostnames: Sequence[str], reconnect: Callable[[], None] = lambda: None
    ) -> Outlook:
        """This run is connected and has these names, of which there may be none. Returns at
        once, with what is known; begins a visit where one is due. `reconnect` is called, by the
        visit's thread, if the run should connect anew with what it has."""
        names = tuple(hostnames)
        self._means.connected(names)
        state = self._note_look(run)
        now = self._means.now()
        with self._lock:
            begin = bool(names) and not self._visiting and now >= state.due_at
            self._visiting = self._visiting or begin
            changes = self._changes
            outlook = Outlook(state.reason or state.partial, state.restart, self._facts)
        if begin:
            work = threading.Thread(
                target=self._round,
                args=(run, names, changes, reconnect),
                name="address visit",
                daemon=True,
            )
            work.start()
        return outlook

    def hurry(self) -> None:
        """This machine woke, or is on another network: the next look begins a visit, even beside
        one that is under way, which may hang on a connection of before and counts no more."""
        served, now = self._means.served(), self._means.now()
        with self._lock:
            # whoever came until now came by the old way, and proves nothing of the new one
            self._state = replace(hurried(self._state, now), served=served)
            self._visiting = False
            self._changes += 1

    def _note_look(self, run: int) -> State:
        served, now = self._means.served(), self._means.now()
        with self._lock:
            if run != self._state.run:
                self._facts = Facts()
            self._state = looked(self._state, run, served, now, self._times)
            return self._state

    def _round(
        self, run: int, names: tuple[str, ...], changes: int, reconnect: Callable[[], None]
    ) -> None:
        try:
            with self._lock:
                state = self._state
            soon = early(state, self._means.now(), self._times, quick=self._quick) and self._quick
            found = [self._visit(name, soon=soon) for name in names]
            if changes == self._changes:
                self._note_visits(run, found, reconnect)
        finally:
            with self._lock:
                if changes == self._changes:
                    self._visiting = False

    def _visit(self, hostname: str, *, soon: bool) -> Visit:
        met = self._means.visit(hostname, soon)
        if met.date is not None:
            self._means.tell_time(met.date)
        self._means.met(met, self._means.wall())
        return met

    def _note_visits(
        self, run: int, found: Sequence[Visit], reconnect: Callable[[], None] = lambda: None
    ) -> None:
        served, online = self._means.served(), self._means.online()
        now, wall = self._means.now(), self._means.wall()
        fast = min((m.round_trip_ms for m in found if m.round_trip_ms is not None), default=None)
        proved = any(met.seen is Seen.OURS for met in found)
        with self._lock:
            # whoever came while the visit was under way ends the row of failures before it
            state = looked(self._state, self._state.run, served, now, self._times)
            known = state.reconnects
            self._state = state = visited(
                state, run, found, now, self._times, quick=self._quick, online=online
            )
            if proved and run == state.run:
                self._facts = Facts(proved_at=wall, round_trip_ms=fast)
        if run == state.run and state.reconnects > known:
            reconnect()
