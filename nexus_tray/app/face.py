"""The program's face on the desktop: which there is, put together and shown.

Owns what the tray gets from the system (browser, clipboard, pictures). Everything of a
desktop is imported here and only when there is one. Main thread.
"""

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import nexus_tray
from nexus_tray.app.at_login import install_entry
from nexus_tray.core.backend import Backend
from nexus_tray.desktop.session import has_desktop
from nexus_tray.model import Problem, Reason
from nexus_tray.system import browser, clipboard

logger = logging.getLogger(__name__)

HEADLESS = "No desktop found: running headless."


def is_headless(environment: Mapping[str, str], *, asked: bool) -> bool:
    """Whether to run without a tray icon; says so if nobody asked for it."""
    if asked:
        return True
    if has_desktop(environment):
        return False
    sys.stderr.write(f"nexus-tray: {HEADLESS}\n")
    return True


def show(
    backend: Backend,
    environment: Mapping[str, str],
    directory: Path,
    until_end: Callable[[], None],
) -> None:
    """Show the tray icon until `until_end` returns, or until the desktop is gone.

    Without an icon, the reason is said, and this returns at once: the program goes on.
    """
    from nexus_tray.desktop.choice import choose
    from nexus_tray.desktop.tray import Hands, Tray

    icons = icons_folder()
    hands = Hands(
        lambda address: browser.open_address(address, environment),
        clipboard.find(environment),
        _say,
    )
    try:
        install_entry(environment, directory, icons / "nexus-tray.svg")
    except OSError as error:
        logger.warning("The desktop's menu does not know Nexus Tray: %s", error)
    try:
        tray = Tray(backend, lambda on_click: choose(environment, icons, on_click), hands)
    except Problem as problem:
        _say(problem.reason)
        return
    except Exception:
        # a toolkit's own failure must not cost the way to OpenCode
        logger.exception("The tray icon cannot be shown.")
        return

    def end() -> None:
        until_end()
        tray.stop()

    threading.Thread(target=end, name="tray end", daemon=True).start()
    logger.info("The tray icon is shown by %s.", type(tray.icon).__name__)
    tray.run()


def icons_folder() -> Path:
    """Where the rendered pictures are: in the checkout, or in the package."""
    package = Path(nexus_tray.__file__).parent
    inside = package / "icons"
    return inside if inside.is_dir() else package.parent / "icons"


def _say(reason: Reason) -> None:
    logger.warning("%s", reason)
    sys.stderr.write(f"nexus-tray: {reason}\n")
