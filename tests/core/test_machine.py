"""The machine's table of transitions, and random walks that hold its invariants."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nexus_tray.core.driver import (
    Cause,
    Exited,
    Failure,
    Hold,
    Hurry,
    Input,
    Probed,
    Restart,
    Tick,
    Wish,
)
from nexus_tray.core.machine import (
    Effect,
    GaveUp,
    Kill,
    Machine,
    Policy,
    Probe,
    Start,
    Stop,
    step,
)
from nexus_tray.model import Desired, Hop, Reason, ServiceState

S = ServiceState
POLICY = Policy()


def reason(code: str) -> Reason:
    return Reason(code=code, hop=Hop.OPENCODE, what=code)


NO_PASSWORD, BROKEN, DEAF = reason("no-password"), reason("broken"), reason("deaf")
CRASH = Failure(Cause.CRASH, BROKEN)
FATAL = Failure(Cause.FATAL, BROKEN)
NETWORK = Failure(Cause.NETWORK, BROKEN)
LIMITED = Failure(Cause.LIMITED, BROKEN)
RUN, STOP = Wish(Desired.RUNNING), Wish(Desired.STOPPED)


@dataclass
class Play:
    """Plays inputs into one machine and keeps what came out."""

    machine: Machine = field(default_factory=lambda: Machine(name="x"))
    now: float = 100.0
    effects: list[Effect] = field(default_factory=list)

    def take(self, *items: Input) -> "Play":
        for item in items:
            self.machine, effects = step(self.machine, item, self.now, POLICY)
            self.effects += effects
        return self

    def after(self, seconds: float) -> "Play":
        self.now += seconds
        return self.take(Tick())

    @property
    def state(self) -> ServiceState:
        return self.machine.state


def running() -> Play:
    return Play().take(RUN, Probed(1))


TABLE: list[tuple[str, Sequence[Input], ServiceState, Sequence[Effect]]] = [
    ("a wish starts it", [RUN], S.STARTING, [Start(1)]),
    ("a second wish changes nothing", [RUN, RUN], S.STARTING, [Start(1)]),
    ("only a probe makes it running", [RUN, Probed(1)], S.RUNNING, [Start(1)]),
    ("not ready yet is no strike", [RUN, *[Probed(1, DEAF)] * 9], S.STARTING, [Start(1)]),
    ("up but unwell is degraded at once", [RUN, Probed(1, DEAF, blame=False, up=True)],
     S.DEGRADED, [Start(1)]),
    ("an old run's probe is ignored", [RUN, Probed(0)], S.STARTING, [Start(1)]),
    ("one bad probe degrades", [RUN, Probed(1), Probed(1, DEAF)], S.DEGRADED, [Start(1)]),
    ("a good one heals", [RUN, Probed(1), Probed(1, DEAF), Probed(1)], S.RUNNING, [Start(1)]),
    ("three strikes end the run", [RUN, Probed(1), *[Probed(1, DEAF)] * 3], S.STOPPING,
     [Start(1), Stop(1)]),
    ("without blame no strike", [RUN, Probed(1), *[Probed(1, DEAF, blame=False)] * 9], S.DEGRADED,
     [Start(1)]),
    ("stop while starting", [RUN, STOP], S.STOPPING, [Start(1), Stop(1)]),
    ("stopped when it is gone", [RUN, STOP, Exited(1)], S.STOPPED, [Start(1), Stop(1)]),
    ("a change of mind while stopping", [RUN, STOP, RUN], S.STOPPING, [Start(1), Stop(1)]),
    ("a crash backs off", [RUN, Probed(1), Exited(1, CRASH)], S.BACKOFF, [Start(1)]),
    ("fatal fails at once", [RUN, Exited(1, FATAL)], S.FAILED, [Start(1), GaveUp(BROKEN)]),
    ("a wish leaves failed", [RUN, Exited(1, FATAL), RUN], S.STARTING,
     [Start(1), GaveUp(BROKEN), Start(2)]),
    ("a restart leaves failed", [RUN, Exited(1, FATAL), Restart()], S.STARTING,
     [Start(1), GaveUp(BROKEN), Start(2)]),
    ("a restart ends the run", [RUN, Probed(1), Restart()], S.STOPPING, [Start(1), Stop(1)]),
    ("and begins another", [RUN, Probed(1), Restart(), Exited(1)], S.STARTING,
     [Start(1), Stop(1), Start(2)]),
    ("a restart of what is not wished rests", [Restart()], S.STOPPED, []),
    ("on hold nothing starts", [Hold(NO_PASSWORD), RUN], S.STOPPED, []),
    ("let go, it starts", [Hold(NO_PASSWORD), RUN, Hold(None)], S.STARTING, [Start(1)]),
    ("a hold ends what runs", [RUN, Probed(1), Hold(NO_PASSWORD)], S.STOPPING, [Start(1), Stop(1)]),
    ("a hold and its end try again", [RUN, Exited(1, FATAL), Hold(NO_PASSWORD), Hold(None)],
     S.STARTING, [Start(1), GaveUp(BROKEN), Start(2)]),
    ("what waits for the network need not any longer", [RUN, Exited(1, NETWORK), Hurry()],
     S.STARTING, [Start(1), Start(2)]),
    ("what crashed waits on", [RUN, Exited(1, CRASH), Hurry()], S.BACKOFF, [Start(1)]),
    ("whom the other side asked to wait, waits", [RUN, Exited(1, LIMITED), Hurry()], S.BACKOFF,
     [Start(1)]),
    ("and so does who was given a time", [RUN, Exited(1, replace(NETWORK, retry_after=30.0)),
     Hurry()], S.BACKOFF, [Start(1)]),
    ("a network that came does not start what is not wished", [Hurry()], S.STOPPED, []),
    ("the end of a stop is no crash", [RUN, STOP, Exited(1, CRASH)], S.STOPPED,
     [Start(1), Stop(1)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("items", "state", "effects"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_table(items: Sequence[Input], state: ServiceState, effects: Sequence[Effect]) -> None:
    play = Play().take(*items)
    assert (play.state, play.effects) == (state, effects)


def test_a_held_service_says_why() -> None:
    assert Play().take(Hold(NO_PASSWORD), RUN).machine.reason == NO_PASSWORD


def test_probes_come_on_time_and_one_at_a_time() -> None:
    play = Play().take(RUN).after(POLICY.probe_starting)
    assert play.effects[-1] == Probe(1)
    assert play.after(POLICY.probe_starting).effects.count(Probe(1)) == 1
    play.take(Probed(1)).after(POLICY.probe_running)
    assert play.effects.count(Probe(1)) == 2


def test_what_runs_is_probed_at_once_when_the_world_changed() -> None:
    play = running().after(1.0)
    known = play.effects.count(Probe(1))
    assert play.take(Hurry()).after(0.0).effects.count(Probe(1)) == known + 1
    assert play.take(Hurry()).after(0.0).effects.count(Probe(1)) == known + 1  # one is out


def test_what_never_gets_ready_is_ended_and_backs_off() -> None:
    play = Play().take(RUN, Probed(1, DEAF)).after(POLICY.start_timeout)
    assert play.state is S.STOPPING
    assert play.take(Exited(1)).state is S.BACKOFF
    assert play.machine.reason == DEAF


def test_a_restart_asked_for_while_starting_does_not_wait() -> None:
    assert Play().take(RUN, Restart(), Exited(1, CRASH)).state is S.STARTING


def test_only_restarts_that_nobody_asked_for_are_counted() -> None:
    play = running().take(Restart(), Exited(1), Probed(2))
    play.take(Hold(NO_PASSWORD), Hold(None), Exited(2), Probed(3))
    assert (play.machine.run, play.machine.restarts) == (3, 0)
    play.take(Exited(3, CRASH)).after(10.0)
    assert (play.machine.run, play.machine.restarts) == (4, 1)
    play.take(Probed(4), *[Probed(4, DEAF)] * 3, Exited(4)).after(10.0)
    assert (play.machine.run, play.machine.restarts) == (5, 2)


def test_without_network_not_getting_ready_is_no_crash() -> None:
    play = Play().take(RUN)
    for _ in range(20):
        play.take(Probed(play.machine.run, DEAF, blame=False)).after(POLICY.start_timeout)
        play.take(Exited(play.machine.run, CRASH))
        assert play.state is S.BACKOFF
        play.after(10.0)


def test_what_does_not_stop_is_killed_again_and_again() -> None:
    play = running().take(STOP).after(POLICY.stop_grace).after(POLICY.kill_patience)
    assert play.effects[-2:] == [Kill(1), Kill(1)]


def test_waits_double_up_to_a_minute() -> None:
    play, waits = Play().take(RUN), []
    for _ in range(POLICY.crash_starts - 1):
        play.take(Exited(play.machine.run, CRASH))
        assert play.machine.deadline is not None
        waits.append(play.machine.deadline - play.now)
        play.after(waits[-1])
    assert waits == sorted(waits)
    assert 1.0 <= waits[0] <= 1.25
    assert waits[-1] <= 60.0
    assert play.machine.run == POLICY.crash_starts
    assert play.take(Exited(play.machine.run, CRASH)).state is S.FAILED
    assert play.effects[-1] == GaveUp(BROKEN)


def test_network_loss_retries_for_ever_and_often() -> None:
    play = Play().take(RUN)
    for _ in range(100):
        play.take(Exited(play.machine.run, NETWORK))
        assert play.state is S.BACKOFF
        assert play.machine.deadline is not None
        assert play.machine.deadline - play.now <= 10.0
        play.now = play.machine.deadline
        play.take(Tick())
    assert play.state is S.STARTING


def test_being_limited_makes_at_most_five_tries_in_ten_minutes() -> None:
    play, end = Play().take(RUN), 100.0 + 600.0
    while play.now < end:
        play.take(Exited(play.machine.run, LIMITED))
        assert play.machine.deadline is not None
        play.now = play.machine.deadline
        play.take(Tick())
    assert play.machine.run <= 6  # the last one lies beyond the ten minutes


def test_retry_after_is_honoured() -> None:
    play = Play().take(RUN, Exited(1, replace(LIMITED, retry_after=1000.0)))
    assert play.machine.deadline == 1100.0


def test_a_long_good_run_forgives() -> None:
    play = Play().take(RUN, Exited(1, CRASH)).after(60).take(Probed(2)).after(61)
    play.take(Probed(2), Exited(2, CRASH))
    assert play.machine.deadline is not None
    assert play.machine.deadline - play.now <= 1.25


class Walk(RuleBasedStateMachine):
    """Random inputs; the module's invariants after each. The driver obeys its contract."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(name="walk")
        self.now = 0.0
        self.alive: set[int] = set()
        self.ready: set[int] = set()
        self.begun: list[float] = []

    def take(self, item: Input) -> None:
        if isinstance(item, Probed) and item.reason is None and item.run in self.alive:
            self.ready.add(item.run)
        if isinstance(item, Exited):
            self.alive.discard(item.run)
        before = self.machine
        self.machine, effects = step(before, item, self.now, POLICY, 0.3)
        for effect in effects:
            match effect:
                case Start(run):
                    assert not self.alive, "a second run beside a living one"
                    assert run == before.run + 1
                    assert self.machine.wanted, "started what is not wanted"
                    self.alive.add(run)
                    self.begun.append(self.now)
                case Stop(run) | Kill(run) | Probe(run):
                    assert run in self.alive, f"{effect} for a run that is over"
                case GaveUp():
                    assert self.machine.state is S.FAILED

    @rule(desired=st.sampled_from(Desired))
    def wish(self, desired: Desired) -> None:
        self.take(Wish(desired))

    @rule(held=st.sampled_from([None, NO_PASSWORD]))
    def hold(self, held: Reason | None) -> None:
        self.take(Hold(held))

    @rule()
    def restart(self) -> None:
        self.take(Restart())

    @rule()
    def hurry(self) -> None:
        self.take(Hurry())

    @rule(seconds=st.floats(0.0, 90.0))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.take(Tick())

    @rule(back=st.integers(0, 2), bad=st.booleans(), blame=st.booleans())
    def probe(self, back: int, bad: bool, blame: bool) -> None:
        self.take(Probed(self.machine.run - back, DEAF if bad else None, blame))

    @precondition(lambda self: self.alive)
    @rule(failure=st.sampled_from([None, CRASH, FATAL, NETWORK, LIMITED]))
    def end(self, failure: Failure | None) -> None:
        self.take(Exited(self.machine.run, failure))

    @rule()
    def late_end(self) -> None:
        run = self.machine.run - 1
        if run not in self.alive:
            self.take(Exited(run, CRASH))

    @invariant()
    def alive_matches_the_state(self) -> None:
        assert self.machine.alive == bool(self.alive)
        resting = self.machine.state in (S.STOPPED, S.BACKOFF, S.FAILED)
        assert resting != self.machine.alive

    @invariant()
    def running_was_proved(self) -> None:
        if self.machine.state in (S.RUNNING, S.DEGRADED):
            assert self.machine.run in self.ready

    @invariant()
    def unwanted_rests_or_ends(self) -> None:
        if not self.machine.wanted:
            assert self.machine.state in (S.STOPPED, S.STOPPING)

    @invariant()
    def whoever_waits_has_a_deadline(self) -> None:
        if self.machine.state in (S.STARTING, S.STOPPING, S.BACKOFF):
            assert self.machine.deadline is not None
        if self.machine.state in (S.RUNNING, S.DEGRADED):
            probing = self.machine.probing_run == self.machine.run
            assert probing or self.machine.probe_at is not None

    @invariant()
    def trouble_has_a_reason(self) -> None:
        if self.machine.state in (S.DEGRADED, S.FAILED):
            assert self.machine.reason is not None


TestWalk = Walk.TestCase
