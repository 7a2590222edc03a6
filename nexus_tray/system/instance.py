"""One instance for each user and home: whoever holds the lock.

The kernel drops the lock when its holder dies, however that happens, and children do not
inherit it: so a lock file left behind says nothing, and no pid is ever trusted. Taken by
the program, not by its guard. Any thread may call.
"""

import os

import filelock

from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.paths import Paths
from nexus_tray.store.files import ensure_private_dir, open_private

ALREADY_RUNNING = Reason(
    code="already-running",
    hop=Hop.GATEWAY,
    what="Nexus Tray is already running.",
    meaning="A second one would start OpenCode and the tunnels twice, so this one ends.",
    cure="See how it is: nexus-tray status. To end it: nexus-tray quit.",
)


class Instance:
    """The hold on being the only one: keep it. `release`, or losing it, gives it up."""

    def __init__(self, lock: filelock.BaseFileLock) -> None:
        self._lock = lock

    def release(self) -> None:
        """Let another instance start. May be called again."""
        self._lock.release()


def take(paths: Paths) -> Instance:
    """Become the only instance.

    Raises Problem: "already-running"; what `store.files` finds wrong with the place; or
    "no-locks" where the file system cannot lock (some network mounts), for then nothing
    could be promised.
    """
    ensure_private_dir(paths.run)
    os.close(open_private(paths.lock, os.O_RDWR | os.O_CREAT))  # not planted, and 0600
    lock = filelock.FileLock(
        paths.lock, timeout=0, mode=0o600, thread_local=False, fallback_to_soft=False
    )
    try:
        lock.acquire()
    except filelock.Timeout:
        raise Problem(ALREADY_RUNNING) from None
    except OSError as error:
        raise Problem(_cannot_lock(paths, error)) from error
    return Instance(lock)


def _cannot_lock(paths: Paths, error: OSError) -> Reason:
    return Reason(
        code="no-locks",
        hop=Hop.GATEWAY,
        what=f"{paths.lock} could not be locked: {error.strerror or error}.",
        meaning="Without a lock, two instances could run at once, so none starts.",
        cure="Put it on a local disk: set NEXUS_TRAY_HOME to a folder there.",
    )
