"""What the doctor can put right itself, and the command that does it.

Owns which finding is offered which repair (`offer`, pure) and the handler of `Repair`. A repair is
something that a person could do as well and undo again: a service that is wished is started
anew, a file of ours is closed to others, a program is fetched, the start at login is entered
again, what an earlier run left is ended. It is done only if it is still wanted. Any thread.
"""

import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nexus_tray.commands import (
    AnyCommand,
    FetchTool,
    Outcome,
    Repair,
    RestartService,
    SetAutostart,
)
from nexus_tray.core.local_backend import Handler
from nexus_tray.core.snapshot import UNUSED
from nexus_tray.finding import Finding
from nexus_tray.model import Desired, Hop, Problem, Reason, Snapshot
from nexus_tray.paths import Paths
from nexus_tray.reports import CheckState
from nexus_tray.store.files import OTHERS

TUNNEL = "tunnel-"
FETCHED = ("opencode", "cloudflared")
_GATEWAY = frozenset(("doctor-door-shut", "doctor-door-silent", "doctor-socket-odd"))
_OPENCODE = frozenset(("opencode-health", "opencode-closed"))
_BY_FETCHING = ("-missing", "-old", "-does-not-run", "doctor-program")
_HELD = frozenset(("no-password", "paused", "paused-in-doubt", UNUSED))
"""A service that may not run is not cured by starting it."""


def offer(code: str, finding: Finding, fetchable: Callable[[str], bool]) -> str:
    """The label of the repair for what a check found; empty: there is none."""
    why = finding.reason.code if finding.reason else ""
    if finding.state in (CheckState.GOOD, CheckState.UNKNOWN):
        return ""
    if code in FETCHED:
        cured = why.endswith(_BY_FETCHING) and fetchable(code)
        return ("Update it" if why.endswith("-old") else "Fetch it") if cured else ""
    if code.startswith(TUNNEL):
        return "Restart the tunnel" if finding.state is CheckState.BAD and why not in _HELD else ""
    if why in _GATEWAY:
        return "Restart the gateway"
    if code in _OPENCODE and finding.state is CheckState.BAD:
        return "Restart OpenCode"
    return _OTHERS.get(why, "")


_OTHERS = {
    "file-open-to-others": "Close it to others",
    "doctor-stale": "Enter this one",
    "doctor-left": "End them",
}


@dataclass(frozen=True)
class Hands:
    """What repairs are made with. `end_left` ends what earlier runs left; how many it were."""

    paths: Paths
    submit: Callable[[AnyCommand], Outcome]
    snapshot: Callable[[], Snapshot]
    end_left: Callable[[], int]


class Repairs:
    """The handler of `Repair`."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    def table(self) -> dict[type[AnyCommand], Handler]:
        """Which handler is whose."""
        return {Repair: self._repair}

    def _repair(self, command: Repair) -> str:
        code = command.code
        if code in FETCHED:
            return self._done(FetchTool(name=code), "It is on its way.")
        if code.startswith(TUNNEL):
            return self._restart(code.removeprefix(TUNNEL))
        service = {"gateway": "gateway", "gateway-socket": "gateway"}.get(code)
        if code in _OPENCODE:
            service = "opencode"
        if service is not None:
            return self._restart(service)
        if code == "autostart":
            return self._done(SetAutostart(enabled=True), "This Nexus Tray starts at login now.")
        if code == "processes":
            ended = self._hands.end_left()
            return f"{ended} processes of earlier runs were ended." if ended else NOTHING
        if code.partition("-")[0] in _PLACES:
            return self._close(code.partition("-")[0])
        raise Problem(_no_repair(code))

    def _restart(self, name: str) -> str:
        service = self._hands.snapshot().service(name)
        if service is None or service.desired is not Desired.RUNNING:
            raise Problem(_not_wished(name))
        return self._done(RestartService(name=name), f"“{name}” is started anew.")

    def _done(self, command: AnyCommand, text: str) -> str:
        outcome = self._hands.submit(command)
        if not outcome.ok and outcome.reason is not None:
            raise Problem(outcome.reason)
        return text

    def _close(self, code: str) -> str:
        closed = [path for path in _PLACES[code](self._hands.paths) if close(path)]
        return f"{len(closed)} of our files are closed to others now." if closed else NOTHING


def close(path: Path) -> bool:
    """Close a file or folder of ours to others; True if that changed something.

    Nothing is followed (a link may lead to anybody's) and nothing of another owner is touched.
    Raises Problem when the system does not allow it.
    """
    if sys.platform == "win32":
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return _close_unopened(path)
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or not status.st_mode & OTHERS:
            return False
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~OTHERS)
    except OSError as error:
        raise Problem(_not_closed(path, error)) from error
    finally:
        os.close(descriptor)
    return True


def _close_unopened(path: Path) -> bool:
    """A socket cannot be opened; it lies in a folder that only we may write in."""
    try:
        status = path.lstat()
        if not stat.S_ISSOCK(status.st_mode) or not status.st_mode & OTHERS:
            return False
        path.chmod(stat.S_IMODE(status.st_mode) & ~OTHERS)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Problem(_not_closed(path, error)) from error
    return True


def _inside(*folders: Path) -> list[Path]:
    found: list[Path] = []
    for folder in folders:
        if folder.is_dir() and not folder.is_symlink():
            found += [folder, *sorted(one for one in folder.iterdir() if not one.is_symlink())]
    return found


_PLACES: dict[str, Callable[[Paths], list[Path]]] = {
    "private": lambda paths: _inside(paths.config, paths.data, paths.run),
    "zone": lambda paths: _inside(paths.zones),
    "credentials": lambda paths: _inside(paths.credentials("x").parent),
}
"""Where a check looks at what has to be private."""

NOTHING = "There was nothing to do any more: examine again."


def _no_repair(code: str) -> Reason:
    return Reason(
        code="repair-unknown",
        hop=Hop.GATEWAY,
        what=f"There is no repair for “{code[:80]}”.",
        meaning="Nothing was changed.",
        cure="Examine again: what can be put right has a button.",
    )


def _not_wished(name: str) -> Reason:
    return Reason(
        code="repair-not-wished",
        hop=Hop.GATEWAY,
        what=f"“{name[:80]}” is not wished to run.",
        meaning="So it was not started.",
        cure="Start it first if you want it.",
    )


def _not_closed(path: Path, error: OSError) -> Reason:
    return Reason(
        code="repair-failed",
        hop=Hop.GATEWAY,
        what=f"{path} could not be closed to others: {error.strerror or error}.",
        meaning="It is as it was.",
        cure="Look who owns it and whether its disk can be written.",
    )
