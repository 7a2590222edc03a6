"""Is this computer as the program needs it: private files, room on the disk, descriptors,
processes, what starts at login, which Python?

Owns these looks. Imports this room, the store's rule of what is private, and layer 1.
`app.doctor` calls each in a thread of its own. Nothing is changed by looking.
"""

import os
import platform
import shlex
import shutil
import stat
import sys
from collections.abc import Collection
from pathlib import Path

from nexus_tray.commands import Autostart
from nexus_tray.finding import Finding, bad, good, unknown, warning
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.paths import Paths
from nexus_tray.store.files import check_private
from nexus_tray.system.web_view import WebView

MEGABYTE = 1024 * 1024
LITTLE, ALMOST_NONE = 1024 * MEGABYTE, 100 * MEGABYTE
FEW_DESCRIPTORS = 2048
LOG_SLACK = 16 * MEGABYTE
"""What the log's write-ahead file may take beside the bound, until it is folded in."""


def private(paths: Paths) -> Finding:
    """Whether our folders and files are ours, and closed to everybody else."""
    if sys.platform == "win32":
        return unknown("not looked at: on this system the profile's own access list protects them")
    found = 0
    for path in _ours(paths):
        try:
            check_private(path)
            found += 1
        except FileNotFoundError:
            continue
        except OSError as error:
            return unknown(f"{path} could not be looked at: {error.strerror or error}")
        except Problem as problem:
            return bad(problem.reason, command=_closing(path, problem.reason))
    if not found:
        return unknown("nothing is there yet")
    return good(f"{found} folders and files, for you alone")


def _ours(paths: Paths) -> list[Path]:
    """Our folders, and every file in them; what lies in folders of theirs they protect."""
    found = []
    for folder in (paths.config, paths.data, paths.run):
        if folder.is_dir():
            inside = (one for one in folder.iterdir() if one.is_symlink() or not one.is_dir())
            found += [folder, *sorted(inside)]
    return found


def _closing(path: Path, reason: Reason) -> str:
    """What closes it to others, if that is what is wrong and we could tell."""
    try:
        status = path.lstat()
    except OSError:
        return ""
    if stat.S_ISLNK(status.st_mode) or "chmod" not in reason.cure:
        return ""
    mode = "700" if stat.S_ISDIR(status.st_mode) else "600"
    return f"chmod {mode} {shlex.quote(str(path))}"


def disk(folder: Path) -> Finding:
    """How much room there is where our data lies."""
    place = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return unknown(f"the room at {place} is not known: {error.strerror or error}")
    text = f"{_size(free)} free at {folder}"
    if free >= LITTLE:
        return good(text)
    what = f"Only {_size(free)} are free at {folder}."
    meaning = "When it is full, logs end, settings are not saved and OpenCode's work may be lost."
    reason = _reason("disk", what, meaning, "Make room there, or take less for logs in Settings.")
    return (bad if free < ALMOST_NONE else warning)(reason, text)


def search_path(path: str, command: str = "nexus-tray") -> Finding:
    """Whether programs are looked for in safe places only, and our command is found in one."""
    entries = [part for part in path.split(os.pathsep) if part]
    odd = [part for part in entries if not Path(part).is_absolute()]
    odd += [part for part in entries if part not in odd and _anybody_writes(part)]
    if odd:
        what = f"Programs are looked for where others could put one: {', '.join(odd[:5])}."
        meaning = "Whoever can write there could have OpenCode or us run a program of theirs."
        cure = "Take it out of PATH in the login shell's profile, or close the folder to others."
        return warning(_reason("path-open", what, meaning, cure))
    if shutil.which(command, path=path) is None:
        what = f"The command {command} is in no folder of PATH."
        meaning = "The program runs, but commands have to be typed with their whole path."
        return warning(_reason("path", what, meaning, "Add ~/.local/bin to PATH."))
    return good(f"{len(entries)} folders; {command} is found")


