"""The program below the guard: begun, shown, and ended with one of the guard's exit codes.

Owns `run_program`: signals, the first words on the terminal, the tray's turn on the main thread.
What the program is made of is `app.program`.
"""

import logging
import os
import signal
import sys
import threading
from pathlib import Path

from nexus_tray import __version__
from nexus_tray.api.client import connect
from nexus_tray.app import face, first_start
from nexus_tray.app.at_login import at_login
from nexus_tray.app.program import Program
from nexus_tray.commands import ShowWindow
from nexus_tray.desktop import last_word
from nexus_tray.model import Problem, Reason
from nexus_tray.paths import Paths
from nexus_tray.system import guard, instance
from nexus_tray.system.autostart import AtLogin

logger = logging.getLogger(__name__)

SWITCH_SECONDS = 0.0005
"""How long one thread may keep Python's lock while another waits. The default of 5 ms, beside
one busy thread, took the gateway's median from 0.24 to 10.7 ms; this one to 1.4 (FACTS.md)."""

HINT = "How it stands: nexus-tray status. To end it: Ctrl-C here, or nexus-tray quit."
"""For whoever looks at the terminal of `run`, on which nothing else would stand."""


def run_program(paths: Paths, directory: Path, *, headless: bool) -> int:
    """Run until asked to end; an exit code of `system.guard`."""
    sys.setswitchinterval(SWITCH_SECONDS)
    listener = guard.listener()  # before any child is started
    headless = face.is_headless(os.environ, asked=headless)
    starter = at_login(os.environ, directory, headless=headless)
    try:
        program = Program(paths, directory, starter, listener, desktop=not headless)
    except Problem as problem:
        sys.stderr.write(f"nexus-tray: {problem.reason}\n")
        if problem.reason.code != instance.ALREADY_RUNNING.code:
            return _refused(problem.reason, headless=headless)
        if not headless:
            _show_the_other(paths)
        return guard.ALREADY_RUNNING
    guard.watch(program.ask_to_end)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):  # not every system has them all
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: program.ask_to_end())
    _repair(starter)
    try:
        program.start()
        sys.stderr.write(f"Nexus Tray {__version__} runs. {HINT}\n")
        _greet(program, headless=headless)
        if not headless:
            program.notify(os.environ)
            face.show(program.backend, os.environ, directory, program.wait)
        program.wait()
    except Problem as problem:  # such as a full disk: its local API could not be told of
        sys.stderr.write(f"nexus-tray: {problem.reason}\n")
        return _refused(problem.reason, headless=headless)
    finally:
        in_time = program.close()
    if not in_time:
        sys.stderr.write("nexus-tray: not everything ended in time; the guard ends the rest.\n")
    return guard.NORMAL


def _greet(program: Program, *, headless: bool) -> None:
    """Lead to the first step, in a thread: looking for programs takes its time."""

    def say(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    threading.Thread(
        target=first_start.greet,
        args=(program.backend, say),
        kwargs={"headless": headless},
        name="first start",
        daemon=True,
    ).start()


def _refused(reason: Reason, *, headless: bool) -> int:
    """It cannot start. At login there is no terminal, so the desktop is told too."""
    if not headless:
        last_word.tell(reason, os.environ)
    return guard.REFUSED


def _show_the_other(paths: Paths) -> None:
    """Who starts the program twice wants to see it: show the window of the one that runs."""
    try:
        outcome = connect(paths).submit(ShowWindow())
    except Problem as problem:  # it is only starting, or ending
        logger.info("%s", problem.reason)
        return
    sys.stderr.write(f"nexus-tray: {outcome.reason or outcome.value or 'Its window is shown.'}\n")


def _repair(starter: AtLogin) -> None:
    """A program that was moved is found again at the next login."""
    try:
        done = starter.repair()
    except Problem as problem:
        logger.warning("%s", problem.reason)
    else:
        if done:
            logger.info("%s", done)
