"""Who may come in: the password's hash, the sessions, the one-time tickets.

Owns these tables and their queries. Imports `store.database` and `store.audit`. Tokens
are stored as SHA-256 of 256 random bits: enough, since there is nothing to guess. Each
deed writes its audit row in the same transaction, so neither can be had without the
other. Any thread may call; what writes waits for the disk, so not on the gateway's loop.

Whoever ends a session, and by whatever way, the listeners are told once it is durable
(SECURITY.md "Sessions": revocation takes effect on the next request and cuts streams).
"""

import hashlib
import secrets
import sqlite3
from collections.abc import Callable, Mapping

from nexus_tray.model import Value
from nexus_tray.store import places
from nexus_tray.store.audit import Audit, AuditEvent
from nexus_tray.store.database import Database
from nexus_tray.store.passkeys import take_away
from nexus_tray.store.same_password import require_same

MOST_SESSIONS = 25
IDLE_SECONDS = 12 * 3600.0
ABSOLUTE_SECONDS = 7 * 86400.0
PAIRED_SECONDS = 30 * 86400.0
"""How long a paired device is good, used or not."""
NEW_PLACE = "from a new place: "
"""How a sign-in's audit row says that nobody came from there before."""
TICKET_SECONDS = 60.0
_MOST_TICKETS = 50

Spend = Callable[[sqlite3.Connection], bool]
"""Uses up what a sign-in rests on (a pairing, a code), in the transaction that stores the session.
False: it is no longer there, and nothing is stored."""

OnEnd = Callable[[tuple[str, ...]], None]
"""Told the ids of sessions that ended, in the thread that ended them."""


class Password(Value, frozen=True):
    """The password as stored: `id` is new each time it is set, `hash` encoded Argon2id."""

    id: str
    hash: str


class SessionRow(Value, frozen=True):
    """One signed-in browser. `id` is public; times are seconds since the epoch.

    A session belongs to its kind of door and to the host name its cookie was set for.
    `how` it began: see `reports.Device`. `idle`: seconds without use after which it is over.
    `country` as told at its begin (empty: not told). `received`, `sent`: bytes from and to it.
    `parent`: it is one for a preview, and ends with the session of that id (empty: it is not).
    `passkey`: the id of the one that began it (empty: none did).
    """

    id: str
    door: str
    host: str
    name: str
    address: str
    created_at: float
    seen_at: float
    expires_at: float
    parent: str = ""
    how: str = "password"
    idle: float = IDLE_SECONDS
    country: str = ""
    received: int = 0
    sent: int = 0
    passkey: str = ""

    def valid_at(self, now: float, seen_at: float) -> bool:
        """Neither idle for too long nor too old; not yet begun means the clock fell back."""
        return self.created_at <= now < min(self.expires_at, seen_at + self.idle)


