"""The gateway's nouns: door, visitor, request, response, principal, and its inner seams.

Pure values and protocols, imported by every module of the gateway, so that the relay
(bytes), the site (our own pages and sign-in) and the shapers (compression, injection)
know each other only by these names. Everything here lives on the gateway's event loop.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from nexus_tray.gateway.headers import Headers

PREFIX = "/_nexus/"
"""Paths of ours; everything else is OpenCode's."""


class DoorKind(StrEnum):
    """The ways in, each with its own admission rule and cookie."""

    TUNNEL = "tunnel"
    LOCAL = "local"
    NETWORK = "network"


@dataclass(frozen=True)
class Door:
    """One way in. `name` is the tunnel's, "local" or "network".

    `holds_events`: this way holds back server-sent events until they end (quick tunnels),
    so event streams must go over the bridge. `secure`: visitors come over TLS.
    """

    kind: DoorKind
    name: str
    holds_events: bool = False
    secure: bool = True


@dataclass(frozen=True)
class Preview:
    """Another service than OpenCode that a host name leads to, as its owner set it.

    `address` in his words (`http://localhost:5173`); `authority` is what it sees as Host.
    `verify`: its certificate is checked, against `ca_file` (empty: the system's authorities).
    `connect_timeout` in seconds; `answer_timeout`: until its answer begins (0: no limit).
    """

    address: str
    host: str
    port: int
    tls: bool
    authority: str
    verify: bool = True
    ca_file: str = ""
    connect_timeout: float = 5.0
    answer_timeout: float = 0.0

    @property
    def origin(self) -> str:
        """What a page of the service's own would send as Origin."""
        return f"{'https' if self.tls else 'http'}://{self.authority}"


@dataclass(frozen=True)
class Visitor:
    """Who sent a request, as far as the way in vouches for it.

    `address` is CF-Connecting-IP where a tunnel's channel check passed, "local" at the
    local door, the peer's at the local network's. `host` is the authority of the Host field,
    lower case; `origin` is what a same-origin Origin field must say. `preview`: the service
    that this host leads to (None: OpenCode).
    """

    door: Door
    address: str
    host: str
    origin: str
    country: str | None = None
    preview: Preview | None = None


@dataclass(frozen=True)
class Request:
    """A request that passed the rules and its door. `path` and `query` are the raw target's
    parts, never decoded or normalised: what is judged is what is forwarded.

    `body` is filled only for paths of ours (bounded by `Site.body_limit`).
    """

    method: str
    path: str
    query: str
    headers: Headers
    visitor: Visitor
    body: bytes = b""
    websocket: bool = False

    def get(self, name: bytes) -> str | None:
        """The value of the one field of that lower-case name; None if absent or repeated."""
        values = [value for key, value in self.headers if key == name]
        return values[0].decode("latin-1") if len(values) == 1 else None

    @property
    def target(self) -> str:
        """The request target as it was sent."""
        return f"{self.path}?{self.query}" if self.query else self.path


@dataclass(frozen=True)
class Response:
    """An answer of our own. Content-Length and the standing security fields are added."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    close: bool = False


@dataclass(frozen=True)
class Principal:
    """A signed-in session, or an API token. `id` is opaque, not secret; upstream pools are kept
    per id. `preview`: it counts at one preview host and nowhere else. `token`: a program's, which
    counts for OpenCode and for nothing of ours; `read_only`: by the list of `signin.reading`."""

    id: str
    name: str
    door: DoorKind
    expires_at: float = field(default=0.0, compare=False)
    preview: bool = False
    token: bool = False
    read_only: bool = False


class Channel(Protocol):
    """A raw connection to a visitor after `101 Switching Protocols`."""

    async def read(self) -> bytes:
        """The next bytes; empty at the end."""

    async def write(self, data: bytes) -> None:
        """Send, waiting while the peer is slow."""

    def close(self) -> None:
        """End the connection."""


class Shaper(Protocol):
    """Changes one response on its way to the visitor. `head` is called first and once; without
    `changes_body` nothing else is, and the body passes as it is."""

    @property
    def changes_body(self) -> bool:
        """Its bytes may become others, or of another number."""

    def head(self, status: int, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The fields to send; framing fields are the relay's and are not among them."""

    def feed(self, data: bytes) -> bytes:
        """What to send for these bytes of the body."""

    def finish(self) -> bytes:
        """What remains to be sent at the body's end."""


Shape = Callable[[Request, int, Headers], Shaper | None]
"""Decides, from the request and the response's status and fields, whether to change it."""


class Site(Protocol):
    """Everything under PREFIX, and who may pass to OpenCode."""

    def body_limit(self, request: Request) -> int:
        """The most bytes of body this request of ours may have; more is a 413."""

    def authenticate(self, request: Request) -> Principal | None:
        """Whose session the request carries. Fast (cached); False doubts end as None."""

    async def respond(self, request: Request, principal: Principal | None) -> Response:
        """Answer a request under PREFIX (signed in or not)."""

    def stranger(self, request: Request) -> Response:
        """Answer any other request of a visitor without a session: sign-in page or 401."""

    def local_copy(self, request: Request) -> Response | None:
        """The web manifest and its icons, which browsers fetch without cookies; else None."""

    def websocket(
        self, request: Request, principal: Principal | None
    ) -> Callable[[Channel], Awaitable[None]] | Response:
        """Accept a WebSocket under PREFIX with a handler that begins by writing the 101
        response itself, or refuse it with an answer."""


@dataclass(frozen=True)
class Upstream:
    """Where OpenCode listens now, and the credential only we add (`Basic ...`)."""

    host: str
    port: int
    authorization: bytes = field(repr=False)  # secret: not for logs and tracebacks
