"""From the settings to the services: which there are, with which driver, spec and hold.

Owns the drivers, and that a service whose spec did not change keeps its driver. The
settings' listeners and the commands' handlers call it, one at a time.
"""

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nexus_tray.app.addresses import Addresses, Around
from nexus_tray.app.door import Door
from nexus_tray.app.tunnel_port import TunnelPort
from nexus_tray.cloudflare.metrics import Metrics
from nexus_tray.core.driver import Driver
from nexus_tray.core.machine import Policy
from nexus_tray.core.supervisor import Entry
from nexus_tray.gateway.http import Upstream
from nexus_tray.gateway.server import Gateway
from nexus_tray.model import Desired, Level, Problem, Reason, ServiceKind
from nexus_tray.paths import Paths
from nexus_tray.services import binaries, opencode_program
from nexus_tray.services.cloudflared import TunnelDriver, lab_options
from nexus_tray.services.cloudflared_faults import not_made
from nexus_tray.services.cloudflared_launch import Identity
from nexus_tray.services.cloudflared_plan import Doors
from nexus_tray.services.environment import AGENT, LoginPath, child_environment
from nexus_tray.services.gateway import GatewayDriver
from nexus_tray.services.opencode import OpenCodeDriver
from nexus_tray.services.transport import Transports
from nexus_tray.settings import OpenCodeSettings, Settings, TunnelSettings
from nexus_tray.store.secrets import SecretStore

OPENCODE, GATEWAY = "opencode", "gateway"

OPENCODE_POLICY = Policy(stop_grace=9.0)
TUNNEL_POLICY = Policy(start_timeout=90.0, stop_grace=6.0)
GATEWAY_POLICY = Policy(start_timeout=10.0, stop_grace=6.0, probe_starting=0.05)

Append = Callable[[str, Level, str], None]


@dataclass(frozen=True)
class Parts:
    """What the drivers are made of. `restarts`: how often a service was started again unasked;
    `note` writes a sentence about a service into the journal; `held`: why no tunnel may run,
    beside what the door says."""

    paths: Paths
    started_in: Path
    login_path: LoginPath
    secrets: SecretStore
    door: Door
    on_upstream: Callable[[Upstream | None], None]
    on_visit: Callable[[float], None]
    append: Append
    restarts: Callable[[str], int]
    note: Callable[[str, str, Reason | None], None]
    held: Callable[[], Reason | None] = lambda: None


