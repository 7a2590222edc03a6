"""API tokens: for programs that speak to OpenCode through the gateway.

Owns their table. Imports `store.database`, `store.audit` and the hash of `store.accounts`. A token
is `nx_` and 256 random bits, stored as SHA-256: there is nothing to guess (ASVS 5.0 V7.2.3). Each
deed writes its audit row in the same transaction, and never the token. Whoever ends one, the
listeners are told its id once that is durable. Any thread; writing waits for the disk.
"""

import secrets
from collections.abc import Callable

from nexus_tray.model import Hop, Problem, Reason, Value
from nexus_tray.store import places
from nexus_tray.store.accounts import OnEnd, fingerprint
from nexus_tray.store.audit import Audit, AuditEvent
from nexus_tray.store.database import Database
from nexus_tray.store.same_password import require_same

PREFIX = "nx_"
MOST = 50
_DAY = 86400.0


class TokenRow(Value, frozen=True):
    """One token. `scope`: `full` or `read`. Times in seconds since the epoch; `seen_at` None: it
    was never used. `received`, `sent`: bytes from and to who bears it."""

    id: str
    name: str
    scope: str
    made_at: float
    expires_at: float
    seen_at: float | None
    address: str
    received: int
    sent: int

    def valid_at(self, now: float) -> bool:
        """Not over; made later than now means that the clock fell back."""
        return self.made_at <= now < self.expires_at


class ApiTokens:
    """The table. `clock` is the wall clock."""

    def __init__(self, database: Database, audit: Audit, clock: Callable[[], float]) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._listeners: list[OnEnd] = []

    def listen(self, on_end: OnEnd) -> None:
        """Tell this one too when tokens end. Call while putting the program together."""
        self._listeners.append(on_end)

    def make(self, name: str, scope: str, days: int, password_id: str | None = None) -> str:
        """A new token, in clear, on the strength of the password of that id. Raises Problem: it
        was changed meanwhile, there are too many, or it cannot be written."""
        token, now = PREFIX + secrets.token_urlsafe(32), self._clock()
        with self._database.write() as connection:
            require_same(connection, password_id)
            [held] = connection.execute("SELECT count(*) FROM api_tokens").fetchone()
            if held >= MOST:
                raise Problem(TOO_MANY)
            connection.execute(
                "INSERT INTO api_tokens (id, token_hash, name, scope, made_at, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (secrets.token_hex(8), fingerprint(token), name, scope, now, now + days * _DAY),
            )
            told = f"{name}: {scope}, for {days} days"
            self._audit.add(connection, AuditEvent.TOKEN_MADE, "owner", "local", told)
        return token

    def all(self) -> list[TokenRow]:
        """Every token, newest first."""
        rows = self._database.read(f"SELECT {_COLUMNS} FROM api_tokens ORDER BY made_at DESC")  # noqa: S608 - names of ours
        return [_row(row) for row in rows]

    def find(self, token: str) -> TokenRow | None:
        """The token's row, valid or not; microseconds."""
        rows = self._database.read(
            f"SELECT {_COLUMNS} FROM api_tokens WHERE token_hash = ?",  # noqa: S608 - names of ours
            (fingerprint(token),),
        )
        return _row(rows[0]) if rows else None

    def revoke(self, token_id: str) -> bool:
        """End one; False: there is none of that id."""
        return bool(self._end("id = ?", (token_id,), "revoked", "owner"))

    def end_expired(self) -> None:
        """Remove tokens that are over, so that what is open with them is cut too."""
        now = self._clock()
        if self._database.read("SELECT 1 FROM api_tokens WHERE expires_at <= ? LIMIT 1", (now,)):
            self._end("expires_at <= ?", (now,), "expired", "nexus-tray")

    def note_use(self, token_id: str, address: str, at: float) -> None:
        """It was used from there; the first use, and the first from another network than the last
        (`places.network`: a household's IPv6 addresses change by the hour), are written down."""
        with self._database.write() as connection:
            row = connection.execute(
                "SELECT name, seen_at, address FROM api_tokens WHERE id = ?", (token_id,)
            ).fetchone()
            if row is None:
                return
            name, seen_at, last = row
            if seen_at is None or places.network(last) != places.network(address):
                told = "for the first time" if seen_at is None else f"before from {last}"
                self._audit.add(connection, AuditEvent.TOKEN_USED, name, address, told)
            connection.execute(
                "UPDATE api_tokens SET seen_at = max(coalesce(seen_at, 0), ?), address = ?"
                " WHERE id = ?",
                (at, address, token_id),
            )

    def _end(self, condition: str, values: tuple[object, ...], why: str, who: str) -> list[str]:
        """`condition` is text of ours, never input."""
        with self._database.write() as connection:
            ended = connection.execute(
                f"DELETE FROM api_tokens WHERE {condition} RETURNING id, name",  # noqa: S608
                values,
            ).fetchall()
            for _, name in ended:
                self._audit.add(connection, AuditEvent.TOKEN_ENDED, who, "local", f"{name}: {why}")
        ids = [str(key) for key, _ in ended]
        if ids:
            for listener in self._listeners:
                listener(tuple(ids))
        return ids


_NAMES = TokenRow.__struct_fields__
_COLUMNS = ", ".join(_NAMES)


def _row(row: tuple[object, ...]) -> TokenRow:
    return TokenRow(**dict(zip(_NAMES, row, strict=True)))  # type: ignore[arg-type]


TOO_MANY = Reason(
    code="tokens-too-many",
    hop=Hop.GATEWAY,
    what=f"There are {MOST} API tokens already.",
    cure="Revoke one that is not needed: nexus-tray token list",
)
