"""The audit: what happened at the doors, in rows that a person can read later.

Owns the `audit` table, the words in it, and the judgement whether the clock can be
trusted. Imports `store.database`, its own room's search and layer 1. Any thread may call;
writing waits for the disk and a search takes its time, so not on the gateway's loop. A row
holds time (UTC), event, who, address and outcome, and never a secret: callers pass names
and outcomes, not what was typed (SECURITY.md 37).
"""

import sqlite3
import threading
from collections.abc import Callable
from enum import StrEnum

from nexus_tray.model import Value
from nexus_tray.reports import AuditPage, AuditQuery
from nexus_tray.store import audit_search
from nexus_tray.store.database import Database

KEPT_ROWS = 50_000
"""The newest rows that stay of what strangers cause at will; about 6 MB. The crowd's limit
(below) makes them three days of a flood, and years of an ordinary life."""
KEPT_OWN = 200_000
"""The newest of all other rows that stay: 500 sign-ins a day for a year, and no flood of
strangers shortens it. Counted and not dated: a clock that runs ahead must delete nothing."""

_PRUNE_EVERY = 500
_FIELD = 200
# Refusals that strangers cause at will: this many at once, and this many a second on average.
_CROWD_BURST = 100.0
_CROWD_RATE = 0.2


class AuditEvent(StrEnum):
    """What can happen at the doors."""

    SIGN_IN = "sign-in"
    SIGN_IN_FAILED = "sign-in-failed"
    SIGN_IN_REFUSED = "sign-in-refused"
    LOCKED = "locked"
    PAUSED = "paused"
    SIGN_OUT = "sign-out"
    SESSION_ENDED = "session-ended"
    PASSWORD_SET = "password-set"  # noqa: S105 - the name of an event
    PASSWORD_CLEARED = "password-cleared"  # noqa: S105
    TICKET_USED = "ticket-used"
    TICKET_REFUSED = "ticket-refused"
    DENIED = "denied"
    DEVICE_RENAMED = "device-renamed"
    PAIRING_MADE = "pairing-made"
    PAIRED = "paired"
    PAIRING_REFUSED = "pairing-refused"
    PAIRINGS_ENDED = "pairings-ended"
    TOKEN_MADE = "token-made"  # noqa: S105
    TOKEN_USED = "token-used"  # noqa: S105 - the first time, and from a new place
    TOKEN_REFUSED = "token-refused"  # noqa: S105
    TOKEN_ENDED = "token-ended"  # noqa: S105
    SECOND_FACTOR_SET = "second-factor-set"
    SECOND_FACTOR_REMOVED = "second-factor-removed"
    RECOVERY_CODES_MADE = "recovery-codes-made"
    PASSKEY_ADDED = "passkey-added"
    PASSKEY_REFUSED = "passkey-refused"
    PASSKEY_COPIED = "passkey-copied"  # its counter fell, so there may be two of it
    PASSKEY_REMOVED = "passkey-removed"
    STEP_UP_FAILED = "step-up-failed"
    IDLE_CLOSED = "idle-closed"
    ACCESS_PAUSED = "access-paused"
    ACCESS_RESUMED = "access-resumed"
    PANIC = "panic"


STRANGERS = (
    AuditEvent.SIGN_IN_FAILED,
    AuditEvent.SIGN_IN_REFUSED,
    AuditEvent.LOCKED,
    AuditEvent.PAUSED,
    AuditEvent.TICKET_REFUSED,
    AuditEvent.PAIRING_REFUSED,
    AuditEvent.TOKEN_REFUSED,
    AuditEvent.PASSKEY_REFUSED,
    AuditEvent.DENIED,
)
"""What strangers can cause as often as they like."""


class AuditRow(Value, frozen=True):
    """One row. `at` in seconds since the epoch; `address` of the visitor, or "local"."""

    id: int
    at: float
    event: AuditEvent
    who: str
    address: str
    outcome: str


