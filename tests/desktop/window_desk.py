"""A screen of its own, the real dashboard's server, and the window on both."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import psutil

from nexus_tray.api.server import ApiServer
from nexus_tray.app.window_handlers import Around, WindowHandlers
from nexus_tray.commands import ShowWindow
from nexus_tray.core.local_backend import LocalBackend
from nexus_tray.model import Reason
from nexus_tray.system import web_view

T = TypeVar("T")

LINK = bytes.fromhex("b05f0b")
"""The colour of links on the light theme, as X11 gives it: blue, green, red."""


@contextmanager
def screen(size: str = "1400x1000") -> Iterator[str]:
    """A display of its own; its name. No window manager: what is asked for happens at once."""
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", f"{size}x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        try:
            yield f":{server.stdout.readline().decode().strip()}"
        finally:
            server.terminate()
            server.wait(10)


def within(seconds: float, look: Callable[[], T | None], what: str) -> T:
    """The first true answer of `look`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        threading.Event().wait(0.03)
    raise AssertionError(f"not within {seconds} s: {what}")


class Eyes:
    """What a person sees on the display, and does with the mouse and keyboard."""

    def __init__(self, name: str) -> None:
        from Xlib import display

        self.display = display.Display(name)
        self.root = self.display.screen().root

    def window(self, title: str = "Nexus Tray") -> Any | None:
        """The shown window of this title."""
        from Xlib import X
        from Xlib.error import BadWindow

        for child in self.root.query_tree().children:
            try:
                if child.get_attributes().map_state == X.IsViewable and (
                    child.get_wm_name() == title
                ):
                    return child
            except BadWindow:
                continue
        return None

    def place(self) -> tuple[int, int, int, int] | None:
        """x, y, width and height of the window; None: there is none."""
        window = self.window()
        if window is None:
            return None
        geometry = window.get_geometry()
        return (geometry.x, geometry.y, geometry.width, geometry.height)

    def colours(self) -> int:
        """How many different colours the window shows; one that is not painted shows one."""
        from Xlib import X

        window = self.window()
        if window is None:
            return 0
        size = window.get_geometry()
        image = window.get_image(0, 0, size.width, size.height, X.ZPixmap, 0xFFFFFF)
        data: bytes = image.data
        return len({data[at : at + 3] for at in range(0, len(data), 4)})

    def close_window(self) -> None:
        """What a window manager sends when the cross is clicked (ICCCM 4.2.8.1)."""
        from Xlib import X
        from Xlib.protocol import event

        window = self.window()
        assert window is not None
        protocols = self.display.intern_atom("WM_PROTOCOLS")
        delete = self.display.intern_atom("WM_DELETE_WINDOW")
        message = event.ClientMessage(
            window=window, client_type=protocols, data=(32, [delete, X.CurrentTime, 0, 0, 0])
        )
        window.send_event(message)
        self.display.sync()

    def find_link(self, colour: bytes = LINK) -> tuple[int, int] | None:
        """Where on the screen the first dot of this colour (blue, green, red) is."""
        from Xlib import X

        window, place = self.window(), self.place()
        if window is None or place is None:
            return None
        x, y, width, height = place
        data: bytes = window.get_image(0, 0, width, height, X.ZPixmap, 0xFFFFFF).data
        for at in range(0, len(data), 4):
            if data[at : at + 3] == colour:
                return x + at // 4 % width, y + at // 4 // width
        return None

    def click(self, x: int, y: int) -> None:
        """A click of the left button there, on the screen."""
        from Xlib import X
        from Xlib.ext import xtest

        xtest.fake_input(self.display, X.MotionNotify, x=x, y=y)
        xtest.fake_input(self.display, X.ButtonPress, 1)
        xtest.fake_input(self.display, X.ButtonRelease, 1)
        self.display.sync()

    def press(self, *keys: str, title: str = "Nexus Tray") -> None:
        """Press these keys together, in the window of this title."""
        from Xlib import XK, X
        from Xlib.ext import xtest

        window = self.window(title)
        assert window is not None
        window.set_input_focus(X.RevertToParent, X.CurrentTime)
        codes = [self.display.keysym_to_keycode(XK.string_to_keysym(key)) for key in keys]
        for code in codes:
            xtest.fake_input(self.display, X.KeyPress, code)
        for code in reversed(codes):
            xtest.fake_input(self.display, X.KeyRelease, code)
        self.display.sync()

    def close(self) -> None:
        self.display.close()


@dataclass
class WindowDesk:
    """The handlers over a real API server, on a screen, with a browser that only notes."""

    backend: LocalBackend
    server: ApiServer
    display: str
    data: Path
    open_in: str = "auto"
    link: str = ""
    browsed: list[str] = field(default_factory=list)
    invited: list[str] = field(default_factory=list)
    find: Callable[[Any], web_view.WebView | Reason] = web_view.find
    can_browse: bool = True
    extra: dict[str, str] = field(default_factory=dict)

    def handlers(self, **changes: Any) -> WindowHandlers:
        """A program's handlers; the window is theirs."""
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.data.parent), "DISPLAY": self.display,
            "PYTHONPATH": str(Path(__file__).parent.parent.parent), "LANG": "C.UTF-8",
            "NO_AT_BRIDGE": "1", **self.extra,
        }  # fmt: skip
        around = Around(
            environment=environment, data=self.data, desktop=True, invite=self.invite,
            browse=self.browse, find=self.find,
        )  # fmt: skip
        return WindowHandlers(lambda: self.open_in, replace(around, **changes))

    def invite(self, page: str) -> str:
        self.invited.append(page)
        return self.link or self.server.invite(page)

    def browse(self, address: str) -> bool:
        self.browsed.append(address)
        return self.can_browse


@contextmanager
def serving(pages: Mapping[str, tuple[int, str]]) -> Iterator[tuple[str, list[str]]]:
    """A foreign server on loopback: its origin, and the paths it was asked for."""
    asked: list[str] = []

    class Foreign(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, text = pages.get(self.path, (404, ""))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", text)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Nothing: the test reads `asked`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Foreign)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def show(handlers: WindowHandlers, page: str = "/") -> str:
    """Carry out the command; its answer."""
    return handlers.table()[ShowWindow](ShowWindow(page=page)) or ""


def tree(pid: int) -> list[psutil.Process]:
    """The window's process and all below it."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def private_mb(processes: list[psutil.Process]) -> float:
    """Private memory of them all, in megabytes."""
    return sum(process.memory_full_info().uss for process in processes) / 1e6


def has_web_view() -> bool:
    """Whether the tests' machine can show a window."""
    return shutil.which("Xvfb") is not None and isinstance(
        web_view.find(os.environ), web_view.WebView
    )
