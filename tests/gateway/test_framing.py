"""Messages begin and end where they should, however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.gateway.relay import bodies, framing, heads, rules
from nexus_tray.gateway.relay.framing import END, Reader
from nexus_tray.gateway.relay.heads import Refused, RequestHead, ResponseHead

Event = RequestHead | ResponseHead | bytes | framing.End


def requests() -> Reader[RequestHead]:
    return Reader(heads.parse_request, rules.judge_request)


def responses(method: str = "GET", websocket: bool = False) -> Reader[ResponseHead]:
    return Reader(
        heads.parse_response,
        lambda head: rules.judge_response(head, method, websocket=websocket),
    )


def drain(reader: Reader[RequestHead] | Reader[ResponseHead]) -> list[Event]:
    """All events, restarting after each message; payloads that follow each other joined."""
    events: list[Event] = []
    while True:
        event = reader.next()
        if event is None and reader.whole:
            reader.restart()
            continue
        if event is None:
            return events
        events.append(event)


def joined(events: list[Event]) -> list[Event]:
    out: list[Event] = []
    for event in events:
        if isinstance(event, bytes) and out and isinstance(out[-1], bytes):
            out[-1] += event
        else:
            out.append(event)
    return out


def read(
    data: bytes, cuts: list[int], reader: Reader[RequestHead] | Reader[ResponseHead]
) -> list[Event]:
    events: list[Event] = []
    before = 0
    for cut in [*sorted(cuts), len(data)]:
        reader.feed(data[before:cut])
        events += drain(reader)
        before = cut
    return joined(events)


PIPELINE = (
    b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n"
    b"POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    b"POST /three HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Trailer: dropped\r\n\r\n"
    b"PUT /four HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    b"POST /five HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    b"GET /six HTTP/1.0\r\nHost: a\r\n\r\n"
)


def told(events: list[Event]) -> list[object]:
    return [event.target if isinstance(event, RequestHead) else event for event in events]


PIPELINE_TOLD = [
    b"/one", END, b"/two", b"hello", END, b"/three", b"abc0123456789", END,
    b"/four", END, b"/five", END, b"/six", END,
]  # fmt: skip


def test_pipelined_requests_are_told_apart() -> None:
    assert told(read(PIPELINE, [], requests())) == PIPELINE_TOLD


@pytest.mark.parametrize("cut", range(len(PIPELINE)))
def test_a_split_at_every_byte_changes_nothing(cut: int) -> None:
    assert told(read(PIPELINE, [cut], requests())) == PIPELINE_TOLD


def test_byte_by_byte_changes_nothing() -> None:
    assert told(read(PIPELINE, list(range(len(PIPELINE))), requests())) == PIPELINE_TOLD


@given(cuts=st.lists(st.integers(0, len(PIPELINE)), max_size=12))
def test_any_split_changes_nothing(cuts: list[int]) -> None:
    assert told(read(PIPELINE, cuts, requests())) == PIPELINE_TOLD


TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789-!#$%&'*+.^`|~", min_size=1, max_size=20)
VALUE = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40
).map(lambda text: text.strip(" \t"))
FIELDS = st.lists(
    st.tuples(TOKEN.map(str.encode), VALUE.map(lambda text: text.encode("latin-1"))), max_size=8
)


@given(
    fields=FIELDS,
    target=st.text("abcXYZ019/._~-%&=?+;:@!$'()*,[]{}|^\"<>`", max_size=40),
    chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=5),
    cuts=st.lists(st.integers(0, 3000), max_size=8),
)
def test_what_we_write_reads_back(
    fields: list[tuple[bytes, bytes]], target: str, chunks: list[bytes], cuts: list[int]
) -> None:
    head = heads.write_request(b"POST", b"/" + target.encode(), heads.write_fields(fields))
    wire = head + b"".join(map(bodies.chunk, chunks)) + bodies.LAST_CHUNK
    reader = Reader(heads.parse_request, lambda _: bodies.ChunkedBody())
    first, *rest = read(wire, [cut for cut in cuts if cut < len(wire)], reader)
    assert first == RequestHead(b"POST", b"/" + target.encode(), 1, tuple(fields))
    assert rest == ([b"".join(chunks)] if chunks else []) + [END]


@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_noise_is_refused_or_waits_and_never_breaks(data: bytes, cuts: list[int]) -> None:
    for prefix in (b"", b"GET / HTTP/1.1\r\n", PIPELINE[:150]):
        try:
            read(prefix + data, [cut for cut in cuts if cut < len(data)], requests())
        except Refused as refusal:
            assert refusal.status in (400, 405, 413, 417, 431)  # noqa: PT017


@given(
    position=st.integers(0, len(PIPELINE) - 1),
    byte=st.integers(0, 255),
    cuts=st.lists(st.integers(0, len(PIPELINE)), max_size=6),
)
def test_a_changed_byte_reads_the_same_however_it_is_cut(
    position: int, byte: int, cuts: list[int]
) -> None:
    """The invariant behind every desync: what a request is must not depend on its packets."""
    changed = PIPELINE[:position] + bytes([byte]) + PIPELINE[position + 1 :]

    def outcome(at: list[int]) -> tuple[list[object], int | None]:
        reader = requests()
        events: list[Event] = []
        before = 0
        try:
            for cut in [*sorted(at), len(changed)]:
                reader.feed(changed[before:cut])
                before = cut
                while True:
                    event = reader.next()
                    if event is None and reader.whole:
                        reader.restart()
                    elif event is None:
                        break
                    else:
                        events.append(event)
        except Refused as refusal:
            return told(joined(events)), refusal.status
        return told(joined(events)), None

    whole, pieces = outcome([]), outcome(cuts)
    assert whole[1] == pieces[1]
    if whole[1] is None:
        assert whole[0] == pieces[0]
    else:  # the same messages before; of the refused one's body, more or less was told
        messages = [event for event in whole[0] if event is END]
        assert messages == [event for event in pieces[0] if event is END]


HEADS_REFUSED = [
    (b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "an empty line first"),
    (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a blank first"),
    (b"\x16\x03\x01\x02\x00\x01\x00", 400, "TLS on a plain port"),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400, "bare line feeds"),
    (b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "one bare line feed"),
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "two blanks"),
    (b"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", 400, "tabs"),
    (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "a trailing blank"),
    (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400, "another version"),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400, "another major version"),
    (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400, "lower case version"),
    (b"GET /\r\nHost: a\r\n\r\n", 400, "HTTP/0.9"),
    (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "lower case method"),
    (b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "NUL in the target"),
    (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bytes outside ASCII in the target"),
    (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "a blank before the colon"),
    (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "a folded first line"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400, "a folded line"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400, "no colon"),
    (b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400, "no name"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400, "a bare carriage return"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", 400, "NUL in a value"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX(): a\r\n\r\n", 400, "a name that is no token"),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 128 + b"\r\n", 431, "too many fields"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 65536, 431, "a head without an end"),
]


@pytest.mark.parametrize(
    ("data", "status", "why"), HEADS_REFUSED, ids=[why for *_, why in HEADS_REFUSED]
)
def test_malformed_heads_are_refused_at_once(data: bytes, status: int, why: str) -> None:
    for cuts in ([], list(range(min(len(data), 300)))):
        with pytest.raises(Refused) as caught:
            read(data, cuts, requests())
        assert caught.value.status == status


def test_a_head_of_just_64_kib_is_read() -> None:
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    fill = heads.HEAD_LIMIT - len(start) - 4
    assert len(read(start + b"y" * fill + b"\r\n\r\n", [100, 65535], requests())) == 2
    with pytest.raises(Refused):
        read(start + b"y" * (fill + 1) + b"\r\n\r\n", [], requests())


CHUNKS_REFUSED = [
    (b"x\r\nabc\r\n0\r\n\r\n", "no number"),
    (b"0x3\r\nabc\r\n0\r\n\r\n", "a prefix"),
    (b"-3\r\nabc\r\n0\r\n\r\n", "a sign"),
    (b"+3\r\nabc\r\n0\r\n\r\n", "a plus"),
    (b"3 \r\nabc\r\n0\r\n\r\n", "a trailing blank"),
    (b" 3\r\nabc\r\n0\r\n\r\n", "a leading blank"),
    (b"3;ext\r\nabc\r\n0\r\n\r\n", "an extension"),
    (b"3;a=\"\r\n\"\r\nabc\r\n0\r\n\r\n", "a quoted extension"),
    (b"3\nabc\r\n0\r\n\r\n", "a bare line feed after the size"),
    (b"3\r\nabc\n0\r\n\r\n", "a bare line feed after the data"),
    (b"3\r\nabcd\r\n0\r\n\r\n", "more data than it says"),
    (b"3\r\nabc0\r\n\r\n", "nothing after the data"),
    (b"\r\nabc\r\n0\r\n\r\n", "an empty size"),
    (b"3\r\nabc\r\n\r\n", "an empty last size"),
    (b"1000000000000\r\n", "a size beyond 12 digits"),
    (b"f" * 18, "a size line without an end"),
    (b"0\r\nX Y: a\r\n\r\n", "a malformed trailer"),
    (b"0\r\n folded: a\r\n\r\n", "a folded trailer"),
    (b"0\r\nX: a\n\r\n", "a bare line feed in a trailer"),
    (b"0\r\n" + b"X: y\r\n" * 2000 + b"\r\n", "too much of trailers"),
    (b"0\r\nX: " + b"y" * 9000, "a trailer without an end"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "why"), CHUNKS_REFUSED, ids=[why for _, why in CHUNKS_REFUSED])
def test_malformed_chunks_are_refused(data: bytes, why: str) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    for cuts in ([], [len(head)], list(range(len(head), len(head) + min(len(data), 300)))):
        with pytest.raises(Refused):
            read(head + data, cuts, requests())


@given(chunks=st.lists(st.binary(min_size=1, max_size=50), max_size=8), data=st.data())
def test_chunked_bodies_decode_whatever_the_cuts(chunks: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(b"%X\r\n%b\r\n" % (len(part), part) for part in chunks) + b"00\r\n\r\nnext"
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=10))
    body = bodies.ChunkedBody()
    buffer, out, before = b"", b"", 0
    for cut in [*sorted(cuts), len(wire)]:
        buffer += wire[before:cut]
        payload, taken = body.take(buffer, 0)
        out, buffer, before = out + payload, buffer[taken:], cut
    assert (out, body.done, buffer) == (b"".join(chunks), True, b"next")


def test_a_response_without_a_length_ends_with_its_connection() -> None:
    reader = responses()
    reader.feed(b"HTTP/1.1 200 OK\r\n\r\nall of")
    assert len(drain(reader)) == 2
    reader.feed(b" it")
    assert drain(reader) == [b" it"]
    assert reader.closed() is END


TORN = [
    b"HTTP/1.1 200 OK\r\nContent-Len",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
]


@pytest.mark.parametrize("data", TORN)
def test_torn_responses_are_seen(data: bytes) -> None:
    reader = responses()
    reader.feed(data)
    drain(reader)
    with pytest.raises(Refused):
        reader.closed()


def test_interim_responses_are_dropped() -> None:
    wire = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        b"HTTP/1.1 204 No Content\r\n\r\n"
    )
    for cut in range(len(wire)):
        head, end = read(wire, [cut], responses())
        assert isinstance(head, ResponseHead)
        assert (head.status, end) == (204, END)


def test_a_chunk_of_nothing_is_nothing() -> None:
    assert bodies.chunk(b"") == b""


def test_restarting_in_the_middle_is_a_bug() -> None:
    reader = requests()
    reader.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
    drain(reader)
    with pytest.raises(RuntimeError):
        reader.restart()


def test_a_hostile_line_does_not_make_the_grammar_slow() -> None:
    """ReDoS: blanks that a backtracking match would go over again and again."""
    for line in (b"X:" + b" " * 60000 + b"\x00", b"X: a" + b" \t" * 30000 + b"\x00"):
        assert not heads.is_field(line)  # the test's own time limit is the assertion
