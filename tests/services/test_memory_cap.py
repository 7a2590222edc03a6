"""When OpenCode is started anew for its memory: a table, and walks at random."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.model import (
    Activity,
    OpenCodeSession,
    Question,
    QuestionKind,
    SessionState,
)
from nexus_tray.services import memory_cap
from nexus_tray.services.memory_cap import (
    GIGABYTE,
    MEGABYTE,
    Look,
    State,
    Times,
    Verdict,
    busy,
    decide,
    disturbed,
)

TIMES = Times(quiet=60, life=600, first=120)
OVER, UNDER, CAP = 3 * GIGABYTE, GIGABYTE, 2 * GIGABYTE


@dataclass(frozen=True)
class Moment:
    at: float
    memory: int | None = UNDER
    busy: bool | None = False
    pid: int | None = 7
    cap: int = CAP


def play(*moments: Moment) -> Verdict:
    state, verdict = State(), Verdict.WELL
    for m in moments:
        state, verdict = decide(state, Look(m.pid, m.memory, m.cap, m.busy), m.at, TIMES)
    return verdict


M = Moment
GROWN = (M(0), M(500, busy=True))

ROWS = {
    "below the cap": ((*GROWN, M(1000)), Verdict.WELL),
    "at the cap": ((*GROWN, M(1000, CAP), M(2000, CAP)), Verdict.WELL),
    "no cap": ((*GROWN, M(1000, OVER, cap=0), M(2000, OVER, cap=0)), Verdict.WELL),
    "over, at work": ((*GROWN, M(1000, OVER, busy=True)), Verdict.WAITS),
    "over, quiet not long enough": ((*GROWN, M(1000, OVER), M(1059, OVER)), Verdict.WAITS),
    "over, quiet": ((*GROWN, M(1000, OVER), M(1060, OVER)), Verdict.RECYCLE),
    "over, quiet since before": ((*GROWN, M(900), M(1000, OVER)), Verdict.RECYCLE),
    "worked in between": (
        (*GROWN, M(1000, OVER), M(1030, OVER, busy=True), M(1060, OVER)), Verdict.WAITS,
    ),
    "not known whether it works": (
        (*GROWN, M(1000, OVER), M(1030, OVER, busy=None), M(1060, OVER)), Verdict.WAITS,
    ),
    "never known": ((*GROWN, M(1000, OVER, None), M(2000, OVER, None)), Verdict.WAITS),
    "young": ((M(0), M(100, busy=True), M(200, OVER), M(599, OVER)), Verdict.WAITS),
    "no longer young": ((M(0), M(100, busy=True), M(200, OVER), M(600, OVER)), Verdict.RECYCLE),
    "over from its start": ((M(0, OVER), M(1000, OVER)), Verdict.TOO_SMALL),
    "over from its start, then it worked": (
        (M(0, OVER), M(300, OVER, busy=True), M(1000, OVER), M(2000, OVER)), Verdict.TOO_SMALL,
    ),
    "the cap was raised, and is reached": (
        (M(0, OVER), M(300, busy=True), M(1000, OVER + 2, cap=OVER + 1),
         M(2000, OVER + 2, cap=OVER + 1)), Verdict.RECYCLE,
    ),
    "a new process": ((*GROWN, M(1000, OVER), M(1060, OVER, pid=8)), Verdict.TOO_SMALL),
    "it does not run": ((*GROWN, M(1000, OVER), M(1060, OVER, pid=None)), Verdict.WELL),
    "its memory is not known": ((*GROWN, M(1000, OVER), M(1060, None)), Verdict.WELL),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_when_it_is_started_anew(name: str) -> None:
    moments, verdict = ROWS[name]
    assert play(*moments) is verdict


def test_an_open_terminal_begins_the_quiet_anew() -> None:
    state, look = State(pid=7, cap=CAP, worked=True, quiet_since=900.0), Look(7, OVER, CAP, False)
    assert decide(state, look, 1000.0, TIMES)[1] is Verdict.RECYCLE
    state, verdict = decide(disturbed(state), look, 1000.0, TIMES)
    assert verdict is Verdict.WAITS
    assert decide(state, look, 1060.0, TIMES)[1] is Verdict.RECYCLE


MOMENTS = st.lists(
    st.builds(
        Moment,
        at=st.floats(0, 400),
        memory=st.sampled_from([None, UNDER, OVER]),
        busy=st.sampled_from([True, False, False, None]),
        pid=st.sampled_from([7, 7, 7, 8, None]),
        cap=st.sampled_from([0, CAP, CAP, CAP]),
    ),
    max_size=40,
)


@given(MOMENTS)
def test_walks(steps: list[Moment]) -> None:
    """Never disturbed while it works, nor twice within its least life, nor without a cap."""
    state, now, begun, quiet = State(), 0.0, 0.0, 0.0
    for step in steps:
        now += step.at
        if step.pid != state.pid:
            begun = now
        if step.busy is not False or step.pid != state.pid:
            quiet = now
        state, verdict = decide(state, Look(step.pid, step.memory, step.cap, step.busy), now, TIMES)
        if verdict is not Verdict.WELL:
            assert step.pid is not None
            assert (step.memory or 0) > step.cap > 0
        if verdict is Verdict.RECYCLE:
            assert step.busy is False
            assert now - quiet >= TIMES.quiet
            assert now - begun >= TIMES.life
            state = State()
            begun = quiet = now


def activity(*states: SessionState, asks: bool = False) -> Activity:
    sessions = [
        OpenCodeSession(id=f"s{n}", title="", directory="/w", project="w", state=state)
        for n, state in enumerate(states)
    ]
    question = Question(
        id="q", kind=QuestionKind.QUESTION, session_id="s0", directory="/w", title="?"
    )
    return Activity(sessions=tuple(sessions), questions=(question,) if asks else ())


@pytest.mark.parametrize(
    ("seen", "answer"),
    [
        (None, None),
        (activity(), False),
        (activity(SessionState.IDLE, SessionState.INTERRUPTED), False),
        (activity(SessionState.IDLE, SessionState.WORKING), True),
        (activity(SessionState.WAITING), True),
        (activity(SessionState.UNKNOWN), True),
        (activity(SessionState.IDLE, asks=True), True),
    ],
)
def test_whether_something_would_be_cut_off(seen: Activity | None, answer: bool | None) -> None:
    assert busy(seen) is answer


@pytest.mark.parametrize(
    ("size", "said"),
    [(5 * MEGABYTE, "5 MB"), (GIGABYTE + 700 * MEGABYTE, "1.7 GB"), (18 * GIGABYTE, "18 GB")],
)
def test_amounts(size: int, said: str) -> None:
    assert memory_cap.amount(size) == said
