"""A visitor's connection below HTTP: flow control both ways, time limits, the orderly end.

Owns the transport and nothing of what is said over it; `gateway.visitor` builds on it. May
import `gateway.*` below the visitor, and asyncio. Runs on the gateway's event loop.
"""

import asyncio
from abc import ABC, abstractmethod
from enum import Enum
from typing import cast

from nexus_tray.gateway.http import Principal
from nexus_tray.gateway.limits.usage import Standing
from nexus_tray.gateway.relay.framing import Reader
from nexus_tray.gateway.relay.heads import HEAD_LIMIT, RequestHead
from nexus_tray.gateway.relay.metering import Metering
from nexus_tray.gateway.relay.relay import Relay


class State(Enum):
    """What the connection is for just now."""

    HEAD = "waiting for a request"
    OWN_BODY = "reading the body of a request of ours"
    OWN = "the site answers"
    FORWARD = "an exchange with OpenCode"
    RAW = "tunnel after 101"
    CHANNEL = "a WebSocket of ours"
    LINGER = "answered and closing; input is thrown away"
    CLOSED = "gone"


_STREAMING = frozenset((State.FORWARD, State.RAW, State.CHANNEL))
_DAWDLING = frozenset((State.OWN_BODY, State.LINGER))
_DEAF = frozenset((State.LINGER, State.CLOSED))


