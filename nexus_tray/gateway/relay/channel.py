"""A raw connection to a visitor, for the handlers of our own WebSockets.

The awaitable form of a visitor's connection after it left HTTP (`gateway.http.Channel`).
May import `gateway.http` and asyncio. Runs on the gateway's event loop.
"""

import asyncio
from collections.abc import Callable


class SocketChannel:
    """`gateway.http.Channel` over an asyncio transport. The visitor's connection feeds it.

    `hold` stops and resumes reading from the visitor; more than `buffer` bytes unread holds.
    """

    def __init__(
        self,
        send: Callable[[bytes], None],
        close: Callable[[], None],
        hold: Callable[[bool], None],
        buffer: int,
    ) -> None:
        self._send = send
        self._close = close
        self._hold = hold
        self._limit = buffer
        self._buffer = bytearray()
        self._ended = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    async def read(self) -> bytes:
        """The next bytes; empty at the end."""
        await self._readable.wait()
        data = bytes(self._buffer)
        self._buffer.clear()
        if not self._ended:
            self._readable.clear()
            self._hold(False)
        return data

    async def write(self, data: bytes) -> None:
        """Send, waiting while the peer is slow. ConnectionResetError when it is gone."""
        await self._writable.wait()
        if self._ended:
            raise ConnectionResetError("the visitor is gone")
        self._send(data)

    def close(self) -> None:
        """End the connection once what was written is sent."""
        self._close()

    def feed(self, data: bytes) -> None:
        """Bytes from the visitor."""
        if not data:
            return
        self._buffer += data
        self._readable.set()
        if len(self._buffer) > self._limit:
            self._hold(True)

    def block(self, *, blocked: bool) -> None:
        """The visitor is slow, or has caught up."""
        if blocked and not self._ended:
            self._writable.clear()
        else:
            self._writable.set()

    def end(self) -> None:
        """The visitor is gone: readers and writers wake."""
        self._ended = True
        self._readable.set()
        self._writable.set()
