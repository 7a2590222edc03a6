"""A support bundle as a file: a zip of exactly what it holds, for us alone.

Owns the archive's form and the writing. Imports the model and the reports; any thread.
"""

import io
import os
import re
import time
import zipfile
from pathlib import Path

from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.reports import Bundle

_NAME = re.compile(r"(?!\.)[\w.-]{1,100}(?:/(?!\.)[\w.-]{1,100}){0,2}", re.ASCII)


def archive(bundle: Bundle) -> bytes:
    """The zip. ValueError for a name that would lead out of it."""
    made = io.BytesIO()
    when = time.gmtime(bundle.at)[:6]
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as pack:
        for file in bundle.files:
            if not _NAME.fullmatch(file.name):
                raise ValueError(f"no name for a file of a bundle: {file.name!r}")
            entry = zipfile.ZipInfo(f"nexus-tray-support/{file.name}", date_time=when)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            pack.writestr(entry, file.text)
    return made.getvalue()


def check_new(path: Path) -> None:
    """Refuse a name that is taken. Raises Problem."""
    if os.path.lexists(path):
        raise Problem(_there(path))


def write(bundle: Bundle, path: Path) -> None:
    """Write it as a new file, 0600. Raises Problem; nothing is overwritten."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(archive(bundle))
    except FileExistsError as error:
        raise Problem(_there(path)) from error
    except OSError as error:
        raise Problem(_failed(path, error)) from error


def _there(path: Path) -> Reason:
    return Reason(
        code="bundle-there",
        hop=Hop.GATEWAY,
        what=f"{path} is there already.",
        meaning="Nothing is overwritten, so nothing was written.",
        cure="Name another file.",
    )


def _failed(path: Path, error: OSError) -> Reason:
    return Reason(
        code="bundle-failed",
        hop=Hop.GATEWAY,
        what=f"{path} could not be written: {error.strerror or error}.",
        cure="Name a file in a folder of yours that has room.",
    )