class Fleet:
    """Makes the supervisor's entries. Any thread may call; a lock inside."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._made: dict[str, tuple[object, Driver]] = {}
        self._transports = Transports(parts.paths.data / "networks.json")
        self._folder: Path | None = None
        self._routes: dict[str, tuple[str, ...]] = {}
        self.tunnel_port = TunnelPort(parts.paths.tunnel_port_file, parts.door.gateway)
        self._lab = lab_options(os.environ)
        self.addresses = Addresses(
            Around(
                file=parts.paths.data / "addresses.json",
                gateway=parts.door.gateway,
                tell_time=parts.door.clock.tell,
                network=self._transports.network,
                restarts=parts.restarts,
                note=parts.note,
                log=lambda name, level, text: parts.append(name, level, text),
                front=self._lab.front if self._lab else None,
            )
        )

    def entries(self, settings: Settings) -> list[Entry]:
        """The services that these settings wish, in the order in which they start."""
        with self._lock:
            return [
                self._opencode(settings.opencode),
                self._gateway(settings),
                *(self._tunnel(tunnel, settings) for tunnel in settings.tunnels),
            ]

    def counters(self) -> dict[str, Metrics]:
        """What each cloudflared that runs counts itself, by its tunnel's name."""
        with self._lock:
            drivers = {name: driver for name, (_, driver) in self._made.items()}
        return {
            name: counters
            for name, driver in drivers.items()
            if isinstance(driver, TunnelDriver) and (counters := driver.counters()) is not None
        }

    def _opencode(self, wished: OpenCodeSettings) -> Entry:
        # Not the folder: another default must not cut off what the agent is doing.
        self._folder = Path(wished.directory).expanduser() if wished.directory else None
        spec = (wished.program, wished.environment)
        driver = self._kept(
            OPENCODE,
            spec,
            lambda: OpenCodeDriver(
                program=lambda: self._program(wished.program),
                directory=lambda: self._folder or self._parts.started_in,
                environment=lambda: self._environment(wished.environment),
                on_upstream=self._parts.on_upstream,
                on_log=lambda level, text: self._parts.append(OPENCODE, level, text),
            ),
        )
        return Entry(
            OPENCODE, ServiceKind.OPENCODE, driver, spec, _desired(wished.enabled), OPENCODE_POLICY
        )

    def _gateway(self, settings: Settings) -> Entry:
        spec = settings.gateway
        driver = self._kept(
            GATEWAY,
            spec,
            lambda: GatewayDriver(
                lambda: self._opened_gateway(spec.local_port), self._parts.on_visit
            ),
        )
        return Entry(GATEWAY, ServiceKind.GATEWAY, driver, spec, Desired.RUNNING, GATEWAY_POLICY)

    def _opened_gateway(self, local_port: int) -> Gateway:
        gateway = self._parts.door.at_port(local_port)
        gateway.wish_tunnel_port(self.tunnel_port.remembered())
        return gateway

    def _tunnel(self, wished: TunnelSettings, settings: Settings) -> Entry:
        program, name = settings.cloudflared.program, wished.name
        # Not the routes: they are the gateway's, and count without a restart.
        spec = (wished.kind, wished.transport, program, wished.tunnel_id)
        self._routes[name] = useful_first(wished)
        parts = self._parts
        driver = self._kept(
            name,
            spec,
            lambda: TunnelDriver(
                name=name,
                transport=wished.transport,
                program=lambda: self._cloudflared(program),
                environment=lambda: os.environ,
                socket=parts.paths.tunnel_socket if sys.platform != "win32" else None,
                port=self.tunnel_port.open,
                folder=parts.paths.tunnel(name),
                doors=Doors(
                    lambda *door: parts.door.gateway().open_door(*door),
                    lambda door: parts.door.gateway().close_door(door),
                    lambda door: parts.door.gateway().channel_proved(door),
                ),
                addresses=self.addresses.watch(name, quick=wished.kind == "quick"),
                transports=self._transports,
                on_log=lambda level, text: parts.append(name, level, text),
                identity=self.identity(wished),
                routes=lambda: self._routes.get(name, ()),
                lab=self._lab,
            ),
        )
        unmade = wished.kind == "named" and not wished.tunnel_id
        return Entry(
            name,
            ServiceKind.TUNNEL,
            driver,
            spec,
            _desired(wished.enabled),
            TUNNEL_POLICY,
            hold=not_made() if unmade else parts.door.hold() or parts.held(),
        )

    def cloudflared(self, settings: Settings) -> Path:
        """The tunnel program. Raises Problem where there is none."""
        return self._cloudflared(settings.cloudflared.program)

    def _cloudflared(self, configured: str) -> Path:
        tools = self._parts.paths.tools
        return binaries.find("cloudflared", configured, self._search_path(), tools)

    def identity(self, wished: TunnelSettings) -> Identity:
        """Which tunnel of Cloudflare's it is."""
        ident = wished.tunnel_id
        return Identity(
            kind=wished.kind,
            tunnel_id=ident,
            credentials=self._parts.paths.credentials(ident) if ident else None,
            token=lambda: self._parts.secrets.tunnel_token(ident),
        )

    def _kept(self, name: str, spec: object, make: Callable[[], Driver]) -> Driver:
        known = self._made.get(name)
        if known is not None and known[0] == spec:
            return known[1]
        driver = make()
        self._made[name] = (spec, driver)
        return driver

    def _program(self, configured: str) -> Path:
        return opencode_program.find(
            configured, self._parts.paths.tools, {"PATH": self._search_path()}
        )

    def _search_path(self) -> str:
        """The login shell's PATH, then what only our own has (a terminal's version manager)."""
        return _joined(self._parts.login_path.get(), os.environ.get("PATH", ""))

    def _environment(self, named: tuple[str, ...]) -> dict[str, str]:
        """What OpenCode sees: an allow-list, the settings' names, the stored provider keys.

        A keyring that is locked costs the keys, not OpenCode: it says itself what it lacks.
        """
        keys: dict[str, str] = {}
        try:
            keys = self._parts.secrets.all()
        except Problem as problem:
            self._parts.append(OPENCODE, Level.WARNING, str(problem.reason))
        return child_environment(
            os.environ, AGENT, named=named, path=self._search_path(), additions=keys
        )


def useful_first(wished: TunnelSettings) -> tuple[str, ...]:
    """The host names of a tunnel's routes: OpenCode's first, for it is what people come for."""
    led = sorted(wished.routes, key=lambda route: bool(route.service))
    return tuple(dict.fromkeys(route.hostname for route in led if route.hostname))


def _joined(*paths: str) -> str:
    """One PATH of several, each folder once, the first mention first."""
    folders = (folder for path in paths for folder in path.split(os.pathsep) if folder)
    return os.pathsep.join(dict.fromkeys(folders))


def _desired(enabled: bool) -> Desired:
    return Desired.RUNNING if enabled else Desired.STOPPED
