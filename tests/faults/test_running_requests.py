"""What a change does to the requests that run: an upload and its answer, byte for byte.

Through the lab, a named tunnel, the gateway and a server behind it. Changed routes end nothing;
what starts cloudflared anew leaves running requests the grace, and ends them after it.
"""

import contextlib
import hashlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path as FilePath

import pytest

from nexus_tray.commands import CreateTunnel, SetRoutes
from nexus_tray.core.driver import Restart
from nexus_tray.gateway.routes import table_of
from nexus_tray.model import ServiceState
from nexus_tray.paths import Paths
from nexus_tray.services.cloudflared_launch import Identity
from nexus_tray.services.cloudflared_watch import Limits
from nexus_tray.settings import RouteSettings, TunnelSettings
from tests.app.test_named_tunnels import CODE, PREVIEW, PROGRAMS, Desk, make_desk
from tests.cloudflare.lab import Lab, until
from tests.cloudflare.path import TUNNEL, Path
from tests.faults.levers import QUICKLY
from tests.gateway.doubles import Link, RawUpstream

S = ServiceState
GRACE = 2
THIRD = RouteSettings(hostname="third.lab.example", service="http://localhost:5999")
BODY = random.Random(4).randbytes(600_000)
PIECES = 60


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    running = Lab(tmp_path_factory.mktemp("lab") / "lab")
    yield running
    running.close()


class Echo:
    """Answers each request with what it is sent, at once and piece by piece."""

    def __init__(self) -> None:
        self.received = 0
        self.upstream = RawUpstream(self._script)

    def _script(self, link: Link) -> None:
        link.read_until(lambda data: b"\r\n\r\n" in data)
        head, _, start = bytes(link.received).partition(b"\r\n\r\n")
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        stream = link.socket.makefile("rb")
        with stream:
            chunked = b"transfer-encoding: chunked" in head.lower()
            for piece in _pieces(Joined(start, stream), chunked=chunked):
                self.received += len(piece)
                link.send(piece)


class Joined:
    """What was read already, and then the rest."""

    def __init__(self, start: bytes, stream: BufferedReader) -> None:
        self.start, self.stream = start, stream

    def read(self, most: int) -> bytes:
        if self.start:
            data, self.start = self.start[:most], self.start[most:]
            return data
        return self.stream.read1(most)

    def line(self) -> bytes:
        found = bytearray()
        while not found.endswith(b"\r\n"):
            data = self.read(1)
            if not data:
                raise ConnectionError("ended")
            found += data
        return bytes(found)


def _pieces(stream: Joined, *, chunked: bool) -> Iterator[bytes]:
    """The body that the gateway sends up, without its framing."""
    while size := int(stream.line(), 16) if chunked else len(BODY):
        while size:
            data = stream.read(min(size, 65536))
            if not data:
                return
            size -= len(data)
            yield data
        if not chunked:
            return
        stream.line()


class Upload:
    """A visitor that sends BODY slowly and keeps what comes back."""

    def __init__(self, lab: Lab, host: str) -> None:
        where = lab.info["front"].rpartition("/")[2]
        name, _, port = where.rpartition(":")
        self.socket = socket.create_connection((name, int(port)), 20)
        head = (
            f"POST /upload HTTP/1.1\r\nHost: {host}\r\nCookie: __Host-nexus=ada\r\n"
            f"Origin: https://{host}\r\nContent-Length: {len(BODY)}\r\n\r\n"
        )
        self.socket.sendall(head.encode())
        self.got = bytearray()
        self.ended_at: float | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._sent = 0

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.socket.recv(65536):
                self.got += data
                if self.whole:
                    break
        self.ended_at = time.monotonic()

    @property
    def answer(self) -> bytes:
        return bytes(self.got).partition(b"\r\n\r\n")[2]

    @property
    def whole(self) -> bool:
        return self.answer == BODY

    def send(self, pieces: int) -> None:
        size = len(BODY) // PIECES
        for _ in range(pieces):
            try:
                self.socket.sendall(BODY[self._sent : self._sent + size])
            except OSError as error:
                raise AssertionError(f"ended: {bytes(self.got)[:400]!r}") from error
            self._sent += size
            time.sleep(0.01)  # slow, as a visitor is: no logic waits for it

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(5)
        self.socket.close()


