"""OpenCode where none is found: its npm package, checked before it is ever run.

Owns the pins and the download. `npm pack` only fetches: no script of the package runs, no
dependency comes along. The binary is taken out of the archive under our eyes, its SHA-256
compared with the pin, and only then moved to the name under which it is found (SECURITY.md,
Downloads). Imports the model and this room; called by `build/run`, or in a thread.

    python -m nexus_tray.services.opencode_install TOOLS-FOLDER
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from nexus_tray.model import Problem, Reason
from nexus_tray.services import opencode_faults as faults
from nexus_tray.services.opencode_program import VERSION, executable, own, packages
from nexus_tray.services.progress import Progress, silent

NPM_TIMEOUT = 900.0
LOOK_SECONDS = 0.3
"""How often it is asked whether the program is still wanted."""

# SHA-256 of the extracted binary, measured on npm's archives of 1.18.33 (both alike). What
# has no pin is not installed by us: the package could not be had to measure it.
PINS: Mapping[str, str] = {
    "opencode-linux-x64": "0abbb7c32ab0294c0a7bfa2705f9ff0df5dce5ab721d1f00cccfe393f2a11427",
    "opencode-linux-x64-baseline": (
        "0abbb7c32ab0294c0a7bfa2705f9ff0df5dce5ab721d1f00cccfe393f2a11427"
    ),
}

BY_HAND = (
    "Install OpenCode yourself as https://opencode.ai/docs says (with Node.js: "
    "`npm install -g opencode-ai`); it is then found on PATH."
)


def install(
    tools: Path,
    *,
    pins: Mapping[str, str] = PINS,
    names: tuple[str, ...] | None = None,
    progress: Progress = silent,
) -> Path:
    """The checked program below `tools`, fetched unless it is there already.

    Takes up to minutes (60 MB). Raises Problem, with the way to do it by hand, when there
    is no npm, no pinned build for this machine, no network, or another SHA-256. npm does not
    tell how far it is, so `progress` hears no size; what it raises ends npm.
    """
    target = own(tools)
    candidates = packages() if names is None else names
    package = next((name for name in candidates if name in pins), None)
    if target.is_file() and _digest(target) in pins.values():
        return target
    if package is None:
        raise Problem(_reason("no-build", _no_build(candidates)))
    npm = shutil.which("npm")
    if npm is None:
        raise Problem(_reason("no-npm", "npm was not found, with which OpenCode is fetched."))
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        archive = _pack(npm, package, Path(folder), progress)
        unchecked = Path(folder) / "unchecked"
        _extract(archive, unchecked, package)
        if _digest(unchecked) != pins[package]:
            raise Problem(_mismatch(package))
        unchecked.chmod(0o755)
        os.replace(unchecked, target)  # noqa: PTH105 - named for what it is: atomic
    return target


def _pack(npm: str, package: str, folder: Path, progress: Progress) -> Path:
    """npm's archive of the package, downloaded into `folder`, which is also where npm runs:
    no project's `.npmrc` or `package.json` has a say."""
    argv = [npm, "pack", f"{package}@{VERSION}", "--ignore-scripts", "--silent"]
    with subprocess.Popen(
        argv,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as npm_run:
        try:
            said = _wait(npm_run, progress).decode(errors="replace").strip().splitlines()
        except BaseException:
            npm_run.kill()
            raise
    archives = sorted(folder.glob("*.tgz"))
    if npm_run.returncode != 0 or not archives:
        errors = [line for line in said if "error" in line]
        detail = f" npm says: {errors[0]}" if errors else ""
        raise Problem(_reason("fetch", f"OpenCode could not be fetched with npm.{detail}"))
    return archives[0]


def _wait(npm: subprocess.Popen[bytes], progress: Progress) -> bytes:
    """What npm says on stderr, once it has ended. Raises Problem when that takes too long."""
    end = time.monotonic() + NPM_TIMEOUT
    while True:
        progress(0, None)
        try:
            return npm.communicate(timeout=LOOK_SECONDS)[1]
        except subprocess.TimeoutExpired as error:
            if time.monotonic() > end:
                what = "Fetching OpenCode with npm took too long."
                raise Problem(_reason("fetch", what)) from error


def _extract(archive: Path, target: Path, package: str) -> None:
    """Copy the one member that is wanted; nothing else of the archive touches the disk."""
    wanted = f"package/bin/{executable()}"
    try:
        with tarfile.open(archive, "r:gz") as tar:
            member = tar.extractfile(wanted)
            if member is None:
                raise Problem(_reason("fetch", f"{package} has no {wanted}."))
            with member, target.open("xb") as file:
                shutil.copyfileobj(member, file, 1024 * 1024)
    except (tarfile.TarError, zlib.error, KeyError, EOFError, OSError) as error:
        raise Problem(_reason("fetch", f"The archive of {package} is not sound.")) from error


def _digest(path: Path) -> str:
    file: IO[bytes]
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _no_build(candidates: tuple[str, ...]) -> str:
    name = candidates[0] if candidates else "this kind of machine"
    return f"There is no build of OpenCode {VERSION} for {name} whose checksum we know."


def _mismatch(package: str) -> Reason:
    return faults.reason(
        "tampered",
        f"The {package} {VERSION} that npm fetched is not the one that was checked (SHA-256).",
        "It was not run and not kept.",
        f"If your npm uses a mirror, ask who runs it. {BY_HAND}",
    )


def _reason(code: str, what: str) -> Reason:
    return faults.reason(code, what, "OpenCode cannot be installed automatically.", BY_HAND)


def main(argv: list[str]) -> int:
    """Install into the folder named on the command line and print the program's path."""
    if len(argv) != 1:
        sys.stderr.write("usage: opencode_install TOOLS-FOLDER\n")
        return 2
    try:
        program = install(Path(argv[0]))
    except Problem as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    sys.stdout.write(f"{program}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
