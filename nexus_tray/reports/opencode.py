"""What was said in a session of OpenCode's."""

from nexus_tray.model import OpenCodeSession, Value


class Message(Value, frozen=True):
    """One message of a session of OpenCode's. `role`: `user` or `assistant`; `text` is what was
    said, `doings` what was done meanwhile, a line each; `trouble`: why it broke off, if it did."""

    id: str
    role: str
    text: str
    at: float | None = None
    doings: tuple[str, ...] = ()
    trouble: str = ""


class Transcript(Value, frozen=True):
    """A session of OpenCode's: what it is, and its newest messages, oldest first. `more`: there
    are older ones."""

    session: OpenCodeSession
    messages: tuple[Message, ...] = ()
    more: bool = False
