"""OpenCode where none is found: its npm package, checked before it is ever run.

Owns the pins and the download. npm is asked where the package lies (it may be told of a mirror),
and it is fetched from there as every other download (`transfer`: HTTPS, resumed); without npm
from npm's own registry. Only where that is not possible (a mirror that wants a sign-in, or plain
HTTP) `npm pack` fetches it: no script of the package runs, no dependency comes along. The binary
is taken out of the archive under our eyes, its SHA-256 compared with the pin, and only then moved
to the name under which it is found (SECURITY.md, Downloads). Imports the model and this room;
called by `build/run`, or in a thread.

    python -m nexus_tray.services.opencode_install TOOLS-FOLDER
"""

import shutil
import ssl
import subprocess
import sys
import tarfile
import time
import zlib
from collections.abc import Mapping
from pathlib import Path

from nexus_tray.model import Problem, Reason
from nexus_tray.services import opencode_faults as faults
from nexus_tray.services import transfer
from nexus_tray.services.download import arriving
from nexus_tray.services.opencode_program import VERSION, executable, packages, shelf
from nexus_tray.services.progress import Progress, Suspended, silent
from nexus_tray.services.shelf import digest
from nexus_tray.services.transfer import Limits, NotFetched

NPM_TIMEOUT = 900.0
ASK_TIMEOUT = 20.0
"""Seconds that npm may take to say where the package lies."""
LOOK_SECONDS = 0.3
"""How often it is asked whether the program is still wanted."""
LIMITS = Limits(most=200 * 1024 * 1024)
REGISTRY = "https://registry.npmjs.org"
"""npm's own, asked where there is no npm to say of another."""

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
    trust: ssl.SSLContext | None = None,
    progress: Progress = silent,
    limits: Limits = LIMITS,
) -> Path:
    """The checked program below `tools`, fetched unless it is there already.

    What an update replaces is kept (`Shelf.restore`). Takes up to minutes (60 MB). `trust`: other
    authorities than the system's. Raises Problem, with the way to do it by hand, when there is no
    pinned build for this machine, no network, or another SHA-256; and what `progress` raises.
    """
    own = shelf(tools)
    candidates = packages() if names is None else names
    package = next((name for name in candidates if name in pins), None)
    if own.at(VERSION).is_file():
        there = digest(own.at(VERSION))
        if there in pins.values():
            return own.use(VERSION, there)
    if package is None:
        raise Problem(_reason("no-build", _no_build(candidates)))
    part = arriving(own.folder, pins[package])
    unchecked = part.with_name("program")
    try:
        archive = _archive(package, part, trust, progress, limits)
        _extract(archive, unchecked, package)
        if digest(unchecked) != pins[package]:
            raise Problem(_mismatch(package))
        program = own.put(VERSION, unchecked, pins[package])
    except OSError as error:
        what = f"OpenCode cannot be stored: {error.strerror or error}."
        raise Problem(_reason("fetch", what)) from error
    except (Broke, Suspended):
        raise
    except BaseException:
        shutil.rmtree(part.parent, ignore_errors=True)
        raise
    shutil.rmtree(part.parent, ignore_errors=True)
    return program


class Broke(Problem):
    """The network failed; what is here can be gone on with."""


def _archive(
    package: str, part: Path, trust: ssl.SSLContext | None, progress: Progress, limits: Limits
) -> Path:
    """npm's archive of the package. Raises Problem."""
    npm = shutil.which("npm")
    url = _address(npm, package, part.parent, progress)
    try:
        transfer.fetch(url, part, trust=trust, progress=progress, limits=limits)
    except NotFetched as error:
        wants_npm = error.status in (401, 403) or not url.startswith("https://")
        if npm is None or not wants_npm:
            what = f"OpenCode could not be fetched: {error.why}."
            raise Broke(_reason("fetch", what)) from error
        return _pack(npm, package, part.parent, progress)
    return part


def _address(npm: str | None, package: str, folder: Path, progress: Progress) -> str:
    """Where the package lies: as npm says, else in npm's own registry."""
    usual = f"{REGISTRY}/{package}/-/{package}-{VERSION}.tgz"
    if npm is None:
        return usual
    argv = [npm, "view", f"{package}@{VERSION}", "dist.tarball", "--silent"]
    code, said, _ = _run(argv, folder, progress, ASK_TIMEOUT)
    lines = said.decode(errors="replace").split()
    found = lines[0] if code == 0 and len(lines) == 1 else ""
    return found if found.startswith(("https://", "http://")) else usual


def _pack(npm: str, package: str, folder: Path, progress: Progress) -> Path:
    """npm's archive of the package, downloaded into `folder`, which is also where npm runs:
    no project's `.npmrc` or `package.json` has a say. npm does not tell how far it is."""
    argv = [npm, "pack", f"{package}@{VERSION}", "--ignore-scripts", "--silent"]
    code, _, complaints = _run(argv, folder, progress, NPM_TIMEOUT)
    archives = sorted(folder.glob("*.tgz"))
    if code is None:
        raise Problem(_reason("fetch", "Fetching OpenCode with npm took too long."))
    if code != 0 or not archives:
        errors = [
            line for line in complaints.decode(errors="replace").splitlines() if "error" in line
        ]
        detail = f" npm says: {errors[0]}" if errors else ""
        raise Problem(_reason("fetch", f"OpenCode could not be fetched with npm.{detail}"))
    return archives[0]


def _run(
    argv: list[str], folder: Path, progress: Progress, limit: float
) -> tuple[int | None, bytes, bytes]:
    """npm's exit code (None: it took too long and was ended), output and complaints; meanwhile
    `progress` hears that there is none, and what it raises ends npm."""
    end = time.monotonic() + limit
    with subprocess.Popen(
        argv,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as npm_run:
        try:
            while True:
                progress(0, None)
                try:
                    said, complaints = npm_run.communicate(timeout=LOOK_SECONDS)
                    return npm_run.returncode, said, complaints
                except subprocess.TimeoutExpired:
                    if time.monotonic() > end:
                        npm_run.kill()
                        return None, b"", b""
        except BaseException:
            npm_run.kill()
            raise


def _extract(archive: Path, target: Path, package: str) -> None:
    """Copy the one member that is wanted; nothing else of the archive touches the disk."""
    wanted = f"package/bin/{executable()}"
    try:
        with tarfile.open(archive, "r:gz") as tar:
            member = tar.extractfile(wanted)
            if member is None:
                raise Problem(_reason("fetch", f"{package} has no {wanted}."))
            target.unlink(missing_ok=True)
            with member, target.open("xb") as file:
                shutil.copyfileobj(member, file, 1024 * 1024)
    except (tarfile.TarError, zlib.error, KeyError, EOFError, OSError) as error:
        raise Problem(_reason("fetch", f"The archive of {package} is not sound.")) from error


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
