"""Who can come in, who did, and what happened at the doors."""

from typing import Annotated

import msgspec

from nexus_tray.model import Value


class Device(Value, frozen=True):
    """One signed-in browser or paired phone.

    `door`: `public`, `local` or `network`; `host`: its name there. `how` it came in: `password`,
    `code` (password and one-time code), `recovery` (password and recovery code), `passkey`,
    `pairing` or `ticket` (from this computer). `received` and `sent`: bytes from it and to it.
    `country` as Cloudflare told it when the device signed in.
    """

    id: str
    name: str
    address: str
    door: str
    host: str
    signed_in_at: float
    seen_at: float
    expires_at: float
    how: str = "password"
    received: int = 0
    sent: int = 0
    country: str | None = None


class TokenEntry(Value, frozen=True):
    """One API token. `scope`: `full` or `read`; `seen_at` and `address`: its last use, if any."""

    id: str
    name: str
    scope: str
    made_at: float
    expires_at: float
    seen_at: float | None = None
    address: str = ""
    received: int = 0
    sent: int = 0


class PasskeyEntry(Value, frozen=True):
    """One passkey. `host`: where alone it signs in; `used_at`: when it last did, if ever."""

    id: str
    name: str
    host: str
    made_at: float
    used_at: float | None = None


class PairingEntry(Value, frozen=True):
    """One pairing link that was not used yet. `host`: where it leads."""

    id: str
    host: str
    name: str
    made_at: float
    expires_at: float


class AuditEntry(Value, frozen=True):
    """One row of the audit trail: who did what, from where."""

    id: int
    at: float
    event: str
    who: str
    address: str
    text: str


class AuditQuery(Value, frozen=True):
    """Which rows of the audit trail are wanted; every filter left out matches all.

    `words` must all occur, in whichever part of a row; `events` are the events' names. The
    newest `limit` matches are answered. `before` pages backwards: only ids below.
    """

    words: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    events: tuple[str, ...] = ()
    since_at: float | None = None
    until_at: float | None = None
    before: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200


class AuditPage(Value, frozen=True):
    """The answer to an AuditQuery, newest first. `more`: older ones match too."""

    entries: tuple[AuditEntry, ...] = ()
    more: bool = False


class Access(Value, frozen=True):
    """Who can come in: whether a password is set, who is signed in, what happened lately.

    `second_factor`: signing in asks for a one-time code too, and so many `recovery_codes` are
    left. `pairings` are the links not used yet. `countries`: from where visitors came since the
    program's start, as Cloudflare told (none: it has told none). `trail` has the newest first.
    """

    password: bool
    second_factor: bool = False
    recovery_codes: int = 0
    devices: tuple[Device, ...] = ()
    pairings: tuple[PairingEntry, ...] = ()
    tokens: tuple[TokenEntry, ...] = ()
    passkeys: tuple[PasskeyEntry, ...] = ()
    countries: tuple[str, ...] = ()
    trail: tuple[AuditEntry, ...] = ()
