"""What takes long: jobs of steps, shown while they run, asked about, cancelled, gone on with.

Owns the threads (one for each job under way) and the file of what is not over, so that a job
that was broken off, by a failure or by the end of the program, goes on where it was. What the
steps do is `named_tunnels`'s; nothing secret is kept here. Any thread may call any method.
"""

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from nexus_tray.app import job_words as words
from nexus_tray.app.job_file import UNREAD, JobFile
from nexus_tray.app.job_record import Record, done_so_far, shown
from nexus_tray.commands import AnswerJob, AnyCommand, CancelJob, DismissJob, RetryJob
from nexus_tray.core.local_backend import Handler
from nexus_tray.model import Job, JobState, Problem, Reason, StepState

logger = logging.getLogger(__name__)

KEPT = 8
"""Jobs that are over and still shown."""
ENDED = (JobState.DONE, JobState.CANCELLED)
OVER = (*ENDED, JobState.FAILED)


class Cancelled(Exception):
    """Raised in a step when the job is no longer wanted."""


class Course:
    """One job on its way, as its steps see it. Used by the job's thread."""

    def __init__(self, keeper: "JobKeeper", work: "_Work") -> None:
        self._keeper = keeper
        self._work = work
        self.memo = work.record.memo
        self.done = work.record.done
        self.cancelled = work.cancelled

    def check(self) -> None:
        """Raises Cancelled when the job is no longer wanted."""
        if self.cancelled.is_set():
            raise Cancelled

    def remember(self) -> None:
        """Keep `memo` on disk now: what was made must be known after a crash. Raises Problem."""
        self._keeper.keep(strictly=True)

    def tell(self, text: str) -> None:
        """How far the present step is."""
        self._keeper.change(self._work, text=text)

    def show(
        self,
        *,
        link: str | None = None,
        expires_at: float | None = None,
        by_hand: tuple[str, ...] = (),
    ) -> None:
        """Wait for the person: a page to open, or what to do by hand. Without any: go on."""
        waiting = bool(link or by_hand)
        self._keeper.change(
            self._work,
            state=JobState.WAITING if waiting else JobState.RUNNING,
            link=link,
            expires_at=expires_at,
            by_hand=by_hand,
        )

    def ask(self, question: Reason) -> bool:
        """Wait for a yes or no. Raises Cancelled."""
        work = self._work
        work.answered.clear()
        self._keeper.change(work, state=JobState.WAITING, question=question)
        while not work.answered.wait(0.2):
            self.check()
        self._keeper.change(work, state=JobState.RUNNING, question=None)
        return work.answer

    def leave(self, lines: tuple[str, ...]) -> None:
        """What is left to do by hand when the job is done."""
        self._work.left = lines


@dataclass(frozen=True)
class Step:
    """One step. `work` answers what came of it; raises Problem where it cannot be done."""

    key: str
    title: str
    work: Callable[[Course], str]


@dataclass(frozen=True)
class Plan:
    """A job's steps in order. `undo` takes back what they made, when the job is cancelled; it
    answers what it did. None: there is nothing to take back."""

    steps: Sequence[Step]
    undo: Callable[[Course], str] | None = None

    @property
    def titles(self) -> list[tuple[str, str]]:
        """Its steps by key and title."""
        return [(step.key, step.title) for step in self.steps]


Maker = Callable[[Mapping[str, str]], Plan]


@dataclass
class _Work:
    record: Record
    plan: Plan
    job: Job
    cancelled: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)
    answer: bool = False
    left: tuple[str, ...] = ()
    thread: threading.Thread | None = None


