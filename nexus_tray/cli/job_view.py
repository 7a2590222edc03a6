"""A job followed on a terminal: its steps as they come, its link, its question, its end.

Owns what is printed meanwhile. Reads the journal by cursor, so that nothing is asked in a loop.
Imports layer 1 and Backend; main thread. Ctrl-C cancels the job, which says what it has done.
"""

import time
from argparse import Namespace
from collections.abc import Iterable, Iterator

from nexus_tray.cli.console import Console, Exit, failed
from nexus_tray.commands import AnswerJob, AnyCommand, CancelJob, DismissJob, RetryJob
from nexus_tray.core.backend import Backend
from nexus_tray.inert import inert
from nexus_tray.model import Cursor, HopState, Job, JobState, Reason, StepState

APPEARS = 10.0
"""Seconds within which a job that was accepted must be seen."""
OVER = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


def unfinished(jobs: Iterable[Job]) -> list[Job]:
    """Those of which a person has something to know: not what is done or was cancelled, unless
    something is left to be done by hand."""
    ended = (JobState.DONE, JobState.CANCELLED)
    return [job for job in jobs if job.state not in ended or job.by_hand]


MARKS = {
    StepState.RUNNING: HopState.BUSY,
    StepState.DONE: HopState.UP,
    StepState.FAILED: HopState.DOWN,
    StepState.SKIPPED: HopState.OFF,
}


def follow_command(
    backend: Backend, command: AnyCommand, options: Namespace, console: Console, done: str
) -> Exit:
    """Submit, and show the job that carries it out, if there is one; `done` is said at its end.

    `options` may have `no_wait`, and `overwrite`: what a question is answered with.
    """
    seen = backend.events(None, 0.0).cursor  # what was before says nothing of what comes of it
    outcome = backend.submit(command)
    key = options.id if isinstance(command, AnswerJob | RetryJob) else outcome.value
    if not outcome.ok or not key or getattr(options, "no_wait", False):
        return console.conclude(outcome, done)
    wished = {"yes": True, "no": False}.get(getattr(options, "overwrite", None) or "")
    code = follow(backend, key, seen, console, answer=wished)
    if code is Exit.OK and done and not console.json:
        console.say(done)
    return code


def follow(
    backend: Backend, key: str, seen: Cursor, console: Console, *, answer: bool | None
) -> Exit:
    """Show the job until it is over, and its outcome as an exit code. `seen`: the journal's place
    before the command.

    `answer`: what a question is answered with; None: it is asked on a terminal, and elsewhere
    left open, with how to answer it. Raises Problem when the job is not there.
    """
    told = _Told(console)
    try:
        for job in _changes(backend, key, seen):
            told.show(job)
            if job.state is JobState.WAITING and job.question is not None:
                if not _answered(backend, job, job.question, console, answer):
                    return Exit.REFUSED
            elif job.state in OVER:
                return _ended(backend, job, console)
    except KeyboardInterrupt:
        backend.submit(CancelJob(id=key))
        console.err.write("\nIt is being cancelled.\n")
        return Exit.INTERRUPTED
    raise failed("The job was dismissed elsewhere.", "See nexus-tray tunnel list.")


def _changes(backend: Backend, key: str, cursor: Cursor) -> Iterator[Job]:
    """The job at each change, until it is gone."""
    last: Job | None = None
    deadline = time.monotonic() + APPEARS
    while True:
        batch = backend.events(cursor, 1.0)
        cursor = batch.cursor
        snapshots = [event.snapshot for event in batch.events if event.snapshot is not None]
        if not snapshots:
            if last is None and time.monotonic() > deadline:
                raise failed("The job was not seen.", "Look at nexus-tray tunnel jobs.")
            continue
        job = next((job for job in snapshots[-1].jobs if job.id == key), None)
        if job is None and last is not None:
            return
        if job is not None and job != last:
            last = job
            yield job


class _Told:
    """What was said of the job already: each thing once."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps: dict[int, str] = {}
        self._link: str | None = None
        self._by_hand: tuple[str, ...] = ()

    def show(self, job: Job) -> None:
        """Say what is new."""
        if self._console.json:
            return
        for number, step in enumerate(job.steps):
            mark = MARKS.get(step.state)
            text = f"{inert(step.title)}{': ' + inert(step.text) if step.text else ''}"
            if mark is not None and self._steps.get(number) != f"{step.state}{text}":
                self._steps[number] = f"{step.state}{text}"
                self._console.say(f"  {self._console.paint.mark(mark)} {text}")
        if job.link is not None and job.link != self._link:
            self._link = job.link
            self._console.say(f"\nOpen this page, and choose there:\n  {inert(job.link)}\n")
            self._console.browse(job.link)
        if job.by_hand and job.by_hand != self._by_hand:
            self._by_hand = job.by_hand
            self._console.say("By hand:")
            for number, line in enumerate(job.by_hand, 1):
                self._console.say(f"  {number}. {inert(line)}")


def _answered(
    backend: Backend, job: Job, question: Reason, console: Console, answer: bool | None
) -> bool:
    """Whether the question has an answer now."""
    if answer is None:
        if not console.source.isatty() or console.json:
            how = f"nexus-tray tunnel answer {job.id} yes (or no)"
            console.refuse(Reason(code=question.code, hop=question.hop, what=question.what,
                                  meaning=question.meaning, cure=f"It waits: {how}"))  # fmt: skip
            return False
        console.err.write("\n".join(inert(p) for p in (question.what, question.meaning) if p))
        console.err.write(f"\n{inert(question.cure) or 'Go on?'} [y/N] ")
        console.err.flush()
        answer = console.source.readline(16).strip().lower() in ("y", "yes")
    backend.submit(AnswerJob(id=job.id, yes=answer))
    return True


def _ended(backend: Backend, job: Job, console: Console) -> Exit:
    """Its outcome. What failed stays to be seen, for it can be gone on with."""
    if job.state is not JobState.FAILED:
        backend.submit(DismissJob(id=job.id))
    if console.json:
        console.show(job)
        return Exit.OK if job.state is JobState.DONE else Exit.REFUSED
    if job.state is JobState.DONE:
        return Exit.OK
    if job.reason is not None:
        console.refuse(job.reason)
    elif job.state is JobState.CANCELLED:
        console.err.write("It was cancelled.\n")
    if job.state is JobState.FAILED:
        console.err.write(f"To go on where it failed: nexus-tray tunnel retry {inert(job.id)}\n")
    return Exit.REFUSED
