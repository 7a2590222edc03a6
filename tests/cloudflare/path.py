"""From the public front to the gateway: lab, cloudflared under its driver, real gateway.

`Path` has a supervisor of its own over gateway and tunnel, as the product has; the gateway's
site is a double that needs no sign-in to answer 404 below `/_nexus/`.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from nexus_tray.app.addresses import Addresses, Around
from nexus_tray.core.driver import Exited, Observed, Probed
from nexus_tray.core.journal import Journal
from nexus_tray.core.machine import Policy
from nexus_tray.core.supervisor import Clock, Entry, Supervisor
from nexus_tray.gateway.routes import OPENCODE_ONLY
from nexus_tray.gateway.server import Gateway
from nexus_tray.model import Desired, Level, Reason, Service, ServiceKind, ServiceState, Snapshot
from nexus_tray.services.address_watch import Times
from nexus_tray.services.cloudflared import TunnelDriver, lab_options
from nexus_tray.services.cloudflared_launch import Identity
from nexus_tray.services.cloudflared_plan import Doors
from nexus_tray.services.cloudflared_watch import Limits
from nexus_tray.services.gateway import GatewayDriver
from nexus_tray.services.public_visit import Front
from nexus_tray.services.transport import Transports
from tests.cloudflare.lab import Lab, until
from tests.gateway.doubles import SmallSite, no_shape

TUNNEL = "quick"


@dataclass
class Reports:
    """What a driver reported, in order."""

    items: list[Probed | Exited | Observed] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, item: Probed | Exited | Observed) -> None:
        with self.changed:
            self.items.append(item)
            self.changed.notify_all()

    def exits(self) -> list[Exited]:
        return [item for item in self.items if isinstance(item, Exited)]

    def wait_exit(self, seconds: float = 20.0) -> Exited:
        with self.changed:
            assert self.changed.wait_for(self.exits, seconds), "no Exited"
        return self.exits()[0]


class KeepingJournal(Journal):
    """A journal that keeps every snapshot."""

    def __init__(self) -> None:
        self.published: list[Snapshot] = []
        super().__init__(boot_id="test", wall=time.time)

    def publish(self, snapshot: Snapshot) -> int:
        self.published.append(snapshot)
        return super().publish(snapshot)


class Path:
    """Gateway, tunnel and supervisor over one lab; `program` is the cloudflared to run."""

    def __init__(self, lab: Lab, program: FilePath, folder: FilePath) -> None:
        self.lab, self.program, self.folder = lab, program, folder
        self.socket = folder / "run" / "gateway.sock"
        self.site = SmallSite()
        self.gateway = Gateway(self.site, no_shape, self.socket)
        self.gateway.set_routes({TUNNEL: OPENCODE_ONLY})
        self.transports = Transports(identify=lambda: self.network)
        self.network: str | None = "home"
        self.told_times: list[float] = []
        self.log: list[tuple[Level, str]] = []
        self.environment: dict[str, str] = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
        self.journal = KeepingJournal()
        clock = Clock(monotonic=time.monotonic, wall=time.time)
        self.supervisor = Supervisor(self.journal, "test", clock)
        self._supervised = False
        self._drivers: list[TunnelDriver] = []
        self.times = Times()
        self.front: Front | None = None
        self.stable = False  # its address is taken for one that stays
        self.notes: list[tuple[str, str, Reason | None]] = []
        self._addresses: Addresses | None = None

    @property
    def addresses(self) -> Addresses:
        if self._addresses is None:
            lab = lab_options({"NEXUS_TRAY_CLOUDFLARED_LAB": str(self.lab.file)})
            assert lab is not None
            self._addresses = Addresses(
                Around(
                    file=self.folder / "addresses.json",
                    gateway=lambda: self.gateway,
                    tell_time=self.told_times.append,
                    network=lambda: self.network,
                    restarts=lambda _: self.tunnel.restarts if self.tunnel else 0,
                    note=lambda *note: self.notes.append(note),
                    log=lambda _, level, text: self.log.append((level, text)),
                    front=self.front or lab.front,
                    times=self.times,
                )
            )
        return self._addresses

    def driver(
        self,
        transport: str = "auto",
        limits: Limits | None = None,
        program: Callable[[], FilePath] | None = None,
        folder: FilePath | None = None,
        environment: Mapping[str, str] | None = None,
        identity: Identity | None = None,
        routes: Callable[[], tuple[str, ...]] = tuple,
    ) -> TunnelDriver:
        made = TunnelDriver(
            name=TUNNEL,
            transport=transport,
            program=program or (lambda: self.program),
            environment=lambda: {**self.environment, **(environment or {})},
            socket=self.socket,
            port=lambda: self.gateway.tunnel_port(),
            folder=folder or self.folder / "run" / "tunnels" / TUNNEL,
            doors=Doors(
                self.gateway.open_door,
                self.gateway.close_door,
                self.gateway.channel_proved,
            ),
            addresses=self.addresses.watch(TUNNEL, quick=not self.stable),
            transports=self.transports,
            on_log=lambda level, text: self.log.append((level, text)),
            limits=limits,
            identity=identity,
            routes=routes,
            lab=lab_options({"NEXUS_TRAY_CLOUDFLARED_LAB": str(self.lab.file)}),
        )
        self._drivers.append(made)
        return made

    def supervise(self, driver: TunnelDriver, policy: Policy | None = None) -> None:
        gateway = GatewayDriver(lambda: self.gateway, lambda _at: None)
        self._supervised = True
        self.supervisor.start()
        self.supervisor.adopt(
            [
                Entry("gateway", ServiceKind.GATEWAY, gateway, 0, Desired.RUNNING),
                Entry(TUNNEL, ServiceKind.TUNNEL, driver, 0, Desired.RUNNING, policy or Policy()),
            ]
        )

    @property
    def tunnel(self) -> Service | None:
        return self.journal.latest().service(TUNNEL)

    def until(
        self, ready: Callable[[Service], object], what: str, seconds: float = 30.0
    ) -> Service:
        def look() -> Service | None:
            service = self.tunnel
            return service if service is not None and ready(service) else None

        found = until(look, what, seconds)
        assert found is not None
        return found

    def until_state(self, state: ServiceState, seconds: float = 30.0) -> Service:
        return self.until(lambda s: s.state is state, f"the state {state}", seconds)

    def until_code(self, code: str, seconds: float = 30.0) -> Service:
        return self.until(
            lambda s: s.reason is not None and s.reason.code == code, f"the reason {code}", seconds
        )

    @property
    def states(self) -> set[ServiceState]:
        """Every state of the tunnel that was published."""
        found = (snapshot.service(TUNNEL) for snapshot in self.journal.published)
        return {service.state for service in found if service is not None}

    def visit(self, service: Service, path: str = "/_nexus/nothing") -> int:
        assert service.facts.address is not None
        return self.lab.visit(service.facts.address.removeprefix("https://"), path)[0]

    def close(self) -> None:
        if self._supervised:
            assert self.supervisor.close(20)
        for driver in self._drivers:  # a test that failed leaves nothing behind either
            driver.kill(1)
        self.gateway.close()
