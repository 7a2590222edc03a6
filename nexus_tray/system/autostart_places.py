"""Where a program is entered to be started at login: one class for each system's way.

Linux with a desktop: an XDG autostart entry. Linux without: a systemd user unit. macOS: a
LaunchAgent (the file is tested, launchd itself is not). Windows: the Run key (untested).
Each keeps `autostart.Place`. Imports its own room; any thread may call.

Sources: Desktop Application Autostart Specification 0.5; systemd.unit(5), "[Install]";
loginctl(1), "enable-linger"; launchd.plist(5); Microsoft, "Run and RunOnce Registry Keys".
"""

import os
import plistlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.parsers.expat import ExpatError

from nexus_tray.system import exec_line

NAME = "nexus-tray"
DESKTOP_FILE = f"{NAME}.desktop"
UNIT_FILE = f"{NAME}.service"
AGENT_LABEL = "dev.nexus-tray"


@dataclass(frozen=True)
class XdgEntry:
    """An autostart entry below `config` (XDG_CONFIG_HOME)."""

    config: Path
    at_boot: bool = True  # a desktop is asked for, and starts when its user signs in

    @property
    def _file(self) -> Path:
        return self.config / "autostart" / DESKTOP_FILE

    def read(self) -> list[str] | None:
        """See Place. `Hidden` is how desktops switch an entry off; GNOME has its own key."""
        keys = desktop_keys(_content(self._file))
        off = keys.get("Hidden") == "true" or keys.get("X-GNOME-Autostart-enabled") == "false"
        return None if off or "Exec" not in keys else exec_line.from_desktop(keys["Exec"])

    def write(self, argv: Sequence[str]) -> None:
        """See Place."""
        replace(self._file, desktop_entry(argv) + "X-GNOME-Autostart-enabled=true\n")

    def remove(self) -> None:
        """See Place."""
        self._file.unlink(missing_ok=True)


@dataclass(frozen=True)
class SystemdUnit:
    """A user unit below `config` (XDG_CONFIG_HOME), started with the user's manager.

    The link in `default.target.wants` is all that `systemctl --user enable` makes, so no
    running manager is needed. `linger` is the file that says that the user's manager
    runs from boot on; without it, it runs while the user is signed in.
    """

    config: Path
    linger: Path

    @property
    def at_boot(self) -> bool:
        """See Place."""
        return self.linger.exists()

    @property
    def _file(self) -> Path:
        return self.config / "systemd" / "user" / UNIT_FILE

    @property
    def _link(self) -> Path:
        return self._file.parent / "default.target.wants" / UNIT_FILE

    def read(self) -> list[str] | None:
        """See Place."""
        if not self._link.exists():  # a link that leads nowhere does not exist either
            return None
        for line in _content(self._file).splitlines():
            name, _, value = line.partition("=")
            if name == "ExecStart":
                return exec_line.from_systemd(value)
        return None

    def write(self, argv: Sequence[str]) -> None:
        """See Place."""
        replace(self._file, _unit(argv))
        self._link.parent.mkdir(parents=True, exist_ok=True)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(self._file)

    def remove(self) -> None:
        """See Place."""
        self._link.unlink(missing_ok=True)
        self._file.unlink(missing_ok=True)


@dataclass(frozen=True)
class LaunchAgent:
    """A LaunchAgent below `library` (~/Library)."""

    library: Path
    at_boot: bool = True

    @property
    def _file(self) -> Path:
        return self.library / "LaunchAgents" / f"{AGENT_LABEL}.plist"

    def read(self) -> list[str] | None:
        """See Place. A damaged file starts nothing."""
        try:
            agent = plistlib.loads(self._file.read_bytes())
        except (FileNotFoundError, plistlib.InvalidFileException, ExpatError, ValueError):
            return None
        argv = agent.get("ProgramArguments") if isinstance(agent, dict) else None
        if not argv or not agent.get("RunAtLoad") or agent.get("Disabled"):
            return None
        return [str(part) for part in argv]

    def write(self, argv: Sequence[str]) -> None:
        """See Place."""
        agent = {
            "Label": AGENT_LABEL,
            "ProgramArguments": list(argv),
            "RunAtLoad": True,
            "ProcessType": "Interactive",
            "LimitLoadToSessionType": "Aqua",
        }
        replace(self._file, plistlib.dumps(agent).decode())

    def remove(self) -> None:
        """See Place."""
        self._file.unlink(missing_ok=True)


