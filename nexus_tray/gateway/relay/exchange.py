"""One request on its way to OpenCode and its answer on the way back.

Owns the join of a visitor's connection and an upstream connection for one exchange: what is
sent up and down, the single retry, the shaper, the raw tunnel after 101. Knows no socket.
May import `gateway.*` below the relay. Runs on the gateway's event loop.
"""

import asyncio
from typing import Protocol

from nexus_tray.gateway.headers import Headers
from nexus_tray.gateway.http import Preview, Principal, Request, Shape, Shaper
from nexus_tray.gateway.relay import fields, heads
from nexus_tray.gateway.relay.answers import phrase
from nexus_tray.gateway.relay.bodies import LAST_CHUNK, chunk
from nexus_tray.gateway.relay.heads import ResponseHead
from nexus_tray.gateway.relay.pool import UpstreamPool
from nexus_tray.gateway.relay.upstream import UpstreamConnection

IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))


class Client(Protocol):
    """What a visitor's connection is to its exchange."""

    def send(self, data: bytes) -> None:
        """Bytes for the visitor."""

    def hold_upload(self, held: bool) -> None:
        """Stop or resume reading from the visitor."""

    def answering(self, head: ResponseHead) -> None:
        """The answer begins."""

    def became_raw(self) -> None:
        """The answer was 101: from now on no byte is HTTP."""

    def exchange_over(self, *, keep: bool) -> None:
        """The answer is complete. `keep`: another request may follow."""

    def exchange_failed(self, *, begun: bool) -> None:
        """There is no (whole) answer. `begun`: a part of it has been sent."""


