"""Where an HTTP/1 message begins and ends: bytes in, events out, on both sides of the relay.

Owns the reader that turns one connection's bytes into heads, payloads and ends. Sans-IO: no
sockets, no clock. Heads are parsed by `gateway.heads`, bodies by `gateway.bodies`, and what
a head means is judged by `gateway.rules`. Runs on the gateway's event loop.
"""

import re
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from nexus_tray.gateway.relay.bodies import Body
from nexus_tray.gateway.relay.heads import HEAD_LIMIT, Refused, RequestHead, ResponseHead

_BARE_LF = re.compile(rb"(?<!\r)\n")


class End:
    """The message is over; what follows belongs to the next one."""


END: Final = End()


Head = TypeVar("Head", RequestHead, ResponseHead)


class Reader(Generic[Head]):
    """One side's bytes as events: a head, body payloads, END; then `restart` for the next.

    `frame` judges a head and answers its body decoder (None: not a message to relay, such as
    an interim response; the next head is read). What it raises comes out of `next`, and the
    reader must not be used again: after a refusal nobody knows where a message begins.
    """

    def __init__(
        self, parse: Callable[[bytes], Head], frame: Callable[[Head], Body | None]
    ) -> None:
        self._parse: Callable[[bytes], Head] = parse
        self._frame: Callable[[Head], Body | None] = frame
        self._buffer = bytearray()
        self._searched = 0
        self._body: Body | None = None
        self._over = False

    def feed(self, data: bytes) -> None:
        """Bytes from the peer."""
        self._buffer += data

    @property
    def pending(self) -> int:
        """Bytes held that no event has told yet."""
        return len(self._buffer)

    @property
    def between(self) -> bool:
        """Waiting for a head, of which nothing has come."""
        return self._body is None and not self._buffer

    @property
    def whole(self) -> bool:
        """The present message has no byte left to come (END may still be due)."""
        return self._over or (self._body is not None and self._body.done)

    def next(self) -> Head | bytes | End | None:
        """The next event; None: more bytes, or `restart`, are needed first."""
        if self._over:
            return None
        if self._body is None:
            return self._next_head()
        if not self._body.done and self._buffer:
            data = self._body.decode(self._buffer)
            if data:
                return data
        if self._body.done:
            self._over = True
            return END
        return None

    def closed(self) -> Head | bytes | End | None:
        """The peer sends no more; the last event. Raises Refused for a torn message."""
        if self._over or self.between:
            return None
        if self._body is None:
            raise Refused(400, "The head was cut short.")
        self._body.closed()
        return self.next()

    def restart(self) -> None:
        """Begin the next message. Only after END, or when `whole`."""
        if not self.whole:
            raise RuntimeError("the present message is not over")
        self._body = None
        self._over = False
        self._searched = 0

    def take_rest(self) -> bytes:
        """All bytes held: after 101 they are no longer HTTP."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def _next_head(self) -> Head | None:
        while (end := self._find_end()) is not None:
            head = self._parse(bytes(self._buffer[: end + 2]))
            del self._buffer[: end + 4]
            self._searched = 0
            self._body = self._frame(head)
            if self._body is not None:
                return head
        return None

    def _find_end(self) -> int | None:
        """Where the head's empty line is. What can never become a head is refused at once."""
        buffer = self._buffer
        if buffer and not 0x41 <= buffer[0] <= 0x5A:  # methods and "HTTP/": a capital letter
            raise Refused(400, "That is not HTTP.")
        end = buffer.find(b"\r\n\r\n", max(self._searched - 3, 0), HEAD_LIMIT)
        if end >= 0:
            return end
        if _BARE_LF.search(buffer, self._searched):
            raise Refused(400, "A line ends without a carriage return.")
        if len(buffer) >= HEAD_LIMIT:
            raise Refused(431, "The head is larger than 64 KiB.")
        self._searched = len(buffer)
        return None
