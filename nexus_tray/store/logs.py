"""The log store: everyone may append at any rate, nobody waits, the disk stays bounded.

Owns the queue of lines, the thread that writes them, and the waiting of readers that
follow. Imports the model and its own room. `append` and `query` are for any thread; one
writer thread owns the file.

Writing is done in small transactions with a rest as long as each took, so that a flood of
output never takes Python's lock from the gateway for long (FACTS.md, "The GIL"). What
comes faster than that is dropped when the queue is full, counted, and said as one line.
"""

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from nexus_tray.model import Hop, Level, LogPage, LogQuery, Problem, Reason
from nexus_tray.store import log_query
from nexus_tray.store.log_file import LogFile, Row, open_or_begin
from nexus_tray.store.log_queue import Batch, LogQueue

OWN_SOURCE = "nexus-tray"
# No lines for so long is quiet: what is left to index is indexed then.
QUIET_SECONDS = 0.5
# Beside a trickle of lines, indexing waits until it is worth a transaction.
INDEX_LINES = 2000
CLOSE_SECONDS = 5.0


class LogStore:
    """The logs on disk; one store per process. Close it, or the newest lines are lost."""

    def __init__(self, path: Path, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        """Open the file, or begin a new one when it is damaged; `clock` in epoch seconds.

        Raises Problem when the file is not ours alone (SECURITY.md 35) or cannot be made.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._clock = clock
        self._queue = LogQueue()
        self._trouble: Reason | None = None
        # A reader saw damage in the file of this number; a newer file is not meant.
        self._damaged_file = 0
        self._file_number = 1
        self._file, damage = self._open()
        if damage:
            self.append(OWN_SOURCE, Level.ERROR, damage)
        self._newest = self._file.newest
        self._stored = threading.Condition()
        self._thread = threading.Thread(target=self._write, name="log-writer", daemon=True)
        self._thread.start()

    def append(self, source: str, level: Level, text: str) -> None:
        """Queue one line; never blocks. After `close` it is ignored.

        A line of more than 64 Ki characters is cut and says so; NUL and half characters
        become a visible sign, since SQLite keeps neither whole.
        """
        self._queue.put(self._clock(), source, level, text)

    def query(self, query: LogQuery, timeout: float = 0.0) -> LogPage:
        """Answer a query; with `after`, wait up to `timeout` seconds for the first match.

        Raises Problem: "log-pattern-invalid", "log-query-slow", "log-damaged", "log-failed".
        """
        deadline, before = time.monotonic() + timeout, self._trouble
        while True:
            page = self._read(query)
            if self._trouble is not None:
                page = msgspec.structs.replace(page, trouble=self._trouble)
            news = page.lines or self._trouble != before
            if news or query.after is None or self._queue.closed:
                return page
            query = msgspec.structs.replace(query, after=page.last_id)
            with self._stored:
                left = deadline - time.monotonic()
                if left <= 0:
                    return page
                if not page.more:
                    self._wait_for_news(page.last_id, before, left)

    def set_bound(self, max_bytes: int) -> None:
        """Change the most bytes that the logs may take on disk; the file shrinks soon."""
        self._max_bytes = max_bytes
        self._queue.poke()

    def trouble(self) -> Reason | None:
        """Why lines are being lost now, if they are; None while all is stored."""
        return self._trouble

    def close(self) -> None:
        """Store what is queued and end the writer; at most CLOSE_SECONDS. Twice is harmless."""
        self._queue.close()
        with self._stored:
            self._stored.notify_all()
        self._thread.join(CLOSE_SECONDS)

    def _wait_for_news(self, seen: int, trouble: Reason | None, seconds: float) -> None:
        self._stored.wait_for(
            lambda: self._newest != seen or self._trouble != trouble or self._queue.closed, seconds
        )

    def _read(self, query: LogQuery) -> LogPage:
        number = self._file_number
        try:
            return log_query.read(self._path, query)
        except sqlite3.OperationalError as error:
            raise Problem(_unsearched(error)) from error
        except sqlite3.DatabaseError as error:
            self._damaged_file = number
            self._queue.poke()
            raise Problem(_unreadable(error)) from error

    # What follows runs in the writer thread (and `_open` once before it starts).

    def _open(self) -> tuple[LogFile, str]:
        """The file, and what to say if the one before was damaged. Raises Problem."""
        try:
            return open_or_begin(self._path, self._max_bytes, self._clock())
        except sqlite3.Error as error:
            raise Problem(_unopened(self._path, error)) from error

    def _write(self) -> None:
        bound, pause = self._max_bytes, 0.0 if self._file.unindexed else None
        while True:
            batch = self._queue.take(pause)
            began = time.monotonic()
            if self._damaged_file == self._file_number:
                self._begin_anew()
            if bound != self._max_bytes:
                bound = self._max_bytes
                self._guarded(lambda: self._file.set_bound(self._max_bytes))
                self._guarded(lambda: self._file.trim())
            stored = self._store(batch)
            if batch.closing and not (stored and batch.lines):
                break
            pause = self._chores(batch)
            if not batch.closing:
                self._queue.rest(time.monotonic() - began)
        self._file.close()

    def _store(self, batch: Batch) -> bool:
        """Store a batch and tell those who follow; False when it failed and is counted."""
        rows: list[Row] = [
            (id_, int(at * 1000), source, level.rank, text)
            for id_, (at, source, level, text) in enumerate(batch.lines, self._file.newest + 1)
        ]
        if batch.dropped:
            text = f"{batch.dropped} log lines were dropped: they came too fast to be stored."
            row = (int(self._clock() * 1000), OWN_SOURCE, Level.WARNING.rank, text)
            rows.append((self._file.newest + len(rows) + 1, *row))
        if not rows:
            return True
        stored = self._guarded(lambda: self._file.insert(rows))
        if stored:
            self._trouble = None
            self._guarded(self._file.trim)
        else:
            self._queue.count_dropped(len(batch.lines) + batch.dropped)
        with self._stored:
            self._newest = self._file.newest
            self._stored.notify_all()
        return stored

    def _chores(self, batch: Batch) -> float | None:
        """Index if it is time; how long to wait for lines before the next chore (None: ever)."""
        unindexed = self._file.unindexed
        if batch.closing or batch.full or not unindexed:
            return QUIET_SECONDS if unindexed else None
        if not batch.lines or unindexed >= INDEX_LINES:
            self._guarded(self._file.index)
            self._guarded(self._file.trim)
            if self._trouble:
                return None
        if not self._file.unindexed:
            return None
        return QUIET_SECONDS if batch.lines else 0.0

    def _guarded(self, action: Callable[[], object]) -> bool:
        """Do something to the file; False, with `trouble` said, when it failed."""
        try:
            action()
        except sqlite3.OperationalError as error:
            self._trouble = _failed("stored", error)
            return False
        except sqlite3.DatabaseError as error:
            self._trouble = _unreadable(error)
            self._begin_anew()
            return False
        return True

    def _begin_anew(self) -> None:
        """Keep the damaged file aside and go on with a new one."""
        self._file.close()
        self._file_number += 1
        try:
            self._file, damage = self._open()
        except Problem as problem:
            # The closed file fails each write from now on, and each says so by `trouble`.
            self._trouble = problem.reason
            return
        self.append(OWN_SOURCE, Level.ERROR, damage)


def _failed(done: str, error: sqlite3.Error) -> Reason:
    return Reason(
        code="log-failed",
        hop=Hop.GATEWAY,
        what=f"The logs could not be {done}: {error}.",
        meaning="Lines are missing from the logs; everything else goes on.",
        cure="Look whether the disk is full.",
    )


def _unopened(path: Path, error: sqlite3.Error) -> Reason:
    full = getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
    )  # fmt: skip
    return Reason(
        code="log-unopened",
        hop=Hop.GATEWAY,
        what=f"The logs {path} could not be opened: {error}.",
        meaning="Nexus Tray does not run without them: nobody could see what happens.",
        cure="Free some space on that disk, and start it again."
        if full
        else "Look whether another program has that file open, then start Nexus Tray again.",
    )


def _unsearched(error: sqlite3.Error) -> Reason:
    return Reason(
        code="log-failed",
        hop=Hop.GATEWAY,
        what=f"The logs could not be searched: {error}.",
        meaning="What is stored is still there.",
        cure="Try again in a moment.",
    )


def _unreadable(error: sqlite3.Error) -> Reason:
    return Reason(
        code="log-damaged",
        hop=Hop.GATEWAY,
        what=f"The stored logs are damaged ({error}).",
        meaning="They are kept aside beside the new log that is begun.",
        cure="Search again in a moment; look at the disk if this comes back.",
    )
