"""The SQLite file behind the logs: its schema, and the writer's few statements.

Owns `logs.db`: the lines, the word index behind them, and their bound in bytes. Imports
the model and its own room. A `LogFile` belongs to one thread, the log writer's; readers
have connections of their own (`store.log_query`), which WAL lets read meanwhile.

The index is a row of FTS5 tables `words_N`, each over a run of lines, that keep no text
and no positions (a quarter of the lines' size). It trails behind the lines, is made only
when it is quiet, and its oldest table is dropped whole: no line is ever unindexed singly.
"""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from nexus_tray.store import files

SCHEMA_VERSION = 1
PAGE_BYTES = 4096
INDEX_BATCH = 2000
# The write-ahead log gets a quarter of the bound: half of it until it is folded back, half
# for one transaction more. The lines with their index get the rest.
_WAL_SHARE = 4
# An index table covers a sixteenth of the bound, so dropping one frees little at a time.
_SEGMENT_SHARE = 16

Row = tuple[int, int, str, int, str]
"""id, time in milliseconds since the epoch, source, rank of the level, text."""

ENDS = "SELECT (SELECT min(id) FROM line), (SELECT max(id) FROM line)"
"""The oldest and the newest id. Asked for in one go, SQLite would read every line."""

_SCHEMA = (
    "CREATE TABLE source (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    (
        "CREATE TABLE line (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, source INTEGER NOT NULL,"
        " level INTEGER NOT NULL, text TEXT NOT NULL)"
    ),
    # bytes: how much text was indexed, which ends a segment; last: the newest line in it.
    "CREATE TABLE segment (id INTEGER PRIMARY KEY, last INTEGER NOT NULL, bytes INTEGER NOT NULL)",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
# Warnings and errors are few and often asked for: found without reading what is between.
_GRAVE = "CREATE INDEX IF NOT EXISTS grave ON line (id) WHERE level >= 2"
_WORDS = (
    "CREATE VIRTUAL TABLE words_{} USING fts5(text, content='', detail=none, columnsize=0,"
    " tokenize='unicode61 remove_diacritics 0')"
)


class Damaged(Exception):
    """The file is no log database of ours, or not a whole one."""


class Newer(Exception):
    """The file was written by a newer version, whose schema is not known here."""


def siblings(path: Path) -> tuple[Path, Path, Path]:
    """The database's files: itself, its write-ahead log, its shared memory."""
    return path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def open_or_begin(path: Path, max_bytes: int, now: float) -> tuple["LogFile", str]:
    """The log database; a damaged one is kept aside (only the newest such) and said, and so is one
    that a newer version wrote.

    `now` in seconds since the epoch. Raises Problem as `store.files` does; sqlite3.Error.
    """
    try:
        return LogFile(path, max_bytes), ""
    except Damaged as damage:
        for old in path.parent.glob(f"{path.name}*.damaged-*"):
            old.unlink()
        aside = _set_aside(path, now, "damaged")
        text = f"The stored logs were damaged ({damage}) and are kept as {aside}. A new log began."
    except Newer as newer:
        aside = _set_aside(path, now, "newer")
        text = (
            f"The stored logs were written by a newer version of Nexus Tray ({newer}) and are kept"
            f" as {aside}. A new log began."
        )
    return LogFile(path, max_bytes), text


def _set_aside(path: Path, now: float, kind: str) -> Path:
    database, log, memory = siblings(path)
    aside = files.set_aside(database, now, kind)
    if log.exists():
        files.set_aside(log, now, kind)
    memory.unlink(missing_ok=True)
    return aside


