"""What of a job is kept, and how that is shown. Values and pure functions."""

from collections.abc import Sequence

import msgspec

from nexus_tray.model import Job, JobState, JobStep, StepState


class Record(msgspec.Struct):
    """What of a job outlives the program. `arguments` make its steps again; `memo` is what its
    steps found out; `done` names those that need not be done again, with what came of them.
    `undoing`: it was cancelled, and only taking back is left."""

    id: str
    kind: str
    subject: str
    began_at: float
    arguments: dict[str, str]
    memo: dict[str, str] = {}
    done: dict[str, str] = {}
    undoing: bool = False


def done_so_far(job: Job) -> str:
    """What stays, of a job that nothing takes back."""
    done = [step.title for step in job.steps if step.state is StepState.DONE]
    return f"What was done stays: {'; '.join(done)}." if done else "Nothing was changed."


def shown(record: Record, titles: Sequence[tuple[str, str]], state: JobState) -> Job:
    """The job as people see it; its steps by key and title."""
    steps = tuple(
        JobStep(
            title=title,
            state=StepState.DONE if key in record.done else StepState.TODO,
            text=record.done.get(key, ""),
        )
        for key, title in titles
    )
    return Job(
        id=record.id, kind=record.kind, subject=record.subject, state=state,
        began_at=record.began_at, steps=steps,
    )  # fmt: skip
