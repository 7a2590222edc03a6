"""One-time passes: how a signed-in person comes to a preview on a host name of its own.

Owns the passes that are out, in memory only, as hashes. Imports `gateway.http` and
`store.accounts` (the hash). Runs on the gateway's event loop.

A pass is good for one minute and once, at one preview host of one tunnel, in the browser that
asked for it there: that browser holds a secret of the preview host's (the visit), and the pass
is bound to the hash of it (the seal). So neither a pass that was read somewhere nor a link that
somebody sends signs anybody in (CWE-352, login).
"""

import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from nexus_tray.gateway.http import Principal
from nexus_tray.store.accounts import fingerprint

PASS_SECONDS = 60.0
_MOST = 200
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Visit:
    """What a pass stands for. `path` is local to the preview host; times are monotonic."""

    host: str
    door: str
    parent: Principal
    seal: str
    path: str
    given_at: float


def is_token(text: str) -> bool:
    """256 bits as we write them, and nothing else."""
    return _TOKEN.fullmatch(text) is not None


def seal_of(visit: str) -> str:
    """What the OpenCode host learns of the secret that the browser has at the preview host."""
    return fingerprint(visit).hex()


class Visits:
    """The passes that are out; the oldest go when there are too many."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._out: dict[bytes, Visit] = {}

    def give(self, host: str, door: str, parent: Principal, seal: str, path: str) -> str:
        """A new pass for that session, to that preview host of the tunnel `door`."""
        now = self._monotonic()
        self._out = {
            key: visit for key, visit in self._out.items() if now - visit.given_at < PASS_SECONDS
        }
        while len(self._out) >= _MOST:
            self._out.pop(next(iter(self._out)))
        token = secrets.token_urlsafe(32)
        self._out[fingerprint(token)] = Visit(host, door, parent, seal, path, now)
        return token

    def redeem(self, token: str, host: str, door: str, visit: str) -> Visit | None:
        """Use a pass up: what it stands for, or None when it is not good here and now."""
        found = self._out.pop(fingerprint(token), None)
        if found is None or self._monotonic() - found.given_at >= PASS_SECONDS:
            return None
        if (found.host, found.door) != (host, door) or not is_token(visit):
            return None
        return found if hmac.compare_digest(found.seal, seal_of(visit)) else None
