"""A small HTTP client for our own OpenCode: Basic auth, time limits, JSON checked.

Owns one request at a time on a connection of its own (loopback: connecting costs 0.1 ms),
and the reading of an event stream. Imports the model and the gateway's `Upstream`. Used
by the driver's and the activity's threads; an `OpenCodeClient` holds no connection, so
any thread may use it; an `EventStream` belongs to one thread, but any may `close` it.
"""

import http.client
import select
import socket
import time
from enum import Enum
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from nexus_tray.gateway.http import Upstream
from nexus_tray.model import Hop, Problem, Reason

T = TypeVar("T")

ANSWER_LIMIT = 16 * 1024 * 1024
EVENT_LIMIT = 4 * 1024 * 1024


class Trouble(Enum):
    """In what way OpenCode did not answer as it should."""

    REFUSED = "refused"  # nobody listens
    SILENT = "silent"  # no answer within the time limit
    NOT_JSON = "not-json"  # an answer of another form, such as the web page
    STATUS = "status"  # a status other than 2xx


MEANINGS = {
    Trouble.REFUSED: "Nothing answers on its port.",
    Trouble.SILENT: "It runs but does not answer; it may hang or be very busy.",
    Trouble.NOT_JSON: "This may be a version that Nexus Tray does not know.",
    Trouble.STATUS: "",
}


class Unwell(Problem):
    """OpenCode did not answer as it should. `status` and `body` where there was an answer."""

    def __init__(
        self, reason: Reason, trouble: Trouble, status: int = 0, body: bytes = b""
    ) -> None:
        super().__init__(reason)
        self.trouble = trouble
        self.status = status
        self.body = body


