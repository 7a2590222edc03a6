"""SECURITY.md 5: more than 200 smuggling requests are answered 400 (or another refusal), the
connection is closed, and OpenCode sees not a byte; and a hostile OpenCode poisons nobody.

Every request is sent by a *signed-in* visitor through an admitted tunnel, with a second
request behind it that must never be read: the cases are about framing alone.
"""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.relay.heads import Refused
from tests.gateway import test_framing as framing
from tests.gateway.doubles import (
    OK,
    House,
    Link,
    answer_ok,
    eventually,
    house,
    tunnel_request,
)
from tests.security.smuggling_corpus import (
    CASES,
    CODING_LINES,
    CODINGS,
    CONTROLS,
    FIVE,
    LENGTH_LINES,
    LENGTHS,
    SIZES,
    chunked,
    post,
)

SMUGGLED = tunnel_request("GET", "/smuggled")
REFUSALS = (400, 405, 408, 413, 417, 431)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("smuggling"), bounds=Bounds(sweep=0.05, head=2.0)) as made:
        yield made


def test_there_are_more_than_200_cases() -> None:
    assert len({data for _, data in CASES}) == len(CASES) > 200


@pytest.mark.parametrize("data", [data for _, data in CASES], ids=[name for name, _ in CASES])
def test_smuggling_is_refused_and_nothing_goes_upstream(home: House, data: bytes) -> None:
    client = home.tunnel()
    client.try_send(data + SMUGGLED)
    answer = client.answer()
    assert answer.status in REFUSALS, answer
    assert answer.get("connection") == "close"
    assert client.closed(), "a second answer: the smuggled request was read"
    client.close()
    assert home.raw.received == b""


def test_byte_by_byte_they_are_refused_too(tmp_path: Path) -> None:
    with house(tmp_path, bounds=Bounds(sweep=0.05, head=2.0)) as home:
        for _, data in random.Random(1).sample([case for case in CASES if len(case[1]) < 500], 25):
            client = home.tunnel()
            for byte in data + SMUGGLED:
                client.try_send(bytes([byte]))
            # a torn body may have begun its way; what was asked by it is never answered
            assert client.answer().status in (*REFUSALS, 200)
            client.rest()
            client.close()
        assert b"/smuggled" not in home.raw.received


GOOD = [
    post(b"Content-Length: 5", body=b"hello"),
    chunked(b"5\r\nhello\r\n0\r\n\r\n"),
    post(b"Content-Length: 0"),
]


@pytest.mark.parametrize("data", GOOD)
def test_the_corpus_without_its_faults_is_taken(tmp_path: Path, data: bytes) -> None:
    ends = (b"\r\n\r\nhello", b"\r\n0\r\n\r\n", b"length: 0\r\n\r\n")

    def script(link: Link) -> None:
        link.read_until(lambda received: received.endswith(ends))
        link.send(OK)

    with house(tmp_path, script=script) as home:
        assert home.ask(data).status == 200


@pytest.mark.parametrize("cut", ["together", "apart"])
def test_a_clear_request_before_it_clears_nothing(tmp_path: Path, cut: str) -> None:
    """Pipelined behind a request that is answered, each case is refused as it is alone, and what
    stands behind it is not read; nor is a body that nobody announced."""
    unannounced = [("GET with a body", b"hello"), ("GET with chunks", FIVE)]
    with house(tmp_path, bounds=Bounds(sweep=0.05, head=2.0)) as home:
        for name, data in [*CASES, *unannounced]:
            client = home.tunnel()
            first = tunnel_request("GET", "/first")
            if cut == "together":
                client.try_send(first + data + SMUGGLED)
                assert client.answer().status == 200, name
            else:
                client.send(first)
                assert client.answer().status == 200, name
                client.try_send(data + SMUGGLED)
            assert client.answer().status in REFUSALS, name
            assert client.closed(), name
            client.close()
        received = home.raw.received
        assert received.count(b" HTTP/1.1\r\n") == len(CASES) + len(unannounced)
        assert received.count(b"GET /first ") == len(CASES) + len(unannounced)


@pytest.mark.parametrize("kept", ["", "Connection: keep-alive\r\n"])
def test_http_1_0_is_read_one_request_at_a_time(home: House, kept: str) -> None:
    """With keep-alive or without: one answer and the end, whatever stands behind it."""
    before = home.raw.received.count(b"HTTP/1.1\r\n")
    one = tunnel_request("GET", "/_nexus/old", version="1.0").replace(
        b"Cookie", kept.encode() + b"Cookie", 1
    )
    client = home.tunnel()
    client.try_send(one + one)
    assert client.answer().body == b"ours GET /_nexus/old ada 0"
    assert client.closed()
    assert home.raw.received.count(b"HTTP/1.1\r\n") == before
    client.close()


