"""The gateway's half of the proof that a public address leads here, and to nobody else.

Owns the questions that this program itself asked moments ago, and the key that signs their
answers: random, of this gateway alone. Whatever is no such question is not answered here, and
so meets what any unknown path of ours meets: a stranger learns nothing. Imports
`gateway.http`. `ask` and `judge` may be called from any thread, `answer` runs on the gateway's
event loop; a lock is between them, held for a few lookups.
"""

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from nexus_tray.gateway.http import PREFIX, DoorKind, Request, Response

PATH = f"{PREFIX}proof/"
LIFETIME = 60.0
"""Seconds for which a question is answered: longer than a visit of ours may take."""
MOST = 256
"""Questions that are open at a time; the oldest gives way."""


class Answer(Enum):
    """What came back: our gateway's word by that tunnel, by another one, or somebody else's."""

    OURS = "ours"
    ASTRAY = "astray"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class Question:
    """One question. `path` is what to ask for; `judge` what an answer's body is worth."""

    path: str = field(repr=False)  # whoever knows it could have it answered
    judge: Callable[[bytes], Answer]


@dataclass
class _Open:
    tunnel: str
    until: float
    came_by: str | None = None


class Proofs:
    """Asks and answers. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}

    def ask(self, tunnel: str) -> Question:
        """A question that only this gateway can answer, meant to come through that tunnel."""
        nonce = secrets.token_urlsafe(32)
        with self._lock:
            now = self._clock()
            alive = [(n, one) for n, one in self._open.items() if one.until > now]
            self._open = dict(alive[-(MOST - 1) :])
            asked = self._open[nonce] = _Open(tunnel, now + LIFETIME)
        return Question(PATH + nonce, lambda body: self._judge(nonce, asked, body))

    def answer(self, request: Request) -> Response | None:
        """The signed answer to a question of ours; None: it is none, treat it as any other."""
        door = request.visitor.door
        if not request.path.startswith(PATH) or request.query or request.websocket:
            return None
        if request.method != "GET" or door.kind is not DoorKind.TUNNEL:
            return None
        nonce = request.path.removeprefix(PATH)
        with self._lock:
            asked = self._open.get(nonce)
            if asked is None or asked.until <= self._clock():
                return None
            asked.came_by = door.name
        body = self._sign(nonce, door.name)
        return Response(200, (("content-type", "text/plain; charset=utf-8"),), body)

    def _judge(self, nonce: str, asked: _Open, body: bytes) -> Answer:
        with self._lock:
            came_by = asked.came_by
        if came_by is None or not hmac.compare_digest(body, self._sign(nonce, came_by)):
            return Answer.FOREIGN
        return Answer.OURS if came_by == asked.tunnel else Answer.ASTRAY

    def _sign(self, nonce: str, tunnel: str) -> bytes:
        said = f"{nonce}\n{tunnel}".encode()
        return hmac.new(self._key, said, hashlib.sha256).hexdigest().encode("ascii")