class Accounts:
    """The tables of sign-in. `hash_password` judges and hashes (Problem if too weak)."""

    def __init__(
        self,
        database: Database,
        audit: Audit,
        hash_password: Callable[[str], str],
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._audit = audit
        self._hash_password = hash_password
        self._clock = clock
        self._listeners: list[OnEnd] = []
        self._renamed: list[Callable[[], None]] = []

    def listen(self, on_end: OnEnd) -> None:
        """Tell this one too when sessions end. Call while putting the program together."""
        self._listeners.append(on_end)

    def listen_to_names(self, on_rename: Callable[[], None]) -> None:
        """Tell this one when a device is called something else. Call as `listen`."""
        self._renamed.append(on_rename)

    def password(self) -> Password | None:
        """The password as stored, or None: no password, no remote access."""
        rows = self._database.read("SELECT id, hash FROM password")
        return Password(id=rows[0][0], hash=rows[0][1]) if rows else None

    def has_password(self) -> bool:
        """Whether a password is set. Raises Problem when that cannot be read."""
        return self.password() is not None

    def set_password(self, password: str, shown: str | None = None) -> None:
        """Set the password and end all that was let in before; about 0.2 s of hashing. Raises
        Problem: it is too weak, or that of the id `shown` was changed meanwhile."""
        hashed = self._hash_password(password)
        with self._database.write() as connection:
            require_same(connection, shown)
            self._put_hash(connection, hashed)
            self._audit.add(connection, AuditEvent.PASSWORD_SET, "owner", "local")
            ended = self._end_all(connection, "password set")
        self._tell(ended)

    def rehash(self, password_id: str, hashed: str) -> None:
        """Store the same password under newer parameters, unless it was changed meanwhile."""
        with self._database.write() as connection:
            connection.execute("UPDATE password SET hash = ? WHERE id = ?", (hashed, password_id))

    def clear_password(self) -> None:
        """Remove the password and end all that was let in: remote access is off.

        The second factor goes too: this is the way out for whoever has lost what he signs in
        with, and he owns the machine already.
        """
        with self._database.write() as connection:
            connection.execute("DELETE FROM password")
            connection.execute("DELETE FROM recovery_codes")
            if connection.execute("DELETE FROM second_factor").rowcount:
                gone = AuditEvent.SECOND_FACTOR_REMOVED
                self._audit.add(connection, gone, "owner", "local", "password removed")
            self._audit.add(connection, AuditEvent.PASSWORD_CLEARED, "owner", "local")
            ended = self._end_all(connection, "password removed")
        self._tell(ended)

    def add_session(
        self,
        row: SessionRow,
        token: str,
        *,
        password_id: str | None,
        old: str | None,
        spend: Spend | None = None,
    ) -> bool:
        """Store a new session; `old` is the id of the one it replaces in the same browser.

        `password_id` is the password that was verified (None: it came without one). False,
        and nothing stored, if that is no longer the password: a change must not be
        outlived by a sign-in that was under way. False too where `spend` says so.

        The 26th takes the place of one that is over, else of one at the local door (a new
        ticket costs nothing there), else of the one unused for longest. One for a preview takes
        the place of the one that its parent had there, and False also means that the parent
        has ended.
        """
        with self._database.write() as connection:
            if password_id is not None:
                now = connection.execute("SELECT id FROM password").fetchone()
                if now is None or now[0] != password_id:
                    return False
            if spend is not None and not spend(connection):
                return False
            ended = self._end(connection, "replaced", row.name, row.address, "id = ?", (old,))
            if row.parent:
                held = connection.execute("SELECT 1 FROM sessions WHERE id = ?", (row.parent,))
                if held.fetchone() is None:
                    return False
                place, values = "parent = ? AND host = ?", (row.parent, row.host)
                ended += self._end(connection, "replaced", row.name, row.address, place, values)
            else:
                ended += self._make_room(connection, row)
            connection.execute(
                f"INSERT INTO sessions (token_hash, {_COLUMNS}) VALUES (?{_MARKS})",  # noqa: S608
                (fingerprint(token), *(getattr(row, column) for column in _NAMES)),
            )
            event = _EVENTS.get(row.how, AuditEvent.SIGN_IN)
            place = "" if row.parent else places.place_of(row.country, row.address)
            new = bool(place) and places.note(connection, place, row.created_at)
            outcome = f"{_outcome(row)}, {NEW_PLACE}{place}" if new else _outcome(row)
            self._audit.add(connection, event, row.name, row.address, outcome)
        self._tell(ended)
        return True

    def session(self, token: str) -> SessionRow | None:
        """The session of a cookie's token, valid or not; microseconds."""
        rows = self._database.read(
            f"SELECT {_COLUMNS} FROM sessions WHERE token_hash = ?",  # noqa: S608 - names of ours
            (fingerprint(token),),
        )
        return _session(rows[0]) if rows else None

    def sessions(self) -> list[SessionRow]:
        """All stored sessions, last seen first; those for previews go with their parents."""
        rows = self._database.read(
            f"SELECT {_COLUMNS} FROM sessions WHERE parent = '' ORDER BY seen_at DESC"  # noqa: S608
        )
        return [_session(row) for row in rows]

    def touch(self, seen: dict[str, float]) -> None:
        """Note when sessions were last used; never moves back, never revives an ended one."""
        with self._database.write() as connection:
            connection.executemany(
                "UPDATE sessions SET seen_at = max(seen_at, ?) WHERE id = ?",
                [(at, session_id) for session_id, at in seen.items()],
            )

    def rename(self, session_id: str, name: str) -> bool:
        """Call a device something else; False: it is not signed in."""
        with self._database.write() as connection:
            old = connection.execute(
                "SELECT name FROM sessions WHERE id = ? AND parent = ''", (session_id,)
            ).fetchone()
            if old is None:
                return False
            connection.execute("UPDATE sessions SET name = ? WHERE id = ?", (name, session_id))
            told = f"{old[0]} is called {name}"
            self._audit.add(connection, AuditEvent.DEVICE_RENAMED, "owner", "local", told)
        for listener in self._renamed:
            listener()
        return True

    def add_usage(self, moved: Mapping[str, tuple[int, int]]) -> None:
        """Note what devices and bearers of tokens sent and got since the last time."""
        rows = [(received, sent, key) for key, (received, sent) in moved.items()]
        with self._database.write() as connection:
            for table in ("sessions", "api_tokens"):
                connection.executemany(
                    f"UPDATE {table} SET received = received + ?, sent = sent + ? WHERE id = ?",  # noqa: S608
                    rows,
                )

    def end_session(self, session_id: str, who: str, address: str) -> None:
        """Sign out one session."""
        with self._database.write() as connection:
            ended = self._end(connection, "", who, address, "id = ?", (session_id,))
        self._tell(ended)

    def end_passkey(self, passkey_id: str, who: str, address: str) -> bool:
        """Take a passkey away, and end the sessions that it began; False: there is none such."""
        with self._database.write() as connection:
            if not take_away(connection, self._audit, who, address, "revoked", passkey_id):
                return False
            began = "passkey = ?", (passkey_id,)
            ended = self._end(connection, "its passkey was revoked", who, address, *began)
        self._tell(ended)
        return True

    def end_all_sessions(self) -> None:
        """Sign out everybody."""
        with self._database.write() as connection:
            ended = self._end(connection, "all sessions ended", "owner", "local")
        self._tell(ended)

    def panic(self) -> int:
        """End every session, and void every ticket, pairing link, passkey and API token; how
        many sessions there were."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM tickets")
            count = connection.execute("SELECT count(*) FROM sessions WHERE parent = ''")
            signed_in = int(count.fetchone()[0])
            self._audit.add(connection, AuditEvent.PANIC, "owner", "local", "all access ended")
            ended = self._end_all(connection, "all access ended")
        self._tell(ended)
        return signed_in

    def over(self) -> list[str]:
        """The ids of sessions that are over by the clock, those for previews too."""
        rows = self._database.read(f"SELECT id FROM sessions WHERE {_OVER}", (self._clock(),))  # noqa: S608
        return [str(row[0]) for row in rows]

    def end_expired(self) -> None:
        """Remove sessions that are over, so that their open streams are cut too."""
        if not self.over():
            return
        with self._database.write() as connection:
            ended = self._end(connection, "expired", "nexus-tray", "local", _OVER, (self._clock(),))
        self._tell(ended)

    def new_ticket(self, path: str) -> str:
        """A one-time ticket into the local door, good for a minute; `path` is where it leads."""
        token, now = secrets.token_urlsafe(32), self._clock()
        with self._database.write() as connection:
            connection.execute(
                "DELETE FROM tickets WHERE expires_at <= ? OR made_at > ? OR token_hash IN"
                " (SELECT token_hash FROM tickets ORDER BY made_at DESC LIMIT -1 OFFSET ?)",
                (now, now, _MOST_TICKETS - 1),
            )
            connection.execute(
                "INSERT INTO tickets (token_hash, path, made_at, expires_at) VALUES (?, ?, ?, ?)",
                (fingerprint(token), path, now, now + TICKET_SECONDS),
            )
        return token

    def redeem_ticket(self, token: str) -> str | None:
        """Use a ticket up: where it leads, or None when it is unknown, used or too old.

        One transaction, so of any number of redemptions at once one succeeds.
        """
        now = self._clock()
        with self._database.write() as connection:
            row = connection.execute(
                "DELETE FROM tickets WHERE token_hash = ? RETURNING path, made_at, expires_at",
                (fingerprint(token),),
            ).fetchone()
        return str(row[0]) if row and row[1] <= now < row[2] else None

    def _put_hash(self, connection: sqlite3.Connection, hashed: str) -> None:
        connection.execute(
            "REPLACE INTO password (one, id, hash, set_at) VALUES (1, ?, ?, ?)",
            (secrets.token_hex(8), hashed, self._clock()),
        )

    def _make_room(self, connection: sqlite3.Connection, row: SessionRow) -> list[str]:
        """End what is beyond the limit, counting the session that is about to come."""
        surplus = (
            "id IN (SELECT id FROM sessions WHERE parent = '' ORDER BY"
            " min(expires_at, seen_at + idle) <= ?,"
            " door = 'local', seen_at DESC LIMIT -1 OFFSET ?)"
        )
        values = (row.created_at, MOST_SESSIONS - 1)
        return self._end(connection, "too many sessions", row.name, row.address, surplus, values)

    def _end_all(self, connection: sqlite3.Connection, why: str) -> list[str]:
        """End every session, API token and passkey, and void the pairing links not used yet."""
        take_away(connection, self._audit, "owner", "local", why)
        ended = self._end(connection, why, "owner", "local")
        links = connection.execute("DELETE FROM pairings RETURNING id").fetchall()
        if links:
            told = f"{len(links)} not used yet: {why}"
            self._audit.add(connection, AuditEvent.PAIRINGS_ENDED, "owner", "local", told)
        for key, name in connection.execute("DELETE FROM api_tokens RETURNING id, name").fetchall():
            told = f"{name}: {why}"
            self._audit.add(connection, AuditEvent.TOKEN_ENDED, "owner", "local", told)
            ended.append(str(key))
        return ended

    def _end(
        self,
        connection: sqlite3.Connection,
        why: str,
        who: str,
        address: str,
        condition: str = "1",
        values: tuple[object, ...] = (),
    ) -> list[str]:
        """Delete sessions, and those for previews that hang on them, and write a row for each.
        `condition` is text of ours, never input."""
        ended = connection.execute(
            f"DELETE FROM sessions WHERE {condition} RETURNING id, name",  # noqa: S608
            values,
        ).fetchall()
        for parent in [row[0] for row in ended]:
            below = "DELETE FROM sessions WHERE parent = ? RETURNING id, name || ' (preview)'"
            ended += connection.execute(below, (parent,)).fetchall()
        event = AuditEvent.SESSION_ENDED if why else AuditEvent.SIGN_OUT
        for _, name in ended:
            self._audit.add(connection, event, who, address, f"{name}: {why or 'signed out'}")
        return [str(row[0]) for row in ended]

    def _tell(self, ended: list[str]) -> None:
        if ended:
            for listener in self._listeners:
                listener(tuple(ended))


def fingerprint(token: str) -> bytes:
    """What is stored of a token. Tokens are random, so a plain hash cannot be searched."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


_NAMES = SessionRow.__struct_fields__
_COLUMNS = ", ".join(_NAMES)
_MARKS = ", ?" * len(_NAMES)
_OVER = "expires_at <= ?1 OR seen_at + idle <= ?1"
_EVENTS = {"ticket": AuditEvent.TICKET_USED, "pairing": AuditEvent.PAIRED}
_HOW = {
    "code": "signed in with a one-time code",
    "recovery": "signed in with a recovery code",
    "pairing": "paired",
    "passkey": "signed in with a passkey",
}


def _outcome(row: SessionRow) -> str:
    return f"to the preview at {row.host}" if row.parent else _HOW.get(row.how, "signed in")


def _session(row: tuple[object, ...]) -> SessionRow:
    return SessionRow(**dict(zip(_NAMES, row, strict=True)))  # type: ignore[arg-type]
