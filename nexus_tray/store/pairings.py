"""Pairing links: made here, used once, gone after ten minutes.

Owns their table. Imports `store.database`, `store.audit` and the hash of `store.accounts`. A link's
token is 256 random bits, stored as SHA-256. Making and ending write their audit row in the same
transaction; using one is a step of the transaction that stores the session (`spend`), so of any
number of devices that try at once one succeeds (SECURITY.md 11; ASVS 5.0 V6.5.1, V15.4.2). Any
thread; writing waits for the disk.
"""

import secrets
import sqlite3
from collections.abc import Callable

from nexus_tray.model import Hop, Problem, Reason, Value
from nexus_tray.store.accounts import Spend, fingerprint
from nexus_tray.store.audit import Audit, AuditEvent
from nexus_tray.store.database import Database
from nexus_tray.store.same_password import require_same

LASTS = 600.0
"""Seconds that a link is good."""
MOST = 10
"""Links that may be open at once."""


class PairingRow(Value, frozen=True):
    """One link that was not used yet. `host`: where alone it counts; `name`: what the device is
    to be called (empty: after its browser). Times in seconds since the epoch."""

    id: str
    host: str
    name: str
    made_at: float
    expires_at: float


class Pairings:
    """The table. `clock` is the wall clock."""

    def __init__(self, database: Database, audit: Audit, clock: Callable[[], float]) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    def make(self, host: str, name: str, password_id: str | None = None) -> str:
        """A new link's token, on the strength of the password of that id. Raises Problem: it was
        changed meanwhile, too many are open, or it cannot be written."""
        token, now = secrets.token_urlsafe(32), self._clock()
        with self._database.write() as connection:
            require_same(connection, password_id)
            connection.execute(
                "DELETE FROM pairings WHERE expires_at <= ? OR made_at > ?", (now, now)
            )
            [open_now] = connection.execute("SELECT count(*) FROM pairings").fetchone()
            if open_now >= MOST:
                raise Problem(TOO_MANY)
            connection.execute(
                "INSERT INTO pairings (id, token_hash, host, name, made_at, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (secrets.token_hex(8), fingerprint(token), host, name, now, now + LASTS),
            )
            self._audit.add(connection, AuditEvent.PAIRING_MADE, "owner", "local", f"for {host}")
        return token

    def open(self) -> list[PairingRow]:
        """The links that are good now, newest first."""
        now = self._clock()
        rows = self._database.read(
            "SELECT id, host, name, made_at, expires_at FROM pairings"
            " WHERE made_at <= ? AND expires_at > ? ORDER BY made_at DESC",
            (now, now),
        )
        return [
            PairingRow(id=row[0], host=row[1], name=row[2], made_at=row[3], expires_at=row[4])
            for row in rows
        ]

    def find(self, token: str, host: str) -> PairingRow | None:
        """The link of that token, if it is good at that host now. It stays as it is."""
        now = self._clock()
        rows = self._database.read(
            "SELECT id, host, name, made_at, expires_at FROM pairings WHERE token_hash = ?"
            " AND host = ? AND made_at <= ? AND expires_at > ?",
            (fingerprint(token), host, now, now),
        )
        if not rows:
            return None
        row = rows[0]
        return PairingRow(id=row[0], host=row[1], name=row[2], made_at=row[3], expires_at=row[4])

    def spending(self, pairing_id: str) -> Spend:
        """What uses that link up, in the transaction that stores its session."""

        def spend(connection: sqlite3.Connection) -> bool:
            done = connection.execute(
                "DELETE FROM pairings WHERE id = ? AND expires_at > ?", (pairing_id, self._clock())
            )
            return done.rowcount == 1

        return spend

    def end_all(self) -> None:
        """Void every link that was not used yet."""
        with self._database.write() as connection:
            ended = connection.execute("DELETE FROM pairings").rowcount
            if ended:
                told = f"{ended} not used yet: voided"
                self._audit.add(connection, AuditEvent.PAIRINGS_ENDED, "owner", "local", told)


TOO_MANY = Reason(
    code="pairings-too-many",
    hop=Hop.GATEWAY,
    what=f"{MOST} pairing links are open already.",
    meaning="Each is good for ten minutes, and once.",
    cure="Use one, wait, or void them: nexus-tray pair --cancel",
)
