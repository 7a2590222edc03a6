"""Previews against a real service (aiohttp): http and https, WebSockets, addresses, time limits."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from aiohttp import WSMsgType, web

from nexus_tray.settings import RouteSettings
from tests.gateway.doubles import Answer, RawClient, tunnel_request
from tests.security.test_previews import APP, CODE, PAGE, UPGRADE, Place


class DevServer:
    """A service as strict as development servers are: only its own Host, and for WebSockets
    only its own Origin. `/slow` answers when it is let."""

    def __init__(self, host: str, tls: ssl.SSLContext | None = None) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family)
        self._socket.bind((host, 0))
        self.port: int = self._socket.getsockname()[1]
        self.authority = f"localhost:{self.port}"
        self.scheme = "https" if tls else "http"
        self.peers: set[object] = set()
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self.go = asyncio.Event()
        begun = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(begun,))
        self._thread.start()
        assert begun.wait(10)

    @property
    def address(self) -> str:
        return f"{self.scheme}://{self.authority}"

    def _run(self, begun: threading.Event) -> None:
        self._loop.run_until_complete(self._serve(begun))
        self._loop.close()

    async def _serve(self, begun: threading.Event) -> None:
        application = web.Application()
        application.router.add_route("*", "/{rest:.*}", self._answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, self._socket, ssl_context=self._tls).start()
        begun.set()
        await self._over.wait()
        await runner.cleanup()
        await asyncio.sleep(0.3)  # the last goodbyes

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.host != self.authority:
            return web.Response(status=403, text=f"not a host of mine: {request.host}")
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        if request.headers.get("upgrade"):
            if request.headers.get("origin") != self.address:
                return web.Response(status=403, text="not an origin of mine")
            outer = web.WebSocketResponse()
            await outer.prepare(request)
            async for message in outer:
                if message.type is WSMsgType.TEXT:
                    await outer.send_str(message.data.upper())
            return outer
        if request.path == "/slow":
            await self.go.wait()
        return web.Response(text="hello from the page", content_type="text/html")

    def let_go(self) -> None:
        self._loop.call_soon_threadsafe(self.go.set)

    def close(self) -> None:
        self.let_go()
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)


@contextlib.contextmanager
def serving(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[DevServer]:
    made = DevServer(host, tls)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


def lead(place: Place, service: str, **more: object) -> None:
    route = RouteSettings(hostname=APP, service=service, **more)  # type: ignore[arg-type]
    place.routes(RouteSettings(hostname=CODE), route)


def look(place: Place, cookie: str, target: str = "/") -> Answer:
    return place.ask(APP, target, PAGE, "Accept-Encoding: gzip, br", cookie=cookie)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_localhost_is_either_address(place: Place, host: str) -> None:
    with serving(host) as server:
        lead(place, server.address)
        answer = look(place, place.come_in(place.sign_in()))
        assert (answer.status, answer.body) == (200, b"hello from the page")
        assert answer.get("content-encoding") is None  # nothing of it is changed


def test_a_connection_is_kept_for_its_session_only(place: Place) -> None:
    with serving() as server:
        lead(place, server.address)
        first = place.come_in(place.sign_in())
        for _ in range(3):
            assert look(place, first).status == 200
        assert len(server.peers) == 1
        second = place.come_in(place.sign_in())
        assert look(place, second).status == 200
        assert len(server.peers) == 2


def frame(text: str) -> bytes:
    """A client's text frame (RFC 6455, 5.2), masked with zeros."""
    return bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text.encode()


def shake(place: Place, cookie: str, origin: str) -> tuple[RawClient, Answer]:
    client = place.connect()
    more = (f"Cookie: {cookie}", f"Origin: {origin}", *UPGRADE)
    client.send(tunnel_request("GET", "/?token=x", *more, cookie=None, host=APP))
    return client, client.head()


def test_hot_reload_works_over_its_websocket(place: Place) -> None:
    with serving() as server:
        lead(place, server.address)
        cookie = place.come_in(place.sign_in())
        client, answer = shake(place, cookie, f"https://{APP}")
        assert answer.status == 101
        client.send(frame("full-reload"))
        assert client.read(13) == b"\x81\x0bFULL-RELOAD"
        client.close()
        client, answer = shake(place, cookie, f"https://{CODE}")
        assert answer.status == 403
        client.close()


@pytest.mark.parametrize(
    ("verified", "own_ca", "status"),
    [(True, True, 200), (True, False, 502), (False, False, 200)],
)
def test_tls_with_its_own_authority(
    place: Place, tmp_path: Path, *, verified: bool, own_ca: bool, status: int
) -> None:
    authority, file = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with serving(tls=context) as server:
        lead(place, server.address, verify_tls=verified, ca_file=str(file) if own_ca else "")
        answer = look(place, place.come_in(place.sign_in()))
        assert answer.status == status
        assert (b"certificate is not believed" in answer.body) == (status == 502)


@pytest.mark.parametrize("text", ["", "no certificate"])
def test_a_ca_file_that_is_none(place: Place, tmp_path: Path, text: str) -> None:
    file = tmp_path / "ca.pem"
    if text:
        file.write_text(text)
    with serving() as server:
        lead(place, f"https://{server.authority}", ca_file=str(file))
        assert look(place, place.come_in(place.sign_in())).status == 502


def test_what_answers_too_late_is_said(place: Place) -> None:
    with serving() as server:
        lead(place, server.address, answer_timeout=1)
        cookie = place.come_in(place.sign_in())
        answer = look(place, cookie, "/slow")
        assert answer.status == 502
        assert b"within the time" in answer.body
        lead(place, server.address)  # without a limit it may think
        client = place.connect()
        client.send(tunnel_request("GET", "/slow", f"Cookie: {cookie}", cookie=None, host=APP))
        server.let_go()
        assert client.answer().status == 200
        client.close()


def test_what_cannot_be_connected_in_time_is_said(place: Place) -> None:
    """A listener whose queue is full: the handshake is never answered."""
    cookie = place.come_in(place.sign_in())
    with contextlib.ExitStack() as open_:
        full = open_.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(2):
            waiting = open_.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        lead(place, f"http://127.0.0.1:{full.getsockname()[1]}", connect_timeout=1)
        answer = look(place, cookie)
        assert answer.status == 502
        assert b"within 1 s" in answer.body
