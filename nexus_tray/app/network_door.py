"""The local network's door kept as the settings say: opened, shut, renewed, told about.

Owns when it is open. It looks at everything every few seconds, and at once when the settings
or the pause change: a laptop changes networks, a certificate comes to its end, the gateway
starts anew. Fails closed: every doubt shuts the door and says why. Tunnels are not touched.
Any thread may call; a lock lets one look at a time.
"""

import contextlib
import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from nexus_tray.app import network_words as words
from nexus_tray.app.door import Door
from nexus_tray.core.snapshot import Pause
from nexus_tray.gateway.network_door import Place, hosts_of, tls_context
from nexus_tray.gateway.server import Gateway
from nexus_tray.model import Problem, Reason
from nexus_tray.paths import Paths
from nexus_tray.reports import NetworkDoor
from nexus_tray.services import own_certificate
from nexus_tray.services.authority import Authority
from nexus_tray.settings import NetworkSettings
from nexus_tray.store.config import ConfigStore
from nexus_tray.system import interfaces

log = logging.getLogger(__name__)

LOOK_SECONDS = 3.0
ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - only where the person wrote exactly that


@dataclass(frozen=True)
class Around:
    """What the door stands in. `gateway` and `has_password` raise Problem; `settings` are those
    in force; `wall` in epoch seconds."""

    paths: Paths
    settings: Callable[[], NetworkSettings]
    gateway: Callable[[], Gateway]
    has_password: Callable[[], bool]
    addresses: Callable[[], tuple[tuple[str, str], ...]] = interfaces.addresses
    wall: Callable[[], float] = time.time


@dataclass(frozen=True)
class _Certificate:
    """One to serve with. `mark` changes when it does."""

    chain: Path
    key: Path | None
    fingerprint: str
    not_after_at: float
    mark: object
    warning: Reason | None = None


