"""Lines out of bytes, however these are cut; and bounds that hold. Real pipes."""

import os
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.services.pipes import NOTICE, TAIL, Limits, LineCutter, Output, readable_text

LIMIT = 8


def cut(pieces: list[bytes]) -> list[bytes]:
    cutter = LineCutter(LIMIT)
    lines = [line for piece in pieces for line in cutter.feed(piece)]
    return lines + cutter.close()


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"one\ntwo\n", [b"one", b"two"]),
        (b"one\r\ntwo", [b"one", b"two"]),
        (b"a\rb\r\n\r\n", [b"a\rb", b""]),
        (b"12345678\n123456789\n", [b"12345678", "12345678…".encode()]),
        (b"1234567\r\n12345678\r\n", [b"1234567", "12345678…".encode()]),
        (b"\xff\x00\x1b[31m\n", [b"\xff\x00\x1b[31m"]),
    ],
)
def test_lines(data: bytes, lines: list[bytes]) -> None:
    assert cut([data]) == lines
    assert cut([bytes([byte]) for byte in data]) == lines


SOME_BYTES = st.binary(max_size=20) | st.lists(
    st.sampled_from([b"a", b"\n", b"\r", b"\xc3"]), max_size=30
).map(b"".join)


@given(st.lists(SOME_BYTES))
def test_how_the_bytes_arrive_changes_nothing(pieces: list[bytes]) -> None:
    assert cut(pieces) == cut([b"".join(pieces)])


@given(st.lists(st.tuples(SOME_BYTES, st.booleans())), st.integers(1, 4))
def test_skipping_keeps_count_and_place(pieces: list[tuple[bytes, bool]], keep: int) -> None:
    """Every line is given or counted, and what is given afterwards is what stands there."""
    cutter, whole = LineCutter(LIMIT), LineCutter(LIMIT)
    for piece, skipped in pieces:
        expected = whole.feed(piece)
        if skipped:
            count, last = cutter.skip(piece, keep)
            assert count == len(expected)
            assert len(last) <= keep
            assert last == expected[len(expected) - len(last) :]
        else:
            assert cutter.feed(piece) == expected
    assert cutter.close() == whole.close()


@given(st.lists(st.binary(max_size=200)))
def test_never_more_than_a_line_is_held(pieces: list[bytes]) -> None:
    cutter = LineCutter(LIMIT)
    for piece in pieces:
        assert all(len(line) <= LIMIT + 3 for line in cutter.feed(piece))
        assert len(cutter._rest) <= LIMIT + 1


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("grün".encode(), "grün"),
        (b"\xff\xfe!", "��!"),
        (b"real\rfake", "real␍fake"),
        (b"\x1b]0;title\x07", "\x1b]0;title\x07"),
        (b"<script>\x00", "<script>\x00"),
    ],
)
def test_text(line: bytes, text: str) -> None:
    assert readable_text(line) == text


class Pair:
    """An Output over one real pipe, and what it delivered."""

    def __init__(self, limits: Limits, hold: threading.Event | None = None) -> None:
        self.got: list[tuple[str, str]] = []
        self.hold = hold
        reader, self.writer = os.pipe()
        self.output = Output({"stdout": os.fdopen(reader, "rb", 0)}, self.take, limits, "test")

    def take(self, stream: str, text: str) -> None:
        self.got.append((stream, text))
        if self.hold is not None:
            self.hold.wait()

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.writer, data) :]


def numbered(count: int) -> bytes:
    return b"".join(b"%d\n" % number for number in range(count))


def test_everything_arrives_when_nothing_is_too_much() -> None:
    pair = Pair(Limits())
    pair.write(numbered(3000))
    os.close(pair.writer)
    assert pair.output.finish(10) is True
    assert pair.got == [("stdout", str(number)) for number in range(3000)]
    assert pair.output.dropped == 0


def counts_add_up(pair: Pair, written: int) -> None:
    lines = [int(text) for stream, text in pair.got if stream == "stdout"]
    said = [int(text.split()[0]) for stream, text in pair.got if stream == NOTICE]
    assert lines == sorted(lines), "the order is kept"
    assert len(lines) + pair.output.dropped == written
    assert sum(said) == pair.output.dropped
    assert lines[-TAIL:] == list(range(written - TAIL, written)), "the last lines are there"


def test_more_than_the_rate_is_dropped_counted_and_said() -> None:
    pair = Pair(Limits(rate=100, waiting=50))
    pair.write(numbered(500_000))
    os.close(pair.writer)
    assert pair.output.finish(10) is True
    assert pair.output.dropped > 400_000
    counts_add_up(pair, 500_000)


def test_a_frozen_consumer_never_stops_the_reading() -> None:
    hold = threading.Event()
    pair = Pair(Limits(waiting=100), hold)
    pair.write(numbered(200_000))  # returns only because somebody reads
    assert len(pair.got) <= 1
    os.close(pair.writer)
    hold.set()
    assert pair.output.finish(10) is True
    counts_add_up(pair, 200_000)


def test_the_end_of_a_flood_is_told_once_it_is_quiet() -> None:
    arrived = threading.Event()
    pair = Pair(Limits(rate=100, waiting=50))
    pair.hold = None
    original = pair.output._on_line

    def notice(stream: str, text: str) -> None:
        original(stream, text)
        if text == "99999":
            arrived.set()

    pair.output._on_line = notice
    pair.write(numbered(100_000))
    assert arrived.wait(5), "the pipe is still open, and nothing more is written"
    os.close(pair.writer)
    pair.output.finish(10)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_pipe_that_stays_open_is_given_up(frozen: bool) -> None:
    hold = threading.Event()
    pair = Pair(Limits(), hold if frozen else None)
    pair.write(b"one\ntwo\nrest")
    until_got(pair, lambda: bool(pair.got))
    assert pair.output.finish(0.2) is not frozen
    before = len(pair.got)
    hold.set()
    if not frozen:
        assert pair.got == [("stdout", "one"), ("stdout", "two"), ("stdout", "rest")]
    pair.output._deliverer.join(5)
    assert len(pair.got) == before, "nothing comes after finish"
    os.close(pair.writer)


def until_got(pair: Pair, condition: Callable[[], bool]) -> None:
    waiter = threading.Event()
    for _ in range(1000):
        if condition():
            return
        waiter.wait(0.01)
    pytest.fail(f"only {pair.got}")
