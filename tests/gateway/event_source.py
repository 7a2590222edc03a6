"""A small server of event streams over a real socket, for tests of what reads them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from nexus_tray.gateway.http import Upstream

AUTHORIZATION = b"Basic b3duOnNlY3JldA=="


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for a condition that the running loop brings about."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


class EventServer:
    """Answers every request with a stream, or as `behaviour` says."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.behaviour = "stream"
        self.upstream = Upstream("127.0.0.1", 0, AUTHORIZATION)
        self.files: dict[str, tuple[str, bytes]] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self.connections = 0

    @property
    def open_streams(self) -> int:
        """Streams whose reader is still there."""
        return len(self._writers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one answer."""
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            path = head.split(" ")[1]
            if path in self.files:
                kind, body = self.files[path]
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % len(body))
                writer.write(f"content-type: {kind}\r\n\r\n".encode() + body)
            elif self.behaviour == "stream":
                await self._stream(reader, writer)
            elif self.behaviour == "silence":
                await reader.read()
            else:
                writer.write(OTHERWISE[self.behaviour])
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            self.connections -= 1

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        self._writers.add(writer)
        self._send(writer, f"greeting {len(self.heads)}")
        await reader.read()  # until the reader leaves

    def _send(self, writer: asyncio.StreamWriter, text: str) -> None:
        event = f"data: {text}\n\n".encode()
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))

    async def say(self, *texts: str) -> None:
        """One event for each text, on every open stream."""
        for writer in tuple(self._writers):
            for text in texts:
                self._send(writer, text)
            with suppress(OSError):
                await writer.drain()
        await asyncio.sleep(0)

    async def hang_up(self) -> None:
        """End every stream as a dying OpenCode does."""
        for writer in tuple(self._writers):
            writer.close()


OTHERWISE = {
    "404": b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
    "401": b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
    "500": b"HTTP/1.1 500 Error\r\ncontent-length: 0\r\n\r\n",
    "page": b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi",
    "short": b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 9\r\n\r\nhi",
    "garbage": b"SSH-2.0-x\r\n\r\n",
}


@asynccontextmanager
async def serving() -> AsyncIterator[EventServer]:
    """An EventServer on a free loopback port."""
    server = EventServer()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    server.upstream = Upstream("127.0.0.1", port, AUTHORIZATION)
    try:
        yield server
    finally:
        await server.hang_up()
        listener.close()
        await listener.wait_closed()
        await until(lambda: server.connections == 0)
