"""SECURITY.md "Other local services": a preview, however hostile, is on a host name of its own,
behind the same sign-in, and can do nothing to OpenCode's host. Real gateway, site, database."""

import contextlib
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.http import DoorKind, Principal
from nexus_tray.gateway.routes import Table, table_of
from nexus_tray.gateway.server import Gateway
from nexus_tray.gateway.signin.visits import Visits, seal_of
from nexus_tray.gateway.site.site import GatewaySite
from nexus_tray.model import Desired, Facts, Service, ServiceKind, ServiceState
from nexus_tray.settings import RouteSettings, TunnelSettings
from tests.gateway.doubles import (
    CREDENTIAL,
    SECRET,
    Answer,
    Link,
    RawClient,
    RawUpstream,
    no_shape,
    tunnel_request,
)
from tests.gateway.site_world import open_site
from tests.gateway.worlds import PASSWORD

CODE, APP, THIRD = "code.example.com", "app.example.com", "third.example.com"
PAGE = "Accept: text/html"
UPGRADE = (
    "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)  # fmt: skip


def tunnel(*routes: RouteSettings, name: str = "work", kind: str = "named") -> TunnelSettings:
    return TunnelSettings(name=name, kind=kind, routes=routes)  # type: ignore[arg-type]


class Place:
    """The gateway with OpenCode on one host name and a preview on another."""

    def __init__(self, folder: Path, bounds: Bounds | None = None) -> None:
        self.opencode, self.preview = RawUpstream(), RawUpstream()
        self.service = f"http://127.0.0.1:{self.preview.port}"
        self.table: Table = {}
        self.world = open_site(folder, now=time.time())
        self.world.site.close()
        around = replace(self.world.world, routes=lambda: self.table)
        self.world.site = GatewaySite(around)
        self.path = folder / "run" / "gateway.sock"
        bounds = bounds or Bounds(sweep=0.05)
        self.gateway = Gateway(self.world.site, no_shape, self.path, 0, bounds)
        self.world.vault.accounts.listen(self.cut)
        self.gateway.start()
        self.gateway.set_upstream(self.opencode.upstream)
        self.gateway.open_door("work", SECRET, holds_events=False)
        self.routes(RouteSettings(hostname=CODE), self.to_preview())

    def cut(self, ids: tuple[str, ...]) -> None:
        for one in ids:
            self.gateway.cut(one)

    def to_preview(self, **more: object) -> RouteSettings:
        given = {"hostname": APP, "service": self.service, **more}
        return RouteSettings(**given)  # type: ignore[arg-type]

    def routes(self, *routes: RouteSettings) -> None:
        self.table = table_of([tunnel(*routes)])
        self.gateway.set_routes(self.table)

    def connect(self) -> RawClient:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self.path))
        return RawClient(connection)

    def ask(
        self, host: str, target: str = "/", *fields: str, method: str = "GET", cookie: str = "",
        body: bytes = b"",
    ) -> Answer:  # fmt: skip
        more = (f"Cookie: {cookie}",) if cookie else ()
        client = self.connect()
        client.try_send(
            tunnel_request(method, target, *fields, *more, cookie=None, host=host, body=body)
        )
        answer = client.answer(method)
        client.close()
        return answer

    def sign_in(self) -> str:
        body = urllib.parse.urlencode({"password": PASSWORD}).encode()
        answer = self.ask(
            CODE, "/_nexus/sign-in", f"Origin: https://{CODE}", f"Content-Length: {len(body)}",
            "Content-Type: application/x-www-form-urlencoded", method="POST", body=body,
        )  # fmt: skip
        assert answer.status == 303, answer
        return cookies(answer)[0]

    def knock(self, target: str = "/x?y=1", host: str = APP) -> tuple[str, str]:
        """A stranger's visit to the preview: where he is sent, and the visit's cookie."""
        answer = self.ask(host, target, PAGE)
        assert answer.status == 303, answer
        return answer.get("location") or "", cookies(answer)[0]

    def passed(self, home: str, asked: str, *fields: str) -> str:
        """OpenCode's host sends on: the target at the preview host."""
        target = asked.removeprefix(f"https://{CODE}")
        answer = self.ask(CODE, target, "Sec-Fetch-Site: same-site", "Sec-Fetch-Dest: document",
                          *fields, cookie=home)  # fmt: skip
        assert answer.status == 303, answer
        location = answer.get("location") or ""
        assert location.startswith(f"https://{APP}/_nexus/enter?pass=")
        assert answer.get("referrer-policy") == "no-referrer"
        return location.removeprefix(f"https://{APP}")

    def come_in(self, home: str) -> str:
        """The whole way; the cookie of the preview host."""
        asked, visit = self.knock()
        answer = self.ask(APP, self.passed(home, asked), PAGE, cookie=visit)
        assert (answer.status, answer.get("location")) == (303, "/x?y=1")
        return cookies(answer)[0]

    def close(self) -> None:
        self.gateway.close()
        self.world.close()
        self.opencode.close()
        self.preview.close()


