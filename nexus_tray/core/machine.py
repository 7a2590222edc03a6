"""The machine: every transition, back-off and crash-loop decision of a service.

Owns the pure function `step(machine, item, now, policy) -> (machine, effects)` and nothing
else: no clock, no randomness, no I/O. The supervisor is the only caller. `now` is
monotonic seconds. Invariants, walked at random in tests/core/test_machine.py:

- a Start effect only while no run is alive, with a run number never used before;
- RUNNING only after a probe of this very run succeeded;
- STOPPED, BACKOFF and FAILED have no run alive; every other state has one;
- with a wish of STOPPED, or on hold, nothing is ever started;
- every state that waits has a deadline, so nothing waits for ever;
- every state but STOPPED-as-wished and RUNNING can say why (`reason`).

    STOPPED --wish--> STARTING --probe ok--> RUNNING <--ok/bad--> DEGRADED <--up but bad-- STARTING
       ^                 |  ^                   |                    |
       |               exit  \\--deadline--- BACKOFF <---exit---------+--strikes--> STOPPING
       +--- STOPPING <-- wish                   \\--loop/fatal--> FAILED
"""

from dataclasses import dataclass, replace

from nexus_tray.core.driver import (
    Cause,
    Exited,
    Failure,
    Hold,
    Hurry,
    Input,
    Observed,
    Probed,
    Restart,
    Tick,
    Wish,
)
from nexus_tray.model import Desired, Reason, ServiceState

S = ServiceState


@dataclass(frozen=True)
class Policy:
    """How patient the machine is with one kind of service. All times in seconds.

    SECURITY.md 19 sets the crash numbers: 1 to 60 s, at most 6 starts in 10 minutes.
    NETWORK waits are capped low, for the network comes back without saying so.
    """

    start_timeout: float = 60.0
    stop_grace: float = 10.0
    kill_patience: float = 5.0
    probe_starting: float = 0.2
    probe_running: float = 5.0
    strikes: int = 3
    backoff_first: float = 1.0
    backoff_most: float = 60.0
    backoff_network_most: float = 10.0
    backoff_limited: float = 150.0
    crash_window: float = 600.0
    crash_starts: int = 6
    settled_after: float = 60.0


@dataclass(frozen=True)
class Start:
    """Begin this run."""

    run: int


@dataclass(frozen=True)
class Probe:
    """Ask whether this run is ready."""

    run: int


@dataclass(frozen=True)
class Stop:
    """End this run in order."""

    run: int


@dataclass(frozen=True)
class Kill:
    """End this run now."""

    run: int


@dataclass(frozen=True)
class GaveUp:
    """The service went to FAILED: worth one notification."""

    reason: Reason


Effect = Start | Probe | Stop | Kill | GaveUp


@dataclass(frozen=True)
class Machine:
    """The state of one service. `run` is the last run begun; `alive` whether it still is.

    `starts` are the times of starts that count towards a crash loop; `tries` counts
    failed attempts in a row and sets the next wait. `probing_run` is the run a probe is
    out for, or 0. `fault` is why we ended a run ourselves (None: it was asked of us);
    `unwell` what the last failed probe of this run stands for. `restarts` counts those
    that nobody asked for. `for_network`: what is waited for in BACKOFF is the network alone.
    """

    name: str
    desired: Desired = Desired.STOPPED
    state: ServiceState = S.STOPPED
    since: float = 0.0
    hold: Reason | None = None
    reason: Reason | None = None
    run: int = 0
    alive: bool = False
    fault: Cause | None = None
    unwell: Cause = Cause.CRASH
    restarts: int = 0
    tries: int = 0
    strikes: int = 0
    starts: tuple[float, ...] = ()
    deadline: float | None = None
    probe_at: float | None = None
    probing_run: int = 0
    for_network: bool = False

    @property
    def wanted(self) -> bool:
        """The service should be running now."""
        return self.desired is Desired.RUNNING and self.hold is None

    @property
    def wakes_at(self) -> float | None:
        """When a Tick is due, in the clock of `now`; None: never."""
        times = [t for t in (self.deadline, self.probe_at) if t is not None]
        return min(times, default=None)


Stepped = tuple[Machine, tuple[Effect, ...]]


