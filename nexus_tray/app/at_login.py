"""Which way of starting at login belongs to this system, and the program's desktop entry.

Owns the choice of places. Runs once, on the main thread, while the program is put together.
"""

import getpass
import sys
from collections.abc import Mapping
from pathlib import Path

from nexus_tray.system import autostart_places
from nexus_tray.system.autostart import HOME, AtLogin, Place, command


def at_login(environment: Mapping[str, str], directory: Path, *, headless: bool) -> AtLogin:
    """Start at login as this system does it; `directory` is the folder OpenCode starts in.

    Without a desktop, Linux starts it as a systemd user unit.
    """
    argv = command(environment, directory, headless=headless, executable=_executable())
    if sys.platform == "win32":
        return AtLogin(argv, autostart_places.RunKey())
    if sys.platform == "darwin":
        return AtLogin(argv, autostart_places.LaunchAgent(Path.home() / "Library"))
    config = _xdg(environment, "XDG_CONFIG_HOME", ".config")
    places: list[Place] = [
        autostart_places.XdgEntry(config),
        autostart_places.SystemdUnit(config, Path("/var/lib/systemd/linger") / _user()),
    ]
    ours = places.pop(1 if headless else 0)
    return AtLogin(argv, ours, places)


def install_entry(environment: Mapping[str, str], directory: Path, icon: Path) -> None:
    """Make the program known to Linux desktops: its entry in their menus, and its icon.

    Not for one with a home of its own: that is for trying out and for tests. Raises OSError.
    """
    if sys.platform in ("win32", "darwin") or environment.get(HOME):
        return
    data = _xdg(environment, "XDG_DATA_HOME", ".local/share")
    argv = command(environment, directory, headless=False, executable=_executable())
    drawing = icon.read_text(encoding="utf-8")
    wanted = {
        data / "icons/hicolor/scalable/apps" / f"{autostart_places.NAME}.svg": drawing,
        data / "applications" / autostart_places.DESKTOP_FILE: autostart_places.desktop_entry(argv),
    }
    for path, content in wanted.items():
        if not path.is_file() or path.read_text(encoding="utf-8", errors="replace") != content:
            autostart_places.replace(path, content)


def _executable() -> str:
    """Python as it was called: a link into a virtual environment must stay one."""
    if sys.platform == "win32":  # the one without a console window
        windowless = Path(sys.executable).with_name("pythonw.exe")
        return str(windowless) if windowless.exists() else sys.executable
    return sys.executable


def _xdg(environment: Mapping[str, str], name: str, below_home: str) -> Path:
    """A base directory (XDG Base Directory Specification 0.8); relative ones are ignored."""
    named = environment.get(name, "")
    return Path(named) if Path(named).is_absolute() else Path.home() / below_home


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name (some containers) cannot linger
        return "-"