def once(data: bytes) -> Callable[[Link], None]:
    """A service that answers this, and then hears until it is left."""

    def script(link: Link) -> None:
        link.read_head()
        link.send(data)
        if data.endswith(b"1"):
            link.ended()

    return script


def cookies(answer: Answer) -> list[str]:
    found = [value for name, value in answer.headers if name.lower() == "set-cookie"]
    return [value.split(";", 1)[0] for value in found]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


# -- the way in --------------------------------------------------------------------------------


def test_the_whole_way(place: Place) -> None:
    home = place.sign_in()
    cookie = place.come_in(home)
    assert cookie.startswith("__Host-nexus-preview=")
    assert place.preview.received == b""
    assert place.ask(APP, "/x?y=1", cookie=cookie).body == b"ok"
    assert place.preview.received.startswith(b"GET /x?y=1 HTTP/1.1\r\n")
    assert place.opencode.received == b""


def test_signed_out_he_signs_in_at_opencodes_host_first(place: Place) -> None:
    asked, visit = place.knock()
    target = asked.removeprefix(f"https://{CODE}")
    answer = place.ask(CODE, target, PAGE)
    assert answer.status == 303
    sign_in = answer.get("location") or ""
    assert sign_in.startswith("/_nexus/sign-in?next=/_nexus/visit")
    body = urllib.parse.urlencode({"password": PASSWORD}).encode()
    answer = place.ask(
        CODE, sign_in, f"Origin: https://{CODE}", f"Content-Length: {len(body)}",
        "Content-Type: application/x-www-form-urlencoded", method="POST", body=body,
    )  # fmt: skip
    assert answer.get("location") == target
    # a form's answer may not redirect to another host: here it is a page that goes on
    onward = place.ask(CODE, target, PAGE, "Sec-Fetch-Site: same-origin", cookie=cookies(answer)[0])
    assert onward.status == 200
    leads_to = (onward.get("refresh") or "").removeprefix(f"0; url=https://{APP}")
    assert place.ask(APP, leads_to, PAGE, cookie=visit).status == 303


@pytest.mark.parametrize(
    ("fields", "method"),
    [((), "GET"), (("Accept: */*",), "GET"), ((PAGE,), "POST"), (UPGRADE, "GET"), ((), "OPTIONS")],
)
def test_what_is_no_page_is_refused(place: Place, fields: tuple[str, ...], method: str) -> None:
    for cookie in ("", "__Host-nexus-preview=" + "x" * 43, place.sign_in()):
        answer = place.ask(APP, "/x", *fields, method=method, cookie=cookie)
        assert answer.status == 401
    assert place.preview.received == place.opencode.received == b""


