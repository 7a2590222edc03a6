"""The icon on a real bus before a real host: shown, read, clicked, lost and found again."""

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nexus_tray.commands import OpenDoor, Shutdown
from nexus_tray.desktop import icon
from nexus_tray.desktop.icon import Panel, Picture
from nexus_tray.desktop.items import Action, Browse, Item, Submit
from nexus_tray.desktop.session import has_desktop, session_bus
from nexus_tray.desktop.sni import SniIcon
from nexus_tray.desktop.view import View
from nexus_tray.model import HopState, Problem
from tests.desktop.tray_host import MENU, Host, private_bus

ICONS = Path(__file__).parent.parent.parent / "icons"
OPEN = Item("open", "Open it", Browse(OpenDoor()), default=True)
QUIT = Item("quit", "Quit", Submit(Shutdown()))
FIRST = View(
    Picture(HopState.UP),
    "Nexus Tray: Reachable",
    (
        Item("state", "Reachable"),
        Item("line"),
        OPEN,
        Item("sub", "More", items=(Item("login", "At_login", QUIT.action, checked=True),)),
        QUIT,
    ),
)


@pytest.fixture
def bus() -> Iterator[str]:
    with private_bus() as address:
        yield address


class Shown:
    """An icon in a thread of its own, and what was clicked on it."""

    def __init__(self, address: str, **environment: str) -> None:
        self.clicked: list[Action] = []
        self.icon = SniIcon(address, environment, ICONS, self.clicked.append)
        self.icon.show(FIRST)
        self.thread = threading.Thread(target=self.icon.run, name="icon")
        self.thread.start()

    def end(self) -> None:
        self.icon.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def show(bus: str) -> Iterator[Callable[..., Shown]]:
    made: list[Shown] = []

    def make(**environment: str) -> Shown:
        made.append(Shown(bus, **environment))
        return made[-1]

    yield make
    for shown in made:
        shown.end()


@pytest.fixture
def host(bus: str) -> Iterator[Host]:
    made = Host(bus)
    yield made
    made.close()


def test_a_panel_shows_icon_tool_tip_and_menu(show: Callable[..., Shown], host: Host) -> None:
    shown = show()
    item = host.item()
    properties = item.all_properties()
    assert properties["Id"] == "nexus-tray"
    assert properties["Title"] == "Nexus Tray: Reachable"
    assert properties["ToolTip"][2] == "Nexus Tray: Reachable"
    assert properties["ItemIsMenu"] is False
    sizes = [(width, height) for width, height, _ in properties["IconPixmap"]]
    assert (22, 22) in sizes
    assert (44, 44) in sizes
    for width, height, data in properties["IconPixmap"]:
        assert len(data) == width * height * 4
    state, line, entry, more, end = item.menu()
    assert (state.label, state.enabled) == ("Reachable", False)
    assert line.separator
    assert (entry.label, entry.enabled) == ("Open it", True)
    assert more.children[0].label == "At_login"
    assert more.children[0].checked is True
    assert end.label == "Quit"
    host.wait(lambda: shown.icon.seen)


def test_clicks_arrive(show: Callable[..., Shown], host: Host) -> None:
    shown = show()
    item = host.item()
    item.click("Quit")
    item.click("More", "At_login")
    item.left_click()
    assert shown.clicked == [QUIT.action, QUIT.action, OPEN.action]
    item.click("Reachable")
    item.event(item.find("Quit").number, "hovered")
    item.event(999)
    assert len(shown.clicked) == 3


def test_a_change_is_told_as_little_as_it_is(show: Callable[..., Shown], host: Host) -> None:
    shown = show()
    item = host.item()
    pixels = item.property("IconPixmap")
    menu = item.menu()
    heard = len(host.signals)
    renamed = (Item("state", "Not reachable"), *FIRST.items[1:])
    shown.icon.show(View(Picture(HopState.DOWN), "Nexus Tray: down", renamed))
    host.wait(lambda: "ItemsPropertiesUpdated" in host.signals[heard:])
    assert set(host.signals[heard:]) == {
        "NewIcon", "NewTitle", "NewToolTip", "ItemsPropertiesUpdated",
    }  # fmt: skip
    assert item.property("IconPixmap") != pixels
    assert item.property("Title") == "Nexus Tray: down"
    assert [e.number for e in item.menu()] == [e.number for e in menu]
    assert item.menu()[0].label == "Not reachable"
    heard = len(host.signals)
    shown.icon.show(View(Picture(HopState.DOWN), "Nexus Tray: down", renamed[:-1]))
    host.wait(lambda: "LayoutUpdated" in host.signals[heard:])
    assert not item.has("Quit")
    late = menu[-1].number
    item.event(late)
    assert shown.clicked == []


def test_a_panel_that_comes_late_gets_the_icon(show: Callable[..., Shown], bus: str) -> None:
    shown = show()
    waited = threading.Event()
    while shown.icon.seen is None:
        waited.wait(0.01)
    assert shown.icon.seen is False
    for _ in range(2):  # and again, when it was restarted
        host = Host(bus)
        try:
            assert host.item().has("Open it")
            host.wait(lambda: shown.icon.seen)
        finally:
            host.close()
        while shown.icon.seen:
            waited.wait(0.01)


def pixmaps(panel: Panel) -> list[tuple[int, int, bytes]]:
    pixels = icon.load(ICONS, Picture(HopState.UP), panel)
    return [(each.size, each.size, each.argb) for each in pixels]


