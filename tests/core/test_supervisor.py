"""The supervisor with scripted drivers and a clock that only the test moves."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from nexus_tray.core.driver import (
    Cause,
    Exited,
    Failure,
    Observed,
    Probed,
    Report,
    Restart,
    Tick,
    Wish,
)
from nexus_tray.core.journal import Journal
from nexus_tray.core.snapshot import Pause
from nexus_tray.core.supervisor import Clock, Entry, Supervisor
from nexus_tray.model import (
    Activity,
    Cursor,
    Desired,
    EventKind,
    Facts,
    Hop,
    Reason,
    Service,
    ServiceKind,
    ServiceState,
)

K, S = ServiceKind, ServiceState
WHY = Reason(code="why", hop=Hop.OPENCODE, what="It broke.")


@dataclass
class ScriptedDriver:
    """Does what a test says: gets ready when probed, ends when stopped, unless deaf."""

    calls: list[str] = field(default_factory=list)
    ready: bool = True
    deaf: bool = False
    raises: str = ""
    report: Report | None = None

    def start(self, run: int, report: Report) -> None:
        self._called("start", run)
        self.report = report
        report(Observed(run, Facts(pid=1000 + run)))

    def probe(self, run: int) -> None:
        self._called("probe", run)
        assert self.report is not None
        self.report(Probed(run, None if self.ready else WHY))

    def stop(self, run: int) -> None:
        self._called("stop", run)
        if not self.deaf:
            self.end(run)

    def kill(self, run: int) -> None:
        self._called("kill", run)
        self.end(run)

    def end(self, run: int, failure: Failure | None = None) -> None:
        assert self.report is not None
        self.report(Exited(run, failure))

    def _called(self, what: str, run: int) -> None:
        if what == self.raises:
            raise OSError("the driver's own mistake")
        self.calls.append(f"{what} {run}")


class World:
    """A supervisor, its journal, and time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.journal = Journal("boot", lambda: self.now)
        clock = Clock(monotonic=lambda: self.now, wall=lambda: self.now + 1e9, chance=lambda: 0.0)
        self.supervisor = Supervisor(self.journal, "1.0", clock)
        self.drivers = {kind.value: ScriptedDriver() for kind in K}
        self.supervisor.start()

    def entries(self, **specs: str) -> list[Entry]:
        return [
            Entry(
                kind.value,
                kind,
                self.drivers[kind.value],
                specs.get(kind.value, ""),
                Desired.RUNNING,
            )
            for kind in K
        ]

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.supervisor.post("nobody", Tick())

    def service(self, name: str) -> Service:
        found = self.journal.latest().service(name)
        assert found is not None
        return found

    def until(self, condition: Callable[[], bool]) -> None:
        """Move time on in small steps until the condition holds; 10 s of real time at most."""
        done = threading.Event()
        for _ in range(10_000):
            if condition():
                return
            self.advance(0.1)
            done.wait(0.001)
        pytest.fail(f"never came true; {self.journal.latest()}")

    def until_state(self, **states: ServiceState) -> None:
        def there() -> bool:
            found = [self.journal.latest().service(name) for name in states]
            return [s and s.state for s in found] == list(states.values())

        self.until(there)

    def notes(self) -> list[str]:
        batch = self.journal.since(Cursor(boot_id="boot", id=0), 0)
        return [event.note for event in batch.events if event.kind is EventKind.NOTE]


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    for driver in made.drivers.values():
        driver.deaf, driver.raises = False, ""
    assert made.supervisor.close(10), "the supervisor did not end"


def all_running(world: World) -> None:
    world.supervisor.adopt(world.entries())
    world.until_state(opencode=S.RUNNING, gateway=S.RUNNING, tunnel=S.RUNNING)


def test_everything_starts_and_a_tunnel_only_behind_a_ready_gateway(world: World) -> None:
    world.drivers["gateway"].ready = False
    world.supervisor.adopt(world.entries())
    world.until_state(opencode=S.RUNNING, gateway=S.STARTING)
    assert world.drivers["tunnel"].calls == []
    reason = world.service("tunnel").reason
    assert reason is not None
    assert reason.code == "gateway-first"
    world.drivers["gateway"].ready = True
    world.until_state(tunnel=S.RUNNING)