def step(machine: Machine, item: Input, now: float, policy: Policy, chance: float = 0.5) -> Stepped:
    """What becomes of `machine` when `item` happens at `now`, and what is to be done.

    `chance` in [0, 1) spreads waits (jitter), so that many machines do not retry at once.
    """
    match item:
        case Wish(desired):
            return _wish(machine, desired, now, policy)
        case Hold(reason):
            return _hold(machine, reason, now, policy)
        case Restart():
            return _restart(machine, now, policy)
        case Hurry():
            return _hurry(machine, now, policy)
        case Probed(run) if run == machine.run and machine.alive:
            return _probed(machine, item, now, policy)
        case Exited(run, failure) if run == machine.run and machine.alive:
            return _exited(machine, failure, now, policy, chance)
        case Tick():
            return _tick(machine, now, policy)
        case Probed() | Exited() | Observed():
            return machine, ()
    raise AssertionError(item)  # pragma: no cover - the match above is exhaustive


def _enter(machine: Machine, state: ServiceState, now: float) -> Machine:
    """Change the state; leaving one clears what belonged to it."""
    since = now if state is not machine.state else machine.since
    return replace(machine, state=state, since=since, deadline=None, probe_at=None)


def _begin(machine: Machine, now: float, policy: Policy, *, again: bool = False) -> Stepped:
    """STOPPED, BACKOFF, FAILED or the end of STOPPING -> STARTING."""
    recent = tuple(t for t in machine.starts if now - t < policy.crash_window)
    machine = replace(
        _enter(machine, S.STARTING, now),
        run=machine.run + 1,
        restarts=machine.restarts + again,
        alive=True,
        fault=None,
        unwell=Cause.CRASH,
        strikes=0,
        probing_run=0,
        starts=(*recent, now),
        deadline=now + policy.start_timeout,
        probe_at=now + policy.probe_starting,
    )
    return machine, (Start(machine.run),)


def _end(machine: Machine, now: float, policy: Policy, fault: Cause | None = None) -> Stepped:
    """Any state with a live run -> STOPPING."""
    if machine.state is S.STOPPING:
        return replace(machine, fault=fault), ()
    machine = replace(
        _enter(machine, S.STOPPING, now), fault=fault, deadline=now + policy.stop_grace
    )
    return machine, (Stop(machine.run),)


def _rest(machine: Machine, now: float) -> Machine:
    """No run, none wanted: STOPPED. Held services keep the hold's reason."""
    reason = machine.hold if machine.desired is Desired.RUNNING else None
    return replace(_enter(machine, S.STOPPED, now), reason=reason, tries=0, starts=())


def _wish(machine: Machine, desired: Desired, now: float, policy: Policy) -> Stepped:
    if desired is machine.desired and machine.state is not S.FAILED:
        return machine, ()
    machine = replace(machine, desired=desired)
    if machine.state is S.FAILED:
        machine = replace(machine, starts=(), tries=0)
    return _settle(machine, now, policy)


def _hold(machine: Machine, reason: Reason | None, now: float, policy: Policy) -> Stepped:
    if reason == machine.hold:
        return machine, ()
    machine = replace(machine, hold=reason)
    return _settle(machine, now, policy)


def _restart(machine: Machine, now: float, policy: Policy) -> Stepped:
    machine = replace(machine, starts=(), tries=0)
    if machine.alive:
        return _end(machine, now, policy)
    return _settle(machine, now, policy)


def _hurry(machine: Machine, now: float, policy: Policy) -> Stepped:
    if machine.state is S.BACKOFF and machine.for_network:
        return _begin(replace(machine, tries=0), now, policy, again=True)
    if machine.probe_at is not None:
        machine = replace(machine, probe_at=min(machine.probe_at, now))
    return machine, ()


def _settle(machine: Machine, now: float, policy: Policy) -> Stepped:
    """Move towards what is wanted after the wish, the hold or a restart changed it."""
    if machine.alive:
        if machine.wanted:
            return machine, ()
        if machine.desired is Desired.RUNNING:
            machine = replace(machine, reason=machine.hold)
        return _end(machine, now, policy)
    if machine.wanted:
        return _begin(machine, now, policy)
    return _rest(machine, now), ()


