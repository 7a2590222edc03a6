"""Which way to Cloudflare's edge works on this network: QUIC, or HTTP/2 where UDP is blocked.

Owns the choice, its memory and how a network is told from another. QUIC comes first, for it
heals fastest; a quick tunnel never falls back by itself (FACTS.md), so we do it, and remember
for each network what worked. Imports `store.files` and psutil. Any thread; a lock inside.
"""

import hashlib
import ipaddress
import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import psutil

from nexus_tray.model import Problem
from nexus_tray.store import files

log = logging.getLogger(__name__)

QUIC, HTTP2 = "quic", "http2"
REMEMBER = 14 * 86400.0
"""Seconds that HTTP/2 is remembered for a network; then QUIC gets another chance."""
FIRST = 86400.0
"""The same for the first time: perhaps the network only was away while QUIC was tried."""
MOST_NETWORKS = 64
_SIZE_LIMIT = 64 * 1024
_NO_HARDWARE = "00:00:00:00:00:00"
"""Asked for, and no answer (yet): the router is off, or was not spoken to."""


class _Note(msgspec.Struct, frozen=True):
    transport: str
    at: float
    times: int = 1


class Transports:
    """Chooses a transport for each start, and learns from how it went.

    `file` keeps what was learned (None: in memory only). `identify` names the network we
    are on, None where there is none. `wall`: seconds since the epoch.
    """

    def __init__(
        self,
        file: Path | None = None,
        identify: Callable[[], str | None] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._identify = identify or network_identity
        self._wall = wall
        self._lock = threading.Lock()
        self._known = self._load()
        self._failed: dict[str | None, str] = {}

    def network(self) -> str | None:
        """The network we are on now, as an opaque word."""
        return self._identify()

    def choose(self, wanted: str, network: str | None) -> str:
        """`quic` or `http2` for the next start. `wanted`: these, or `auto`."""
        if wanted != "auto":
            return wanted
        with self._lock:
            failed = self._failed.get(_among(self._failed, network))
            if failed is not None:
                return HTTP2 if failed == QUIC else QUIC
            known = _among(self._known, network)
            note = self._known.get(known) if known is not None else None
        if note is None:
            return QUIC
        lasts = REMEMBER if note.times > 1 else FIRST
        return note.transport if 0 <= self._wall() - note.at < lasts else QUIC

    def worked(self, transport: str, network: str | None) -> None:
        """A tunnel connected by this transport."""
        with self._lock:
            other = self._failed.pop(_among(self._failed, network), None)
            if network is None:
                return
            network = _among(self._known, network) or network
            known = self._known.get(network)
            if transport == QUIC and known is None:
                return
            if transport == QUIC:
                del self._known[network]
            elif other is not None or known is None:
                times = known.times + 1 if known is not None else 1
                self._known[network] = _Note(transport, self._wall(), times)
            else:
                return
            self._save()

    def failed(self, transport: str, network: str | None) -> None:
        """A tunnel could not connect by this transport: the other one is tried next.

        Not written down: an outage fails both, and must not teach anything.
        """
        with self._lock:
            self._failed[_among(self._failed, network)] = transport

    def _load(self) -> dict[str, _Note]:
        if self._file is None:
            return {}
        try:
            data = files.read_private(self._file, _SIZE_LIMIT)
            return msgspec.json.decode(data, type=dict[str, _Note])
        except FileNotFoundError:
            return {}
        except (Problem, msgspec.DecodeError) as error:
            log.warning("What was learned about networks is not used: %s", error)
            return {}

    def _save(self) -> None:
        newest = sorted(self._known.items(), key=lambda item: item[1].at)[-MOST_NETWORKS:]
        self._known = dict(newest)
        if self._file is None:
            return
        try:
            files.ensure_private_dir(self._file.parent)
            files.write_atomic(self._file, msgspec.json.encode(self._known))
        except Problem as problem:  # only comfort is lost: it is learned again
            log.warning("What was learned about this network is not kept: %s", problem)


def network_identity() -> str | None:
    """A word for the network we are on: the same tomorrow, saying nothing about it.

    Linux: the default route's interface and gateway, and that gateway's hardware address,
    because half of all homes have 192.168.1.1; it is the word's second half, which is missing
    while the kernel does not know it (just after the start, and when the router is off).
    Elsewhere: the networks of the interfaces that are up. None: no network. Compare two words by
    `same_network`.
    """
    place, hardware = _linux_gateway()
    place = place or _addresses()
    words = [hashlib.sha256(part.encode()).hexdigest()[:16] for part in (place, hardware) if part]
    return "-".join(words) if place else None


def same_network(one: str | None, other: str | None) -> bool:
    """Whether two words of `network_identity` may mean the same network."""
    if one is None or other is None:
        return one is other
    (place, _, router), (elsewhere, _, another) = one.partition("-"), other.partition("-")
    return place == elsewhere and (router == another or not router or not another)


def _among(words: Iterable[str | None], network: str | None) -> str | None:
    """That network's word as it is known there; else as it was given."""
    if network in (known := list(words)):
        return network
    return next((word for word in known if same_network(word, network)), network)


def _linux_gateway() -> tuple[str, str]:
    """(`interface gateway`, hardware address) from /proc/net (proc(5)); what is not known is
    empty."""
    try:
        routes = Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]
        neighbours = Path("/proc/net/arp").read_text(encoding="ascii").splitlines()[1:]
    except (OSError, UnicodeDecodeError):
        return "", ""
    defaults = [f for line in routes if len(f := line.split()) > 6 and f[1] == "00000000"]
    if not defaults:
        return "", ""
    best = min(defaults, key=lambda fields: int(fields[6]))
    address = ".".join(str(byte) for byte in reversed(bytes.fromhex(best[2])))
    hardware = [
        f[3] for line in neighbours if len(f := line.split()) > 3 and f[0] == address
        if f[3] != _NO_HARDWARE
    ]  # fmt: skip
    return f"{best[0]} {address}", hardware[0] if hardware else ""


def _addresses() -> str:
    """The networks of all interfaces that are up, loopback aside. Not the own address in them,
    for IPv6 takes another every day (RFC 8981)."""
    stats = psutil.net_if_stats()
    found = {
        f"{name} {network}"
        for name, addresses in psutil.net_if_addrs().items()
        for address in addresses
        if name in stats and stats[name].isup and address.netmask
        if (network := _network(address.address, address.netmask)) is not None
    }
    return "\n".join(sorted(found))


def _network(address: str, netmask: str) -> str | None:
    """The network of an address, None for one that counts here or on one link only."""
    try:
        own = ipaddress.ip_address(address.partition("%")[0])
        length = ipaddress.ip_address(netmask).packed
        bits = sum(byte.bit_count() for byte in length)
        network = ipaddress.ip_network((own, bits), strict=False)
    except ValueError:  # a hardware address, or a mask with holes
        return None
    return None if own.is_loopback or own.is_link_local else str(network)