def test_a_gateway_that_stumbles_does_not_cost_the_address(world: World) -> None:
    all_running(world)
    world.drivers["gateway"].end(1, Failure(Cause.CRASH, WHY))
    world.until(lambda: world.service("gateway").restarts == 1)
    world.until_state(gateway=S.RUNNING)
    assert "stop 1" not in world.drivers["tunnel"].calls


def test_a_hold_stops_the_tunnel_and_says_why(world: World) -> None:
    all_running(world)
    held = [
        Entry(e.name, e.kind, e.driver, e.spec, e.desired, hold=WHY if e.kind is K.TUNNEL else None)
        for e in world.entries()
    ]
    world.supervisor.adopt(held)
    world.until_state(tunnel=S.STOPPED)
    assert world.service("tunnel").reason == WHY
    assert world.service("opencode").state is S.RUNNING


def test_only_what_changed_restarts_and_with_the_new_driver(world: World) -> None:
    all_running(world)
    old, world.drivers["opencode"] = world.drivers["opencode"], ScriptedDriver()
    world.supervisor.adopt(world.entries(opencode="another folder"))
    world.until(lambda: "start 2" in world.drivers["opencode"].calls)
    assert old.calls[-1] == "stop 1"
    world.until_state(opencode=S.RUNNING)
    assert world.drivers["gateway"].calls.count("start 1") == 1
    assert "stop 1" not in world.drivers["tunnel"].calls


def test_a_service_that_goes_is_stopped_and_dropped(world: World) -> None:
    all_running(world)
    world.supervisor.adopt(world.entries()[:2])
    world.until(lambda: world.journal.latest().service("tunnel") is None)
    assert "stop 1" in world.drivers["tunnel"].calls


def test_a_crash_is_told_and_the_next_try_shown(world: World) -> None:
    all_running(world)
    world.drivers["opencode"].end(1, Failure(Cause.CRASH, WHY))
    world.until(lambda: world.service("opencode").state is S.BACKOFF)
    told = world.service("opencode")
    assert told.next_try_at is not None
    assert told.reason == WHY
    assert told.facts.pid is None
    world.until_state(opencode=S.RUNNING)
    assert world.service("opencode").facts.pid == 1002
    assert any("OpenCode ended: It broke." in note for note in world.notes())


def test_what_was_given_up_is_tried_again_by_a_wish_or_a_change_of_its_own_only(
    world: World,
) -> None:
    all_running(world)
    driver = world.drivers["opencode"]
    driver.end(1, Failure(Cause.FATAL, WHY))
    world.until_state(opencode=S.FAILED)
    world.supervisor.adopt(world.entries(gateway="another port"))
    world.until(lambda: "start 2" in world.drivers["gateway"].calls)
    assert world.service("opencode").state is S.FAILED
    world.supervisor.post("opencode", Wish(Desired.RUNNING))
    world.until_state(opencode=S.RUNNING)
    driver.end(2, Failure(Cause.FATAL, WHY))
    world.until_state(opencode=S.FAILED)
    world.supervisor.adopt(world.entries(gateway="another port", opencode="another folder"))
    world.until_state(opencode=S.RUNNING)


def test_a_start_is_not_told_with_the_trouble_before(world: World) -> None:
    all_running(world)
    world.drivers["opencode"].end(1, Failure(Cause.CRASH, WHY))
    world.until_state(opencode=S.BACKOFF)
    world.until_state(opencode=S.RUNNING)
    world.supervisor.post("opencode", Restart())
    world.until(lambda: world.service("opencode").facts.pid == 1003)
    events = world.journal.since(Cursor(boot_id="boot", id=0), 0).events
    told = {event.note: event.reason for event in events if event.service == "opencode"}
    assert told["OpenCode starts"] is None
    assert told["OpenCode is being stopped"] is None
    assert told["OpenCode ended: It broke. Next try in 1 s."] == WHY


