"""Where the gateway leads who comes through a tunnel and asks for a host name.

Owns that judgement and the reading of it from the settings. Pure; imports the settings and
`gateway.http`. The table is frozen: it is made on any thread, and read on the gateway's loop
with one look into a dictionary for each request. Every doubt leads nowhere.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlsplit

from nexus_tray.gateway.http import Door, DoorKind, Preview
from nexus_tray.settings import RouteSettings, TunnelSettings


class Lead(Enum):
    """Where a host name leads, if not to a preview."""

    OPENCODE = "opencode"
    NOWHERE = "nowhere"


Place = Preview | Lead

# What `Host` may be, here as for visitors; a line break would begin another field (CWE-113).
_AUTHORITY = re.compile(
    r"(?:[0-9A-Za-z](?:[0-9A-Za-z.-]{0,252}[0-9A-Za-z])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
)


@dataclass(frozen=True)
class TunnelRoutes:
    """Where one tunnel leads: its listed `hosts`, and every other one (`rest`)."""

    hosts: Mapping[str, Place] = field(default_factory=dict)
    rest: Place = Lead.NOWHERE

    def lead(self, host: str) -> Place:
        """Where that host name leads: exactly as listed, without a port."""
        return self.hosts.get(host, self.rest)

    def hosts_of_opencode(self, address: str | None) -> list[str]:
        """The host names at which OpenCode is found, the first the one to send people to.
        `address`: where the tunnel is reached, as measured (`https://name`)."""
        found = [host for host, place in self.hosts.items() if place is Lead.OPENCODE]
        own = host_of(address)
        return found + ([own] if own and self.rest is Lead.OPENCODE else [])

    def preview_at(self, host: str, address: str | None) -> Preview | None:
        """The preview at that very host name. One that is not listed is known only by the
        tunnel's measured `address`: nobody is sent to a host that a visitor has named."""
        place = self.hosts.get(host)
        if place is None and host == host_of(address):
            place = self.rest
        return place if isinstance(place, Preview) else None


Table = Mapping[str, TunnelRoutes]
"""By the tunnel's name."""

OPENCODE_ONLY = TunnelRoutes(rest=Lead.OPENCODE)
_NOWHERE = TunnelRoutes()


def lead(table: Table, door: Door, host: str) -> Place:
    """Where who came by that door leads to. Doors that are no tunnels lead to OpenCode; a
    tunnel of which the table does not know leads nowhere."""
    if door.kind is not DoorKind.TUNNEL:
        return Lead.OPENCODE
    return table.get(door.name, _NOWHERE).lead(host)


def same_place(one: Place, other: Place) -> bool:
    """What runs may go on: it is the same service still, however it is asked from now on."""
    if isinstance(one, Preview) and isinstance(other, Preview):
        return one.address == other.address
    return one is other


def table_of(tunnels: Iterable[TunnelSettings]) -> Table:
    """The table that these settings mean."""
    return {tunnel.name: routes_of(tunnel) for tunnel in tunnels}


def routes_of(tunnel: TunnelSettings) -> TunnelRoutes:
    """The routes of one tunnel: the first that fits a host name counts. A quick tunnel's name
    is not known before, so there a route without one is for all."""
    quick = tunnel.kind == "quick"
    if quick and not tunnel.routes:
        return OPENCODE_ONLY
    hosts: dict[str, Place] = {}
    for route in tunnel.routes:
        if route.hostname:
            hosts.setdefault(route.hostname, place_of(route))
        elif quick:
            return TunnelRoutes(hosts, place_of(route))
    return TunnelRoutes(hosts)


def place_of(route: RouteSettings) -> Place:
    """Where one route leads; what cannot be understood leads nowhere."""
    if not route.service:
        return Lead.OPENCODE
    try:
        parts = urlsplit(route.service)
        port = parts.port
    except ValueError:  # no such port, or a broken IPv6 address
        return Lead.NOWHERE
    tls = parts.scheme == "https"
    authority = route.host_header or parts.netloc
    if not parts.hostname or port == 0 or _AUTHORITY.fullmatch(authority) is None:
        return Lead.NOWHERE
    return Preview(
        address=route.service,
        host=parts.hostname,
        port=port or (443 if tls else 80),
        tls=tls,
        authority=authority,
        verify=route.verify_tls,
        ca_file=route.ca_file,
        connect_timeout=float(route.connect_timeout),
        answer_timeout=float(route.answer_timeout),
    )


def host_of(address: str | None) -> str | None:
    """The host name of a public address; None: there is none."""
    if address is None or not address.startswith("https://"):
        return None
    return address.removeprefix("https://").partition("/")[0].lower() or None