class JobKeeper:
    """All jobs. `makers` by kind; `publish` hears them all at each change; `wall` in epoch
    seconds."""

    def __init__(
        self,
        file: Path,
        makers: Mapping[str, Maker],
        publish: Callable[[tuple[Job, ...]], None],
        wall: Callable[[], float],
    ) -> None:
        self._file = JobFile(file, wall)
        self._makers = makers
        self._publish = publish
        self._wall = wall
        self._lock = threading.RLock()
        self._works: dict[str, _Work] = {}
        self._closed = False

    def begin(self) -> None:
        """Take up what was not over at the last end: shown as broken off, to be gone on with.
        What cannot be read is shown too: it was something, and nobody knows any more what."""
        found, trouble = self._file.read()
        with self._lock:
            if trouble is not None:
                logger.warning("%s", trouble)
                lost = Record("unread", UNREAD, "", self._wall(), {})
                job = msgspec.structs.replace(shown(lost, (), JobState.FAILED), reason=trouble)
                self._works[lost.id] = _Work(lost, Plan(()), job)
            for record in found:
                if record.kind in self._makers:
                    self._take_up(record)
        self._tell()

    def table(self) -> dict[type[AnyCommand], Handler]:
        """Which handler is whose."""
        return {
            AnswerJob: lambda command: self.answer(command.id, yes=command.yes),
            CancelJob: lambda command: self.cancel(command.id),
            RetryJob: lambda command: self.retry(command.id),
            DismissJob: lambda command: self.dismiss(command.id),
        }

    def start(self, kind: str, subject: str, arguments: Mapping[str, str]) -> str:
        """Begin a job; its id. Raises Problem while another of that subject is not over, and where
        it could not be remembered. One that failed before it made anything is forgotten: this one
        is in its place."""
        plan = self._makers[kind](arguments)
        record = Record(
            id=secrets.token_hex(4), kind=kind, subject=subject, began_at=self._wall(),
            arguments=dict(arguments),
        )  # fmt: skip
        with self._lock:
            for other in self._works.values():
                if other.job.subject == subject and not _gives_way(other, kind):
                    raise Problem(words.busy(subject, other.job))
            self._works = {
                k: w
                for k, w in self._works.items()
                if w.job.subject != subject or w.job.state is not JobState.FAILED
            }
            work = _Work(record, plan, shown(record, plan.titles, JobState.RUNNING))
            self._works[record.id] = work
            try:
                self.keep(strictly=True)
            except Problem:
                del self._works[record.id]
                raise
            self._run(work)
        self._tell()
        return record.id

    def answer(self, key: str, *, yes: bool) -> None:
        """Answer the question that it waits with. Raises Problem if there is none."""
        with self._lock:
            work = self._find(key)
            if work.job.question is None:
                raise Problem(words.NO_QUESTION)
            work.answer = yes
            work.answered.set()

    def cancel(self, key: str) -> None:
        """End it, and take back what it made."""
        with self._lock:
            work = self._find(key)
            if work.job.state in ENDED:
                raise Problem(words.OVER_ALREADY)
            if work.record.undoing and work.job.state is not JobState.FAILED:
                return  # that is what it does
            failed, work.record.undoing = work.job.state is JobState.FAILED, True
            if failed:
                self.change(work, state=JobState.RUNNING, reason=None)
                self._run(work)
            else:
                work.cancelled.set()

    def retry(self, key: str) -> None:
        """Go on where it failed."""
        with self._lock:
            work = self._find(key)
            if work.job.state is not JobState.FAILED:
                raise Problem(words.NOT_FAILED)
            work.cancelled.clear()
            self.change(work, state=JobState.RUNNING, reason=None)
            self._run(work)

    def dismiss(self, key: str) -> None:
        """Show it no more. Raises Problem while it goes on."""
        with self._lock:
            work = self._find(key)
            if work.job.state not in OVER:
                raise Problem(words.GOES_ON)
            del self._works[key]
        self.keep()
        self._tell()

    def close(self) -> None:
        """End what is under way; it can be gone on with after the next start."""
        with self._lock:
            self._closed = True
            works = list(self._works.values())
        for work in works:
            work.cancelled.set()
        for work in works:
            if work.thread is not None:
                work.thread.join(2.0)

    def change(self, work: _Work, *, text: str | None = None, **changes: object) -> None:
        """Change what is shown; `text` is the running step's."""
        with self._lock:
            if text is not None:
                changes["steps"] = tuple(
                    msgspec.structs.replace(one, text=text)
                    if one.state is StepState.RUNNING
                    else one
                    for one in work.job.steps
                )
            work.job = msgspec.structs.replace(work.job, **changes)
        self._tell()

    def keep(self, *, strictly: bool = False) -> None:
        """Write what is not over. A disk that cannot is logged; `strictly`: raises Problem."""
        with self._lock:
            left = [w.record for w in self._works.values() if w.job.state not in OVER]
            left += [w.record for w in self._works.values() if w.job.state is JobState.FAILED]
            try:
                self._file.write(left)
            except Problem as problem:
                if strictly:
                    raise
                logger.warning("%s", problem.reason)

    # the job's own thread

    def _run(self, work: _Work) -> None:
        work.thread = threading.Thread(
            target=self._carry_out, args=(work,), name=f"job {work.record.kind}", daemon=True
        )
        work.thread.start()

    def _carry_out(self, work: _Work) -> None:
        course = Course(self, work)
        try:
            if not work.record.undoing:
                self._go_on(work, course)
                self._end(work, JobState.DONE, None)
                return
        except Cancelled:
            if self._closed:
                return
        except Problem as problem:
            self._fail(work, problem.reason)
            return
        except Exception:
            logger.exception("The job “%s” failed.", work.record.kind)
            self._fail(work, words.UNFORESEEN)
            return
        self._take_back(work, course)

    def _go_on(self, work: _Work, course: Course) -> None:
        for number, step in enumerate(work.plan.steps):
            course.check()
            if step.key in work.record.done:
                continue
            self._step(work, number, StepState.RUNNING, "")
            text = step.work(course)
            work.record.done[step.key] = text
            self._step(work, number, StepState.DONE, text)
            self.keep(strictly=True)  # it goes no further than it could be gone on with

    def _take_back(self, work: _Work, course: Course) -> None:
        """Undo what the steps made. Where that fails, trying again goes on with it."""
        work.record.undoing = True
        work.cancelled.clear()
        self._mark_running(work, StepState.SKIPPED)
        self.keep()
        try:
            said = work.plan.undo(course) if work.plan.undo is not None else done_so_far(work.job)
        except Cancelled:  # the program ends
            return
        except Problem as problem:
            self._fail(work, problem.reason)
        except Exception:
            logger.exception("What the job “%s” made could not be taken back.", work.record.kind)
            self._fail(work, words.UNFORESEEN)
        else:
            self._end(work, JobState.CANCELLED, words.cancelled(said))

    def _fail(self, work: _Work, reason: Reason) -> None:
        logger.warning("%s", reason)
        self._mark_running(work, StepState.FAILED)
        self._end(work, JobState.FAILED, reason)

    def _end(self, work: _Work, state: JobState, reason: Reason | None) -> None:
        left = work.left if state is JobState.DONE else ()
        self.change(
            work, state=state, reason=reason, link=None, expires_at=None, question=None,
            by_hand=left,
        )  # fmt: skip
        with self._lock:
            over = [k for k, w in self._works.items() if w.job.state in OVER]
            for key in over[:-KEPT]:
                if self._works[key].job.state is not JobState.FAILED:
                    del self._works[key]
        self.keep()
        self._tell()

    def _step(self, work: _Work, number: int, state: StepState, text: str) -> None:
        with self._lock:
            steps = list(work.job.steps)
            steps[number] = msgspec.structs.replace(steps[number], state=state, text=text)
        self.change(work, steps=tuple(steps))

    def _mark_running(self, work: _Work, state: StepState) -> None:
        for number, step in enumerate(work.job.steps):
            if step.state is StepState.RUNNING:
                self._step(work, number, state, step.text)

    def _take_up(self, record: Record) -> None:
        with contextlib.suppress(KeyError):  # arguments of an older version make no steps any more
            plan = self._makers[record.kind](record.arguments)
            job = shown(record, plan.titles, JobState.FAILED)
            work = _Work(record, plan, msgspec.structs.replace(job, reason=words.BROKEN_OFF))
            self._works[record.id] = work

    def _find(self, key: str) -> _Work:
        work = self._works.get(key)
        if work is None:
            raise Problem(words.NO_JOB)
        return work

    def _tell(self) -> None:
        with self._lock:
            self._publish(tuple(work.job for work in self._works.values()))


def _gives_way(work: _Work, kind: str) -> bool:
    """It is over; or it failed with nothing made that must be gone on with or taken back. What
    one of the same kind had done, the next one finds done."""
    record = work.record
    if work.job.state is not JobState.FAILED:
        return work.job.state in ENDED
    return not record.undoing and not record.memo and (not record.done or record.kind == kind)
