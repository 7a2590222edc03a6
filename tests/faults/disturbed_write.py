"""Run by test_writes in a process of its own: a write, struck at each of its steps in turn.

`python -m tests.faults.disturbed_write WRITE FOLDER FAULT` performs the write once for
every system call in it that touches files, each time in a child and on a folder of its
own (FOLDER/1, FOLDER/2 ...). At that call the child dies by a real SIGKILL (before the
call, after it, or in the middle of the bytes), or the call fails for want of room. A line
of JSON tells what became of each; the last one met no such call any more.
"""

import contextlib
import copy
import errno
import functools
import hashlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nexus_tray.app.job_file import JobFile
from nexus_tray.app.job_record import Record
from nexus_tray.model import Problem
from nexus_tray.paths import find
from nexus_tray.services.shelf import Shelf
from nexus_tray.store import files, secret_file
from nexus_tray.store.config import ConfigStore

OLD, NEW = b"old " * 20_000, b"new " * 30_000
CALLS = ("open", "write", "fsync", "replace", "unlink", "mkdir", "rename", "link", "close")
PASSPHRASE = "a passphrase of some length"
DAMAGED = b'{"logs": '
# What became of a child, beside its death by the signal.
UNDISTURBED, SAID, THROUGH = 0, 3, 4


def atomic(folder: Path) -> None:
    files.write_atomic(folder / "file", NEW)


def config_update(folder: Path) -> None:
    ConfigStore(find({"NEXUS_TRAY_HOME": str(folder)})).update({"logs": {"max_megabytes": 2}})


def config_migration(folder: Path) -> None:
    ConfigStore(find({"NEXUS_TRAY_HOME": str(folder)})).load()


def config_restored(folder: Path) -> None:
    ConfigStore(find({"NEXUS_TRAY_HOME": str(folder)})).restore_last_good(1_795_000_000.0)


@functools.cache
def sealed() -> tuple[bytes, secret_file.SecretFile]:
    """A file of secrets and what opens it: the key is derived once, for that takes long."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "secrets.enc"
        opened = secret_file.open_file(path, PASSPHRASE)
        opened.write({"A_KEY": "old"})
        return path.read_bytes(), opened


def opened(folder: Path) -> secret_file.SecretFile:
    file = copy.copy(sealed()[1])
    vars(file)["_path"] = folder / "secrets.enc"
    return file


def secrets(folder: Path) -> None:
    opened(folder).write({"A_KEY": "new", "MORE": "x" * 5000})


def jobs_of(folder: Path) -> JobFile:
    return JobFile(folder / "jobs.json", lambda: 1_795_000_000.0)


def record(name: str) -> Record:
    return Record(name, "create", name, 1.0, {})


def jobs(folder: Path) -> None:
    jobs_of(folder).write([record("new")])


def shelf_of(folder: Path) -> Shelf:
    return Shelf(folder / "tools" / "cloudflared", "cloudflared")


def put(folder: Path, version: str) -> None:
    arrived = folder / "tools" / "arrived"
    files.write_atomic(arrived, version.encode() * 5000)
    shelf_of(folder).put(version, arrived, hashlib.sha256(arrived.read_bytes()).hexdigest())


def tool(folder: Path) -> None:
    put(folder, "2026.9.1")


def prepare(write: str, folder: Path) -> None:
    """What stands before the write."""
    files.ensure_private_dir(folder)
    if write == "atomic":
        files.write_atomic(folder / "file", OLD)
    elif write == "update":
        ConfigStore(find({"NEXUS_TRAY_HOME": str(folder)})).update({"logs": {"max_megabytes": 1}})
    elif write == "migration":
        files.ensure_private_dir(folder / "config")
        files.write_atomic(folder / "config" / "config.json", b'{"logs": {"max_megabytes": 1}}')
    elif write == "restore":
        ConfigStore(find({"NEXUS_TRAY_HOME": str(folder)})).update({"logs": {"max_megabytes": 1}})
        (folder / "config" / "config.json").write_bytes(DAMAGED)
    elif write == "secrets":
        files.write_atomic(folder / "secrets.enc", sealed()[0])
    elif write == "jobs":
        jobs_of(folder).write([record("old")])
    elif write == "tool":
        files.ensure_private_dir(folder / "tools")
        put(folder, "2026.8.2")


WRITES: dict[str, Callable[[Path], None]] = {
    "atomic": atomic,
    "update": config_update,
    "first": config_update,
    "migration": config_migration,
    "restore": config_restored,
    "secrets": secrets,
    "jobs": jobs,
    "tool": tool,
}


class Disturbance:
    """Counts the calls, and strikes at one of them."""

    def __init__(self, step: int, fault: str) -> None:
        self.step = step
        self.fault = fault
        self.calls = 0

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def disturbed(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls != self.step:
                return call(*arguments, **options)
            if self.fault == "full":
                return self.fill(name, call, arguments, options)
            if self.fault == "torn" and name == "write":
                call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            elif self.fault == "after":
                with contextlib.suppress(OSError):  # such as opening what is not there
                    call(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError("unreachable")

        return disturbed

    def fill(self, name: str, call: Callable[..., Any], arguments: Any, options: Any) -> Any:
        """No room: half the bytes go in, then none; what needs no room goes on working."""
        if name == "write" and len(arguments[1]) > 1:
            self.step += 1
            return call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
        if name in ("unlink", "close"):
            return call(*arguments, **options)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def child(write: str, folder: Path, step: int, fault: str) -> int:
    disturbance = Disturbance(step, fault)
    for name in CALLS:
        setattr(os, name, disturbance.wrap(name, getattr(os, name)))
    try:
        WRITES[write](folder)
    except Problem as problem:
        return SAID if problem.reason.code == "disk-full" else 1
    except OSError as error:  # a shelf's caller says it
        return SAID if error.errno == errno.ENOSPC else 1
    return THROUGH if disturbance.calls >= step else UNDISTURBED


def main(write: str, base: str, fault: str) -> None:
    for step in range(1, 500):
        folder = Path(base) / str(step)
        prepare(write, folder)
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(child(write, folder, step, fault))
            finally:
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sys.stdout.write(json.dumps([str(folder), code]) + "\n")
        if code == UNDISTURBED:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
