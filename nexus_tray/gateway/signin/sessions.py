"""Signed-in browsers: cookies in, principals out, and their end.

Owns the cookies, the cache of verified ones and the rule whose session counts at which
door. Imports the model, `store.accounts`, `store.audit` and `gateway.http`. The gateway's
loop asks `authenticate` for every request, so it costs a look into a dictionary, or
one indexed read of the database; what writes is for another thread. Sessions may be ended
from any thread; the cache forgets them before `on_end` is called.

Cookies (SECURITY.md "Sessions"): `__Host-nexus` where visitors come over TLS; at the
local door, plain http on loopback, neither `Secure` nor `__Host-` works everywhere, and
cookies ignore ports, so its cookie has its own name and its sessions count nowhere else.
A preview host has a cookie and sessions of its own, which count at that host only while it
leads to a preview, and end with the session at OpenCode's host that they came from.
"""

import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from nexus_tray.gateway.headers import Headers, once
from nexus_tray.gateway.http import DoorKind, Principal, Request, Visitor
from nexus_tray.gateway.signin.reference_clock import ReferenceClock
from nexus_tray.model import Problem
from nexus_tray.store.accounts import (
    ABSOLUTE_SECONDS,
    IDLE_SECONDS,
    PAIRED_SECONDS,
    Accounts,
    SessionRow,
    Spend,
    fingerprint,
)
from nexus_tray.store.audit import Audit

COOKIES = {
    DoorKind.TUNNEL: "__Host-nexus",
    DoorKind.NETWORK: "__Host-nexus",
    DoorKind.LOCAL: "nexus_local",
}
PREVIEW_COOKIE = "__Host-nexus-preview"
_OUR_NAMES = frozenset((*COOKIES.values(), PREVIEW_COOKIE))
PREVIEW_SECONDS = 12 * 3600.0
"""Asked for anew then, without a password: a preview's own pages can have a pass sent to another
browser, so what they can give away is not good for a week."""
CACHED_SECONDS = 30.0
_TOUCH_SECONDS = 300.0
_MOST_CACHED = 64
SETTLED_SECONDS = 600.0
"""After the start, within which Cloudflare has told the time if it ever does."""
# 256 bits as token_urlsafe writes them; anything else is not even looked up.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass
class _Verified:
    """A cookie that was good `at` (monotonic); `seen_at` by the wall clock."""

    row: SessionRow
    principal: Principal
    at: float
    seen_at: float