def test_without_an_address_of_opencodes_a_page_says_so(place: Place) -> None:
    place.routes(place.to_preview())
    answer = place.ask(APP, "/", PAGE)
    assert answer.status == 503
    assert b"Sign in to OpenCode first" in answer.body
    # another tunnel that runs will do
    place.table = table_of([tunnel(place.to_preview()), tunnel(name="other", kind="quick")])
    other = Service(
        name="other", kind=ServiceKind.TUNNEL, desired=Desired.RUNNING,
        state=ServiceState.RUNNING, since_at=0.0,
        facts=Facts(address="https://calm-river.trycloudflare.com"),
    )  # fmt: skip
    place.world.snapshot = msgspec.structs.replace(place.world.snapshot, services=(other,))
    answer = place.ask(APP, "/", PAGE)
    assert (answer.get("location") or "").startswith("https://calm-river.trycloudflare.com/_nexus/")


# -- passes ------------------------------------------------------------------------------------


def test_a_pass_works_once_and_where_it_was_asked_for(place: Place) -> None:
    place.routes(RouteSettings(hostname=CODE), place.to_preview(), place.to_preview(hostname=THIRD))
    home = place.sign_in()
    asked, visit = place.knock()
    _, foreign = place.knock()
    for cookie in ("", foreign, f"{visit}; {visit}", "__Host-nexus-visit="):  # stolen, or sent
        target = place.passed(home, asked)
        assert place.ask(APP, target, PAGE, cookie=cookie).status == 403
        assert place.ask(APP, target, PAGE, cookie=visit).status == 403  # and is used up
    target = place.passed(home, asked)
    assert place.ask(THIRD, target, PAGE, cookie=visit).status == 403
    target = place.passed(home, asked)
    assert place.ask(CODE, target, PAGE, cookie=visit).status == 404
    assert place.ask(APP, target, PAGE, "Sec-Purpose: prefetch", cookie=visit).status == 503
    assert place.ask(APP, target, method="HEAD", cookie=visit).status == 503
    assert place.ask(APP, target, PAGE, cookie=visit).status == 303
    assert place.ask(APP, target, PAGE, cookie=visit).status == 403
    assert place.preview.received == b""


def test_a_pass_is_too_old_after_a_minute() -> None:
    now = [100.0]
    visits, secret = Visits(lambda: now[0]), "x" * 43
    parent = Principal("id", "ada", DoorKind.TUNNEL)
    token = visits.give(APP, "work", parent, seal_of(secret), "/")
    now[0] += 60.0
    assert visits.redeem(token, APP, "work", secret) is None
    token = visits.give(APP, "work", parent, seal_of(secret), "/")
    assert visits.redeem(token, APP, "other", secret) is None
    token = visits.give(APP, "work", parent, seal_of(secret), "/")
    now[0] += 59.0
    assert visits.redeem(token, APP, "work", secret) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"to": "evil.example"}, {"to": CODE}, {"to": f"{APP}@evil.example"}, {"to": f"{APP}:99"},
        {"to": f"{APP}\r\nX: y"}, {"to": ""}, {"seal": ""}, {"seal": "x" * 64},
    ],
)  # fmt: skip
def test_a_visit_leads_to_previews_only(place: Place, change: dict[str, str]) -> None:
    home, (asked, _) = place.sign_in(), place.knock()
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(asked).query)) | change
    answer = place.ask(CODE, f"/_nexus/visit?{urllib.parse.urlencode(query)}", PAGE, cookie=home)
    assert answer.status in (400, 404)
    assert answer.get("location") is answer.get("refresh") is None


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "https://evil.example", "x"])
def test_what_comes_after_is_on_the_preview_host(place: Place, path: str) -> None:
    home, (asked, visit) = place.sign_in(), place.knock()
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(asked).query)) | {"next": path}
    target = place.passed(home, f"/_nexus/visit?{urllib.parse.urlencode(query)}")
    assert place.ask(APP, target, PAGE, cookie=visit).get("location") == "/"


# -- the session -------------------------------------------------------------------------------


