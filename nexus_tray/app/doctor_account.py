"""What the doctor looks at of zones, tunnels' credentials, configurations and certificates.

Owns which of these looks there are, by the settings and by what lies in our folders; and asks for
the tunnels' report once for all of them. The looks are in `services.checks_account`. Any thread.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nexus_tray.app.examination import Look
from nexus_tray.finding import Finding
from nexus_tray.model import Reason
from nexus_tray.paths import Paths
from nexus_tray.reports import CertificateReport, Tunnels
from nexus_tray.services import binaries
from nexus_tray.services import checks_account as account
from nexus_tray.services.cloudflare_api import BASE
from nexus_tray.settings import Settings, TunnelSettings
from nexus_tray.store.secrets import SecretStore
from nexus_tray.system.autostart import AtLogin

SLOW = 9.0


@dataclass(frozen=True)
class Surroundings:
    """What there is with and without a running program. `api_base`: where Cloudflare's API is
    (empty: it is not asked)."""

    paths: Paths
    environment: Mapping[str, str]
    settings: Callable[[], Settings]
    search_path: Callable[[], str]
    secrets: SecretStore
    starter: AtLogin
    left: Callable[[], set[int]] = set
    settings_trouble: Reason | None = None
    api_base: Callable[[], str] = lambda: BASE

    def find(self, name: str, configured: str) -> Path:
        """The program. Raises Problem."""
        return binaries.find(name, configured, self.search_path(), self.paths.tools)


class Account:
    """The looks of one examination. `tunnels` None: without a running program."""

    def __init__(
        self,
        around: Surroundings,
        settings: Settings,
        tunnels: Callable[[], Tunnels] | None,
    ) -> None:
        self._around = around
        self._settings = settings
        self._ask = tunnels
        self._lock = threading.Lock()
        self._report: Tunnels | None = None

    def looks(self) -> list[Look]:
        """In the order of a request's path."""
        return [
            *self._zones(),
            *self._tunnels(),
            *([self._network()] if self._settings.network.enabled and self._ask else []),
        ]

    def _zones(self) -> list[Look]:
        folder = self._around.paths.zones
        found = sorted(folder.glob("*.pem")) if folder.is_dir() else []
        title = "Certificate of zone "
        return [
            Look(f"zone-{one.stem}", title + one.stem[:8], partial(self._zone, one), SLOW)
            for one in found
        ]

    def _tunnels(self) -> list[Look]:
        found = []
        for tunnel in self._settings.tunnels:
            if tunnel.tunnel_id:
                found += self._secret_of(tunnel)
            config = self._around.paths.tunnel(tunnel.name) / "cloudflared.json"
            if config.is_file():
                valid = partial(account.configuration, self._cloudflared, config)
                title = f"Configuration of “{tunnel.name}”"
                found.append(Look(f"config-{tunnel.name}", title, valid, SLOW))
            if self._ask is not None:
                found += self._certificates(tunnel)
        return found

    def _secret_of(self, tunnel: TunnelSettings) -> list[Look]:
        """What a tunnel shows Cloudflare that it is the one."""
        name, own = tunnel.name, tunnel.tunnel_id
        if tunnel.kind == "named":
            has = partial(account.credentials, self._around.paths.credentials(own), own)
            return [Look(f"credentials-{name}", f"Credentials of “{name}”", has)]
        if tunnel.kind == "token":
            stored = partial(account.token, partial(self._around.secrets.tunnel_token, own), own)
            return [Look(f"token-{name}", f"Token of “{name}”", stored, SLOW)]
        return []

    def _certificates(self, tunnel: TunnelSettings) -> list[Look]:
        names = dict.fromkeys(route.hostname for route in tunnel.routes if route.hostname)
        return [
            Look(
                f"certificate-{name}",
                f"Certificate at {name}",
                partial(self._seen, tunnel.name, name),
                SLOW,
            )
            for name in names
        ]

    def _zone(self, file: Path) -> Finding:
        return account.zone(file, self._around.api_base(), self._zone_name(file.stem))

    def _seen(self, tunnel: str, hostname: str) -> Finding:
        return account.certificate(self._certificate(tunnel, hostname))

    def _network(self) -> Look:
        def look() -> Finding:
            return account.network(self._asked().network, time.time())

        return Look("network", "Certificate of the local network's door", look, SLOW)

    def _cloudflared(self) -> Path:
        return self._around.find("cloudflared", self._settings.cloudflared.program)

    def _zone_name(self, zone_id: str) -> str | None:
        known = self._asked().zones if self._ask else ()
        return next((zone.name for zone in known if zone.id == zone_id), None)

    def _certificate(self, name: str, hostname: str) -> CertificateReport:
        report = next((one for one in self._asked().tunnels if one.name == name), None)
        known = report.certificates if report else ()
        found = (one for one in known if one.hostname == hostname)
        return next(found, CertificateReport(hostname=hostname, trusted=False, checked_at=0.0))

    def _asked(self) -> Tunnels:
        """The tunnels' report, asked for once; empty without a running program."""
        with self._lock:
            if self._report is None:
                self._report = self._ask() if self._ask else Tunnels()
            return self._report