def _anybody_writes(folder: str) -> bool:
    """Whether every user may put a file there; what cannot be looked at is not ours to judge."""
    if sys.platform == "win32":
        return False
    try:
        mode = Path(folder).stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def log_store(database: Path, bound: int) -> Finding:
    """Whether stored logs keep within their bound, in bytes."""
    size = 0
    for name in (database, Path(f"{database}-wal")):
        try:
            size += name.stat().st_size
        except FileNotFoundError:
            continue
        except OSError as error:
            return unknown(f"{name} could not be looked at: {error.strerror or error}")
    text = f"{_size(size)} of at most {_size(bound)}"
    if size <= bound + LOG_SLACK:
        return good(text)
    what = f"Stored logs take {_size(size)}, more than the {_size(bound)} they may."
    meaning = "They are made smaller bit by bit; a bound that was just lowered takes a while."
    return warning(_reason("logs", what, meaning, "Look again in some minutes."), text)


def descriptors() -> Finding:
    """How many files and connections this process may hold."""
    if sys.platform == "win32":
        return good("not limited on this system")
    import resource

    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return good("not limited")
    if soft >= FEW_DESCRIPTORS:
        return good(f"{soft:,} files and connections at a time")
    what = f"This process may hold only {soft:,} files and connections."
    cure = "Raise the hard limit (ulimit -Hn, or LimitNOFILE= in a systemd unit)."
    return warning(_reason("descriptors", what, "Few visitors fit at a time.", cure))


def autostart(state: Autostart) -> Finding:
    """Whether it starts at login, as read back from the system."""
    if state is Autostart.ON:
        return good("on")
    if state is Autostart.OFF:
        return good("off, as wished")
    if state is Autostart.SIGNED_IN:
        what = "Nexus Tray starts when you sign in, and is ended when you sign out."
        cure = "To have it run from boot on: loginctl enable-linger"
        return warning(_reason("signed-in", what, "Nothing is reachable in between.", cure))
    what = "Something starts at login, but not this Nexus Tray."
    meaning = "It was moved, or another copy is entered."
    cure = "To enter this one: nexus-tray autostart on"
    return warning(_reason("stale", what, meaning, cure))


def processes(left: Collection[int]) -> Finding:
    """`left`: the pids of what an earlier life of ours started and nobody watches any more."""
    if not left:
        return good("none is left of an earlier run")
    pids = ", ".join(str(pid) for pid in sorted(left))
    what = f"Processes of an earlier run still run (process {pids})."
    meaning = "They take memory, and nobody watches them. The next start ends them."
    return warning(_reason("left", what, meaning, "End Nexus Tray and start it again."))


def runtime(paths: Paths) -> Finding:
    """Whether the file by which commands find the running instance is there."""
    if paths.api_file.is_file():
        return good(f"{paths.api_file} is there")
    what = f"{paths.api_file} is missing."
    meaning = "Commands and new windows do not find the running program."
    cure = "End it from its tray icon or by signal, and start it again."
    return bad(_reason("runtime", what, meaning, cure))


def program(version: str, oldest: tuple[int, int] = (3, 11)) -> Finding:
    """Our own version, and Python's."""
    ours = f"Nexus Tray {version}, Python {platform.python_version()}, {platform.system()} "
    ours += platform.machine()
    if sys.version_info[:2] >= oldest:
        return good(ours)
    wanted = ".".join(map(str, oldest))
    what = f"Python {platform.python_version()} is older than {wanted}."
    return bad(_reason("python", what, "Parts may fail.", f"Install Python {wanted}."), ours)


def window(found: WebView | Reason) -> Finding:
    """Whether the dashboard can have a window of its own; what `web_view.find` found."""
    if isinstance(found, WebView):
        return good("can be shown")
    return warning(found)


def _size(size: float) -> str:
    if size >= 1024 * MEGABYTE:
        return f"{size / 1024 / MEGABYTE:,.1f} GB"
    return f"{size / MEGABYTE:,.0f} MB"


def _reason(code: str, what: str, meaning: str, cure: str) -> Reason:
    return Reason(code=f"doctor-{code}", hop=Hop.GATEWAY, what=what, meaning=meaning, cure=cure)
