"""The supervisor: one thread with an inbox; steps the machines, carries out effects, publishes.

The only writer of service state. Everything reaches it as a message; it never blocks on a
driver (see `core.driver.Driver`) and never on a reader (the journal is pulled). Owns the
order of services: a tunnel starts only behind a ready gateway, and the end goes tunnels,
gateway, OpenCode. Any thread may call the public methods.
"""

import logging
import queue
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nexus_tray.core import snapshot as words
from nexus_tray.core.driver import (
    Cause,
    Driver,
    Exited,
    Failure,
    Hold,
    Hurry,
    Input,
    Observed,
    Probed,
    Tick,
    Wish,
)
from nexus_tray.core.driver import Restart as RestartInput
from nexus_tray.core.journal import Journal
from nexus_tray.core.machine import Effect, GaveUp, Kill, Machine, Policy, Probe, Start, Stop, step
from nexus_tray.core.order import GATEWAY_FIRST, STOP_ORDER, drivers_fault
from nexus_tray.model import (
    Activity,
    Desired,
    Facts,
    Job,
    Reason,
    Service,
    ServiceKind,
    ServiceState,
)

log = logging.getLogger(__name__)

PUBLISH_EVERY = 0.1
"""Seconds: the least time between two snapshots, so that a storm is one change."""


@dataclass(frozen=True)
class Entry:
    """A service to supervise. A changed `spec` means: restart it with the new driver.

    `hold` keeps it from running, whatever is wished, and says why.
    """

    name: str
    kind: ServiceKind
    driver: Driver
    spec: object
    desired: Desired
    policy: Policy = field(default_factory=Policy)
    hold: Reason | None = None


@dataclass
class _Charge:
    """What the supervisor knows of one service."""

    entry: Entry
    machine: Machine
    driver: Driver
    facts: Facts = field(default_factory=Facts)
    notice: Reason | None = None
    leaving: bool = False


