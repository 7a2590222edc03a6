"""The support bundle: what whoever helps needs to know, without secrets and without names.

Owns which files there are, their bounds (about 1 MB in all), and that each goes through one
`Redactor`. What OpenCode's sessions are about is left out; that there are some is said. Works also
without a running program (`alone`). Any thread; takes as long as an examination.
"""

import json
import locale
import logging
import os
import platform
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psutil

from nexus_tray import __version__
from nexus_tray.app import doctor
from nexus_tray.app.redaction import Redactor
from nexus_tray.cli.doctor import report
from nexus_tray.inert import inert
from nexus_tray.model import LogLine, LogPage, LogQuery, Problem, Snapshot
from nexus_tray.paths import Paths
from nexus_tray.reports import Bundle, BundleFile, Examination, Setup
from nexus_tray.settings import Settings
from nexus_tray.store import log_query
from nexus_tray.store.config import ConfigStore

logger = logging.getLogger(__name__)

LOG_LINES = 400
LOG_CHARACTERS = 120_000
"""Of each source; the newest are kept."""
FILE_BYTES = 150_000
WHOLE_BYTES = 900_000
OWN_SOURCES = ("nexus-tray", "opencode", "gateway")
VARIABLES = (
    "XDG_CURRENT_DESKTOP", "XDG_SESSION_TYPE", "DESKTOP_SESSION", "LANG", "container",
)  # fmt: skip
"""Their values are told; of all others only whether they are set."""
ONLY_NAMED = (
    "DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "SSH_CONNECTION", "NEXUS_TRAY_HOME",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS",
)  # fmt: skip


@dataclass(frozen=True)
class Sources:
    """Where it comes from. `secrets`: those that are known here, to be searched for; `snapshot`
    and `setup` None: without a running program. Each may raise Problem: its file says so then."""

    paths: Paths
    environment: Mapping[str, str]
    settings: Callable[[], Settings]
    examine: Callable[[], Examination]
    logs: Callable[[LogQuery], LogPage]
    secrets: Callable[[], Iterable[str]]
    snapshot: Callable[[], Snapshot] | None = None
    setup: Callable[[], Setup] | None = None


class Bundler:
    """Answers `Backend.bundle`."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def read(self) -> Bundle:
        """Everything, now."""
        tell, at = self._sources, time.time()
        settings = _settings(tell)
        snapshot = tell.snapshot() if tell.snapshot else None
        redactor = _redactor(tell, settings, snapshot)
        made: dict[str, Callable[[], str]] = {
            "system.txt": lambda: _system(tell.environment),
            "settings.json": lambda: _json(settings),
            "examination.txt": lambda: report(tell.examine()),
        }
        if snapshot is not None:
            made["snapshot.json"] = lambda: _snapshot(snapshot)
            made["processes.txt"] = _processes
        if tell.setup is not None:
            made["programs.json"] = lambda: _json(tell.setup() if tell.setup else None)
        folder = tell.paths.run / "tunnels"
        for config in sorted(folder.glob("*/cloudflared.json")):
            made[f"cloudflared/{config.parent.name}.json"] = partial(_start_of, config)
        for name in (*OWN_SOURCES, *(tunnel.name for tunnel in settings.tunnels)):
            made[f"logs/{name}.txt"] = partial(_log, tell.logs, name, redactor)
        files = [BundleFile(name=name, text=_told(make, redactor)) for name, make in made.items()]
        kept = _bounded(files)
        about = BundleFile(name="about.txt", text=redactor.text(_about(at, kept, snapshot)))
        return Bundle(at=at, files=(about, *kept))


def alone(paths: Paths, environment: Mapping[str, str], directory: Path) -> Bundle:
    """The bundle without a running program: settings, logs and what can be examined then."""
    return Bundler(
        Sources(
            paths=paths,
            environment=environment,
            settings=lambda: ConfigStore(paths).load().settings,
            examine=lambda: doctor.alone(paths, environment, directory),
            logs=partial(_stored, paths.log_database),
            secrets=tuple,
        )
    ).read()


def _stored(database: Path, query: LogQuery) -> LogPage:
    if not database.exists():
        return LogPage(lines=(), last_id=0)
    return log_query.read(database, query)


def _settings(tell: Sources) -> Settings:
    """The settings; where they cannot be read the examination says why."""
    try:
        return tell.settings()
    except Problem:
        return Settings()


def _redactor(tell: Sources, settings: Settings, snapshot: Snapshot | None) -> Redactor:
    try:
        secrets = tuple(tell.secrets())
    except Problem:  # locked: what is in there was not used in this life either
        secrets = ()
    hosts = [route.hostname for tunnel in settings.tunnels for route in tunnel.routes]
    hosts += settings.network.names
    for service in snapshot.services if snapshot else ():
        address = service.facts.address or ""
        hosts += [urlsplit(address).hostname or "", *(service.facts.hostnames or ())]
    home = tell.environment.get("HOME") or str(Path.home())
    user = tell.environment.get("USER") or tell.environment.get("USERNAME") or Path(home).name
    own = [name for name in hosts if name and not name[0].isdigit() and "." in name]
    return Redactor(home, user, socket.gethostname().partition(".")[0], secrets, own)


def _told(make: Callable[[], str], redactor: Redactor) -> str:
    """The file's text; or why there is none."""
    try:
        text = make()
    except Problem as problem:
        text = f"It could not be had: {problem.reason}"
    except Exception as error:  # one file less must not cost the others
        logger.warning("A file of the support bundle could not be made.", exc_info=True)
        text = f"It could not be had: {type(error).__name__}"
    return redactor.text(text)


