"""How files of ours come to be: private from their creation, written whole or not at all.

Owns the checks of SECURITY.md 35 (no planted links, our owner, nothing for group and
others) and the atomic write of 36. Imports the model only. Holds no state; any thread
may call any function. Every failure that a person can cure is a `Problem` that names
the file and the cure.

Windows has neither modes nor owners in this sense: there the folders below the user's
profile are private by their inherited access list, and only links are refused.
"""

import contextlib
import errno
import os
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from nexus_tray.model import Hop, Problem, Reason

OTHERS = 0o077
_WRITABLE_BY_OTHERS = 0o022
# A file that a killed write left behind is swept once it is this much older than a new one.
_STALE_SECONDS = 60.0
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# NONBLOCK: a planted FIFO must be refused, not waited for. BINARY: Windows, as always.
_SAFE_FLAGS = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)


def ensure_private_dir(path: Path) -> None:
    """Make the folder, and what is missing above it, for us alone (0700).

    One that stands already must be a folder, not a link, and ours; if others may look
    into it, that is ended; if others may write there, what lies in it cannot be trusted,
    and it is refused. Raises Problem.
    """
    missing = [path]
    while not os.path.lexists(missing[-1].parent):
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError), _explained(folder, "made"):
            folder.mkdir(mode=0o700)
    status = path.lstat()
    _refuse_link_or_stranger(path, status)
    if not stat.S_ISDIR(status.st_mode):
        raise Problem(_odd(path, "is not a folder"))
    if sys.platform == "win32":
        return
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise Problem(_open_to_others(path, status))
    if status.st_mode & OTHERS:
        with _explained(path, "closed to other users"):
            path.chmod(0o700)


def check_private(path: Path) -> None:
    """Refuse a file (or socket, or folder) that others could have planted or could read.

    Raises Problem for a link, another owner, or any bit for group and others;
    FileNotFoundError when nothing is there. To open a file, use `open_private`, which
    checks what it has opened and so cannot be raced.
    """
    status = path.lstat()
    _refuse_link_or_stranger(path, status)
    _refuse_open_to_others(path, status)


def check_unwritable(path: Path) -> None:
    """Refuse a program or folder of ours that others could have planted or could change; that
    they can read it is no harm. Raises as `check_private` does.
    """
    status = path.lstat()
    _refuse_link_or_stranger(path, status)
    if sys.platform != "win32" and status.st_mode & _WRITABLE_BY_OTHERS:
        raise Problem(_open_to_others(path, status, "700"))


def open_private(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a regular file by `os.open` flags, creating it 0600 if they say so; its descriptor.

    The opened file itself is checked as by `check_private`; a link is never followed.
    Raises Problem; FileNotFoundError when it is missing and not to be created.
    """
    if path.is_symlink():  # Windows has no O_NOFOLLOW
        raise Problem(_link(path))
    with _explained(path, "opened"):
        descriptor = os.open(path, flags | _SAFE_FLAGS, 0o600)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Problem(_odd(path, "is not a regular file"))
        _refuse_link_or_stranger(path, status)
        _refuse_open_to_others(path, status)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_private(path: Path, limit: int) -> bytes:
    """The content of a file of ours, of at most `limit` bytes.

    Raises Problem as `open_private` does and when it is longer; FileNotFoundError.
    """
    with open(open_private(path), "rb") as file, _explained(path, "read"):
        data = file.read(limit + 1)
    if len(data) > limit:
        raise Problem(_odd(path, f"is longer than the {limit} bytes it may have"))
    return data


def write_atomic(path: Path, data: bytes) -> None:
    """Replace the file's content, wholly or not at all, even through a kill or power loss.

    Written beside it (0600 from creation), synced, renamed over it, and the folder synced
    (SECURITY.md 36). What stood there must pass `check_private`. The folder must exist.
    Raises Problem; when it does, the old content stands (or, if only the last sync
    failed, the new one: never a mixture).
    """
    with contextlib.suppress(FileNotFoundError):
        check_private(path)
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        try:
            written_at = _write_new(new, data)
            os.replace(new, path)  # noqa: PTH105 - one module of calls for the fault tests
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(new)  # noqa: PTH108
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise Problem(_failed(path, "written", error)) from error
    _sweep(path, written_at)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in a folder durable. Windows does so by itself."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside(path: Path, now: float, kind: str = "damaged") -> Path:
    """Keep a file that cannot be used under a name that says why and since when; where it is now.

    `now` in seconds since the epoch; `kind`: `damaged`, or `newer` than this program. Nothing is
    overwritten. Raises Problem.
    """
    aside = _beside(path, now, kind)
    with _explained(path, "moved aside"):
        path.rename(aside)
    return aside


def keep_aside(path: Path, now: float) -> Path:
    """As `set_aside`, and the file stays until it is replaced: where its absence would mean
    something, there is no moment without it."""
    aside = _beside(path, now, "damaged")
    try:
        os.link(path, aside)
    except OSError as error:
        if error.errno in _FULL:
            raise Problem(_failed(path, "kept aside", error)) from error
        write_atomic(aside, path.read_bytes())  # a file system without links
    return aside


def _beside(path: Path, now: float, kind: str) -> Path:
    """A name beside it that nothing has."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    aside = path.with_name(f"{path.name}.{kind}-{stamp}")
    number = 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.{kind}-{stamp}-{number}")
    return aside


def _write_new(new: Path, data: bytes) -> float:
    """Write a file that must not exist yet, synced; its modification time."""
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE_FLAGS, 0o600)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)


