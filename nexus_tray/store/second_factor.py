"""The second factor's state: whether it is on, which time step was last used, recovery codes.

Owns two tables. Imports `store.database` and `store.audit`. The secret of the authenticator is not
here: it lies in the keyring under the row's id. Recovery codes are 120 random bits, stored as
SHA-256 (ASVS 5.0 V6.5.2). What a sign-in rests on is used up in the transaction that stores its
session, so each code signs in once (V6.5.1, RFC 6238 5.2). Any thread; writing waits for the disk.
"""

import base64
import secrets
import sqlite3
from collections.abc import Callable

from nexus_tray.model import Value
from nexus_tray.store.accounts import Spend, fingerprint
from nexus_tray.store.audit import Audit, AuditEvent
from nexus_tray.store.database import Database
from nexus_tray.store.same_password import require_same

CODES = 10
_CODE_BYTES = 15
_GROUP = 4


class FactorRow(Value, frozen=True):
    """The second factor, while it is on. `id` names its secret; `set_at` since the epoch."""

    id: str
    set_at: float


class SecondFactorStore:
    """The tables. `clock` is the wall clock."""

    def __init__(self, database: Database, audit: Audit, clock: Callable[[], float]) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    def row(self) -> FactorRow | None:
        """The factor, or None: it is off. Raises Problem when that cannot be read."""
        rows = self._database.read("SELECT id, set_at FROM second_factor")
        return FactorRow(id=rows[0][0], set_at=rows[0][1]) if rows else None

    def codes_left(self) -> int:
        """How many recovery codes were not used yet."""
        return int(self._database.read("SELECT count(*) FROM recovery_codes")[0][0])

    def turn_on(self, factor_id: str, step: int, password_id: str | None = None) -> tuple[str, ...]:
        """Ask for codes from now on; `step` was just used. The recovery codes, in clear. Raises
        Problem: the password of that id, which it was begun with, was changed meanwhile, or it
        cannot be written."""
        codes = _made()
        with self._database.write() as connection:
            require_same(connection, password_id)
            connection.execute(
                "REPLACE INTO second_factor (one, id, set_at, last_step) VALUES (1, ?, ?, ?)",
                (factor_id, self._clock(), step),
            )
            _keep(connection, codes)
            self._audit.add(connection, AuditEvent.SECOND_FACTOR_SET, "owner", "local")
        return codes

    def turn_off(self) -> None:
        """Ask for no codes any more."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM recovery_codes")
            if connection.execute("DELETE FROM second_factor").rowcount:
                event = AuditEvent.SECOND_FACTOR_REMOVED
                self._audit.add(connection, event, "owner", "local")

    def renew_codes(self) -> tuple[str, ...] | None:
        """New recovery codes, in clear; the old ones are void. None: the factor is off, and codes
        made now would be good when it is on again."""
        codes = _made()
        with self._database.write() as connection:
            if not _is_on(connection):
                return None
            _keep(connection, codes)
            self._audit.add(connection, AuditEvent.RECOVERY_CODES_MADE, "owner", "local")
        return codes

    def spending_nothing(self) -> Spend:
        """What a sign-in without a code rests on: none is asked for. Whoever turns the factor on
        while a password is verified is not signed in past it."""
        return lambda connection: not _is_on(connection)

    def spending_step(self, factor_id: str, step: int) -> Spend:
        """What uses up a code of the authenticator; the step must be later than the last."""

        def spend(connection: sqlite3.Connection) -> bool:
            done = connection.execute(
                "UPDATE second_factor SET last_step = ? WHERE id = ? AND last_step < ?",
                (step, factor_id, step),
            )
            return done.rowcount == 1

        return spend

    def spending_code(self, code: str) -> Spend:
        """What uses up a recovery code, if there is such a one."""

        def spend(connection: sqlite3.Connection) -> bool:
            done = connection.execute(
                "DELETE FROM recovery_codes WHERE code_hash = ?", (fingerprint(plain(code)),)
            )
            return done.rowcount == 1

        return spend


def plain(code: str) -> str:
    """A code as it is compared: however it was grouped and written."""
    return "".join(one for one in code.upper() if one.isalnum())


def _is_on(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM second_factor").fetchone() is not None


def _made() -> tuple[str, ...]:
    written = (base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode() for _ in range(CODES))
    return tuple(
        "-".join(code[at : at + _GROUP] for at in range(0, len(code), _GROUP)).lower()
        for code in written
    )


def _keep(connection: sqlite3.Connection, codes: tuple[str, ...]) -> None:
    connection.execute("DELETE FROM recovery_codes")
    connection.executemany(
        "INSERT INTO recovery_codes (code_hash) VALUES (?)",
        [(fingerprint(plain(code)),) for code in codes],
    )