class OpenCodeClient:
    """Asks one OpenCode server. Every method raises Unwell and nothing else expected."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream

    def get(
        self,
        path: str,
        form: type[T],
        *,
        directory: str = "",
        query: dict[str, str] | None = None,
        timeout: float = 5.0,
    ) -> T:
        """The JSON answer as `form`. `directory` names the project asked about."""
        answer = self._ask("GET", path, directory, query, None, timeout)
        return self._decode(answer, form, path)

    def post(
        self, path: str, body: object = None, *, directory: str = "", timeout: float = 5.0
    ) -> bytes:
        """Send JSON and return the raw answer; None sends an empty body."""
        return self._ask("POST", path, directory, None, body, timeout)

    def events(self, path: str, timeout: float) -> "EventStream":
        """Subscribe to server-sent events; `timeout` is the longest silence, in seconds."""
        connection = self._connect(timeout)
        try:
            response, sock = self._send(connection, "GET", path, None)
            if response.status != 200 or not _is(response, "text/event-stream"):
                raise self._unexpected(response, path, b"")
        except BaseException:
            connection.close()
            raise
        return EventStream(self, connection, response, sock)

    def trouble(self, trouble: Trouble, what: str, status: int = 0, body: bytes = b"") -> "Unwell":
        """An Unwell about this server in words."""
        reason = Reason(
            code=f"opencode-{trouble.value}",
            hop=Hop.OPENCODE,
            what=what,
            meaning=MEANINGS[trouble],
        )
        return Unwell(reason, trouble, status, body)

    def _ask(
        self,
        method: str,
        path: str,
        directory: str,
        query: dict[str, str] | None,
        body: object,
        timeout: float,
    ) -> bytes:
        fields = dict(query or {})
        if directory:
            fields["directory"] = directory
        target = f"{path}?{urlencode(fields)}" if fields else path
        deadline = time.monotonic() + timeout
        connection = self._connect(timeout)
        try:
            payload = b"" if body is None else msgspec.json.encode(body)
            response, sock = self._send(connection, method, target, payload)
            try:
                answer = _read(response, sock, deadline)
            finally:
                response.close()
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(error, path) from error
        finally:
            connection.close()
        if response.status // 100 != 2:
            raise self._unexpected(response, path, answer)
        return answer

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(
            self.upstream.host, self.upstream.port, timeout=timeout
        )
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise self._failed(error, "") from error
        return connection

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        payload: bytes | None,
    ) -> tuple[http.client.HTTPResponse, socket.socket]:
        # taken before the response: http.client forgets the socket of a closing answer
        sock: socket.socket = connection.sock
        headers = {"Authorization": self.upstream.authorization.decode("ascii")}
        if payload:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, target, body=payload, headers=headers)
            return connection.getresponse(), sock
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(error, target.partition("?")[0]) from error

    def _failed(self, error: Exception, path: str) -> Unwell:
        where = f" ({path})" if path else ""
        if isinstance(error, TimeoutError):
            return self.trouble(Trouble.SILENT, f"OpenCode did not answer in time{where}.")
        if isinstance(error, ConnectionRefusedError):
            return self.trouble(Trouble.REFUSED, "OpenCode does not accept connections.")
        return self.trouble(Trouble.REFUSED, f"The connection to OpenCode broke{where}: {error}.")

    def _unexpected(self, response: http.client.HTTPResponse, path: str, body: bytes) -> Unwell:
        if response.status // 100 == 2:
            return self.trouble(Trouble.NOT_JSON, f"OpenCode answered {path} with something else.")
        what = f"OpenCode answered {path} with status {response.status}."
        return self.trouble(Trouble.STATUS, what, response.status, body)

    def _decode(self, answer: bytes, form: type[T], path: str) -> T:
        try:
            return msgspec.json.decode(answer, type=form)
        except msgspec.DecodeError as error:
            what = f"OpenCode's answer to {path} is not what was expected: {error}."
            raise self.trouble(Trouble.NOT_JSON, what, 200, answer) from error


def _is(response: http.client.HTTPResponse, media_type: str) -> bool:
    return response.headers.get_content_type() == media_type


def _read(response: http.client.HTTPResponse, sock: socket.socket, deadline: float) -> bytes:
    """The whole body, bounded in size and in total time (not just between two reads)."""
    parts: list[bytes] = []
    size = 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)
        part = response.read1(65536)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > ANSWER_LIMIT:
            raise http.client.HTTPException(f"an answer over {ANSWER_LIMIT} bytes")


class EventStream:
    """One open subscription: hands out the `data:` of each event, bounded."""

    def __init__(
        self,
        client: OpenCodeClient,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
        sock: socket.socket,
    ) -> None:
        self._client = client
        self._connection = connection
        self._response = response
        self._sock = sock
        self._splitter = Splitter()

    @property
    def lost(self) -> int:
        """How many events were too large and were dropped."""
        return self._splitter.lost

    def readable(self, wait: float) -> bool:
        """Whether bytes arrive within `wait` seconds. May miss some that are buffered."""
        return bool(select.select([self._sock], [], [], wait)[0])

    def next(self) -> list[bytes]:
        """The next events, at least one read's worth (may be none). Raises Unwell at the end."""
        try:
            data = self._response.read1(65536)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._client.trouble(
                Trouble.SILENT, f"OpenCode's event stream broke: {error}."
            ) from error
        if not data:
            raise self._client.trouble(Trouble.REFUSED, "OpenCode closed its event stream.")
        return self._splitter.feed(data)

    def interrupt(self) -> None:
        """Make a blocked `next` raise; from any thread."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # already gone, which is what was wanted

    def close(self) -> None:
        """End the subscription; from the thread that reads it."""
        self._response.close()
        self._connection.close()


class Splitter:
    """Cuts a byte stream into events (WHATWG HTML 9.2.6, LF only, as OpenCode sends).

    An event over `limit` bytes is dropped and counted, so that memory stays bounded.
    """

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self.lost = 0
        self._limit = limit
        self._buffer = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads completed by `data`, in order."""
        self._buffer += data
        *events, rest = bytes(self._buffer).split(b"\n\n")
        found: list[bytes] = []
        for event in events:
            if self._skipping:
                self._skipping = False
                continue
            lines = [line for line in event.split(b"\n") if line.startswith(b"data:")]
            if lines:
                found.append(b"\n".join(line[5:].removeprefix(b" ") for line in lines))
        self._buffer = bytearray(rest)
        if len(self._buffer) > self._limit:
            self.lost += not self._skipping
            self._skipping = True
            del self._buffer[:-1]  # the last byte may begin the blank line
        return found
