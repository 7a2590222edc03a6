"""The load of `bench_gateway`: what asks, and how long it took. One uvloop thread.

It parses as little as it can: an answer is over when it ends as the upstream's bodies end,
so it spends a small part of what any peer spends (the report tells its share of a core).
Times are CLOCK_MONOTONIC, which the upstream reads too. Latencies are microseconds.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar, cast

from tests.bench.bench_gateway_peers import Peer
from tests.bench.bench_gateway_upstream import END

LAST_CHUNK = b"\r\n0\r\n\r\n"
_ENDS = (END, END + LAST_CHUNK)
_BLOCK = bytes(256 * 1024)
VARIANTS = 1000
"""Requests that follow each other differ as a page's do: in their targets, and behind cloudflared
in their Cf-Ray."""
PATIENCE = 60.0
"""Seconds after which an answer that has not come is a failure."""

P = TypeVar("P", bound=asyncio.BaseProtocol)


async def connect(peer: Peer, make: Callable[[], P]) -> P:
    loop = asyncio.get_running_loop()
    if isinstance(peer.at, str):
        _, protocol = await loop.create_unix_connection(make, peer.at)
    else:
        _, protocol = await loop.create_connection(make, "127.0.0.1", peer.at)
    return protocol


class Base(asyncio.Protocol):
    """A connection whose `done` is the first answer's, or its failure."""

    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(f"the connection ended: {exc}")

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(why))

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def checked(self, data: bytes) -> bool:
        """Whether this is a good answer's beginning; anything else ends the measurement."""
        if data[9:12] in (b"200", b"101"):
            return True
        self.fail(f"not answered: {data[:300]!r}")
        return False

    async def over(self) -> None:
        """Wait for the answer; then the connection is closed."""
        try:
            await asyncio.wait_for(self.done, PATIENCE)
        finally:
            self.transport.close()


class Asking(Base):
    """Asks, and asks again when answered, until `until`; keeps how long each took."""

    def __init__(self, requests: Iterator[bytes], until: float, times: list[float]) -> None:
        super().__init__()
        self._requests, self._until, self._times = requests, until, times
        self._begun = True

    def ask(self) -> None:
        request = next(self._requests)
        self._at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._begun:
            if not self.checked(data):
                return
            self._begun = False
            self._end = END + LAST_CHUNK if b"chunked" in data.lower() else END
            self._tail = data
        else:
            self._tail = self._tail[-len(self._end) :] + data
        if self._tail.endswith(self._end):
            self._begun = True
            now = time.perf_counter()
            self._times.append((now - self._at) * 1e6)
            if now > self._until:
                self.finish()
            else:
                self.ask()


@dataclass(frozen=True)
class Small:
    """Requests per second; CPU seconds of the peer per 1,000; the load's share of a core."""

    rate: float
    cpu: float
    load: float


async def asked(peer: Peer, connections: int, seconds: float) -> list[float]:
    """Closed loops of small requests: how long each took."""
    times: list[float] = []
    until = time.perf_counter() + seconds
    requests = itertools.cycle([peer.head("GET", f"/small/{n}", ray=n) for n in range(VARIANTS)])
    made = [await connect(peer, lambda: Asking(requests, until, times)) for _ in range(connections)]
    for one in made:
        one.ask()
    await asyncio.gather(*(one.over() for one in made))
    return times


async def small(peer: Peer, connections: int, seconds: float) -> Small:
    """Requests per second of small replies."""
    cpu, own, began = peer.cpu(), time.process_time(), time.perf_counter()
    count = len(await asked(peer, connections, seconds))
    took = time.perf_counter() - began
    used = (time.process_time() - own) / took
    return Small(count / took, (peer.cpu() - cpu) / count * 1000, used)


class Taking(asyncio.BufferedProtocol):
    """Counts a body into one buffer."""

    def __init__(self, wanted: int) -> None:
        self._buffer = bytearray(1024 * 1024)
        self._left = wanted
        self._head: bytes | None = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._head is None:
            self._left -= nbytes
        else:
            self._head += self._buffer[:nbytes]
            head, mark, body = self._head.partition(b"\r\n\r\n")
            if mark:
                if b" 200 " not in head:
                    self.done.set_exception(RuntimeError(f"not answered: {head!r}"))
                self._head = None
                self._left -= len(body)
        if self._left <= 0 and not self.done.done():  # framing only makes it more
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(f"the connection ended: {exc}"))


