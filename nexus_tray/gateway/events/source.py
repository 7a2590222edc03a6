"""The gateway's own requests to OpenCode: event streams, and the files it keeps copies of.

Owns a small HTTP client for them: OpenCode on loopback is trusted as far as llhttp's
parsing goes, so `httptools` reads head and chunks. One connection for each request. Adds
the credential that only we know. Visitors' requests go through the relay, never here.
Runs on the gateway's event loop.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping

import httptools

from nexus_tray.gateway.http import Upstream

RETRY_SECONDS = 0.2
HEAD_BYTES = 64 * 1024
READ_BYTES = 64 * 1024
SILENCE_SECONDS = 60.0
"""OpenCode's heartbeats come every 10 or 15 s (measured); silence means it hangs."""


class Refused(Exception):
    """Not answered as hoped; `status` is what the page's `fetch` is to see."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class _Sink:
    """Collects what httptools reads of one response."""

    def __init__(self) -> None:
        self.status = 0
        self.kind = b""
        self.body: list[bytes] = []
        self.headed = False
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self.kind = value.split(b";")[0].strip().lower()

    def on_headers_complete(self) -> None:
        self.headed = True

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        self.complete = True


class Source:
    """An open answer of OpenCode's. Read `chunks` once; `close` ends it at any time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sink = _Sink()
        self._parser = httptools.HttpResponseParser(self._sink)

    async def head(self) -> None:
        """Read the head. Raises Refused unless its status is 200."""
        read = 0
        while not self._sink.headed:
            data = await self._reader.read(READ_BYTES)
            read += len(data)
            if not data or read > HEAD_BYTES:
                raise Refused(502)
            self._feed(data)
        status = self._parser.get_status_code()
        if status != 200:
            # 401 would tell the page that *its* sign-in ended; it is our credential that is stale
            raise Refused(status if 402 <= status <= 599 or status == 400 else 502)

    @property
    def kind(self) -> str:
        """The media type that the head says, lower case, without parameters."""
        return self._sink.kind.decode("latin-1")

    @property
    def complete(self) -> bool:
        """Whether the body came to its announced end."""
        return self._sink.complete

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise Refused(502) from error

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes, until its end. Raises OSError when the connection breaks."""
        while True:
            body, self._sink.body = self._sink.body, []
            for data in body:
                yield data
            if self._sink.complete:
                return
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    data = await self._reader.read(READ_BYTES)
            except TimeoutError:
                return
            if not data:
                return
            try:
                self._feed(data)
            except Refused:
                return

    def close(self) -> None:
        """End the connection."""
        self._writer.close()


async def open_source(
    upstream: Callable[[], Upstream | None],
    target: str,
    headers: Mapping[str, str],
    seconds: float,
) -> Source:
    """Ask OpenCode for a stream, waiting up to `seconds` while it is down or starting.

    Waiting here, 0.2 s a turn, brings a page back as soon as OpenCode is back; its own
    retries are up to 30 s apart (read in 1.18.33's page). Raises Refused: 503 when
    OpenCode did not come, else its own status.
    """
    try:
        async with asyncio.timeout(seconds):
            while True:
                where = upstream()
                if where is not None:
                    with contextlib.suppress(OSError):
                        return await _event_stream(where, target, headers)
                await asyncio.sleep(RETRY_SECONDS)
    except TimeoutError:
        raise Refused(503) from None


async def _event_stream(where: Upstream, target: str, headers: Mapping[str, str]) -> Source:
    source = await _ask(where, target, {"accept": "text/event-stream", **headers})
    if source.kind != "text/event-stream":
        source.close()
        raise Refused(502)  # OpenCode answers unknown paths with its page and 200
    return source


async def fetch(where: Upstream, target: str, max_bytes: int) -> tuple[str, bytes]:
    """A whole file of OpenCode's: media type and body.

    Raises OSError, or Refused when it is not there, cut short or longer than `max_bytes`.
    """
    source = await _ask(where, target, {})
    try:
        body = b""
        async for data in source.chunks():
            body += data
            if len(body) > max_bytes:
                raise Refused(502)
        if not source.complete:
            raise Refused(502)
        return source.kind, body
    finally:
        source.close()


async def _ask(where: Upstream, target: str, headers: Mapping[str, str]) -> Source:
    reader, writer = await asyncio.open_connection(where.host, where.port)
    source = Source(reader, writer)
    try:
        lines = [f"GET {target} HTTP/1.1", f"host: {where.host}:{where.port}"]
        lines += ["accept-encoding: identity"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines).encode("ascii")
        writer.write(head + b"\r\nauthorization: " + where.authorization + b"\r\n\r\n")
        await source.head()
    except BaseException:
        source.close()
        raise
    return source