class Audit:
    """Writes and reads the rows. `clock` is the wall clock (seconds since the epoch)."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._written = 0
        self._crowd = _CROWD_BURST
        self._crowd_at = 0.0
        self._untold = 0
        self._newest_at = self._read_newest()

    def record(self, event: AuditEvent, who: str, address: str, outcome: str = "") -> None:
        """Write one row. Raises Problem when it cannot be written."""
        with self._database.write() as connection:
            self.add(connection, event, who, address, outcome)

    def add(
        self,
        connection: sqlite3.Connection,
        event: AuditEvent,
        who: str,
        address: str,
        outcome: str = "",
    ) -> None:
        """Write one row within the caller's transaction, so that deed and row are one."""
        now = self._clock()
        connection.execute(
            "INSERT INTO audit (at, event, who, address, outcome) VALUES (?, ?, ?, ?, ?)",
            (now, str(event), _plain(who), _plain(address), _plain(outcome)),
        )
        with self._lock:
            # The owner's own deed on this machine says that its clock is meant as it stands.
            owner = event is AuditEvent.PASSWORD_SET
            self._newest_at = now if owner else max(self._newest_at, now)
            self._written += 1
            # The first row of a run too: many short runs would else never be bounded.
            prune = self._written % _PRUNE_EVERY == 0 or self._written == 1
        if prune:
            _prune(connection)

    def crowd(self, event: AuditEvent, address: str, outcome: str, now: float) -> None:
        """Write a row for what strangers can cause at will, without letting them fill the disk.

        Beyond 100 at once and one in five seconds they are only counted, and the next row
        says how many were left out. `now` in monotonic seconds.
        """
        with self._lock:
            passed = max(0.0, now - self._crowd_at)
            self._crowd = min(_CROWD_BURST, self._crowd + passed * _CROWD_RATE)
            self._crowd_at = now
            if self._crowd < 1.0:
                self._untold += 1
                return
            self._crowd -= 1.0
            untold, self._untold = self._untold, 0
        if untold:
            outcome = f"{outcome} ({untold} more refusals before this one were only counted)"
        self.record(event, "stranger", address, outcome)

    def newest(self, limit: int = 100) -> list[AuditRow]:
        """The newest rows, newest first."""
        rows = self._database.read(
            "SELECT id, at, event, who, address, outcome FROM audit ORDER BY id DESC LIMIT ?",
            (limit,),
        )
        return [
            AuditRow(id=row[0], at=row[1], event=AuditEvent(row[2]), who=row[3], address=row[4],
                     outcome=row[5])
            for row in rows
        ]  # fmt: skip

    def search(self, query: AuditQuery) -> AuditPage:
        """The matches of a query, newest first; not on the gateway's loop. Raises Problem."""
        return audit_search.search(self._database, query, tuple(AuditEvent))

    def clock_is_behind(self) -> bool:
        """The wall clock reads earlier than the newest row: times cannot be trusted.

        Rows older than the last setting of the password do not count: a clock that once
        ran ahead must not keep the owner out for ever, and setting it is his to do.
        """
        with self._lock:
            return self._clock() < self._newest_at

    def _read_newest(self) -> float:
        found = self._database.read(
            "SELECT max(at) FROM audit WHERE id >="
            " (SELECT coalesce(max(id), 0) FROM audit WHERE event = ?)",
            (str(AuditEvent.PASSWORD_SET),),
        )
        return float(found[0][0] or 0.0)


def _prune(connection: sqlite3.Connection) -> None:
    """Let the oldest rows go, of strangers and of all others each for itself."""
    marks = ", ".join("?" * len(STRANGERS))
    for kind, kept in (("IN", KEPT_ROWS), ("NOT IN", KEPT_OWN)):
        those = f"event {kind} ({marks})"
        last = f"SELECT id FROM audit WHERE {those} ORDER BY id DESC LIMIT 1 OFFSET ?"  # noqa: S608 - marks only
        connection.execute(
            f"DELETE FROM audit WHERE {those} AND id <= ({last})",  # noqa: S608 - marks only
            (*STRANGERS, *STRANGERS, kept),
        )


def _plain(text: str) -> str:
    """One short printable line: a visitor's words must not forge rows or move a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:_FIELD]