if sys.platform == "win32":
    import winreg

    class RunKey:
        """The user's Run key, and the Task Manager's own switch beside it."""

        at_boot = True
        _RUN = r"Software\Microsoft\Windows\CurrentVersion\Run"
        _APPROVED = r"Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run"

        def read(self) -> list[str] | None:
            """See Place."""
            line = self._value(self._RUN)
            switch = self._value(self._APPROVED)
            if not isinstance(line, str) or (isinstance(switch, bytes) and switch[:1] == b"\x03"):
                return None
            return exec_line.from_windows(line)

        def write(self, argv: Sequence[str]) -> None:
            """See Place."""
            self._drop(self._APPROVED)
            with winreg.CreateKey(winreg.HKEY_CURRENT_USER, self._RUN) as key:
                line = subprocess.list2cmdline(argv)
                winreg.SetValueEx(key, NAME, 0, winreg.REG_SZ, line)

        def remove(self) -> None:
            """See Place."""
            self._drop(self._RUN)

        def _value(self, path: str) -> object:
            try:
                with winreg.OpenKey(winreg.HKEY_CURRENT_USER, path) as key:
                    return winreg.QueryValueEx(key, NAME)[0]
            except FileNotFoundError:
                return None

        def _drop(self, path: str) -> None:
            try:
                with winreg.OpenKey(
                    winreg.HKEY_CURRENT_USER, path, access=winreg.KEY_SET_VALUE
                ) as key:
                    winreg.DeleteValue(key, NAME)
            except FileNotFoundError:
                return


def desktop_entry(argv: Sequence[str]) -> str:
    """The program as desktops know it. Raises ValueError if the command has line breaks."""
    return (
        "[Desktop Entry]\n"
        "Type=Application\n"
        "Version=1.5\n"
        "Name=Nexus Tray\n"
        "Comment=Keeps OpenCode running and makes it reachable\n"
        f"Exec={exec_line.to_desktop(argv)}\n"
        f"Icon={NAME}\n"
        "Terminal=false\n"
        "Categories=Development;Network;\n"
        "StartupNotify=false\n"
    )


def desktop_keys(content: str) -> dict[str, str]:
    """The keys of a desktop entry's main group, in their plain language."""
    keys: dict[str, str] = {}
    group = ""
    for line in content.splitlines():
        if line.startswith("["):
            group = line.strip()
        elif group == "[Desktop Entry]" and not line.startswith("#"):
            name, mark, value = line.partition("=")
            if mark:
                keys[name.strip()] = value.strip()
    return keys


def replace(path: Path, content: str) -> None:
    """Write a file of the user's own, wholly or not at all; a link there is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        new.write_text(content, encoding="utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _unit(argv: Sequence[str]) -> str:
    # The guard starts the program again by itself; systemd steps in only if the guard dies.
    # Codes that mean "starting again would not help" are those of system.guard.
    return (
        "[Unit]\n"
        "Description=Nexus Tray: keeps OpenCode running and makes it reachable\n"
        "\n"
        "[Service]\n"
        f"ExecStart={exec_line.to_systemd(argv)}\n"
        "KillMode=mixed\n"
        "TimeoutStopSec=30\n"
        "Restart=on-failure\n"
        "RestartPreventExitStatus=2 69 70 78\n"
        "\n"
        "[Install]\n"
        "WantedBy=default.target\n"
    )
