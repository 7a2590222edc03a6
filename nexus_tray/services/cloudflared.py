"""A tunnel as a service: the driver that the supervisor holds.

Owns what a tunnel's runs are made of; a run's life is `cloudflared_run`. Imports this room.
The supervisor's thread calls it, and each call returns at once: what is slow happens in
threads of the run.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from nexus_tray.cloudflare.config_file import service_of
from nexus_tray.cloudflare.metrics import Metrics
from nexus_tray.core.driver import Report
from nexus_tray.model import Level
from nexus_tray.services.address_watch import AddressWatch
from nexus_tray.services.cloudflared_kinds import TOKEN
from nexus_tray.services.cloudflared_launch import Identity
from nexus_tray.services.cloudflared_plan import Doors, LabOptions, Plan
from nexus_tray.services.cloudflared_public import Way
from nexus_tray.services.cloudflared_run import Run
from nexus_tray.services.cloudflared_watch import Limits
from nexus_tray.services.public_visit import Front
from nexus_tray.services.run_driver import RunDriver
from nexus_tray.services.transport import QUIC, Transports

LAB_VARIABLE = "NEXUS_TRAY_CLOUDFLARED_LAB"
"""Names the lab's `lab.json`; for tests only, see `lab_options`."""


class TunnelDriver(RunDriver):
    """Implements `core.driver.Driver` for one tunnel; `identity` says which (None: a quick one).

    `program` finds cloudflared (raises Problem; see `binaries.find`) and `environment` is
    what we were given ourselves, of which the child gets an allow-list; both are called
    for each start, in a thread. `socket`: the gateway's (None: it has none, as on Windows);
    `port`: tells its loopback port, which HTTP/2 needs (see `Gateway.tunnel_port`).
    `folder` is the tunnel's own (`paths.tunnel(name)`); `addresses` watches its public names
    (`app.addresses`). `routes` tells the host names that the gateway leads somewhere, the most
    useful first; they may change at any time. `on_log` gets each line of its log,
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
        addresses: AddressWatch,
        transports: Transports,
        on_log: Callable[[Level, str], None],
        identity: Identity | None = None,
        routes: Callable[[], Sequence[str]] = tuple,
        limits: Limits | None = None,
        lab: LabOptions | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        which = identity or Identity()
        plan = Plan(
            name=name,
            transport=transport,
            program=program,
            environment=environment,
            service=lambda chosen: _service(chosen, socket, port),
            folder=folder,
            doors=doors,
            addresses=addresses,
            transports=transports,
            on_log=on_log,
            limits=limits or Limits(),
            lab=lab,
            now=now,
            identity=which,
            way=lambda chosen: _way(which, chosen, socket, port),
            routes=routes,
        )
        self._latest: Run | None = None

        def begin(number: int, report: Report) -> Run:
            self._latest = Run(number, plan, report)
            return self._latest

        super().__init__(begin)

    def counters(self) -> Metrics | None:
        """What cloudflared counted itself when it was last asked; None while it does not run."""
        latest = self._latest
        return latest.counters if latest is not None and not latest.over else None


def _service(transport: str, socket: Path | None, port: Callable[[], int]) -> str:
    """Where a tunnel leads: the socket, which no other user can reach, wherever it works."""
    return service_of(socket if socket is not None and transport == QUIC else port())


def _way(which: Identity, transport: str, socket: Path | None, port: Callable[[], int]) -> Way:
    """Where Cloudflare's rules may lead it. A token tunnel's may name the loopback port, so that
    is opened: another program of this machine must not be found there instead."""
    by_port = which.kind == TOKEN or socket is None or transport != QUIC
    return Way(
        socket=service_of(socket) if socket is not None else None, port=port() if by_port else 0
    )


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