def test_each_session_counts_on_its_own_host_only(place: Place) -> None:
    home = place.sign_in()
    cookie = place.come_in(home)
    token = cookie.partition("=")[2]
    assert place.ask(CODE, "/x", cookie=cookie).status == 401
    assert place.ask(CODE, "/x", cookie=f"__Host-nexus={token}").status == 401
    assert place.ask(APP, "/x", cookie=home).status == 401
    assert place.ask(APP, "/x", cookie=home.replace("nexus=", "nexus-preview=")).status == 401
    # nor when the host name leads to OpenCode one day
    place.routes(RouteSettings(hostname=CODE), RouteSettings(hostname=APP))
    for sent in (cookie, f"__Host-nexus={token}"):
        assert place.ask(APP, "/x", cookie=sent).status == 401
    assert place.opencode.received == place.preview.received == b""


def test_it_ends_with_its_parent_and_its_streams_are_cut(place: Place) -> None:
    accounts = place.world.vault.accounts
    for end in ("revoked", "signed out", "password", "all"):
        home = place.sign_in()
        cookie = place.come_in(home)
        place.preview.script = once(b"HTTP/1.1 200 OK\r\n\r\n1")
        client = place.connect()
        more = f"Cookie: {cookie}"
        client.send(tunnel_request("GET", "/stream", more, cookie=None, host=APP))
        client.read_until(b"1\r\n1\r\n")
        before = time.monotonic()
        if end == "revoked":
            accounts.end_session(accounts.sessions()[0].id, "owner", "local")
        elif end == "signed out":
            place.ask(CODE, "/_nexus/sign-out", f"Origin: https://{CODE}", method="POST",
                      cookie=home)  # fmt: skip
        elif end == "password":
            accounts.set_password(PASSWORD + "!")
            accounts.set_password(PASSWORD)
        else:
            accounts.end_all_sessions()
        client.rest()
        assert time.monotonic() - before < 5.0, end
        assert place.ask(APP, "/x", cookie=cookie).status == 401, end
        client.close()


def test_a_pass_of_an_ended_session_brings_nothing(place: Place) -> None:
    home, (asked, visit) = place.sign_in(), place.knock()
    target = place.passed(home, asked)
    place.world.vault.accounts.end_all_sessions()
    assert place.ask(APP, target, PAGE, cookie=visit).status == 403


def test_sign_out_of_a_preview_leaves_the_rest(place: Place) -> None:
    home = place.sign_in()
    cookie = place.come_in(home)
    foreign = place.ask(APP, "/_nexus/sign-out", f"Origin: https://{CODE}", method="POST",
                        cookie=cookie)  # fmt: skip
    assert foreign.status == 403
    answer = place.ask(APP, "/_nexus/sign-out", f"Origin: https://{APP}", method="POST",
                       cookie=cookie)  # fmt: skip
    assert answer.status == 200
    assert cookies(answer) == ["__Host-nexus-preview="]
    assert place.ask(APP, "/x", cookie=cookie).status == 401
    assert place.ask(CODE, "/x", cookie=home).status == 200


# -- what is ours on a preview host ------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["", "sign-in", "answer", "home-fragment", "visit", "events", "live.js", "unheard-of"]
)
def test_there_is_nothing_else_of_ours(place: Place, path: str) -> None:
    cookie = place.come_in(place.sign_in())
    for sent in ("", cookie):
        for method in ("GET", "POST"):
            answer = place.ask(APP, f"/_nexus/{path}", f"Origin: https://{APP}", method=method,
                               cookie=sent)  # fmt: skip
            assert answer.status == 404
        answer = place.ask(APP, f"/_nexus/{path}", f"Origin: https://{APP}", *UPGRADE, cookie=sent)
        assert answer.status in (401, 404)
    assert place.world.commands == []
    assert place.preview.received == place.opencode.received == b""


# -- what the service gets, and may do ---------------------------------------------------------


