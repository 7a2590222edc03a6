"""The relay over real sockets: what passes, what waits, what ends, and who is cut."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.headers import Headers
from nexus_tray.gateway.http import Channel, Principal, Request, Response, Shaper, Upstream
from nexus_tray.gateway.loops import new_loop
from nexus_tray.gateway.routes import OPENCODE_ONLY
from nexus_tray.gateway.server import Gateway
from tests.gateway.doubles import (
    HOST,
    OK,
    SECRET,
    House,
    Link,
    RawUpstream,
    SmallSite,
    answer_ok,
    eventually,
    house,
    no_shape,
    tunnel_request,
)

ORIGIN = f"Origin: https://{HOST}"
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", ORIGIN)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


def test_a_request_goes_up_with_our_credential_and_its_answer_comes_down(home: House) -> None:
    answer = home.ask(tunnel_request("GET", "/session?x=%2F", "Accept: */*"))
    assert (answer.status, answer.body) == (200, b"ok")
    assert home.raw.received == (
        b"GET /session?x=%2F HTTP/1.1\r\nhost: quiet-river.trycloudflare.com\r\naccept: */*\r\n"
        b"authorization: Basic b3BlbmNvZGU6b3Vycw==\r\n\r\n"
    )


def test_the_local_door_works_like_a_tunnel(home: House) -> None:
    client = home.local()
    port = home.gateway.local_port
    client.send(
        f"GET /x HTTP/1.1\r\nHost: localhost:{port}\r\nCookie: nexus_local=ada\r\n\r\n".encode()
    )
    assert client.answer().status == 200
    visitor = home.site.seen[-1].visitor
    assert (visitor.address, visitor.origin) == ("local", f"http://localhost:{port}")


def test_pipelined_requests_are_answered_in_order(home: House) -> None:
    client = home.tunnel()
    client.send(tunnel_request("GET", "/1") + tunnel_request("GET", "/_nexus/2"))
    client.send(tunnel_request("GET", "/3") + tunnel_request("HEAD", "/_nexus/4"))
    assert client.answer().body == b"ok"
    assert client.answer().body.startswith(b"ours GET /_nexus/2")
    assert client.answer().body == b"ok"
    head = client.answer("HEAD")
    assert (head.status, head.body) == (200, b"")
    assert len(home.raw.links) == 1


def test_thousands_of_pipelined_requests_do_not_recurse(home: House) -> None:
    home.gateway.set_upstream(None)
    client = home.tunnel()
    sender = threading.Thread(target=client.send, args=(tunnel_request() * 3000,))
    sender.start()
    for _ in range(3000):
        assert client.answer().status == 503
    sender.join()


def test_bodies_are_framed_anew(tmp_path: Path) -> None:
    def script(link: Link) -> None:
        link.read_until(lambda data: data.endswith(b"0\r\n\r\n"))
        link.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        link.send(b"1\r\na\r\n1\r\nb\r\n01\r\nc\r\n0\r\nX-Trailer: gone\r\n\r\n")

    with house(tmp_path, script=script) as home:
        body = b"1\r\nx\r\n01\r\ny\r\n3\r\nzzz\r\n0\r\nX-Trailer: gone\r\n\r\n"
        client = home.tunnel()
        client.send(tunnel_request("POST", "/x", ORIGIN, "Transfer-Encoding: chunked", body=body))
        answer = client.answer()
        assert (answer.body, answer.get("transfer-encoding")) == (b"abc", "chunked")
        head, _, sent = home.raw.received.partition(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        assert sent == b"5\r\nxyzzz\r\n0\r\n\r\n"


def test_head_and_first_body_travel_together_and_in_order(tmp_path: Path) -> None:
    """The prototype's desync: body bytes overtook the head while the upstream connected."""

    def script(link: Link) -> None:
        link.read_until(lambda data: data.endswith(b"end"))
        link.send(OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))

    with house(tmp_path, script=script) as home:
        for _ in range(20):
            client = home.tunnel()
            client.send(tunnel_request("POST", "/x", ORIGIN, "Content-Length: 9"))
            for part in (b"abc", b"def", b"end"):
                client.send(part)
            assert client.answer().status == 200
        for link in home.raw.links:
            assert bytes(link.received).startswith(b"POST /x HTTP/1.1\r\n")
            assert bytes(link.received).endswith(b"\r\n\r\nabcdefend")


