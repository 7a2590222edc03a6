"""`traffic.db`: the minutes on disk, a week of them and never more.

Owns the file: how it is opened, written and bounded; of all doors together, and of each one
that something passed. Imports the reports, `store.files` and
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

DOORS = 8 * WEEK
"""Minutes of single doors that are kept: as many as eight doors that never rest have in a week."""

VERSION = 2

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
# A door's minute goes with the minute it is a part of. Where there is none, nothing passed.
_DOORS_SCHEMA = """
    CREATE TABLE door_minute (
        id         INTEGER PRIMARY KEY,
        minute     INTEGER NOT NULL REFERENCES minute (id) ON DELETE CASCADE,
        door       TEXT NOT NULL,
        requests   INTEGER NOT NULL,
        failures   INTEGER NOT NULL,
        bytes_in   INTEGER NOT NULL,
        bytes_out  INTEGER NOT NULL,
        streams    INTEGER NOT NULL,
        latency_ms REAL,
        UNIQUE (minute, door)
    ) STRICT;
"""
_FIGURES = "requests, failures, bytes_in, bytes_out, streams, latency_ms"
_UPDATE = (
    "DO UPDATE SET requests = excluded.requests, failures = excluded.failures,"
    " bytes_in = excluded.bytes_in, bytes_out = excluded.bytes_out, streams = excluded.streams,"
    " latency_ms = excluded.latency_ms"
)
_READ = f"SELECT at, {_FIGURES} FROM minute WHERE at >= ? AND at < ? ORDER BY at"  # noqa: S608
_READ_DOOR = (
    "SELECT m.at, ifnull(d.requests, 0), ifnull(d.failures, 0), ifnull(d.bytes_in, 0),"
    " ifnull(d.bytes_out, 0), ifnull(d.streams, 0), d.latency_ms FROM minute m"
    " LEFT JOIN door_minute d ON d.minute = m.id AND d.door = ?"
    " WHERE m.at >= ? AND m.at < ? ORDER BY m.at"
)
_WRITE = (
    f"INSERT INTO minute (at, {_FIGURES}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
    f" ON CONFLICT (at) {_UPDATE}"
)
_WRITE_DOOR = (
    f"INSERT INTO door_minute (minute, door, {_FIGURES})"  # noqa: S608
    f" VALUES ((SELECT id FROM minute WHERE at = ?), ?, ?, ?, ?, ?, ?, ?)"
    f" ON CONFLICT (minute, door) {_UPDATE}"
)


class Damaged(Exception):
    """The file is no database of ours."""


class Newer(Exception):
    """The file was written by a newer version, whose form is not known here."""


def open_or_begin(path: Path, now: float) -> tuple["HistoryFile", str]:
    """The file; a damaged one is kept aside (only the newest such), and what to say of it; so is
    one that a newer version wrote.

    `now` in seconds since the epoch. Raises Problem as `store.files` does; sqlite3.Error.
    """
    try:
        return HistoryFile(path), ""
    except Damaged as damage:
        for old in path.parent.glob(f"{path.name}*.damaged-*"):
            old.unlink()
        said = f"was damaged ({damage})"
        aside = files.set_aside(path, now)
    except Newer as newer:
        said = f"was written by a newer version of Nexus Tray ({newer})"
        aside = files.set_aside(path, now, "newer")
    for side in _sides(path):
        side.unlink(missing_ok=True)
    return HistoryFile(path), f"The traffic history {said} and is kept as {aside}. A new one began."


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
        version = run("PRAGMA user_version").fetchone()[0]
        if version > VERSION:  # and not a byte of it is changed
            raise Newer(f"version {version}, this one knows {VERSION}")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("PRAGMA foreign_keys = ON")
        run("PRAGMA wal_autocheckpoint = 64")
        run("PRAGMA journal_size_limit = 262144")
        wanted = {0: _SCHEMA + _DOORS_SCHEMA, 1: _DOORS_SCHEMA}.get(version)
        if wanted and (version or not run("SELECT 1 FROM sqlite_master").fetchone()):
            script = f"BEGIN IMMEDIATE; {wanted} PRAGMA user_version = {VERSION}; COMMIT;"
            self._database.executescript(script)
        elif version != VERSION:
            raise Damaged(f"version {version} is unknown")

    def add(
        self,
        minutes: Iterable[TrafficPoint],
        doors: Iterable[tuple[str, TrafficPoint]] = (),
    ) -> None:
        """Store minutes, each together with what stands for it already, and what of them passed
        single doors (by name; such a minute must be there). Raises sqlite3.Error; nothing is
        changed then."""
        run = self._database.execute
        run("BEGIN IMMEDIATE")
        try:
            for minute in minutes:
                at = int(minute.at)
                merged = history_steps.merge(at, [*self.read(at, at + 1), minute])
                run(_WRITE, (at, *_figures(merged)))
            for door, minute in doors:
                at = int(minute.at)
                merged = history_steps.merge(at, [*self.read(at, at + 1, door), minute])
                run(_WRITE_DOOR, (at, door, *_figures(merged)))
            run("DELETE FROM minute WHERE id <= (SELECT max(id) FROM minute) - ?", (WEEK,))
            run(
                "DELETE FROM door_minute WHERE id <= (SELECT max(id) FROM door_minute) - ?",
                (DOORS,),
            )
            run("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                run("ROLLBACK")
            raise

    def read(self, begin: int, end: int, door: str = "") -> list[TrafficPoint]:
        """The minutes from `begin` until before `end`; of one door: what passed it in each of
        them. Raises sqlite3.Error."""
        run = self._database.execute
        found = run(_READ_DOOR, (door, begin, end)) if door else run(_READ, (begin, end))
        return [
            TrafficPoint(
                at=float(at), requests=requests, failures=failures, bytes_in=bytes_in,
                bytes_out=bytes_out, streams=streams, latency_ms=latency_ms,
            )
            for at, requests, failures, bytes_in, bytes_out, streams, latency_ms in found
        ]  # fmt: skip

    def forget(self, door: str) -> None:
        """Remove what passed a door that is no more. Raises sqlite3.Error."""
        self._database.execute("DELETE FROM door_minute WHERE door = ?", (door,))

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
