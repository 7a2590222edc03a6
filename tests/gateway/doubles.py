"""Stand-ins around the real relay: a small site, an upstream that records every byte, a client.

The site keeps sessions in a dict: the cookie `__Host-nexus=<id>` (local door: `nexus_local`)
is a session if its id is in `sessions`. The upstream is a real listening socket with a thread
for each connection; it answers what a script tells it, byte for byte.
"""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.headers import Headers
from nexus_tray.gateway.http import (
    Channel,
    DoorKind,
    Principal,
    Request,
    Response,
    Shaper,
    Upstream,
)
from nexus_tray.gateway.routes import OPENCODE_ONLY
from nexus_tray.gateway.server import Gateway

SECRET = "s3cret-channel-of-the-quick-tunnel"
HOST = "quiet-river.trycloudflare.com"
CREDENTIAL = b"Basic b3BlbmNvZGU6b3Vycw=="

Handler = Callable[[Channel], Awaitable[None]]


class SmallSite:
    """`gateway.http.Site` with sessions in a dict. `seen` records what it was asked."""

    def __init__(self) -> None:
        self.sessions: dict[str, Principal] = {}
        self.seen: list[Request] = []
        self.limit = 1024
        self.respond_with: Callable[[Request, Principal | None], Awaitable[Response]] | None = None
        self.handler: Handler | None = None

    def sign_in(self, name: str = "ada", expires_at: float = 0.0) -> str:
        self.sessions[name] = Principal(f"id-{name}", name, DoorKind.TUNNEL, expires_at)
        return name

    def body_limit(self, request: Request) -> int:
        return self.limit

    def authenticate(self, request: Request) -> Principal | None:
        self.seen.append(request)
        name = {DoorKind.TUNNEL: "__Host-nexus", DoorKind.LOCAL: "nexus_local"}
        wanted = name[request.visitor.door.kind]
        for key, value in request.headers:
            if key == b"cookie":
                for pair in value.decode("latin-1").split(";"):
                    left, _, right = pair.strip().partition("=")
                    if left == wanted and right in self.sessions:
                        return self.sessions[right]
            if key == b"authorization" and value.startswith(b"Bearer nx_"):
                return self.sessions.get(value.removeprefix(b"Bearer nx_").decode("latin-1"))
        return None

    async def respond(self, request: Request, principal: Principal | None) -> Response:
        if self.respond_with is not None:
            return await self.respond_with(request, principal)
        who = principal.name if principal else "nobody"
        text = f"ours {request.method} {request.target} {who} {len(request.body)}"
        return Response(200, (("content-type", "text/plain"),), text.encode())

    def stranger(self, request: Request) -> Response:
        return Response(401, (("content-type", "text/plain"),), b"sign in first\n")

    def local_copy(self, request: Request) -> Response | None:
        if request.path == "/site.webmanifest":
            return Response(200, (("content-type", "application/manifest+json"),), b"{}")
        return None

    def websocket(self, request: Request, principal: Principal | None) -> Handler | Response:
        if principal is None or self.handler is None:
            return Response(401, (), b"")
        return self.handler


def no_shape(request: Request, status: int, headers: Headers) -> Shaper | None:
    return None


@dataclass
class Link:
    """One connection that reached the upstream: every byte received, and a way to answer."""

    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)

    def read_until(self, done: Callable[[bytes], bool]) -> bytes:
        while not done(bytes(self.received)):
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError(f"ended after {bytes(self.received)!r}")
            self.received += data
        return bytes(self.received)

    def read_head(self, count: int = 1) -> bytes:
        """Wait for the count-th head (of requests without bodies)."""
        return self.read_until(lambda data: data.count(b"\r\n\r\n") >= count)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ended(self) -> bytes:
        """Read on to the end of the connection."""
        with contextlib.suppress(ConnectionError):
            while data := self.socket.recv(65536):
                self.received += data
        return bytes(self.received)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer_ok(link: Link) -> None:
    """Answers each request (without a body) with a small 200, for ever."""
    with contextlib.suppress(ConnectionError):
        count = 0
        while True:
            count += 1
            link.read_head(count)
            link.send(OK)