def test_a_large_body_passes_both_ways_while_both_ends_are_slow(tmp_path: Path) -> None:
    size = 8 * 1024 * 1024
    pattern = bytes(range(256)) * (size // 256)
    flowing = threading.Event()

    def script(link: Link) -> None:
        link.read_until(lambda data: b"\r\n\r\n" in data)
        assert flowing.wait(10)
        link.read_until(lambda data: len(data.partition(b"\r\n\r\n")[2]) == size)
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        link.send(bytes(link.received).partition(b"\r\n\r\n")[2])

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request("POST", "/x", ORIGIN, f"Content-Length: {size}"))
        sending = threading.Thread(target=client.send, args=(pattern,))
        sending.start()
        eventually(lambda: home.gateway.counters().received > 300_000)
        flowing.set()
        eventually(lambda: home.gateway.counters().sent > 100_000)
        sending.join()
        assert client.answer().body == pattern


def test_a_slow_upstream_holds_the_visitor_back(tmp_path: Path) -> None:
    release = threading.Event()

    def script(link: Link) -> None:
        link.read_head()
        release.wait(10)
        link.ended()

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request("POST", "/x", ORIGIN, "Content-Length: 100000000"))
        client.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.send(bytes(100_000_000))
        assert home.gateway.counters().received < 16_000_000
        release.set()


def test_a_slow_visitor_holds_the_upstream_back(tmp_path: Path) -> None:
    sent = [0]

    def script(link: Link) -> None:
        link.read_head()
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        link.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while True:
                link.send(bytes(100_000))
                sent[0] += 100_000

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request())
        client.head()
        home.raw._threads[0].join(10)
        assert sent[0] < 16_000_000


def test_one_answer_cannot_be_read_as_two_by_a_visitor_who_did_not_ask(home: House) -> None:
    """Upstream connections are never shared between sessions."""
    home.site.sign_in("bob")
    client = home.tunnel()
    for name in ("ada", "bob", "ada", "bob"):
        client.send(tunnel_request("GET", f"/{name}", cookie=name))
        assert client.answer().status == 200
    assert len(home.raw.links) == 2
    for link, target in zip(home.raw.links, (b"GET /ada", b"GET /bob"), strict=True):
        assert bytes(link.received).count(target) == 2
        assert bytes(link.received).count(b"GET /") == 2


def test_the_connection_used_last_is_taken_first(tmp_path: Path) -> None:
    both = threading.Barrier(2)

    def script(link: Link) -> None:
        link.read_head()
        both.wait(10)
        link.send(OK)
        with contextlib.suppress(ConnectionError):
            for count in range(2, 9):
                link.read_head(count)
                link.send(OK)

    with house(tmp_path, script=script) as home:
        clients = [home.tunnel(), home.tunnel()]
        for client in clients:
            client.send(tunnel_request())
        for client in clients:
            client.answer()
        for _ in range(4):
            clients[0].send(tunnel_request())
            clients[0].answer()
        counts = sorted(bytes(link.received).count(b"GET /") for link in home.raw.links)
        assert counts == [1, 5]


def stale(link: Link) -> None:
    """Answers once, and hangs up on the second request without a byte."""
    link.read_head()
    link.send(OK)
    with contextlib.suppress(ConnectionError):
        link.read_head(2)


def test_a_stale_connection_is_tried_again_once(tmp_path: Path) -> None:
    with house(tmp_path, script=stale) as home:
        client = home.tunnel()
        client.send(tunnel_request("GET", "/1"))
        client.answer()
        client.send(tunnel_request("GET", "/2"))
        assert client.answer().body == b"ok"
        assert [bytes(link.received).count(b"GET /2") for link in home.raw.links] == [1, 1]


