"""Jobs: their steps in order, questions, cancelling, going on, and what outlives the program."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from nexus_tray.app.jobs import Course, JobKeeper, Plan, Step
from nexus_tray.model import Hop, Job, JobState, Problem, Reason, StepState
from nexus_tray.paths import Paths
from tests.api.doubles import AT, until

BROKEN = Reason(code="api-500", hop=Hop.EDGE, what="Cloudflare did not answer.")
QUESTION = Reason(code="sure", hop=Hop.EDGE, what="Overwrite it?")


@dataclass
class World:
    """A keeper whose jobs do what `deeds` says, by the step's key; `did` are the steps begun."""

    paths: Paths
    deeds: dict[str, Callable[[Course], str]] = field(default_factory=dict)
    did: list[str] = field(default_factory=list)
    seen: list[tuple[Job, ...]] = field(default_factory=list)
    undone: Callable[[Course], str] | None = None

    def keeper(self) -> JobKeeper:
        return JobKeeper(self.paths.jobs_file, {"create": self.plan}, self.seen.append, lambda: AT)

    def plan(self, given: Mapping[str, str]) -> Plan:
        steps = [Step(key, f"Do {key}", self._deed(key)) for key in given["keys"].split()]
        return Plan(steps, undo=self.undone)

    def _deed(self, key: str) -> Callable[[Course], str]:
        def work(course: Course) -> str:
            self.did.append(key)
            deed = self.deeds.get(key)
            return deed(course) if deed else f"{key} done"

        return work

    def job(self) -> Job:
        return self.seen[-1][0]

    def wait(self, state: JobState) -> Job:
        until(lambda: bool(self.seen and self.seen[-1] and self.job().state is state))
        return self.job()


@pytest.fixture
def world(paths: Paths) -> World:
    return World(paths)


def fail(_: Course) -> str:
    raise Problem(BROKEN)


def start(keeper: JobKeeper, subject: str = "home") -> str:
    return keeper.start("create", subject, {"keys": "a b c"})


def test_the_steps_are_done_in_order_and_shown(world: World) -> None:
    key = start(world.keeper())
    job = world.wait(JobState.DONE)
    assert (job.id, job.kind, job.subject, job.began_at) == (key, "create", "home", AT)
    assert world.did == ["a", "b", "c"]
    assert [(step.state, step.text) for step in job.steps] == [
        (StepState.DONE, "a done"), (StepState.DONE, "b done"), (StepState.DONE, "c done"),
    ]  # fmt: skip
    shown = [tuple(step.state for step in jobs[0].steps) for jobs in world.seen if jobs]
    assert (StepState.DONE, StepState.RUNNING, StepState.TODO) in shown
    until(lambda: world.paths.jobs_file.read_text() == "[]")


def test_a_failure_is_gone_on_with_where_it_was(world: World) -> None:
    world.deeds["b"] = fail
    keeper = world.keeper()
    key = start(keeper)
    job = world.wait(JobState.FAILED)
    assert job.reason == BROKEN
    assert [step.state for step in job.steps] == [StepState.DONE, StepState.FAILED, StepState.TODO]
    del world.deeds["b"]
    keeper.retry(key)
    assert world.wait(JobState.DONE).reason is None
    assert world.did == ["a", "b", "b", "c"]


def test_it_is_gone_on_with_after_a_restart_with_what_was_found_out(world: World) -> None:
    def make(course: Course) -> str:
        course.memo["id"] = "34b8"
        return "made"

    world.deeds.update(a=make, b=fail)
    key = start(world.keeper())
    world.wait(JobState.FAILED)
    assert world.paths.jobs_file.stat().st_mode & 0o077 == 0
    later = World(world.paths)
    later.deeds["b"] = lambda course: course.memo["id"]
    keeper = later.keeper()
    keeper.begin()
    job = later.job()
    assert (job.state, job.steps[0].text) == (JobState.FAILED, "made")
    assert job.reason is not None
    assert job.reason.code == "job-broken-off"
    keeper.retry(key)
    assert later.wait(JobState.DONE).steps[1].text == "34b8"
    assert later.did == ["b", "c"]


def test_the_end_of_the_program_breaks_it_off_and_undoes_nothing(world: World) -> None:
    world.undone = lambda _: "undone"
    waits = threading.Event()

    def wait(course: Course) -> str:
        waits.set()
        course.cancelled.wait(10)
        course.check()
        return ""

    world.deeds["b"] = wait
    keeper = world.keeper()
    start(keeper)
    assert waits.wait(10)
    keeper.close()
    later = World(world.paths)
    later.keeper().begin()
    assert later.job().state is JobState.FAILED
    assert later.job().steps[0].state is StepState.DONE


