"""pystray for old trays: chosen where one is, docked into it, clicked, ended. Under Xvfb."""

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nexus_tray.desktop import choice
from nexus_tray.desktop.sni import SniIcon
from tests.desktop.tray_host import Host, private_bus

ICONS = Path(__file__).parent.parent.parent / "icons"
ROOT = ICONS.parent

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("Xvfb"), reason="needs Xvfb"
)

SHOW = """
import sys, threading
from pathlib import Path
from nexus_tray.commands import OpenDashboard
from nexus_tray.desktop.icon import Picture
from nexus_tray.desktop.items import Browse, Item
from nexus_tray.desktop.stock import StockIcon
from nexus_tray.desktop.view import View
from nexus_tray.model import HopState

icon = StockIcon(Path(sys.argv[1]), lambda action: print("clicked", action, flush=True))
entries = (
    Item("state", "Reachable"), Item("line"),
    Item("open", "Open", Browse(OpenDashboard()), default=True),
    Item("more", "More", items=(Item("check", "Check", Browse(OpenDashboard()), checked=True),)),
)
icon.show(View(Picture(HopState.UP), "Nexus Tray: up", entries))

def orders():
    for line in sys.stdin:
        if line.strip() == "down":
            icon.show(View(Picture(HopState.DOWN), "Nexus Tray: down", entries[2:]))
            print("shown", flush=True)
    icon.stop()

threading.Thread(target=orders, daemon=True).start()
icon.run()
print("ended", flush=True)
"""


INTERN_ATOM = 16
"""X Protocol, request InternAtom: the first thing that is asked of a display for a tray."""


@pytest.fixture
def screen() -> Iterator[str]:
    # without -noreset it begins anew when its last client leaves, and throws out who comes then
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "320x240x24", "-nolisten", "tcp",
               "-noreset"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        try:
            yield f":{server.stdout.readline().decode().strip()}"
        finally:
            server.terminate()
            server.wait(10)


class OldTray:
    """Owns the tray's selection, takes in what asks to be docked, and clicks on it."""

    def __init__(self, name: str) -> None:
        from Xlib import X, display

        self.display = display.Display(name)
        screen = self.display.screen()
        self.window = screen.root.create_window(
            0, 0, 48, 48, 0, screen.root_depth, event_mask=X.StructureNotifyMask
        )
        self.window.map()
        tray = self.display.intern_atom(f"_NET_SYSTEM_TRAY_S{self.display.get_default_screen()}")
        self.window.set_selection_owner(tray, X.CurrentTime)
        self.display.sync()

    def dock(self) -> Any:
        """The window of the icon that asks for a place, put into ours."""
        from Xlib import X

        end = time.monotonic() + 10
        while time.monotonic() < end:
            while self.display.pending_events():
                event = self.display.next_event()
                if event.type == X.ClientMessage:
                    docked = self.display.create_resource_object("window", event.data[1][2])
                    docked.reparent(self.window, 0, 0)
                    docked.configure(width=48, height=48)
                    docked.map()
                    self.display.sync()
                    return docked
            threading.Event().wait(0.02)
        raise AssertionError("nothing asked to be docked")

    def click(self) -> None:
        """A click of the pointer, as a person makes it."""
        from Xlib import X
        from Xlib.ext import xtest

        xtest.fake_input(self.display, X.MotionNotify, x=10, y=10)
        xtest.fake_input(self.display, X.ButtonPress, 1)
        xtest.fake_input(self.display, X.ButtonRelease, 1)
        self.display.sync()

    def close(self) -> None:
        self.display.close()


@pytest.fixture
def old_tray(screen: str) -> Iterator[OldTray]:
    made = OldTray(screen)
    yield made
    made.close()


def test_the_icon_is_docked_clicked_changed_and_ended(screen: str, old_tray: OldTray) -> None:
    environment = {
        "DISPLAY": screen, "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin",
        "PYSTRAY_BACKEND": "xorg",
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", SHOW, str(ICONS)], env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as shown:  # fmt: skip
        assert shown.stdin is not None
        assert shown.stdout is not None
        old_tray.dock()
        old_tray.click()
        assert "OpenDashboard" in shown.stdout.readline()
        shown.stdin.write("down\n")
        shown.stdin.flush()
        assert shown.stdout.readline() == "shown\n"
        shown.stdin.close()
        assert shown.stdout.readline() == "ended\n"
        assert shown.wait(10) == 0


def test_an_old_tray_is_found_only_where_one_is(screen: str) -> None:
    assert not choice.has_old_tray("")
    assert not choice.has_old_tray(screen)
    tray = OldTray(screen)
    try:
        assert choice.has_old_tray(screen)
    finally:
        tray.close()


def test_a_display_that_goes_away_while_it_is_asked_has_no_old_tray(screen: str) -> None:
    """As one that begins anew does; the icon must not be lost for it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def welcome_and_leave() -> None:
            visitor = server.accept()[0]
            with visitor, socket.socket(socket.AF_UNIX) as display:
                display.connect(f"/tmp/.X11-unix/X{screen[1:]}")
                while (asked := visitor.recv(4096))[0] != INTERN_ATOM:
                    display.sendall(asked)
                    visitor.sendall(display.recv(65536))

        with ThreadPoolExecutor() as pool:
            left = pool.submit(welcome_and_leave)
            number = server.getsockname()[1] - 6000
            assert not choice.has_old_tray(f"127.0.0.1:{number}")
            left.result(10)


def chosen(environment: dict[str, str]) -> str:
    """Which back end is chosen, in a process of its own: toolkits leave traces."""
    script = (
        "import os, sys; from pathlib import Path; from nexus_tray.desktop.choice import choose\n"
        "icon = choose(os.environ, Path(sys.argv[1]), print)\n"
        "print(type(icon).__name__, 'pystray' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(ICONS)], env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_a_panel_of_today_goes_before_an_old_tray(screen: str, old_tray: OldTray) -> None:
    with private_bus() as bus:
        environment = {"DISPLAY": screen, "DBUS_SESSION_BUS_ADDRESS": bus}
        assert chosen({**environment, "PYSTRAY_BACKEND": "xorg"}) == "StockIcon True"
        host = Host(bus)
        try:
            assert chosen(environment) == f"{SniIcon.__name__} False"
        finally:
            host.close()


def test_with_neither_the_icon_waits_for_a_panel_of_today(screen: str) -> None:
    with private_bus() as bus:
        environment = {"DISPLAY": screen, "DBUS_SESSION_BUS_ADDRESS": bus}
        assert chosen(environment) == "SniIcon False"
        assert chosen({**environment, "DISPLAY": ":9999"}) == "SniIcon False"


def test_an_old_tray_that_cannot_be_used_is_not_the_end(screen: str, old_tray: OldTray) -> None:
    with private_bus() as bus:
        environment = {"DISPLAY": screen, "DBUS_SESSION_BUS_ADDRESS": bus}
        assert chosen({**environment, "PYSTRAY_BACKEND": "nonsense"}) == "SniIcon False"
