"""The window on a desktop with a window manager: the product's own child process, GTK or Qt.

Where the machine has no web view there is no window either, and so no picture of it.
"""

import sys
import time
from pathlib import Path

from PIL import Image

from nexus_tray.paths import find
from tests.api.doubles import stored_house
from tests.dashboard import house as made_up
from tests.dashboard import screenshots as dashboard
from tests.dashboard.conftest import start
from tests.desktop.window_desk import WindowDesk, has_web_view, show, within
from tests.screenshots.panel import desktop
from tests.screenshots.picture import save

LINK = (0x0B, 0x5F, 0xB0)
"""The colour of links on the light theme: the address is there once it is."""


def shoot(folder: Path, home: Path) -> None:
    """The whole desktop with the window on it."""
    if not has_web_view():
        sys.stderr.write("No web view here, so no picture of the window.\n")
        return
    paths = find({"NEXUS_TRAY_HOME": str(home / "window-home")})
    with desktop(home / "window", "light") as at, stored_house(paths) as house:
        dashboard.furnish(house)
        made_up.well(house, time.time())
        server = start(house.backend)
        handlers = WindowDesk(house.backend, server, at.display, paths.data).handlers()
        try:
            show(handlers)
            within(30, lambda: shows(at.picture(), LINK), "the dashboard in the window")
            save(at.settled(), folder / "window.png")
        finally:
            handlers.close()
            server.stop()


def shows(picture: Image.Image, colour: tuple[int, int, int]) -> bool:
    """Whether this very colour is anywhere in the picture."""
    return any(found == colour for _, found in picture.getcolors(1 << 20) or ())
