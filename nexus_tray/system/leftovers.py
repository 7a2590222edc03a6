"""What an earlier life of this instance left running, found by its guard's mark and ended.

Guard and program may be killed both at once; then nobody ends their children. So each
program records its guard's mark, and the next one ends what still carries the mark of a
guard that is dead. Owns the record (`paths.guards_file`). Used while the lock of
`system.instance` is held, before any service starts; `left` by any thread.

SECURITY 26: a process counts only if it is this user's, was started after that guard, in
this boot, and carries its mark (64 random bits, known to nobody else) or descends from one
that does; and it is signalled by pid and start time together.
"""

import logging
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from nexus_tray.model import Problem
from nexus_tray.paths import Paths
from nexus_tray.store.files import ensure_private_dir, read_private, write_atomic
from nexus_tray.system import guard, process_tree
from nexus_tray.system.process_tree import Identity

logger = logging.getLogger(__name__)

GRACE, PATIENCE = 2.0, 2.0
"""Seconds between TERM and KILL, and after that: what a start waits at most."""
MOST_REMEMBERED = 16
_SIZE_LIMIT = 64 * 1024
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Life(msgspec.Struct, frozen=True):
    """One guard of this instance: its mark, its pid and start time, and the boot of these."""

    mark: str
    guard: Identity
    boot: str


def own(environment: Mapping[str, str]) -> Life | None:
    """The life that this program belongs to; None without a guard. Before `guard.watch`."""
    mark = environment.get(process_tree.MARK)
    parent = process_tree.identify(os.getppid())
    if not mark or parent is None or guard.PIPE not in environment:
        return None
    return Life(mark, parent, _boot())


def sweep(paths: Paths, mine: Life | None) -> int:
    """End what dead lives of this instance left running, and record this one.

    How many were ended. Takes some milliseconds if there is nothing, else at most 4 s.
    Raises nothing: a start must not fail for this; what goes wrong is logged.
    """
    ended, kept = 0, []
    for life in _recorded(paths):
        if life.boot != _boot() or (mine is not None and life.mark == mine.mark):
            continue
        if process_tree.running(life.guard):
            kept.append(life)  # it ends them itself
            continue
        found = _of(life)
        if found is None:
            logger.warning("This program was started from what an earlier one left running.")
            kept.append(life)
        elif found:
            stubborn = _end(life)
            ended += len(found - stubborn)
            pids = ", ".join(str(pid) for pid, _ in sorted(found))
            logger.warning("An earlier run left processes, which were ended: %s", pids)
            if stubborn:
                kept.append(life)
    if mine is not None:
        kept.append(mine)
    _record(paths, kept[-MOST_REMEMBERED:])
    return ended


def left(paths: Paths, mark: str | None) -> set[int]:
    """The pids of what dead lives left running, but for the life of this mark."""
    found: set[int] = set()
    for life in _recorded(paths):
        if life.boot == _boot() and life.mark != mark and not process_tree.running(life.guard):
            found |= {pid for pid, _ in _of(life) or ()}
    return found


def _end(life: Life) -> set[Identity]:
    known: set[Identity] = set()  # when TERM ends a parent, who hides below it is still known

    def remaining() -> set[Identity]:
        found = _of(life, known) or set()
        known.update(found)
        return found

    return process_tree.end(remaining, GRACE, PATIENCE)


def _of(life: Life, known: Collection[Identity] = ()) -> set[Identity] | None:
    """What runs of this life; None if we ourselves descend from it and must not end it."""
    found = process_tree.members(life.guard, life.mark, known)
    inside = f"{os.environ.get(process_tree.MARK)}.".startswith(f"{life.mark}.")
    if inside or found & process_tree.above(os.getpid()):
        return None
    return {target for target in found if _is_ours(target[0])}


def _is_ours(pid: int) -> bool:
    """Whether it is this user's; a root's program could read and end everybody's."""
    if sys.platform != "linux":
        return True  # elsewhere a stranger's environment cannot be read
    try:
        return Path(f"/proc/{pid}").stat().st_uid == os.getuid()
    except OSError:
        return False


def _recorded(paths: Paths) -> list[Life]:
    try:
        return msgspec.json.decode(read_private(paths.guards_file, _SIZE_LIMIT), type=list[Life])
    except FileNotFoundError:
        return []
    except (Problem, OSError, msgspec.MsgspecError) as error:
        logger.warning("What an earlier run may have left is not known: %s", error)
        return []


def _record(paths: Paths, lives: list[Life]) -> None:
    try:
        ensure_private_dir(paths.run)
        write_atomic(paths.guards_file, msgspec.json.encode(lives))
    except (Problem, OSError) as error:
        logger.warning("If this run is killed, the next cannot find what it leaves: %s", error)


def _boot() -> str:
    """Names this boot of the machine, where the system does: start times count from it."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
