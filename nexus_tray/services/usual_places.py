"""Where installers usually put the two programs, for a PATH that lacks these folders.

Owns the list. Imports this room; reads the file system only; any thread.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from nexus_tray.services.environment import USUAL_FOLDERS

WINDOWS_FOLDERS = (
    ("PROGRAMFILES", "cloudflared"), ("PROGRAMFILES(X86)", "cloudflared"),
    ("PROGRAMFILES", "opencode"), ("LOCALAPPDATA", "Microsoft/WinGet/Links"),
    ("USERPROFILE", "scoop/shims"), ("USERPROFILE", ".opencode/bin"), ("APPDATA", "npm"),
)  # fmt: skip
"""A folder's variable and the place in it: Cloudflare's MSI, WinGet, Scoop, OpenCode's own, npm."""

MORE = ("/home/linuxbrew/.linuxbrew/bin", "/snap/bin")


def folders(environment: Mapping[str, str]) -> list[Path]:
    """The usual folders of this user on this system, whether they exist or not."""
    if sys.platform == "win32":
        found = [(environment.get(variable), place) for variable, place in WINDOWS_FOLDERS]
        return [Path(root, place) for root, place in found if root]
    home = environment.get("HOME", "")
    named = (
        name.replace("~", home, 1) for name in (*USUAL_FOLDERS, *MORE) if home or name[0] != "~"
    )
    return [Path(name) for name in named]


def usual(name: str, environment: Mapping[str, str] | None = None) -> str | None:
    """The program in one of the usual places; None: in none of them."""
    places = folders(os.environ if environment is None else environment)
    return shutil.which(name, path=os.pathsep.join(map(str, places)))
