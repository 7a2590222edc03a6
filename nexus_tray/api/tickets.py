"""How a browser comes by its bearer token: a one-time ticket, exchanged once.

Owns the tickets and the sessions they become (SECURITY.md "Local dashboard and API"). A
ticket stands in the address that is opened, behind `#`, so it is in no request, no Referer
and no log; it works once, for a minute. The session's token lives in the page's
sessionStorage and dies with this start of the product: only a restart after a crash gets
the sessions of before. Both are kept as hashes only. Imports the model; any thread.
"""

import hashlib
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from nexus_tray.model import Problem

log = logging.getLogger(__name__)

TICKET_SECONDS = 60.0
MOST_TICKETS = 16
MOST_SESSIONS = 32
"""Pages open at a time; one more ends the one that was silent longest."""


Hashes = tuple[bytes, ...]
"""The hashes of the tokens of open sessions, the one that was silent longest first."""


def _nowhere(_: Hashes) -> None:
    return


class Tickets:
    """Tickets and sessions of one program. `clock` is monotonic, in seconds.

    `sessions` are those of before a crash; `keep` is called with all of them whenever there
    is another, and may raise Problem. `own` is this program's token, the one in api.json.
    It is no session, but kept with them: who read it just before a crash waits for the next
    program, and is answered by that.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sessions: Iterable[bytes] = (),
        keep: Callable[[Hashes], None] = _nowhere,
        own: str = "",
    ) -> None:
        self._clock = clock
        self._keep = keep
        self._keeping = threading.Lock()
        self._own = (_hash(own),) if own else ()
        self._lock = threading.Lock()
        self._tickets: OrderedDict[bytes, float] = OrderedDict()
        self._sessions: OrderedDict[bytes, None] = OrderedDict.fromkeys(sessions)
        self._try_to_store()

    def issue(self) -> str:
        """A new ticket: 256 bits, good once within TICKET_SECONDS."""
        ticket = secrets.token_urlsafe(32)
        with self._lock:
            self._tickets[_hash(ticket)] = self._clock() + TICKET_SECONDS
            while len(self._tickets) > MOST_TICKETS:
                self._tickets.popitem(last=False)
        return ticket

    def redeem(self, ticket: str) -> str | None:
        """The bearer token for a ticket; None if it was used, is too old or never was."""
        with self._lock:
            until = self._tickets.pop(_hash(ticket), None)
            if until is None or self._clock() > until:
                return None
            token = secrets.token_urlsafe(32)
            self._sessions[_hash(token)] = None
            while len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        self._try_to_store()
        return token

    def admits(self, token: str) -> bool:
        """Whether this is the token of a session."""
        # Looked up by its hash, so how long it takes says nothing about a token that exists.
        key = _hash(token)
        with self._lock:
            if key not in self._sessions:
                return False
            self._sessions.move_to_end(key)
            return True

    def void_all(self) -> None:
        """End every session and every ticket, now and for every later program.

        Raises Problem when the last part could not be made sure of; the rest is done then.
        """
        with self._lock:
            self._tickets.clear()
            self._sessions.clear()
        self._store()

    def _store(self) -> None:
        # What is written last is what was true last, whoever comes first here.
        with self._keeping:
            with self._lock:
                sessions = tuple(self._sessions)
            self._keep(sessions + self._own)

    def _try_to_store(self) -> None:
        try:
            self._store()
        except Problem as problem:  # pages work all the same, until a crash
            log.warning("Open pages cannot be remembered: %s", problem.reason)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
