"""What OpenCode's sessions do, seen on the real program in two folders at once."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nexus_tray.gateway.http import Upstream
from nexus_tray.model import (
    Activity,
    OpenCodeSession,
    Problem,
    Question,
    QuestionKind,
    SessionState,
)
from nexus_tray.services import activity as module
from nexus_tray.services.activity import ActivityWatch
from tests.opencode_lab.harness import Keeper, Talk


class Seen:
    """Every Activity that was published, and when."""

    def __init__(self) -> None:
        self.all: list[Activity | None] = []
        self.at: list[float] = []
        self._changed = threading.Condition()

    def __call__(self, activity: Activity | None) -> None:
        with self._changed:
            self.all.append(activity)
            self.at.append(time.monotonic())
            self._changed.notify_all()

    def until(self, ready: Callable[[Activity | None], bool], seconds: float = 20.0) -> None:
        with self._changed:
            assert self._changed.wait_for(
                lambda: bool(self.all) and ready(self.all[-1]), seconds
            ), self.all[-3:]

    def session(self, talk: Talk) -> OpenCodeSession:
        return next(session for session in self.now.sessions if session.id == talk.id)

    @property
    def now(self) -> Activity:
        assert self.all
        assert self.all[-1] is not None
        return self.all[-1]

    def until_state(self, talk: Talk, state: SessionState) -> OpenCodeSession:
        self.until(
            lambda activity: (
                activity is not None
                and any(s.id == talk.id and s.state is state for s in activity.sessions)
            )
        )
        return self.session(talk)

    def until_asked(self, talk: Talk) -> Question:
        self.until_state(talk, SessionState.WAITING)
        (question,) = [q for q in self.now.questions if q.session_id == talk.id]
        return question


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def watch(seen: Seen, opencode: Keeper) -> Iterator[ActivityWatch]:
    watching = ActivityWatch(seen)
    watching.set_upstream(opencode.upstream)
    yield watching
    watching.close()


@pytest.fixture
def upstream(opencode: Keeper) -> Upstream:
    assert opencode.upstream is not None
    return opencode.upstream


def test_two_folders_work_wait_and_rest_and_are_answered(
    watch: ActivityWatch, seen: Seen, opencode: Keeper, upstream: Upstream
) -> None:
    here = Talk(upstream, opencode.home.project, "here")
    there = Talk(upstream, opencode.home.folder("another"), "there")
    seen.until_state(here, SessionState.IDLE)
    assert seen.session(here).title == "here"
    assert seen.session(here).project == "project"
    assert seen.until_state(there, SessionState.IDLE).project == "another"

    here.say("RUNTOOL: echo tool-ran-$((6*7))")
    permission = seen.until_asked(here)
    assert permission.kind is QuestionKind.PERMISSION
    assert (permission.title, permission.detail) == ("bash", "echo tool-ran-$((6*7))")
    assert permission.asked_at is not None
    assert abs(permission.asked_at - time.time()) < 20
    there.say("ASKQ")
    question = seen.until_asked(there)
    assert question.directory == str(opencode.home.folder("another"))
    assert question.title == "Colour"
    assert question.parts[0].text == "Which colour?"
    assert question.parts[0].options == (("Red", "like a rose"), ("Blue", "like the sea"))
    assert len(seen.now.questions) == 2

    watch.answer_permission(permission.id, "once")
    watch.answer_question(question.id, (("Blue",),))
    finished = seen.until_state(here, SessionState.IDLE)
    seen.until_state(there, SessionState.IDLE)
    assert "tool-ran-42" in here.text()
    assert "Blue" in there.text()
    seen.until(lambda activity: activity is not None and not activity.questions)
    seen.until(lambda activity: bool(seen.session(here).cost))
    assert finished.updated_at is not None

    with pytest.raises(Problem, match="no longer waits"):
        watch.answer_permission(permission.id, "once")
    with pytest.raises(Problem, match="once, always, reject"):
        watch.answer_permission(permission.id, "maybe")


def test_working_shows_while_it_speaks_and_publications_are_few(
    watch: ActivityWatch, seen: Seen, opencode: Keeper, upstream: Upstream
) -> None:
    talk = Talk(upstream, opencode.home.project, "slow")
    talk.say("SLOW")
    seen.until_state(talk, SessionState.WORKING)
    talk.abort()
    seen.until_state(talk, SessionState.IDLE)
    gaps = [later - earlier for earlier, later in zip(seen.at, seen.at[1:], strict=False)]
    assert min(gaps, default=1.0) >= module.INTERVAL * 0.9


def test_who_comes_late_finds_the_question_and_a_rejected_one_goes(
    seen: Seen, opencode: Keeper, upstream: Upstream
) -> None:
    talk = Talk(upstream, opencode.home.folder("late"), "late")
    talk.say("ASKQ")
    deadline = time.monotonic() + 20
    while not talk.pending("question"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    watch = ActivityWatch(seen)
    try:
        watch.set_upstream(upstream)
        question = seen.until_asked(talk)
        assert question.asked_at is None, "not known, so not invented"
        watch.answer_question(question.id, ())
        seen.until(lambda activity: activity is not None and not activity.questions)
        seen.until_state(talk, SessionState.IDLE)
    finally:
        watch.close()


def test_down_is_said_and_coming_back_is_found(
    watch: ActivityWatch, seen: Seen, opencode: Keeper, upstream: Upstream
) -> None:
    seen.until(lambda activity: activity is not None)
    watch.set_upstream(None)
    seen.until(lambda activity: activity is None)
    with pytest.raises(Problem, match="not running"):
        watch.answer_question("que_x", (("a",),))
    watch.set_upstream(upstream)
    seen.until(lambda activity: activity is not None)


def test_a_broken_stream_is_joined_again_and_nothing_is_missed(
    watch: ActivityWatch, seen: Seen, opencode: Keeper, upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    talk = Talk(upstream, opencode.home.project, "broken")
    seen.until_state(talk, SessionState.IDLE)
    stream = watch._stream
    assert stream is not None
    stream.interrupt()
    talk.say(f"WRITE: {Path(opencode.home.project) / 'file.txt'}")
    question = seen.until_asked(talk)
    assert question.title == "edit"
    assert "file.txt" in question.detail
    watch.answer_permission(question.id, "reject")
    seen.until_state(talk, SessionState.IDLE)
    assert not seen.now.questions


def test_closing_is_prompt_at_any_moment(seen: Seen, upstream: Upstream) -> None:
    for pause in (0.0, 0.01, 0.1):
        watch = ActivityWatch(seen)
        watch.set_upstream(upstream)
        time.sleep(pause)
        began = time.monotonic()
        watch.close()
        assert time.monotonic() - began < 2.0
