"""The command that shows the dashboard: in its window, else in the browser.

Owns the choice between them, that there is one window, and what is said when there is
none. Nothing of a toolkit is loaded here: the window is a process of its own, looked for
and started when it is first asked for. Handlers run on the caller's thread.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus_tray.app.window_child import WindowChild
from nexus_tray.commands import AnyCommand, ShowWindow
from nexus_tray.core.local_backend import Handler
from nexus_tray.desktop import window_place
from nexus_tray.desktop.window_links import Target, target
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.system import process_tree, web_view

logger = logging.getLogger(__name__)

PAUSE = 120.0
"""Seconds after a window that failed in which the next one is not tried: a web view that
hangs would cost every click its whole patience."""
MOST_RENEWALS = 3
"""New links in a life of the window for pages that died; one that dies again is ended."""


@dataclass(frozen=True)
class Around:
    """What the window needs of the program and of the system.

    `desktop`: whether there is one. `invite(page)` makes a one-time link. `browse` opens an
    address in the person's browser and says whether it could.
    """

    environment: Mapping[str, str]
    data: Path
    desktop: bool
    invite: Callable[[str], str]
    browse: Callable[[str], bool]
    find: Callable[[Mapping[str, str]], web_view.WebView | Reason] = web_view.find
    clock: Callable[[], float] = time.monotonic


class WindowHandlers:
    """The window of one program. `open_in` says the setting. `close` it with the program."""

    def __init__(self, open_in: Callable[[], str], around: Around) -> None:
        self._open_in = open_in
        self._around = around
        self._asking = threading.Lock()
        self._closed = False
        self._child: WindowChild | None = None
        self._renewals = 0
        self._found: web_view.WebView | None = None
        self._failed: tuple[float, Reason] | None = None
        self._said: set[str] = set()

    def table(self) -> dict[type[AnyCommand], Handler]:
        """Which handler is whose."""
        return {ShowWindow: self._show}

    @property
    def pid(self) -> int | None:
        """The process of the window that is open; None: there is none."""
        child = self._child
        return child.pid if child is not None and not child.gone else None

    def come_back(self) -> None:
        """Open the window again if it was open when this program's last life ended.

        Only after a crash: the guard is the same one then, and so is its mark.
        """
        mark = self._around.environment.get(process_tree.MARK, "")
        if not self._around.desktop or not mark:
            return
        if window_place.read(self._around.data / "window.json").open_under == mark:
            threading.Thread(target=self._come_back, name="window", daemon=True).start()

    def close(self) -> None:
        """Close the window, if there is one; within seconds."""
        self._closed = True
        child = self._child
        if child is not None:
            child.end()

    def _come_back(self) -> None:
        with self._asking:  # nobody clicked: the browser is not opened in its stead
            reason = self._in_window("/")
        if reason is not None:
            logger.warning("%s", reason)

    def _show(self, command: ShowWindow) -> str:
        """Where it was shown, if a person should know more than that it was."""
        if not self._around.desktop:
            raise Problem(NO_DESKTOP)
        with self._asking:
            wished = self._open_in()
            reason = None if wished == "browser" else self._in_window(command.page)
            if wished != "browser" and reason is None:
                return ""
        if not self._around.browse(self._around.invite(command.page)):
            raise Problem(NO_BROWSER)
        return self._worth_saying(reason, each_time=wished == "window")

    def _in_window(self, page: str) -> Reason | None:
        """Show it in the window; why not, if it is not there."""
        child = self._child
        if child is not None and not child.gone:
            # The first page is what is asked for by nearly every click. Who is already in
            # comes back to where they were, and keeps what they are typing.
            why = child.raise_() if page == "/" else child.show(self._around.invite(page))
            if why is None:
                return None
            logger.info("The window that was open did not come to the front: %s", why)
        if self._failed is not None:
            at, reason = self._failed
            if self._around.clock() - at < PAUSE:
                return reason
            self._failed = None
        return self._new_window(page)

    def _new_window(self, page: str) -> Reason | None:
        if self._found is None:
            found = self._around.find(self._around.environment)
            if isinstance(found, Reason):
                return found
            self._found = found
        try:
            child = WindowChild(
                self._around.data,
                self._found.packages,
                self._around.environment,
                self._browse,
                self._renew,
            )
        except OSError as error:
            return self._broken(str(error))
        self._child, self._renewals = child, 0
        if self._closed:  # the program's end came between
            child.kill()
            return PROGRAM_ENDS
        why = child.show(self._around.invite(page))
        return None if why is None else self._broken(why)

    def _broken(self, why: str) -> Reason:
        reason = failed("it ended before it was on the screen" if why == "gone" else why)
        self._found = None  # what was found may be gone
        self._failed = (self._around.clock(), reason)
        return reason

    def _browse(self, address: str) -> None:
        """The window's page leads elsewhere. It is judged again: the web engine reads pages."""
        if target(address, "") is not Target.BROWSER:
            logger.warning("The window asked for an address that is none for a browser.")
        elif not self._around.browse(address):
            logger.warning("%s", NO_BROWSER)

    def _renew(self, died: bool) -> None:
        """The window's page needs a new link: it has crashed, or its access has ended."""
        child = self._child
        if child is None:
            return
        self._renewals += died
        if self._renewals > MOST_RENEWALS:
            logger.warning("The window's page ended again and again; the window is closed.")
            child.kill()
        else:
            child.renew(self._around.invite("/"))

    def _worth_saying(self, reason: Reason | None, *, each_time: bool) -> str:
        """The reason in words, once for each; to the log as well."""
        if reason is None or (reason.code in self._said and not each_time):
            return ""
        self._said.add(reason.code)
        logger.warning("%s", reason)
        return str(reason)


NO_DESKTOP = Reason(
    code="no-desktop",
    hop=Hop.DEVICE,
    what="Nexus Tray runs without a desktop, so it cannot show a window.",
    cure="Print a link to the dashboard instead: nexus-tray dashboard --print",
)

NO_BROWSER = Reason(
    code="no-browser",
    hop=Hop.DEVICE,
    what="No browser could be opened.",
    cure="Print the link instead: nexus-tray dashboard --print",
)

PROGRAM_ENDS = Reason(code="program-ends", hop=Hop.DEVICE, what="Nexus Tray is ending.")


def failed(why: str) -> Reason:
    """The window did not come."""
    return Reason(
        code="window-failed",
        hop=Hop.DEVICE,
        what=f"The window could not be shown: {why[:300].rstrip('.')}.",
        meaning=web_view.IN_BROWSER,
        cure="See the log: nexus-tray logs --source nexus-tray. To have it always in the browser:"
        " nexus-tray config set dashboard.open_in browser",
    )
