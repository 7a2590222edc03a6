"""OpenCode as a service: the driver that the supervisor holds.

Owns what OpenCode's runs are made of; a run's life is `opencode_run`. Imports this room.
The supervisor's thread calls it, and each call returns at once: what is slow happens in
threads of the run.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from nexus_tray.gateway.http import Upstream
from nexus_tray.model import Level
from nexus_tray.services.opencode_probe import Limits
from nexus_tray.services.opencode_run import Plan, Run
from nexus_tray.services.run_driver import RunDriver


class OpenCodeDriver(RunDriver):
    """Implements `core.driver.Driver` for OpenCode.

    `program` finds the native program (raises Problem; see `opencode_program.find`),
    `environment` is what the child gets besides our own variables, `directory` where it
    starts; all are called for each start, in a thread. `on_upstream` hears where OpenCode
    answers once it is ready, and None when it no longer may be asked; `on_log` gets each
    line of its log. Both are called from any thread and must not block or call back.
    """

    def __init__(
        self,
        *,
        program: Callable[[], Path],
        directory: Callable[[], Path],
        environment: Callable[[], Mapping[str, str]],
        on_upstream: Callable[[Upstream | None], None],
        on_log: Callable[[Level, str], None],
        limits: Limits | None = None,
    ) -> None:
        plan = Plan(
            program=program,
            directory=directory,
            environment=environment,
            on_upstream=on_upstream,
            on_log=on_log,
            limits=limits or Limits(),
        )
        super().__init__(lambda number, report: Run(number, plan, report))
