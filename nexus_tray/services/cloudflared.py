"""A quick tunnel as a service: the driver that the supervisor holds.

Owns nothing but which run is which; a run's life is `cloudflared_run`. Imports the driver
protocol and this room. The supervisor's thread calls it, and each call returns at once:
what is slow happens in threads of the run.
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from nexus_tray.cloudflare.config_file import service_of
from nexus_tray.core.driver import Report
from nexus_tray.model import Level
from nexus_tray.services.channel_check import Front
from nexus_tray.services.cloudflared_run import Doors, LabOptions, Plan, Run
from nexus_tray.services.cloudflared_watch import Limits
from nexus_tray.services.transport import QUIC, Transports

LAB_VARIABLE = "NEXUS_TRAY_CLOUDFLARED_LAB"
"""Names the lab's `lab.json`; for tests only, see `lab_options`."""


class TunnelDriver:
    """Implements `core.driver.Driver` for one quick tunnel.

    `program` finds cloudflared (raises Problem; see `binaries.find`) and `environment` is
    what we were given ourselves, of which the child gets an allow-list; both are called
    for each start, in a thread. `socket`: the gateway's (None: it has none, as on Windows);
    `port`: tells its loopback port, which HTTP/2 needs (see `Gateway.tunnel_port`).
    `folder` is the tunnel's own (`paths.tunnel(name)`). `on_log` gets each line of its log,
    from any thread, and must not block.
    """

    def __init__(
        self,
        *,
        name: str,
        transport: str,
        program: Callable[[], Path],
        environment: Callable[[], Mapping[str, str]],
        socket: Path | None,
        port: Callable[[], int],
        folder: Path,
        doors: Doors,
        transports: Transports,
        on_log: Callable[[Level, str], None],
        limits: Limits | None = None,
        lab: LabOptions | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = Plan(
            name=name,
            transport=transport,
            program=program,
            environment=environment,
            service=lambda chosen: _service(chosen, socket, port),
            folder=folder,
            doors=doors,
            transports=transports,
            on_log=on_log,
            limits=limits or Limits(),
            lab=lab,
            now=now,
        )
        self._lock = threading.Lock()
        self._runs: dict[int, Run] = {}

    def start(self, run: int, report: Report, /) -> None:
        """Begin run number `run`."""
        with self._lock:
            self._runs = {number: old for number, old in self._runs.items() if not old.over}
            self._runs[run] = Run(run, self._plan, report)

    def probe(self, run: int, /) -> None:
        """Find out whether it is connected and leads to the gateway."""
        found = self._find(run)
        if found is not None:
            found.probe()

    def stop(self, run: int, /) -> None:
        """End it in order: what is in flight gets two seconds."""
        found = self._find(run)
        if found is not None:
            found.stop()

    def kill(self, run: int, /) -> None:
        """End it at once."""
        found = self._find(run)
        if found is not None:
            found.kill()

    def _find(self, run: int) -> Run | None:
        with self._lock:
            found = self._runs.get(run)
        return found if found is not None and not found.over else None


def _service(transport: str, socket: Path | None, port: Callable[[], int]) -> str:
    """Where a tunnel leads: the socket, which no other user can reach, wherever it works."""
    return service_of(socket if socket is not None and transport == QUIC else port())


class _Lab(msgspec.Struct):
    """What we need of the lab's description of itself."""

    quick_service: str
    front_tls: str
    ca: str
    env: dict[str, str]


def lab_options(environment: Mapping[str, str]) -> LabOptions | None:
    """The tests' own Cloudflare, if LAB_VARIABLE names one (tests/cloudflare_lab); else None.

    Whoever can set it can set our PATH as well, so it opens nothing; the gateway asks for
    the secret and the password as ever. Raises OSError or msgspec's errors: a test that
    is set up wrongly must not reach the real Cloudflare instead.
    """
    file = environment.get(LAB_VARIABLE)
    if not file:
        return None
    lab = msgspec.json.decode(Path(file).read_bytes(), type=_Lab)
    host, _, port = lab.front_tls.removeprefix("https://").rpartition(":")
    return LabOptions(
        environment={name: lab.env[name] for name in ("TUNNEL_EDGE", "TUNNEL_CACERT")},
        arguments=("--quick-service", lab.quick_service),
        front=Front(host, int(port), lab.ca),
    )
