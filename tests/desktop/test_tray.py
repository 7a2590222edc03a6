"""The tray over a real Backend, a real bus and a real host: it follows, and clicks act."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexus_tray.commands import (
    AnswerPermission,
    Autostart,
    Command,
    GetAutostart,
    OpenDoor,
    Panic,
    Pause,
    Resume,
    SetAutostart,
    ShowWindow,
    Shutdown,
    StopService,
)
from nexus_tray.core.local_backend import LocalBackend
from nexus_tray.desktop.sni import SniIcon
from nexus_tray.desktop.tray import NO_PANEL, Hands, Tray
from nexus_tray.model import (
    Activity,
    HopState,
    Problem,
    Question,
    QuestionKind,
    Reason,
    ServiceKind,
    ServiceState,
)
from tests.api.doubles import AT, REFUSED, House, house, reports, service, until
from tests.desktop.tray_host import Host, Item, private_bus

ICONS = Path(__file__).parent.parent.parent / "icons"
ADDRESS = "https://calm-river.trycloudflare.com"
QUESTION = Question(
    id="per_1", kind=QuestionKind.PERMISSION, session_id="ses_1", directory="/srv",
    title="bash", detail="git push",
)  # fmt: skip


class Desk:
    """A tray on a desktop with a panel, a browser and a clipboard."""

    def __init__(self, address: str) -> None:
        self.house: House[Any] = house()
        self.autostart = Autostart.OFF
        self.browsed: list[str] = []
        self.no_window = ""
        self.copied: list[str] = []
        self.said: list[Reason] = []
        self.works = True
        hands = Hands(self._browse, self._copy, self.said.append)
        self.tray = Tray(
            self.backend(),
            lambda on_click: SniIcon(address, {}, ICONS, on_click),
            hands,
            wall=lambda: AT,
            panel_grace=0.3,
        )
        self.thread = threading.Thread(target=self.tray.run, name="tray loop")
        self.thread.start()

    def backend(self) -> LocalBackend:
        """The house's, but with a start at login that remembers."""
        plain = self.house.backend
        handlers: dict[Any, Any] = {
            **plain._handlers,
            GetAutostart: lambda _: self.autostart,
            SetAutostart: self._set_autostart,
            ShowWindow: self._show_window,
        }
        return LocalBackend(
            self.house.journal, self.house.logs, self.house.settings, handlers, reports()
        )

    @property
    def came(self) -> list[Command]:
        return self.house.came

    def end(self) -> None:
        self.tray.stop()
        self.house.journal.close()
        self.thread.join(10)
        assert not self.thread.is_alive()

    def _set_autostart(self, command: SetAutostart) -> str:
        self.autostart = Autostart.ON if command.enabled else Autostart.OFF
        return self.autostart

    def _show_window(self, command: ShowWindow) -> str:
        self.house.came.append(command)
        return self.no_window

    def _browse(self, url: str) -> bool:
        self.browsed.append(url)
        return self.works

    def _copy(self, text: str) -> bool:
        self.copied.append(text)
        return self.works


@pytest.fixture
def bus() -> Iterator[str]:
    with private_bus() as address:
        yield address


@pytest.fixture
def desk(bus: str) -> Iterator[Desk]:
    made = Desk(bus)
    yield made
    made.end()


@pytest.fixture
def host(bus: str) -> Iterator[Host]:
    made = Host(bus)
    yield made
    made.close()


@pytest.fixture
def item(host: Host, desk: Desk) -> Item:
    found = host.item()
    host.wait(lambda: found.has("Open dashboard"))
    return found


def test_a_question_is_answered_from_the_menu(host: Host, desk: Desk, item: Item) -> None:
    calm = item.property("IconPixmap")
    desk.house.say(activity=Activity(questions=(QUESTION,)))
    host.wait(lambda: item.has("OpenCode asks: git push"), 2)
    host.wait(lambda: item.property("IconPixmap") != calm)
    assert item.property("Title").endswith("OpenCode asks 1 question")
    item.click("OpenCode asks", "Allow once")
    host.wait(lambda: desk.came == [AnswerPermission(question_id="per_1", reply="once")])
    desk.house.say(activity=Activity())
    host.wait(lambda: not item.has("OpenCode asks"), 2)
    assert item.property("IconPixmap") == calm


