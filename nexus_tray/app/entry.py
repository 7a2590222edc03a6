"""From the command line to Backend or to the program: the two that only this layer knows.

Imports the program itself only when it is to run, for `nexus-tray status` must be quick.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from nexus_tray import cli
from nexus_tray.api.client import connect
from nexus_tray.paths import Paths, find
from nexus_tray.reports import Bundle, Examination


def enter(arguments: Sequence[str]) -> int:
    """Carry out a command line; the exit code."""
    return cli.main(
        arguments,
        run=_run,
        connect=connect,
        examine=_examine,
        bundle=_bundle,
        selftest=_selftest,
    )


def _run(options: cli.RunOptions) -> int:
    from nexus_tray.app.running import run_program

    directory = Path(options.directory or Path.cwd()).expanduser().absolute()
    return run_program(find(os.environ), directory, headless=options.headless)


def _examine(paths: Paths) -> Examination:
    from nexus_tray.app.doctor import alone

    return alone(paths, os.environ, Path.cwd())


def _selftest() -> Examination:
    from nexus_tray.app.selftest import selftest

    return selftest(os.environ)


def _bundle(paths: Paths) -> Bundle:
    from nexus_tray.app.bundle import alone

    return alone(paths, os.environ, Path.cwd())
