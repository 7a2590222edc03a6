"""The bodies of HTTP/1 messages: three decoders, for both sides of the relay.

Sans-IO. May import the standard library and `gateway.heads`. Runs on the gateway's event
loop. Bodies are never passed on as they came: what is decoded here is chunked anew, and
trailers are checked and dropped.
"""

import re
from collections.abc import Callable
from typing import Protocol

from nexus_tray.gateway.relay.heads import Refused, is_field

TRAILER_LIMIT = 8_192
"""Bytes of a trailer section."""

LAST_CHUNK = b"0\r\n\r\n"

_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,12}")
_CHUNK_LINE_LIMIT = 16


class Body(Protocol):
    """Takes one body out of the bytes received. `done`: its last byte has been taken."""

    done: bool

    def take(self, buffer: bytes, at: int) -> tuple[bytes, int]:
        """The payload of what belongs to the body in `buffer` from `at` on, and where that ends."""

    def closed(self) -> None:
        """The peer has closed. Raises Refused when the body was cut short by that."""


class LengthBody:
    """A body of so many bytes (RFC 9112, 6.2); 0 for messages without one."""

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0

    def take(self, buffer: bytes, at: int) -> tuple[bytes, int]:
        """At most what is left; a whole piece goes on as it came, without a copy."""
        here = len(buffer) - at
        if here <= self.left:
            data = buffer[at:] if at else buffer
        else:
            data = buffer[at : at + self.left]
            here = self.left
        self.left -= here
        self.done = self.left == 0
        return data, at + here

    def closed(self) -> None:
        """Too early, unless nothing was left."""
        if not self.done:
            raise Refused(400, "The body was cut short.")


class UntilCloseBody:
    """A response body that ends with its connection (RFC 9112, 6.3, last case)."""

    done = False

    def take(self, buffer: bytes, at: int) -> tuple[bytes, int]:
        """Everything."""
        return buffer[at:] if at else buffer, len(buffer)

    def closed(self) -> None:
        """This is its end."""
        self.done = True


class ChunkedBody:
    """A chunked body (RFC 9112, 7.1), decoded by ourselves on both sides.

    The exact place where the message ends must be known, which callback parsers do not
    tell: without it pipelined requests merge (measured, FACTS.md "Gateway"). Extensions are
    refused: nobody needs them and their parsing is a known desync (CVE-2025-4366 and kin).
    """

    def __init__(self) -> None:
        self.done = False
        self._left = 0
        self._step: Callable[[bytes, int], int | None] = self._size
        self._trailer = 0
        self._out: list[bytes] = []

    def take(self, buffer: bytes, at: int) -> tuple[bytes, int]:
        """The payload of all chunks that are there, joined."""
        while not self.done:
            after = self._step(buffer, at)
            if after is None:
                break
            at = after
        data = b"".join(self._out)
        self._out.clear()
        return data, at

    def closed(self) -> None:
        """Too early, unless the last chunk was seen."""
        if not self.done:
            raise Refused(400, "The body was cut short.")

    def _line(self, buffer: bytes, position: int, most: int) -> bytes | None:
        end = buffer.find(b"\r\n", position, position + most + 2)
        if end >= 0:
            return buffer[position:end]
        if len(buffer) - position >= most + 2 or b"\n" in buffer[position:]:
            raise Refused(400, "A chunk is malformed.")
        return None

    def _size(self, buffer: bytes, position: int) -> int | None:
        line = self._line(buffer, position, _CHUNK_LINE_LIMIT)
        if line is None:
            return None
        if _CHUNK_SIZE.fullmatch(line) is None:
            raise Refused(400, "A chunk size is malformed.")
        self._left = int(line, 16)
        self._step = self._data if self._left else self._trailers
        return position + len(line) + 2

    def _data(self, buffer: bytes, position: int) -> int | None:
        data = buffer[position : position + self._left]
        if not data:
            return None
        self._out.append(data)
        self._left -= len(data)
        if self._left == 0:
            self._step = self._data_end
        return position + len(data)

    def _data_end(self, buffer: bytes, position: int) -> int | None:
        end = buffer[position : position + 2]
        if not b"\r\n".startswith(end):
            raise Refused(400, "A chunk is longer than it says.")
        if len(end) < 2:
            return None
        self._step = self._size
        return position + 2

    def _trailers(self, buffer: bytes, position: int) -> int | None:
        line = self._line(buffer, position, TRAILER_LIMIT - self._trailer)
        if line is None:
            return None
        if line and not is_field(line):
            raise Refused(400, "A trailer line is malformed.")
        self._trailer += len(line) + 2
        if self._trailer > TRAILER_LIMIT:
            raise Refused(400, "The trailers are too long.")
        self.done = not line
        return position + len(line) + 2


def chunk(data: bytes) -> bytes:
    """One chunk; of nothing, nothing (an empty chunk would end the body)."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
