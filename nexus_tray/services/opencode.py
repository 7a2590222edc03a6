"""OpenCode as a service: the driver that the supervisor holds.

Owns nothing but which run is which; a run's life is `opencode_run`. Imports the driver
protocol and this room. The supervisor's thread calls it, and each call returns at once:
what is slow happens in threads of the run.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from nexus_tray.core.driver import Report
from nexus_tray.gateway.http import Upstream
from nexus_tray.model import Level
from nexus_tray.services.opencode_probe import Limits
from nexus_tray.services.opencode_run import Plan, Run


class OpenCodeDriver:
    """Implements `core.driver.Driver` for OpenCode.

    `program` finds the native program (raises Problem; see `opencode_program.find`) and
    `environment` is what the child gets besides our own variables; both are called for
    each start, in a thread. `on_upstream` hears where OpenCode answers once it is ready,
    and None when it no longer may be asked; `on_log` gets each line of its log. Both are
    called from any thread and must not block or call back.
    """

    def __init__(
        self,
        *,
        program: Callable[[], Path],
        directory: Path,
        environment: Callable[[], Mapping[str, str]],
        on_upstream: Callable[[Upstream | None], None],
        on_log: Callable[[Level, str], None],
        limits: Limits | None = None,
    ) -> None:
        self._plan = Plan(
            program=program,
            directory=directory,
            environment=environment,
            on_upstream=on_upstream,
            on_log=on_log,
            limits=limits or Limits(),
        )
        self._lock = threading.Lock()
        self._runs: dict[int, Run] = {}

    def start(self, run: int, report: Report, /) -> None:
        """Begin run number `run`."""
        with self._lock:
            self._runs = {number: old for number, old in self._runs.items() if not old.over}
            self._runs[run] = Run(run, self._plan, report)

    def probe(self, run: int, /) -> None:
        """Find out whether the run is ready: health and, until then, the configuration."""
        found = self._find(run)
        if found is not None:
            found.probe()

    def stop(self, run: int, /) -> None:
        """Dispose, TERM, and after a grace what is left of the descendants."""
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