def _sweep(path: Path, written_at: float) -> None:
    """Remove what killed writes of this file left behind; only tidiness, so errors may pass."""
    for old in path.parent.glob(f".{path.name}.*.new"):
        with contextlib.suppress(OSError):
            if old.lstat().st_mtime < written_at - _STALE_SECONDS:
                old.unlink()


def _refuse_link_or_stranger(path: Path, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise Problem(_link(path))
    if sys.platform != "win32" and status.st_uid != os.geteuid():
        raise Problem(
            Reason(
                code="file-owner",
                hop=Hop.GATEWAY,
                what=f"{path} belongs to another user (number {status.st_uid}).",
                meaning="Whoever owns it could change what this program does, so it is not used.",
                cure=f"Find out who put it there, then remove it, or make it yours: "
                f"chown {os.geteuid()} '{path}'",
            )
        )


def _refuse_open_to_others(path: Path, status: os.stat_result) -> None:
    if sys.platform != "win32" and status.st_mode & OTHERS:
        raise Problem(_open_to_others(path, status))


def _open_to_others(path: Path, status: os.stat_result, mode: str = "") -> Reason:
    mode = mode or ("700" if stat.S_ISDIR(status.st_mode) else "600")
    return Reason(
        code="file-open-to-others",
        hop=Hop.GATEWAY,
        what=f"{path} is open to other users (mode {stat.S_IMODE(status.st_mode):03o}).",
        meaning="Others could have read or changed it, so it is not used.",
        cure=f"Look whether it is still as you left it, then: chmod {mode} '{path}'",
    )


def _link(path: Path) -> Reason:
    return Reason(
        code="file-link",
        hop=Hop.GATEWAY,
        what=f"{path} is a link to another place.",
        meaning="A link could lead a write to a foreign file, so links are not followed.",
        cure="Remove the link, or put the file itself there.",
    )


def _odd(path: Path, fault: str) -> Reason:
    return Reason(
        code="file-odd",
        hop=Hop.GATEWAY,
        what=f"{path} {fault}.",
        meaning="This program did not make it so, and does not use it.",
        cure="Look at it, and move it away.",
    )


def _failed(path: Path, done: str, error: OSError) -> Reason:
    text = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _FULL:
        return Reason(
            code="disk-full",
            hop=Hop.GATEWAY,
            what=f"{path} could not be {done}: there is no room left ({text}).",
            meaning="What was there before is unchanged.",
            cure="Free some space on that disk, then try again.",
        )
    return Reason(
        code="file-failed",
        hop=Hop.GATEWAY,
        what=f"{path} could not be {done}: {text}.",
        meaning="What was there before is unchanged.",
        cure="Check the disk, and that you may write there.",
    )


@contextlib.contextmanager
def _explained(path: Path, done: str) -> Iterator[None]:
    """Turn a failure of the disk into a Problem; "missing" and "exists" are the caller's."""
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        # Only O_NOFOLLOW makes ELOOP of a path whose folder is ours.
        reason = _link(path) if error.errno == errno.ELOOP else _failed(path, done, error)
        raise Problem(reason) from error
