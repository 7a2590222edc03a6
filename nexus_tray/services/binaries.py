"""Where cloudflared is on this machine, and which version it is.

Owns the search: the path the settings name, else PATH, else our own tools folder. Imports
the model and `services.process`; blocks, so it is called from the runs' threads.
"""

import os
import shutil
import sys
from pathlib import Path

from nexus_tray.model import Hop, Problem, Reason

GET_CLOUDFLARED = (
    "Get it from https://developers.cloudflare.com/cloudflare-one/connections/"
    "connect-networks/downloads/ or name its path: nexus-tray config set cloudflared.program PATH"
)


def own(name: str, tools: Path) -> Path:
    """Where a downloaded program is put; there only after its SHA-256 was right."""
    return tools / name / (f"{name}.exe" if sys.platform == "win32" else name)


def find(name: str, configured: str, path: str, tools: Path) -> Path:
    """The program of that name.

    `configured` is the settings' path (empty: search), `path` a PATH. Raises Problem
    "cloudflared-missing" where there is none to run.
    """
    if configured:
        named = Path(configured).expanduser()
        if named.is_file() and os.access(named, os.X_OK):
            return named
        raise Problem(_missing(name, f"{named}, which the settings name, is no program."))
    found = shutil.which(name, path=path)
    if found:
        return Path(found)
    if own(name, tools).is_file():
        return own(name, tools)
    raise Problem(_missing(name, f"{name} was not found on this machine."))


def _missing(name: str, what: str) -> Reason:
    return Reason(
        code=f"{name}-missing",
        hop=Hop.CLOUDFLARED,
        what=what,
        meaning="Without it there is no tunnel; OpenCode on this machine is not affected.",
        cure=f"{GET_CLOUDFLARED}. Then: nexus-tray restart quick",
    )
