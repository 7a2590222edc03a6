"""Fetches cloudflared where none is found: official, whole, and checked before it can run.

Owns the download (SECURITY.md, Downloads): HTTPS only, redirects included, a bound on the
size, SHA-256 compared with the pin, and only then made executable and moved to the name under
which it is found. Imports the pins, the model and this room. Blocks for minutes: called by
`build/run`, or in a thread.

    python -m nexus_tray.services.download TOOLS-FOLDER
"""

import hashlib
import http.client
import os
import shutil
import ssl
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from nexus_tray.cloudflare.release import MOST_BYTES, VERSION, Pin, pin_for
from nexus_tray.model import Problem, Reason
from nexus_tray.services import cloudflared_faults as faults
from nexus_tray.services.binaries import own_cloudflared
from nexus_tray.services.progress import Progress, silent

SILENCE = 30.0
"""Seconds without a byte after which the download is given up."""

WHOLE = 900.0
"""Seconds for the whole download."""

_CHUNK = 256 * 1024
_DOWNLOADS = "https://github.com/cloudflare/cloudflared/releases"


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            fp.close()
            raise urllib.error.URLError("it leads away from HTTPS")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def install_cloudflared(
    tools: Path,
    *,
    pin: Pin | None = None,
    context: ssl.SSLContext | None = None,
    progress: Progress = silent,
) -> Path:
    """The checked program below `tools`, fetched unless it is there already (40 MB).

    `pin`: another file than this machine's, and `context`: other authorities than the
    system's (tests). Raises Problem, with the way to do it by hand, and what `progress` raises;
    then nothing is left.
    """
    target = own_cloudflared(tools)
    pin = pin or pin_for()
    if pin is None:
        raise Problem(_no_pin())
    wanted = pin.program_sha256 or pin.sha256
    if target.is_file() and _digest(target) == wanted:
        return target
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as folder:
        unchecked = Path(folder) / "download"
        _fetch(pin.url, unchecked, context, progress)
        _check(unchecked, pin.sha256, pin)
        if pin.program_sha256 is not None:
            unchecked = _extract(unchecked, Path(folder) / "program", pin)
            _check(unchecked, pin.program_sha256, pin)
        unchecked.chmod(0o755)
        os.replace(unchecked, target)  # noqa: PTH105 - named for what it is: atomic
    return target


def _fetch(url: str, target: Path, context: ssl.SSLContext | None, progress: Progress) -> None:
    if not url.startswith("https://"):
        raise Problem(_failed("its address is not HTTPS"))
    handlers: list[urllib.request.BaseHandler] = [_OnlyHttps()]
    handlers.append(urllib.request.HTTPSHandler(context=context or ssl.create_default_context()))
    request = urllib.request.Request(url, headers={"User-Agent": "nexus-tray"})  # noqa: S310
    end = time.monotonic() + WHOLE
    try:
        with (
            urllib.request.build_opener(*handlers).open(request, timeout=SILENCE) as answer,
            target.open("xb") as file,
        ):
            expected = answer.headers.get("Content-Length")
            total = int(expected) if expected is not None and expected.isdecimal() else None
            size = 0
            progress(size, total)
            while data := answer.read1(_CHUNK):  # what is there: a slow network shows progress too
                size += len(data)
                progress(size, total)
                if size > MOST_BYTES or time.monotonic() > end:
                    raise Problem(_failed("it is too large, or came too slowly"))
                file.write(data)
            if total is not None and total != size:
                raise Problem(_failed("it broke off"))
    except urllib.error.HTTPError as error:
        with error:  # it holds the connection
            raise Problem(_failed(f"the server says {error.code} {error.reason}")) from error
    except OSError as error:  # URLError, TLS and the disk among them
        raise Problem(_failed(str(getattr(error, "reason", error) or error))) from error


def _check(file: Path, wanted: str, pin: Pin) -> None:
    if _digest(file) != wanted:
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
            with source, target.open("xb") as file:
                shutil.copyfileobj(source, file, _CHUNK)
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise Problem(_failed(f"{pin.file} is not a sound archive")) from error
    return target


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
