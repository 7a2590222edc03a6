"""A hostile preview, and strangers, against OpenCode's host: what a review tried. Real gateway,
site, database and sockets; "nothing arrived" is counted at a recording OpenCode."""

import contextlib
import socket
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.relay import fields
from nexus_tray.settings import RouteSettings
from nexus_tray.store.accounts import IDLE_SECONDS
from tests.gateway.doubles import SECRET, Link, RawClient, eventually, tunnel_request
from tests.security.test_previews import (
    APP,
    CODE,
    PAGE,
    UPGRADE,
    Place,
    cookies,
    once,
)

BOUNDS = Bounds(sweep=0.05, connections=64, previews=8)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, BOUNDS)
    yield made
    made.close()


# -- the judgement is made for each request ---------------------------------------------------


def test_two_hosts_on_one_connection_are_judged_apart(place: Place) -> None:
    """cloudflared mixes all visitors and hosts on its connections."""
    home = place.sign_in()
    cookie = place.come_in(home)
    client = place.connect()

    def one(host: str, sent: str, target: str = "/x") -> int:
        client.send(tunnel_request("GET", target, f"Cookie: {sent}", cookie=None, host=host))
        return client.answer().status

    assert [one(CODE, home), one(APP, cookie), one(CODE, home), one(APP, cookie)] == [200] * 4
    assert place.opencode.received.count(b"GET /x") == 2
    assert place.preview.received.count(b"GET /x") == 2
    assert b"authorization" not in place.preview.received.lower()
    assert one(CODE, cookie) == 401  # the session of the request before is no session
    client.close()


def test_a_pipelined_request_does_not_inherit_the_host(place: Place) -> None:
    home = place.sign_in()
    cookie = place.come_in(home)
    client = place.connect()
    first = tunnel_request("GET", "/a", f"Cookie: {cookie}", cookie=None, host=APP)
    second = tunnel_request("GET", "/b", f"Cookie: {cookie}", cookie=None, host=CODE)
    third = tunnel_request("GET", "/c", f"Cookie: {home}", cookie=None, host=CODE)
    client.send(first + second + third)
    assert client.answer().status == 200
    assert client.answer().status == 401
    client.rest()
    client.close()
    assert place.opencode.received == b""  # what follows a stranger's request is never read


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("CODE.EXAMPLE.COM", 200), ("code.example.com.", 400), ("code.example.com:443", 404),
        ("code.example.com:", 400), ("code.example.com:443:443", 400), ("app.example.com", 401),
        ("app.example.com, code.example.com", 400), ("user@code.example.com", 400),
        ("code.example.com/", 400), ("[::1]", 404), ("2130706433", 404), ("0x7f000001", 404),
        ("code.example.com\x85", 400), ("code%2eexample.com", 400),
    ],
)  # fmt: skip
def test_a_host_is_the_listed_one_or_none(place: Place, host: str, status: int) -> None:
    home = place.sign_in()
    assert place.ask(host, "/x", cookie=home).status == status
    assert (place.opencode.received != b"") == (status == 200)


@pytest.mark.parametrize("more", [(f"Host: {APP}",), (f"X-Forwarded-Host: {APP}", "X-Host: x")])
def test_a_second_host_moves_nothing(place: Place, more: tuple[str, ...]) -> None:
    home = place.sign_in()
    cookie = place.come_in(home)
    place.ask(CODE, "/x", *more, cookie=f"{home}; {cookie}")
    assert place.preview.received == b""


def test_http_1_0_is_led_and_closed(place: Place) -> None:
    cookie = place.come_in(place.sign_in())
    for host, status in ((APP, 200), (CODE, 401)):
        client = place.connect()
        more = (f"Cookie: {cookie}", "Connection: keep-alive")
        client.send(tunnel_request("GET", "/x", *more, cookie=None, host=host, version="1.0"))
        answer = client.answer()
        assert (answer.status, client.rest()) == (status, b"")
        client.close()
    client = place.connect()
    client.send(b"GET /x HTTP/1.0\r\nCF-Connecting-IP: 203.0.113.9\r\n"
                b"Cf-Warp-Tag-Gw: " + SECRET.encode() + b"\r\n\r\n")  # fmt: skip
    assert client.answer().status == 400
    client.close()
    assert place.opencode.received == b""


