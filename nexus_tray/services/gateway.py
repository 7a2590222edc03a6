"""The gateway as a service: the driver that the supervisor holds.

The gateway is a thread of this process, so a run is one life of its listeners. Ready means
that its local door answered a request over a real socket. The supervisor's thread calls;
starting, probing and ending are done in short-lived threads.
"""

import http.client
import logging
import socket
import threading
import time
from collections.abc import Callable

from nexus_tray.core.driver import Cause, Exited, Failure, Observed, Probed, Report
from nexus_tray.gateway.server import Gateway
from nexus_tray.model import Facts, Hop, Problem, Reason

log = logging.getLogger(__name__)

PROBE_PATH = "/_nexus/style.css"
"""Answered to anybody, by the gateway alone."""

PROBE_LIMIT = 5.0

DEAF = Reason(
    code="gateway-deaf",
    hop=Hop.GATEWAY,
    what="The gateway does not answer.",
    meaning="Nothing passes to OpenCode while it does not.",
    cure="It is restarted; if that happens again, see the logs.",
)


class GatewayDriver:
    """Implements `core.driver.Driver`. The gateway is started and closed once per run.

    `make` answers the gateway, always the same, before each start; it raises Problem when
    it must not open (sign-in cannot be read): then it stays shut, and says why. `on_visit`
    hears when the last signed-in request came through a tunnel (epoch seconds), with each probe.
    """

    def __init__(self, make: Callable[[], Gateway], on_visit: Callable[[float], None]) -> None:
        self._make = make
        self._gateway: Gateway | None = None
        self._on_visit = on_visit
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # opening and closing, one after the other
        self._run = 0
        self._report: Report | None = None

    def start(self, run: int, report: Report, /) -> None:
        """Begin run number `run`."""
        with self._lock:
            self._run, self._report = run, report
        self._thread(lambda: self._open(run, report), "open")

    def probe(self, run: int, /) -> None:
        """Ask the local door over its socket."""
        report = self._report
        if report is not None and run == self._run:
            self._thread(lambda: self._ask(run, report), "probe")

    def stop(self, run: int, /) -> None:
        """End the run: listeners, then connections."""
        with self._lock:
            report = self._report
            if run != self._run or report is None:
                return
            self._report = None  # so that it ends once
        self._thread(lambda: self._close(run, report), "close")

    def kill(self, run: int, /) -> None:
        """A thread cannot be killed: ask again to end."""
        self.stop(run)

    def _open(self, run: int, report: Report) -> None:
        with self._turn:
            if run == self._run and self._report is not None:  # not told to end meanwhile
                self._open_now(run, report)

    def _open_now(self, run: int, report: Report) -> None:
        try:
            gateway = self._gateway = self._make()
            gateway.start()
        except Problem as problem:
            report(Exited(run, Failure(Cause.FATAL, problem.reason)))
            return
        except Exception as error:
            log.exception("the gateway could not start")
            report(Exited(run, Failure(Cause.CRASH, _unexpected(error))))
            return
        report(Observed(run, Facts(address=gateway.local_address)))

    def _ask(self, run: int, report: Report) -> None:
        began, gateway = time.monotonic(), self._gateway
        try:
            ready = gateway is not None and _answers(gateway)
        except (OSError, http.client.HTTPException):
            ready = False
        if ready and gateway:
            took = (time.monotonic() - began) * 1000
            report(Observed(run, Facts(latency_ms=round(took, 1))))
            self._tell_visits(gateway)
        report(Probed(run, None if ready else DEAF))

    def _close(self, run: int, report: Report) -> None:
        with self._turn:
            try:
                if self._gateway is not None and run == self._run:
                    self._gateway.close(keep_ports=True)
            except Exception:
                log.exception("the gateway did not close in order")
        report(Exited(run))

    def _tell_visits(self, gateway: Gateway) -> None:
        doors = gateway.counters().doors
        times = [d.last_at for name, d in doors.items() if name != "local" and d.last_at]
        if times:
            self._on_visit(max(times))

    @staticmethod
    def _thread(work: Callable[[], None], what: str) -> None:
        threading.Thread(target=work, name=f"gateway {what}", daemon=True).start()


def _answers(gateway: Gateway) -> bool:
    """Ask over a socket whose port the gateway knows before it connects: a question of ours
    each second is no traffic."""
    port = gateway.local_port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_LIMIT)
    with socket.socket() as plain:
        plain.settimeout(PROBE_LIMIT)
        plain.bind(("127.0.0.1", 0))
        with gateway.unmetered(plain.getsockname()[1]):
            plain.connect(("127.0.0.1", port))
            connection.sock = plain
            connection.request("GET", PROBE_PATH)
            return connection.getresponse().status == 200


def _unexpected(error: Exception) -> Reason:
    return Reason(
        code="gateway-failed",
        hop=Hop.GATEWAY,
        what=f"The gateway could not start: {error}.",
        meaning="Nothing is reachable from outside.",
        cure="It is tried again; see the logs.",
    )
