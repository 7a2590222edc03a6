"""The doctor: which checks there are, in the order of a request's path, and what each needs.

Owns the composition; the looks themselves are in `services.checks_*`, `system.checks` and
`doctor_desktop`, their threads and limits in `examination`, what can be repaired in `repairs`.
Works also without a running program (`alone`): what only that knows is then said to be not
looked at. Any thread.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nexus_tray import __version__
from nexus_tray.app import doctor_desktop as desktop
from nexus_tray.app.around_us import NOBODY_GETS_IN, SET_CLOCK
from nexus_tray.app.at_login import at_login
from nexus_tray.app.doctor_account import Account, Surroundings
from nexus_tray.app.examination import Examiner, Look
from nexus_tray.app.repairs import offer
from nexus_tray.app.setup import fetchable as can_fetch
from nexus_tray.commands import Autostart
from nexus_tray.desktop.session import has_desktop
from nexus_tray.finding import Finding, bad, good, unknown, warning
from nexus_tray.gateway.http import Upstream
from nexus_tray.gateway.signin.reference_clock import TOLERANCE
from nexus_tray.model import Hop, Problem, Reason, Service, ServiceKind, Snapshot
from nexus_tray.paths import Paths
from nexus_tray.reports import Examination, Tunnels
from nexus_tray.services import binaries, checks_network
from nexus_tray.services import checks_gateway as gateway
from nexus_tray.services import checks_opencode as opencode
from nexus_tray.services import checks_tunnel as tunnel
from nexus_tray.services.cloudflare_api import BASE
from nexus_tray.services.cloudflared import LAB_VARIABLE
from nexus_tray.services.environment import LoginPath
from nexus_tray.settings import Settings
from nexus_tray.store.config import ConfigStore
from nexus_tray.store.secrets import SecretPlace, SecretState, SecretStore
from nexus_tray.system import checks, leftovers, web_view

MEGABYTE = 1024 * 1024
SLOW = 9.0
"""Seconds for what starts other programs: a cold OpenCode takes two to say its version."""

NOT_RUNNING = "not looked at: Nexus Tray is not running"
LAB = "not tried: this run uses the tests' own Cloudflare"


@dataclass(frozen=True)
class Running:
    """What only a running program knows. `has_password` raises Problem when sign-in's
    database cannot be read; `drift` is None until Cloudflare told the time; `tunnels` may ask
    Cloudflare, and take seconds."""

    snapshot: Callable[[], Snapshot]
    door: Callable[[], str | None]
    has_password: Callable[[], bool]
    drift: Callable[[], float | None]
    tunnels: Callable[[], Tunnels] | None = None


class Doctor:
    """Examines, as often as asked."""

    def __init__(self, surroundings: Surroundings, running: Running | None = None) -> None:
        self._around = surroundings
        self._running = running
        self._upstream: Upstream | None = None
        self._examiner = Examiner(surroundings.environment.get("HOME") or str(Path.home()))

    def set_upstream(self, upstream: Upstream | None) -> None:
        """OpenCode listens there; None: nowhere."""
        self._upstream = upstream

    def examine(self) -> Examination:
        """Look at everything; within 12 s, whatever hangs."""
        return self._examiner.run(self._looks)

    def _looks(self) -> list[Look]:
        snapshot = self._running.snapshot() if self._running else None
        settings = self._around.settings()
        account = Account(self._around, settings, self._running.tunnels if self._running else None)
        first = [Look("alone", "Nexus Tray", lambda: warning(ALONE))] if not snapshot else []
        looks = [
            *first,
            *self._outside(snapshot),
            *self._cloudflared(snapshot, settings),
            *account.looks(),
            *self._gateway(),
            *self._opencode(snapshot, settings),
            *self._computer(settings),
            *self._face(),
        ]
        return [replace(look, repair=self._repair_of(look.code, settings)) for look in looks]

    def _repair_of(self, code: str, settings: Settings) -> Callable[[Finding], str]:
        """What is offered for this check; without a running program nobody could do it."""

        def fetchable(name: str) -> bool:
            if (settings.opencode if name == "opencode" else settings.cloudflared).program:
                return False
            own = binaries.shelf(name, self._around.paths.tools).present()
            try:
                found = self._find(name, "")
            except Problem:
                return can_fetch(name)
            return own is not None and found == own[1] and can_fetch(name)

        if self._running is None:
            return lambda _: ""
        return lambda finding: offer(code, finding, fetchable)

    def _outside(self, snapshot: Snapshot | None) -> list[Look]:
        tunnels = _tunnels(snapshot)
        environment = self._around.environment
        lab = bool(environment.get(LAB_VARIABLE))

        def network(look: Callable[[], Finding]) -> Callable[[], Finding]:
            return (lambda: unknown(LAB)) if lab else look

        return [
            Look("password", "Password for remote access", self._password),
            Look("dns", "Cloudflare's names", network(tunnel.names)),
            Look("edge", "Cloudflare's edge over TCP", network(tunnel.edge), SLOW),
            Look("quic", "Cloudflare's edge over UDP", lambda: self._udp(tunnels, lab=lab)),
            Look("api", "Cloudflare's API", network(lambda: checks_network.api(environment))),
            Look("proxy", "Proxy", lambda: tunnel.proxies(environment)),
            Look("clock", "Clock", self._clock),
        ]

    def _cloudflared(self, snapshot: Snapshot | None, settings: Settings) -> list[Look]:
        def find() -> Path:
            return self._find("cloudflared", settings.cloudflared.program)

        looks = [Look("cloudflared", "cloudflared", lambda: tunnel.program(find), SLOW)]
        for service in _tunnels(snapshot):
            title = f"Tunnel “{service.name}”"
            looks.append(Look(f"tunnel-{service.name}", title, _stands(service)))
        return looks

    def _gateway(self) -> list[Look]:
        running, path = self._running, self._around.paths.tunnel_socket
        if running is None:
            return [Look("gateway", "Gateway", lambda: unknown(NOT_RUNNING))]
        return [
            Look("gateway", "Gateway", lambda: gateway.door(running.door())),
            Look("gateway-socket", "Gateway's socket", lambda: gateway.tunnel_socket(path)),
        ]

    def _opencode(self, snapshot: Snapshot | None, settings: Settings) -> list[Look]:
        service = snapshot.service("opencode") if snapshot else None
        facts = service.facts if service and self._upstream else None
        version, pid = (facts.version, facts.pid) if facts else (None, None)
        upstream, given = self._upstream, settings.opencode.program
        data = Path(self._around.environment.get("XDG_DATA_HOME") or Path.home() / ".local/share")

        def find() -> Path:
            return self._find("opencode", given)

        def ripgrep() -> Finding:
            return opencode.ripgrep(self._around.search_path(), data / "opencode" / "bin" / "rg")

        looks = [Look("opencode", "OpenCode", lambda: opencode.program(find, version), SLOW)]
        if self._running is not None:
            closed = "OpenCode closed to others"
            looks += [
                Look("opencode-health", "OpenCode's health", lambda: opencode.health(upstream), 9),
                Look("opencode-closed", closed, lambda: opencode.closed(upstream, pid)),
            ]
        secrets = self._around.secrets
        return [
            *looks,
            Look("ripgrep", "ripgrep", ripgrep, SLOW),
            Look("secrets", "Provider keys", lambda: _secrets(secrets.state())),
        ]

    def _computer(self, settings: Settings) -> list[Look]:
        paths, bound = self._around.paths, settings.logs.max_megabytes * MEGABYTE
        trouble = self._around.settings_trouble

        def read() -> Finding:
            return bad(trouble) if trouble else good("read, and every one is valid")

        return [
            Look("settings", "Settings", read),
            Look("private", "Private files", lambda: checks.private(paths)),
            Look("disk", "Room on the disk", lambda: checks.disk(paths.data)),
            Look("logs", "Stored logs", lambda: checks.log_store(paths.log_database, bound)),
            *([Look("descriptors", "Descriptors", checks.descriptors)] if self._running else ()),
            Look("path", "PATH", lambda: checks.search_path(self._around.search_path()), SLOW),
            Look("processes", "Left processes", lambda: checks.processes(self._around.left())),
        ]

    def _face(self) -> list[Look]:
        environment = self._around.environment
        return [
            Look("autostart", "Start at login", lambda: checks.autostart(self._at_login())),
            Look("panel", "Tray", lambda: desktop.panel(environment)),
            Look("window", "Window", lambda: _window(environment), SLOW),
            Look("notifications", "Notifications", lambda: desktop.notifications(environment)),
            Look("program", "Version", self._program),
        ]

    def _udp(self, tunnels: list[Service], *, lab: bool) -> Finding:
        """Nothing is tried in the tests' own Cloudflare but what its tunnels did themselves."""
        if not lab:
            return checks_network.udp(tunnels)
        if any(one.facts.transport == "quic" for one in tunnels):
            return checks_network.udp(tunnels, hosts=())
        return unknown(LAB)

    def _program(self) -> Finding:
        there = checks.runtime(self._around.paths) if self._running else None
        return there if there and there.reason else checks.program(__version__)

    def _at_login(self) -> Autostart:
        return self._around.starter.state()

    def _find(self, name: str, configured: str) -> Path:
        return self._around.find(name, configured)

    def _password(self) -> Finding:
        if self._running is None:
            return unknown(NOT_RUNNING)
        if self._running.has_password():
            return good("set")
        return warning(NO_PASSWORD)

    def _clock(self) -> Finding:
        drift = self._running.drift() if self._running else None
        if drift is None:
            return unknown("not known: Cloudflare has not told the time since the start")
        if abs(drift) <= TOLERANCE:
            return good(f"right within {max(1, round(abs(drift)))} s, by Cloudflare's clock")
        way = "ahead of" if drift > 0 else "behind"
        what = f"This computer's clock is {abs(drift) / 60:.0f} minutes {way} Cloudflare's."
        return bad(_reason("clock", what, NOBODY_GETS_IN, SET_CLOCK))