@pytest.mark.parametrize("when", ["running", "failed"])
def test_cancelling_takes_back_what_was_made(world: World, when: str) -> None:
    undone: list[str] = []
    waits = threading.Event()

    def undo(course: Course) -> str:
        undone.append(course.memo["id"])
        return "It is deleted again."

    def make(course: Course) -> str:
        course.memo["id"] = "34b8"
        return "made"

    def wait(course: Course) -> str:
        waits.set()
        course.cancelled.wait(10)
        course.check()
        raise AssertionError

    world.undone = undo
    world.deeds.update(a=make, b=wait if when == "running" else fail)
    keeper = world.keeper()
    key = start(keeper)
    if when == "running":
        assert waits.wait(10)
    else:
        world.wait(JobState.FAILED)
    keeper.cancel(key)
    job = world.wait(JobState.CANCELLED)
    assert undone == ["34b8"]
    assert job.reason is not None
    assert job.reason.what == "It was cancelled. It is deleted again."
    assert world.did == ["a", "b"]


@pytest.mark.parametrize("trouble", [Problem(BROKEN), OSError("disk"), ZeroDivisionError()])
def test_what_cannot_be_taken_back_is_gone_on_with_and_nothing_else(
    world: World, trouble: Exception
) -> None:
    """Trying again goes on taking back: the steps would build on what is half deleted."""
    tries: list[int] = []

    def undo(_: Course) -> str:
        tries.append(1)
        if len(tries) == 1:
            raise trouble
        return "It is deleted again."

    world.undone = undo
    world.deeds["b"] = fail
    keeper = world.keeper()
    key = start(keeper)
    world.wait(JobState.FAILED)
    keeper.cancel(key)
    until(lambda: bool(tries) and world.job().state is JobState.FAILED)
    later = World(world.paths, undone=undo)  # after a restart too
    keeper = later.keeper()
    keeper.begin()
    keeper.retry(key)
    later.wait(JobState.CANCELLED)
    assert (world.did, later.did) == (["a", "b"], [])


def test_while_it_takes_back_nothing_else_is_begun(world: World) -> None:
    begun, go = threading.Event(), threading.Event()

    def undo(course: Course) -> str:
        begun.set()
        go.wait(10)
        course.check()
        return "It is deleted again."

    world.undone = undo
    world.deeds["b"] = fail
    keeper = world.keeper()
    key = start(keeper)
    world.wait(JobState.FAILED)
    keeper.cancel(key)
    assert begun.wait(10)
    assert world.job().state is JobState.RUNNING
    with pytest.raises(Problem):
        keeper.retry(key)
    keeper.cancel(key)  # a second wish changes nothing
    go.set()
    world.wait(JobState.CANCELLED)
    assert world.did == ["a", "b"]


def test_what_nothing_takes_back_is_said(world: World) -> None:
    world.deeds["b"] = fail
    keeper = world.keeper()
    key = start(keeper)
    world.wait(JobState.FAILED)
    keeper.cancel(key)
    reason = world.wait(JobState.CANCELLED).reason
    assert reason is not None
    assert reason.what == "It was cancelled. What was done stays: Do a."


@pytest.mark.parametrize("yes", [True, False])
def test_a_question_waits_for_its_answer(world: World, yes: bool) -> None:
    world.deeds["b"] = lambda course: str(course.ask(QUESTION))
    keeper = world.keeper()
    key = start(keeper)
    assert world.wait(JobState.WAITING).question == QUESTION
    keeper.answer(key, yes=yes)
    job = world.wait(JobState.DONE)
    assert job.steps[1].text == str(yes)
    assert job.question is None


def test_an_unforeseen_error_is_shown_and_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def burst(_: Course) -> str:
        raise ZeroDivisionError

    world.deeds["a"] = burst
    start(world.keeper())
    job = world.wait(JobState.FAILED)
    assert job.reason is not None
    assert job.reason.code == "job-unforeseen"
    assert "ZeroDivisionError" in caplog.text


def test_what_failed_before_anything_was_made_is_in_nobodys_way(world: World) -> None:
    world.deeds["a"] = fail
    keeper = world.keeper()
    first = start(keeper)
    world.wait(JobState.FAILED)
    second = start(keeper)
    assert first != second
    until(lambda: [job.id for job in world.seen[-1]] == [second])