class Wire(asyncio.Protocol, ABC):
    """The transport's half of a visitor's connection.

    `_read_by` and `_write_by` are moments of the relay's clock by which the visitor must have
    sent, or taken, something; the relay's sweep looks at them.
    """

    _transport: asyncio.Transport
    _reader: Reader[RequestHead]

    def __init__(self, relay: Relay) -> None:
        self.principal: Principal | None = None
        self.door: str | None = None
        self._relay = relay
        self._metering = Metering(relay.meters, relay.clock)
        self._standing = Standing(relay.limits.accounts)
        self._state = State.HEAD
        self._held = False
        self._paused = False
        self._paced_in = False
        self._paced_out = False
        self._read_by: float | None = None
        self._write_by: float | None = None

    @abstractmethod
    def _pump(self) -> None:
        """Handle what has been fed to the reader."""

    @abstractmethod
    def _raw(self, data: bytes) -> None:
        """Bytes that are not HTTP."""

    @abstractmethod
    def _blocked(self, *, blocked: bool) -> None:
        """The visitor takes bytes more slowly than they come, or has caught up."""

    @abstractmethod
    def reroute(self) -> None:
        """The routes have changed: end what is under way to where it may no longer lead."""

    @abstractmethod
    def limit_anew(self) -> None:
        """The limits have changed: end what they refuse, and pace what goes on by them."""

    @abstractmethod
    def _late(self) -> None:
        """A request that has begun did not come in time."""

    @abstractmethod
    def _gone(self) -> None:
        """The visitor is gone."""

    @property
    def streaming(self) -> bool:
        """An exchange or stream is open on it."""
        return self._state in _STREAMING

    @property
    def loitering(self) -> bool:
        """A stranger's, whose request has begun and not come, or was answered: no loss. Nor is
        anybody's whose last answer is out: refused requests must not hold all the places."""
        if self._state is State.LINGER and not self._transport.get_write_buffer_size():
            return True
        begun = self._state is State.HEAD and not self._reader.between
        return self.principal is None and (begun or self._state in _DAWDLING)

    def abort(self) -> None:
        """End it now, upstream side included."""
        self._transport.abort()

    def send(self, data: bytes) -> None:
        """Bytes for the visitor."""
        self._relay.tally.sent += len(data)
        self._metering.meter.sent += len(data)
        self._standing.account.sent += len(data)
        self._transport.write(data)
        if self._standing.outward is not None:
            self._standing.outward.passed(len(data))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A visitor has come."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._transport.set_write_buffer_limits(self._relay.bounds.buffer)
        if self._relay.own_ports and _port(transport) in self._relay.own_ports:
            self._metering.is_ours()  # our own questions are no traffic
        self._expect_within(self._relay.bounds.head)
        if not self._relay.join(self):
            self._state = State.CLOSED
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """The visitor is gone, and so is all that was done for him."""
        self._state = State.CLOSED
        self._relay.leave(self)
        self._gone()
        self._standing.release()

    def eof_received(self) -> None:
        """The visitor will send no more. As for nginx and Go, that means he is gone: a stream or
        a turn of OpenCode's must not run on for nobody. Returning None closes."""

    def data_received(self, data: bytes) -> None:
        """Bytes from the visitor."""
        self._relay.tally.received += len(data)
        self._metering.meter.received += len(data)
        self._standing.account.received += len(data)
        if self._standing.inward is not None:
            self._standing.inward.passed(len(data))
        if self._state is State.RAW or self._state is State.CHANNEL:
            self._raw(data)
        elif self._state not in _DEAF:
            if self._state is State.HEAD:
                if self._reader.between:
                    self._metering.early = 0
                    self._expect_within(self._relay.bounds.head)
                self._metering.early += len(data)
            self._reader.feed(data)
            self._pump()

    def pause_writing(self) -> None:
        """The visitor is slow."""
        self._write_by = self._relay.clock() + self._relay.bounds.stall
        self._blocked(blocked=True)

    def resume_writing(self) -> None:
        """The visitor has caught up."""
        self._write_by = None
        self._blocked(blocked=self._paced_out)

    def hold_upload(self, held: bool) -> None:
        """Stop or resume reading from the visitor: whoever takes his bytes is slow."""
        self._held = held
        self._regulate()

    def _pace_in(self, held: bool) -> None:
        """The visitor has sent more than his share, or may send on."""
        self._paced_in = held
        self._regulate()

    def _pace_out(self, held: bool) -> None:
        """The visitor has got more than his share, or may get more."""
        self._paced_out = held
        if self.streaming:
            self._blocked(blocked=held or self._write_by is not None)

    def expire(self, now: float) -> None:
        """Drop it if a time limit has passed."""
        if self._write_by is not None and now >= self._write_by:
            self._transport.abort()
        elif self._read_by is not None and now >= self._read_by:
            if self._state is State.LINGER and self._transport.get_write_buffer_size():
                self._read_by = None  # he is still reading: the other limit is his
                self._write_by = now + self._relay.bounds.stall
            elif self._state is State.OWN_BODY or (
                self._state is State.HEAD and not self._reader.between
            ):
                self._late()
            else:
                self._transport.abort()

    def _expect_within(self, seconds: float | None) -> None:
        """Something must come from the visitor within so many seconds; None: it need not."""
        self._read_by = None if seconds is None else self._relay.clock() + seconds

    def _regulate(self) -> None:
        """Read from the visitor, or do not: held by a slow upstream, or while one request is
        answered and the next already fills a head's worth of buffer."""
        held = self._state not in _DEAF and (
            self._held or self._paced_in or self._reader.pending > HEAD_LIMIT
        )
        if self._state is State.FORWARD:
            uploading = not self._reader.whole and not held
            self._expect_within(self._relay.bounds.stall if uploading else None)
        if held != self._paused and not self._transport.is_closing():
            self._paused = held
            if held:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _linger(self) -> None:
        """Send the end, and throw away what still comes for a moment: closing with unread
        input would reset the connection and could destroy the answer under way."""
        self._state = State.LINGER
        self._standing.end_stream()
        self._expect_within(self._relay.bounds.linger)
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        self._regulate()


def _port(transport: asyncio.BaseTransport) -> int | None:
    """From which port of this machine he comes; None: over a Unix socket."""
    peer = transport.get_extra_info("peername")
    return peer[1] if isinstance(peer, tuple) and len(peer) > 1 else None