def test_trailers_end_with_us_on_both_ways(tmp_path: Path) -> None:
    """Fields behind a body are no fields: whoever merged them would let the head be rewritten."""
    trailer = b"Authorization: x\r\nX-Late: y\r\nContent-Length: 9\r\n"

    def script(link: Link) -> None:
        link.read_until(lambda received: received.endswith(b"\r\n0\r\n\r\n"))
        link.send(HEAD + CHUNKED + b"\r\n2\r\nok\r\n0\r\nSet-Cookie: z\r\n" + trailer + b"\r\n")

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(chunked(b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n"))
        answer = client.answer()
        assert (answer.status, answer.body, answer.get("set-cookie")) == (200, b"ok", None)
        assert client.buffer == b""
        assert b"x-late" not in home.raw.received.lower()


# a hostile upstream

HEAD = b"HTTP/1.1 200 OK\r\n"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

REFUSED_ANSWERS = {
    "no status line": b"200 OK\r\n\r\n",
    "HTTP/2": b"HTTP/2 200\r\n\r\n",
    "bad version": b"HTTP/1.9 200 OK\r\n\r\n",
    "no code": b"HTTP/1.1 OK\r\n\r\n",
    "code 99": b"HTTP/1.1 99 X\r\n\r\n",
    "code 600": b"HTTP/1.1 600 X\r\n\r\n",
    "code 2000": b"HTTP/1.1 2000 X\r\n\r\n",
    "two blanks": b"HTTP/1.1  200 OK\r\n\r\n",
    "control in the phrase": b"HTTP/1.1 200 O\x00K\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "leading CRLF": b"\r\n" + HEAD + b"Content-Length: 0\r\n\r\n",
    "folded": HEAD + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "blank before colon": HEAD + b"Content-Length : 0\r\n\r\n",
    "NUL": HEAD + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "bare CR": HEAD + b"X: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
    "CL and TE": HEAD + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "CL twice": HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "CL list": HEAD + b"Content-Length: 5, 5\r\n\r\nhello",
    "CL negative": HEAD + b"Content-Length: -5\r\n\r\nhello",
    "CL huge": HEAD + b"Content-Length: 9999999999999999999\r\n\r\nhello",
    "TE gzip": HEAD + b"Transfer-Encoding: gzip\r\n\r\nhello",
    "TE twice": HEAD + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n",
    "TE in 1.0": b"HTTP/1.0 200 OK\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "101 unasked": b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + EVIL,
    "too large a head": HEAD + b"X: " + b"y" * 70_000,
    "too many fields": HEAD + b"X: y\r\n" * 200 + b"\r\n",
}


@pytest.mark.parametrize("wire", REFUSED_ANSWERS.values(), ids=REFUSED_ANSWERS.keys())
def test_an_unclear_answer_is_a_502_of_ours(tmp_path: Path, wire: bytes) -> None:
    def script(link: Link) -> None:
        link.read_head()
        link.send(wire)
        link.ended()

    with house(tmp_path, script=script) as home:
        answer = home.ask(tunnel_request())
        assert answer.status == 502
        assert b"did not answer" in answer.body
        assert b"EVIL" not in answer.body


TORN_ANSWERS = {
    "chunk size": HEAD + CHUNKED + b"\r\nxyz\r\n",
    "chunk extension": HEAD + CHUNKED + b"\r\n2;a\r\nok\r\n0\r\n\r\n",
    "chunk LF": HEAD + CHUNKED + b"\r\n2\r\nok\n0\r\n\r\n",
    "chunk overrun": HEAD + CHUNKED + b"\r\n2\r\nokok\r\n0\r\n\r\n",
    "trailer": HEAD + CHUNKED + b"\r\n2\r\nok\r\n0\r\nX y: z\r\n\r\n",
}


@pytest.mark.parametrize("wire", TORN_ANSWERS.values(), ids=TORN_ANSWERS.keys())
def test_an_unclear_body_is_not_a_whole_answer(tmp_path: Path, wire: bytes) -> None:
    def script(link: Link) -> None:
        link.read_head()
        link.send(wire)
        link.ended()

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request())
        with contextlib.suppress(EOFError):  # torn: the visitor sees that it is not whole
            assert client.answer().status == 502


def unclear_answers() -> Iterator[tuple[str, bytes]]:
    """The corpus's lengths, codings and controls, once more in an answer's head."""
    for value in LENGTHS:
        yield f"CL {value!r}", HEAD + b"Content-Length: " + value + b"\r\n\r\nhello"
    for line in [*LENGTH_LINES, *CODING_LINES]:
        yield f"line {line!r}", HEAD + line + b"\r\n\r\n" + FIVE
    for value in CODINGS:
        yield f"TE {value!r}", HEAD + b"Transfer-Encoding: " + value + b"\r\n\r\n" + FIVE
    for byte in CONTROLS:
        yield f"value {byte!r}", HEAD + b"X: a" + byte + b"b\r\nContent-Length: 0\r\n\r\n"
        yield f"name {byte!r}", HEAD + b"X" + byte + b"Y: b\r\nContent-Length: 0\r\n\r\n"


def test_the_corpus_as_answers_is_a_502_too(tmp_path: Path) -> None:
    wires = iter(list(unclear_answers()))
    sent: list[str] = []

    def script(link: Link) -> None:
        link.read_head()
        name, wire = next(wires)
        sent.append(name)
        link.send(wire + EVIL)
        link.ended()

    count = len(list(unclear_answers()))
    assert count > 150
    with house(tmp_path, script=script) as home:
        for _ in range(count):
            answer = home.ask(tunnel_request())
            assert (answer.status, b"EVIL" in answer.body) == (502, False), sent[-1]
    assert len(sent) == count


@pytest.mark.parametrize("size", SIZES)
def test_the_corpus_of_chunk_sizes_is_no_whole_answer(tmp_path: Path, size: bytes) -> None:
    def script(link: Link) -> None:
        link.read_head()
        link.send(HEAD + CHUNKED + b"\r\n" + size + b"\r\nhello\r\n0\r\n\r\n" + EVIL)
        link.ended()

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request())
        with contextlib.suppress(EOFError):
            assert client.answer().status == 502
        assert b"EVIL" not in client.rest()


INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
WHOLE_ANSWERS = {
    "length": HEAD + b"X: y\r\nContent-Length: 5\r\n\r\nhello",
    "chunks and trailers": HEAD
    + CHUNKED
    + b"\r\n3\r\nhel\r\n002\r\nlo\r\n0\r\nX-Late: y\r\nY: z\r\n\r\n",
    "interim first": INTERIM + HEAD + b"Content-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("wire", WHOLE_ANSWERS.values(), ids=WHOLE_ANSWERS.keys())
def test_an_answer_cut_at_every_byte_is_the_same(wire: bytes) -> None:
    """And torn there it is none: whoever closes early is seen."""
    whole = framing.read(wire, [], framing.responses())
    assert [event for event in whole if isinstance(event, bytes)] == [b"hello"]
    for cut in range(1, len(wire)):
        assert framing.read(wire, [cut], framing.responses()) == whole
        if wire[:cut] == INTERIM:
            continue  # nothing is torn, and nothing has come: the next test
        torn = framing.responses()
        framing.read(wire[:cut], [], torn)
        with pytest.raises(Refused):
            torn.closed()
    assert framing.read(wire, list(range(len(wire))), framing.responses()) == whole


def test_an_interim_answer_and_no_other_is_none(tmp_path: Path) -> None:
    def script(link: Link) -> None:
        link.read_head()
        link.send(INTERIM)

    with house(tmp_path, script=script) as home:
        assert home.ask(tunnel_request()).status == 502


@given(
    wire=st.sampled_from(list(WHOLE_ANSWERS.values())),
    position=st.integers(0, 200),
    byte=st.integers(0, 255),
    cuts=st.lists(st.integers(0, 200), max_size=6),
)
def test_a_changed_byte_of_an_answer_reads_the_same_however_it_is_cut(
    wire: bytes, position: int, byte: int, cuts: list[int]
) -> None:
    at = position % len(wire)
    changed = wire[:at] + bytes([byte]) + wire[at + 1 :]

    def outcome(where: list[int]) -> object:
        reader = framing.responses()
        try:
            events = framing.read(changed, [cut for cut in where if cut < len(changed)], reader)
        except Refused:
            return "refused"  # the visitor gets 502 for each (`relay.upstream`)
        return events

    assert outcome([]) == outcome(cuts)


EXCESS = {
    "after a length": HEAD + b"Content-Length: 2\r\n\r\nok" + EVIL,
    "after chunks": HEAD + CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\n" + EVIL,
    "after 204": b"HTTP/1.1 204 No Content\r\n\r\n" + EVIL,
    "after 204 with a length": b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n" + EVIL,
    "after 304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n" + EVIL,
    "a moment later": HEAD + b"Content-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("how", EXCESS)
def test_what_follows_an_answer_is_nobodys_answer(tmp_path: Path, how: str) -> None:
    """Bytes that wait for whoever asks next on the connection (response queue poisoning)."""

    def script(link: Link) -> None:
        link.read_head()
        link.send(EXCESS[how])
        if how == "a moment later":
            eventually(lambda: place.gateway.counters().streams == 0)
            link.send(EVIL)
        link.ended()

    with house(tmp_path, script=script) as place:
        client = place.tunnel()
        client.send(tunnel_request("GET", "/1"))
        assert b"EVIL" not in client.answer().body
        eventually(lambda: not place.raw._threads[0].is_alive())
        place.raw.script = answer_ok
        client.send(tunnel_request("GET", "/2"))
        assert client.answer().body == b"ok"
        assert len(place.raw.links) == 2


def test_a_head_answer_has_no_body_whatever_upstream_sends(tmp_path: Path) -> None:
    def script(link: Link) -> None:
        link.read_head()
        link.send(HEAD + b"Content-Length: 4\r\n\r\nEVIL" + EVIL)
        link.ended()

    with house(tmp_path, script=script) as home:
        client = home.tunnel()
        client.send(tunnel_request("HEAD", "/1") + tunnel_request("GET", "/_nexus/2"))
        assert client.answer("HEAD").get("content-length") == "4"
        assert client.answer().body.startswith(b"ours GET /_nexus/2")
