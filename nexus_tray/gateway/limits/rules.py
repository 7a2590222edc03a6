"""Who may knock from outside: address and country lists, judged before anything is answered.

Pure: from the settings to a compiled value, and its judgement of one visitor. Imports the
settings, the gateway's nouns and the standard library. Any thread.
"""

import ipaddress
from dataclasses import dataclass

from nexus_tray.gateway.http import DoorKind
from nexus_tray.settings import AccessSettings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

NO_LIMITS = AccessSettings(requests_per_second=0, address_requests_per_second=0, streams=0)
"""Until the settings are told; the program tells them before it opens a door."""

UNKNOWN = "XX"
"""Cloudflare's word for a country that it does not know; T1, the Tor network, is known."""

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


@dataclass(frozen=True)
class Rules:
    """The settings, compiled. `broken`: what of them cannot be read; nobody may then come in
    from outside, for the entry might have been meant to keep him out."""

    settings: AccessSettings = NO_LIMITS
    allowed: tuple[Network, ...] = ()
    denied: tuple[Network, ...] = ()
    broken: str = ""

    def judge(self, address: str, country: str | None, door: DoorKind) -> str | None:
        """Why this visitor is refused, for the owner only; None: he may come in."""
        if door is DoorKind.LOCAL:
            return None
        if self.broken:
            return f"the access rules cannot be read: {self.broken}"
        why = self._by_address(address) if self.allowed or self.denied else None
        if why is None and door is DoorKind.TUNNEL:
            why = self._by_country(country)
        return why

    def _by_address(self, address: str) -> str | None:
        try:
            parsed = _plain(ipaddress.ip_address(address))
        except ValueError:
            return "the address is not known, and a list of addresses is set"
        for network in self.denied:
            if parsed in network:
                return f"the address is denied ({network})"
        if self.allowed and not any(parsed in network for network in self.allowed):
            return "the address is not among the allowed"
        return None

    def _by_country(self, country: str | None) -> str | None:
        allowed, denied = self.settings.allow_countries, self.settings.deny_countries
        if not allowed and not denied:
            return None
        if country is None or country == UNKNOWN:
            return "the country is not known, and a list of countries is set"
        if country in denied:
            return f"the country is denied ({country})"
        if allowed and country not in allowed:
            return f"the country is not among the allowed ({country})"
        return None


def compile_rules(settings: AccessSettings) -> Rules:
    """Ready to judge. What cannot be read refuses everybody from outside."""
    try:
        allowed = tuple(read_network(text) for text in settings.allow_addresses)
        denied = tuple(read_network(text) for text in settings.deny_addresses)
    except ValueError as error:
        return Rules(settings, broken=str(error))
    return Rules(settings, allowed, denied)


def read_network(text: str) -> Network:
    """An address, or a network (bits of its hosts are let be). IPv4 written as IPv6 is that
    IPv4. ValueError says what is wrong."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"{text} is neither an address nor a network") from error
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        inside = int(network.network_address) & 0xFFFFFFFF
        return ipaddress.IPv4Network((inside, network.prefixlen - 96))
    return network


def _plain(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
