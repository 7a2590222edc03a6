"""The public addresses of all tunnels: watched, their certificates, how often they changed.

Owns one `AddressWatch` for each tunnel and what its visits brought. Answers two parts of
`Backend.tunnels` (`app.tunnel_reports`). Any thread; a lock inside, never held while something
is visited.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nexus_tray.gateway.server import Gateway
from nexus_tray.gateway.signin.reference_clock import since_boot
from nexus_tray.model import Level, Problem, Reason
from nexus_tray.reports import CertificateReport
from nexus_tray.services import address_faults, public_certificate, public_visit
from nexus_tray.services.address_changes import MANY, AddressChanges
from nexus_tray.services.address_watch import AddressWatch, Means, Times
from nexus_tray.services.public_visit import Front, Seen, Visit, Way
from nexus_tray.settings import TunnelSettings

STALE = 6 * 3600.0
"""Seconds after which a certificate that is asked for is looked at again."""
AGAIN = 120.0
"""Seconds before a look that brought nothing is repeated."""
_AT_ONCE = 8

Note = Callable[[str, str, Reason | None], None]


@dataclass(frozen=True)
class Around:
    """What is needed of the rest. `tell_time` hears Cloudflare's time. `network`: the one we are
    on, None: none. `restarts`: how often a service was started again unasked. `note` writes into
    the journal, `log` into the tunnel's log. `front`: the tests' own Cloudflare, instead of DNS
    and the real one."""

    file: Path
    gateway: Callable[[], Gateway]
    tell_time: Callable[[float], None]
    network: Callable[[], str | None]
    restarts: Callable[[str], int]
    note: Note
    log: Callable[[str, Level, str], None]
    front: Front | None = None
    times: Times | None = None


@dataclass(frozen=True)
class _Met:
    visit: Visit
    at: float


class Addresses:
    """Watches addresses and answers for them. `wall`: epoch seconds; `steady`: as `since_boot`."""

    def __init__(
        self,
        around: Around,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = since_boot,
    ) -> None:
        self._around = around
        self._wall = wall
        self._steady = steady
        self._lock = threading.Lock()
        self._changes = AddressChanges(around.file, wall)
        self._watches: dict[tuple[str, bool], AddressWatch] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._met: dict[str, _Met] = {}
        self._tried: dict[str, float] = {}
        self._last: dict[str, Seen] = {}

    def watch(self, name: str, *, quick: bool) -> AddressWatch:
        """The watch of that tunnel; the same as long as its kind is."""
        with self._lock:
            key = (name, quick)
            if key not in self._watches:
                means = self._means(name, quick=quick)
                self._watches[key] = AddressWatch(means, quick=quick, times=self._around.times)
            return self._watches[key]

    def hurry(self) -> None:
        """This machine woke, or is on another network: every address is visited anew."""
        with self._lock:
            watches = list(self._watches.values())
        for watch in watches:
            watch.hurry()

    def certificates(self, tunnel: TunnelSettings) -> tuple[CertificateReport, ...]:
        """What browsers meet at the tunnel's names. Takes seconds where one was not looked at
        for long; a name at which nothing could be seen is left out."""
        routed = tuple(route.hostname for route in tunnel.routes if route.hostname)
        with self._lock:
            known = self._names.get(tunnel.name, ())
        names = known if tunnel.kind == "quick" else routed
        if tunnel.kind != "quick":  # a quick tunnel's is seen often enough, and never too early
            self._refresh(tunnel.name, names)
        with self._lock:
            met = [(name, self._met.get(name)) for name in names]
        return tuple(_report(name, one) for name, one in met if one is not None)

    def changes(self, name: str) -> int:
        """How often its address changed within a day, unasked."""
        return self._changes.count(name)

    def reason(self, name: str) -> Reason | None:
        """What there is to say of a tunnel that changes its address often."""
        return address_faults.OFTEN_CHANGED if self.changes(name) >= MANY else None

    def _means(self, name: str, *, quick: bool) -> Means:
        around = self._around

        def visit(hostname: str, early: bool) -> Visit:
            return self._visit(name, hostname, early=early)

        def connected(names: tuple[str, ...]) -> None:
            with self._lock:
                self._names[name] = names
            if quick and names:
                self._count(name, names[0])

        return Means(
            visit=visit,
            served=lambda: around.gateway().visits(name),
            online=lambda: around.network() is not None,
            tell_time=around.tell_time,
            met=lambda found, at: self._take(name, found, at),
            connected=connected,
            now=self._steady,
            wall=self._wall,
        )

    def _visit(self, name: str, hostname: str, *, early: bool) -> Visit:
        question = self._around.gateway().ask_proof(name)
        front = self._around.front or (Front() if early else None)
        return public_visit.visit(hostname, question, Way(front=front))

    def _take(self, name: str, met: Visit, at: float) -> None:
        """Keep what a visit brought, and log what is another thing than the time before."""
        with self._lock:
            before = self._last.get(met.hostname, Seen.OURS)
            self._last[met.hostname] = met.seen
        self._keep(met, at)
        if met.seen is not before:
            # no warning: one visit proves nothing, and a new address often takes some seconds
            self._around.log(name, Level.INFO, address_faults.told(met))

    def _keep(self, met: Visit, at: float) -> None:
        if met.certificate is None and met.trouble is None:
            return
        with self._lock:
            self._met[met.hostname] = _Met(met, at)

    def _count(self, name: str, address: str) -> None:
        if self._changes.saw(name, address, self._around.restarts(name)) == MANY:
            said = address_faults.OFTEN_CHANGED
            self._around.note(said.what, name, said)

    def _refresh(self, tunnel: str, names: tuple[str, ...]) -> None:
        now, wall = self._steady(), self._wall()
        with self._lock:
            stale = [name for name in names if self._stale(name, now, wall)]
            self._tried.update(dict.fromkeys(stale, now))
        if not stale or not self._open():
            return
        with ThreadPoolExecutor(_AT_ONCE, "certificate") as pool:
            for met in pool.map(lambda name: self._visit(tunnel, name, early=False), stale):
                self._keep(met, self._wall())

    def _open(self) -> bool:
        """There is a gateway that could answer; else that is what is wrong, and said elsewhere."""
        try:
            self._around.gateway()
        except Problem:
            return False
        return True

    def _stale(self, name: str, now: float, wall: float) -> bool:
        met, tried = self._met.get(name), self._tried.get(name)
        if tried is not None and now - tried < AGAIN:
            return False
        return met is None or not 0.0 <= wall - met.at < STALE


def _report(hostname: str, met: _Met) -> CertificateReport:
    return public_certificate.judged(
        hostname,
        met.visit.certificate,
        met.visit.trouble,
        met.at,
        trusted=met.visit.seen is not Seen.UNTRUSTED,
    )