def test_the_icon_follows_the_colours_of_the_desktop(bus: str, show: Callable[..., Shown]) -> None:
    host = Host(bus, dark=True)
    try:
        show()
        item = host.item()
        host.wait(lambda: item.property("IconPixmap") == pixmaps(Panel.DARK))
        host.tell_colours(dark=False)
        host.wait(lambda: item.property("IconPixmap") == pixmaps(Panel.LIGHT))
    finally:
        host.close()


@pytest.mark.parametrize(
    ("desktop", "panel"), [("ubuntu:GNOME", Panel.DARK), ("XFCE", Panel.LIGHT)]
)
def test_without_a_word_on_colours_the_desktops_own_habit_counts(
    show: Callable[..., Shown], host: Host, desktop: str, panel: Panel
) -> None:
    show(XDG_CURRENT_DESKTOP=desktop)
    item = host.item()
    host.wait(lambda: item.property("IconPixmap") == pixmaps(panel))


def test_a_notification_is_shown(show: Callable[..., Shown], host: Host) -> None:
    shown = show()
    host.item()
    shown.icon.tell("It was not done", "OpenCode does not run.")
    host.wait(lambda: host.notifications == [("It was not done", "OpenCode does not run.")])


@pytest.mark.parametrize(
    ("path", "interface", "member", "signature", "body"),
    [
        ("/StatusNotifierItem", "org.kde.StatusNotifierItem", "Explode", None, ()),
        ("/Other", "org.kde.StatusNotifierItem", "Activate", "ii", (0, 0)),
        ("/MenuBar", MENU, "GetLayout", "iias", (999, -1, [])),
        ("/MenuBar", MENU, "GetLayout", None, ()),
        ("/MenuBar", MENU, "Event", "s", ("clicked",)),
        ("/MenuBar", MENU, "GetProperty", "is", (0, "colour")),
        ("/MenuBar", "org.freedesktop.DBus.Properties", "Get", "ss", (MENU, "Colour")),
    ],
)
def test_strange_calls_are_refused_and_harm_nothing(
    show: Callable[..., Shown], host: Host, path: str, interface: str, member: str,
    signature: str | None, body: tuple[object, ...],
) -> None:  # fmt: skip
    shown = show()
    item = host.item()
    with pytest.raises(LookupError):
        host.call(item.name, path, interface, member, signature, body)
    assert item.has("Quit")
    assert shown.clicked == []


def test_the_menus_other_questions_are_answered(show: Callable[..., Shown], host: Host) -> None:
    show()
    item = host.item()
    quit_entry = item.find("Quit")
    group = host.call(item.name, "/MenuBar", MENU, "GetGroupProperties", "aias", ([], []))[0]
    assert quit_entry.number in [number for number, _ in group]
    body = (quit_entry.number, "label")
    assert host.call(item.name, "/MenuBar", MENU, "GetProperty", "is", body)[0] == ("s", "Quit")
    assert host.call(item.name, "/MenuBar", MENU, "AboutToShowGroup", "ai", ([0],)) == ([], [])
    events = ([(quit_entry.number, "opened", ("s", ""), 0)],)
    assert host.call(item.name, "/MenuBar", MENU, "EventGroup", "a(isvu)", events) == ([],)


def test_many_changes_at_once_end_in_the_last(show: Callable[..., Shown], host: Host) -> None:
    shown = show()
    item = host.item()
    for number in range(500):
        label = Item("state", f"Number {number}")
        shown.icon.show(View(Picture(HopState.UP), "t", (label, *FIRST.items[1:])))
    host.wait(lambda: item.menu()[0].label == "Number 499")


def test_the_end_of_the_bus_ends_the_icon(caplog: pytest.LogCaptureFixture) -> None:
    with private_bus() as address:
        shown = Shown(address)
        host = Host(address)
        host.item()
        host.close()
    shown.thread.join(10)
    assert not shown.thread.is_alive()
    assert shown.icon.seen is False
    assert "message bus is gone" in caplog.text
    shown.icon.show(FIRST)  # late, and harmless
    shown.icon.stop()


@pytest.mark.parametrize("address", ["unix:path=/nonexistent", "nonsense", "tcp:host=127.0.0.1"])
def test_no_bus_is_said_with_the_cure(address: str) -> None:
    with pytest.raises(Problem) as caught:
        SniIcon(address, {}, ICONS, lambda _: None)
    assert caught.value.reason.code == "no-session-bus"
    assert "--headless" in caught.value.reason.cure


def test_where_the_session_bus_is(tmp_path: Path) -> None:
    assert session_bus({}) == ""
    assert session_bus({"DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}) == "unix:path=/x"
    assert session_bus({"XDG_RUNTIME_DIR": str(tmp_path)}) == ""
    (tmp_path / "bus").touch()
    assert session_bus({"XDG_RUNTIME_DIR": str(tmp_path)}) == f"unix:path={tmp_path}/bus"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's own question")
@pytest.mark.parametrize(
    ("environment", "there"),
    [
        ({"DISPLAY": ":0", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}, True),
        ({"WAYLAND_DISPLAY": "wayland-0", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}, True),
        ({"DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}, False),
        ({"DISPLAY": ":0"}, False),
        ({}, False),
    ],
)
def test_a_desktop_is_a_screen_and_a_bus(environment: dict[str, str], there: bool) -> None:
    assert has_desktop(environment) is there