def test_a_crash_loop_gives_up_once(world: World) -> None:
    world.drivers["opencode"].ready = False
    world.supervisor.adopt(world.entries())
    for run in range(1, 7):
        world.until(lambda run=run: f"start {run}" in world.drivers["opencode"].calls)  # type: ignore[misc]
        world.drivers["opencode"].end(run, Failure(Cause.CRASH, WHY))
    world.until_state(opencode=S.FAILED)
    assert sum("given up" in note for note in world.notes()) == 1


def test_a_driver_that_raises_is_a_crash_not_the_end_of_the_supervisor(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.drivers["opencode"].raises = "start"
    world.supervisor.adopt(world.entries())
    world.until_state(opencode=S.BACKOFF, gateway=S.RUNNING)
    reason = world.service("opencode").reason
    assert reason is not None
    assert reason.code == "internal-error"
    world.drivers["opencode"].raises = ""
    world.until_state(opencode=S.RUNNING)
    assert "the driver's own mistake" in caplog.text


def test_the_end_goes_tunnels_gateway_opencode(world: World) -> None:
    order: list[str] = []
    all_running(world)
    for name, driver in world.drivers.items():
        original = driver.stop
        driver.stop = lambda run, n=name, o=original: (order.append(n), o(run))[1]  # type: ignore[method-assign,misc,func-returns-value]
    assert world.supervisor.close(10)
    assert order == ["tunnel", "gateway", "opencode"]
    assert {service.state for service in world.journal.latest().services} == {S.STOPPED}


def test_what_ignores_stop_is_killed_at_the_end(world: World) -> None:
    all_running(world)
    world.drivers["tunnel"].deaf = True
    closed = threading.Event()

    def close() -> None:
        world.supervisor.close(30)
        closed.set()

    threading.Thread(target=close).start()
    world.until(closed.is_set)
    assert "kill 1" in world.drivers["tunnel"].calls


def test_a_storm_of_changes_is_few_snapshots(world: World) -> None:
    all_running(world)
    cursor = world.journal.since(None, 0).cursor.id
    for number in range(500):
        world.supervisor.set_visited(float(number))
    world.until(lambda: world.journal.latest().path[0].text != "no visit yet")
    assert world.journal.next_id - cursor < 10


def test_activity_is_shown_and_unknown_again(world: World) -> None:
    all_running(world)
    world.supervisor.set_activity(Activity())
    world.until(lambda: world.journal.latest().activity == Activity())
    world.supervisor.set_activity(None)
    world.until(lambda: world.journal.latest().activity is None)


def test_a_pause_holds_the_tunnels_whatever_is_adopted(world: World) -> None:
    world.supervisor.adopt(world.entries())
    world.until_state(opencode=S.RUNNING, gateway=S.RUNNING, tunnel=S.RUNNING)
    pause = Pause(Reason(code="paused", hop=Hop.EDGE, what="It is paused."), 5e9)
    world.supervisor.set_pause(pause)
    world.until_state(opencode=S.RUNNING, gateway=S.RUNNING, tunnel=S.STOPPED)
    world.supervisor.adopt(world.entries())  # settings know of no pause
    world.supervisor.post("tunnel", Wish(Desired.RUNNING))
    world.supervisor.post("tunnel", Restart())
    world.until(lambda: world.journal.latest().paused)
    snapshot = world.journal.latest()
    assert world.service("tunnel").state is S.STOPPED
    assert world.service("tunnel").desired is Desired.RUNNING
    assert (snapshot.headline, snapshot.paused_until) == ("It is paused.", 5e9)
    world.supervisor.set_pause(None)
    world.until_state(tunnel=S.RUNNING)
    assert not world.journal.latest().paused
    notes = [e.note for e in world.journal.since(Cursor(boot_id="boot", id=0), 0).events if e.note]
    assert notes.count("It is paused.") == 1
    assert "Remote access is no longer paused." in notes


def test_a_pause_that_is_there_at_the_start_lets_no_tunnel_run_even_once(world: World) -> None:
    world.supervisor.set_pause(Pause(Reason(code="paused", hop=Hop.EDGE, what="It is paused.")))
    world.supervisor.adopt(world.entries())
    world.until_state(opencode=S.RUNNING, gateway=S.RUNNING, tunnel=S.STOPPED)
    assert world.drivers["tunnel"].calls == []