class Sessions:
    """All sessions of the gateway.

    `on_end(principal_id)` cuts what the session has open; it is called in whichever
    thread ended the session. `wall` in seconds since the epoch, `monotonic` in seconds.
    """

    def __init__(
        self,
        accounts: Accounts,
        audit: Audit,
        on_end: Callable[[str], None],
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        reference: ReferenceClock | None = None,
    ) -> None:
        self._accounts = accounts
        self._audit = audit
        self._on_end = on_end
        self._wall = wall
        self._monotonic = monotonic
        self._reference = reference or ReferenceClock(wall, monotonic)
        self._lock = threading.Lock()
        self._cache: dict[bytes, _Verified] = {}
        self._unsaved: dict[str, float] = {}
        self._endings = 0
        self._began = monotonic()
        accounts.listen(self._ended)
        accounts.listen_to_names(self._forget_all)

    def authenticate(self, request: Request) -> Principal | None:
        """Whose session this is, at this door and host; every doubt is None. Fast."""
        borne = _borne(request)
        if borne is None:
            return None
        try:
            verified = self._cached(borne) or self._verify(borne)
        except Problem:
            return None  # an unreadable store lets nobody in; the site says why
        if verified is None or not self._fits(verified, request.visitor):
            return None
        self._note(verified)
        return verified.principal

    def clock_uncertain(self) -> bool:
        """The clock is behind what the audit has seen, or far from Cloudflare's: remote
        sign-in and sessions stop."""
        return self._audit.clock_is_behind() or self._reference.off()

    def time_is_sure(self) -> bool:
        """The clock may end for good what is over by it. One that was set ahead, as by a machine
        that starts with a wrong one and learns the time later, must not cost every device its
        session: until Cloudflare has told the time, or long enough has passed to think that it
        never does, and while it tells another, what is over is refused and kept."""
        if self.clock_uncertain():
            return False
        told = self._reference.drift() is not None
        return told or self._monotonic() - self._began >= SETTLED_SECONDS

    def begin(
        self,
        visitor: Visitor,
        name: str,
        *,
        password_id: str | None,
        old: Principal | None,
        parent: Principal | None = None,
        how: str = "password",
        spend: Spend | None = None,
        passkey: str = "",
    ) -> str | None:
        """A new session under a new id; the Set-Cookie value, or None (password changed, or
        what it rests on was used up: see `Accounts.add_session`).

        `old` is the session the browser had, which ends: what was known before signing
        in is worth nothing after it (SECURITY.md 8). `parent`: one for a preview host, which
        lives no longer than that session (None also if that has ended). Waits for the disk.
        Raises Problem.
        """
        token, now = secrets.token_urlsafe(32), self._wall()
        lasts = PAIRED_SECONDS if how == "pairing" else ABSOLUTE_SECONDS
        row = SessionRow(
            id=secrets.token_hex(8),
            door=str(visitor.door.kind),
            host=visitor.host,
            name=name,
            address=visitor.address,
            created_at=now,
            seen_at=now,
            expires_at=min(parent.expires_at, now + PREVIEW_SECONDS) if parent else now + lasts,
            parent=parent.id if parent else "",
            how=how,
            idle=PAIRED_SECONDS if how == "pairing" else IDLE_SECONDS,
            country=visitor.country or "",
            passkey=passkey,
        )
        stored = self._accounts.add_session(
            row, token, password_id=password_id, old=old.id if old else None, spend=spend
        )
        if not stored:
            return None
        age = int(max(0.0, row.expires_at - now))
        return _set_cookie(visitor.door.kind, token, age, preview=parent is not None)

    def end(self, principal: Principal, address: str) -> str:
        """Sign out: the Set-Cookie value that removes the cookie. Waits for the disk."""
        self._accounts.end_session(principal.id, principal.name, address)
        return _set_cookie(principal.door, "", 0, preview=principal.preview)

    def sweep(self) -> None:
        """End what is over and save when sessions were last used. About once a minute,
        in a thread that may wait for the disk; open streams of what is over are cut by it, also
        where it is kept because the time is not sure. Raises Problem.
        """
        with self._lock:
            unsaved, self._unsaved = self._unsaved, {}
        try:
            if unsaved:
                self._accounts.touch(unsaved)
        except Problem:  # such as a full disk: saved next time, or who is here would seem gone
            with self._lock:
                self._unsaved = {**unsaved, **self._unsaved}
            raise
        if self.time_is_sure():
            self._accounts.end_expired()
        else:
            for session_id in self._accounts.over():
                self._on_end(session_id)

    def _cached(self, borne: "_Borne") -> _Verified | None:
        verified = self._cache.get(borne.fingerprint)  # whoever ends one replaces the cache whole
        if verified is None or self._monotonic() - verified.at >= CACHED_SECONDS:
            return None
        return verified

    def _verify(self, borne: "_Borne") -> _Verified | None:
        """Read the session. One that ended while we read must not enter the cache after
        it was cleaned, so then it is read again."""
        while True:
            with self._lock:
                endings = self._endings
            row = self._accounts.session(borne.token)
            if row is None:
                return None
            verified = self._remember(borne, row, endings)
            if verified is not None:
                return verified

    def _remember(self, borne: "_Borne", row: SessionRow, endings: int) -> _Verified | None:
        kind, preview = DoorKind(row.door), bool(row.parent)
        principal = Principal(row.id, row.name, kind, row.expires_at, preview)
        with self._lock:
            if endings != self._endings:
                return None
            seen_at = max(row.seen_at, self._unsaved.get(row.id, row.seen_at))
            verified = _Verified(row, principal, self._monotonic(), seen_at)
            if len(self._cache) >= _MOST_CACHED:
                self._cache.clear()
            self._cache[borne.fingerprint] = verified
        return verified

    def _fits(self, verified: _Verified, visitor: Visitor) -> bool:
        """The session is of this door and host, and its time has not run out."""
        row, door = verified.row, visitor.door.kind
        if row.door != door or row.host != visitor.host:
            return False
        if bool(row.parent) != (visitor.preview is not None):
            return False
        if door is not DoorKind.LOCAL and self.clock_uncertain():
            return False
        now = self._wall()
        return row.valid_at(now, verified.seen_at)

    def _note(self, verified: _Verified) -> None:
        """Remember that it was used just now; `sweep` saves it."""
        now = self._wall()
        verified.seen_at = max(verified.seen_at, now)
        if now - verified.row.seen_at >= _TOUCH_SECONDS:
            with self._lock:
                self._unsaved[verified.row.id] = now

    def _forget_all(self) -> None:
        with self._lock:
            self._endings += 1
            self._cache = {}

    def _ended(self, ids: tuple[str, ...]) -> None:
        gone = frozenset(ids)
        with self._lock:
            self._endings += 1
            self._cache = {key: v for key, v in self._cache.items() if v.row.id not in gone}
            for session_id in gone:
                self._unsaved.pop(session_id, None)
        for session_id in ids:
            self._on_end(session_id)


