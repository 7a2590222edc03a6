"""This machine's addresses in its networks.

Owns the question and the order of the answers. Imports psutil. Any thread; holds no state.
"""

import ipaddress
import socket

import psutil


def addresses() -> tuple[tuple[str, str], ...]:
    """(interface, address) of every interface that is up, those of local networks first.

    Not loopback, and not what counts on one link only (fe80::, 169.254.): no browser can be
    sent to the former from outside, nor reliably to the latter.
    """
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found = [
        (name, address)
        for name, known in psutil.net_if_addrs().items()
        if name in up
        for one in known
        if one.family in (socket.AF_INET, socket.AF_INET6)
        and (address := reachable(one.address)) is not None
    ]
    return tuple(sorted(found, key=_order))


def reachable(text: str) -> str | None:
    """The address as browsers write it; None for one that nobody else can visit."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.is_loopback or address.is_link_local or address.is_multicast:
        return None
    return None if address.is_unspecified else str(address)


def _order(found: tuple[str, str]) -> tuple[bool, int, str]:
    address = ipaddress.ip_address(found[1])
    return not address.is_private, address.version, found[0]
