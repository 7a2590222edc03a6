"""Start at login: on, off, and what is true, read back from the system.

Owns what is started (the command) and what the several places it can stand in add up to.
The places themselves, one for each way a system starts programs, are in `autostart_places`.
Imports layer 1; any thread may call; nothing is remembered, so what another program
changed is seen.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from nexus_tray.commands import Autostart
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.system import itself

HOME = "NEXUS_TRAY_HOME"


class Place(Protocol):
    """One way in which a system starts programs. All methods raise OSError."""

    @property
    def at_boot(self) -> bool:
        """Whether what stands here is started as soon as its user could expect it."""

    def read(self) -> list[str] | None:
        """The command that will be started, or None: none, or it is switched off."""

    def write(self, argv: Sequence[str]) -> None:
        """Have this command started. Raises ValueError if it cannot be written."""

    def remove(self) -> None:
        """Have nothing of ours started."""


class AtLogin:
    """Start at login. `ours` is where it is written; `others` are read, and emptied."""

    def __init__(self, command: Sequence[str], ours: Place, others: Sequence[Place] = ()) -> None:
        self._command = list(command)
        self._ours = ours
        self._places = (ours, *others)

    def state(self) -> Autostart:
        """How it stands. Raises Problem when that cannot be read."""
        try:
            found = [(place, argv) for place in self._places if (argv := place.read())]
        except OSError as error:
            raise Problem(_failed("read", error)) from error
        if not found:
            return Autostart.OFF
        if any(program(argv) != program(self._command) for _, argv in found):
            return Autostart.STALE
        at_boot = any(place.at_boot for place, _ in found)
        return Autostart.ON if at_boot else Autostart.SIGNED_IN

    def set(self, *, enabled: bool) -> Autostart:
        """Switch it, and read back how it stands now. Raises Problem."""
        try:
            for place in self._places:
                if place is not self._ours or not enabled:
                    place.remove()
            if enabled:
                self._ours.write(self._command)
        except (OSError, ValueError) as error:
            raise Problem(_failed("changed", error)) from error
        return self.state()

    def repair(self) -> str:
        """Lead to this program what leads to one that is gone; what was done, or empty.

        What leads to another copy that stands is left: two copies may be meant, and a
        program tried out once must not take the place of the one that is used.
        """
        try:
            stale = [
                (place, argv)
                for place in self._places
                if (argv := place.read())
                and program(argv) != program(self._command)
                and not _stands(argv)
            ]
            for place, argv in stale:
                place.write([*program(self._command), *argv[len(program(argv)) :]])
        except (OSError, ValueError) as error:
            raise Problem(_failed("repaired", error)) from error
        if not stale:
            return ""
        return (
            f"Start at login led to {_executable(stale[0][1])}, which is gone; now it leads here."
        )


def command(
    environment: Mapping[str, str], directory: Path, *, headless: bool, executable: str
) -> list[str]:
    """What is to be started at login: this program, in this folder, with this home.

    `executable` is Python, or the program itself where it was made into one.
    """
    start = itself.command("run", "--directory", str(directory), executable=executable)
    if home := environment.get(HOME):
        start = ["/usr/bin/env", f"{HOME}={Path(home).expanduser().absolute()}", *start]
    return [*start, "--headless"] if headless else start


def program(argv: Sequence[str]) -> list[str]:
    """The part of a command that says which program, and whose home; without its options."""
    return list(argv[: argv.index("run")]) if "run" in argv else list(argv[:1])


def _executable(argv: Sequence[str]) -> str:
    """What is executed, behind `env NAME=value`."""
    rest = list(argv)
    if Path(rest[0]).name == "env":
        rest = [part for part in rest[1:] if "=" not in part] or rest
    return rest[0]


def _stands(argv: Sequence[str]) -> bool:
    return Path(_executable(argv)).exists()


def _failed(done: str, error: Exception) -> Reason:
    detail = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    return Reason(
        code="autostart-failed",
        hop=Hop.GATEWAY,
        what=f"Start at login could not be {done}: {detail}{where}.",
        cure="See that this file and its folder are yours and can be written.",
    )