def _probed(machine: Machine, item: Probed, now: float, policy: Policy) -> Stepped:
    machine = replace(machine, probing_run=0)
    if machine.state not in (S.STARTING, S.RUNNING, S.DEGRADED):
        return machine, ()
    if item.reason is None:
        machine = replace(_enter(machine, S.RUNNING, now), reason=None, strikes=0)
        return replace(machine, probe_at=now + policy.probe_running), ()
    machine = replace(machine, unwell=Cause.CRASH if item.blame else Cause.NETWORK)
    if machine.state is S.STARTING and not item.up:  # no strike yet; the deadline decides
        return replace(machine, reason=item.reason, probe_at=now + policy.probe_starting), ()
    strikes = machine.strikes + 1 if item.blame else 0
    machine = replace(
        _enter(machine, S.DEGRADED, now),
        reason=item.reason,
        strikes=strikes,
        probe_at=now + min(policy.probe_running, 1.0),
    )
    if strikes >= policy.strikes:
        return _end(machine, now, policy, fault=Cause.CRASH)
    return machine, ()


def _exited(
    machine: Machine, failure: Failure | None, now: float, policy: Policy, chance: float
) -> Stepped:
    ran = now - machine.since if machine.state is S.RUNNING else 0.0
    machine = replace(machine, alive=False, probing_run=0)
    if not machine.wanted:
        return _rest(machine, now), ()
    if machine.state is S.STOPPING:
        # how it ended is our own doing; why we ended it decides
        if machine.fault is None:
            return _begin(machine, now, policy)  # asked for, so none of the `restarts`
        return _back_off(machine, machine.fault, None, now, policy, chance)
    if failure is not None:
        machine = replace(machine, reason=failure.reason)
    if ran >= policy.settled_after:
        machine = replace(machine, tries=0)
    cause = failure.cause if failure is not None else Cause.CRASH
    retry_after = failure.retry_after if failure is not None else None
    return _back_off(machine, cause, retry_after, now, policy, chance)


def _back_off(
    machine: Machine,
    cause: Cause,
    retry_after: float | None,
    now: float,
    policy: Policy,
    chance: float,
) -> Stepped:
    """A run ended against our wish -> BACKOFF, or FAILED where waiting cures nothing."""
    recent = tuple(t for t in machine.starts if now - t < policy.crash_window)
    if cause in (Cause.NETWORK, Cause.LIMITED):
        recent = recent[:-1]  # the start was not at fault
    machine = replace(machine, starts=recent)
    looping = cause is Cause.CRASH and len(recent) >= policy.crash_starts
    if cause is Cause.FATAL or looping:
        machine = _enter(machine, S.FAILED, now)
        return machine, ((GaveUp(machine.reason),) if machine.reason else ())
    wait = _wait(machine.tries, cause, policy, chance)
    if retry_after is not None:
        wait = max(wait, retry_after)
    machine = replace(_enter(machine, S.BACKOFF, now), tries=machine.tries + 1)
    # not where a time was asked for: it is somebody's who wants to be left alone till then
    alone = cause is Cause.NETWORK and retry_after is None
    return replace(machine, deadline=now + wait, for_network=alone), ()


def _wait(tries: int, cause: Cause, policy: Policy, chance: float) -> float:
    """Seconds until the next try: doubled each time, capped, spread by up to a quarter."""
    if cause is Cause.LIMITED:
        return policy.backoff_limited * (1.0 + 0.25 * chance)
    most = policy.backoff_network_most if cause is Cause.NETWORK else policy.backoff_most
    wait = min(policy.backoff_first * 2.0 ** min(tries, 16), most / 1.25)
    return wait * (1.0 + 0.25 * chance)


def _tick(machine: Machine, now: float, policy: Policy) -> Stepped:
    if machine.deadline is not None and now >= machine.deadline:
        return _due(machine, now, policy)
    if machine.probe_at is not None and now >= machine.probe_at:
        machine = replace(machine, probe_at=None)
        if machine.probing_run == machine.run:
            return machine, ()  # one is out; its answer sets the next
        return replace(machine, probing_run=machine.run), (Probe(machine.run),)
    return machine, ()


def _due(machine: Machine, now: float, policy: Policy) -> Stepped:
    """The deadline of the present state has come."""
    if machine.state is S.BACKOFF:
        return _begin(machine, now, policy, again=True)
    if machine.state is S.STARTING:
        return _end(machine, now, policy, fault=machine.unwell)
    if machine.state is S.STOPPING:
        return replace(machine, deadline=now + policy.kill_patience), (Kill(machine.run),)
    return replace(machine, deadline=None), ()  # pragma: no cover - no other state sets one