# -- cookies ----------------------------------------------------------------------------------


@pytest.mark.parametrize("look", ["\xa0", "\x85", "\xa0\x85"])
def test_a_cookie_that_only_looks_like_ours_is_none(place: Place, look: str) -> None:
    """Blanks that Python strips and browsers do not make a cookie that any sibling can set for
    the whole domain; it must neither be the session nor void the real one."""
    home = place.sign_in()
    tossed = f"{look}__Host-nexus={'x' * 43}"
    assert place.ask(CODE, "/x", cookie=f"{tossed}; {home}").status == 200
    assert place.ask(CODE, "/y", cookie=f"{look}{home}").status == 401


@pytest.mark.parametrize("name", ["__host-nexus", "__HOST-NEXUS", "__Host-Nexus", "__Secure-nexus"])
def test_no_other_spelling_is_the_session(place: Place, name: str) -> None:
    home = place.sign_in()
    assert place.ask(CODE, "/x", cookie=f"{name}={home.partition('=')[2]}").status == 401
    assert place.ask(CODE, "/x", cookie=f"{name}=evil; {home}").status == 200
    assert b"evil" not in place.opencode.received or name == "__Secure-nexus"


def test_a_bomb_of_cookies_is_refused_and_harms_nobody_else(place: Place) -> None:
    home = place.sign_in()
    bomb = "; ".join(f"c{n}={'x' * 4000}" for n in range(20))
    assert place.ask(CODE, "/x", cookie=f"{bomb}; {home}").status == 431
    assert place.ask(CODE, "/x", cookie=home).status == 200
    assert place.opencode.received.count(b"GET /x") == 1


# -- what its answers may say -----------------------------------------------------------------


def answered(place: Place, head: bytes, host: str, cookie: str) -> dict[str, str]:
    which = place.opencode if host == CODE else place.preview
    which.script = once(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + head + b"\r\n")
    answer = place.ask(host, "/photo.jpg", cookie=cookie)
    assert answer.status == 200
    return dict(answer.headers)


@pytest.mark.parametrize("host", [CODE, APP])
def test_what_the_signed_in_get_is_kept_by_no_shared_cache(place: Place, host: str) -> None:
    """By itself Cloudflare keeps what is named like a file (.js, .jpg, .pdf) for two hours, and
    gives it to strangers without asking us."""
    home = place.sign_in()
    cookie = home if host == CODE else place.come_in(home)
    told = answered(
        place,
        b"Cache-Control: public, max-age=31536000\r\nCDN-Cache-Control: max-age=9\r\n"
        b"Cloudflare-CDN-Cache-Control: max-age=9\r\nSurrogate-Control: max-age=9\r\n"
        b"CF-Cache-Status: HIT\r\n",
        host, cookie,
    )  # fmt: skip
    assert told["cloudflare-cdn-cache-control"] == "no-store"
    assert told["cache-control"] == "public, max-age=31536000"  # the browser's own is its own
    assert not {"cdn-cache-control", "surrogate-control", "cf-cache-status"} & set(told)


def test_it_cannot_sign_the_person_out_of_the_whole_domain(place: Place) -> None:
    """Clear-Site-Data takes the cookies of all hosts of the domain, OpenCode's too."""
    cookie = place.come_in(place.sign_in())
    told = answered(place, b'Clear-Site-Data: "cookies"\r\n', APP, cookie)
    assert "clear-site-data" not in told


