"""API tokens at the doors: whose token a request bears.

Owns how a token is brought, and the cache of verified ones. Imports `gateway.http` and the store's
tokens. `authenticate` runs on the gateway's loop for every request: a look into a dictionary, or
one indexed read; what writes is for another thread.

`Authorization: Bearer nx_…` (RFC 6750), or `Basic` with the token as the password (RFC 7617), which
is what OpenCode's own clients send. Whoever bears a token is judged by it alone: a cookie beside a
bad one helps nothing. A token counts for OpenCode's paths at every door, and for nothing of ours.
"""

import base64
import binascii
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from nexus_tray.gateway.headers import Headers, once
from nexus_tray.gateway.http import PREFIX, DoorKind, Principal, Request
from nexus_tray.model import Problem
from nexus_tray.store.accounts import fingerprint
from nexus_tray.store.api_tokens import ApiTokens, TokenRow
from nexus_tray.store.places import network

CACHED_SECONDS = 30.0
TOUCH_SECONDS = 300.0
_MOST_CACHED = 64
_MOST_NOTED = 16
_TOKEN = re.compile(r"nx_[A-Za-z0-9_-]{43}")


@dataclass
class _Verified:
    """A token that was good `at` (monotonic); `noted`: when its use from which network was last
    told, wall clock."""

    row: TokenRow
    principal: Principal
    at: float
    noted: dict[str, float] = field(default_factory=dict)


def borne(request: Request) -> str | None:
    """The token a request bears, well formed or not; None: it bears none."""
    return once(request.headers, _borne)


def _borne(headers: Headers) -> str | None:
    values = [value for key, value in headers if key == b"authorization"]
    for value in values:
        kind, _, rest = value.decode("latin-1").partition(" ")
        token = _of_basic(rest) if kind.lower() == "basic" else rest.strip()
        if kind.lower() in ("bearer", "basic") and token.startswith("nx_"):
            return token if len(values) == 1 else ""
    return None


class TokenBearers:
    """Whose tokens these are. `clock_uncertain`: nobody can say what is over; then remote doors
    are shut to tokens too. `noted` is told the uses that are to be written down (id, address,
    wall clock), `refused` from which address a token came that is not good; neither waits."""

    def __init__(
        self,
        tokens: ApiTokens,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        clock_uncertain: Callable[[], bool],
        noted: Callable[[str, str, float], None],
        refused: Callable[[str], None],
    ) -> None:
        self._tokens = tokens
        self._wall = wall
        self._monotonic = monotonic
        self._clock_uncertain = clock_uncertain
        self._noted = noted
        self.refused = refused
        self._lock = threading.Lock()
        self._cache: dict[bytes, _Verified] = {}
        self._endings = 0
        self._last_place = ("", "")

    def forget(self, ids: tuple[str, ...]) -> None:
        """These have ended. Any thread; in force on return."""
        gone = frozenset(ids)
        with self._lock:
            self._endings += 1
            self._cache = {key: v for key, v in self._cache.items() if v.row.id not in gone}

    def authenticate(self, request: Request, token: str) -> Principal | None:
        """Whose it is, here and now; every doubt is None. Fast."""
        visitor = request.visitor
        if not _TOKEN.fullmatch(token) or visitor.preview is not None:
            return None
        if request.path.startswith(PREFIX):
            return None
        try:
            verified = self._cached(token) or self._verify(token)
        except Problem:
            return None  # an unreadable store lets nobody in
        if verified is None or not verified.row.valid_at(self._wall()):
            return None
        if visitor.door.kind is not DoorKind.LOCAL and self._clock_uncertain():
            return None
        self._note(verified, visitor.address)
        return verified.principal

    def _cached(self, token: str) -> _Verified | None:
        with self._lock:
            verified = self._cache.get(fingerprint(token))
            if verified is None or self._monotonic() - verified.at >= CACHED_SECONDS:
                return None
            return verified

    def _verify(self, token: str) -> _Verified | None:
        """Read it. One that ended while we read must not enter the cache after it was cleaned,
        so then it is read again."""
        while True:
            with self._lock:
                endings = self._endings
            row = self._tokens.find(token)
            if row is None:
                return None
            # the kind of door says nothing here: a token counts at each
            principal = Principal(
                row.id, row.name, DoorKind.LOCAL, row.expires_at, token=True,
                read_only=row.scope != "full",
            )  # fmt: skip
            verified = _Verified(row, principal, self._monotonic())
            with self._lock:
                if endings != self._endings:
                    continue
                old = self._cache.get(fingerprint(token))
                if old is not None:
                    verified.noted = old.noted
                if len(self._cache) >= _MOST_CACHED:
                    self._cache.clear()
                self._cache[fingerprint(token)] = verified
            return verified

    def _place(self, address: str) -> str:
        """`network`, remembered for the last address: this runs for every request."""
        last, place = self._last_place
        if last != address:
            place = network(address)
            self._last_place = (address, place)
        return place

    def _note(self, verified: _Verified, address: str) -> None:
        """Each network is told now and then, and only so many: two machines that ask in turn, or
        one with many addresses, must not push all else out of the audit trail (CWE-779)."""
        now = self._wall()
        noted, place = verified.noted, self._place(address)
        if abs(now - noted.get(place, -TOUCH_SECONDS)) < TOUCH_SECONDS:
            return
        for known in [one for one, at in noted.items() if abs(now - at) >= TOUCH_SECONDS]:
            del noted[known]
        if len(noted) < _MOST_NOTED:
            noted[place] = now
            self._noted(verified.row.id, address, now)


def _of_basic(text: str) -> str:
    """The password of Basic's user and password; empty where it is none."""
    try:
        plain = base64.b64decode(text.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
    return plain.partition(":")[2]