def test_a_late_click_on_a_question_that_is_gone_answers_no_other(
    host: Host, desk: Desk, item: Item
) -> None:
    desk.house.say(activity=Activity(questions=(QUESTION,)))
    host.wait(lambda: item.has("OpenCode asks"))
    aimed = item.find("OpenCode asks", "Allow once").number
    other = msgspec.structs.replace(QUESTION, id="per_2", detail="rm -rf /")
    desk.house.say(activity=Activity(questions=(other,)))
    host.wait(lambda: item.has("OpenCode asks: rm"))
    item.event(aimed)
    item.click("Quit")
    host.wait(lambda: desk.came == [Shutdown()])


def test_it_follows_within_a_second(host: Host, desk: Desk, item: Item) -> None:
    down = service("opencode", ServiceKind.OPENCODE, state=ServiceState.STARTING)
    begun = time.monotonic()
    desk.house.say(services=(down,), state=HopState.BUSY, headline="Starting")
    host.wait(lambda: item.has("OpenCode: starting"))
    assert time.monotonic() - begun < 1.0


def test_a_storm_of_changes_is_drawn_four_times_a_second(
    host: Host, desk: Desk, item: Item
) -> None:
    heard = len(host.signals)
    begun = time.monotonic()
    for number in range(400):
        desk.house.say(headline=f"Number {number}")
    host.wait(lambda: "Number 399" in item.property("Title"))
    spent = time.monotonic() - begun
    assert host.signals[heard:].count("NewTitle") <= 4 * spent + 2


def test_a_left_click_opens_the_dashboard(host: Host, desk: Desk, item: Item) -> None:
    item.left_click()
    host.wait(lambda: desk.came == [ShowWindow()])
    assert (desk.browsed, host.notifications) == ([], [])


def test_why_there_is_no_window_is_told(host: Host, desk: Desk, item: Item) -> None:
    desk.no_window = "There is no web view."
    item.left_click()
    told = [("The dashboard is in the browser", "There is no web view.")]
    host.wait(lambda: host.notifications == told)


def test_opencode_opens_by_a_one_time_link(host: Host, desk: Desk, item: Item) -> None:
    item.click("Open OpenCode")
    host.wait(lambda: desk.browsed == ["http://127.0.0.1:1/ticket/"])
    assert desk.came == [OpenDoor()]


def test_a_click_copies_the_address(host: Host, desk: Desk, item: Item) -> None:
    item.click("Copy https://calm-river")
    host.wait(lambda: desk.copied == [ADDRESS])


def test_services_are_stopped_from_the_menu(host: Host, desk: Desk, item: Item) -> None:
    item.click("Tunnel quick", "Stop")
    host.wait(lambda: desk.came == [StopService(name="quick")])
    host.wait(lambda: item.has("Tunnel quick", "Start"))


def test_a_pause_is_counted_from_the_click_and_ended_from_the_menu(
    host: Host, desk: Desk, item: Item
) -> None:
    item.click("Pause remote access", "15 minutes")
    host.wait(lambda: desk.came == [Pause(until_at=AT + 900)])
    desk.house.say(paused=True, paused_until=AT + 900, state=HopState.OFF)
    host.wait(lambda: item.has("Resume remote access (paused until"))
    assert not item.has("Pause remote access")
    item.click("Resume remote access")
    host.wait(lambda: desk.came[1:] == [Resume()])
    desk.house.say(paused=False, paused_until=None, state=HopState.UP)
    host.wait(lambda: item.has("Pause remote access"))
    item.click("Pause remote access", "Until I resume")
    host.wait(lambda: desk.came[2:] == [Pause()])


