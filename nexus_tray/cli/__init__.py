"""The command line: parse, reach the running instance, act, say it, exit.

Owns `main`. Knows the running instance as a Backend only: how to reach it (`connect`) and
how to become one (`run`) are given by `nexus_tray.__main__`. Imports layer 1 and Backend,
and as little else as it can, for `status` is to take under 0.15 s. Main thread.
"""

import os
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nexus_tray.cli import doctor
from nexus_tray.cli.console import Console, Exit, real_console
from nexus_tray.cli.parser import build
from nexus_tray.core.backend import Backend
from nexus_tray.model import Problem
from nexus_tray.paths import Paths, find
from nexus_tray.reports import Bundle, Examination


@dataclass(frozen=True)
class RunOptions:
    """What `run` was asked for. `directory`: the folder for OpenCode; empty: not said."""

    headless: bool
    directory: str


def main(
    argv: Sequence[str],
    *,
    run: Callable[[RunOptions], int],
    connect: Callable[[Paths], Backend],
    examine: Callable[[Paths], Examination] | None = None,
    bundle: Callable[[Paths], Bundle] | None = None,
    selftest: Callable[[], Examination] | None = None,
    console: Console | None = None,
) -> int:
    """Carry out one command line (without the program's name); the exit code (`Exit`).

    `run` becomes the program and returns its exit code. `connect` gives the running
    instance or raises Problem "not-running"; `examine` and `bundle` then stand in for `doctor`.
    `selftest` needs no instance.
    Wrong usage raises SystemExit(2), as argparse does.
    """
    console = console or real_console(os.environ)
    options = build().parse_args(argv)
    if options.action is None:
        return run(RunOptions(headless=options.headless, directory=options.directory))
    console = replace(console, json=options.json)
    try:
        if options.action is doctor.tell and selftest is not None:
            return int(doctor.tell(selftest(), options, console))
        instead = bundle if getattr(options, "bundle", "") else examine
        code = _act(options, console, connect, instead)
        console.out.flush()  # here, where a reader that left is expected
        return code
    except Problem as problem:
        return int(console.refuse(problem.reason))
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    except BrokenPipeError:
        return int(_unheard(console))


def _unheard(console: Console) -> Exit:
    """The reader of our output left (`| head`). Python would complain again at its exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, console.out.fileno())
    os.close(nowhere)
    return Exit.OK


def _act(
    options: Namespace,
    console: Console,
    connect: Callable[[Paths], Backend],
    instead: Callable[[Paths], Examination | Bundle] | None,
) -> int:
    """Carry out the action, over the running instance if it needs one. Raises Problem."""
    paths = find(console.environment)
    alone = getattr(options, "alone", None)
    try:
        backend = connect(paths)
        return int(options.action(backend, options, console))
    except Problem as problem:
        if alone is None or instead is None or problem.reason.code != "not-running":
            raise
    return int(alone(lambda: instead(paths), options, console))
