"""The window's process as the program sees it: there is none, or one.

Owns its start, the words that go back and forth (desktop.window says them all), its
deadlines and its end. It ends wholly: the web engine's processes are its descendants, and
`services.process` ends and waits for them. Any thread may call; one at a time asks it to
show itself, which `app.window_handlers` sees to.
"""

import logging
import os
import queue
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from nexus_tray.services.environment import AGENT, child_environment
from nexus_tray.services.process import ChildProcess
from nexus_tray.system import itself

logger = logging.getLogger(__name__)

FIRST_SECONDS = 12.0
"""Within which a new window is on the screen; cold, on a slow disk, it takes 5."""
AGAIN_SECONDS = 4.0
"""Within which a window that is there comes to the front."""
LAST_LINES = 30
"""Of what the window's process complains of, kept for the log in case that it fails."""
END_GRACE = 1.0
"""Within which it has closed itself; the program's whole end is promised within 15 s."""

TOOLKITS = (
    *AGENT, "PYTHONPATH", "BROWSER", "DESKTOP_*", "KDE_*", "GNOME_*", "GTK_*", "GDK_*", "G_*",
    "GI_*", "GIO_*", "QT_*", "WEBKIT_*", "WAYLAND_*", "XMODIFIERS", "XCURSOR_*", "FONTCONFIG_*",
    "LIBGL_*", "MESA_*", "LD_LIBRARY_PATH", "NO_AT_BRIDGE", "AT_SPI_*",
)  # fmt: skip
"""What GTK, WebKit and the desktop's themes, input methods and screen readers go by."""

SOFTWARE_PAINT = {"WEBKIT_DISABLE_DMABUF_RENDERER": "1", "WEBKIT_DISABLE_COMPOSITING_MODE": "1"}
"""The pages are text: painted without the graphics card they need less memory (FACTS.md), and
no driver can leave the window empty. Who has set one of these keeps it."""


class WindowChild:
    """One life of the window. `on_browse(address)` and `on_renew(died)` are called from a
    thread of its output. Raises OSError when it cannot be started."""

    def __init__(
        self,
        home: Path,
        packages: str,
        environment: Mapping[str, str],
        on_browse: Callable[[str], None],
        on_renew: Callable[[bool], None],
    ) -> None:
        self._on_browse = on_browse
        self._on_renew = on_renew
        self._words: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._gone = False
        self._said: deque[str] = deque(maxlen=LAST_LINES)
        argv = itself.command(itself.WINDOW, "--home", str(home))
        self._process = ChildProcess(
            [*argv, *(["--packages", packages] if packages else [])],
            {**SOFTWARE_PAINT, **child_environment(environment, TOOLKITS)},
            os.sep,
            on_line=self._heard,
            on_exit=lambda code: logger.info("The window has ended (code %s).", code),
            on_ended=self._ended,
            feed=True,
        )
        self.pid = self._process.pid

    @property
    def gone(self) -> bool:
        """Whether its process has ended: closed by the person, or otherwise."""
        return self._gone

    def show(self, link: str) -> str | None:
        """Show the page behind this one-time link: as `_asked`, for the first time too."""
        return self._asked(f"show {link}", FIRST_SECONDS)

    def raise_(self) -> str | None:
        """Bring it to the front as it is: as `_asked`."""
        return self._asked("raise", AGAIN_SECONDS)

    def renew(self, link: str) -> None:
        """Give its page a new link, without waiting."""
        self._process.tell(f"show {link}")

    def end(self) -> None:
        """Ask it to close; killed with all that is below it if it does not."""
        if not self._process.tell("end"):
            self._process.kill()
            return
        try:
            while self._words.get(timeout=END_GRACE) != "gone":
                continue
        except queue.Empty:
            self._process.kill()

    def kill(self) -> None:
        """End it now. Whoever waits for it hears that it is gone."""
        self._process.kill()

    def _asked(self, line: str, seconds: float) -> str | None:
        """None: it is on the screen. Else why not; then it is ended. "gone" if it was closed."""
        while not self._words.empty():
            self._words.get_nowait()  # answers to what was asked before
        if self._gone or not self._process.tell(line):
            return "gone"
        try:
            word, _, rest = self._words.get(timeout=seconds).partition(" ")
        except queue.Empty:
            self._process.kill()
            return f"nothing was on the screen within {seconds:.0f} s"
        if word == "shown":
            return None
        for said in filter(str.strip, tuple(self._said)):
            logger.warning("window: %s", said)
        return rest or word

    def _heard(self, stream: str, line: str) -> None:
        word, _, rest = line.partition(" ")
        if stream != "stdout":
            self._said.append(line)  # toolkits warn of much that is nobody's concern
        elif word == "browse":
            self._on_browse(rest)
        elif word in ("renew", "died"):
            self._on_renew(word == "died")
        elif word in ("shown", "failed"):
            self._words.put(line)

    def _ended(self) -> None:
        self._gone = True
        self._words.put("gone")
