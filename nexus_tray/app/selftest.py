"""`nexus-tray selftest`: whether this program, as it was built and put here, can do its work.

Owns these looks. Each does the real thing once, in a folder of its own that vanishes, and touches
nothing of a program that runs: packages are imported, a database is written, the gateway opens its
doors and turns a stranger away, a child is started and ended with what hides below it. For builds
first of all, whose missing parts would show late; unlike the doctor it says nothing about this
machine's tunnels and programs. Main thread.
"""

import http.client
import importlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping

from nexus_tray.app import doctor_desktop
from nexus_tray.app.door import Door, ui_folder
from nexus_tray.app.face import icons_folder
from nexus_tray.commands import AnyCommand, Outcome
from nexus_tray.finding import Finding, bad, good, unknown, warning
from nexus_tray.model import Hop, HopState, Level, LogQuery, Problem, Reason, Snapshot
from nexus_tray.paths import Paths, find
from nexus_tray.reports import Check, Examination
from nexus_tray.services.environment import AGENT, child_environment
from nexus_tray.services.process import ChildProcess
from nexus_tray.store.logs import LogStore
from nexus_tray.store.secrets import SecretPlace, SecretStore
from nexus_tray.system import itself, web_view

PACKAGES = (
    "argon2", "bottle", "cryptography.x509", "filelock", "httptools", "keyring", "msgspec",
    "nexus_tray.app.running", "platformdirs", "prometheus_client", "psutil", "pyotp", "segno",
    "webauthn", "wsproto", "yaml",
)  # fmt: skip
"""What is imported when it is first needed, and so would be missed late."""
OF_SYSTEMS = {"linux": ("jeepney", "uvloop", "webview"), "darwin": ("pystray", "uvloop")}
PATIENCE = 20.0


def selftest(environment: Mapping[str, str]) -> Examination:
    """Look at everything once."""
    with tempfile.TemporaryDirectory(prefix="nexus-tray-selftest-") as folder:
        paths = find({"NEXUS_TRAY_HOME": folder})
        looks: tuple[tuple[str, str, Callable[[], Finding]], ...] = (
            ("packages", "Packages", packages),
            ("files", "Pages and pictures", files),
            ("database", "Databases", lambda: database(paths)),
            ("gateway", "Gateway", lambda: gateway(paths)),
            ("child", "Children", lambda: child(environment, folder)),
            ("keyring", "Keyring", lambda: keyring(paths)),
            ("tray", "Tray", lambda: doctor_desktop.panel(environment)),
            ("window", "Window", lambda: window(environment)),
        )
        checks = tuple(_check(*look) for look in looks)
    return Examination(at=time.time(), checks=checks)


def packages() -> Finding:
    """Everything that is imported late can be."""
    names = (*PACKAGES, *OF_SYSTEMS.get(sys.platform, ("pystray",)))
    missing = []
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - a broken package may raise anything
            missing.append(f"{name} ({type(error).__name__}: {error})")
    if missing:
        return bad(_broken(f"These parts cannot be loaded: {', '.join(missing)}."))
    frozen = "as one program" if itself.is_frozen() else "from its sources"
    return good(f"{len(names)} parts load, {frozen}, with Python {sys.version.split()[0]}")


def files() -> Finding:
    """What is no module is there too."""
    wanted = (
        ui_folder("dashboard") / "index.html",
        ui_folder("gateway") / "style.css",
        icons_folder() / "nexus-tray.svg",
        icons_folder() / "rendered" / "busy-asks-dark-16.png",
    )
    missing = [str(path) for path in wanted if not path.is_file()]
    if missing:
        return bad(_broken(f"These files are missing: {', '.join(missing)}."))
    return good("the dashboard's, the gateway's and the tray's are there")


def database(paths: Paths) -> Finding:
    """A line is written, and read again from the disk."""
    store = LogStore(paths.log_database, 1_000_000)
    store.append("selftest", Level.INFO, "a line")
    store.close()
    store = LogStore(paths.log_database, 1_000_000)
    found = store.query(LogQuery(), PATIENCE).lines
    store.close()
    if [line.text for line in found] != ["a line"]:
        return bad(_broken("A line that was written could not be read again."))
    return good("a line was written and read again")


def gateway(paths: Paths) -> Finding:
    """Its doors open, and a stranger who asks for OpenCode is turned away."""
    door = Door(paths, _nothing_runs, _no_command)
    try:
        made = door.gateway()
        made.start()
        asking = http.client.HTTPConnection("127.0.0.1", made.local_port, timeout=PATIENCE)
        asking.request("GET", "/session")
        status = asking.getresponse().status
        asking.close()
    finally:
        door.close()
    if status != 401:
        return bad(_broken(f"A stranger who asked for OpenCode's sessions got {status}, not 401."))
    return good("it opens, and turns a stranger away")


def child(environment: Mapping[str, str], folder: str) -> Finding:
    """One of ourselves is started, heard, and ended."""
    heard: list[str] = []
    over = threading.Event()
    one = ChildProcess(
        itself.command(itself.WINDOW, "--home", folder),  # it waits for a word, and shows nothing
        child_environment(environment, (*AGENT, "PYTHONPATH")),
        folder,
        on_line=lambda _, line: heard.append(line),
        on_exit=lambda _: over.set(),
        feed=True,
    )
    ended_early = over.wait(1.0)
    one.stop(PATIENCE / 2)
    if ended_early or not over.wait(PATIENCE):
        return bad(_broken(f"A process of our own ended early, or not at all: {heard[-3:]}"))
    return good("one was started, and ended when asked")


def keyring(paths: Paths) -> Finding:
    """Where secrets would be kept; a machine without a keyring is none of our faults."""
    state = SecretStore(paths).state()
    if state.place is SecretPlace.KEYRING:
        return good("the system's keyring answers")
    return unknown("no keyring to be reached here", state.reason)


def window(environment: Mapping[str, str]) -> Finding:
    """Whether the dashboard has a window of its own here; else it opens in the browser."""
    found = web_view.find(environment)
    return warning(found) if isinstance(found, Reason) else good("there is a web view for it")


def _check(code: str, title: str, look: Callable[[], Finding]) -> Check:
    try:
        found = look()
    except Problem as problem:
        found = bad(problem.reason)
    except Exception as error:  # noqa: BLE001 - what a broken build raises is looked for
        found = bad(_broken(f"{type(error).__name__}: {error}."))
    return Check(
        code=code,
        title=title,
        state=found.state,
        text=found.text,
        reason=found.reason,
        command=found.command,
    )


def _broken(what: str) -> Reason:
    return Reason(
        code="selftest-failed",
        hop=Hop.GATEWAY,
        what=what,
        meaning="This build of Nexus Tray is not whole, or does not fit this machine.",
        cure="Install it again; if it stays so, please report this output.",
    )


def _nothing_runs() -> Snapshot:
    return Snapshot("selftest", 0, "0", time.time(), HopState.OFF, "Nothing runs.", (), ())


def _no_command(command: AnyCommand) -> Outcome:
    raise Problem(_broken(f"A self-test carries out no {type(command).__name__}."))
