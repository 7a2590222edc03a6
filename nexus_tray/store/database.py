"""`nexus.db`: how it is opened, checked, brought up to date, read and written.

Owns the file of sign-in (password hash, sessions, tickets, audit) and its migrations; what
the tables mean is said in `store.accounts` and `store.audit`. Imports the model and
`store.files`. Any thread may call: one connection writes, another reads, each behind
its own lock, so that a read on the gateway's loop never waits for a disk to sync.

The file is small and precious: WAL with synchronous=FULL, so a commit that was reported
survives kill -9 and loss of power (SECURITY.md 36: no revocation lost). What cannot be
trusted is not used: a damaged file is kept aside and a Problem raised, so that remote
access stays off; a fresh file has no password, which also means off.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store.files import check_private, ensure_private_dir, open_private, set_aside

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE password (
        one     INTEGER PRIMARY KEY CHECK (one = 1),
        id      TEXT NOT NULL,
        hash    TEXT NOT NULL,
        set_at  REAL NOT NULL
    ) STRICT;
    CREATE TABLE sessions (
        id          TEXT PRIMARY KEY,
        token_hash  BLOB NOT NULL UNIQUE,
        door        TEXT NOT NULL,
        host        TEXT NOT NULL,
        name        TEXT NOT NULL,
        address     TEXT NOT NULL,
        created_at  REAL NOT NULL,
        seen_at     REAL NOT NULL,
        expires_at  REAL NOT NULL
    ) STRICT;
    CREATE TABLE tickets (
        token_hash  BLOB PRIMARY KEY,
        path        TEXT NOT NULL,
        made_at     REAL NOT NULL,
        expires_at  REAL NOT NULL
    ) STRICT;
    CREATE TABLE audit (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        at       REAL NOT NULL,
        event    TEXT NOT NULL,
        who      TEXT NOT NULL,
        address  TEXT NOT NULL,
        outcome  TEXT NOT NULL
    ) STRICT;
    """,
    "ALTER TABLE sessions ADD COLUMN parent TEXT NOT NULL DEFAULT '';",
    """
    ALTER TABLE sessions ADD COLUMN how TEXT NOT NULL DEFAULT 'password';
    ALTER TABLE sessions ADD COLUMN idle REAL NOT NULL DEFAULT 43200.0;
    ALTER TABLE sessions ADD COLUMN country TEXT NOT NULL DEFAULT '';
    ALTER TABLE sessions ADD COLUMN received INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE sessions ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;
    UPDATE sessions SET how = 'ticket' WHERE door = 'local';
    CREATE TABLE pairings (
        id          TEXT PRIMARY KEY,
        token_hash  BLOB NOT NULL UNIQUE,
        host        TEXT NOT NULL,
        name        TEXT NOT NULL,
        made_at     REAL NOT NULL,
        expires_at  REAL NOT NULL
    ) STRICT;
    CREATE TABLE api_tokens (
        id          TEXT PRIMARY KEY,
        token_hash  BLOB NOT NULL UNIQUE,
        name        TEXT NOT NULL,
        scope       TEXT NOT NULL,
        made_at     REAL NOT NULL,
        expires_at  REAL NOT NULL,
        seen_at     REAL,
        address     TEXT NOT NULL DEFAULT '',
        received    INTEGER NOT NULL DEFAULT 0,
        sent        INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE second_factor (
        one        INTEGER PRIMARY KEY CHECK (one = 1),
        id         TEXT NOT NULL,
        set_at     REAL NOT NULL,
        last_step  INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE recovery_codes (
        code_hash  BLOB PRIMARY KEY
    ) STRICT;
    CREATE TABLE places (
        place     TEXT PRIMARY KEY,
        first_at  REAL NOT NULL,
        seen_at   REAL NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE passkeys (
        id             TEXT PRIMARY KEY,
        credential_id  BLOB NOT NULL UNIQUE,
        public_key     BLOB NOT NULL,
        host           TEXT NOT NULL,
        name           TEXT NOT NULL,
        counter        INTEGER NOT NULL,
        made_at        REAL NOT NULL,
        used_at        REAL
    ) STRICT;
    CREATE TABLE passkey_owner (
        one     INTEGER PRIMARY KEY CHECK (one = 1),
        handle  BLOB NOT NULL
    ) STRICT;
    INSERT INTO passkey_owner (one, handle) VALUES (1, randomblob(32));
    ALTER TABLE sessions ADD COLUMN passkey TEXT NOT NULL DEFAULT '';
    """,
)
"""Version n of the file is reached by the first n scripts. Append; never edit one."""

SIDES = ("-wal", "-shm")
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY_SECONDS = 5.0
# Room that the write-ahead log has from the beginning: where a disk is full, somebody can still
# be sent away. It is folded back before that room is used up, and begins at its front again.
_RESERVE_BYTES = 1024 * 1024
_FOLD_PAGES = 200