class Exchange:
    """A request that is forwarded. The client feeds `upload`, ends with `upload_end`, and
    calls `flush` when all bytes of one read are told: head and first body go in one write.

    `length` is that of the request's body (None: chunked). `begun`: a part of the answer has
    gone to the visitor, so that no other can."""

    def __init__(
        self,
        client: Client,
        request: Request,
        principal: Principal,
        pool: UpstreamPool,
        shape: Shape,
        *,
        length: int | None,
        minor: int,
        keep: bool,
        preview: Preview | None = None,
    ) -> None:
        self._client = client
        self._preview = preview
        self._answer_by: asyncio.TimerHandle | None = None
        self.why = ""
        self._request = request
        self._principal = principal
        self._pool = pool
        self._shape = shape
        self._length = length
        self._minor = minor
        self._keep = keep and not request.websocket
        self._up: list[bytes] = []
        self._down: list[bytes] = []
        self._uploaded = False
        self.begun = False
        self._chunked = False
        self._bodiless = False
        self._shaper: Shaper | None = None
        self._over = False
        self._raw = False
        self._download_held = False
        self._connection: UpstreamConnection | None = None

    def start(self) -> None:
        """Take a connection. The pool must have a target."""
        if self._preview is not None:
            self._pool.at_previews.add(self)
        self._take(fresh=False)

    def _take(self, *, fresh: bool) -> None:
        self._connection = self._pool.take(self._principal.id, self._preview, fresh=fresh)
        self._connection.begin(self, self._request.method, websocket=self._request.websocket)
        self._connection.hold(held=self._download_held)
        self._up.insert(0, self._head(self._connection))
        if not self._connection.connected and self._length != 0:  # else we hear him leave
            self._client.hold_upload(held=True)

    def _head(self, connection: UpstreamConnection) -> bytes:
        leads_to = connection.target
        if isinstance(leads_to, Preview):
            block = fields.to_preview(self._request, leads_to)
        else:
            block = fields.to_upstream(self._request, leads_to.authorization)
        if self._length is None:
            block += b"transfer-encoding: chunked\r\n"
        elif self._length or self._request.method not in ("GET", "HEAD", "OPTIONS"):
            block += b"content-length: %d\r\n" % self._length
        request = self._request
        return heads.write_request(request.method.encode(), request.target.encode(), block)

    # from the visitor

    def upload(self, data: bytes) -> None:
        """Payload of the request's body, or raw bytes after 101."""
        chunked = self._length is None and not self._raw
        self._up.append(chunk(data) if chunked else data)

    def upload_end(self) -> None:
        """The request is complete."""
        self._uploaded = True
        if self._length is None:
            self._up.append(LAST_CHUNK)
        if self._preview is not None and self._preview.answer_timeout and not self.begun:
            loop = asyncio.get_running_loop()
            self._answer_by = loop.call_later(self._preview.answer_timeout, self._late)

    def _late(self) -> None:
        """The preview took longer to begin its answer than its owner wants to wait."""
        connection, self._connection = self._connection, None
        if self._over or self.begun or connection is None:
            return
        connection.abort()
        self.why = "Its answer did not begin within the time that is set for this route."
        self._fail()

    def hold_download(self, *, held: bool) -> None:
        """The visitor is slow, or has caught up."""
        self._download_held = held
        if self._connection is not None:
            self._connection.hold(held=held)

    def abandon(self) -> None:
        """The visitor is gone, or may not go on."""
        self._finish()
        self._up.clear()
        self._stop_waiting()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.leave()
        if self._raw:  # a last frame may be under way
            connection.close()
        else:
            connection.abort()

    # from upstream

    def connected(self) -> None:
        """Send what waits."""
        self.hold_download(held=self._download_held)
        self._client.hold_upload(held=False)
        self.flush()

    def hold_upload(self, held: bool) -> None:
        """OpenCode is slow."""
        self._client.hold_upload(held=held)

    def head(self, head: ResponseHead) -> None:
        """Write the visitor's head: framing anew, fields filtered and shaped."""
        self.begun = True
        self._stop_waiting()
        self._client.answering(head)
        if self._preview is None:
            lines = fields.to_visitor(head.headers)
        else:
            lines = fields.from_preview(self._request, self._preview, head.headers)
        if head.status == 101:
            self._raw = True
            lines += fields.UPGRADE
        else:
            lines = fields.personal(self._frame(head, lines))
        self._down.append(heads.write_response(head.status, phrase(head.status), lines))
        if self._raw:
            self.flush()
            self._client.became_raw()

    def _frame(
        self, head: ResponseHead, lines: list[tuple[bytes, bytes]]
    ) -> list[tuple[bytes, bytes]]:
        lengths = [(b"content-length", value) for value in _lengths(head)]
        self._bodiless = self._request.method == "HEAD" or head.status in (204, 304)
        self._shaper = self._shape(self._request, head.status, tuple(lines + lengths))
        shaper = self._shaper
        if shaper is not None:
            before, lines = lines, shaper.head(head.status, lines)
            _check([line for line in lines if line not in before])
            if shaper.changes_body:
                lengths = []
            else:
                self._shaper = None
        if lengths:
            lines = lines + lengths
        elif not self._bodiless:
            self._chunked = self._minor == 1
            if self._chunked:
                lines = [*lines, (b"transfer-encoding", b"chunked")]
            else:
                self._keep = False
        if not self._keep:
            lines = [*lines, (b"connection", b"close")]
        return lines

    def data(self, data: bytes) -> None:
        """Payload of the answer, through the shaper; after 101 as it is."""
        if self._shaper is not None and not self._raw:
            data = self._shaper.feed(data)
        self._down.append(chunk(data) if self._chunked else data)

    def end(self) -> None:
        """The answer is complete; an upload that is not ends both connections."""
        if self._shaper is not None and not self._bodiless:
            tail = self._shaper.finish()
            self._down.append(chunk(tail) if self._chunked else tail)
        if self._chunked:
            self._down.append(LAST_CHUNK)
        self.flush()
        self._finish()
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._uploaded:
                self._pool.give(self._principal.id, connection)
            else:
                connection.abort()
        self._client.exchange_over(keep=self._keep and self._uploaded)

    def flush(self) -> None:
        """Write what has gathered, each way in one piece."""
        if self._down:
            data = b"".join(self._down)
            self._down.clear()
            if data:
                self._client.send(data)
        connection = self._connection
        if self._up and connection is not None and connection.connected:
            data = b"".join(self._up)
            self._up.clear()
            connection.write(data)

    def lost(self) -> None:
        """Once more on a new connection, if the old one was stale: reused, not a byte of an
        answer, nothing but a head sent, and harmless if done twice (RFC 9110, 9.2.2)."""
        connection, self._connection = self._connection, None
        if self._over or connection is None:
            return
        stale = connection.reused and not connection.answered
        once_more = self._length == 0 and self._request.method in IDEMPOTENT
        self.why = connection.why
        if stale and once_more and (self._preview or self._pool.target) is not None:
            self._up.clear()
            self._take(fresh=True)
            return
        self._fail()

    def _stop_waiting(self) -> None:
        if self._answer_by is not None:
            self._answer_by.cancel()
            self._answer_by = None

    def _finish(self) -> None:
        self._over = True
        self._pool.at_previews.discard(self)

    def _fail(self) -> None:
        self._stop_waiting()
        self._finish()
        self._down.clear()
        self._client.exchange_failed(begun=self.begun)


def _lengths(head: ResponseHead) -> tuple[bytes, ...]:
    return () if head.status == 204 else fields.values(head.headers, b"content-length")


def _check(lines: list[tuple[bytes, bytes]] | Headers) -> None:
    for name, value in lines:
        if not heads.safe_field(name, value):
            raise ValueError(f"a shaper made a field that cannot be sent: {name!r}")
        if name in fields.FRAMING or name in fields.HOP_BY_HOP:
            raise ValueError(f"a shaper made a field that is the relay's: {name!r}")
