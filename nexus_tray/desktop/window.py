"""The process of the dashboard's window: started on demand, gone with the window.

Owns the words between it and the program. On standard input: `show LINK` (the first line;
later: go there), `raise`, `end`; the end of the input is the program's end. On standard
output: `shown`, `browse ADDRESS` (open it in the person's browser), `renew` (my page is
locked out: a new link), `died` (my page has crashed: a new link), `failed TEXT`. Links never
stand in argv, which every user can read. A process of its own, for a web engine takes
160 MB and gives them back only by ending. pywebview is imported here and in `window_gtk`
only; neither its server nor its bridge to Python is used.
"""

import argparse
import logging
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec

from nexus_tray.desktop import window_place
from nexus_tray.desktop.window_links import origin
from nexus_tray.desktop.window_place import LEAST_HEIGHT, LEAST_WIDTH, Place

if TYPE_CHECKING:  # both load a toolkit, or need one
    from webview import Window

    from nexus_tray.desktop.window_gtk import GtkHands

TITLE = "Nexus Tray"
NAME = "nexus-tray"
ENDING_SECONDS = 2.0
"""How long the window may take to go when the program ends; then it is gone anyway."""

BROKEN = 3
"""Exit code: no window could be made, or not one that keeps the rules."""

logger = logging.getLogger("nexus_tray.desktop.window")


class Child:
    """This process. Made on the main thread, which becomes the toolkit's in `run`."""

    def __init__(self, home: Path, mark: str, link: str) -> None:
        self._file = home / "window.json"
        self._home = home
        self._link = link
        self._own = origin(link)
        self._lock = threading.Lock()
        self._place = msgspec.structs.replace(window_place.read(self._file), open_under=mark)
        self._lost = False
        self._hands: GtkHands | None = None

    def run(self) -> None:
        """Show the window until it is closed. Raises webview.WebViewException without a toolkit."""
        import webview

        window = webview.create_window(
            TITLE,
            self._link,
            width=self._place.width,
            height=self._place.height,
            min_size=(LEAST_WIDTH, LEAST_HEIGHT),
            text_select=True,
        )
        if window is None:
            raise webview.WebViewException("pywebview made no window")
        window.events.before_show += lambda: self._prepare(window)
        storage = self._home / "window"
        window_place.write(self._file, self._place)
        # not private: the page keeps its theme; tickets and tokens stay in memory all the same
        webview.start(gui="gtk", private_mode=False, storage_path=str(storage), icon=_icon())
        if not self._lost:
            self._keep(msgspec.structs.replace(self._place, open_under=""))

    def listen(self) -> None:
        """Do what the program asks, until its end."""
        for line in sys.stdin:
            word, _, rest = line.strip().partition(" ")
            hands = self._hands
            if hands is None:  # it is only coming; then it comes to the front anyway
                if word == "end":
                    break
            elif word == "show":
                hands.call(lambda hands=hands, rest=rest: hands.load(rest))  # type: ignore[misc]
                hands.call(hands.raise_)
            elif word == "raise":
                hands.call(hands.raise_)
            elif word == "end":
                break
        else:
            self._lost = True  # no word of an end: it crashed, and may come back
        if not self._lost:
            self._keep(msgspec.structs.replace(self._place, open_under=""))
        if self._hands is not None:
            self._hands.call(self._hands.close)
        threading.Event().wait(ENDING_SECONDS)
        os._exit(0)

    def _prepare(self, window: "Window") -> None:
        """The window is made and empty. pywebview would go on after an error; we must not."""
        try:
            from nexus_tray.desktop.window_gtk import GtkHands

            self._hands = GtkHands(window, self._own, self._place, self._keep, tell)
        except BaseException as error:
            logger.exception("The window cannot be made safe.")
            fail(f"{type(error).__name__}: {error}")

    def _keep(self, place: Place) -> None:
        with self._lock:
            self._place = place
            window_place.write(self._file, place)


def tell(line: str) -> None:
    """Say a line to the program; one that is gone needs to hear nothing."""
    try:
        os.write(1, f"{line}\n".encode())
    except OSError as error:
        logger.debug("the program is gone: %s", error)


def fail(why: str) -> NoReturn:
    """Give up, with a reason that a person may read."""
    tell(f"failed {' '.join(why.split())}")
    os._exit(BROKEN)


def _icon() -> str | None:
    """The program's picture, where it can be found."""
    package = Path(__file__).parent.parent
    for folder in (package / "icons", package.parent / "icons"):
        for name in ("rendered/nexus-tray-64.png", "nexus-tray.svg"):
            if (folder / name).is_file():
                return str(folder / name)
    return None


def main(arguments: Sequence[str]) -> int:
    """Read the first link, show the window, and return when it is closed."""
    parser = argparse.ArgumentParser(prog="nexus-tray window")
    parser.add_argument("--home", type=Path, required=True, help="the data folder")
    parser.add_argument("--packages", default="", help="where the toolkit's Python packages are")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    word, _, link = sys.stdin.readline().strip().partition(" ")
    if word != "show":
        return 0
    sys.argv[0] = NAME  # GTK takes the window's class from it, and desktops the icon from that
    if options.packages:
        sys.path.append(options.packages)  # last: our own packages go before the system's
    try:
        child = Child(options.home, _guard(os.environ.get("NEXUS_TRAY_RUN", "")), link)
        threading.Thread(target=child.listen, name="program", daemon=True).start()
        child.run()
    except Exception as error:
        logger.exception("No window could be made.")
        fail(f"{type(error).__name__}: {error}")
    return 0


def _guard(mark: str) -> str:
    """The guard's part of our mark: what stands before the last dot."""
    return mark.rpartition(".")[0]
