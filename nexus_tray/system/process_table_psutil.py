"""All processes as psutil shows them: the twin of `system.process_table` off Linux.

Same functions, same meaning; the tests run one contract over both (on Linux: macOS and
Windows themselves are untested). Start times are seconds since the epoch. Any thread
may call.
"""

import os

import psutil

from nexus_tray.system.process_table import Identity, Row

_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError)


def _row(process: psutil.Process) -> Row | None:
    try:
        with process.oneshot():
            started, parent = process.create_time(), process.ppid()
            alive = process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return None
    except _GONE:  # another user's: there, but nothing of it can be known
        return 0, 0, 0.0, True
    return parent, _session(process.pid), started, alive


def _session(pid: int) -> int:
    if not hasattr(os, "getsid"):
        return 0
    try:
        return int(os.getsid(pid))
    except OSError:
        return 0


def row(pid: int) -> Row | None:
    """One process, or None if there is none. A zombie is there, but does not run."""
    try:
        return _row(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return None


def read() -> dict[int, Row]:
    """Every process by its pid, as they were during the reading."""
    rows = ((process.pid, _row(process)) for process in psutil.process_iter())
    return {pid: entry for pid, entry in rows if entry is not None}


def environment(pid: int) -> bytes:
    """What a process was given at its start, NUL-separated; empty if it may not be read."""
    try:
        pairs = psutil.Process(pid).environ()
    except _GONE:
        return b""
    return b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in pairs.items())


def identify(pid: int) -> Identity | None:
    """The identity of the process that has this pid now; None if there is none."""
    entry = row(pid)
    return (pid, entry[2]) if entry is not None else None


def send(target: Identity, number: int) -> bool:
    """Signal exactly this process; False if it is gone or not ours to signal.

    Between comparing and signalling a pid could in theory change hands: systems without
    pidfd offer nothing better, except Windows, where psutil holds the process open.
    """
    try:
        process = psutil.Process(target[0])
        if process.create_time() != target[1]:
            return False
        process.send_signal(number)
    except _GONE:
        return False
    return True
