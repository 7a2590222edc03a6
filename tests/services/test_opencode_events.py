"""Cutting the stream into events, wherever it is split; a server that misbehaves."""

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.gateway.http import Upstream
from nexus_tray.services.opencode_client import OpenCodeClient, Trouble, Unwell
from nexus_tray.services.opencode_events import EventStream, Splitter

payloads = st.lists(st.binary(max_size=30).filter(lambda b: b"\n" not in b and b"\r" not in b))


@given(payloads, st.data())
def test_events_are_the_same_however_the_bytes_arrive(
    sent: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(b"event: x\n: a comment\ndata: " + payload + b"\n\n" for payload in sent)
    splitter, got, rest = Splitter(), list[bytes](), stream
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        got += splitter.feed(rest[:size])
        rest = rest[size:]
    assert got == sent
    assert splitter.lost == 0


def test_several_data_lines_are_one_event_and_comments_none() -> None:
    assert Splitter().feed(b"data: a\ndata:b\n\n: beat\n\n") == [b"a\nb"]


@given(st.integers(1, 40), st.integers(0, 300))
def test_what_is_too_large_is_dropped_counted_and_followed(step: int, size: int) -> None:
    splitter, got = Splitter(limit=100), list[bytes]()
    stream = b"data: first\n\ndata: " + b"x" * size + b"\n\ndata: last\n\n"
    for start in range(0, len(stream), step):
        got += splitter.feed(stream[start : start + step])
        assert len(splitter._buffer) <= 100 + step
    assert got[0] == b"first"
    assert got[-1] == b"last"
    assert len(got) + splitter.lost == 3
    if size > 100 + step:
        assert splitter.lost == 1


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def client_of(server: socket.socket) -> OpenCodeClient:
    return OpenCodeClient(Upstream("127.0.0.1", server.getsockname()[1], b"Basic eA=="))


def answering(server: socket.socket, answer: bytes) -> threading.Thread:
    def work() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (b"", Trouble.NOT_JSON),
        (b"nonsense\r\n\r\n", Trouble.STATUS),
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", Trouble.STATUS),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", Trouble.NOT_JSON),
        (b"HTTP/1.1 200 OK\r\n\r\n", Trouble.NOT_JSON),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000, Trouble.NOT_JSON),
    ],
)
def test_what_is_no_event_stream_is_refused(
    server: socket.socket, answer: bytes, trouble: Trouble
) -> None:
    thread = answering(server, answer)
    with pytest.raises(Unwell) as caught:
        EventStream(client_of(server), "/global/event", 5.0)
    thread.join()
    assert caught.value.trouble is trouble


def test_events_that_come_with_the_head_are_there_and_the_end_is_said(
    server: socket.socket,
) -> None:
    thread = answering(server, OK + b"data: 1\n\ndata: 2\n\n")
    stream = EventStream(client_of(server), "/global/event", 5.0)
    try:
        got: list[bytes] = []
        while len(got) < 2:
            assert stream.readable(5.0)
            got += stream.next()
        assert got == [b"1", b"2"]
        with pytest.raises(Unwell, match="ended"):
            stream.next()
    finally:
        stream.close()
        thread.join()


def test_silence_has_an_end_and_a_reader_can_be_interrupted(server: socket.socket) -> None:
    client = client_of(server)
    with pytest.raises(Unwell) as caught:  # accepted by the kernel, never answered
        EventStream(client, "/global/event", 0.2)
    assert caught.value.trouble is Trouble.SILENT
    server.accept()[0].close()

    held: list[socket.socket] = []
    release = threading.Event()

    def hold() -> None:
        connection, _ = server.accept()
        held.append(connection)
        connection.sendall(OK)
        release.wait(10)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    stream = EventStream(client, "/global/event", 30.0)
    assert not stream.readable(0.0)
    threading.Timer(0.1, stream.interrupt).start()
    with pytest.raises(Unwell):
        stream.next()
    stream.close()
    stream.interrupt()  # once more, too late: nothing happens
    release.set()
    thread.join()