def alone(paths: Paths, environment: Mapping[str, str], directory: Path) -> Examination:
    """Examine without a running program: what can be looked at then."""
    secrets = SecretStore(paths)
    headless = not has_desktop(environment)
    login = LoginPath(environment)

    starter = at_login(environment, directory, headless=headless)
    known, trouble = Settings(), None
    try:
        known = ConfigStore(paths).load().settings
    except Problem as problem:
        trouble = problem.reason
    around = Surroundings(
        paths=paths,
        environment=environment,
        settings=lambda: known,
        search_path=lambda: joined(login.get(), environment.get("PATH", "")),
        secrets=secrets,
        starter=starter,
        left=lambda: leftovers.left(paths, None),
        settings_trouble=trouble,
        api_base=lambda: "" if environment.get(LAB_VARIABLE) else BASE,
    )
    return Doctor(around).examine()


def joined(*paths: str) -> str:
    """One PATH of several, each folder once, the first mention first."""
    folders = (folder for path in paths for folder in path.split(os.pathsep) if folder)
    return os.pathsep.join(dict.fromkeys(folders))


def _stands(service: Service) -> Callable[[], Finding]:
    return lambda: tunnel.tunnel(service)


def _tunnels(snapshot: Snapshot | None) -> list[Service]:
    services = snapshot.services if snapshot else ()
    return [service for service in services if service.kind is ServiceKind.TUNNEL]


def _window(environment: Mapping[str, str]) -> Finding:
    if not has_desktop(environment):
        return unknown(desktop.HEADLESS)
    return checks.window(web_view.find(environment))


def _secrets(state: SecretState) -> Finding:
    """Where provider keys lie, and whether they can be reached."""
    if state.reason is None:
        return good("in the system's keyring, which is open")
    if state.place is SecretPlace.FILE:
        return good("in a file of ours, encrypted with your passphrase and open")
    if state.place is SecretPlace.NONE:
        return good("none stored: this system offers no keyring")
    return warning(state.reason)


def _reason(code: str, what: str, meaning: str, cure: str) -> Reason:
    return Reason(code=f"doctor-{code}", hop=Hop.DEVICE, what=what, meaning=meaning, cure=cure)


ALONE = _reason(
    "alone",
    "Nexus Tray is not running.",
    "Nothing is reachable, and what only a running program knows was not looked at.",
    "Start it: nexus-tray run",
)
NO_PASSWORD = Reason(
    code="no-password",
    hop=Hop.GATEWAY,
    what="No password is set, so remote access is off.",
    meaning="Without one, whoever finds the address would own this computer.",
    cure="Choose one: nexus-tray password set",
)