async def download(peer: Peer, size: int) -> float:
    """MB/s of one large answer."""
    taking = await connect(peer, lambda: Taking(size))
    began = time.perf_counter()
    taking.transport.write(peer.head("GET", f"/large/{size}"))
    try:
        await asyncio.wait_for(taking.done, PATIENCE)
    finally:
        taking.transport.close()
    return size / 1e6 / (time.perf_counter() - began)


class Giving(Base):
    """Waits for the answer to a body; it must tell that all of it came."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._wanted = b'"got":%d,' % size
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self.checked(self._data):
            return
        if self._data.endswith(_ENDS):
            if self._wanted in self._data:
                self.finish()
            else:
                self.fail(f"not all came: {self._data!r}")


async def upload(peer: Peer, size: int) -> float:
    """MB/s of one large body to the upstream, until it has answered."""
    giving = await connect(peer, lambda: Giving(size))
    began = time.perf_counter()
    more = f"Origin: {peer.origin}\r\nContent-Type: application/octet-stream\r\n"
    giving.transport.write(peer.head("POST", "/upload", f"{more}Content-Length: {size}\r\n"))
    for start in range(0, size, len(_BLOCK)):
        await asyncio.wait_for(giving.writable.wait(), PATIENCE)
        if giving.done.done():  # it was refused; `over` says how
            break
        giving.transport.write(_BLOCK[: size - start])
    await giving.over()
    return size / 1e6 / (time.perf_counter() - began)


class Listening(Base):
    """Reads an event stream; how late each event was, by the time that it carries."""

    def __init__(self, late: list[float]) -> None:
        super().__init__()
        self._late = late
        self._begun = True

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if self._begun:
            self._begun = False
            self.checked(data)
            self.finish()
        start = data.find(b"data: ")
        while start >= 0:
            self._late.append((now - int(data[start + 6 : start + 26])) / 1000)
            start = data.find(b"data: ", start + 26)


@contextlib.asynccontextmanager
async def streams(peer: Peer, count: int, every: float, late: list[float]) -> AsyncIterator[None]:
    """Open event streams, an event each `every` seconds; all have begun."""
    request, made = peer.head("GET", f"/events/{int(every * 1000)}"), []
    try:
        for start in range(0, count, 50):
            some = [
                await connect(peer, lambda: Listening(late)) for _ in range(min(50, count - start))
            ]
            made += some
            for one in some:
                one.transport.write(request)
            await asyncio.wait_for(asyncio.gather(*(one.done for one in some)), PATIENCE)
        yield
    finally:
        for one in made:
            one.transport.close()


async def events(peer: Peer, seconds: float) -> list[float]:
    """How late events are, over four streams with an event each 10 ms."""
    late: list[float] = []
    async with streams(peer, 4, 0.01, late):
        late.clear()
        await asyncio.sleep(seconds)
        return list(late)


class Chatting(Base):
    """A WebSocket over which each message comes back; the next a moment after."""

    def __init__(self, taken: list[float], until: float) -> None:
        super().__init__()
        self._taken, self._until = taken, until
        self._open = False

    def send(self) -> None:
        self._at = time.perf_counter()
        self.transport.write(b"\x81\xa0\0\0\0\0" + b"m" * 32)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self._open:
            self._open = self.checked(data)
            if self._open:
                self.send()
            return
        self._taken.append((now - self._at) * 1e6)
        if now > self._until:
            self.finish()
        else:
            asyncio.get_running_loop().call_later(0.005, self.send)


async def messages(peer: Peer, seconds: float) -> list[float]:
    """How long a WebSocket message takes there and back, on two connections."""
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    more = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\nOrigin: {peer.origin}\r\n"
    )
    taken: list[float] = []
    until, request = time.perf_counter() + seconds, peer.head("GET", "/ws", more)
    made = [await connect(peer, lambda: Chatting(taken, until)) for _ in range(2)]
    for one in made:
        one.transport.write(request)
    await asyncio.gather(*(one.over() for one in made))
    return taken
