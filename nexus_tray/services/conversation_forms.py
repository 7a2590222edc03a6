"""The forms of OpenCode's messages, and their words in our reports.

Owns the shapes of version 1 (measured on 1.18.33; `GET /session/{id}/message`) and how much of
them is shown; what we do not use is left out, and a part of an unknown kind is passed over.
Pure; imports the reports.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from nexus_tray.reports import Message

LONGEST_TEXT = 20_000
LONGEST_DOING = 200
MOST_DOINGS = 60
BROKEN_OFF = "OpenCode ended before this was finished."


class Times(msgspec.Struct, frozen=True):
    """Milliseconds since the epoch."""

    created: float = 0.0
    completed: float | None = None


class Fault(msgspec.Struct, frozen=True):
    """Why a message ended badly."""

    name: str = ""
    data: dict[str, Any] = {}

    @property
    def words(self) -> str:
        """For a person."""
        if self.name == "MessageAbortedError":
            return "Stopped before it was finished."
        said = self.data.get("message")
        return _short(said if isinstance(said, str) and said else self.name or "It failed.")


class Info(msgspec.Struct, frozen=True):
    """A message without its parts."""

    id: str
    role: str
    time: Times = Times()
    error: Fault | None = None


class ToolState(msgspec.Struct, frozen=True):
    """`pending`, `running`, `completed` or `error`; with what, and what came of it."""

    status: str = ""
    title: str | None = None
    input: dict[str, Any] = {}
    error: str = ""


class Part(msgspec.Struct, frozen=True):
    """A part of a message, of any kind. `synthetic`: OpenCode said it in the person's name."""

    type: str
    text: str = ""
    synthetic: bool = False
    tool: str = ""
    filename: str | None = None
    state: ToolState | None = None

    @property
    def doing(self) -> str:
        """One line of what was done; empty for what is none."""
        if self.type == "file":
            return _short(f"file: {self.filename or 'without a name'}")
        if self.type != "tool":
            return ""
        state = self.state or ToolState()
        what = state.title or _first(state.input)
        line = f"{self.tool}: {what}" if what else self.tool
        if state.status == "error":
            return _short(f"{line} (failed: {state.error or 'without a word'})")
        return _short(line)


class Said(msgspec.Struct, frozen=True):
    """A message with its parts."""

    info: Info
    parts: tuple[Part, ...] = ()

    def message(self, *, last: bool, at_work: bool) -> Message:
        """In our words. `last`: none follows; `at_work`: its session is working still."""
        assistant = self.info.role == "assistant"
        text = "\n\n".join(
            part.text.strip() for part in self.parts if part.type == "text" and not part.synthetic
        )
        doings = [doing for part in self.parts if (doing := part.doing)]
        trouble = self.info.error.words if self.info.error is not None else ""
        open_still = assistant and self.info.time.completed is None
        if open_still and not trouble and not (last and at_work):
            trouble = BROKEN_OFF
        left_out = len(doings) - MOST_DOINGS
        if left_out > 0:
            doings = [f"… {left_out} more before", *doings[-MOST_DOINGS:]]
        return Message(
            id=self.info.id,
            role="assistant" if assistant else "user",
            text=_cut(text.strip(), LONGEST_TEXT),
            at=self.info.time.created / 1000 or None,
            doings=tuple(doings),
            trouble=trouble,
        )


def messages(said: Sequence[Said], *, at_work: bool) -> tuple[Message, ...]:
    """In our words, oldest first; the empty ones left out."""
    newest = len(said) - 1
    told = (one.message(last=place == newest, at_work=at_work) for place, one in enumerate(said))
    return tuple(one for one in told if one.text or one.doings or one.trouble)


def _first(given: dict[str, Any]) -> str:
    """What a tool was given, if there is a short word for it."""
    for name in ("command", "filePath", "pattern", "url", "query", "description"):
        value = given.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def _short(text: str) -> str:
    return _cut(" ".join(text.split()), LONGEST_DOING)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