class LogFile:
    """The writer's hold on the log database."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Open the file or make it (0600). Raises Damaged; Problem as `store.files` does."""
        files.ensure_private_dir(path.parent)
        os.close(files.open_private(path, os.O_RDWR | os.O_CREAT))
        for other in siblings(path)[1:]:
            if os.path.lexists(other):
                files.check_private(other)
        self._path = path
        # Opened by the starting thread, used by the writer's only. Nobody else writes, so it
        # waits only for readers, when the write-ahead log is cut off: better not for long.
        self._database = sqlite3.connect(
            path, isolation_level=None, timeout=0.1, check_same_thread=False
        )
        try:
            self._begin(max_bytes)
        except sqlite3.DatabaseError as error:
            self._database.close()
            if isinstance(error, sqlite3.OperationalError):
                raise
            raise Damaged(str(error)) from error
        except BaseException:
            self._database.close()
            raise

    def _begin(self, max_bytes: int) -> None:
        run = self._database.execute
        version = run("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:  # and not a byte of it is changed
            raise Newer(f"schema {version}, this one knows {SCHEMA_VERSION}")
        run("PRAGMA auto_vacuum = INCREMENTAL")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        # Some builds overwrite what is deleted; for a log that trims all day this is all cost.
        run("PRAGMA secure_delete = OFF")
        self.set_bound(max_bytes)
        if version == 0 and not run("SELECT 1 FROM sqlite_master").fetchone():
            with _Transaction(self._database):
                for statement in _SCHEMA:
                    run(statement)
        elif version != SCHEMA_VERSION:
            raise Damaged(f"schema {version} is unknown")
        # The first files of this schema had no such index.
        run(_GRAVE)
        self._sources = dict(run("SELECT name, id FROM source").fetchall())
        self.newest: int = run("SELECT coalesce(max(id), 0) FROM line").fetchone()[0]
        self._indexed: int = run("SELECT coalesce(max(last), 0) FROM segment").fetchone()[0]

    def set_bound(self, max_bytes: int) -> None:
        """The most bytes that all the files together may take."""
        wal_pages = min(max(max_bytes // _WAL_SHARE // 2 // PAGE_BYTES, 16), 1000)
        self._pages = max_bytes * (_WAL_SHARE - 1) // _WAL_SHARE // PAGE_BYTES
        self._segment_bytes = max_bytes // _SEGMENT_SHARE
        self._database.execute(f"PRAGMA wal_autocheckpoint = {wal_pages}")
        self._database.execute(f"PRAGMA journal_size_limit = {wal_pages * PAGE_BYTES}")

    def insert(self, rows: Sequence[Row]) -> None:
        """Store lines, in one transaction; their ids must go on from `newest`."""
        known = len(self._sources)
        try:
            with _Transaction(self._database):
                self._database.executemany(
                    "INSERT INTO line VALUES (?, ?, ?, ?, ?)",
                    [
                        (id_, at, self._source(name), level, text)
                        for id_, at, name, level, text in rows
                    ],
                )
        except BaseException:
            self._sources = dict(list(self._sources.items())[:known])
            raise
        self.newest = rows[-1][0]

    def _source(self, name: str) -> int:
        number = self._sources.get(name)
        if number is None:
            number = self._sources[name] = len(self._sources) + 1
            self._database.execute("INSERT INTO source VALUES (?, ?)", (number, name))
        return number

    def trim(self) -> None:
        """Drop the oldest lines until what is left is within the bound, and shrink the file."""
        while (over := self._used_pages() - self._pages) > 0:
            run = self._database.execute
            first, last = run(ENDS).fetchone()
            if first is None or first == last:
                return
            # A little more than what is over, so that not every batch of lines trims.
            lines = last - first + 1
            until = min(first + lines * over // self._used_pages() + lines // 32 + 1, last)
            with _Transaction(self._database):
                run("DELETE FROM line WHERE id < ?", (until,))
                for (gone,) in run("SELECT id FROM segment WHERE last < ?", (until,)).fetchall():
                    run(f"DROP TABLE words_{gone}")
                    run("DELETE FROM segment WHERE id = ?", (gone,))
        if self._pragma("page_count") > self._pages:
            # Each step gives back one page, and `execute` makes one step of what has no rows.
            self._database.executescript("PRAGMA incremental_vacuum")
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @property
    def unindexed(self) -> int:
        """How many lines the index lacks, at most."""
        return self.newest - self._indexed

    def index(self) -> None:
        """Index one more batch of lines, if there are any.

        SQLite does it in one call, without Python's lock: other threads run meanwhile.
        """
        run = self._database.execute
        last, size = run(
            "SELECT max(id), max(size) FROM (SELECT id, sum(length(text)) OVER (ORDER BY id) size"
            " FROM (SELECT id, text FROM line WHERE id > ? ORDER BY id LIMIT ?))"
            " WHERE size <= max(?, (SELECT length(text) FROM line WHERE id > ? ORDER BY id))",
            (self._indexed, INDEX_BATCH, self._segment_bytes, self._indexed),
        ).fetchone()
        if last is None:
            return
        with _Transaction(self._database):
            segment = self._open_segment()
            run(
                f"INSERT INTO words_{segment}(rowid, text)"  # noqa: S608
                " SELECT id, text FROM line WHERE id > ? AND id <= ?",
                (self._indexed, last),
            )
            run(
                "UPDATE segment SET last = ?, bytes = bytes + ? WHERE id = ?", (last, size, segment)
            )
        self._indexed = last

    def _open_segment(self) -> int:
        """The index table that takes the next lines; a new one when the last is full."""
        run = self._database.execute
        newest = run("SELECT id, bytes FROM segment ORDER BY id DESC LIMIT 1").fetchone()
        if newest and newest[1] < self._segment_bytes:
            return int(newest[0])
        number = newest[0] + 1 if newest else 1
        run(_WORDS.format(number))
        run("INSERT INTO segment VALUES (?, ?, 0)", (number, self._indexed))
        return int(number)

    def _used_pages(self) -> int:
        return self._pragma("page_count") - self._pragma("freelist_count")

    def _pragma(self, name: str) -> int:
        return int(self._database.execute(f"PRAGMA {name}").fetchone()[0])

    def close(self) -> None:
        """Close; SQLite folds the write-ahead log back into the file."""
        self._database.close()


class _Transaction:
    """BEGIN IMMEDIATE ... COMMIT, or ROLLBACK when the body raises."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._database.execute("COMMIT")
        elif self._database.in_transaction:
            self._database.execute("ROLLBACK")
