"""`traffic.db`: the minutes on disk, a week of them and never more.

Owns the file: how it is opened, written and bounded. Imports the reports, `store.files` and
`store.history_steps`. Its owner calls from one thread at a time.

Each write is one transaction that is on the disk when it ends (synchronous=FULL, once a
minute): loss of power costs what came since.
"""

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from nexus_tray.reports import TrafficPoint
from nexus_tray.store import files, history_steps

WEEK = 7 * 24 * 60
"""Minutes that are kept."""

VERSION = 1

# `id` is the order in which minutes came: what is dropped is what came first, and a clock
# that was wrong for a while costs no other minute.
_SCHEMA = """
    CREATE TABLE minute (
        id         INTEGER PRIMARY KEY,
        at         INTEGER NOT NULL UNIQUE,
        requests   INTEGER NOT NULL,
        failures   INTEGER NOT NULL,
        bytes_in   INTEGER NOT NULL,
        bytes_out  INTEGER NOT NULL,
        streams    INTEGER NOT NULL,
        latency_ms REAL
    ) STRICT;
"""
_COLUMNS = "at, requests, failures, bytes_in, bytes_out, streams, latency_ms"
_READ = f"SELECT {_COLUMNS} FROM minute WHERE at >= ? AND at < ? ORDER BY at"  # noqa: S608
_WRITE = (
    f"INSERT INTO minute ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
    " ON CONFLICT (at) DO UPDATE SET requests = excluded.requests, failures = excluded.failures,"
    " bytes_in = excluded.bytes_in, bytes_out = excluded.bytes_out, streams = excluded.streams,"
    " latency_ms = excluded.latency_ms"
)


class Damaged(Exception):
    """The file is no database of ours."""


def open_or_begin(path: Path, now: float) -> tuple["HistoryFile", str]:
    """The file; a damaged one is kept aside (only the newest such), and what to say of it.

    `now` in seconds since the epoch. Raises Problem as `store.files` does; sqlite3.Error.
    """
    try:
        return HistoryFile(path), ""
    except Damaged as damage:
        for old in path.parent.glob(f"{path.name}*.damaged-*"):
            old.unlink()
        aside = files.set_aside(path, now)
        for side in _sides(path):
            side.unlink(missing_ok=True)
        return HistoryFile(path), (
            f"The traffic history was damaged ({damage}) and is kept as {aside}. A new one began."
        )


def is_damage(error: sqlite3.Error) -> bool:
    """The file is broken, and not only busy, full or out of reach."""
    if isinstance(error, sqlite3.OperationalError):
        return False
    return isinstance(error, sqlite3.DatabaseError)


class HistoryFile:
    """The opened file."""

    def __init__(self, path: Path) -> None:
        """Open it or make it (0600). Raises Damaged; Problem as `store.files` does."""
        files.ensure_private_dir(path.parent)
        os.close(files.open_private(path, os.O_RDWR | os.O_CREAT))
        for side in _sides(path):
            if os.path.lexists(side):
                files.check_private(side)
        self._database = sqlite3.connect(
            path, isolation_level=None, timeout=1.0, check_same_thread=False
        )
        try:
            self._begin()
        except sqlite3.DatabaseError as error:
            self._database.close()
            if not is_damage(error):
                raise
            raise Damaged(str(error)) from error
        except BaseException:
            self._database.close()
            raise

    def _begin(self) -> None:
        run = self._database.execute
        run("PRAGMA trusted_schema = OFF")
        if (fault := run("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise Damaged(str(fault))
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("PRAGMA wal_autocheckpoint = 64")
        run("PRAGMA journal_size_limit = 262144")
        version = run("PRAGMA user_version").fetchone()[0]
        if version == 0 and not run("SELECT 1 FROM sqlite_master").fetchone():
            script = f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
            self._database.executescript(script)
        elif version != VERSION:
            raise Damaged(f"version {version} is unknown")

    def add(self, minutes: Iterable[TrafficPoint]) -> None:
        """Store minutes, each together with what stands for it already. Raises sqlite3.Error;
        nothing is changed then."""
        run = self._database.execute
        run("BEGIN IMMEDIATE")
        try:
            for minute in minutes:
                at = int(minute.at)
                known = self.read(at, at + 1)
                merged = history_steps.merge(at, [*known, minute])
                run(_WRITE, (at, *_figures(merged)))
            run("DELETE FROM minute WHERE id <= (SELECT max(id) FROM minute) - ?", (WEEK,))
            run("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                run("ROLLBACK")
            raise

    def read(self, begin: int, end: int) -> list[TrafficPoint]:
        """The minutes from `begin` until before `end`. Raises sqlite3.Error."""
        return [
            TrafficPoint(
                at=float(at), requests=requests, failures=failures, bytes_in=bytes_in,
                bytes_out=bytes_out, streams=streams, latency_ms=latency_ms,
            )
            for at, requests, failures, bytes_in, bytes_out, streams, latency_ms
            in self._database.execute(_READ, (begin, end))
        ]  # fmt: skip

    def close(self) -> None:
        """Close; SQLite folds the write-ahead log back into the file."""
        self._database.close()


def _figures(point: TrafficPoint) -> tuple[int | float | None, ...]:
    return (
        point.requests, point.failures, point.bytes_in, point.bytes_out, point.streams,
        point.latency_ms,
    )  # fmt: skip


def _sides(path: Path) -> tuple[Path, Path]:
    return path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")
