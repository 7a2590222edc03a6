"""What there is to know of the tunnels, put together when somebody asks.

Owns the order and the shape of `Backend.tunnels`; what is said of each comes from its `Sources`,
each asked once for each tunnel. Runs on the caller's thread, and takes as long as they do.
"""

from collections.abc import Callable
from dataclasses import dataclass

from nexus_tray.model import Reason
from nexus_tray.reports import (
    CertificateReport,
    CloudflaredCounters,
    NetworkDoor,
    RouteReport,
    TunnelReport,
    Tunnels,
    Zone,
)
from nexus_tray.settings import Settings, TunnelSettings


@dataclass(frozen=True)
class Sources:
    """Who knows what of a tunnel; fields as in `TunnelReport`. `changes` and `counters`
    take a tunnel's name."""

    settings: Callable[[], Settings]
    origin: Callable[[TunnelSettings], str]
    configuration: Callable[[TunnelSettings], str]
    routes: Callable[[TunnelSettings], tuple[RouteReport, ...]]
    certificates: Callable[[TunnelSettings], tuple[CertificateReport, ...]]
    by_hand: Callable[[TunnelSettings], tuple[str, ...]]
    changes: Callable[[str], int]
    counters: Callable[[str], CloudflaredCounters | None]
    reason: Callable[[TunnelSettings], Reason | None]
    zones: Callable[[], tuple[Zone, ...]]
    network: Callable[[], NetworkDoor]


class TunnelReports:
    """Answers `Backend.tunnels`. Any thread."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def read(self) -> Tunnels:
        """Everything, now. Raises what the sources raise as Problem."""
        tell = self._sources
        return Tunnels(
            tunnels=tuple(map(self._report, tell.settings().tunnels)),
            zones=tell.zones(),
            network=tell.network(),
        )

    def _report(self, tunnel: TunnelSettings) -> TunnelReport:
        tell = self._sources
        return TunnelReport(
            name=tunnel.name,
            kind=tunnel.kind,
            tunnel_id=tunnel.tunnel_id,
            account_id=tunnel.account_id,
            zone_id=tunnel.zone_id,
            origin=tell.origin(tunnel),
            configuration=tell.configuration(tunnel),
            routes=tell.routes(tunnel),
            certificates=tell.certificates(tunnel),
            by_hand=tell.by_hand(tunnel),
            changes=tell.changes(tunnel.name),
            counters=tell.counters(tunnel.name),
            reason=tell.reason(tunnel),
        )
