"""The forms of OpenCode's sessions, questions and events, and their words in our model.

Owns the shapes of version 1 (measured on 1.18.33, whose own document is at `GET /doc`);
fields that we do not use are left out, and ignored when they come. Pure; imports the model.
"""

from pathlib import PurePath
from typing import Any

import msgspec

from nexus_tray.model import Question, QuestionKind, QuestionPart

LONGEST_DETAIL = 2000


class Times(msgspec.Struct, frozen=True):
    """Milliseconds since the epoch, as OpenCode counts."""

    updated: float = 0.0
    archived: float | None = None


class Project(msgspec.Struct, frozen=True):
    """A project as a listed session names it; `global` is any folder without a repository."""

    id: str
    worktree: str = ""
    name: str = ""

    @property
    def title(self) -> str:
        """What to call it; empty for `global`."""
        return "" if self.id == "global" else self.name or folder_name(self.worktree)


class Session(
    msgspec.Struct, frozen=True, rename={"project_id": "projectID", "parent": "parentID"}
):
    """A session as it is listed, and as events carry it (then without `project`)."""

    id: str
    title: str
    directory: str
    time: Times
    project_id: str = ""
    parent: str | None = None
    cost: float | None = None
    project: Project | None = None


class Status(msgspec.Struct, frozen=True):
    """`idle`, `busy` or `retry`."""

    type: str


class Permission(msgspec.Struct, frozen=True, rename={"session": "sessionID"}):
    """A permission that is asked for."""

    id: str
    session: str
    permission: str
    patterns: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}

    def question(self, directory: str, asked_at: float | None) -> Question:
        """In our words: what it wants to do, and with which command or file."""
        command = self.metadata.get("command")
        detail = command if isinstance(command, str) else ", ".join(self.patterns)
        return Question(
            id=self.id,
            kind=QuestionKind.PERMISSION,
            session_id=self.session,
            directory=directory,
            title=self.permission,
            detail=detail[:LONGEST_DETAIL],
            asked_at=asked_at,
        )


class Option(msgspec.Struct, frozen=True):
    """One choice of a question."""

    label: str
    description: str = ""


class Part(msgspec.Struct, frozen=True):
    """One question of several that are asked together."""

    question: str
    header: str = ""
    options: tuple[Option, ...] = ()
    multiple: bool = False
    custom: bool = True


class Asked(msgspec.Struct, frozen=True, rename={"session": "sessionID"}):
    """Questions that are asked together."""

    id: str
    session: str
    questions: tuple[Part, ...]

    def question(self, directory: str, asked_at: float | None) -> Question:
        """In our words."""
        return Question(
            id=self.id,
            kind=QuestionKind.QUESTION,
            session_id=self.session,
            directory=directory,
            title=self.questions[0].header if self.questions else "",
            asked_at=asked_at,
            parts=tuple(
                QuestionPart(
                    text=part.question[:LONGEST_DETAIL],
                    options=tuple((option.label, option.description) for option in part.options),
                    multiple=part.multiple,
                    custom=part.custom,
                )
                for part in self.questions
            ),
        )


class Info(msgspec.Struct, frozen=True):
    """What `session.created`, `.updated` and `.deleted` carry."""

    info: Session


class Changed(msgspec.Struct, frozen=True, rename={"session": "sessionID"}):
    """What `session.status` carries."""

    session: str
    status: Status


class Fault(msgspec.Struct, frozen=True):
    """Why a turn ended badly."""

    name: str = ""


class Failed(msgspec.Struct, frozen=True, rename={"session": "sessionID"}):
    """What `session.error` carries; one of no session has no id."""

    session: str = ""
    error: Fault | None = None

    @property
    def aborted(self) -> bool:
        """By a person, or by OpenCode's end."""
        return self.error is not None and self.error.name == "MessageAbortedError"


class Answered(msgspec.Struct, frozen=True, rename={"request": "requestID"}):
    """What `permission.replied`, `question.replied` and `question.rejected` carry."""

    request: str


class Payload(msgspec.Struct, frozen=True):
    """The kind of an event; the rest stays undecoded until the kind is of interest, so
    that the flood of a streamed answer costs next to nothing."""

    type: str
    properties: msgspec.Raw = msgspec.Raw(b"{}")


class Envelope(msgspec.Struct, frozen=True):
    """One event of `/global/event`. Those of the server itself have no directory."""

    payload: Payload
    directory: str = ""


def folder_name(directory: str) -> str:
    """The last part of a path, of either kind of slash, or the whole of a root."""
    return PurePath(directory.replace("\\", "/")).name or directory
