"""The bounded queue between those who log and the one thread that stores.

Owns the waiting lines, their bounds, the count of dropped ones, and the writer's waiting.
Imports the model only. `put` may be called from any thread and holds a lock for
microseconds; `take` and `rest` are the writer's.
"""

import re
import threading
import time
from collections import deque
from dataclasses import dataclass

from nexus_tray.model import Level

QUEUE_LINES = 50_000
QUEUE_CHARACTERS = 16 * 1024 * 1024
BATCH_LINES = 250
BATCH_CHARACTERS = 128 * 1024
# A batch that is not full waits so long for more, so that a trickle is not a flood of commits.
BATCH_SECONDS = 0.1
LINE_CHARACTERS = 64 * 1024

Line = tuple[float, str, Level, str]
"""Time in seconds since the epoch, source, level, text."""


@dataclass(frozen=True)
class Batch:
    """What to store in one transaction, and how many lines were dropped before it."""

    lines: tuple[Line, ...]
    dropped: int
    full: bool
    closing: bool


class LogQueue:
    """First in, first out; when full, what comes is counted instead."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lines: deque[Line] = deque()
        self._characters = 0
        self._dropped = 0
        self._poked = False
        self._closed = False

    @property
    def closed(self) -> bool:
        """Has `close` been called? Then nothing more comes in."""
        return self._closed

    def put(self, at: float, source: str, level: Level, text: str) -> None:
        """Queue one line, storable as it is, or count it as dropped; never waits."""
        text = _storable(text)
        with self._changed:
            if self._closed:
                return
            if len(self._lines) >= QUEUE_LINES or self._characters >= QUEUE_CHARACTERS:
                self._dropped += 1
                return
            self._characters += len(text)
            self._lines.append((at, _storable(source), level, text))
            # The writer waits for a first line, and then for a full batch.
            if len(self._lines) in (1, BATCH_LINES):
                self._changed.notify_all()

    def count_dropped(self, lines: int) -> None:
        """Count lines that could not be stored; they are told with a later batch."""
        with self._changed:
            self._dropped += lines

    def take(self, pause: float | None) -> Batch:
        """The next batch; empty when `pause` seconds passed without a line (None: wait on)."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._poked or self._closed, pause)
            if self._lines and not self._closed:
                self._changed.wait_for(self._batch_is_full, BATCH_SECONDS)
            self._poked = False
            lines: list[Line] = []
            size = 0
            while self._lines and len(lines) < BATCH_LINES and size < BATCH_CHARACTERS:
                lines.append(self._lines.popleft())
                size += len(lines[-1][3])
            self._characters -= size
            # Told once room was found: with the lines, or when all is over.
            dropped = self._dropped if lines or self._closed else 0
            self._dropped -= dropped
            return Batch(
                lines=tuple(lines), dropped=dropped, full=bool(self._lines), closing=self._closed
            )

    def rest(self, seconds: float) -> None:
        """Leave the processor to others for so long; not while closing."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._changed.wait_for(lambda: self._closed, max(0.0, deadline - time.monotonic()))

    def poke(self) -> None:
        """Have `take` return now, with or without lines."""
        with self._changed:
            self._poked = True
            self._changed.notify_all()

    def close(self) -> None:
        """Refuse what comes from now on; `take` hands out what is there without waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _batch_is_full(self) -> bool:
        return (
            len(self._lines) >= BATCH_LINES or self._characters >= BATCH_CHARACTERS or self._closed
        )


def _storable(text: str) -> str:
    """The text as SQLite can keep it: bounded, without NUL, every character whole."""
    if len(text) > LINE_CHARACTERS:
        text = f"{text[:LINE_CHARACTERS]} [{len(text) - LINE_CHARACTERS} more characters]"
    return re.sub("[\ud800-\udfff]", "�", text).replace("\0", "␀")
