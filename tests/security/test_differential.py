"""Whatever we accept, three other parsers read the same, or refuse (FACTS.md "Gateway", 3).

h11, aiohttp and httptools (llhttp) read the very bytes that our reader accepted, and what we
write upstream from them. The other way round, a difference is what smuggling is made of.
"""

import asyncio
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import h11
import httptools
import pytest
from aiohttp import http_parser
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.gateway.relay import bodies, fields, heads, rules
from nexus_tray.gateway.relay.framing import Reader
from nexus_tray.gateway.relay.heads import Refused, RequestHead, ResponseHead
from tests.security.smuggling_corpus import CASES, post


@dataclass
class Message:
    """A request as a parser read it."""

    method: bytes
    target: bytes
    body: bytes = b""


def ours(data: bytes) -> list[Message] | None:
    """The whole requests in `data`; None: refused, or not whole to the end.

    As the relay does, nothing is read after a request that ends the connection.
    """
    reader: Reader[RequestHead] = Reader(heads.parse_request, rules.judge_request)
    reader.feed(data)
    messages: list[Message] = []
    keep = True
    try:
        while True:
            event = reader.next()
            if isinstance(event, RequestHead):
                messages.append(Message(event.method, event.target))
                keep = fields.stays_open(event.minor, event.headers)
            elif isinstance(event, bytes):
                messages[-1].body += event
            elif event is None and reader.whole and not keep:
                return messages
            elif event is None and reader.whole:
                reader.restart()
            elif event is None:
                return messages if reader.between else None
    except Refused:
        return None


def by_h11(data: bytes) -> list[Message] | None:
    messages: list[Message] = []
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return None
        if isinstance(event, h11.Request):
            messages.append(Message(event.method, event.target))
        elif isinstance(event, h11.Data):
            messages[-1].body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            if not connection.trailing_data[0]:
                return messages
            # another request: h11 wants an answer first; a fresh connection reads the same
            rest = by_h11(connection.trailing_data[0])
            return None if rest is None else messages + rest
        else:
            return None


class _Collector:
    """httptools' callbacks."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.parser: httptools.HttpRequestParser | None = None

    def on_message_begin(self) -> None:
        self.messages.append(Message(b"", b""))

    def on_url(self, url: bytes) -> None:
        self.messages[-1].target += url

    def on_body(self, data: bytes) -> None:
        self.messages[-1].body += data

    def on_headers_complete(self) -> None:
        assert self.parser is not None
        self.messages[-1].method = self.parser.get_method()


def by_httptools(data: bytes) -> list[Message] | None:
    collector = _Collector()
    collector.parser = httptools.HttpRequestParser(collector)
    try:
        collector.parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    return collector.messages


def by_aiohttp(data: bytes, loop: asyncio.AbstractEventLoop) -> list[Message] | None:
    parser = http_parser.HttpRequestParser(BaseProtocol(loop), loop, 2**16)
    try:
        found, upgraded, _ = parser.feed_data(data)
    except HttpProcessingError:
        return None
    if upgraded:
        return None
    messages = []
    for head, payload in found:
        if "upgrade" in head.headers:
            return None  # it reads no further, whatever the protocol; we drop the field
        body = b"".join(payload._buffer) if hasattr(payload, "_buffer") else b""
        if payload.exception() is not None:
            return None
        messages.append(
            Message(head.method.encode(), head.path.encode("utf-8", "surrogateescape"), body)
        )
    return messages


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def agree(data: bytes, loop: asyncio.AbstractEventLoop) -> bool:
    """Compare, if we accept it; whether we did."""
    read = ours(data)
    if read is None:
        return False
    for name, other in (
        ("h11", by_h11(data)),
        ("httptools", by_httptools(data)),
        ("aiohttp", by_aiohttp(data, loop)),
    ):
        # after "close" some read on; what they find there, nobody forwards
        assert other is None or other[: len(read)] == read, (name, data, read, other)
    return True


FIVE = b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"
SIX = (
    b"PATCH /six HTTP/1.1\r\nhost:a\r\nX-Empty:\r\nX: \t a, b\xe9 \t\r\n"
    b"transfer-encoding:chunked\r\n\r\n00a\r\n0123456789\r\n000\r\nT: x\r\n\r\n"
)
PIECES = [
    b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /two?x=%2F&y HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    b"POST /three HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT /four HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"POST /five HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + FIVE,
    SIX,
    b"DELETE /seven HTTP/1.1\r\nHost: [::1]:8080\r\nCookie: a=b\r\n\r\n",
    b"OPTIONS /eight;p=1/a//b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
]


@pytest.mark.parametrize("piece", PIECES)
def test_the_good_are_read_by_all(piece: bytes, loop: asyncio.AbstractEventLoop) -> None:
    read = ours(piece)
    assert read is not None
    assert by_h11(piece) == by_httptools(piece) == by_aiohttp(piece, loop) == read


@pytest.mark.parametrize("data", [data for _, data in CASES], ids=[name for name, _ in CASES])
def test_the_corpus_is_read_by_none_of_us_differently(
    data: bytes, loop: asyncio.AbstractEventLoop
) -> None:
    assert not agree(data, loop)
    assert not agree(data + post(line=b"GET /smuggled HTTP/1.1"), loop)


FRAGMENTS = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"0", b"5", b"\x00", b",", b";", b"\x0b", b"\xff",
    b"-", b"+", b"\r\n\r\n", b"\r\n ", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Host: b\r\n",
    b"Connection: close\r\n", b"0\r\n\r\n", b"chunked", b"HTTP/1.0", b"GET / HTTP/1.1\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"#", b"%", b"\\",
]  # fmt: skip


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Some good requests in a row, damaged in up to four places."""
    data = b"".join(draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.sampled_from([0, 0, 0, 1, 2, 5]))
        new = draw(st.sampled_from(FRAGMENTS) | st.binary(max_size=2))
        data = data[:at] + new + data[at + cut :]
    return data


