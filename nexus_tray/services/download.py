"""Fetches cloudflared where none is found: official, whole, and checked before it can run.

Owns the download (SECURITY.md, Downloads): HTTPS only, redirects included, a bound on the
size, resumed where it broke off (`transfer`), SHA-256 compared with the pin, and only then made
executable and moved to the name under which it is found (`shelf`, which keeps the one before).
Imports the pins, the model and this room. Blocks for minutes: called by
`build/run`, or in a thread.

    python -m nexus_tray.services.download TOOLS-FOLDER
"""

import shutil
import ssl
import sys
import tarfile
from pathlib import Path

from nexus_tray.cloudflare.release import MOST_BYTES, VERSION, Pin, pin_for
from nexus_tray.model import Problem, Reason
from nexus_tray.services import cloudflared_faults as faults
from nexus_tray.services import transfer
from nexus_tray.services.binaries import cloudflared_shelf
from nexus_tray.services.progress import Progress, silent
from nexus_tray.services.shelf import digest
from nexus_tray.services.transfer import Limits, NotFetched
from nexus_tray.store.files import ensure_private_dir

_CHUNK = 256 * 1024
_DOWNLOADS = "https://github.com/cloudflare/cloudflared/releases"


def install_cloudflared(
    tools: Path,
    *,
    pin: Pin | None = None,
    trust: ssl.SSLContext | None = None,
    progress: Progress = silent,
    limits: Limits | None = None,
) -> Path:
    """The checked program below `tools`, fetched unless it is there already (40 MB).

    What an update replaces is kept (`Shelf.restore`). `pin`: another file than this machine's,
    `trust`: other authorities than the system's, `limits`: other patience (tests). Raises Problem,
    with the way to do it by hand, and what `progress` raises; what is in use stays in use then.
    """
    shelf = cloudflared_shelf(tools)
    pin = pin or pin_for()
    if pin is None:
        raise Problem(_no_pin())
    wanted = pin.program_sha256 or pin.sha256
    target = shelf.at(VERSION)
    if target.is_file() and digest(target) == wanted:
        return shelf.use(VERSION, wanted)
    part = arriving(shelf.folder, pin.sha256)
    limits = limits or Limits(most=MOST_BYTES)
    if _fetch(pin, part, trust, progress, limits) and digest(part) != pin.sha256:
        transfer.discard(part)  # its first half was of another attempt; begin anew, once
        _fetch(pin, part, trust, progress, limits)
    program = part.with_name("program")
    try:
        _check(part, pin.sha256, pin)
        if pin.program_sha256 is None:
            return shelf.put(VERSION, part, wanted)
        _extract(part, program, pin)
        _check(program, pin.program_sha256, pin)
        return shelf.put(VERSION, program, wanted)
    except OSError as error:
        raise Problem(_failed(f"it cannot be stored: {error.strerror or error}")) from error
    finally:
        shutil.rmtree(part.parent, ignore_errors=True)


def arriving(folder: Path, sha256: str) -> Path:
    """Where what arrives is gathered: never under a name that is run, and apart from every other
    file that may arrive. Parts of others are removed. Raises Problem."""
    place = folder / ".arriving"
    part = place / sha256[:16]
    try:
        ensure_private_dir(place)
        for old in place.iterdir():
            if not old.name.startswith(part.name):
                old.unlink(missing_ok=True)
    except OSError as error:
        raise Problem(_failed(f"{place} cannot be used: {error.strerror or error}")) from error
    return part


def _fetch(
    pin: Pin, part: Path, trust: ssl.SSLContext | None, progress: Progress, limits: Limits
) -> bool:
    """Have the file at `part`; True if a part of it was there already. Raises Problem."""
    try:
        return transfer.fetch(pin.url, part, trust=trust, progress=progress, limits=limits)
    except NotFetched as error:
        raise Problem(_failed(error.why)) from error


def _check(file: Path, wanted: str, pin: Pin) -> None:
    if digest(file) != wanted:
        raise Problem(
            faults.reason(
                "tampered",
                f"The {pin.file} that was fetched is not the official one (SHA-256).",
                "It was not run and not kept.",
                f"Something on this network may have replaced it. {_by_hand()}",
            )
        )


def _extract(archive: Path, target: Path, pin: Pin) -> Path:
    """Copy the one member that is wanted; nothing else of the archive touches the disk."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            member = tar.getmember("cloudflared")
            source = tar.extractfile(member) if member.isreg() else None
            if source is None or member.size > MOST_BYTES:
                raise Problem(_failed(f"{pin.file} has no program in it"))
            target.unlink(missing_ok=True)
            with source, target.open("xb") as file:
                shutil.copyfileobj(source, file, _CHUNK)
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise Problem(_failed(f"{pin.file} is not a sound archive")) from error
    return target


def _by_hand() -> str:
    return f"By hand: get cloudflared from {_DOWNLOADS} and put it on PATH."


def _failed(why: str) -> Reason:
    return faults.reason(
        "not-fetched",
        f"cloudflared {VERSION} could not be fetched: {why}.",
        "Without it there is no tunnel; OpenCode is reachable on this machine only.",
        _by_hand(),
    )


def _no_pin() -> Reason:
    return faults.reason(
        "no-build",
        f"There is no cloudflared {VERSION} for this kind of machine whose checksum we know.",
        "It cannot be fetched automatically.",
        _by_hand(),
    )


def main(argv: list[str]) -> int:
    """Install into the folder named on the command line and print the program's path."""
    if len(argv) != 1:
        sys.stderr.write("usage: download TOOLS-FOLDER\n")
        return 2
    try:
        program = install_cloudflared(Path(argv[0]))
    except Problem as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    sys.stdout.write(f"{program}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
