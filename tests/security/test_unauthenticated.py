"""SECURITY.md 2: every path of OpenCode x every method x {none, forged, expired, revoked}, and
WebSocket, SSE, OPTIONS, HEAD: refused, the connection closed, and OpenCode sees nothing.

`tests/opencode_lab/paths.json` holds the paths and methods of 1.18.33's OpenAPI document.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.doubles import HOST, House, house, tunnel_request

PATHS: dict[str, list[str]] = json.loads(
    (Path(__file__).parent.parent / "opencode_lab" / "paths.json").read_text(encoding="utf-8")
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ORIGIN = f"Origin: https://{HOST}"
CREDENTIALS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "none": (None, ()),
    "forged": ("made-up", ("Authorization: Bearer nx_made-up",)),
    "expired": ("expired", ()),
    "revoked": ("revoked", ("Authorization: Basic b3BlbmNvZGU6eA==",)),
}
SMUGGLED = tunnel_request("GET", "/smuggled")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("unauthenticated")) as made:
        for gone in ("expired", "revoked"):
            made.site.sign_in(gone)
            del made.site.sessions[gone]
        yield made


def turned_away(home: House, request: bytes, method: str = "GET") -> None:
    client = home.tunnel()
    client.try_send(request + SMUGGLED)
    answer = client.answer(method)
    assert answer.status == 401, answer
    assert client.closed(), "a stranger's connection was kept"
    client.close()


def concrete(path: str) -> str:
    return path.replace("{", "").replace("}", "").replace("*", "x")


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_every_path_and_method_is_closed(home: House, credential: str) -> None:
    cookie, lines = CREDENTIALS[credential]
    assert len(PATHS) > 150
    for path in PATHS:
        for method in METHODS:
            body = () if method in ("GET", "HEAD", "OPTIONS") else ("Content-Length: 2",)
            request = tunnel_request(method, concrete(path), ORIGIN, *lines, *body, cookie=cookie)
            turned_away(home, request + (b"{}" if body else b""), method)
    assert home.raw.links == []


KINDS = {
    "websocket": (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ),
    "events": ("Accept: text/event-stream",),
    "preflight": ("Access-Control-Request-Method: POST",),
    "expecting": ("Expect: 100-continue", "Content-Length: 2"),
    "chunked": ("Transfer-Encoding: chunked",),
    "range": ("Range: bytes=0-1",),
    "ticket": ("x-opencode-ticket: 1",),
    "directory": ("x-opencode-directory: /",),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("credential", CREDENTIALS)
def test_no_kind_of_request_is_an_exception(home: House, credential: str, kind: str) -> None:
    cookie, lines = CREDENTIALS[credential]
    for target in (
        "/", "/event", "/global/event", "/pty/1/connect?ticket=x", "/doc", "/global/health",
        "/assets/index.js", "/favicon.ico", "/config", "/nowhere",
    ):  # fmt: skip
        for version in ("1.1", "1.0"):
            more = () if kind == "chunked" and version == "1.0" else KINDS[kind]
            request = tunnel_request("GET", target, *lines, *more, cookie=cookie, version=version)
            turned_away(home, request)
    assert home.raw.links == []


def test_the_session_of_one_door_is_none_at_another(home: House) -> None:
    client = home.local()
    port = home.gateway.local_port
    client.send(
        f"GET /x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: __Host-nexus=ada\r\n\r\n".encode()
    )
    assert client.answer().status == 401
    turned_away(home, tunnel_request("GET", "/x", "Cookie: nexus_local=ada", cookie=None))
    assert home.raw.links == []


def test_our_own_pages_end_a_strangers_connection_too(home: House) -> None:
    client = home.tunnel()
    client.send(tunnel_request("GET", "/_nexus/sign-in", cookie=None) + SMUGGLED)
    assert client.answer().status == 200
    assert client.closed()
    assert home.raw.links == []


def test_the_same_connection_is_judged_anew_for_each_request(home: House) -> None:
    """cloudflared mixes all visitors on one connection: the last one's session says nothing."""
    client = home.tunnel()
    client.send(tunnel_request("GET", "/_nexus/mine"))
    assert client.answer().status == 200
    client.send(tunnel_request("GET", "/x", cookie=None))
    assert client.answer().status == 401
    assert client.closed()
    assert home.raw.links == []


def test_it_would_be_noticed_if_something_went_up(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        assert home.ask(tunnel_request("GET", "/session")).status == 200
        assert len(home.raw.links) == 1
