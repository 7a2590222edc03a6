"""What the gateway's loop has to write down and cannot wait for: done aside, in one thread.

Owns that thread and its bound: beyond a hundred under way nothing is taken any more, for a flood of
strangers must cost neither memory nor disk. May be called from the gateway's loop.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from nexus_tray.model import Problem

log = logging.getLogger(__name__)

MOST = 100


class Aside:
    """The thread. Close it when done."""

    def __init__(self) -> None:
        self._writer = ThreadPoolExecutor(1, "nexus-aside")
        self._room = threading.BoundedSemaphore(MOST)

    def write(self, work: Callable[[], None]) -> None:
        """Have it done soon, or, in a crowd, not at all. Never waits."""
        if self._room.acquire(blocking=False):
            try:
                self._writer.submit(self._do, work)
            except RuntimeError:  # the program ends
                self._room.release()

    def close(self) -> None:
        """End it; what is under way is finished."""
        self._writer.shutdown(wait=True, cancel_futures=True)

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Problem as problem:
            log.warning("something could not be written down: %s", problem.reason.what)
        finally:
            self._room.release()
