"""Sign-in over the real gateway: bytes in at the doors, the real site, a recording OpenCode.

What the parts promise one by one (items 8, 9, 10, 14, 37), once more with the relay's own
checks before them, and that nothing of a stranger reaches OpenCode meanwhile.
"""

import contextlib
import re
import socket
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.routes import OPENCODE_ONLY
from nexus_tray.gateway.server import Gateway
from tests.gateway.doubles import (
    HOST,
    SECRET,
    Answer,
    Link,
    RawClient,
    RawUpstream,
    answer_ok,
    no_shape,
    tunnel_request,
)
from tests.gateway.site_world import SiteWorld, open_site
from tests.gateway.worlds import PASSWORD

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def answer_or_stream(link: Link) -> None:
    """A small answer; to /event a stream that does not end by itself."""
    if link.read_head().startswith(b"GET /event "):
        link.send(STREAM + b"8\r\ndata: 1\n\r\n")
        link.ended()
    else:
        answer_ok(link)


@dataclass
class House:
    world: SiteWorld
    gateway: Gateway
    upstream: RawUpstream
    folder: Path

    def client(self) -> RawClient:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self.folder / "run" / "gateway.sock"))
        return RawClient(connection)

    def ask(self, request: bytes, method: str = "GET") -> Answer:
        client = self.client()
        try:
            client.try_send(request)
            return client.answer(method)
        finally:
            client.close()

    def sign_in(
        self, password: str = PASSWORD, query: str = "", cookie: str | None = None
    ) -> Answer:
        body = urllib.parse.urlencode({"username": "owner", "password": password}).encode()
        fields = [
            f"Origin: https://{HOST}",
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(body)}",
        ]
        target = f"/_nexus/sign-in{query}"
        return self.ask(tunnel_request("POST", target, *fields, cookie=cookie, body=body), "POST")

    def cookie(self) -> str:
        """The token of a new session."""
        set_cookie = self.sign_in().get("set-cookie") or ""
        found = re.match(r"__Host-nexus=([\w-]{43}); Path=/; .*Secure", set_cookie)
        assert found, set_cookie
        return found[1]

    def get(self, target: str = "/session", cookie: str | None = None) -> Answer:
        return self.ask(tunnel_request("GET", target, "Accept: text/html", cookie=cookie))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with contextlib.ExitStack() as ending:
        world = open_site(tmp_path, now=time.time())  # the relay's own clock is the real one
        ending.callback(world.close)
        upstream = RawUpstream(answer_or_stream)
        ending.callback(upstream.close)
        socket_path = tmp_path / "run" / "gateway.sock"
        gateway = Gateway(world.site, no_shape, socket_path, 0, Bounds(sweep=0.05))
        ending.callback(gateway.close)
        gateway.start()
        gateway.set_upstream(upstream.upstream)
        gateway.set_routes({"quick": OPENCODE_ONLY})
        gateway.open_door("quick", SECRET, holds_events=True)
        yield House(world, gateway, upstream, tmp_path)


def seen(house: House) -> bytes:
    return house.upstream.received


def test_from_stranger_to_session_and_back(house: House) -> None:
    stranger = house.get("/L2hvbWU/session")
    assert (stranger.status, stranger.get("location")) == (
        303,
        "/_nexus/sign-in?next=/L2hvbWU/session",
    )
    form = house.get("/_nexus/sign-in?next=/L2hvbWU/session")
    assert b'type="password"' in form.body
    assert house.sign_in("a wrong password").status == 403
    assert seen(house) == b""
    cookie = house.cookie()
    assert house.get(cookie=cookie).status == 200
    assert cookie.encode() not in seen(house)
    assert PASSWORD.encode() not in seen(house)
    out = house.ask(
        tunnel_request(
            "POST",
            "/_nexus/sign-out",
            f"Origin: https://{HOST}",
            "Content-Length: 0",
            cookie=cookie,
        ),
        "POST",
    )
    assert out.status == 303
    before = seen(house)
    assert house.get(cookie=cookie).status == 303
    assert seen(house) == before


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", f"http://{HOST}"])
def test_a_form_posted_from_elsewhere(house: House, origin: str | None) -> None:
    body = f"password={urllib.parse.quote_plus(PASSWORD)}".encode()
    fields = ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    if origin is not None:
        fields.append(f"Origin: {origin}")
    answer = house.ask(
        tunnel_request("POST", "/_nexus/sign-in", *fields, cookie=None, body=body), "POST"
    )
    assert answer.status == 403
    assert answer.get("set-cookie") is None
    assert house.world.vault.accounts.sessions() == []


