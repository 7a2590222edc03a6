"""What a person sees first: the way to the first step, shown or said.

Owns when that happens: once per start, while the first start is not finished. Imports the
commands and Backend. `greet` blocks for seconds at most; the composition root gives it a thread.
"""

import logging
from collections.abc import Callable

from nexus_tray.commands import ShowWindow
from nexus_tray.core.backend import Backend
from nexus_tray.model import Problem

logger = logging.getLogger(__name__)

WELCOME = "/welcome"
NEXT = "Next, choose a password for remote access: nexus-tray password set"


def greet(backend: Backend, say: Callable[[str], None], *, headless: bool) -> None:
    """Show the first start where there is a desktop; else say the next step in the terminal."""
    try:
        setup = backend.setup()
    except Problem as problem:
        logger.warning("%s", problem.reason)
        return
    if setup.finished:
        return
    if headless:
        if not setup.password:
            say(NEXT)
        return
    outcome = backend.submit(ShowWindow(page=WELCOME))
    if outcome.reason is not None:
        say(str(outcome.reason))
