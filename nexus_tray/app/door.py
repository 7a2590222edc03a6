"""The gateway put together: relay, site, sign-in, event bridge, shaping, manifest.

Owns the order in which these are made and ended, and what must outlive a gateway that is
not there yet: where OpenCode listens. Nothing of it stands when sign-in's database cannot
be opened (the gateway stays shut then, SECURITY.md). Any thread may call.
"""

import contextlib
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from nexus_tray.app.aside import Aside
from nexus_tray.app.usage_keeper import UsageKeeper
from nexus_tray.commands import AnyCommand, Outcome
from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.events.bridge import Bridge
from nexus_tray.gateway.http import Upstream
from nexus_tray.gateway.meter import Readings
from nexus_tray.gateway.routes import Table, table_of
from nexus_tray.gateway.server import Gateway
from nexus_tray.gateway.shaping.manifest import ManifestCopy
from nexus_tray.gateway.shaping.shaping import Shaping
from nexus_tray.gateway.signin.passwords import Passwords
from nexus_tray.gateway.signin.reference_clock import ReferenceClock, since_boot
from nexus_tray.gateway.signin.second_factor import SecondFactor
from nexus_tray.gateway.signin.sessions import Sessions
from nexus_tray.gateway.signin.tokens import TokenBearers
from nexus_tray.gateway.site import static
from nexus_tray.gateway.site.site import GatewaySite, World
from nexus_tray.model import Hop, Problem, Reason, Snapshot
from nexus_tray.paths import Paths
from nexus_tray.reports import Transcript
from nexus_tray.settings import AccessSettings, TunnelSettings
from nexus_tray.store.accounts import Accounts
from nexus_tray.store.api_tokens import ApiTokens
from nexus_tray.store.audit import Audit, AuditEvent
from nexus_tray.store.database import open_database
from nexus_tray.store.pairings import Pairings
from nexus_tray.store.passkeys import Passkeys
from nexus_tray.store.second_factor import SecondFactorStore
from nexus_tray.system import descriptors

log = logging.getLogger(__name__)

SWEEP_SECONDS = 60.0

NO_PASSWORD = Reason(
    code="no-password",
    hop=Hop.GATEWAY,
    what="Remote access is off: no password is set.",
    meaning="Without one, whoever finds the address would own this machine.",
    cure="Choose one: nexus-tray password set",
)


def ui_folder(room: str) -> Path:
    """Where a room's styles and scripts are: in the checkout, or in the package."""
    package = Path(__file__).parent.parent
    inside = package / "ui" / room
    return inside if inside.is_dir() else package.parent / "ui" / room


@dataclass(frozen=True)
class Vault:
    """Sign-in's stores, over one database."""

    accounts: Accounts
    audit: Audit
    passwords: Passwords
    pairings: Pairings
    second_factor: SecondFactorStore
    tokens: ApiTokens
    passkeys: Passkeys
    usage: UsageKeeper | None = None


def _not_read(_: str) -> Transcript:
    raise Problem(Reason(code="opencode-down", hop=Hop.OPENCODE, what="OpenCode is not running."))


def _no_secret(_: str) -> str | None:
    """Where nothing keeps secrets: codes of an authenticator cannot be checked."""
    return None


def machine_name() -> str:
    """The computer's name as visitors see it."""
    return socket.gethostname().partition(".")[0] or "this computer"


