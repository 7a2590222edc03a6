"""Which processes belong to a child of ours, and how all of them are ended.

A child's *descendant set* is found three ways at once, because each alone is escaped:
by parents (lost when a parent dies), by the session the child leads (left by `setsid`,
as OpenCode's tool shells do), and by a mark in the environment (lost by `env -i`). Marks
nest: what carries `a.b` also belongs to `a`, so the guard finds everything below it.
The guard imports this module: keep it small. Any thread may call.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping

if sys.platform == "linux":
    from nexus_tray.system import process_table as table
else:
    from nexus_tray.system import process_table_psutil as table

from nexus_tray.system.process_table import Identity as Identity
from nexus_tray.system.process_table import Row

MARK = "NEXUS_TRAY_RUN"
"""The environment variable that carries the mark."""

SPARED = "NEXUS_TRAY_SPARED"
"""Stands in the environment of what the person opened through us, such as their browser.

Not a way out that was not there before: whoever runs as this user can leave the guard by
other means (SECURITY.md: whoever reaches OpenCode owns the machine)."""

if sys.platform == "win32":
    KILL = signal.SIGTERM  # there, TERM cannot be ignored either
else:
    KILL = signal.SIGKILL

POLL = 0.02
"""Seconds between two looks at a set that is ending."""

identify = table.identify
send = table.send


def new_mark(above: str | None) -> str:
    """A fresh mark for a child of the process whose own mark is `above`."""
    fresh = os.urandom(8).hex()
    return f"{above}.{fresh}" if above else fresh


def spared(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for what shall outlive us: without our mark, with the one that spares."""
    kept = {name: text for name, text in environment.items() if name != MARK}
    return {**kept, SPARED: "1"}


def running(target: Identity) -> bool:
    """Whether exactly this process still runs (a zombie does not)."""
    entry = table.row(target[0])
    return entry is not None and entry[2] == target[1] and entry[3]


def members(root: Identity, mark: str, known: Collection[Identity] = ()) -> set[Identity]:
    """The processes that run now and belong to `root`, itself included if it runs.

    `known` were members before; they and their children still are, if they still run.
    The session counts only while the root's pid is still its own (alive, or a zombie not
    yet waited for): later the number may name a stranger's session. Never includes the
    calling process. Takes 2-20 ms.
    """
    rows = table.read()
    found = {pid for pid, started in known if pid in rows and rows[pid][2] == started}
    entry = rows.get(root[0])
    if entry is not None and entry[2] == root[1]:
        found.add(root[0])
        found |= {pid for pid, row in rows.items() if row[1] == root[0]}
    found |= _marked(rows, mark, root[1])
    found = _with_children(rows, found) - {os.getpid()}
    return {(pid, rows[pid][2]) for pid in found if rows[pid][3]}


def children(pid: int) -> set[Identity]:
    """Every process below `pid` that runs now, by parents alone, without itself.

    Without what is spared, and what that started: a browser's own children may have an
    environment that nobody can read.
    """
    rows = table.read()
    found = _with_children(rows, {pid}) - {pid}
    sign = f"\0{SPARED}=1\0".encode()
    free = {each for each in found if sign in b"\0" + table.environment(each)}
    found -= _with_children(rows, free)
    return {(each, rows[each][2]) for each in found if rows[each][3]}


def above(pid: int) -> set[Identity]:
    """The process itself, its parent, and so on, as far as they run now."""
    rows = table.read()
    found: set[Identity] = set()
    while pid in rows and (pid, rows[pid][2]) not in found:
        found.add((pid, rows[pid][2]))
        pid = rows[pid][0]
    return found


def _marked(rows: dict[int, Row], mark: str, since: float) -> set[int]:
    """Pids whose environment carries the mark or one below it; none is older than `since`."""
    start = b"\0" + os.fsencode(f"{MARK}={mark}")
    found = set()
    for pid, (_parent, _session, started, alive) in rows.items():
        if alive and started >= since:
            text = b"\0" + table.environment(pid)
            if start + b"\0" in text or start + b"." in text:
                found.add(pid)
    return found


def _with_children(rows: dict[int, Row], found: set[int]) -> set[int]:
    below: dict[int, list[int]] = {}
    for pid, row in rows.items():
        below.setdefault(row[0], []).append(pid)
    found, left = set(found), list(found)
    while left:
        for child in below.get(left.pop(), ()):
            if child not in found:
                found.add(child)
                left.append(child)
    return found


def end(
    find: Callable[[], set[Identity]],
    grace: float,
    patience: float = 5.0,
    pause: Callable[[float], None] = time.sleep,
) -> set[Identity]:
    """End every process that `find` names, now and while this goes on.

    TERM at first sight (and CONT, so that a stopped one can obey), KILL once `grace`
    seconds have passed, until a look finds none or `patience` more seconds are over.
    Returns those that are left: empty unless the kernel itself holds one.
    `pause` waits between looks; the guard reaps there.
    """
    began = time.monotonic()
    asked: set[Identity] = set()
    while True:
        left = find()
        waited = time.monotonic() - began
        if not left or waited > grace + patience:
            return left
        if waited >= grace:
            signal_all(left, KILL)
        else:
            signal_all(left - asked, signal.SIGTERM)
            asked |= left
        pause(POLL)


def signal_all(targets: Collection[Identity], number: int) -> None:
    """Signal each of these processes, and only these."""
    for target in targets:
        send(target, number)
        if number == signal.SIGTERM and sys.platform != "win32":
            send(target, signal.SIGCONT)