@given(data=streams())
def test_damaged_requests_are_never_read_differently(data: bytes) -> None:
    made = asyncio.new_event_loop()
    try:
        agree(data, made)
    finally:
        made.close()


@pytest.mark.long
@pytest.mark.timeout(700)
def test_ten_minutes_of_damage(loop: asyncio.AbstractEventLoop) -> None:
    """SECURITY.md 5, the long profile."""
    chance = random.Random(2026)
    accepted = tried = 0
    deadline = time.monotonic() + float(os.environ.get("NEXUS_FUZZ_SECONDS", "600"))
    while time.monotonic() < deadline:
        data = b"".join(chance.choices(PIECES, k=chance.randint(1, 4)))
        for _ in range(chance.randint(0, 4)):
            at, cut = chance.randint(0, len(data)), chance.choice((0, 0, 0, 1, 2, 5))
            new = chance.choice(FRAGMENTS) if chance.random() < 0.7 else chance.randbytes(2)
            data = data[:at] + new + data[at + cut :]
        accepted += agree(data, loop)
        tried += 1
    print(f"{tried} streams, {accepted} accepted")
    assert accepted > 1000


# answers


def our_answer(data: bytes) -> tuple[int, bytes] | None:
    reader: Reader[ResponseHead] = Reader(
        heads.parse_response, lambda head: rules.judge_response(head, "GET", websocket=False)
    )
    reader.feed(data)
    status, body = 0, b""
    try:
        while not reader.whole:
            event = reader.next()
            if isinstance(event, ResponseHead):
                status = event.status
            elif isinstance(event, bytes):
                body += event
            elif event is None:
                reader.closed()
                break
        rest = reader.next()
        return (status, body + rest if isinstance(rest, bytes) else body) if status else None
    except Refused:
        return None


def their_answer(data: bytes) -> tuple[int, bytes] | None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    status, body = 0, b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return status, body
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None


ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nuntil the end",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_good_answers_are_read_alike(answer: bytes) -> None:
    read = our_answer(answer)
    assert read is not None
    assert read == their_answer(answer)


@given(
    answer=st.sampled_from(ANSWERS),
    damage=st.lists(
        st.tuples(st.integers(0, 100), st.integers(0, 2), st.sampled_from(FRAGMENTS)), max_size=3
    ),
)
def test_damaged_answers_are_never_read_differently(
    answer: bytes, damage: list[tuple[int, int, bytes]]
) -> None:
    for at, cut, new in damage:
        answer = answer[:at] + new + answer[at + cut :]
    read, theirs = our_answer(answer), their_answer(answer)
    if read is not None and theirs is not None:
        assert read == theirs, answer


@given(
    method=st.sampled_from([b"GET", b"POST", b"PUT"]),
    body=st.lists(st.binary(min_size=1, max_size=100), max_size=4),
    chunked=st.booleans(),
)
def test_what_we_write_upstream_is_read_by_all(
    method: bytes, body: list[bytes], chunked: bool
) -> None:
    whole = b"".join(body)
    lines = [(b"host", b"a"), (b"x", b"")]
    if chunked:
        wire = heads.write_request(
            method, b"/x", heads.write_fields([*lines, (b"transfer-encoding", b"chunked")])
        )
        wire += b"".join(map(bodies.chunk, body)) + bodies.LAST_CHUNK
    else:
        wire = heads.write_request(
            method, b"/x", heads.write_fields([*lines, (b"content-length", b"%d" % len(whole))])
        )
        wire += whole
    expected = [Message(method, b"/x", whole)]
    made = asyncio.new_event_loop()
    try:
        assert by_h11(wire) == by_httptools(wire) == by_aiohttp(wire, made) == expected
    finally:
        made.close()
