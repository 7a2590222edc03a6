"""Sees that OpenCode and cloudflared are on this machine, and fetches what is missing.

Run by build/run and build/test with the project's own Python. Says of each program where
it is, or why it could not be had and how to get it by hand; exits 1 if one is missing.
What it fetches is pinned by SHA-256 and checked before it can be executed.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from nexus_tray.model import Problem
from nexus_tray.paths import find
from nexus_tray.services import binaries, download, opencode_install

FETCH: dict[str, Callable[[Path], Path]] = {
    "opencode": opencode_install.install,
    "cloudflared": download.install_cloudflared,
}


def provide(name: str, tools: Path) -> bool:
    """Find or fetch one program; True when it is there."""
    try:
        there = binaries.find(name, "", os.environ.get("PATH", ""), tools)
        print(f"{name}: {there}")
        return True
    except Problem:
        print(f"{name} is not installed; fetching it ...")
    try:
        print(f"{name}: {FETCH[name](tools)}")
        return True
    except Problem as problem:
        reason = problem.reason
        print(f"{name}: {reason.what}\n  {reason.meaning}\n  {reason.cure}", file=sys.stderr)
        return False


def main() -> int:
    """Provide the programs named (all by default)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, help="the folder to put programs into")
    parser.add_argument("programs", nargs="*", default=list(FETCH))
    options = parser.parse_args()
    tools = options.into or find(os.environ).tools
    missing = [name for name in options.programs if not provide(name, tools.absolute())]
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
