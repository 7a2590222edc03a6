"""The tray in a real panel: Xvfb, a session bus of its own, openbox, xfce4-panel and a pointer.

The icon and its menu are the product's own tray; the panel reads both over D-Bus and draws
them itself, as on a person's desktop. What they show is made up (tests.dashboard.house).
"""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image, ImageChops, ImageGrab

from nexus_tray.desktop.sni import SniIcon
from nexus_tray.desktop.tray import Hands, Tray
from nexus_tray.model import Activity, Desired, Facts, Hop, HopState, ServiceState
from tests.api.doubles import House, until
from tests.api.doubles import house as memory_house
from tests.dashboard import house as made_up
from tests.screenshots.picture import save

ICONS = Path(__file__).parent.parent.parent / "icons"
SCREEN = (1000, 760)
HEIGHT = 30
"""Pixels of the panel."""

BACKDROP = {"light": "#c9d3da", "dark": "#39434b"}
LAYOUT = """<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="dark-mode" type="bool" value="{dark}"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="length" type="uint" value="100"/>
      <property name="size" type="uint" value="{height}"/>
      <property name="plugin-ids" type="array">
        <value type="int" value="1"/><value type="int" value="2"/>
      </property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="separator">
      <property name="expand" type="bool" value="true"/>
      <property name="style" type="uint" value="0"/>
    </property>
    <property name="plugin-2" type="string" value="systray">
      <property name="square-icons" type="bool" value="true"/>
      <property name="icon-size" type="int" value="22"/>
    </property>
  </property>
</channel>
"""


@dataclass
class Desktop:
    """A screen with a panel on it."""

    display: str
    bus: str
    environment: dict[str, str]

    def picture(self) -> Image.Image:
        """What is on the screen now."""
        return ImageGrab.grab(xdisplay=self.display).convert("RGB")

    def point(self, *orders: str) -> None:
        """Give xdotool orders, such as `mousemove 1 2 click 3`."""
        command = ["xdotool", *orders]
        subprocess.run(command, env=self.environment, check=True, timeout=20)

    def settled(self, differs: Image.Image | None = None) -> Image.Image:
        """The screen once it is no longer `differs` and two looks in a row are the same."""
        last: list[Image.Image] = []

        def still() -> bool:
            time.sleep(0.15)
            last.append(self.picture())
            same = len(last) > 1 and last[-1].tobytes() == last[-2].tobytes()
            return same and (differs is None or last[-1].tobytes() != differs.tobytes())

        until(still, 20)
        return last[-1]


@contextmanager
def program(
    command: list[str], environment: dict[str, str], **more: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs as long as it is needed."""
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, **more) as running:
        try:
            yield running
        finally:
            running.terminate()
            running.wait(10)


def first_word(running: subprocess.Popen[bytes]) -> str:
    assert running.stdout is not None
    return running.stdout.readline().decode().strip()


@contextmanager
def desktop(home: Path, theme: str) -> Iterator[Desktop]:
    """A panel of this theme on a screen of its own, with nothing of the person's settings."""
    settings = home / "xfce4" / "xfconf" / "xfce-perchannel-xml"
    settings.mkdir(parents=True)
    layout = LAYOUT.format(dark=str(theme == "dark").lower(), height=HEIGHT)
    (settings / "xfce4-panel.xml").write_text(layout)
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    given = {**kept, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home),
             "XDG_RUNTIME_DIR": str(home), "XDG_CURRENT_DESKTOP": "XFCE"}  # fmt: skip
    with ExitStack() as ending:
        size = f"{SCREEN[0]}x{SCREEN[1]}x24"
        screen = ending.enter_context(
            program(["Xvfb", "-displayfd", "1", "-screen", "0", size, "-nolisten", "tcp",
                     "-noreset"], given,
                    stdout=subprocess.PIPE)
        )  # fmt: skip
        given["DISPLAY"] = f":{first_word(screen)}"
        bus = ending.enter_context(
            program(["dbus-daemon", "--session", "--nofork", "--nosyslog", "--print-address=1"],
                    given, stdout=subprocess.PIPE)
        )  # fmt: skip
        given["DBUS_SESSION_BUS_ADDRESS"] = first_word(bus)
        subprocess.run(["xsetroot", "-solid", BACKDROP[theme]], env=given, check=True)
        ending.enter_context(program(["openbox"], given))
        ending.enter_context(program(["xfce4-panel", "--disable-wm-check"], given))
        yield Desktop(given["DISPLAY"], given["DBUS_SESSION_BUS_ADDRESS"], given)