def test_the_service_gets_no_credential_of_ours(place: Place) -> None:
    cookie = place.come_in(place.sign_in())
    place.ask(
        APP, "/x", "Authorization: Bearer nx_ada", f"Origin: https://{APP}",
        f"Referer: https://{APP}/page", "X-Forwarded-For: 1.2.3.4", "Proxy-Authorization: x",
        cookie=f"{cookie}; theirs=1; __Host-nexus=x; nexus_local=y; __host-NEXUS-visit=z",
    )  # fmt: skip
    got = place.preview.received.lower()
    assert b"\r\ncookie: theirs=1\r\n" in got
    for secret in (b"authorization", b"nexus", CREDENTIAL.lower(), SECRET.encode(), b"203.0.113.9"):
        assert secret not in got
    own = f"127.0.0.1:{place.preview.port}".encode()
    assert b"\r\nhost: " + own in got
    assert b"\r\norigin: http://" + own + b"\r\n" in got
    assert b"\r\nreferer: http://" + own + b"/page\r\n" in got
    place.ask(APP, "/y", f"Referer: https://{CODE}/", cookie=cookie)
    assert b"code.example.com" not in place.preview.received


def test_host_and_origin_as_the_owner_set_them(place: Place) -> None:
    place.routes(RouteSettings(hostname=CODE), place.to_preview(host_header=APP))
    cookie = place.come_in(place.sign_in())
    place.ask(APP, "/x", f"Origin: https://{APP}", cookie=cookie)
    assert f"\r\nhost: {APP}\r\n".encode() in place.preview.received
    assert f"\r\norigin: https://{APP}\r\n".encode() in place.preview.received


def test_its_cookies_stay_its_own(place: Place) -> None:
    cookie = place.come_in(place.sign_in())
    place.preview.script = once(
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n"
        b"Location: http://127.0.0.1:%d/on\r\n"
        b"Set-Cookie: theirs=1; Domain=example.com; Path=/; domain = .example.com\r\n"
        b"Set-Cookie: __Host-nexus=x; Path=/; Secure\r\n"
        b"Set-Cookie: __host-nexus-preview=x\r\nSet-Cookie: =__Host-nexus-visit=x\r\n"
        b"Set-Cookie: nexus_local=x\r\nWWW-Authenticate: Basic\r\n\r\n" % place.preview.port
    )
    answer = place.ask(APP, "/x", cookie=cookie)
    told = [value for name, value in answer.headers if name == "set-cookie"]
    assert told == ["theirs=1; Path=/"]
    assert answer.get("www-authenticate") is None
    assert answer.get("location") == f"https://{APP}/on"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: __Host-nexus=x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\n\nhello", b"hello", b"",
    ],
)  # fmt: skip
def test_its_answer_cannot_become_another(place: Place, answer: bytes) -> None:
    cookie = place.come_in(place.sign_in())
    place.preview.script = once(answer)
    told = place.ask(APP, "/x", PAGE, cookie=cookie)
    assert told.status == 502
    assert place.service.encode() in told.body


def test_a_second_answer_meets_nobody(place: Place) -> None:
    """What it says unasked after its answer must not answer the next request (desync)."""
    cookie = place.come_in(place.sign_in())
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    def script(link: Link) -> None:
        link.read_head()
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + evil)
        link.ended()

    place.preview.script = script
    assert place.ask(APP, "/x", cookie=cookie).body == b"ok"
    assert place.ask(APP, "/y", cookie=cookie).body == b"ok"


