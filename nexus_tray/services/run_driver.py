"""Which run is which: what every driver of a child process has in common.

A run is one life of a process, an object that acts by itself; a driver only finds the
right one. The supervisor's thread calls, and each call returns at once.
"""

import threading
from collections.abc import Callable
from typing import Protocol

from nexus_tray.core.driver import Report


class Run(Protocol):
    """One life, begun at once when made. All methods return at once; any thread may call."""

    @property
    def over(self) -> bool:
        """Its end was reported; it can be forgotten."""

    def probe(self) -> None:
        """Find out whether it is ready, and report."""

    def stop(self) -> None:
        """End it in order."""

    def kill(self) -> None:
        """End it now, descendants included."""


class RunDriver:
    """Implements `core.driver.Driver` over runs that `begin(number, report)` makes."""

    def __init__(self, begin: Callable[[int, Report], Run]) -> None:
        self._begin = begin
        self._lock = threading.Lock()
        self._runs: dict[int, Run] = {}

    def start(self, run: int, report: Report, /) -> None:
        """Begin run number `run`."""
        with self._lock:
            self._runs = {number: old for number, old in self._runs.items() if not old.over}
            self._runs[run] = self._begin(run, report)

    def probe(self, run: int, /) -> None:
        """Find out whether the run is ready."""
        found = self._find(run)
        if found is not None:
            found.probe()

    def stop(self, run: int, /) -> None:
        """End the run in order, within its grace."""
        found = self._find(run)
        if found is not None:
            found.stop()

    def kill(self, run: int, /) -> None:
        """End the run and its descendants at once."""
        found = self._find(run)
        if found is not None:
            found.kill()

    def _find(self, run: int) -> Run | None:
        with self._lock:
            found = self._runs.get(run)
        return found if found is not None and not found.over else None