@dataclass(frozen=True)
class Clock:
    """Where time and chance come from; tests bring their own."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]
    chance: Callable[[], float] = random.random


class Supervisor:
    """Runs the services. `start()` once, `close()` to end everything in order."""

    def __init__(self, journal: Journal, version: str, clock: Clock) -> None:
        self._journal = journal
        self._version = version
        self._clock = clock
        self._inbox: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._charges: dict[str, _Charge] = {}
        self._activity: Activity | None = None
        self._visited_at: float | None = None
        self._pause: words.Pause | None = None
        self._jobs: tuple[Job, ...] = ()
        self._dirty = True
        self._published = -PUBLISH_EVERY
        self._closing = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="supervisor", daemon=True)
        self._publish(clock.monotonic())

    # -- from any thread ---------------------------------------------------------

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def post(self, name: str, item: Input) -> None:
        """Give a service one input; unknown names are ignored (it may just have gone)."""
        self._inbox.put(lambda: self._take(name, item))

    def adopt(self, entries: Sequence[Entry]) -> None:
        """Make these the services: new ones come, missing ones go, changed ones restart."""
        self._inbox.put(lambda: self._adopt(entries))

    def set_activity(self, activity: Activity | None) -> None:
        """What OpenCode does now (None: not known); shows in the next snapshot."""
        self._inbox.put(lambda: self._set_activity(activity))

    def set_visited(self, at: float) -> None:
        """The last request through a tunnel came at this epoch time."""
        self._inbox.put(lambda: self._set_visited(at))

    def set_pause(self, pause: words.Pause | None) -> None:
        """Hold every tunnel, whatever is wished; None: no longer."""
        self._inbox.put(lambda: self._set_pause(pause))

    def set_jobs(self, jobs: tuple[Job, ...]) -> None:
        """What takes long and is under way; shows in the next snapshot."""
        self._inbox.put(lambda: self._set_jobs(jobs))

    def observe(self, name: str, facts: Facts) -> None:
        """What somebody else than its driver measured of a service that runs."""
        self.observe_all({name: facts})

    def observe_all(self, measured: Mapping[str, Facts]) -> None:
        """The same of several services at once: one snapshot tells it all."""
        self._inbox.put(lambda: self._observe_beside(measured))

    def set_notice(self, name: str, notice: Reason | None) -> None:
        """What is worth knowing of a service though it runs (None: nothing)."""
        self._inbox.put(lambda: self._set_notice(name, notice))

    def note(self, text: str, service: str = "", reason: Reason | None = None) -> None:
        """Write a sentence into the journal, in order with everything else."""
        self._inbox.put(lambda: self._journal.note(text, service, reason))

    def close(self, timeout: float) -> bool:
        """Stop all services in order; True when all ended within `timeout` seconds."""
        self._inbox.put(self._close)
        return self._ended.wait(timeout)

    # -- on the supervisor's thread --------------------------------------------------

    def _loop(self) -> None:
        while not (self._closing and not any(c.machine.alive for c in self._charges.values())):
            try:
                message = self._inbox.get(timeout=self._wait())
            except queue.Empty:
                message = self._nothing
            try:
                message()
                self._turn()
            except Exception as error:  # the last line: shown and logged
                log.exception("the supervisor met an unexpected error")
                self._journal.note(f"Unexpected error in the supervisor: {error!r}. See the logs.")
        self._publish(self._clock.monotonic())
        self._ended.set()

    def _wait(self) -> float | None:
        """Seconds until something is due; None: nothing is."""
        now = self._clock.monotonic()
        times = [t for c in self._charges.values() if (t := c.machine.wakes_at) is not None]
        if self._dirty:
            times.append(self._published + PUBLISH_EVERY)
        return max(0.0, min(times) - now) if times else None

    def _nothing(self) -> None:
        """Only time has passed."""

    def _turn(self) -> None:
        """After every message: what is due, what now may or must not run, what to tell."""
        now = self._clock.monotonic()
        for name, charge in list(self._charges.items()):
            due = charge.machine.wakes_at
            if due is not None and due <= now:
                self._take(name, Tick())
        self._steer()
        if self._dirty and now - self._published >= PUBLISH_EVERY:
            self._publish(now)

    def _steer(self) -> None:
        """Apply the order of services, and drop the ones that have gone."""
        self._order_stop()
        for name, charge in list(self._charges.items()):
            if charge.leaving and not charge.machine.alive:
                del self._charges[name]
                self._dirty = True
                continue
            hold = self._hold_for(charge)
            if hold != charge.machine.hold:
                self._take(name, Hold(hold))

    def _order_stop(self) -> None:
        if not self._closing:
            return
        alive = {c.entry.kind for c in self._charges.values() if c.machine.alive}
        last = next((kind for kind in STOP_ORDER if kind in alive), STOP_ORDER[-1])
        for kind in STOP_ORDER[: STOP_ORDER.index(last) + 1]:
            for name, charge in self._charges.items():
                if charge.entry.kind is kind and charge.machine.desired is Desired.RUNNING:
                    self._take(name, Wish(Desired.STOPPED))

    def _hold_for(self, charge: _Charge) -> Reason | None:
        # Here and not in an Entry: settings that were read before the pause must not undo it.
        if self._pause is not None and charge.entry.kind is ServiceKind.TUNNEL:
            return self._pause.reason
        if charge.entry.hold is not None:
            return charge.entry.hold
        if charge.entry.kind is not ServiceKind.TUNNEL or charge.machine.alive:
            return None
        ready = any(
            c.entry.kind is ServiceKind.GATEWAY
            and c.machine.state in (ServiceState.RUNNING, ServiceState.DEGRADED)
            for c in self._charges.values()
        )
        return None if ready else GATEWAY_FIRST

    def _adopt(self, entries: Sequence[Entry]) -> None:
        names = {entry.name for entry in entries}
        for name, charge in self._charges.items():
            if name not in names:
                charge.leaving = True
                self._take(name, Wish(Desired.STOPPED))
        for entry in entries:
            known = self._charges.get(entry.name)
            if known is None:
                now = self._clock.monotonic()
                machine = Machine(name=entry.name, since=now, hold=entry.hold)
                known = _Charge(entry=entry, machine=machine, driver=entry.driver)
                self._charges[entry.name] = known
                known.machine = replace(machine, hold=self._hold_for(known))
            changed = known.entry.spec != entry.spec
            known.entry, known.leaving = entry, False
            if changed and known.machine.alive:
                self._take(entry.name, RestartInput())
            # A wish repeated would leave FAILED; that takes a person, or what may cure it.
            elif changed or entry.desired is not known.machine.desired:
                self._take(entry.name, Wish(entry.desired))
        self._dirty = True

    def _set_activity(self, activity: Activity | None) -> None:
        if activity != self._activity:
            self._activity, self._dirty = activity, True

    def _set_visited(self, at: float) -> None:
        if at != self._visited_at:
            self._visited_at, self._dirty = at, True

    def _set_pause(self, pause: words.Pause | None) -> None:
        if pause == self._pause:
            return
        self._journal.note(pause.reason.what if pause else "Remote access is no longer paused.")
        self._pause, self._dirty = pause, True

    def _set_jobs(self, jobs: tuple[Job, ...]) -> None:
        if jobs != self._jobs:
            self._jobs, self._dirty = jobs, True

    def _set_notice(self, name: str, notice: Reason | None) -> None:
        charge = self._charges.get(name)
        if charge is not None and charge.notice != notice:
            charge.notice, self._dirty = notice, True

    def _observe_beside(self, measured: Mapping[str, Facts]) -> None:
        for name, facts in measured.items():
            if (charge := self._charges.get(name)) is not None:
                self._observe(charge, Observed(charge.machine.run, facts))

    def _close(self) -> None:
        self._closing = True
        for charge in self._charges.values():
            charge.leaving = False

    def _take(self, name: str, item: Input) -> None:
        """Step one machine and carry out what it asks."""
        charge = self._charges.get(name)
        if charge is None:
            return
        if isinstance(item, Observed):
            self._observe(charge, item)
            return
        before = charge.machine
        now = self._clock.monotonic()
        after, effects = step(before, item, now, charge.entry.policy, self._clock.chance())
        charge.machine = after
        if before.alive and not after.alive:
            charge.facts = Facts(version=charge.facts.version, directory=charge.facts.directory)
        if self._visibly_differs(before, after) or isinstance(item, Hurry):
            self._dirty = True  # a Hurry may mean another time of day, by which times are shown
        if before.state is not after.state:
            self._tell(charge, before.state)
        for effect in effects:
            self._carry_out(charge, effect)

    @staticmethod
    def _visibly_differs(before: Machine, after: Machine) -> bool:
        shown = ("desired", "state", "reason", "restarts", "hold")
        return any(getattr(before, name) != getattr(after, name) for name in shown)

    def _observe(self, charge: _Charge, item: Observed) -> None:
        if item.run != charge.machine.run or not charge.machine.alive:
            return
        known = {
            name: value
            for name in Facts.__struct_fields__
            if (value := getattr(item.facts, name)) is not None
        }
        merged = Facts(
            **{n: known.get(n, getattr(charge.facts, n)) for n in Facts.__struct_fields__}
        )
        if merged != charge.facts:
            charge.facts, self._dirty = merged, True

    def _carry_out(self, charge: _Charge, effect: Effect) -> None:
        name = charge.entry.name
        try:
            match effect:
                case Start(run):
                    charge.driver = charge.entry.driver  # a changed spec takes effect here
                    charge.driver.start(run, lambda item: self.post(name, item))
                case Probe(run):
                    charge.driver.probe(run)
                case Stop(run):
                    charge.driver.stop(run)
                case Kill(run):
                    charge.driver.kill(run)
                case GaveUp(reason):
                    self._journal.note(
                        f"{words.title(charge.entry.kind, name)} was given up.", name, reason
                    )
        except Exception as error:
            log.exception("driver of %s failed on %s", name, effect)
            self._blame_driver(name, effect, error)

    def _blame_driver(self, name: str, effect: Effect, error: Exception) -> None:
        """A driver's own mistake counts as the end, or the failed probe, of the run."""
        reason = drivers_fault(error)
        match effect:
            case Start(run):
                self.post(name, Exited(run, Failure(Cause.CRASH, reason)))
            case Probe(run):
                self.post(name, Probed(run, reason))
            case _:
                pass  # the deadline of STOPPING comes again

    def _tell(self, charge: _Charge, before: ServiceState) -> None:
        service = self._service(charge)
        text = words.change_note(before, service, self._clock.wall())
        if text:
            # The reason kept while starting or stopping is the trouble before: told already.
            past = service.state in (ServiceState.STARTING, ServiceState.STOPPING)
            self._journal.note(text, service.name, None if past else service.reason)

    def _service(self, charge: _Charge) -> Service:
        return words.service_of(
            charge.machine,
            charge.entry.kind,
            charge.facts,
            self._clock.monotonic(),
            self._clock.wall(),
            charge.notice,
        )

    def _publish(self, now: float) -> None:
        self._journal.publish(
            words.compose(
                boot_id=self._journal.boot_id,
                cursor=self._journal.next_id,
                version=self._version,
                taken_at=self._clock.wall(),
                services=tuple(map(self._service, self._charges.values())),
                activity=self._activity,
                visited_at=self._visited_at,
                pause=self._pause,
                jobs=self._jobs,
            )
        )
        self._published, self._dirty = now, False