@pytest.mark.parametrize(
    ("method", "target", "fields"),
    [
        ("POST", "/session", (f"Origin: https://{APP}",)),
        ("POST", "/_nexus/answer", (f"Origin: https://{APP}",)),
        ("POST", "/_nexus/sign-out", (f"Origin: https://{APP}",)),
        ("GET", "/pty/1/connect", (f"Origin: https://{APP}", *UPGRADE)),
        ("GET", "/_nexus/events", (f"Origin: https://{APP}", *UPGRADE)),
        ("GET", "/file/content", (f"Origin: https://{APP}", "Sec-Fetch-Site: same-site")),
        ("GET", "/file/content", ("Sec-Fetch-Site: same-site", "Sec-Fetch-Dest: script")),
        ("GET", "/", ("Sec-Fetch-Site: same-site", "Sec-Fetch-Dest: iframe")),
        ("GET", "/_nexus/visit", ("Sec-Fetch-Site: same-site", "Sec-Fetch-Dest: iframe")),
        ("GET", "/_nexus/", ("Sec-Fetch-Site: same-site", "Sec-Fetch-Dest: iframe")),
    ],
)
def test_its_pages_cannot_act_on_opencodes_host(
    place: Place, method: str, target: str, fields: tuple[str, ...]
) -> None:
    """To a browser a sibling is the same site, and sends the cookie along."""
    home = place.sign_in()
    answer = place.ask(CODE, target, *fields, method=method, cookie=home)
    assert answer.status == 403
    assert place.opencode.received == b""
    assert place.world.commands == []


# -- where a route may lead --------------------------------------------------------------------


def test_no_route_leads_past_the_gateway(place: Place) -> None:
    cookie = place.come_in(place.sign_in())
    barred = socket.create_server(("127.0.0.1", 0))
    place.gateway.bar_ports(lambda: frozenset((barred.getsockname()[1],)))
    ports = [place.opencode.port, place.gateway.local_port, place.gateway.tunnel_port()]
    with contextlib.closing(barred):
        for port in [*ports, barred.getsockname()[1]]:
            for host in ("localhost", "127.0.0.1", "0.0.0.0"):
                service = f"http://{host}:{port}"
                place.routes(RouteSettings(hostname=CODE), place.to_preview(service=service))
                answer = place.ask(APP, "/x", PAGE, cookie=cookie)
                assert answer.status == 502, service
                assert b"not allowed" in answer.body
    assert place.opencode.received == b""


def test_only_the_signed_in_learn_what_is_down(place: Place) -> None:
    cookie = place.come_in(place.sign_in())
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        service = f"http://127.0.0.1:{free.getsockname()[1]}"
    place.routes(RouteSettings(hostname=CODE), place.to_preview(service=service))
    answer = place.ask(APP, "/x", PAGE, cookie=cookie)
    assert answer.status == 502
    assert service.encode() in answer.body
    assert service.encode() not in place.ask(APP, "/x", PAGE).body


def test_what_is_not_listed_is_refused_before_anything_is_looked_at(place: Place) -> None:
    home = place.sign_in()
    before = place.gateway.counters().refused.get(404, 0)
    for host in ("other.example.com", f"{CODE}:8443", "localhost", "127.0.0.1"):
        for target in ("/", "/_nexus/", "/_nexus/sign-in", "/site.webmanifest"):
            answer = place.ask(host, target, PAGE, cookie=home)
            assert (answer.status, answer.body) == (404, b"There is nothing here.\n")
    assert place.gateway.counters().refused[404] == before + 16
    place.gateway.set_routes({})
    assert place.ask(CODE, "/", PAGE, cookie=home).status == 404
    assert place.opencode.received == b""


def test_a_route_that_is_taken_away_takes_its_streams(place: Place) -> None:
    cookie = place.come_in(place.sign_in())
    begun = threading.Event()

    def script(link: Link) -> None:
        link.read_head()
        link.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                  b"Upgrade: websocket\r\n\r\n")  # fmt: skip
        begun.set()
        link.ended()

    place.preview.script = script
    client = place.connect()
    more = (f"Cookie: {cookie}", f"Origin: https://{APP}", *UPGRADE)
    client.send(tunnel_request("GET", "/hmr", *more, cookie=None, host=APP))
    assert client.head().status == 101
    assert begun.wait(5)
    place.routes(RouteSettings(hostname=CODE), place.to_preview(answer_timeout=9))
    client.send(b"still")  # another limit is no other service
    place.routes(RouteSettings(hostname=CODE))
    assert client.closed()
    client.close()
    place.preview.close()  # waits until all is read
    assert place.preview.links[-1].received.endswith(b"still")
