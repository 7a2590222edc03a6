"""A small HTTP client for our own OpenCode: Basic auth, time limits, JSON checked.

Owns single requests, each on a connection of its own (loopback: connecting costs 0.1 ms);
event streams are `opencode_events`. Imports the model and the gateway's `Upstream`. Used
by the driver's and the activity's threads; it holds nothing, so any thread may use it.
"""

import http.client
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


class Trouble(Enum):
    """In what way OpenCode did not answer as it should."""

    REFUSED = "refused"  # nobody listens
    SILENT = "silent"  # no answer within the time limit
    NOT_JSON = "not-json"  # an answer of another form, such as the web page
    STATUS = "status"  # a status other than 2xx
    TOO_MUCH = "too-much"  # a longer answer than is ever read


MEANINGS = {
    Trouble.REFUSED: "Nothing answers on its port.",
    Trouble.SILENT: "It runs but does not answer; it may hang or be very busy.",
    Trouble.NOT_JSON: "This may be a version that Nexus Tray does not know.",
    Trouble.STATUS: "",
    Trouble.TOO_MUCH: "So much is not read here.",
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


class TooMuch(http.client.HTTPException):
    """The answer is longer than `ANSWER_LIMIT`; the rest of it was not read."""


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
            raise self.failed(error, path) from error
        finally:
            connection.close()
        if response.status // 100 != 2:
            what = f"OpenCode answered {path} with status {response.status}."
            raise self.trouble(Trouble.STATUS, what, response.status, answer)
        return answer

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(
            self.upstream.host, self.upstream.port, timeout=timeout
        )
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise self.failed(error, "") from error
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
            raise self.failed(error, target.partition("?")[0]) from error

    def failed(self, error: Exception, path: str) -> Unwell:
        """The Unwell for a connection that could not be made or broke."""
        where = f" ({path})" if path else ""
        if isinstance(error, TimeoutError):
            return self.trouble(Trouble.SILENT, f"OpenCode did not answer in time{where}.")
        if isinstance(error, TooMuch):
            most = f"{ANSWER_LIMIT // 2**20} MB"
            return self.trouble(
                Trouble.TOO_MUCH, f"OpenCode’s answer is longer than {most}{where}."
            )
        if isinstance(error, ConnectionRefusedError):
            return self.trouble(Trouble.REFUSED, "OpenCode does not accept connections.")
        return self.trouble(Trouble.REFUSED, f"The connection to OpenCode broke{where}: {error}.")

    def _decode(self, answer: bytes, form: type[T], path: str) -> T:
        try:
            return msgspec.json.decode(answer, type=form)
        except msgspec.DecodeError as error:
            what = f"OpenCode's answer to {path} is not what was expected: {error}."
            raise self.trouble(Trouble.NOT_JSON, what, 200, answer) from error


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
            raise TooMuch
