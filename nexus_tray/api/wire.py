"""The wire below the local API: a listener, its connections, and what bounds them.

Owns the sockets. Standard library only (wsgiref on http.server), and knows no route: the
WSGI application comes from api.server. One accepting thread, one daemon thread per
connection, one request per connection (HTTP/1.0 rules).

wsgiref accepts heads that a public server must not; it is for loopback only, the guard
refuses what is ambiguous, and `_Intake` bounds what is read and for how long.
"""

import io
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from typing import IO, Any, cast
from wsgiref.handlers import SimpleHandler
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from nexus_tray.api.guard import BODY_LIMIT, Head
from nexus_tray.api.routes import JSON

log = logging.getLogger(__name__)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

HEAD_LIMIT = 32 * 1024
READ_SECONDS = 5.0
WRITE_SECONDS = 20.0

HEAD = "nexus.head"
"""The request's `Head` in a WSGI environ: unlike environ, it keeps repeated fields apart."""


class _Intake(io.RawIOBase):
    """A connection's bytes, bounded in number and in time, however slowly they come.

    A timeout per read alone would let a client send one byte every few seconds for ever.
    """

    def __init__(self, connection: socket.socket, most: int, seconds: float) -> None:
        self._connection = connection
        self._left = most
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wait = self._until - time.monotonic()
        if wait <= 0 or self._left <= 0:
            raise TimeoutError("the request was too long or too slow")
        self._connection.settimeout(wait)
        got = self._connection.recv_into(buffer, min(len(buffer), self._left))
        self._connection.settimeout(WRITE_SECONDS)
        self._left -= got
        return got


class _Answering(SimpleHandler):
    """Runs the application for one request; faults go to the log, not to stderr."""

    server_software = "nexus-tray"
    # The base would copy this process's whole environment into each request's.
    os_environ: dict[str, str] = {}  # noqa: RUF012 - never changed, and so typed by the base

    def log_exception(self, exc_info: Any) -> None:
        if isinstance(exc_info[1], OSError):
            log.debug("local API: the client left: %s", exc_info[1])
        else:
            log.error("local API: an answer failed", exc_info=exc_info)

    def error_output(
        self,
        environ: dict[str, Any],  # noqa: ARG002 - the base's signature
        start_response: Callable[..., Any],
    ) -> list[bytes]:
        """Only reached when the application itself broke: its handlers answer their own faults."""
        start_response("500 Internal Server Error", [("Content-Type", JSON)])
        return [b'{"ok":false}']


class _Connection(WSGIRequestHandler):
    """One connection, one request."""

    server_version = "nexus-tray"
    sys_version = ""
    timeout = WRITE_SECONDS
    # What http.server refuses by itself (a malformed head) is answered in the same form.
    error_content_type = JSON
    error_message_format = (
        '{"ok":false,"reason":{"code":"api-malformed","hop":"gateway",'
        '"what":"The request is not valid HTTP (%(code)d)."}}'
    )

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        intake = _Intake(self.connection, HEAD_LIMIT + BODY_LIMIT, READ_SECONDS)
        self.rfile = io.BufferedReader(intake)

    def handle(self) -> None:
        self.raw_requestline = self.rfile.readline(HEAD_LIMIT)
        if not self.raw_requestline or not self.parse_request():
            return
        environ = self.get_environ()
        fields = tuple((key.lower(), value.strip()) for key, value in self.headers.items())
        environ[HEAD] = Head(method=self.command, fields=fields)
        # Typed as files, though wsgiref only reads from the one and writes to the other.
        streams = cast("tuple[IO[bytes], IO[bytes]]", (self.rfile, self.wfile))
        answering = _Answering(*streams, io.StringIO(), environ)
        answering.run(cast("Wsgi", cast("Listener", self.server).get_app()))

    def finish(self) -> None:
        """Close so that the answer arrives.

        Closing with unread bytes resets the connection, and the client may lose the
        refusal that it was sent; so what is still coming is read and dropped for a moment.
        """
        super().finish()
        try:
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(0.5)
            until = time.monotonic() + 1.0
            while self.connection.recv(65536) and time.monotonic() < until:
                continue
        except OSError:
            log.debug("local API: the client closed first")

    def address_string(self) -> str:
        return str(self.client_address[0])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        log.debug("local API: " + format, *args)


class Listener(ThreadingMixIn, WSGIServer):
    """The listener. Bounds the connections and knows them, to end them at the stop."""

    daemon_threads = True
    request_queue_size = 32
    # No other program may share our port or take it over while we have it.
    allow_reuse_address = False
    allow_reuse_port = False

    def __init__(self, port: int, connections: int, bound: socket.socket | None = None) -> None:
        """`bound`: a socket that is bound to a loopback port already, instead of `port`."""
        self._places = threading.BoundedSemaphore(connections)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Connection, bind_and_activate=bound is None)
        if bound is not None:
            self.socket.close()
            self.socket = bound
            self.server_address = bound.getsockname()
            self._name()
            self.server_activate()

    def server_bind(self) -> None:
        """As the base does, without its look-up of our own host name, which can hang."""
        TCPServer.server_bind(self)
        self._name()

    def _name(self) -> None:
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection a thread, if there is a place for it."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        with self._lock:
            self._open.add(request)
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._forget(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The connection's whole life; then its place is free."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._forget(request)

    def _forget(self, request: socket.socket) -> None:
        with self._lock:
            self._open.discard(request)
        self._places.release()

    def hang_up(self) -> None:
        """End every open connection; its thread then ends at its next read or write."""
        with self._lock:
            for request in self._open:
                try:
                    request.shutdown(socket.SHUT_RDWR)
                except OSError:
                    log.debug("local API: a connection was closed already")

    def handle_error(
        self,
        request: Any,  # noqa: ARG002 - the base's signature
        client_address: Any,  # noqa: ARG002
    ) -> None:
        """Clients that leave or dawdle are everyday; anything else is ours."""
        log.debug("local API: a connection ended early", exc_info=True)