def _bounded(files: list[BundleFile]) -> list[BundleFile]:
    kept, left = [], WHOLE_BYTES
    for file in files:
        raw, most = file.text.encode(errors="replace"), min(FILE_BYTES, left)
        text = file.text
        if len(raw) > most:
            newest = raw[len(raw) - most :].decode(errors="ignore")
            text = f"(cut: the last {most} of {len(raw)} bytes)\n{newest}"
        left -= min(len(raw), most)
        kept.append(BundleFile(name=file.name, text=text))
    return kept


def _about(at: float, files: list[BundleFile], snapshot: Snapshot | None) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
    lines = [f"Nexus Tray {__version__}: support bundle of {when}", ""]
    lines += [f"  {file.name:<28} {len(file.text.encode()):>9,} bytes" for file in files]
    lines += ["", *WITHOUT]
    if snapshot is not None and snapshot.activity is not None:
        busy = snapshot.activity
        lines += ["", f"OpenCode: {len(busy.sessions)} sessions, {len(busy.questions)} questions."]
    return "\n".join(lines) + "\n"


WITHOUT = (
    "Taken out: secrets, passwords, keys, cookies, tokens and whatever looks like one (…); the",
    "home folder (~), the user's and the machine's name; host names, addresses and people's",
    "addresses, each by a number (host-1, address-1, person-1), the same one everywhere. What",
    "OpenCode's sessions are about is not in it; its log lines are. Look before you send it.",
)


def _system(environment: Mapping[str, str]) -> str:
    memory = psutil.virtual_memory()
    rows = [
        ("Nexus Tray", __version__),
        ("Python", platform.python_version()),
        ("System", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("Distribution", _distribution()),
        ("Processors", str(os.cpu_count())),
        ("Memory", f"{memory.total // 2**20} MB, {memory.available // 2**20} MB free"),
        ("Encoding", f"{sys.getfilesystemencoding()}, {locale.getpreferredencoding(False)}"),
        ("Up since", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(psutil.boot_time()))),
        *((name, environment[name]) for name in VARIABLES if name in environment),
        *((name, "set") for name in ONLY_NAMED if environment.get(name)),
    ]
    return "\n".join(f"{name}: {inert(value)}" for name, value in rows) + "\n"


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "not known")
    except OSError:
        return platform.platform(terse=True)


def _json(value: object) -> str:
    return json.dumps(msgspec.to_builtins(value), indent=1, ensure_ascii=False) + "\n"


def _snapshot(snapshot: Snapshot) -> str:
    jobs = tuple(msgspec.structs.replace(job, link=None) for job in snapshot.jobs)
    return _json(msgspec.structs.replace(snapshot, activity=None, jobs=jobs))


def _processes() -> str:
    """What runs below us: numbers and names of programs, no arguments."""
    lines = []
    own = psutil.Process()
    for process in (own, *own.children(recursive=True)):
        try:
            with process.oneshot():
                memory = process.memory_info().rss // 2**20
                age = time.time() - process.create_time()
                name = inert(process.name())
                lines.append(f"{process.pid:>8} {memory:>6} MB {age:>9.0f} s  {name}")
        except psutil.Error:
            continue  # it ended meanwhile
    return "\n".join(["     pid  memory       age  program", *lines]) + "\n"


def _start_of(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as opened:
        return opened.read(FILE_BYTES)


def _log(logs: Callable[[LogQuery], LogPage], source: str, redactor: Redactor) -> str:
    """The last lines of one source, oldest first; each redacted as it was written."""
    lines = logs(LogQuery(sources=(source,), limit=LOG_LINES)).lines
    rows = [f"{_when(line.at)} {line.level.value:<7} {_plain(line, redactor)}" for line in lines]
    text = "\n".join(rows) or "No line is stored."
    if len(text) > LOG_CHARACTERS:  # at a line's end: half a secret would not be known as one
        text = text[-LOG_CHARACTERS:].partition("\n")[2]
    return text + "\n"


def _plain(line: LogLine, redactor: Redactor) -> str:
    return inert(redactor.text(line.text))


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1000) % 1000:03d}Z"
