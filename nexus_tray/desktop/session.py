"""Whether there is a desktop, and where its message bus is: read from the environment.

Imports nothing of ours: asked also by a program that then runs headless. Pure but for
looking whether a socket is there.
"""

import sys
from collections.abc import Mapping
from pathlib import Path


def has_desktop(environment: Mapping[str, str]) -> bool:
    """Whether a tray icon could be shown to anybody. Elsewhere than on Linux: always."""
    if sys.platform in ("darwin", "win32"):
        return True
    screen = environment.get("WAYLAND_DISPLAY") or environment.get("DISPLAY")
    return bool(screen and session_bus(environment))


def session_bus(environment: Mapping[str, str]) -> str:
    """Where the session bus is; empty: there is none (D-Bus Specification; systemd's place)."""
    if address := environment.get("DBUS_SESSION_BUS_ADDRESS"):
        return address
    folder = environment.get("XDG_RUNTIME_DIR")
    return f"unix:path={folder}/bus" if folder and Path(folder, "bus").exists() else ""
