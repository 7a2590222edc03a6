"""The local API's server: Backend on 127.0.0.1, on a random port or one that it is given.

Owns the way from a request to a route: the entrance first (api.entrance), for every path;
then bottle's router; then the route's handler. Imports Backend and its own room. The
accepting thread is "api"; requests run in daemon threads (api.wire), so an open stream
never holds up the end of the program.
"""

import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import quote

import bottle

from nexus_tray.api.entrance import guarded
from nexus_tray.api.guard import Head, Pass, body_length, judge
from nexus_tray.api.metric_resources import METRICS
from nexus_tray.api.pages import Pages
from nexus_tray.api.resources import ROUTES, no_such_resource
from nexus_tray.api.routes import (
    JSON,
    PREFIX,
    Answer,
    BadCall,
    Call,
    Route,
    fault,
    fault_of,
    read_body,
    read_query,
)
from nexus_tray.api.tickets import Tickets
from nexus_tray.api.wire import HEAD, Listener
from nexus_tray.core.backend import Backend
from nexus_tray.model import Hop, Problem, Reason

log = logging.getLogger(__name__)

STREAMS = 32
"""Event and log streams open at a time."""
CONNECTIONS = 128
"""Connections at a time; one more is closed unanswered."""

OPEN = frozenset((route.method, PREFIX + route.path) for route in ROUTES if route.open)
"""What needs no token: the exchange of a ticket."""

SCRAPED = frozenset({("GET", PREFIX + METRICS)})
"""What the token for the counters opens (empty: there is none)."""

INTERNAL = Reason(
    code="api-internal",
    hop=Hop.GATEWAY,
    what="The program made a mistake while it answered.",
    cure="Look at its log: nexus-tray logs --source nexus-tray --level error",
)


class ApiServer:
    """Serves Backend on a loopback port. `start()` and `stop()` once each, from any thread.

    `token` is the bearer token (256 bits, new for each start of the program); `url` the
    address to tell. `pages` are the dashboard's files, served below `/`. `tickets` know who
    may come in with them. `scrape_token` opens `/metrics` and nothing else. The port is bound
    when the object is made, unless `bound` brings a socket that is. Raises OSError.
    """

    def __init__(
        self,
        backend: Backend,
        token: str,
        *,
        pages: Pages = MappingProxyType({}),
        port: int = 0,
        bound: socket.socket | None = None,
        tickets: Tickets | None = None,
        scrape_token: str = "",
        streams: int = STREAMS,
        connections: int = CONNECTIONS,
    ) -> None:
        self._closing = threading.Event()
        self._tickets = tickets or Tickets()
        self._server = Listener(port, connections, bound)
        authority = f"127.0.0.1:{self._server.server_port}"
        wanted = Pass(authority, token, session=self._tickets.admits, scrape=scrape_token)
        self.url = f"http://{authority}"
        app = application(
            backend,
            self._closing,
            streams,
            self._tickets.redeem,
            lambda head: judge(head, wanted) is None,
        )
        self._server.set_app(guarded(app, wanted, pages, OPEN, SCRAPED))
        # The interval bounds how long stop() waits; waking ten times a second costs nothing.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="api", daemon=True
        )

    def invite(self, page: str = "/") -> str:
        """An address that opens the dashboard once, within a minute, at a page of it.

        Ticket and page stand behind `#`, which browsers keep to themselves.
        """
        return f"{self.url}/#ticket={self._tickets.issue()}&to={quote(page, safe='/?=')}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering, end every open connection, free the port. May be called again."""
        if self._closing.is_set():
            return
        self._closing.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.hang_up()


def application(
    backend: Backend,
    closing: threading.Event,
    streams: int = STREAMS,
    redeem: Callable[[str], str | None] = lambda _: None,
    may: Callable[[Head], bool] = lambda _: True,
) -> bottle.Bottle:
    """The routes as a WSGI application; without the guard, so never to be served bare.

    `may`: whether the guard would still admit the request that a stream is the answer to.
    """
    places = threading.BoundedSemaphore(streams)

    def hold() -> Callable[[], None] | None:
        return places.release if places.acquire(blocking=False) else None

    def given(path: dict[str, str]) -> Call:
        head: Head = bottle.request.environ[HEAD]

        def over() -> bool:
            return closing.is_set() or not may(head)

        return Call(backend, path, None, None, head, over, hold, redeem)

    def bound(route: Route) -> Callable[..., bottle.HTTPResponse]:
        def call(**path: str) -> bottle.HTTPResponse:
            return _response(_called(route, given(path)))

        return call

    app = bottle.Bottle()
    app.config["catchall"] = False  # what a handler does not answer itself goes to the log
    for route in ROUTES:
        path = PREFIX + route.path.replace("{", "<").replace("}", ">")
        app.route(path, method=route.method, callback=bound(route))
    app.default_error_handler = _unrouted
    return app


def _called(route: Route, call: Call) -> Answer:
    environ = bottle.request.environ
    try:
        query = read_query(environ.get("QUERY_STRING", ""), route.query)
        body = read_body(environ["wsgi.input"].read(body_length(call.head)), route.body)
        return route.handle(replace(call, query=query, body=body))
    except BadCall as bad:
        return fault(422, bad.reason)
    except Problem as problem:
        return fault_of(problem)
    except (TimeoutError, ConnectionError):
        raise  # the client's end of the line, not ours to answer
    except Exception:
        log.exception("local API: %s %s", route.method, route.path)
        return fault(500, INTERNAL)


def _response(answer: Answer) -> bottle.HTTPResponse:
    response = bottle.HTTPResponse(answer.body, answer.status)
    response.set_header("Content-Type", answer.media)
    for name, value in answer.headers:
        response.set_header(name, value)
    return response


def _unrouted(error: bottle.HTTPError) -> bytes:
    """What the router itself refuses: an unknown path, or a method that a path has not."""
    answer = no_such_resource()
    if error.status_code != 404:
        what = "This resource has no such method."
        reason = Reason(code="api-method", hop=Hop.GATEWAY, what=what, cure="See openapi.json.")
        answer = fault(405, reason)
    bottle.response.set_header("Content-Type", JSON)
    assert isinstance(answer.body, bytes)  # noqa: S101 - a fault is never a stream
    return answer.body