Row = tuple[Any, ...]


class Database:
    """The opened file. Close it; a second close does nothing."""

    def __init__(self, path: Path, writer: sqlite3.Connection, reader: sqlite3.Connection) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader
        self._writing = threading.Lock()
        self._reading = threading.Lock()

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction, durable when the block ends, undone when it raises.

        Waits for another writer and for the disk: not for the gateway's loop. Raises
        Problem when the file cannot be written; nothing is changed then.
        """
        with self._writing, _explained(self._path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def read(self, query: str, values: Sequence[object] = ()) -> list[Row]:
        """The rows of a query, as last committed; microseconds for an indexed one.

        Raises Problem when the file cannot be read.
        """
        with self._reading, _explained(self._path):
            return self._reader.execute(query, values).fetchall()

    def close(self) -> None:
        """Close both connections; the last one folds the WAL into the file."""
        with self._reading:
            self._reader.close()
        with self._writing:
            self._writer.close()


def open_database(path: Path, now: float) -> Database:
    """Open `nexus.db`, making it (0600, in a folder of 0700) if it is missing.

    `now`: seconds since the epoch, for the name of a damaged file that is kept aside.
    Raises Problem: planted or foreign file (SECURITY.md 35), a newer version than ours,
    damaged (then it has been moved aside and the next call begins afresh), no room.
    """
    ensure_private_dir(path.parent)
    _check_files(path)
    try:
        writer = _connect(path)
    except sqlite3.DatabaseError as error:
        raise _opening_failed(path, error, now) from error
    try:
        with _explained(path):
            reader = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        reader.execute("PRAGMA query_only = ON")
    except BaseException:
        writer.close()
        raise
    return Database(path, writer, reader)


def _check_files(path: Path) -> None:
    """Refuse planted files, and make the file ours before SQLite sees its name.

    SQLite gives its side files the mode of the main one.
    """
    for side in SIDES:
        with contextlib.suppress(FileNotFoundError):
            check_private(path.with_name(path.name + side))
    os.close(open_private(path, os.O_RDWR | os.O_CREAT))


def _connect(path: Path) -> sqlite3.Connection:
    """The writing connection to a file that is whole and of our version."""
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        faults = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
        if faults != ["ok"]:
            damage = sqlite3.DatabaseError(str(faults[0]))
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_FOLD_PAGES}")
        _migrate(connection, path)
        _reserve(path.with_name(path.name + SIDES[0]))
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to our version, each step whole or not at all."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise Problem(
            Reason(
                code="database-newer",
                hop=Hop.GATEWAY,
                what=f"{path} was written by a newer version of Nexus Tray ({version}; "
                f"this one knows {len(MIGRATIONS)}).",
                meaning="It is left untouched, and remote access stays off.",
                cure="Install the newer version again.",
            )
        )
    for step in range(version, len(MIGRATIONS)):
        script = f"BEGIN IMMEDIATE; {MIGRATIONS[step]} PRAGMA user_version = {step + 1}; COMMIT;"
        connection.executescript(script)


def _reserve(log: Path) -> None:
    """Have the disk keep room for the write-ahead log. What lies behind its last frame means
    nothing to SQLite (its file format, section 4.5). A disk that is full already has none."""
    if not hasattr(os, "posix_fallocate"):
        return
    with contextlib.suppress(OSError):
        descriptor = open_private(log, os.O_RDWR)
        try:
            os.posix_fallocate(descriptor, 0, _RESERVE_BYTES)
        finally:
            os.close(descriptor)


def _opening_failed(path: Path, error: sqlite3.DatabaseError, now: float) -> Problem:
    """A damaged file is kept aside with its side files; any other failure touches nothing."""
    if error.sqlite_errorcode & 0xFF not in _DAMAGED:
        return Problem(_unusable(path, error))
    aside = set_aside(path, now)
    for side in SIDES:
        beside = path.with_name(path.name + side)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + side))
    return Problem(
        Reason(
            code="database-damaged",
            hop=Hop.GATEWAY,
            what=f"The sign-in database was damaged ({error}). It is kept as {aside}.",
            meaning="Password and sessions cannot be read, so remote access is off.",
            cure="Set the password again: nexus-tray password set. Everybody signs in anew.",
        )
    )


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Problem(_unusable(path, error)) from error


def _unusable(path: Path, error: sqlite3.Error) -> Reason:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        return Reason(
            code="database-full",
            hop=Hop.GATEWAY,
            what=f"The sign-in database {path} could not be written: there is no room left.",
            meaning="Nothing was changed. Who is signed in stays so; nobody else can come in.",
            cure="Free some space on that disk, then try again.",
        )
    return Reason(
        code="database-failed",
        hop=Hop.GATEWAY,
        what=f"The sign-in database {path} cannot be used: {error}.",
        meaning="Nobody can sign in from outside until it can; nothing was changed.",
        cure="Check that the disk has room and that you may write there.",
    )
