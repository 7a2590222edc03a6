"""Passkeys: the public keys that sign in at one host name each.

Owns their table and the owner's handle, under which authenticators file them. Imports
`store.database` and `store.audit`. Nothing here is secret: the private key never leaves the
authenticator. Each deed writes its audit row in the same transaction. One is taken away by
`Accounts`, which ends the sessions that it began in that transaction too. Any thread; writing
waits for the disk.
"""

import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from nexus_tray.model import Hop, Problem, Reason, Value
from nexus_tray.store.audit import Audit, AuditEvent
from nexus_tray.store.database import Database

MOST = 20
"""Passkeys that may be held, of all host names together."""


class PasskeyRow(Value, frozen=True):
    """One passkey. `host`: where alone it counts, its RP ID. `counter`: the authenticator's at its
    last use (0: it has none). Times in seconds since the epoch; `used_at` None: never."""

    id: str
    credential_id: bytes
    public_key: bytes
    host: str
    name: str
    counter: int
    made_at: float
    used_at: float | None


@dataclass(frozen=True)
class NewPasskey:
    """A passkey that was just checked, and is to be kept."""

    credential_id: bytes
    public_key: bytes
    counter: int
    host: str
    name: str


class Passkeys:
    """The table. `clock` is the wall clock."""

    def __init__(self, database: Database, audit: Audit, clock: Callable[[], float]) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    def handle(self) -> bytes:
        """What stands for the owner at authenticators: random, the same for ever (WebAuthn 3,
        5.4.3: nothing that tells who it is)."""
        return bytes(self._database.read("SELECT handle FROM passkey_owner")[0][0])

    def all(self) -> list[PasskeyRow]:
        """Every passkey, newest first."""
        rows = self._database.read(f"SELECT {_COLUMNS} FROM passkeys ORDER BY made_at DESC")  # noqa: S608 - names of ours
        return [_row(row) for row in rows]

    def at(self, host: str) -> list[PasskeyRow]:
        """Those that count at this host name."""
        return [row for row in self.all() if row.host == host]

    def find(self, credential_id: bytes, host: str) -> PasskeyRow | None:
        """The one of that credential, if it counts at this host name."""
        rows = self._database.read(
            f"SELECT {_COLUMNS} FROM passkeys WHERE credential_id = ? AND host = ?",  # noqa: S608
            (credential_id, host),
        )
        return _row(rows[0]) if rows else None

    def add(
        self, new: NewPasskey, who: str, address: str, *, session_id: str, password_id: str
    ) -> bool:
        """Keep one that the session of that id adds, having shown the password of that id.

        False, and nothing kept, where either has ended or the credential is known already
        (WebAuthn 3, 7.1 step 26). Raises Problem: there are too many, or it cannot be written.
        """
        row = (secrets.token_hex(8), new.credential_id, new.public_key, new.host, new.name)
        with self._database.write() as connection:
            [held] = connection.execute("SELECT count(*) FROM passkeys").fetchone()
            if held >= MOST:
                raise Problem(TOO_MANY)
            done = connection.execute(
                "INSERT INTO passkeys (id, credential_id, public_key, host, name, counter, made_at)"
                " SELECT ?, ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM sessions WHERE id = ?)"
                " AND EXISTS (SELECT 1 FROM password WHERE id = ?)"
                " ON CONFLICT (credential_id) DO NOTHING",
                (*row, new.counter, self._clock(), session_id, password_id),
            )
            if done.rowcount != 1:
                return False
            told = f"{new.name}: at {new.host}"
            self._audit.add(connection, AuditEvent.PASSKEY_ADDED, who, address, told)
        return True

    def spent(self, spend: Callable[[sqlite3.Connection], bool]) -> bool:
        """Use up what a change of the passkeys rests on, such as a one-time code."""
        with self._database.write() as connection:
            return spend(connection)

    def using(self, row: PasskeyRow, counter: int) -> Callable[[sqlite3.Connection], bool]:
        """What notes a use, in the transaction that stores its session: not where the passkey has
        been taken away meanwhile, nor where its counter does not rise (WebAuthn 3, 6.1.1)."""

        def spend(connection: sqlite3.Connection) -> bool:
            done = connection.execute(
                "UPDATE passkeys SET counter = ?, used_at = ? WHERE id = ? AND host = ?"
                " AND (counter < ? OR (counter = 0 AND ? = 0))",
                (counter, self._clock(), row.id, row.host, counter, counter),
            )
            return done.rowcount == 1

        return spend


def rises(before: int, now: int) -> bool:
    """Whether a counter may follow another: it has risen, or the authenticator keeps none."""
    return before < now or before == now == 0


def take_away(
    connection: sqlite3.Connection,
    audit: Audit,
    who: str,
    address: str,
    why: str,
    passkey_id: str | None = None,
) -> bool:
    """Delete that passkey (None: every one) within the caller's transaction, with a row of the
    audit for each. False: there was none."""
    gone = connection.execute(
        "DELETE FROM passkeys WHERE id = coalesce(?, id) RETURNING name, host", (passkey_id,)
    ).fetchall()
    for name, host in gone:
        audit.add(connection, AuditEvent.PASSKEY_REMOVED, who, address, f"{name}: at {host}: {why}")
    return bool(gone)


_NAMES = PasskeyRow.__struct_fields__
_COLUMNS = ", ".join(_NAMES)


def _row(row: tuple[object, ...]) -> PasskeyRow:
    return PasskeyRow(**dict(zip(_NAMES, row, strict=True)))  # type: ignore[arg-type]


TOO_MANY = Reason(
    code="passkeys-too-many",
    hop=Hop.GATEWAY,
    what=f"There are {MOST} passkeys already.",
    cure="Remove one that is not needed: nexus-tray passkey list",
)