@pytest.mark.parametrize("body", [b"", b"abc"])
def test_what_may_have_been_done_is_not_done_twice(tmp_path: Path, body: bytes) -> None:
    with house(tmp_path, script=stale) as home:
        client = home.tunnel()
        client.send(tunnel_request("GET", "/1"))
        client.answer()
        length = f"Content-Length: {len(body)}"
        client.send(tunnel_request("POST", "/2", ORIGIN, length, body=body))
        assert client.answer().status == 502
        assert len(home.raw.links) == 1


def test_a_new_connection_that_dies_is_no_stale_one(tmp_path: Path) -> None:
    with house(tmp_path, script=lambda link: None) as home:
        assert home.ask(tunnel_request()).status == 502
        assert len(home.raw.links) == 1


def test_without_opencode_a_page_says_so_and_the_connection_lives(home: House) -> None:
    home.gateway.set_upstream(None)
    client = home.tunnel()
    client.send(tunnel_request("GET", "/", "Accept: text/html"))
    answer = client.answer()
    assert (answer.status, answer.get("retry-after")) == (503, "3")
    assert b"OpenCode is not running" in answer.body
    home.gateway.set_upstream(home.raw.upstream)
    client.send(tunnel_request())
    assert client.answer().status == 200


def test_nobody_listening_is_a_502_of_ours(home: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    home.gateway.set_upstream(type(home.raw.upstream)("127.0.0.1", port, b"Basic x"))
    answer = home.ask(tunnel_request())
    assert answer.status == 502
    assert answer.get("x-content-type-options") == "nosniff"


def test_a_changed_upstream_gets_the_next_request(home: House) -> None:
    client = home.tunnel()
    client.send(tunnel_request())
    client.answer()
    other = RawUpstream()
    try:
        home.gateway.set_upstream(other.upstream)
        client.send(tunnel_request("GET", "/there"))
        assert client.answer().status == 200
        assert b"GET /there" in other.received
        assert b"GET /there" not in home.raw.received
    finally:
        other.close()


def test_a_connection_to_the_old_upstream_is_not_kept(tmp_path: Path) -> None:
    release = threading.Event()

    def script(link: Link) -> None:
        link.read_head()
        release.wait(10)
        link.send(OK)
        link.ended()

    with house(tmp_path, script=script) as home:
        other = RawUpstream()
        client = home.tunnel()
        client.send(tunnel_request("GET", "/turn"))
        eventually(lambda: b"/turn" in home.raw.received)
        try:
            home.gateway.set_upstream(other.upstream)
            release.set()
            assert client.answer().body == b"ok"
            client.send(tunnel_request("GET", "/there"))
            assert client.answer().status == 200
            assert b"/there" in other.received
        finally:
            other.close()


@pytest.mark.parametrize("keep", ["Connection: close", "Connection: keep-alive"])
def test_http_1_0_is_answered_whole_and_closed(tmp_path: Path, keep: str) -> None:
    def script(link: Link) -> None:
        link.read_head()
        link.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request("GET", "/", keep, version="1.0"))
        head = client.head()
        assert head.get("transfer-encoding") is None
        assert head.get("connection") == "close"
        assert client.rest() == b"abc"


def test_head_has_a_length_and_no_body(tmp_path: Path) -> None:
    def script(link: Link) -> None:
        link.read_head()
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        link.read_head(2)
        link.send(OK)

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request("HEAD"))
        assert client.answer("HEAD").get("content-length") == "5"
        client.send(tunnel_request())
        assert client.answer().body == b"ok"


def test_an_expectation_is_answered_by_us(tmp_path: Path) -> None:
    def script(link: Link) -> None:
        link.read_until(lambda data: data.endswith(b"abc"))
        link.send(OK)

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        expect = ("Expect: 100-continue", "Content-Length: 3", ORIGIN)
        client.send(tunnel_request("POST", "/x", *expect))
        assert client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"abc")
        assert client.answer().status == 200
        assert b"expect" not in home.raw.received
        stranger = home.tunnel()
        stranger.send(tunnel_request("POST", "/x", *expect, cookie=None))
        assert stranger.head().status == 401