class Door:
    """The gateway and everything in it, made at first need.

    `snapshot` and `submit` are what its pages show and do; `factor_secret` is the second
    factor's secret by its id, and may wait for the keyring.
    """

    def __init__(
        self,
        paths: Paths,
        snapshot: Callable[[], Snapshot],
        submit: Callable[[AnyCommand], Outcome],
        factor_secret: Callable[[str], str | None] = _no_secret,
        transcript: Callable[[str], Transcript] = _not_read,
    ) -> None:
        self._paths = paths
        self._snapshot = snapshot
        self._submit = submit
        self._factor_secret = factor_secret
        self._transcript = transcript
        self._lock = threading.Lock()
        self._upstream: Upstream | None = None
        self._routes: Table = {}
        self._limits = AccessSettings()
        self._own_ports: Callable[[], frozenset[int]] = frozenset
        self._gateway: Gateway | None = None
        self._vault: Vault | None = None
        self.clock = ReferenceClock(time.time, since_boot)
        self._ending = contextlib.ExitStack()

    def gateway(self) -> Gateway:
        """The gateway, not yet started. Raises Problem when it must stay shut."""
        with self._lock:
            if self._gateway is None:
                self._gateway = self._make()
                self._gateway.set_upstream(self._upstream)
                self._gateway.set_routes(self._routes)
                self._gateway.set_limits(self._limits)
                self._gateway.bar_ports(lambda: self._own_ports())
            return self._gateway

    def at_port(self, local_port: int) -> Gateway:
        """The gateway, its local door at this port from the next start on."""
        gateway = self.gateway()
        gateway.use_port(local_port)
        return gateway

    def vault(self) -> Vault:
        """Sign-in's stores. Raises Problem when their database cannot be used."""
        self.gateway()
        if self._vault is None:
            raise RuntimeError("the gateway was made without its vault")
        return self._vault

    def accounts(self) -> Accounts:
        """Sign-in. Raises Problem when its database cannot be used."""
        return self.vault().accounts

    def audit(self) -> Audit:
        """The audit trail. Raises Problem when its database cannot be used."""
        return self.vault().audit

    def passwords(self) -> Passwords:
        """The hashing of passwords. Raises Problem when sign-in's database cannot be used."""
        return self.vault().passwords

    def hold(self) -> Reason | None:
        """Why no tunnel may run now; None: one may."""
        try:
            return None if self.accounts().has_password() else NO_PASSWORD
        except Problem as problem:
            return problem.reason

    def address(self) -> str | None:
        """The local door's address while it is open."""
        gateway = self._gateway
        return gateway.local_address if gateway is not None and gateway.running else None

    def read_meters(self) -> Readings | None:
        """What passed until now; None while the gateway is shut."""
        gateway = self._gateway
        return gateway.read_meters() if gateway is not None else None

    def visits(self) -> tuple[tuple[str, float], ...]:
        """The ways in from outside by which a signed-in device came, and when the last time
        (epoch seconds). Raises TimeoutError while the gateway does not answer."""
        gateway = self._gateway
        if gateway is None:
            return ()
        doors = gateway.counters().doors
        times = ((name, door.last_at) for name, door in doors.items() if name != "local")
        return tuple(sorted((name, at) for name, at in times if at is not None))

    def set_upstream(self, upstream: Upstream | None) -> None:
        """OpenCode listens there; None: nowhere."""
        with self._lock:
            self._upstream = upstream
            gateway = self._gateway
        if gateway is not None:
            gateway.set_upstream(upstream)

    def set_routes(self, tunnels: Iterable[TunnelSettings]) -> None:
        """Lead by host name as these settings say; in force on return. A tunnel that is not
        among them leads nowhere."""
        with self._lock:
            self._routes = table_of(tunnels)
            gateway = self._gateway
        if gateway is not None:
            gateway.set_routes(self._routes)

    def set_limits(self, settings: AccessSettings) -> None:
        """Who may knock from outside and take how much; in force on return."""
        with self._lock:
            self._limits = settings
            gateway = self._gateway
        if gateway is not None:
            gateway.set_limits(settings)

    def countries(self) -> tuple[str, ...]:
        """From where visitors came since the start, as Cloudflare told."""
        gateway = self._gateway
        return gateway.countries() if gateway is not None else ()

    def bar_ports(self, ports: Callable[[], frozenset[int]]) -> None:
        """Ports of this program's own beside the gateway's: no route may lead there."""
        self._own_ports = ports

    def cut_tunnels(self, names: Iterable[str]) -> None:
        """Admit nothing through these tunnels any more, and end what came through them; at
        once, for a cloudflared that ends in order takes seconds. Each start admits anew."""
        gateway = self._gateway
        if gateway is not None:
            for name in names:
                gateway.close_door(name)

    def close(self) -> None:
        """End what is not the gateway's own run: threads, database."""
        with self._lock:
            if self._gateway is not None:
                self._gateway.close()
            self._ending.close()

    def _make(self) -> Gateway:
        with contextlib.ExitStack() as ending:
            database = open_database(self._paths.database, time.time())
            ending.callback(database.close)
            passwords = Passwords()
            ending.callback(passwords.close)
            audit = Audit(database, time.time)
            accounts = Accounts(database, audit, passwords.make_hash, time.time)
            pairings = Pairings(database, audit, time.time)
            factor = SecondFactorStore(database, audit, time.time)
            passkeys = Passkeys(database, audit, time.time)
            aside = Aside()
            ending.callback(aside.close)
            tokens = ApiTokens(database, audit, time.time)
            bearers = TokenBearers(
                tokens,
                time.time,
                time.monotonic,
                lambda: sessions.clock_uncertain(),
                lambda *use: aside.write(lambda: tokens.note_use(*use)),
                lambda address: aside.write(lambda: _token_refused(audit, address)),
            )
            for ends in (accounts, tokens):
                ends.listen(bearers.forget)
            # both cut after that: who asks just when a stream is cut must be refused already
            tokens.listen(self._cut_all)
            sessions = Sessions(accounts, audit, self._cut, time.time, time.monotonic, self.clock)
            self._bridge = Bridge(lambda: self._upstream)
            manifest = ManifestCopy()
            site = GatewaySite(
                World(
                    machine=machine_name(),
                    snapshot=self._snapshot,
                    submit=self._submit,
                    accounts=accounts,
                    audit=audit,
                    passwords=passwords,
                    sessions=sessions,
                    tokens=bearers,
                    pairings=pairings,
                    passkeys=passkeys,
                    second_factor=SecondFactor(factor, self._factor_secret, time.time),
                    files=static.load(ui_folder("gateway")),
                    events=self._bridge.websocket,
                    manifest=manifest.local_copy,
                    transcript=self._transcript,
                    routes=lambda: self._routes,
                )
            )
            ending.callback(site.close)

            async def copy(upstream: Upstream) -> None:
                await manifest.refresh(upstream)

            gateway = Gateway(
                site,
                Shaping(lambda: self._upstream),
                None if sys.platform == "win32" else self._paths.tunnel_socket,
                bounds=Bounds(connections=descriptors.visitors(Bounds().connections)),
                on_upstream=copy,
                on_end=self._bridge.close,
            )
            gateway.tell_denials(
                lambda address, why: aside.write(
                    lambda: audit.crowd(AuditEvent.DENIED, address, why, time.monotonic())
                )
            )
            usage = UsageKeeper(lambda: _taken(gateway), accounts)
            ending.callback(_every(SWEEP_SECONDS, sessions.sweep))
            ending.callback(_every(SWEEP_SECONDS, usage.save))
            ending.callback(_every(SWEEP_SECONDS, lambda: _end_tokens(sessions, tokens)))
            stores = (accounts, audit, passwords, pairings, factor, tokens, passkeys)
            self._vault = Vault(*stores, usage)
            self._ending = ending.pop_all()
        return gateway

    def _cut_all(self, principal_ids: tuple[str, ...]) -> None:
        for principal_id in principal_ids:
            self._cut(principal_id)

    def _cut(self, principal_id: str) -> None:
        """A session ended: its streams too, wherever they are."""
        gateway = self._gateway
        if gateway is not None:
            gateway.cut(principal_id)
            gateway.run_soon(lambda: self._bridge.cut(principal_id))


def _end_tokens(sessions: Sessions, tokens: ApiTokens) -> None:
    """Those that are over; one that is over is refused and cut in any case."""
    if sessions.time_is_sure():
        tokens.end_expired()


def _token_refused(audit: Audit, address: str) -> None:
    told = "unknown, revoked, or no longer good"
    audit.crowd(AuditEvent.TOKEN_REFUSED, address, told, time.monotonic())


def _taken(gateway: Gateway) -> dict[str, tuple[int, int]]:
    """Nothing while the gateway is shut, or where it shuts just now."""
    try:
        return gateway.take_usage() if gateway.running else {}
    except TimeoutError:
        return {}


def _every(seconds: float, work: Callable[[], None]) -> Callable[[], None]:
    """Repeat `work` in a thread; answers the function that ends it. A Problem is left to
    whoever meets it next in the foreground: the store says it again."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            with contextlib.suppress(Problem):
                work()

    thread = threading.Thread(target=repeat, name="sweep", daemon=True)
    thread.start()

    def end() -> None:
        over.set()
        thread.join()

    return end
