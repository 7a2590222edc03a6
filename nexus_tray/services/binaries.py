"""Where the two programs are: the configured path, PATH, the usual places, our own folder of tools.

Owns the order of the search and the question for a version. Imports the model and this room.
Any thread; `version_of` starts a process and blocks up to its time limit.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from nexus_tray.cloudflare import release
from nexus_tray.model import Problem
from nexus_tray.services import cloudflared_faults, opencode_program
from nexus_tray.services.environment import TOOL, child_environment
from nexus_tray.services.shelf import Shelf
from nexus_tray.services.usual_places import usual

VERSION_LIMIT = 5.0
"""Seconds a program may take to tell its version."""

_VERSION = re.compile(r"\d+\.\d+\.\d+(?:[-+.][0-9A-Za-z.-]+)?")


def find(name: str, configured: str, search_path: str, tools: Path) -> Path:
    """The program `opencode` or `cloudflared`.

    `configured`: the setting's path (empty: not set), which alone counts if it is set;
    else the first on `search_path` (the login shell's PATH), else where installers usually put
    it, else ours below `tools`. Raises Problem when there is none.
    """
    return _FINDERS[name](configured, search_path, tools)


def _opencode(configured: str, search_path: str, tools: Path) -> Path:
    return opencode_program.find(configured, tools, {"PATH": search_path})


def _cloudflared(configured: str, search_path: str, tools: Path) -> Path:
    if configured:
        path = Path(configured).expanduser()
        if not path.is_file():
            raise Problem(cloudflared_faults.not_there(path))
        return path
    found = shutil.which("cloudflared", path=search_path) or usual("cloudflared")
    if found:
        return Path(found).absolute()
    own = cloudflared_shelf(tools).trusted()
    if own is not None:
        return own[1]
    raise Problem(cloudflared_faults.missing())


_FINDERS: dict[str, Callable[[str, str, Path], Path]] = {
    "opencode": _opencode,
    "cloudflared": _cloudflared,
}


def cloudflared_shelf(tools: Path) -> Shelf:
    """Where `download` puts cloudflared; there only after its SHA-256 was right."""
    name = "cloudflared.exe" if sys.platform == "win32" else "cloudflared"
    return Shelf(tools / "cloudflared", name)


def shelf(name: str, tools: Path) -> Shelf:
    """Our own copies of `opencode` or `cloudflared`."""
    return cloudflared_shelf(tools) if name == "cloudflared" else opencode_program.shelf(tools)


def pinned(name: str) -> str:
    """The version that we fetch."""
    return release.VERSION if name == "cloudflared" else opencode_program.VERSION


def version_of(program: Path, limit: float = VERSION_LIMIT) -> str | None:
    """What `program --version` says; None if it says none, fails, or takes too long."""
    try:
        done = subprocess.run(
            [str(program), "--version"],
            env=child_environment(os.environ, TOOL),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = _VERSION.search(done.stdout.decode("utf-8", "replace"))
    return said[0] if said and done.returncode == 0 else None
