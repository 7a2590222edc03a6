"""Everything that makes, changes and deletes tunnels, put together.

Owns who is who among jobs, zones, cloudflared as a tool and the handlers. `app.program` makes one.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nexus_tray.app import named_tunnels
from nexus_tray.app.handlers import Settle
from nexus_tray.app.importing import Importing
from nexus_tray.app.jobs import JobKeeper
from nexus_tray.app.login import Login
from nexus_tray.app.login import World as LoginWorld
from nexus_tray.app.route_reports import RouteReports
from nexus_tray.app.token_handlers import TokenHandlers
from nexus_tray.app.tunnel_handlers import TunnelHandlers
from nexus_tray.app.zones import Zones
from nexus_tray.commands import AnyCommand
from nexus_tray.core.local_backend import Handler
from nexus_tray.model import Facts, Job, Snapshot
from nexus_tray.paths import Paths
from nexus_tray.reports import Importable, RouteReport, Zone
from nexus_tray.services.cloudflare_api import BASE, Api
from nexus_tray.services.cloudflare_tool import Tool
from nexus_tray.services.cloudflared import LAB_VARIABLE
from nexus_tray.settings import TunnelSettings


@dataclass(frozen=True)
class Around:
    """What there is beside. `program` finds cloudflared and raises Problem; `publish` hears the
    jobs at each change."""

    paths: Paths
    settings: Settle
    program: Callable[[], Path]
    tokens: TokenHandlers
    snapshot: Callable[[], Snapshot]
    publish: Callable[[tuple[Job, ...]], None]


class TunnelAccount:
    """Tunnels and the account at Cloudflare. Any thread."""

    def __init__(self, around: Around) -> None:
        lab = _lab(os.environ)
        self._snapshot = around.snapshot
        self.api_base = lab.get("TUNNEL_API_URL", BASE)
        self._zones = Zones(around.paths, self.api_base)
        self._routes = RouteReports(self._zones, self._facts)
        tool = Tool(around.program, lambda: os.environ, lab)
        home = Path(os.environ.get("HOME") or Path.home())
        named = named_tunnels.NamedTunnels(
            named_tunnels.World(
                paths=around.paths,
                settings=around.settings,
                tool=tool,
                zones=self._zones,
                snapshot=around.snapshot,
                forget=around.tokens.forget,
            )
        )
        login = Login(LoginWorld(around.paths, tool, self._zones, home))

        def publish(jobs: tuple[Job, ...]) -> None:
            self._routes.forget()
            around.publish(jobs)

        self._jobs = JobKeeper(
            around.paths.jobs_file,
            {
                "create": named.create,
                "routes": named.routes,
                "delete": named.delete,
                "login": login.plan,
            },
            publish,
            time.time,
        )
        self._importing = Importing(
            home / ".cloudflared", around.paths, around.settings, self._zones
        )
        self._handlers = TunnelHandlers(
            around.settings, self._jobs, self._zones, self._importing, around.tokens.create
        )
        self.close = self._jobs.close

    def begin(self) -> None:
        """Take up what was not over."""
        self._jobs.begin()

    def table(self) -> dict[type[AnyCommand], Handler]:
        """Which handler is whose."""
        return {**self._handlers.table(), **self._jobs.table()}

    def zones(self) -> tuple[Zone, ...]:
        """The zones signed in to."""
        return self._zones.all()

    def api_of(self, account_id: str) -> Api | None:
        """Cloudflare's API for that account, where a certificate of it is here."""
        return self._zones.api_of(account_id)

    def routes(self, tunnel: TunnelSettings) -> tuple[RouteReport, ...]:
        """The tunnel's routes, and what DNS says of them."""
        return self._routes.read(tunnel)

    def importable(self) -> tuple[Importable, ...]:
        """See Backend.importable."""
        return self._importing.importable()

    def _facts(self, name: str) -> Facts:
        service = self._snapshot().service(name)
        return service.facts if service is not None else Facts()


class _Lab(msgspec.Struct):
    env: dict[str, str]


def _lab(environment: Mapping[str, str]) -> dict[str, str]:
    """Where the tests' own Cloudflare has its API, as `services.cloudflared.lab_options`."""
    file = environment.get(LAB_VARIABLE)
    if not file:
        return {}
    lab = msgspec.json.decode(Path(file).read_bytes(), type=_Lab)
    return {name: lab.env[name] for name in ("TUNNEL_API_URL", "LAB_LOGIN_URL") if name in lab.env}