@contextmanager
def tray(at: Desktop, house: House[Any], theme: str) -> Iterator[Tray]:
    """The product's tray on this desktop; its clicks do nothing to the machine."""
    # The one way to a dark icon without a settings portal, which this desktop has not.
    environment = {"XDG_CURRENT_DESKTOP": "GNOME"} if theme == "dark" else {}
    hands = Hands(lambda _: True, lambda _: True, lambda _: None)
    made = Tray(
        house.backend, lambda on_click: SniIcon(at.bus, environment, ICONS, on_click), hands
    )
    thread = threading.Thread(target=made.run, name="tray loop")
    thread.start()
    try:
        until(lambda: made.icon.seen is True, 20)
        yield made
    finally:
        made.stop()
        thread.join(10)


def conditions(house: House[Any]) -> dict[str, Callable[[], object]]:
    """Every look of the icon, and how the program comes to it."""
    now = time.time()
    asks = Activity(
        sessions=made_up.sessions(now),
        questions=(msgspec.structs.replace(made_up.PERMISSION, asked_at=now - 20),),
    )
    return {
        "up": lambda: made_up.well(house, now),
        "asks": lambda: made_up.well(house, now, activity=asks),
        "busy": lambda: starting(house, now),
        "down": lambda: made_up.broken(house, now),
        "off": lambda: stopped(house, now),
    }


def starting(house: House[Any], now: float) -> None:
    """The tunnel comes up."""
    snapshot = made_up.well(house, now)
    *others, quick = snapshot.services
    quick = msgspec.structs.replace(
        quick, state=ServiceState.STARTING, facts=Facts(), since_at=now - 3
    )
    path = [
        msgspec.structs.replace(hop, state=HopState.BUSY) if hop.hop is Hop.CLOUDFLARED else hop
        for hop in snapshot.path
    ]
    house.say(state=HopState.BUSY, headline="The tunnel starts", address=None,
              path=tuple(path), services=(*others, quick))  # fmt: skip


def stopped(house: House[Any], now: float) -> None:
    """A person stopped the tunnel."""
    snapshot = made_up.well(house, now)
    *others, quick = snapshot.services
    quick = msgspec.structs.replace(
        quick, state=ServiceState.STOPPED, desired=Desired.STOPPED, facts=Facts()
    )
    house.say(state=HopState.OFF, headline="Not reachable: the tunnel is stopped", address=None,
              services=(*others, quick))  # fmt: skip


def shoot(folder: Path, home: Path) -> None:
    """The menu in each condition, in a light panel and a dark one."""
    for theme in ("light", "dark"):
        house = memory_house()
        made_up.well(house, time.time())
        with desktop(home / theme, theme) as at, tray(at, house, theme):
            for name, arrange in conditions(house).items():
                arrange()
                save(menu(at), folder / f"tray-{name}-{theme}.png")


def menu(at: Desktop) -> Image.Image:
    """Open the menu, look, close it again: the part of the screen that it and the icon take."""
    at.point("mousemove", "500", "600")
    before = at.settled()
    at.point("mousemove", str(SCREEN[0] - HEIGHT // 2 - 2), str(HEIGHT // 2), "click", "3")
    at.settled(differs=before)
    at.point("mousemove", "500", "600")
    after = at.settled(differs=before)
    at.point("key", "Escape")
    changed = ImageChops.difference(before, after).getbbox()
    assert changed, "no menu came"
    left, _, _, bottom = changed
    return after.crop((left, 0, SCREEN[0], bottom))
