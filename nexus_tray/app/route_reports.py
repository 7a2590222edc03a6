"""Whether the host names of a named tunnel lead to it, as Cloudflare's DNS has them.

Owns these answers, which are asked of the API with the zone's certificate and kept for a while, as
a page asks every few seconds. Any thread; blocks for as long as the API takes.
"""

import threading
import time
from collections.abc import Callable

from nexus_tray.app.named_tunnels import TARGET
from nexus_tray.app.zones import Zones
from nexus_tray.model import Facts, Problem
from nexus_tray.reports import RouteReport, RouteState
from nexus_tray.services.cloudflare_api import NotAllowed, Record
from nexus_tray.settings import RouteSettings, TunnelSettings

KEPT = 20.0
"""Seconds for which an answer of the API's counts."""


class RouteReports:
    """`facts` of a tunnel as it runs now: a token tunnel's own names come from there."""

    def __init__(
        self,
        zones: Zones,
        facts: Callable[[str], Facts],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._zones = zones
        self._facts = facts
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, tuple[Record, ...]]] = {}

    def read(self, tunnel: TunnelSettings) -> tuple[RouteReport, ...]:
        """The routes in their order, each with what is known of it."""
        if tunnel.kind == "named" and tunnel.zone_id and tunnel.routes:
            return self._named(tunnel)
        facts = self._facts(tunnel.name)
        return tuple(self._sent(tunnel, route, facts) for route in tunnel.routes)

    def forget(self) -> None:
        """Something was changed there: ask anew."""
        with self._lock:
            self._known.clear()

    def _named(self, tunnel: TunnelSettings) -> tuple[RouteReport, ...]:
        try:
            found = {route.hostname: self._records(tunnel, route) for route in tunnel.routes}
        except NotAllowed:
            text = "the certificate does not allow to look"
            return tuple(_unknown(route, text) for route in tunnel.routes)
        except Problem as problem:
            what = problem.reason.what
            return tuple(_unknown(route, what) for route in tunnel.routes)
        target = TARGET.format(tunnel.tunnel_id)
        return tuple(_judge(route, found[route.hostname], target) for route in tunnel.routes)

    def _records(self, tunnel: TunnelSettings, route: RouteSettings) -> tuple[Record, ...]:
        host, now = route.hostname, self._clock()
        with self._lock:
            known = self._known.get(host)
        if known is not None and now - known[0] < KEPT:
            return known[1]
        records = self._zones.api(tunnel.zone_id).records(name=host)
        with self._lock:
            self._known[host] = (now, records)
        return records

    @staticmethod
    def _sent(tunnel: TunnelSettings, route: RouteSettings, facts: Facts) -> RouteReport:
        """A token tunnel: does the configuration at Cloudflare send this name here?"""
        if tunnel.kind != "token":
            return _unknown(route, "")
        names = facts.hostnames
        if names is None and facts.connections:
            return _unknown(route, "Cloudflare has told no public hostname of this tunnel yet")
        if names is None:
            return _unknown(route, "known once the tunnel runs")
        state = RouteState.READY if route.hostname in names else RouteState.MISSING
        text = "sent here" if state is RouteState.READY else "Cloudflare does not send it here"
        return RouteReport(hostname=route.hostname, service=route.service, state=state, text=text)


def _judge(route: RouteSettings, records: tuple[Record, ...], target: str) -> RouteReport:
    state, text = RouteState.MISSING, "there is no DNS record"
    if any(record.content == target for record in records):
        state, text = RouteState.READY, "leads to this tunnel"
    elif any(record.type in ("A", "AAAA", "CNAME") for record in records):
        state, text = RouteState.CONFLICT, "its DNS record leads somewhere else"
    return RouteReport(hostname=route.hostname, service=route.service, state=state, text=text)


def _unknown(route: RouteSettings, text: str) -> RouteReport:
    return RouteReport(
        hostname=route.hostname, service=route.service, state=RouteState.UNKNOWN, text=text
    )