@pytest.mark.parametrize(
    "location",
    [b"https://evil.example/", b"//evil.example/", b"http://127.0.0.1:1/", b"/x"],
)
def test_a_redirect_is_the_browsers_to_follow(place: Place, location: bytes) -> None:
    cookie = place.come_in(place.sign_in())
    own = b"http://127.0.0.1:%d" % place.opencode.port
    for target in (location, own + b"/session"):
        place.preview.script = once(
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + target + b"\r\n\r\n"
        )
        answer = place.ask(APP, "/x", cookie=cookie)
        assert (answer.status, answer.get("location")) == (302, target.decode())
    assert place.opencode.received == b""


def test_early_words_answer_nobody_elses_request(place: Place) -> None:
    """What it sends before it was asked, on a connection kept for another session: dropped."""
    first = place.come_in(place.sign_in())
    second = place.come_in(place.sign_in())
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    go = []

    def script(link: Link) -> None:
        link.read_head()
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        go.append(link)
        link.ended()

    place.preview.script = script
    assert place.ask(APP, "/x", cookie=first).body == b"ok"
    go[0].send(evil)
    assert place.ask(APP, "/y", cookie=second).body == b"ok"
    assert place.ask(APP, "/z", cookie=first).body == b"ok"


# -- pages of its own, as far as the bytes go -------------------------------------------------


@pytest.mark.parametrize("purpose", ["prefetch", "prefetch;prerender"])
def test_it_cannot_have_pages_of_opencodes_fetched_ahead(place: Place, purpose: str) -> None:
    """Speculation rules send the cookie to a sibling, and say `document`."""
    home = place.sign_in()
    more = ("Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", f"Sec-Purpose: {purpose}")
    for site, status in (("same-site", 403), ("cross-site", 403), ("none", 200)):
        answer = place.ask(CODE, "/x", f"Sec-Fetch-Site: {site}", *more, cookie=home)
        assert answer.status == status
    assert place.opencode.received.count(b"GET /x") == 1


def test_a_preview_at_a_quick_tunnel_is_another_site(place: Place) -> None:
    """Another tunnel's host cannot borrow the routes of this one, nor its session."""
    place.gateway.open_door("quick", SECRET + "-quick", holds_events=True)
    home = place.sign_in()
    cookie = place.come_in(home)
    for host in (CODE, APP, "calm-river.trycloudflare.com"):
        for sent in (home, cookie):
            client = place.connect()
            client.send(tunnel_request("GET", "/x", f"Cookie: {sent}", cookie=None, host=host,
                                       secret=SECRET + "-quick"))  # fmt: skip
            assert client.answer().status == 404
            client.close()
    assert place.opencode.received == place.preview.received == b""


@pytest.mark.parametrize(
    "next_",
    [
        "//evil.example", "/\\evil.example", "\\\\evil.example", "/\tevil", "/%0d%0aX: y",
        "https:evil.example", "javascript:alert(1)", "/\x85/evil", "/x\r\nSet-Cookie: a=b",
    ],
)  # fmt: skip
def test_no_next_leads_to_another_host(place: Place, next_: str) -> None:
    home, (asked, visit) = place.sign_in(), place.knock()
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(asked).query)) | {"next": next_}
    target = f"/_nexus/visit?{urllib.parse.urlencode(query)}"
    answer = place.ask(APP, place.passed(home, target), PAGE, cookie=visit)
    assert answer.status == 303
    location = urllib.parse.urljoin(f"https://{APP}/_nexus/enter", answer.get("location"))
    assert urllib.parse.urlsplit(location).netloc == APP
    assert {name for name, _ in answer.headers} >= {"set-cookie"}
    signing = place.ask(CODE, f"/_nexus/sign-in?{urllib.parse.urlencode({'next': next_})}", PAGE,
                        cookie=home)  # fmt: skip
    led = urllib.parse.urljoin(f"https://{CODE}/_nexus/sign-in", signing.get("location"))
    assert urllib.parse.urlsplit(led).netloc == CODE