def test_a_huge_password_is_refused_by_its_length(house: House) -> None:
    fields = ["Content-Type: application/x-www-form-urlencoded", "Content-Length: 10000000"]
    request = tunnel_request(
        "POST", "/_nexus/sign-in", f"Origin: https://{HOST}", *fields, cookie=None
    )
    assert house.ask(request, "POST").status == 413
    assert house.world.vault.passwords.slowest() == 0.0, "nothing was hashed"


def test_every_page_has_its_guards(house: House) -> None:
    cookie = house.cookie()
    for target, held in [("/_nexus/sign-in", None), ("/_nexus/", cookie), ("/_nexus/none", None)]:
        answer = house.get(target, held)
        assert answer.get("x-frame-options") == "DENY"
        assert answer.get("x-content-type-options") == "nosniff"
        assert answer.get("referrer-policy") == "strict-origin"
        assert answer.get("cache-control") == "no-store"
        assert "frame-ancestors 'none'" in (answer.get("content-security-policy") or "")


def test_a_password_change_cuts_an_open_stream(house: House) -> None:
    """SECURITY.md "Sessions": within 5 s; `on_end` is the gateway's cut, as in app.door."""
    cookie = house.cookie()

    def cut(ended: tuple[str, ...]) -> None:
        for session_id in ended:
            house.gateway.cut(session_id)

    house.world.vault.accounts.listen(cut)
    client = house.client()
    try:
        client.try_send(tunnel_request("GET", "/event", cookie=cookie))
        assert client.head().status == 200
        client.read_until(b"data: 1\n")
        began = time.monotonic()
        house.world.vault.accounts.set_password("quite another set of words")
        assert b"data" not in client.rest(), "nothing more comes, and the connection ends"
        assert time.monotonic() - began < 5.0
    finally:
        client.close()
    assert house.get(cookie=cookie).status == 303


def test_the_local_door(house: House) -> None:
    port = house.gateway.local_port
    ticket = house.world.vault.accounts.new_ticket("/L2hvbWU/session")

    def ask(target: str, cookie: str = "") -> Answer:
        client = RawClient(socket.create_connection(("127.0.0.1", port)))
        fields = f"Host: 127.0.0.1:{port}\r\nAccept: text/html\r\n{cookie}"
        client.try_send(f"GET {target} HTTP/1.1\r\n{fields}\r\n".encode())
        answer = client.answer()
        client.close()
        return answer

    entered = ask(f"/_nexus/enter?ticket={ticket}")
    assert (entered.status, entered.get("location")) == (303, "/L2hvbWU/session")
    assert entered.get("referrer-policy") == "no-referrer"
    held = (entered.get("set-cookie") or "").split(";")[0]
    assert held.startswith("nexus_local=")
    assert ask("/session", f"Cookie: {held}\r\n").status == 200
    assert held.encode() not in seen(house)
    assert ask(f"/_nexus/enter?ticket={ticket}").status == 403
    elsewhere = held.replace("nexus_local=", "")
    assert house.get(cookie=elsewhere).status == 303, "a local session counts at no tunnel"


def test_a_revoked_session_on_a_kept_connection(house: House) -> None:
    cookie = house.cookie()
    client = house.client()
    try:
        client.try_send(tunnel_request("GET", "/session", cookie=cookie))
        assert client.answer().status == 200
        house.world.vault.accounts.end_all_sessions()
        client.try_send(tunnel_request("GET", "/session", "Accept: text/html", cookie=cookie))
        assert client.answer().status == 303
    finally:
        client.close()
    assert house.get(cookie=cookie).status == 303
