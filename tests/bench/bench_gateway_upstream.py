"""The one upstream behind every proxy that `bench_gateway` compares: small, fast, alone.

    python -m tests.bench.bench_gateway_upstream

A process of its own on 127.0.0.1; prints its port, ends with its standard input. Answers
`/small` (200 bytes of JSON), `/large/<bytes>`, `/upload` (counts what comes), `/events/<ms>`
(an event stream with the sending time, CLOCK_MONOTONIC ns, which all processes of a machine
share) and `/ws` (sends each short frame back). Runs on one uvloop thread.
"""

import asyncio
import base64
import hashlib
import sys
import time
from collections.abc import Callable
from typing import cast

import httptools
import uvloop

END = b'"end":true}'
"""How every small body ends, so that a client sees the end without parsing."""
SMALL = (b'{"id":"ses_1","title":"' + b"x" * 158 + b'","n":1,' + END).ljust(200)[:200]
_BLOCK = bytes(256 * 1024)
_WS = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def _answer(body: bytes, more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n"
    return head % (len(body), more) + body


_SMALL = _answer(SMALL)


class Connection(asyncio.Protocol):
    """One connection of a proxy, or of a client without one."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._key = b""
        self._got = 0
        self._left = 0
        self._raw = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._writable = True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._raw:
            self._echo(data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._upgrade()

    # httptools

    def on_message_begin(self) -> None:
        self._got = 0

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"sec-websocket-key":
            self._key = value

    def on_body(self, body: bytes) -> None:
        self._got += len(body)

    def on_message_complete(self) -> None:
        _, room, *rest = self._url.split(b"/")
        if room == b"small":
            self._transport.write(_SMALL)
        elif room == b"upload":
            self._transport.write(_answer(b'{"got":%d,%b' % (self._got, END)))
        elif room == b"large":
            self._left = int(rest[0])
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
            self._transport.write(head + b"Content-Length: %d\r\n\r\n" % self._left)
            self._flow()
        elif room == b"events":
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            self._transport.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
            self._tell(int(rest[0]) / 1000)

    # large bodies

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._flow()

    def _flow(self) -> None:
        while self._left and self._writable:
            block = _BLOCK[: self._left]
            self._left -= len(block)
            self._transport.write(block)

    # streams

    def _tell(self, seconds: float) -> None:
        event = b"data: %020d\n\n" % time.monotonic_ns()
        self._transport.write(b"%x\r\n%b\r\n" % (len(event), event))
        self._timer = self._loop.call_later(seconds, self._tell, seconds)

    def _upgrade(self) -> None:
        digest = hashlib.sha1(self._key + _WS, usedforsecurity=False).digest()
        accept = base64.b64encode(digest)
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self._raw = True

    def _echo(self, data: bytes) -> None:
        """Whole short frames, masked with zeros, as our load sends them."""
        size = data[1] & 0x7F
        self._transport.write(bytes((data[0], size)) + data[6 : 6 + size])


async def serve() -> None:
    loop = asyncio.get_running_loop()
    make: Callable[[], Connection] = Connection
    server = await loop.create_server(make, "127.0.0.1", 0, backlog=2048)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)  # until who started us ends, or lets go


if __name__ == "__main__":
    uvloop.run(serve())
