"""A child's output: read so fast that it never blocks, handed on as bounded whole lines.

One reader thread for each pipe only cuts lines and queues them; one thread delivers. If
the consumer is slow or frozen, or the child floods, lines are dropped and counted here,
and the child still never waits (SECURITY 17; FACTS.md: unread output wedges cloudflared).
Memory is bounded by `Limits`. Imports nothing of ours.
"""

import logging
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO

log = logging.getLogger(__name__)

OnLine = Callable[[str, str], None]
"""Takes a stream's name (`stdout`, `stderr`, or NOTICE) and one line without its end."""

NOTICE = "notice"
"""The stream of sentences of our own, about the output itself."""

CHUNK = 256 * 1024
PIPE_SIZE = 256 * 1024


QUIET = 0.5
"""Seconds without output after which a flood is over."""

TAIL = 64
"""Lines at the end of a flood that are kept all the same: the reason of a death comes last."""


@dataclass(frozen=True)
class Limits:
    """Bounds of what is kept. A flood beyond `rate` costs no more than counting it.

    `line`: bytes of one line, the rest is cut. `waiting`, `waiting_bytes`: what may wait
    for the consumer. `rate`: lines per second in the long run, twice as many at once;
    more would take the interpreter away from the gateway (FACTS.md, The GIL).
    """

    line: int = 64 * 1024
    waiting: int = 4096
    waiting_bytes: int = 4 * 1024 * 1024
    rate: float = 10_000.0


class LineCutter:
    """Bytes in, whole lines out, each at most `limit` bytes; never holds more than that."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without line ends; too long ones are cut."""
        lines = data.split(b"\n")
        lines[0] = self._rest + lines[0]
        self._rest = lines.pop()[: self._limit + 1]
        return [self._cut(line) for line in lines]

    def skip(self, data: bytes, keep: int) -> tuple[int, list[bytes]]:
        """Drop the lines that `data` completes: how many, and the last `keep` of them.

        Costs far less than `feed`, whatever the lines are.
        """
        count = data.count(b"\n")
        if count <= keep:
            return count, self.feed(data)
        _skipped, *last, rest = data.rsplit(b"\n", keep + 1)
        self._rest = rest[: self._limit + 1]
        return count, [self._cut(line) for line in last]

    def close(self) -> list[bytes]:
        """What stood after the last line end."""
        rest, self._rest = self._rest, b""
        return [self._cut(rest)] if rest else []

    def _cut(self, line: bytes) -> bytes:
        if len(line) > self._limit:
            return line[: self._limit] + "…".encode()
        return line.removesuffix(b"\r")


def readable_text(line: bytes) -> str:
    """A line as text. Invalid UTF-8 is replaced; a carriage return within is made visible,
    for it would let one line hide or imitate another. Escape sequences stay, as data.
    """
    return line.decode("utf-8", "replace").replace("\r", "␍")