def test_a_pass_is_no_use_to_whoever_reads_it(place: Place) -> None:
    """Old, guessed, twice, with the visit of another browser: and a session is no pass."""
    home, (asked, visit) = place.sign_in(), place.knock()
    target = place.passed(home, asked)
    token = target.partition("pass=")[2]
    for forged in (f"{token}&pass={token}", token[:-1], token + "A", "", home.partition("=")[2]):
        answer = place.ask(APP, f"/_nexus/enter?pass={forged}", PAGE, cookie=visit)
        assert answer.status == 403
        assert cookies(answer) == []
    assert place.ask(APP, target, PAGE, cookie=visit).status == 303
    for again in (visit, f"{visit}; {home}"):
        assert place.ask(APP, target, PAGE, cookie=again).status == 403


# -- how long it lasts ------------------------------------------------------------------------


def test_it_does_not_outlive_a_parent_that_nobody_uses(place: Place) -> None:
    """The preview in use all the time, OpenCode's session idle: it ends for both."""
    vault = place.world.vault
    cookie = place.come_in(place.sign_in())
    begun = vault.wall.now
    vault.monotonic.now += 31.0
    for hours in (6, 11, 12.5):
        vault.wall.now = begun + hours * 3600
        vault.monotonic.now += 31.0
        answer = place.ask(APP, "/x", cookie=cookie)
        vault.sessions.sweep()
    assert hours * 3600 > IDLE_SECONDS
    assert answer.status == 401 or place.ask(APP, "/x", cookie=cookie).status == 401


def test_a_preview_session_is_asked_for_anew_within_hours(place: Place) -> None:
    """Its pages can give theirs away, so it is not good for a week as its parent is."""
    cookie = place.come_in(place.sign_in())
    row = place.world.vault.accounts.session(cookie.partition("=")[2])
    assert row is not None
    assert row.expires_at - row.created_at <= 12 * 3600.0


# -- where a route leads, whatever its name resolves to ---------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "127.0.0.2", "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]", "LOCALHOST", "a.localhost", "own-address",
    ],
)  # fmt: skip
def test_no_spelling_leads_past_the_gateway(place: Place, host: str) -> None:
    cookie = place.come_in(place.sign_in())
    for port in (place.opencode.port, place.gateway.local_port, place.gateway.tunnel_port()):
        name = host if host != "own-address" else own_address()
        service = f"http://{name.lower()}:{port}"
        place.routes(RouteSettings(hostname=CODE), place.to_preview(service=service))
        assert place.ask(APP, "/x", PAGE, cookie=cookie).status in (404, 502), service
    assert place.opencode.received == b""


def own_address() -> str:
    """This machine's address in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def test_a_name_is_judged_where_it_leads_each_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: what it was at the first look says nothing about the second."""
    cookie = place.come_in(place.sign_in())
    place.routes(RouteSettings(hostname=CODE), place.to_preview(service=place.service))
    ended = b"Connection: close\r\nContent-Length: 0\r\n\r\n"
    place.preview.script = once(b"HTTP/1.1 200 OK\r\n" + ended)
    assert place.ask(APP, "/x", cookie=cookie).status == 200
    place.gateway.bar_ports(lambda: frozenset((place.preview.port,)))
    assert place.ask(APP, "/x", PAGE, cookie=cookie).status == 502


# -- slowness ---------------------------------------------------------------------------------


def silent(link: Link) -> None:
    link.read_head()
    link.ended()


def fill(place: Place, cookie: str, count: int) -> list[RawClient]:
    clients = []
    for number in range(count):
        client = place.connect()
        client.send(tunnel_request("GET", f"/{number}", f"Cookie: {cookie}", cookie=None, host=APP))
        clients.append(client)
    return clients