class NetworkKeeper:
    """Keeps the door. `start` and `close` once each; before `start` it is looked at only when
    told."""

    def __init__(self, around: Around, look_seconds: float = LOOK_SECONDS) -> None:
        self._around = around
        self._seconds = look_seconds
        machine = socket.gethostname().partition(".")[0] or "this computer"
        self._authority = Authority(around.paths.authority, machine)
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="network door", daemon=True)
        self._paused = False
        self._cut = False
        self._settings: NetworkSettings | None = None
        self._serving: tuple[Place, object] | None = None
        self._reason: Reason | None = None
        self._certificate: _Certificate | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Shut the door and look no more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            self._shut()

    def adopt(self, settings: NetworkSettings) -> None:
        """These are the settings now; in force on return."""
        with self._lock:
            if settings != self._settings:
                self._settings, self._cut = settings, False
                self.look()

    def pause(self, *, paused: bool) -> None:
        """Remote access is paused or not; in force on return."""
        with self._lock:
            self._paused, self._cut = paused, False
            if paused or self._thread.is_alive():
                self.look()

    def cut(self) -> None:
        """Shut it now and end what came through it; shut until its settings or the pause
        change."""
        with self._lock:
            self._cut = True
            self.look()

    def with_cut(self, cut: Callable[[Iterable[str]], None]) -> Callable[[Iterable[str]], None]:
        """Cutting the tunnels cuts this door too."""

        def both(names: Iterable[str]) -> None:
            try:
                cut(names)
            finally:
                self.cut()

        return both

    def with_pause(self, tell: Callable[[Pause | None], None]) -> Callable[[Pause | None], None]:
        """Who hears of the pause, and this door with him."""

        def both(pause: Pause | None) -> None:
            try:
                tell(pause)
            finally:
                self.pause(paused=pause is not None)

        return both

    def look(self) -> None:
        """Have it stand as it should, now. Never raises: what is wrong is the report's reason."""
        with self._lock:
            try:
                self._reason = self._stand()
            except Problem as problem:
                self._reason = problem.reason
            except Exception as error:
                log.exception("the door for the local network could not be opened")
                self._reason = words.unexpected(error)
            else:
                return
            self._shut()

    @property
    def is_open(self) -> bool:
        """Whether the local network may come in now."""
        return self._serving is not None

    def report(self) -> NetworkDoor:
        """How it stands, and what devices need to trust it."""
        with self._lock:
            settings, reason, certificate = self._wished(), self._reason, self._certificate
            place = self._serving[0] if self._serving else None
        authority = None
        if not settings.certificate and not settings.key:
            try:
                authority = self._authority.shown()
            except Problem as problem:
                reason = reason or problem.reason
        shown = authority.fingerprint if authority else ""
        if certificate is not None and authority is None:
            shown = certificate.fingerprint
        return NetworkDoor(
            url=_url(place, settings) if place else None,
            addresses=self._around.addresses(),
            authority=authority.pem if authority else "",
            fingerprint=shown,
            not_after_at=certificate.not_after_at if certificate else None,
            trust=words.TRUST if authority else (),
            reason=reason if settings.enabled else None,
        )

    def _watch(self) -> None:
        while not self._over.is_set():
            self.look()
            self._over.wait(self._seconds)

    def _wished(self) -> NetworkSettings:
        return self._around.settings() if self._settings is None else self._settings

    def _stand(self) -> Reason | None:
        """Open it, leave it, or shut it; what is to be said. Raises Problem: it must be shut."""
        wished = self._wished()
        why = self._why_shut(wished)
        if why is not None or not wished.enabled:
            self._shut()
            return why
        gateway = self._around.gateway()
        if not gateway.running:
            raise Problem(words.GATEWAY_OFF)
        place = self._place(wished)
        certificate = self._certified(wished, place)
        if self._serving != (place, certificate.mark) or gateway.network.place != place:
            self._open(gateway, place, certificate)
        self._certificate = certificate
        return certificate.warning

    def _why_shut(self, wished: NetworkSettings) -> Reason | None:
        if not wished.enabled:
            return None
        if self._paused:
            return words.PAUSED
        if self._cut:
            return words.CUT
        if not wished.address:
            return words.NO_ADDRESS
        return None if self._around.has_password() else words.NO_PASSWORD

    def _place(self, wished: NetworkSettings) -> Place:
        try:
            address = str(ipaddress.ip_address(wished.address))
        except ValueError:
            raise Problem(words.odd_address(wished.address)) from None
        here = tuple(dict.fromkeys(one for _, one in self._around.addresses()))
        if address in ANYWHERE:
            here = tuple(one for one in here if (":" in one) == (":" in address))
        elif address in here:
            here = (address,)
        else:
            raise Problem(words.away(address))
        return Place(address, wished.port, hosts_of(here, wished.names, wished.port))

    def _certified(self, wished: NetworkSettings, place: Place) -> _Certificate:
        now = self._around.wall()
        if not wished.certificate and not wished.key:
            addresses = self._named(place)
            issued = self._authority.issue(addresses[0], (*addresses[1:], *wished.names), now)
            end, shown = issued.not_after_at, issued.fingerprint
            return _Certificate(issued.file, None, shown, end, shown)
        if not wished.certificate or not wished.key:
            raise Problem(words.HALF_OWN)
        chain, key = Path(wished.certificate).expanduser(), Path(wished.key).expanduser()
        own = own_certificate.judge(chain, key, place.address, wished.names, now)
        mark = (own.fingerprint, _stamp(chain), _stamp(key))
        end, warning = own.not_after_at, own.warning
        return _Certificate(chain, key, own.fingerprint, end, mark, warning)

    def _named(self, place: Place) -> tuple[str, ...]:
        if place.address not in ANYWHERE:
            return (place.address,)
        return tuple(dict.fromkeys(one for _, one in self._around.addresses()))

    def _open(self, gateway: Gateway, place: Place, certificate: _Certificate) -> None:
        gateway.open_network(place, tls_context(certificate.chain, certificate.key))
        self._serving = place, certificate.mark
        log.info("The door for the local network is open on %s:%s.", place.address, place.port)

    def _shut(self) -> None:
        """The gateway may be gone already, and the door with it."""
        was, self._serving, self._certificate = self._serving, None, None
        if was is not None:
            with contextlib.suppress(Problem):
                self._around.gateway().close_network()
            log.info("The door for the local network is shut.")


def kept(paths: Paths, settings: ConfigStore, door: Door) -> NetworkKeeper:
    """The keeper of that gateway's door, told of every change of the settings."""
    keeper = NetworkKeeper(
        Around(
            paths=paths,
            settings=lambda: settings.read().settings.network,
            gateway=door.gateway,
            has_password=lambda: door.accounts().has_password(),
        )
    )
    settings.listen(lambda now: keeper.adopt(now.settings.network))
    return keeper


def _stamp(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_mtime_ns, found.st_size


def _url(place: Place, wished: NetworkSettings) -> str:
    """The address to visit: by name where there is one, else by the address."""
    if wished.names:
        host = wished.names[0]
    elif place.address in ANYWHERE:
        return f"https://{min(place.hosts)}/" if place.hosts else ""
    else:
        host = f"[{place.address}]" if ":" in place.address else place.address
    return f"https://{host}/" if place.port == 443 else f"https://{host}:{place.port}/"
