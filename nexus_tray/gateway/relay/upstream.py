"""A connection to OpenCode, for one exchange at a time.

Owns the upstream side's sockets; `gateway.pool` decides which is used. May import `gateway.*`
below the relay, and asyncio. Runs on the gateway's event loop.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol, cast

from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.http import Preview, Upstream
from nexus_tray.gateway.meter import Meter
from nexus_tray.gateway.relay import fields, rules
from nexus_tray.gateway.relay.bodies import Body
from nexus_tray.gateway.relay.framing import END, Reader
from nexus_tray.gateway.relay.heads import Refused, ResponseHead, parse_response

log = logging.getLogger(__name__)

Barred = Callable[[asyncio.BaseTransport], bool]
"""Whether a connection, just made, leads back to ourselves or past us to OpenCode."""

MOST_INTERIMS = 16
"""Interim responses (100, 103) before an answer."""

NOT_UNDERSTOOD = "What it answered is not clean HTTP, or it ended too early."
BARRED = (
    "This route leads to OpenCode or to Nexus Tray itself, which is not allowed: nobody may "
    "come past the gateway. Set the route to OpenCode, or to another port."
)


class Sink(Protocol):
    """What an exchange is to its upstream connection."""

    def connected(self) -> None:
        """The connection stands: send now."""

    def head(self, head: ResponseHead) -> None:
        """The final response has begun (or 101)."""

    def data(self, data: bytes) -> None:
        """Payload of the body; after 101 the raw bytes."""

    def end(self) -> None:
        """The response is complete."""

    def flush(self) -> None:
        """All events of one read have been told."""

    def lost(self) -> None:
        """The connection failed, ended too early, or spoke no clean HTTP. Comes at most once."""

    def hold_upload(self, held: bool) -> None:
        """OpenCode takes bytes more slowly than they come."""


class UpstreamConnection(asyncio.Protocol):
    """One connection to OpenCode. Between exchanges it has no sink and may say nothing."""

    def __init__(
        self,
        target: Upstream | Preview,
        bounds: Bounds,
        meter: Meter,
        barred: Barred | None = None,
    ) -> None:
        self.target = target
        self.why = NOT_UNDERSTOOD
        self._barred = barred
        self.reused = False
        self.answered = False
        self._interims = 0
        self.idle_since = 0.0
        self.connecting: asyncio.Task[None] | None = None
        self._bounds = bounds
        self._meter = meter  # bytes only; requests are counted where they come in
        self._transport: asyncio.Transport | None = None
        self._sink: Sink | None = None
        self._method = "GET"
        self._websocket = False
        self._raw = False
        self._stays = False
        self._paused = False
        self._reader: Reader[ResponseHead] = Reader(parse_response, self._judge)

    @property
    def connected(self) -> bool:
        """Bytes can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def reusable(self) -> bool:
        """The last answer ended cleanly, and both sides keep the connection."""
        return self.connected and self._stays and not self._raw and self._reader.pending == 0

    def begin(self, sink: Sink, method: str, *, websocket: bool) -> None:
        """The next exchange is this one."""
        if self._reader.whole:
            self._reader.restart()
        self._sink = sink
        self._method = method
        self._websocket = websocket
        self._interims = 0
        self.answered = False

    def leave(self) -> None:
        """The exchange is over: nothing more is told to it."""
        self._sink = None
        self.hold(held=False)

    def write(self, data: bytes) -> None:
        """Send. The sink is told to hold its upload when OpenCode is slow."""
        if self._transport is not None:
            self._meter.sent += len(data)
            self._transport.write(data)

    def hold(self, *, held: bool) -> None:
        """Stop or resume reading: the visitor is slow."""
        if self._transport is None or self._paused == held or self._transport.is_closing():
            return
        self._paused = held
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def close(self) -> None:
        """End the connection when what was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End the connection now, or the making of it: else whoever asks and leaves again and
        again leaves a socket behind each time (CWE-772)."""
        self._sink = None
        if self._transport is not None:
            self._transport.abort()
        elif self.connecting is not None:
            self.connecting.cancel()

    def failed(self) -> None:
        """It could not be connected. `why`, for a preview's owner, is set before."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.lost()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """What waits is sent from here, not after `create_connection` returns: body bytes
        that come in between would overtake the head (a real desync of the prototype)."""
        transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._transport = transport
        transport.set_write_buffer_limits(self._bounds.buffer)
        if self._barred is not None and self._barred(transport):
            log.warning("a route leads to a port of OpenCode's or our own, and was refused")
            self.why = BARRED
            sink, self._sink = self._sink, None
            transport.abort()
            if sink is not None:
                sink.lost()
        elif self._sink is None:
            transport.abort()
        else:
            self._sink.connected()

    def connection_lost(self, exc: Exception | None) -> None:
        """Also the regular end of a body without a length, if it was not torn off."""
        sink, self._sink = self._sink, None
        if sink is None:
            return
        if exc is None and not self._raw and self.answered:
            try:
                if self._reader.closed() is END:
                    sink.end()
                    sink.flush()
                    return
            except Refused as refusal:
                log.info("OpenCode's answer was torn: %s", refusal.why)
        sink.lost()

    def pause_writing(self) -> None:
        """OpenCode is slow."""
        if self._sink is not None:
            self._sink.hold_upload(held=True)

    def resume_writing(self) -> None:
        """OpenCode has caught up."""
        if self._sink is not None:
            self._sink.hold_upload(held=False)

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer; without an exchange they are an attack or a bug."""
        sink = self._sink
        if sink is None:
            self.abort()
            return
        self._meter.received += len(data)
        self.answered = True
        if self._paused and self._transport is not None:
            self._transport.pause_reading()  # uvloop forgets a pause made while it connects
        try:
            self._tell(sink, data)
        except Refused as refusal:
            log.warning("OpenCode's answer was refused: %s", refusal.why)
            self.abort()
            sink.lost()
        except Exception:
            log.exception("an answer of OpenCode's could not be passed on")
            self.abort()
            sink.lost()

    def _tell(self, sink: Sink, data: bytes) -> None:
        if self._raw:
            sink.data(data)
            sink.flush()
            return
        self._reader.feed(data)
        while self._sink is sink and (event := self._reader.next()) is not None:
            if isinstance(event, bytes):
                sink.data(event)
            elif isinstance(event, ResponseHead):
                self._tell_head(sink, event)
            else:
                sink.end()
        sink.flush()

    def _tell_head(self, sink: Sink, head: ResponseHead) -> None:
        self._stays = fields.stays_open(head.minor, head.headers)
        sink.head(head)
        if head.status == 101:
            self._raw = True
            self._reader.next()
            sink.data(self._reader.take_rest())

    def _judge(self, head: ResponseHead) -> Body | None:
        body = rules.judge_response(head, self._method, websocket=self._websocket)
        if body is None:  # thrown away, so no slow visitor would ever hold them back
            self._interims += 1
            if self._interims > MOST_INTERIMS:
                raise Refused(502, "There is no end of interim answers.")
        return body
