"""Idle closing: when it closes and when never, as a table and as walks of chance; and closed over
the real door, by the way that a pause goes.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.app.access_handlers import AccessHandlers
from nexus_tray.app.idle import MINUTE, IdleWatch, Look, State, busy, decide, is_open
from nexus_tray.app.pause import PauseKeeper
from nexus_tray.core.snapshot import UNUSED
from nexus_tray.model import (
    Activity,
    Desired,
    Facts,
    OpenCodeSession,
    Problem,
    Question,
    QuestionKind,
    Service,
    ServiceKind,
    ServiceState,
    SessionState,
    Snapshot,
)
from nexus_tray.paths import Paths
from nexus_tray.store.audit import AuditEvent
from tests.api.doubles import first_snapshot
from tests.app.test_access_handlers import World

OPEN = Look(10, is_open=True, busy=False, visits=(("quick", 5e9),))
SPAN = 10 * MINUTE


def walked(*looks: tuple[float, Look]) -> list[float]:
    """When it would close, of these looks."""
    state, closed = State(), []
    for now, look in looks:
        state, due = decide(state, look, now)
        if due:
            closed.append(now)
    return closed


def but(**changes: object) -> Look:
    return dataclasses.replace(OPEN, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("meanwhile", "closed"),
    [
        ([], [SPAN]),
        ([(SPAN - 1, OPEN)], [SPAN]),
        ([(300.0, but(visits=(("quick", 5e9 + 300),)))], []),  # and back is another request
        ([(300.0, but(visits=(("quick", 1.0),)))], []),  # the wall clock was set back
        ([(300.0, but(visits=(*OPEN.visits, ("work", 1.0))))], []),  # at another door
        ([(300.0, but(busy=True))], []),
        ([(300.0, but(busy=None))], []),
        ([(300.0, but(is_open=False))], []),
        ([(300.0, but(minutes=0))], []),
        ([(300.0, but(minutes=11))], []),
        ([(8 * 3600.0, OPEN)], [8 * 3600.0]),  # it slept: found out at the first look
        ([(8 * 3600.0, but(busy=True))], []),  # and it works since it woke
    ],
)
def test_when_it_closes(meanwhile: list[tuple[float, Look]], closed: list[float]) -> None:
    looks = [(0.0, OPEN), *meanwhile]
    looks += [(max(SPAN, looks[-1][0] + 1), OPEN)]
    assert walked(*looks)[:1] == closed


@pytest.mark.parametrize(
    "never",
    [but(minutes=0), but(is_open=False), but(busy=True), but(busy=None)],
)
def test_when_it_never_closes(never: Look) -> None:
    assert walked(*((hour * 3600.0, never) for hour in range(100))) == []


LOOKS = st.builds(
    Look,
    minutes=st.sampled_from((0, 1, 5)),
    is_open=st.booleans(),
    busy=st.sampled_from((True, False, False, None)),
    visits=st.sampled_from(((), (("quick", 1.0),), (("quick", 2.0),), (("work", 2.0),))),
)


@given(st.lists(st.tuples(st.floats(0, 200), LOOKS), max_size=30))
def test_a_walk_closes_only_after_so_long_of_nothing(steps: list[tuple[float, Look]]) -> None:
    """Whatever came before: what closes is open, set and at rest, and so it was, with the same
    visits, at every look within its minutes; and what is so for longer closes."""
    now, state, past = 0.0, State(), list[tuple[float, Look | None]]()
    for wait, look in steps:
        now += wait
        past.append((now, look))
        state, due = decide(state, look, now)
        same = []
        for at, one in reversed(past):
            if one != look:
                break
            same.append(at)
        quiet = look.minutes > 0 and look.is_open and look.busy is False
        assert due == (quiet and now - same[-1] >= look.minutes * MINUTE)
        if due:
            past.append((now, None))  # it begins anew


SESSION = OpenCodeSession(
    id="s", title="", directory="/", project="", state=SessionState.IDLE, cost=0.0, updated_at=None
)
QUESTION = Question(
    id="q", session_id="s", directory="/", kind=QuestionKind.PERMISSION, title="bash", asked_at=0.0
)


def seen(
    opencode: ServiceState,
    activity: Activity | None,
    tunnel: ServiceState = ServiceState.RUNNING,
    wished: Desired = Desired.RUNNING,
) -> Snapshot:
    def service(name: str, kind: ServiceKind, state: ServiceState) -> Service:
        return Service(
            name=name, kind=kind, desired=wished, state=state, since_at=0.0, reason=None,
            next_try_at=None, restarts=0, facts=Facts(),
        )  # fmt: skip

    services = (
        service("opencode", ServiceKind.OPENCODE, opencode),
        service("quick", ServiceKind.TUNNEL, tunnel),
    )
    return msgspec.structs.replace(first_snapshot(), services=services, activity=activity)


def with_state(state: SessionState) -> Activity:
    return Activity(sessions=(msgspec.structs.replace(SESSION, state=state),))


R, S = ServiceState.RUNNING, SessionState


@pytest.mark.parametrize(
    ("snapshot", "works"),
    [
        (seen(R, Activity()), False),
        (seen(R, with_state(S.IDLE)), False),
        (seen(R, with_state(S.INTERRUPTED)), False),
        (seen(R, with_state(S.WORKING)), True),
        (seen(R, with_state(S.WAITING)), True),
        (seen(R, with_state(S.UNKNOWN)), True),
        (seen(R, Activity(questions=(QUESTION,))), True),
        (seen(R, None), None),
        (seen(ServiceState.BACKOFF, None), None),
        (seen(ServiceState.STOPPED, None), False),
        (seen(ServiceState.FAILED, None), False),
    ],
)
def test_who_works(snapshot: Snapshot, works: bool | None) -> None:
    assert busy(snapshot) is works


@pytest.mark.parametrize(
    ("state", "wished", "stands"),
    [
        (R, Desired.RUNNING, True),
        (ServiceState.BACKOFF, Desired.RUNNING, True),
        (ServiceState.STOPPED, Desired.RUNNING, False),  # held, as without a password
        (ServiceState.STOPPING, Desired.STOPPED, False),
    ],
)
def test_what_is_open(state: ServiceState, wished: Desired, stands: bool) -> None:
    snapshot = seen(R, None, state, wished)
    assert is_open(snapshot, network=False) is stands
    assert is_open(snapshot, network=True)
    assert not is_open(msgspec.structs.replace(snapshot, paused=True), network=True)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    paths = Paths(*(tmp_path / name for name in ("config", "data", "r", "tools")))
    paths.data.mkdir(mode=0o700)
    made = World(paths)
    made.sign_in()
    yield made
    made.close()


def watch(world: World, clock: Callable[[], float]) -> IdleWatch:
    """As the program has it, at a clock that the test turns; nothing looks by itself."""
    handlers = AccessHandlers(world.ways)
    look = lambda: Look(1, not world.pause.holds, False, world.door.visits())  # noqa: E731
    return IdleWatch(look, handlers.close_unused, clock)


def test_a_request_puts_it_off_and_an_open_stream_does_not(world: World) -> None:
    now = [0.0]
    watching = watch(world, lambda: now[0])
    watching.step()
    now[0] = 59.0
    stream = world.stream()  # its request counts
    watching.step()
    now[0] = 118.0
    watching.step()
    assert world.told == [None]
    now[0] = 119.0
    watching.step()
    assert world.pause.holds
    said = world.told[-1]
    assert said is not None
    assert said.reason.code == UNUSED
    assert said.reason.what == "Remote access was closed after a minute without a request."
    stream.rest()  # it was cut
    assert world.status() == 403
    assert world.trail()[0] == (AuditEvent.IDLE_CLOSED, "nexus-tray", said.reason.what)
    watching.step()
    assert [row[0] for row in world.trail()].count("idle-closed") == 1, "it closed twice"


def test_who_opens_it_at_once_finds_it_open_for_as_long_again(world: World) -> None:
    now = [0.0]
    watching = watch(world, lambda: now[0])
    watching.step()
    now[0] = 60.0
    watching.step()
    assert world.pause.holds
    world.pause.end()  # before the next look
    now[0] = 61.0
    watching.step()
    now[0] = 120.0
    watching.step()
    assert not world.pause.holds
    now[0] = 121.0
    watching.step()
    assert world.pause.holds


def test_it_stays_closed_over_a_restart_and_says_why(world: World, tmp_path: Path) -> None:
    assert world.pause.close_unused(30) is not None
    said = list[object]()
    again = PauseKeeper(tmp_path / "data" / "pause.json", time.time, said.append, lambda: None)
    assert again.holds
    assert "after 30 minutes without a request" in str(said)
    assert again.end() is True
    assert not (tmp_path / "data" / "pause.json").exists()


def test_a_pause_that_holds_is_left_as_it_is(world: World) -> None:
    until = time.time() + 900
    paused = world.pause.begin(until)
    AccessHandlers(world.ways).close_unused(1)
    assert world.told[-1] is paused
    assert "idle-closed" not in str(world.trail())


def test_what_cannot_be_kept_is_closed_none_the_less(world: World, tmp_path: Path) -> None:
    (tmp_path / "data" / "pause.json").mkdir()
    with pytest.raises(Problem, match="only until Nexus Tray ends"):
        AccessHandlers(world.ways).close_unused(1)
    assert world.pause.holds
    assert world.status() == 403
    assert world.trail()[0][0] == "idle-closed"
