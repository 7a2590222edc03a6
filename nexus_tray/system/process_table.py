"""All processes as Linux shows them in /proc, and signals that cannot hit the wrong one.

Owns the reading of /proc; `system.process_tree` decides what belongs together. Imports
only what is loaded anyway, for the guard holds this module in its few megabytes: hence
tuples instead of dataclasses and `os` instead of pathlib. Any thread may call.
The twin for other systems is `system.process_table_psutil`.
"""

import os
import signal
from contextlib import suppress

Identity = tuple[int, float]
"""Pid and start time. A pid alone is reused; together they name one process for ever."""

Row = tuple[int, int, float, bool]
"""Parent's pid, session, start time (clock ticks since boot), and whether it still runs."""


def row(pid: int) -> Row | None:
    """One process, or None if there is none. A zombie is there, but does not run."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib costs 1 MB
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # proc(5): the name stands in parentheses and may itself contain any character
    fields = text[text.rindex(b")") + 2 :].split()
    return int(fields[1]), int(fields[3]), float(fields[19]), fields[0] not in (b"Z", b"X")


def read() -> dict[int, Row]:
    """Every process by its pid, as they were during the reading."""
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib costs 1 MB
        if name.isdigit():
            entry = row(int(name))
            if entry is not None:
                found[int(name)] = entry
    return found


def environment(pid: int) -> bytes:
    """What a process was given at its start, NUL-separated; empty if it may not be read.

    Source: proc(5), /proc/pid/environ. Another user's process refuses, and is not ours.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - pathlib costs 1 MB
            return file.read()
    except OSError:
        return b""


def identify(pid: int) -> Identity | None:
    """The identity of the process that has this pid now; None if there is none."""
    entry = row(pid)
    return (pid, entry[2]) if entry is not None else None


def send(target: Identity, number: int) -> bool:
    """Signal exactly this process; False if it is gone or not ours to signal.

    SECURITY 26: the pidfd is opened first and the start time compared afterwards, so the
    signal reaches the process that was compared, or nobody.
    """
    pid = target[0]
    try:
        handle = os.pidfd_open(pid)
    except OSError:  # gone; or a kernel before 5.3, where comparing alone must do
        return _send_without_handle(target, number)
    try:
        if identify(pid) != target:
            return False
        with suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(handle, number)
            return True
        return False
    finally:
        os.close(handle)


def _send_without_handle(target: Identity, number: int) -> bool:
    if identify(target[0]) != target:
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.kill(target[0], number)
        return True
    return False