def test_a_panic_takes_two_clicks_and_tells_the_way_back(
    host: Host, desk: Desk, item: Item
) -> None:
    item.click("Panic")
    item.click("Panic", "End all access")
    host.wait(lambda: desk.came == [Panic()])
    host.wait(lambda: [title for title, _ in host.notifications] == ["All access is ended"])


def test_start_at_login_is_checked_by_what_is_true(host: Host, desk: Desk, item: Item) -> None:
    assert item.find("Start at login").checked is False
    item.click("Start at login")
    host.wait(lambda: item.find("Start at login").checked is True, 2)
    assert desk.autostart is Autostart.ON


def test_what_is_refused_is_told(host: Host, desk: Desk, item: Item) -> None:
    numbers = item.find("Tunnel quick", "Stop").number
    opencode_only = tuple(s for s in desk.house.journal.latest().services if s.name != "quick")
    # gone for the backend, and still in the menu that somebody holds open
    desk.house.journal._snapshot = msgspec.structs.replace(
        desk.house.journal.latest(), services=opencode_only
    )
    item.event(numbers)
    host.wait(lambda: host.notifications)
    assert host.notifications == [("It was not done", f"{REFUSED.what} {REFUSED.cure}")]


@pytest.mark.parametrize("label", ["Open OpenCode", "Copy"])
def test_hands_that_fail_are_told(host: Host, desk: Desk, item: Item, label: str) -> None:
    desk.works = False
    item.click(label)
    host.wait(lambda: [title for title, _ in host.notifications] == ["It was not done"])


def test_a_backend_that_fails_ends_neither_following_nor_clicking(
    host: Host, desk: Desk, item: Item, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> str:
        raise RuntimeError("the driver's own mistake")

    desk.tray._backend._handlers[OpenDoor] = broken  # type: ignore[attr-defined]
    item.click("Open OpenCode")
    host.wait(lambda: host.notifications)
    assert "Something unexpected" in host.notifications[0][1]
    assert "the driver's own mistake" in caplog.text
    item.left_click()
    host.wait(lambda: desk.came)


def test_no_panel_is_said_once_with_the_cure_and_a_late_one_gets_the_icon(
    bus: str, desk: Desk
) -> None:
    waited = threading.Event()
    deadline = time.monotonic() + 5
    while not desk.said and time.monotonic() < deadline:
        desk.house.say()
        waited.wait(0.05)
    assert desk.said == [NO_PANEL]
    assert NO_PANEL.code == "no-tray-host"
    assert "AppIndicator" in NO_PANEL.cure
    late = Host(bus)
    try:
        found = late.item()
        late.wait(lambda: found.has("Open dashboard"))
    finally:
        late.close()
    desk.house.say(headline="Again")
    waited.wait(0.6)
    assert desk.said == [NO_PANEL]


def test_with_a_panel_nothing_is_said(host: Host, desk: Desk, item: Item) -> None:
    done: Callable[[], bool] = lambda: time.monotonic() > begun + 0.8  # noqa: E731
    begun = time.monotonic()
    while not done():
        desk.house.say()
        item.menu()
    assert desk.said == []


def test_the_tray_cannot_begin_without_a_bus() -> None:
    with pytest.raises(Problem):
        Tray(
            house().backend,
            lambda on_click: SniIcon("unix:path=/nonexistent", {}, ICONS, on_click),
            Hands(lambda _: True, None, lambda _: None),
        )


def test_an_icon_that_ends_misses_no_panel(host: Host, desk: Desk, item: Item) -> None:
    """Quitting said that no panel shows the icon: it was its own end that the icon saw."""
    until(lambda: time.monotonic() >= (desk.tray._panel_until or 0.0))
    follower = next(t for t in threading.enumerate() if t.name == "tray")
    desk.tray.stop()
    desk.thread.join(10)
    desk.house.say(headline="The last that happens")
    follower.join(10)
    assert not follower.is_alive()
    assert desk.said == []