def test_a_response_may_take_its_time_and_ends_with_its_visitor(tmp_path: Path) -> None:
    gone = threading.Event()

    def script(link: Link) -> None:
        link.read_head()
        link.ended()
        gone.set()

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request())
        eventually(lambda: len(home.raw.links) == 1)
        assert home.gateway.counters().streams == 1
        client.close()
        assert gone.wait(5)
        eventually(lambda: home.gateway.counters().connections == 0)


def test_a_half_closed_visitor_is_gone(tmp_path: Path) -> None:
    gone = threading.Event()

    def script(link: Link) -> None:
        link.read_head()
        link.ended()
        gone.set()

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request())
        eventually(lambda: b"\r\n\r\n" in home.raw.received)
        client.socket.shutdown(socket.SHUT_WR)
        assert gone.wait(5)
        assert client.closed()


def test_an_early_answer_ends_an_unfinished_upload(tmp_path: Path) -> None:
    def script(link: Link) -> None:
        link.read_head()
        link.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request("POST", "/x", ORIGIN, "Content-Length: 1000000", body=b"a"))
        answer = client.answer()
        assert (answer.status, answer.body) == (413, b"big")
        client.try_send(tunnel_request("GET", "/smuggled"))
        assert client.closed()
        assert b"/smuggled" not in home.raw.received
        home.raw.script = answer_ok
        assert home.ask(tunnel_request("GET", "/next")).status == 200
        assert b"/next" not in home.raw.links[0].received


TORN = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
}


@pytest.mark.parametrize("how", TORN)
def test_a_torn_answer_is_seen_to_be_torn(tmp_path: Path, how: str) -> None:
    def script(link: Link) -> None:
        link.read_head()
        link.send(TORN[how])

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request())
        with pytest.raises(EOFError):
            client.answer()


def test_an_answer_without_a_length_is_chunked_for_the_visitor(tmp_path: Path) -> None:
    def script(link: Link) -> None:
        link.read_head()
        link.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request())
        answer = client.answer()
        assert (answer.get("transfer-encoding"), answer.body) == ("chunked", b"all of it")
        client.send(tunnel_request())
        assert client.answer().status == 200


# WebSockets


def test_after_101_bytes_pass_raw_both_ways(tmp_path: Path) -> None:
    def script(link: Link) -> None:
        link.read_head()
        link.send(SWITCH + b"\x01early")
        link.read_until(lambda data: data.endswith(b"\x02GET / HTTP/1.1\r\n\r\n"))
        link.send(b"\x03bye")

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request("GET", "/pty/1/connect", *UPGRADE) + b"\x02GET ")
        answer = client.answer()
        assert (answer.status, answer.get("upgrade")) == (101, "websocket")
        assert client.read(6) == b"\x01early"
        client.send(b"/ HTTP/1.1\r\n\r\n")
        assert client.rest() == b"\x03bye"
        assert b"upgrade: websocket" in home.raw.received
        assert len(home.raw.links) == 1


def test_a_tunnel_ends_upstream_when_the_visitor_goes(tmp_path: Path) -> None:
    ended = threading.Event()

    def script(link: Link) -> None:
        link.read_head()
        link.send(SWITCH)
        link.ended()
        ended.set()

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request("GET", "/pty", *UPGRADE))
        assert client.answer().status == 101
        client.send(b"last words")
        client.close()
        assert ended.wait(5)
        assert home.raw.received.endswith(b"last words")