class Home:
    """A named tunnel made by the desk, running; the server behind; one upload under way."""

    def __init__(self, desk: Desk, path: Path, echo: Echo, transport: str) -> None:
        self.desk, self.path, self.echo = desk, path, echo
        desk.done(CreateTunnel(name="home", kind="named", routes=(CODE,)))
        made = self.tunnel
        path.stable = True
        path.gateway.start()
        self.reroute()
        path.gateway.set_upstream(echo.upstream.upstream)
        path.site.sign_in()
        path.site.limit = len(BODY)
        identity = Identity(
            "named", made.tunnel_id, credentials=desk.paths.credentials(made.tunnel_id)
        )
        hosts = lambda: tuple(route.hostname for route in self.tunnel.routes)  # noqa: E731
        limits = Limits(grace=GRACE)
        path.supervise(path.driver(transport, limits, identity=identity, routes=hosts), QUICKLY)
        path.until(lambda s: s.state is S.RUNNING and s.facts.address, "running")
        self.upload = Upload(desk.lab, CODE.hostname)
        try:
            self.upload.send(PIECES // 3)
        except AssertionError:
            self.upload.close()
            raise
        until(lambda: self.echo.received > len(BODY) // 4, f"under way: {self.upload.got[:300]!r}")

    @property
    def tunnel(self) -> TunnelSettings:
        return self.desk.tunnels()["home"]

    @property
    def pid(self) -> int | None:
        return self.path.tunnel.facts.pid if self.path.tunnel else None

    def reroute(self) -> None:
        """As the door does when the settings change."""
        self.path.gateway.set_routes({TUNNEL: table_of([self.tunnel])["home"]})

    def set_routes(self, *routes: RouteSettings) -> None:
        command = SetRoutes(name="home", routes=routes)
        key = self.desk(command)
        if key:
            until(lambda: self.tunnel.routes == routes, "changed")
        self.reroute()


@pytest.fixture(params=[f"{p} {t}" for p in sorted(PROGRAMS) for t in ("http2", "quic")])
def home(
    request: pytest.FixtureRequest, lab: Lab, paths: Paths, tmp_path: FilePath
) -> Iterator[Home]:
    lab.reset()
    program, transport = request.param.split()
    desk = make_desk(lab, paths, PROGRAMS[program], tmp_path)
    desk.sign_in()
    for name in desk.records():
        zone = f"/zones/{lab.info['zone']}/dns_records"
        for record in desk.api("GET", f"{zone}?name={name}"):
            desk.api("DELETE", f"{zone}/{record['id']}")
    for one in desk.at_cloudflare("home"):
        account = f"/accounts/{lab.info['account']}/cfd_tunnel"
        desk.api("DELETE", f"{account}/{one['id']}?cascade=true")
    folder = tmp_path / "path"
    folder.mkdir(mode=0o700)
    path, echo = Path(lab, PROGRAMS[program], folder), Echo()
    made = None
    try:
        made = Home(desk, path, echo, transport)
        yield made
    finally:
        if made is not None:
            made.upload.close()
        path.close()
        echo.upstream.close()
        desk.keeper.close()


def test_changed_routes_lose_no_byte_of_a_running_request(home: Home) -> None:
    pid = home.pid
    for routes in ((CODE, PREVIEW), (PREVIEW, CODE), (THIRD, PREVIEW, CODE), (CODE, THIRD)):
        home.set_routes(*routes)
        home.upload.send(PIECES // 6)
    assert [r.hostname for r in home.tunnel.routes] == [CODE.hostname, THIRD.hostname]
    assert home.pid == pid
    until(lambda: home.upload.whole, "the whole answer")
    assert hashlib.sha256(home.upload.answer).digest() == hashlib.sha256(BODY).digest()
    assert home.path.tunnel is not None
    assert home.path.tunnel.restarts == 0


def test_a_restart_lets_a_request_end_within_the_grace(home: Home) -> None:
    pid = home.pid
    home.path.supervisor.post(TUNNEL, Restart())
    home.upload.send(PIECES - PIECES // 3)
    until(lambda: home.upload.whole, "the whole answer")
    home.path.until(
        lambda s: s.state is S.RUNNING and s.facts.pid not in (None, pid),
        f"not {pid}",
    )


def test_a_restart_ends_a_request_only_after_the_grace(home: Home) -> None:
    pid, began = home.pid, time.monotonic()
    home.path.supervisor.post(TUNNEL, Restart())
    until(lambda: home.upload.ended_at is not None, "the end")
    assert home.upload.ended_at is not None
    assert GRACE - 0.3 <= home.upload.ended_at - began <= GRACE + 3.0
    assert not home.upload.whole
    home.path.until(
        lambda s: s.state is S.RUNNING and s.facts.pid not in (None, pid),
        f"not {pid}",
    )
