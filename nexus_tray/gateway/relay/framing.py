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
        self._buffer = b""
        self._at = 0  # what is before it has been told
        self._searched = 0
        self._body: Body | None = None
        self._over = False

    def feed(self, data: bytes) -> None:
        """Bytes from the peer. They are not copied unless others before them wait."""
        if self._at == len(self._buffer):
            self._buffer, self._at, self._searched = data, 0, 0
        else:
            self._searched = max(self._searched - self._at, 0)
            self._buffer, self._at = self._buffer[self._at :] + data, 0

    @property
    def pending(self) -> int:
        """Bytes held that no event has told yet."""
        return len(self._buffer) - self._at

    @property
    def between(self) -> bool:
        """Waiting for a head, of which nothing has come."""
        return self._body is None and self._at == len(self._buffer)

    @property
    def whole(self) -> bool:
        """The present message has no byte left to come (END may still be due)."""
        return self._over or (self._body is not None and self._body.done)

    def next(self) -> Head | bytes | End | None:
        """The next event; None: more bytes, or `restart`, are needed first."""
        if self._over:
            return None
        body = self._body
        if body is None:
            return self._next_head()
        if not body.done and self._at < len(self._buffer):
            data, self._at = body.take(self._buffer, self._at)
            if data:
                return data
        if body.done:
            self._over = True
            if self._at == len(self._buffer):  # else it would stay in memory while all is quiet
                self._buffer, self._at, self._searched = b"", 0, 0
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

    def take_rest(self) -> bytes:
        """All bytes held: after 101 they are no longer HTTP."""
        data = self._buffer[self._at :]
        self._buffer, self._at = b"", 0
        return data

    def _next_head(self) -> Head | None:
        while (end := self._find_end()) is not None:
            head = self._parse(self._buffer[self._at : end + 2])
            self._at = self._searched = end + 4
            self._body = self._frame(head)
            if self._body is not None:
                return head
        return None

    def _find_end(self) -> int | None:
        """Where the head's empty line is. What can never become a head is refused at once."""
        buffer, at = self._buffer, self._at
        if at == len(buffer):
            return None
        if not 0x41 <= buffer[at] <= 0x5A:  # methods and "HTTP/": a capital letter
            raise Refused(400, "That is not HTTP.")
        end = buffer.find(b"\r\n\r\n", max(self._searched - 3, at), at + HEAD_LIMIT)
        if end >= 0:
            return end
        if _BARE_LF.search(buffer, max(self._searched, at)):
            raise Refused(400, "A line ends without a carriage return.")
        if len(buffer) - at >= HEAD_LIMIT:
            raise Refused(431, "The head is larger than 64 KiB.")
        self._searched = len(buffer)
        return None