class Output:
    """Reads `streams` until they end or `finish` gives them up; `on_line` gets the lines.

    `on_line` is called from one thread, in order for each stream. What it raises is
    logged and the next line goes on. `dropped` counts the lines that were not kept.
    """

    def __init__(
        self, streams: Mapping[str, IO[bytes]], on_line: OnLine, limits: Limits, name: str
    ) -> None:
        self._on_line = on_line
        self._limits = limits
        self._changed = threading.Condition()
        self._queue: deque[tuple[str, bytes]] = deque()
        self._queued_bytes = 0
        self._unsaid = 0
        self._reading = len(streams)
        self._closed = False
        self._budget = limits.rate * 2
        self._budget_at = time.monotonic()
        self.dropped = 0
        self._wake_reader, self._wake = os.pipe()
        self._readers = [
            threading.Thread(
                target=self._read, args=(stream, pipe), name=f"{name} {stream}", daemon=True
            )
            for stream, pipe in streams.items()
        ]
        self._deliverer = threading.Thread(target=self._deliver, name=f"{name} lines", daemon=True)
        for thread in (*self._readers, self._deliverer):
            thread.start()

    def finish(self, drain: float) -> bool:
        """Wait until all is read and delivered; after `drain` seconds each, give up.

        A stranger that still holds a pipe cannot keep us, nor can a frozen consumer. No
        line is delivered after this returns, save one that is being delivered. Returns
        whether everything had been read and delivered. Once only.
        """
        _join(self._readers, drain)
        os.close(self._wake)
        _join(self._readers, drain)
        _join([self._deliverer], drain)
        self._closed = True
        complete = not self._deliverer.is_alive()
        if not any(reader.is_alive() for reader in self._readers):
            os.close(self._wake_reader)
        return complete

    def _read(self, stream: str, pipe: IO[bytes]) -> None:
        cutter = LineCutter(self._limits.line)
        tail: deque[bytes] = deque(maxlen=TAIL)
        try:
            with pipe:
                while data := self._next(pipe, stream, tail):
                    self._take(stream, cutter, tail, data)
        finally:
            self._offer(stream, [*tail, *cutter.close()])
            with self._changed:
                self._reading -= 1
                self._changed.notify()

    def _next(self, pipe: IO[bytes], stream: str, tail: deque[bytes]) -> bytes:
        """The next piece of output; empty at its end, or when we were told to give up.

        Lets the tail of a flood go on once it is quiet.
        """
        if sys.platform == "win32":  # pipes cannot be polled there; the thread may stay
            return os.read(pipe.fileno(), CHUNK)
        poll = select.poll()
        poll.register(pipe.fileno(), select.POLLIN)
        poll.register(self._wake_reader, select.POLLIN)
        ready = poll.poll(QUIET * 1000 if tail else None)
        if not ready:
            self._offer(stream, list(tail))
            tail.clear()
            ready = poll.poll()
        if any(fd == self._wake_reader for fd, _event in ready):
            return b""
        return os.read(pipe.fileno(), CHUNK)

    def _take(self, stream: str, cutter: LineCutter, tail: deque[bytes], data: bytes) -> None:
        if self._room():
            lines = [*tail, *cutter.feed(data)]
            tail.clear()
            now, later = lines[: self._limits.waiting], lines[self._limits.waiting :]
            self._offer(stream, now)
            count, last = len(later), later[-TAIL:]
        else:
            count, last = cutter.skip(data, TAIL)
        self._drop(count - len(last) + max(0, len(tail) + len(last) - TAIL))
        tail.extend(last)

    def _room(self) -> bool:
        """Whether more lines may be queued now: within the bounds and the rate."""
        with self._changed:
            now, rate = time.monotonic(), self._limits.rate
            self._budget = min(rate * 2, self._budget + (now - self._budget_at) * rate)
            self._budget_at = now
            return (
                self._budget >= 1
                and len(self._queue) < self._limits.waiting
                and self._queued_bytes < self._limits.waiting_bytes
            )

    def _offer(self, stream: str, lines: list[bytes]) -> None:
        if lines:
            with self._changed:
                self._queue.extend((stream, line) for line in lines)
                self._queued_bytes += sum(map(len, lines))
                self._budget -= len(lines)
                self._changed.notify()

    def _drop(self, count: int) -> None:
        if count:
            with self._changed:
                self.dropped += count
                self._unsaid += count
                self._changed.notify()

    def _deliver(self) -> None:
        said_at = float("-inf")
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._unsaid or not self._reading)
                batch, over = list(self._queue), not self._reading
                self._queue.clear()
                self._queued_bytes = 0
                lost = 0
                if self._unsaid and (over or time.monotonic() - said_at >= 1.0):
                    lost, self._unsaid = self._unsaid, 0
                    said_at = time.monotonic()
                elif not batch and not over:
                    self._changed.wait(1.0)  # only a notice is due, and not yet
            for stream, line in batch:
                self._hand(stream, readable_text(line))
            if lost:
                self._hand(NOTICE, f"{lost} lines were dropped: they came faster than we read.")
            if over:
                return

    def _hand(self, stream: str, text: str) -> None:
        if self._closed:
            return
        try:
            self._on_line(stream, text)
        except Exception:
            log.exception("A line of output could not be handled")


def _join(threads: list[threading.Thread], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
