"""What the doctor looks at of zones, tunnels' credentials, configurations and certificates.

Owns which of these looks there are, by the settings and by what lies in our folders; and asks for
the tunnels' report once for all of them. The looks are in `services.checks_account`. Any thread.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus_tray.app.examination import Look
from nexus_tray.finding import Finding
from nexus_tray.model import Reason
from nexus_tray.paths import Paths
from nexus_tray.reports import CertificateReport, Tunnels
from nexus_tray.services import binaries
from nexus_tray.services import checks_account as account
from nexus_tray.services.cloudflare_api import BASE
from nexus_tray.settings import Settings
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
        def at(path: Path) -> Callable[[], Finding]:
            return lambda: account.zone(path, self._around.api_base(), self._zone_name(path.stem))

        folder = self._around.paths.zones
        found = sorted(folder.glob("*.pem")) if folder.is_dir() else []
        title = "Certificate of zone "
        return [Look(f"zone-{one.stem}", title + one.stem[:8], at(one), SLOW) for one in found]

    def _tunnels(self) -> list[Look]:
        found = []
        for tunnel in self._settings.tunnels:
            name, paths = tunnel.name, self._around.paths
            if tunnel.kind == "named" and tunnel.tunnel_id:
                file, own = paths.credentials(tunnel.tunnel_id), tunnel.tunnel_id

                def has(file: Path = file, own: str = own) -> Finding:
                    return account.credentials(file, own)

                found.append(Look(f"credentials-{name}", f"Credentials of “{name}”", has))
            config = paths.tunnel(name) / "cloudflared.json"
            if config.is_file():

                def valid(config: Path = config) -> Finding:
                    return account.configuration(self._cloudflared, config)

                found.append(Look(f"config-{name}", f"Configuration of “{name}”", valid, SLOW))
            for hostname in {route.hostname for route in tunnel.routes if route.hostname}:

                def seen(name: str = name, hostname: str = hostname) -> Finding:
                    return account.certificate(self._certificate(name, hostname))

                if self._ask is not None:
                    title = f"Certificate at {hostname}"
                    found.append(Look(f"certificate-{hostname}", title, seen, SLOW))
        return found

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