class _Borne(NamedTuple):
    """A token that a cookie carries."""

    token: str
    fingerprint: bytes


def _borne(request: Request) -> _Borne | None:
    """What our cookie for this place carries; None if it is missing, repeated or malformed.

    Repeated is refused because somebody else set the other one (another port of the
    machine can, RFC 6265 8.5), and which is meant cannot be told.
    """
    visitor = request.visitor
    name = COOKIES[visitor.door.kind] if visitor.preview is None else PREVIEW_COOKIE
    return once(request.headers, _all_borne).get(name)


def _all_borne(headers: Headers) -> dict[str, _Borne]:
    """By the names of our cookies."""
    values = [(name, _cookie_value(headers, name)) for name in _OUR_NAMES]
    return {
        name: _Borne(value, fingerprint(value))
        for name, value in values
        if value is not None and _TOKEN.fullmatch(value)
    }


def cookie_value(request: Request, name: str) -> str | None:
    """The value of the one cookie of that name; None if it is missing or repeated. Blanks are
    those of RFC 6265 only: others are a way past `__Host-`, for a sibling host to use."""
    return _cookie_value(request.headers, name)


def _cookie_value(headers: Headers, name: str) -> str | None:
    found = []
    for key, value in headers:
        if key == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                left, _, right = pair.strip(" \t").partition("=")
                if left == name:
                    found.append(right)
    return found[0] if len(found) == 1 else None


def _set_cookie(door: DoorKind, token: str, max_age: int, *, preview: bool) -> str:
    """RFC 6265bis: `__Host-` demands Secure, Path=/ and no Domain."""
    secure = "" if door is DoorKind.LOCAL else "; Secure"
    name = PREVIEW_COOKIE if preview else COOKIES[door]
    return f"{name}={token}; Path=/; Max-Age={max_age}; HttpOnly{secure}; SameSite=Lax"


_SYSTEMS = ("iPhone", "iPad", "Android", "Windows", "Mac OS X", "CrOS", "Linux")
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
_NAMES = {"Mac OS X": "macOS", "CrOS": "ChromeOS"}


def browser_name(user_agent: str | None) -> str:
    """A session's name for people, "Chrome on Android". A claim of the visitor, no more."""
    agent = user_agent or ""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "A browser")
    system = next((mark for mark in _SYSTEMS if mark in agent), None)
    return f"{browser} on {_NAMES.get(system, system)}" if system else browser
