"""The first start: which programs are there, how far it has come, what a step does.

Owns the report `Setup` and the commands FetchTool, CancelFetch, RestoreTool and PassStep. What
was passed is kept in a file, so a crash or a closed page costs nothing. Any thread may call;
`read` may take seconds when a program is asked for its version for the first time.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nexus_tray.cloudflare.release import pin_for
from nexus_tray.commands import AnyCommand, CancelFetch, FetchTool, PassStep, RestoreTool
from nexus_tray.core.driver import Input, Wish
from nexus_tray.core.local_backend import Handler
from nexus_tray.model import Desired, Hop, Problem, Reason, ServiceKind, ServiceState, Snapshot
from nexus_tray.reports import Setup, ToolState
from nexus_tray.services import binaries, opencode_install, opencode_program
from nexus_tray.services.download import install_cloudflared
from nexus_tray.services.fetches import Fetches, unknown_tool
from nexus_tray.services.progress import Progress
from nexus_tray.services.shelf import key
from nexus_tray.settings import Settings
from nexus_tray.store import setup_file
from nexus_tray.store.setup_file import SetupRecord

logger = logging.getLogger(__name__)

TOOLS = ("opencode", "cloudflared")
NAMES = {"opencode": "OpenCode", "cloudflared": "cloudflared"}
HOPS = {"opencode": Hop.OPENCODE, "cloudflared": Hop.CLOUDFLARED}
FINISH = "finish"
STEPS = ("tools", "folder", "password", "tunnel", "phone", "login", FINISH)

Installers = Mapping[str, Callable[[Progress], Path]]


@dataclass(frozen=True)
class Ground:
    """What the first start needs of the program.

    `search_path` is where programs are looked for; `started_in` the folder without a setting;
    `post` reaches the supervisor; `reapply` makes holds and specs true again.
    """

    file: Path
    tools: Path
    started_in: Path
    settings: Callable[[], Settings]
    search_path: Callable[[], str]
    has_password: Callable[[], bool]
    snapshot: Callable[[], Snapshot]
    post: Callable[[str, Input], None]
    reapply: Callable[[], None]


class SetupKeeper:
    """The first start. `begin` once, before the program answers anybody; `close` at its end."""

    def __init__(self, ground: Ground, installers: Installers | None = None) -> None:
        self._ground = ground
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._versions: dict[tuple[str, float, int], str | None] = {}
        self._record = SetupRecord()
        self._fetches = Fetches(installers or own_installers(ground.tools), self._fetched)

    def begin(self) -> None:
        """Recall how far it had come. Who has a password already and knows nothing of a first
        start had everything before there was one."""
        try:
            kept = setup_file.read(self._ground.file)
            if kept is None:
                kept = SetupRecord(finished=self._ground.has_password())
                setup_file.write(self._ground.file, kept)
            self._record = kept
        except Problem as problem:  # a first start too many is shown; nothing else depends on it
            logger.warning("%s", problem.reason)

    def close(self) -> None:
        """End what is being fetched."""
        self._fetches.close()

    def table(self) -> dict[type[AnyCommand], Handler]:
        """Which handler is whose."""
        return {
            FetchTool: lambda command: self._fetches.begin(command.name),
            CancelFetch: lambda command: self._fetches.cancel(command.name),
            RestoreTool: self._restore,
            PassStep: self._pass,
        }

    @property
    def finished(self) -> bool:
        """Whether the person has been through it."""
        return self._record.finished

    def read(self) -> Setup:
        """The report. Raises Problem when sign-in cannot be read."""
        ground, settings = self._ground, self._ground.settings()
        wished = settings.opencode.directory
        return Setup(
            finished=self._record.finished,
            passed=self._record.passed,
            tools=tuple(self._tool(name, settings) for name in TOOLS),
            directory=str(Path(wished).expanduser() if wished else ground.started_in),
            password=ground.has_password(),
        )

    def retry(self, kind: ServiceKind) -> None:
        """Start again what of this kind was given up: what it lacked is there now."""
        for service in self._ground.snapshot().services:
            given_up = service.state is ServiceState.FAILED and service.desired is Desired.RUNNING
            if service.kind is kind and given_up:
                self._ground.post(service.name, Wish(Desired.RUNNING))

    def _pass(self, command: PassStep) -> None:
        if command.step not in STEPS:
            raise Problem(_no_step(command.step))
        with self._lock:
            record = self._record
            if command.step == FINISH:
                record = msgspec.structs.replace(record, finished=True)
            elif command.step not in record.passed:
                record = msgspec.structs.replace(record, passed=(*record.passed, command.step))
            setup_file.write(self._ground.file, record)
            self._record = record

    def _fetched(self, name: str) -> None:
        self._ground.reapply()
        self.retry(ServiceKind.OPENCODE if name == "opencode" else ServiceKind.TUNNEL)

    def _tool(self, name: str, settings: Settings) -> ToolState:
        fetch, failed = self._fetches.state(name)
        configured = (settings.opencode if name == "opencode" else settings.cloudflared).program
        ground = self._ground
        try:
            path = binaries.find(name, configured, ground.search_path(), ground.tools)
        except Problem as problem:
            return ToolState(
                name=name,
                fetchable=not configured and fetchable(name),
                fetch=fetch,
                reason=failed or problem.reason,
            )
        version, shelf = self._version(path), binaries.shelf(name, ground.tools)
        ours = (own := shelf.present()) is not None and path == own[1]
        old = ours and version is not None and key(version) < key(binaries.pinned(name))
        return ToolState(
            name=name,
            path=str(path),
            version=version,
            fetchable=old and fetchable(name),
            fetch=fetch,
            restorable=shelf.restorable() if ours else None,
            reason=failed or self._state_of(name, version, old=old),
        )

    def _state_of(self, name: str, version: str | None, *, old: bool) -> Reason | None:
        """What there is to say of a program that is there: too old, or another one runs."""
        if old and version is not None:
            return _too_old(name, version)
        kind = ServiceKind.OPENCODE if name == "opencode" else ServiceKind.TUNNEL
        for service in self._ground.snapshot().services:
            runs = service.facts.version
            if service.kind is kind and runs and version and runs != version:
                return _not_yet(name, version, runs, service.name)
        return None

    def _restore(self, command: RestoreTool) -> str:
        if command.name not in TOOLS:
            raise Problem(unknown_tool(command.name))
        version = binaries.shelf(command.name, self._ground.tools).restore(command.name)
        self._ground.reapply()
        return f"{NAMES[command.name]} {version} is used from its next start on."

    def _version(self, path: Path) -> str | None:
        """Asked once for each file: it starts a process."""
        with self._asking:
            try:
                stat = path.stat()
            except OSError:
                return None
            key = (str(path), stat.st_mtime, stat.st_size)
            if self._versions.get(key) is None:
                self._versions[key] = binaries.version_of(path)
            return self._versions[key]


def fetchable(name: str) -> bool:
    """Whether there is a build for this machine whose checksum we know."""
    if name == "cloudflared":
        return pin_for() is not None
    return any(package in opencode_install.PINS for package in opencode_program.packages())


def own_installers(tools: Path) -> Installers:
    """The two downloads, into our own folder."""

    return {
        "opencode": lambda progress: opencode_install.install(tools, progress=progress),
        "cloudflared": lambda progress: install_cloudflared(tools, progress=progress),
    }


def _too_old(name: str, version: str) -> Reason:
    return Reason(
        code="tool-old",
        hop=HOPS[name],
        what=f"{NAMES[name]} {version} is older than {binaries.pinned(name)}, which we know.",
        meaning="It works, but may lack corrections. What runs goes on until it is restarted.",
        cure="Update it; one can go back to the version before.",
    )


def _not_yet(name: str, version: str, runs: str, service: str) -> Reason:
    return Reason(
        code="tool-restart",
        hop=HOPS[name],
        what=f"{NAMES[name]} {version} is here, but {runs} is the one that runs.",
        meaning="It goes on until it is started again.",
        cure=f"When nothing is under way: nexus-tray restart {service}",
    )


def _no_step(name: str) -> Reason:
    return Reason(
        code="step-unknown",
        hop=Hop.GATEWAY,
        what=f"The first start has no step “{name}”.",
        cure=f"Its steps are: {', '.join(STEPS)}.",
    )