def test_the_last_words_in_a_tunnel_arrive_at_a_slow_upstream(tmp_path: Path) -> None:
    gone = threading.Event()

    def script(link: Link) -> None:
        link.read_head()
        link.send(SWITCH)
        gone.wait(10)
        link.ended()

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request("GET", "/pty", *UPGRADE))
        assert client.answer().status == 101
        sending = threading.Thread(target=client.send, args=(bytes(6_000_000) + b"last words",))
        sending.start()
        eventually(lambda: home.gateway.counters().received > 1_000_000)
        gone.set()
        sending.join()
        client.close()
        eventually(lambda: home.raw.received.endswith(b"last words"))


def test_a_declined_handshake_ends_the_connection(tmp_path: Path) -> None:
    """WebSocket smuggling: a visitor who believes in a tunnel must not get one."""

    def script(link: Link) -> None:
        link.read_head()
        link.send(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
        link.ended()

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request("GET", "/pty", *UPGRADE) + tunnel_request("GET", "/smuggled"))
        assert client.answer().status == 426
        assert client.closed()
        assert b"/smuggled" not in home.raw.received


async def echo(channel: Channel) -> None:
    await channel.write(SWITCH)
    while data := await channel.read():
        await channel.write(data)


def test_a_websocket_of_ours_is_given_a_channel(home: House) -> None:
    home.site.handler = echo
    client = home.tunnel()
    client.send(tunnel_request("GET", "/_nexus/events", *UPGRADE) + b"first ")
    assert client.answer().status == 101
    client.send(b"second")
    assert client.read(12) == b"first second"
    assert home.gateway.counters().streams == 1
    client.close()
    eventually(lambda: home.gateway.counters().streams == 0)
    assert home.raw.received == b""


def test_a_channel_is_refused_without_a_session(home: House) -> None:
    home.site.handler = echo
    assert home.ask(tunnel_request("GET", "/_nexus/events", *UPGRADE, cookie=None)).status == 401


def test_a_channels_handler_ends_with_its_visitor(home: House) -> None:
    ended = threading.Event()

    async def waits(channel: Channel) -> None:
        try:
            await channel.write(SWITCH)
            await asyncio.Event().wait()
        finally:
            ended.set()

    home.site.handler = waits
    client = home.tunnel()
    client.send(tunnel_request("GET", "/_nexus/events", *UPGRADE))
    client.answer()
    client.close()
    assert ended.wait(5)


def test_a_channel_waits_for_a_slow_visitor(home: House) -> None:
    written = [0]

    async def flood(channel: Channel) -> None:
        await channel.write(SWITCH)
        for _ in range(1000):
            await channel.write(bytes(100_000))
            written[0] += 100_000

    home.site.handler = flood
    client = home.tunnel()
    client.send(tunnel_request("GET", "/_nexus/events", *UPGRADE))
    client.answer()
    for _ in range(3):
        home.ask(tunnel_request())
    assert written[0] < 16_000_000


# our own pages


def test_answers_that_nobody_reads_do_not_pile_up(home: House) -> None:
    """A pipelining visitor who does not read must not fill our memory with answers."""

    async def large(request: Request, principal: Principal | None) -> Response:
        return Response(200, (), bytes(100_000))

    home.site.respond_with = large
    client = home.tunnel()
    client.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        client.send(tunnel_request("GET", "/_nexus/x") * 20_000)
    assert home.gateway.counters().sent < 2_000_000
    assert home.gateway.counters().received < 500_000


def test_bodies_of_ours_are_bounded_before_they_are_read(home: House) -> None:
    home.site.limit = 10
    fits = tunnel_request("POST", "/_nexus/x", ORIGIN, "Content-Length: 10", body=b"0123456789")
    assert home.ask(fits).body.endswith(b"ada 10")
    declared = tunnel_request("POST", "/_nexus/x", ORIGIN, "Content-Length: 11")
    assert home.ask(declared).status == 413
    chunked = tunnel_request(
        "POST", "/_nexus/x", ORIGIN, "Transfer-Encoding: chunked",
        body=b"6\r\n012345\r\n6\r\n012345\r\n0\r\n\r\n",
    )  # fmt: skip
    assert home.ask(chunked).status == 413


