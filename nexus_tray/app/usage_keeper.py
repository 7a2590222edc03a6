"""What each device moved, carried from the gateway's counters into its row.

Owns what was taken from the counters and not yet stored: where the disk refuses, it is kept for
the next time. Any thread; waits for the gateway's loop and for the disk, so not on that loop.
"""

import threading
from collections.abc import Callable, Mapping

from nexus_tray.store.accounts import Accounts

Moved = Mapping[str, tuple[int, int]]
"""Bytes (received, sent) by the id of a session."""


class UsageKeeper:
    """`take` answers what was moved since it was last asked."""

    def __init__(self, take: Callable[[], Moved], accounts: Accounts) -> None:
        self._take = take
        self._accounts = accounts
        self._lock = threading.Lock()
        self._unsaved: dict[str, tuple[int, int]] = {}

    def save(self) -> None:
        """Store it, so that the rows are true now. Raises Problem; nothing is lost then."""
        with self._lock:
            for key, (received, sent) in self._take().items():
                before = self._unsaved.get(key, (0, 0))
                self._unsaved[key] = (before[0] + received, before[1] + sent)
            if self._unsaved:
                self._accounts.add_usage(self._unsaved)
                self._unsaved = {}
