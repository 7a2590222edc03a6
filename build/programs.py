"""Sees that OpenCode and cloudflared are on this machine, and fetches what is missing.

Run by build/run and build/test with the project's own Python. Says of each program where
it is, or why it could not be had and how to get it by hand; exits 1 if one is missing.
What it fetches is pinned by SHA-256 and checked before it can be executed.
"""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nexus_tray.model import Problem, Reason
from nexus_tray.paths import find
from nexus_tray.services import binaries, download, opencode_install, opencode_program
from nexus_tray.services.environment import usual_path


@dataclass(frozen=True)
class Program:
    """How one program is found (Problem: it is not here) and fetched, given our tools folder."""

    find: Callable[[Path], Path]
    fetch: Callable[[Path], Path]


PATH = usual_path(os.environ)

PROGRAMS = {
    "opencode": Program(
        lambda tools: opencode_program.find("", tools, {"PATH": PATH}), opencode_install.install
    ),
    "cloudflared": Program(
        lambda tools: binaries.find("cloudflared", "", PATH, tools), download.install_cloudflared
    ),
}


def is_here(name: str, tools: Path) -> bool:
    """Whether a program is found, without fetching it."""
    try:
        PROGRAMS[name].find(tools)
    except Problem:
        return False
    return True


def provide(name: str, tools: Path) -> bool:
    """Find or fetch one program; True when it is there."""
    program = PROGRAMS[name]
    try:
        print(f"{name}: {program.find(tools)}")
        return True
    except Problem:
        print(f"{name} is not installed here; fetching it ...", flush=True)
    try:
        print(f"{name}: {program.fetch(tools)}")
        return True
    except Problem as problem:
        print(f"{name} could not be had.\n{_lines(problem.reason)}", file=sys.stderr)
        return False


def _lines(reason: Reason) -> str:
    return "\n".join(f"  {text}" for text in (reason.what, reason.meaning, reason.cure) if text)


def main() -> int:
    """Provide the programs named (all by default)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, help="the folder to put programs into")
    parser.add_argument("--missing", action="store_true", help="only name those not found here")
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help="(default: all)")
    options = parser.parse_args()
    tools = (options.into or find(os.environ).tools).absolute()
    wanted = options.programs or list(PROGRAMS)
    unknown = [name for name in wanted if name not in PROGRAMS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(PROGRAMS)}")
    if options.missing:
        print(*(name for name in wanted if not is_here(name, tools)))
        return 0
    missing = [name for name in wanted if not provide(name, tools)]
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