def test_a_failing_site_is_a_500_that_says_nothing(
    home: House, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(request: Request, principal: Principal | None) -> Response:
        raise KeyError("secret detail")

    home.site.respond_with = fails
    answer = home.ask(tunnel_request("GET", "/_nexus/x"))
    assert answer.status == 500
    assert b"secret detail" not in answer.body
    assert "could not be made" in caplog.text


@pytest.mark.parametrize("evil", ["a\r\nSet-Cookie: x=y", "a\nb", "a\x00b"])
def test_an_answer_cannot_be_split(
    home: House, evil: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def split(request: Request, principal: Principal | None) -> Response:
        return Response(303, (("location", evil),))

    home.site.respond_with = split
    answer = home.ask(tunnel_request("GET", "/_nexus/x"))
    assert answer.status == 500
    assert answer.get("set-cookie") is None


def test_local_copies_need_no_session_and_go_nowhere(home: House) -> None:
    answer = home.ask(tunnel_request("GET", "/site.webmanifest", cookie=None))
    assert (answer.status, answer.body) == (200, b"{}")
    assert home.ask(tunnel_request("POST", "/site.webmanifest", cookie=None)).status == 401
    assert home.raw.received == b""


# shaping


class Louder:
    changes_body = True

    def head(self, status: int, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        return [*headers, (b"x-shaped", b"yes")]

    def feed(self, data: bytes) -> bytes:
        return data.upper()

    def finish(self) -> bytes:
        return b"!"


class Failing(Louder):
    def feed(self, data: bytes) -> bytes:
        raise ValueError(data)


def test_a_shaper_changes_the_answer(tmp_path: Path) -> None:
    seen: list[tuple[int, Headers]] = []

    def shape(request: Request, status: int, headers: Headers) -> Shaper | None:
        seen.append((status, headers))
        return Louder()

    with house(tmp_path, shape=shape) as home:
        client = home.tunnel()
        client.send(tunnel_request())
        answer = client.answer()
        assert (answer.body, answer.get("x-shaped")) == (b"OK!", "yes")
        assert answer.get("content-length") is None
        assert seen == [(200, ((b"content-length", b"2"),))]
        client.send(tunnel_request("HEAD"))


def test_a_failing_shaper_does_not_let_half_an_answer_pass_for_a_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with house(tmp_path, shape=lambda *_: Failing()) as home:
        client = home.tunnel()
        client.send(tunnel_request())
        with pytest.raises(EOFError):
            client.answer()


# time limits

QUICK = Bounds(
    head=0.3, own_body=0.3, idle=0.3, stall=0.4, linger=0.2, sweep=0.02, upstream_idle=0.2
)


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path, bounds=QUICK) as made:
        yield made


@pytest.mark.parametrize("start", [b"G", b"GET / HTTP/1.1\r\n", tunnel_request()[:-2]])
def test_a_head_that_does_not_end_is_ended(hasty: House, start: bytes) -> None:
    client = hasty.tunnel()
    client.send(start)
    assert client.answer().status == 408
    assert client.closed()


def test_a_head_byte_by_byte_gains_no_time(hasty: House) -> None:
    client = hasty.tunnel()
    feeding = threading.Event()

    def drip() -> None:
        for byte in tunnel_request("GET", "/", "X: " + "y" * 1000):
            if feeding.wait(0.02):
                return
            client.try_send(bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    assert client.answer().status == 408
    feeding.set()
    thread.join()


def test_a_silent_or_idle_connection_is_closed(hasty: House) -> None:
    assert hasty.tunnel().closed()
    client = hasty.tunnel()
    client.send(tunnel_request())
    client.answer()
    assert client.closed()


def test_a_body_of_ours_that_stops_is_ended(hasty: House) -> None:
    client = hasty.tunnel()
    client.send(tunnel_request("POST", "/_nexus/x", ORIGIN, "Content-Length: 10", body=b"abc"))
    assert client.answer().status == 408


def test_an_upload_that_stops_is_ended(tmp_path: Path) -> None:
    def script(link: Link) -> None:
        link.ended()

    with house(tmp_path, script=script, bounds=QUICK) as home:
        client = home.tunnel()
        client.send(tunnel_request("POST", "/x", ORIGIN, "Content-Length: 10", body=b"abc"))
        assert client.closed()
        assert home.raw.received.endswith(b"\r\n\r\nabc")


def test_a_visitor_who_does_not_read_is_dropped(tmp_path: Path) -> None:
    def script(link: Link) -> None:
        link.read_head()
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                link.send(bytes(100_000))

    with house(tmp_path, script=script, bounds=QUICK) as home:
        client = home.tunnel()
        client.send(tunnel_request())
        eventually(lambda: home.gateway.counters().sent > 100_000)
        eventually(lambda: home.gateway.counters().connections == 0)
        home.raw._threads[0].join(5)
        assert not home.raw._threads[0].is_alive()


def test_a_silent_answer_and_a_silent_tunnel_are_left_alone(tmp_path: Path) -> None:
    release = threading.Event()

    def script(link: Link) -> None:
        head = link.read_head()
        if b"upgrade" in head:
            link.send(SWITCH)
        release.wait(10)
        link.send(OK)

    with house(tmp_path, script=script, bounds=QUICK) as home:
        turn, terminal, idle = home.tunnel(), home.tunnel(), home.tunnel()
        turn.send(tunnel_request("POST", "/message", ORIGIN))
        terminal.send(tunnel_request("GET", "/pty", *UPGRADE))
        assert terminal.answer().status == 101
        idle.send(tunnel_request("GET", "/_nexus/x"))
        idle.answer()
        assert idle.closed()  # longer than every time limit has passed since
        release.set()
        assert turn.answer().body == b"ok"
        assert terminal.rest() == OK


def test_hundreds_of_slow_visitors_hold_nobody_up(tmp_path: Path) -> None:
    with house(tmp_path, bounds=Bounds(sweep=0.05, head=1.0)) as home:
        slow = [home.tunnel() for _ in range(300)]
        for client in slow:
            client.send(b"GET / HTTP/1.1\r\nX: ")
        started = time.monotonic()
        assert home.ask(tunnel_request()).status == 200
        assert time.monotonic() - started < 2.0  # SECURITY.md 12
        for client in slow:
            assert client.answer().status == 408
            client.close()
        eventually(lambda: home.gateway.counters().connections == 0)


def test_beyond_the_limit_nobody_is_let_in(tmp_path: Path) -> None:
    with house(tmp_path, bounds=Bounds(sweep=0.05, connections=3)) as home:
        clients = [home.tunnel() for _ in range(3)]
        for client in clients:
            client.send(tunnel_request())
            assert client.answer().status == 200
        fourth = home.tunnel()
        fourth.try_send(tunnel_request())
        assert fourth.closed()
        clients[0].close()
        eventually(lambda: home.gateway.counters().connections == 2)
        assert home.ask(tunnel_request()).status == 200


# sessions


def test_a_cut_session_loses_its_streams_at_once_and_others_do_not(tmp_path: Path) -> None:
    ended: list[str] = []

    def script(link: Link) -> None:
        head = link.read_head()
        link.send(SWITCH if b"upgrade" in head else b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n")
        link.ended()
        ended.append(head.split(b" ")[1].decode())

    with house(tmp_path, script=script) as home:
        home.site.sign_in("bob")
        home.site.handler = echo
        clients = {}
        for name in ("ada", "bob"):
            events, socket_, ours = home.tunnel(), home.tunnel(), home.tunnel()
            events.send(tunnel_request("GET", f"/event-{name}", cookie=name))
            assert events.head().status == 200
            events.read_until(b"data: 1\n\n")
            socket_.send(tunnel_request("GET", f"/pty-{name}", *UPGRADE, cookie=name))
            assert socket_.answer().status == 101
            ours.send(tunnel_request("GET", "/_nexus/events", *UPGRADE, cookie=name))
            assert ours.answer().status == 101
            clients[name] = (events, socket_, ours)
        del home.site.sessions["ada"]
        home.gateway.cut("id-ada")
        for client in clients["ada"]:
            client.rest()
        eventually(lambda: sorted(ended) == ["/event-ada", "/pty-ada"])
        clients["bob"][2].send(b"still here")
        assert clients["bob"][2].read(10) == b"still here"
        assert home.gateway.counters().streams == 3


def test_a_session_that_runs_out_loses_its_streams(tmp_path: Path) -> None:
    site = SmallSite()
    with house(tmp_path, site=site) as home:
        site.handler = echo
        site.sign_in("old", expires_at=1.0)
        site.sign_in("new", expires_at=4e9)
        old, new = home.tunnel(), home.tunnel()
        for client, name in ((old, "old"), (new, "new")):
            client.send(tunnel_request("GET", "/_nexus/events", *UPGRADE, cookie=name))
            assert client.answer().status == 101
        old.rest()
        new.send(b"here")
        assert new.read(4) == b"here"


def test_a_closed_door_ends_what_came_through_it(home: House) -> None:
    client, local = home.tunnel(), home.local()
    client.send(tunnel_request())
    client.answer()
    local.send(
        f"GET /_nexus/x HTTP/1.1\r\nHost: 127.0.0.1:{home.gateway.local_port}\r\n"
        "Cookie: nexus_local=ada\r\n\r\n".encode()
    )
    local.answer()
    assert home.gateway.channel_proved("quick")
    home.gateway.close_door("quick")
    assert client.closed()
    assert not home.gateway.channel_proved("quick")
    assert home.ask(tunnel_request()).status == 403


# the gateway's life


def test_counters_count(home: House) -> None:
    request = tunnel_request()
    home.ask(request)
    home.ask(tunnel_request(cookie=None))
    counters = home.gateway.counters()
    assert (counters.requests, counters.forwarded, counters.failed) == (2, 1, 0)
    assert counters.refused == {401: 1}
    assert counters.doors["quick"].requests == 2
    assert counters.doors["quick"].last_at is not None
    assert counters.received > len(request)


def test_a_stranger_is_nobodys_device(home: House) -> None:
    home.ask(tunnel_request(cookie=None))
    home.ask(tunnel_request(target="/_nexus/channel-check", cookie=None))
    door = home.gateway.counters().doors["quick"]
    assert (door.requests, door.last_at) == (2, None)


def test_it_starts_and_stops_again_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    gateway = Gateway(SmallSite(), no_shape, path)
    upstream = Upstream("127.0.0.1", 9, b"Basic x")
    gateway.set_upstream(upstream)
    gateway.set_routes({"quick": OPENCODE_ONLY})
    gateway.open_door("quick", SECRET, holds_events=False)
    for _ in range(3):
        gateway.start()
        gateway.start()
        assert gateway.running
        assert gateway.upstream == upstream
        port = gateway.local_port
        gateway.close()
        gateway.close()
        assert not gateway.running
        assert not path.exists()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
    assert not any(thread.name == "gateway" for thread in threading.enumerate())


def test_closing_ends_every_stream(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.site.handler = echo
        client = home.tunnel()
        client.send(tunnel_request("GET", "/_nexus/events", *UPGRADE))
        client.answer()
        home.gateway.close()
        client.rest()


def test_asyncios_own_loop_does_as_well(tmp_path: Path) -> None:
    assert type(new_loop()).__module__.startswith("uvloop")
    path = tmp_path / "gateway.sock"
    raw = RawUpstream()
    gateway = Gateway(SmallSite(), no_shape, path, loop=asyncio.new_event_loop)
    try:
        gateway.start()
        gateway.set_upstream(raw.upstream)
        with socket.create_connection(("127.0.0.1", gateway.local_port)) as client:
            client.sendall(
                f"GET /_nexus/x HTTP/1.1\r\nHost: 127.0.0.1:{gateway.local_port}\r\n\r\n".encode()
            )
            assert client.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
    finally:
        gateway.close()
        raw.close()