class RawUpstream:
    """A listening socket; each connection is given to `script` in a thread of its own."""

    def __init__(self, script: Callable[[Link], None] = answer_ok) -> None:
        self.script = script
        self.links: list[Link] = []
        self.errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def upstream(self) -> Upstream:
        return Upstream("127.0.0.1", self.port, CREDENTIAL)

    @property
    def received(self) -> bytes:
        return b"".join(bytes(link.received) for link in list(self.links))

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(20.0)
            link = Link(connection)
            self.links.append(link)
            thread = threading.Thread(target=self._run, args=(link,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, link: Link) -> None:
        try:
            self.script(link)
        except (ConnectionError, TimeoutError) as error:
            self.errors.append(error)
        finally:
            link.socket.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self.links:
            with contextlib.suppress(OSError):
                link.socket.shutdown(socket.SHUT_RDWR)
        for thread in [self._accepting, *self._threads]:
            thread.join(5.0)


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def get(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name]
        return found[0] if found else None


class RawClient:
    """A visitor with a plain socket: sends bytes as given, reads answers or raw bytes."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(10.0)
        self.buffer = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def try_send(self, data: bytes) -> None:
        """As `send`; it may be closed already."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(self.buffer)
        self.buffer += data

    def read(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self._more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            self._more()
        end = self.buffer.index(mark) + len(mark)
        data, self.buffer = self.buffer[:end], self.buffer[end:]
        return data

    def head(self) -> Answer:
        lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        matched = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", lines[0])
        assert matched, lines[0]
        pairs = [line.partition(": ")[::2] for line in lines[1:] if line]
        return Answer(int(matched[1]), pairs, b"")

    def answer(self, method: str = "GET") -> Answer:
        """One whole answer, by its framing."""
        answer = self.head()
        while 100 <= answer.status < 200 and answer.status != 101:
            answer = self.head()
        if method == "HEAD" or answer.status in (101, 204, 304):
            return answer
        length = answer.get("content-length")
        if answer.get("transfer-encoding") == "chunked":
            answer.body = self._chunks()
        elif length is not None:
            answer.body = self.read(int(length))
        else:
            answer.body = self.rest()
        return answer

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.read_until(b"\r\n"), 16):
            body += self.read(size)
            assert self.read(2) == b"\r\n"
        assert self.read(2) == b"\r\n"
        return body

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                self._more()
        data, self.buffer = self.buffer, b""
        return data

    def closed(self) -> bool:
        """The gateway ended the connection, with nothing more sent."""
        return self.rest() == b""

    def close(self) -> None:
        self.socket.close()


def tunnel_request(
    method: str = "GET",
    target: str = "/",
    *fields: str,
    cookie: str | None = "ada",
    secret: str = SECRET,
    host: str = HOST,
    body: bytes = b"",
    version: str = "1.1",
) -> bytes:
    """A request as our cloudflared sends it."""
    lines = [f"{method} {target} HTTP/{version}", f"Host: {host}"]
    lines += fields
    if cookie is not None:
        lines.append(f"Cookie: __Host-nexus={cookie}")
    lines += ["CF-Connecting-IP: 203.0.113.9", f"Cf-Warp-Tag-Gw: {secret}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class House:
    """A running gateway with its doubles, and clients that are closed with it."""

    def __init__(
        self,
        folder: Path,
        site: SmallSite | None = None,
        script: Callable[[Link], None] = answer_ok,
        bounds: Bounds | None = None,
        shape: Callable[[Request, int, Headers], Shaper | None] = no_shape,
    ) -> None:
        self.site = site or SmallSite()
        self.site.sign_in()
        self.raw = RawUpstream(script)
        self.socket_path = folder / "run" / "gateway.sock"
        self.gateway = Gateway(self.site, shape, self.socket_path, 0, bounds or Bounds(sweep=0.05))
        self._clients: list[RawClient] = []
        try:
            self.gateway.start()
            self.gateway.set_upstream(self.raw.upstream)
            self.gateway.set_routes(dict.fromkeys(("quick", "work", "home"), OPENCODE_ONLY))
            self.gateway.open_door("quick", SECRET, holds_events=True)
        except BaseException:
            self.close()
            raise

    def tunnel(self) -> RawClient:
        """A new connection as cloudflared's."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self.socket_path))
        self._clients.append(RawClient(connection))
        return self._clients[-1]

    def local(self) -> RawClient:
        """A new connection to the local door."""
        connection = socket.create_connection(("127.0.0.1", self.gateway.local_port))
        self._clients.append(RawClient(connection))
        return self._clients[-1]

    def ask(self, request: bytes, method: str = "GET") -> Answer:
        """One request on a connection of its own."""
        client = self.tunnel()
        client.try_send(request)
        answer = client.answer(method)
        client.close()
        return answer

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.gateway.close()
        self.raw.close()


@contextlib.contextmanager
def house(
    folder: Path,
    site: SmallSite | None = None,
    script: Callable[[Link], None] = answer_ok,
    bounds: Bounds | None = None,
    shape: Callable[[Request, int, Headers], Shaper | None] = no_shape,
) -> Iterator[House]:
    made = House(folder, site, script, bounds, shape)
    try:
        yield made
    finally:
        made.close()


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for a condition; fail when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not come about")
        time.sleep(0.005)