def test_slow_previews_leave_room_for_opencode(place: Place) -> None:
    home = place.sign_in()
    cookie = place.come_in(home)
    place.preview.script = silent
    clients = fill(place, cookie, BOUNDS.previews)
    eventually(lambda: len(place.preview.links) == BOUNDS.previews)
    more = place.ask(APP, "/more", cookie=cookie)
    assert (more.status, more.get("retry-after")) == (503, "5")
    shake = place.ask(APP, "/hmr", f"Origin: https://{APP}", *UPGRADE, cookie=cookie)
    assert shake.status == 503
    assert place.ask(CODE, "/x", cookie=home).status == 200
    clients[0].close()
    eventually(lambda: bool(place.preview.links[0].socket.fileno() < 0))
    place.preview.script = once(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    eventually(lambda: place.ask(APP, "/y", cookie=cookie).status == 200)
    for client in clients:
        client.close()
    eventually(lambda: not place.gateway._relay.pool.at_previews)


def test_who_leaves_takes_his_connecting_along(place: Place) -> None:
    """A listener that accepts nobody, and a page that asks and leaves: each left a connection
    behind, for as long as connecting may take, until there are no descriptors left."""
    home = place.sign_in()
    cookie = place.come_in(home)
    with contextlib.ExitStack() as open_:
        full = open_.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(2):
            waiting = open_.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        service = f"http://127.0.0.1:{full.getsockname()[1]}"
        route = place.to_preview(service=service, connect_timeout=300)
        place.routes(RouteSettings(hostname=CODE), route)
        pool = place.gateway._relay.pool
        for _ in range(5):
            clients = fill(place, cookie, 4)
            eventually(lambda: len(pool.connector._connecting) == 4)
            for client in clients:
                client.close()
            eventually(lambda: not pool.connector._connecting)
    assert place.ask(CODE, "/x", cookie=home).status == 200


@pytest.mark.parametrize(
    "flood",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
        b"X: y\r\n", b"x",
    ],
)  # fmt: skip
def test_a_head_that_never_ends_is_given_up(place: Place, flood: bytes) -> None:
    """Interim answers too: they are thrown away, so that nothing would ever hold them back."""
    home = place.sign_in()
    cookie = place.come_in(home)

    def script(link: Link) -> None:
        link.read_head()
        start = b"" if flood.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\n"
        link.send(start)
        with contextlib.suppress(ConnectionError):
            while True:
                link.send(flood * 2000)

    place.preview.script = script
    begun = time.monotonic()
    answer = place.ask(APP, "/x", PAGE, cookie=cookie)
    assert answer.status == 502
    assert time.monotonic() - begun < 2.0
    assert place.ask(CODE, "/x", cookie=home).status == 200


def test_a_flood_in_tiny_chunks_leaves_opencode_its_turn(place: Place) -> None:
    home = place.sign_in()
    cookie = place.come_in(home)

    def script(link: Link) -> None:
        link.read_head()
        link.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                link.send(b"1\r\na\r\n" * 10_000)

    place.preview.script = script
    client = place.connect()
    client.send(tunnel_request("GET", "/x", f"Cookie: {cookie}", cookie=None, host=APP))
    client.head()
    slowest = 0.0
    for _ in range(10):
        client.socket.recv(1 << 20)
        begun = time.monotonic()
        assert place.ask(CODE, "/x", cookie=home).status == 200
        slowest = max(slowest, time.monotonic() - begun)
    client.close()
    assert slowest < 2.0


def test_strangers_at_a_preview_keep_nobody_out(place: Place) -> None:
    """Half a head, half a body: more of them than there is room for."""
    home = place.sign_in()
    half = tunnel_request("GET", "/x", cookie=None, host=APP)[:-2]
    body = tunnel_request("POST", "/_nexus/enter", f"Origin: https://{APP}", "Content-Length: 9",
                          cookie=None, host=APP)  # fmt: skip
    clients = []
    for number in range(3 * BOUNDS.connections):
        client = place.connect()
        client.try_send(half if number % 2 else body)
        clients.append(client)
    assert place.ask(CODE, "/x", cookie=home).status == 200
    for client in clients:
        client.close()
    assert place.preview.received == b""


def test_a_gateway_stands_by_its_default_room() -> None:
    assert Bounds().previews * 8 <= Bounds().connections


def test_answers_of_opencodes_may_not_clear_its_own_site() -> None:
    told = fields.to_visitor(((b"clear-site-data", b'"*"'), (b"etag", b"x")))
    assert told == [(b"etag", b"x")]
