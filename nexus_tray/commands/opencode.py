"""What OpenCode is asked, told and answered."""

from nexus_tray.commands.base import Command


class AnswerPermission(Command, frozen=True):
    """Reply to a permission that OpenCode asked for: `once`, `always` or `reject`."""

    question_id: str
    reply: str


class AnswerQuestion(Command, frozen=True):
    """Answer a question of OpenCode: one tuple of chosen labels per part; empty rejects."""

    question_id: str
    answers: tuple[tuple[str, ...], ...]


class CreateSession(Command, frozen=True):
    """Begin a session of OpenCode's with a first prompt. The outcome's value is the session's
    id. `directory`: in which folder (empty: the default one)."""

    text: str
    directory: str = ""


class PromptSession(Command, frozen=True):
    """Say something in a session of OpenCode's. `text` empty: go on with what was interrupted."""

    session_id: str
    text: str = ""


class AbortSession(Command, frozen=True):
    """Stop what OpenCode is doing in a session."""

    session_id: str
