"""The local API's server: Backend on 127.0.0.1, on a random port.

Owns the way from a request's head to a route: guard first, for every path; then bottle's
router; then the route's handler. Imports Backend and its own room. The accepting thread
is "api"; requests run in daemon threads (api.wire), so an open stream never holds up the
end of the program.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

import bottle

from nexus_tray.api.guard import Head, Pass, body_length, judge
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
from nexus_tray.api.wire import HEAD, Listener, Wsgi
from nexus_tray.core.backend import Backend
from nexus_tray.model import Hop, Problem, Reason

log = logging.getLogger(__name__)

STREAMS = 32
"""Event and log streams open at a time."""
CONNECTIONS = 128
"""Connections at a time; one more is closed unanswered."""

STANDING = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "strict-origin"),
)
"""Fields of every answer. An answer is data, never a page, and none sets a cookie."""

INTERNAL = Reason(
    code="api-internal",
    hop=Hop.GATEWAY,
    what="The program made a mistake while it answered.",
    cure="Look at its log: nexus-tray logs --source nexus-tray --level error",
)


class ApiServer:
    """Serves Backend on a loopback port. `start()` and `stop()` once each, from any thread.

    `token` is the bearer token (256 bits, new for each start of the program); `url` the
    address to tell. The port is bound when the object is made. Raises OSError.
    """

    def __init__(
        self,
        backend: Backend,
        token: str,
        *,
        port: int = 0,
        streams: int = STREAMS,
        connections: int = CONNECTIONS,
    ) -> None:
        self._closing = threading.Event()
        app = application(backend, self._closing, streams)
        self._server = Listener(port, connections)
        wanted = Pass(authority=f"127.0.0.1:{self._server.server_port}", token=token)
        self.url = f"http://{wanted.authority}"
        self._server.set_app(_guarded(app, wanted))
        # The interval bounds how long stop() waits; waking ten times a second costs nothing.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="api", daemon=True
        )

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
    backend: Backend, closing: threading.Event, streams: int = STREAMS
) -> bottle.Bottle:
    """The routes as a WSGI application; without the guard, so never to be served bare."""
    places = threading.BoundedSemaphore(streams)

    def hold() -> Callable[[], None] | None:
        return places.release if places.acquire(blocking=False) else None

    def bound(route: Route) -> Callable[..., bottle.HTTPResponse]:
        def call(**path: str) -> bottle.HTTPResponse:
            return _response(_called(route, path, backend, closing, hold))

        return call

    app = bottle.Bottle()
    app.config["catchall"] = False  # what a handler does not answer itself goes to the log
    for route in ROUTES:
        path = PREFIX + route.path.replace("{", "<").replace("}", ">")
        app.route(path, method=route.method, callback=bound(route))
    app.default_error_handler = _unrouted
    return app


def _called(
    route: Route,
    path: dict[str, str],
    backend: Backend,
    closing: threading.Event,
    hold: Callable[[], Callable[[], None] | None],
) -> Answer:
    environ = bottle.request.environ
    head: Head = environ[HEAD]
    try:
        query = read_query(environ.get("QUERY_STRING", ""), route.query)
        body = read_body(environ["wsgi.input"].read(body_length(head)), route.body)
        return route.handle(Call(backend, path, query, body, head, closing, hold))
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


def _guarded(app: bottle.Bottle, wanted: Pass) -> Wsgi:
    """The application behind its guard, with the standing fields on every answer."""

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, fields: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*fields, *STANDING], exc_info)

        refusal = judge(environ[HEAD], wanted)
        if refusal is None:
            served: Iterable[bytes] = app(environ, start)
            return served
        body = fault(refusal.status, refusal.reason).body
        assert isinstance(body, bytes)  # noqa: S101 - a fault is never a stream
        fields = [("Content-Type", JSON), ("Content-Length", str(len(body)))]
        if refusal.status == 401:
            fields.append(("WWW-Authenticate", "Bearer"))
        start(f"{refusal.status} Refused", fields)
        return [body]

    return wsgi