def test_who_is_in_the_way_is_said_with_what_can_be_done(world: World) -> None:
    world.deeds["a"] = made
    world.deeds["b"] = fail
    keeper = world.keeper()
    key = start(keeper)
    world.wait(JobState.FAILED)
    with pytest.raises(Problem) as caught:
        start(keeper)
    assert f"nexus-tray tunnel retry {key}" in caught.value.reason.cure
    assert f"nexus-tray tunnel cancel {key}" in caught.value.reason.cure


def test_that_it_was_cancelled_is_said_once(world: World) -> None:
    world.deeds["a"] = fail
    keeper = world.keeper()
    key = start(keeper)
    world.wait(JobState.FAILED)
    keeper.cancel(key)
    reason = world.wait(JobState.CANCELLED).reason
    assert reason is not None
    assert reason.what.count("It was cancelled.") == 1


def made(course: Course) -> str:
    course.memo["id"] = "34b8"
    return "made"


def test_one_job_at_a_time_for_a_subject(world: World) -> None:
    world.deeds["a"] = made
    world.deeds["b"] = fail
    keeper = world.keeper()
    key = start(keeper)
    world.wait(JobState.FAILED)
    with pytest.raises(Problem, match="worked on"):
        start(keeper)
    other = start(keeper, "office")
    until(lambda: all(job.state is JobState.FAILED for job in world.seen[-1]))
    keeper.dismiss(key)
    keeper.dismiss(other)
    assert world.seen[-1] == ()
    start(keeper)


@pytest.mark.parametrize("deed", ["answer", "retry", "dismiss"])
def test_what_does_not_fit_its_state_is_refused(world: World, deed: str) -> None:
    waits = threading.Event()
    world.deeds["a"] = lambda course: str(waits.wait(10))
    keeper = world.keeper()
    key = start(keeper)
    deeds = {
        "answer": lambda k: keeper.answer(k, yes=True), "retry": keeper.retry,
        "dismiss": keeper.dismiss,
    }  # fmt: skip
    with pytest.raises(Problem):
        deeds[deed](key)
    with pytest.raises(Problem, match="no such job"):
        deeds[deed]("nothing")
    waits.set()
    world.wait(JobState.DONE)


def test_a_damaged_file_is_said_and_kept(world: World) -> None:
    world.paths.data.mkdir(parents=True, mode=0o700)
    world.paths.jobs_file.touch(mode=0o600)
    world.paths.jobs_file.write_text("[{")
    keeper = world.keeper()
    keeper.begin()
    [lost] = world.seen[-1]
    assert (lost.state, lost.reason and lost.reason.code) == (JobState.FAILED, "jobs-damaged")
    [aside] = world.paths.data.glob("jobs.json.damaged-*")
    assert lost.reason is not None
    assert str(aside) in lost.reason.what
    assert aside.read_text() == "[{"
    start(keeper)
    until(lambda: world.paths.jobs_file.read_text() == "[]")
    assert aside.read_text() == "[{", "what comes later does not overwrite it"
    keeper.dismiss(lost.id)
    assert lost.id not in {job.id for job in world.seen[-1]}


def test_a_file_that_others_may_write_is_said_and_left(world: World) -> None:
    world.paths.data.mkdir(parents=True, mode=0o700)
    world.paths.jobs_file.write_text("[]")
    world.paths.jobs_file.chmod(0o666)
    keeper = world.keeper()
    keeper.begin()
    [lost] = world.seen[-1]
    assert lost.reason is not None
    assert "open to other users" in lost.reason.what
    assert world.paths.jobs_file.read_text() == "[]"


def test_nothing_is_begun_that_could_not_be_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = world.keeper()
    full = Problem(Reason(code="disk-full", hop=Hop.GATEWAY, what="There is no room left."))

    def no_room(*_: object) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr("nexus_tray.store.files.write_atomic", no_room)
        with pytest.raises(Problem, match="no room"):
            start(keeper)
    assert not world.did

    def made(course: Course) -> str:
        monkeypatch.setattr("nexus_tray.store.files.write_atomic", no_room)
        course.memo["id"] = "34b8"
        course.remember()
        return "made"

    world.deeds["a"] = made
    key = start(keeper)
    job = world.wait(JobState.FAILED)
    assert job.reason == full.reason
    assert world.did == ["a"], "it goes no further than it can be gone on with"
    monkeypatch.undo()
    world.deeds["a"] = lambda course: course.memo["id"]
    keeper.retry(key)
    assert world.wait(JobState.DONE).steps[0].text == "34b8"
