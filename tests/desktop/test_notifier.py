"""Notifications on a real bus, before a service of the tests, the real dunst, and none."""

import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from nexus_tray.commands import AnswerPermission
from nexus_tray.desktop.notice_words import Button, Kind, Notice
from nexus_tray.desktop.notifier import choose
from nexus_tray.desktop.notifier_bus import MOST, STALE, BusNotifier
from nexus_tray.desktop.notifier_stock import StockNotifier
from nexus_tray.model import Problem
from tests.api.doubles import until
from tests.desktop.notification_host import USUAL, Desk
from tests.desktop.tray_host import private_bus

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux's own service")

ALLOW = Button("Allow once", AnswerPermission(question_id="per_1", reply="once"))
REJECT = Button("Reject", AnswerPermission(question_id="per_1", reply="reject"))
ASKS = Notice(
    "asks per_1", Kind.ASKS, "OpenCode asks", "bash\nrm <b>x</b> & y", "/", (ALLOW, REJECT)
)
NEWS = Notice("back", Kind.BACK, "Reachable again", "https://x", lasting=False)


def other(number: int, title: str = "Other") -> Notice:
    return Notice(f"other {number}", Kind.FAILED, f"{title} {number}", "text")


@pytest.fixture
def bus() -> Iterator[str]:
    with private_bus() as address:
        yield address


class Holder:
    """A notifier and the clicks on it. `now` is its clock."""

    def __init__(self, address: str) -> None:
        self.clicks: list[tuple[Notice, Button | None]] = []
        self.now = 1000.0
        self.notifier = BusNotifier(
            address, lambda *click: self.clicks.append(click), lambda: self.now
        )


@pytest.fixture
def holder(bus: str) -> Iterator[Holder]:
    made = Holder(bus)
    yield made
    made.notifier.close()
    assert not made.notifier._thread.is_alive()


@pytest.fixture
def desk(bus: str) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(*can: str, **how: bool) -> Desk:
        made.append(Desk(bus, can or USUAL, **how))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_shown_with_buttons_and_clicked(holder: Holder, desk: Callable[..., Desk]) -> None:
    there = desk()
    holder.notifier.show(ASKS)
    shown = there.find("OpenCode asks")
    assert shown.text == "bash\nrm &lt;b&gt;x&lt;/b&gt; &amp; y"
    assert shown.actions == {"default": "Open", "0": "Allow once", "1": "Reject"}
    assert shown.urgency == 1
    there.invoke(shown.number, "1")
    until(lambda: holder.clicks == [(ASKS, REJECT)])
    holder.notifier.show(ASKS)
    shown = there.find("OpenCode asks")
    there.invoke(shown.number, "default")
    until(lambda: holder.clicks[1:] == [(ASKS, None)])


def test_one_click_counts_and_only_for_what_is_there(
    holder: Holder, desk: Callable[..., Desk]
) -> None:
    there = desk()
    holder.notifier.show(ASKS)
    number = there.find("OpenCode asks").number
    for action in ("7", "-1", "", "²", "default2"):  # none of ours
        there.invoke(number + 1, "0")
        there.click(number, action)
    there.click(number, "0")
    there.click(number, "0")
    there.click(number, "1")
    there.wait(lambda: not there.screen)  # taken back by us
    holder.notifier.show(other(1))
    there.find("Other 1")
    assert holder.clicks == [(ASKS, ALLOW)]


def test_nobody_else_can_tell_of_a_click(holder: Holder, desk: Callable[..., Desk]) -> None:
    there, stranger = desk(), desk(named=False)
    holder.notifier.show(ASKS)
    shown = there.find("OpenCode asks")
    until(lambda: bool(holder.notifier._owner))
    stranger.forge(there.calls[0], shown.number, "0")
    holder.notifier.show(other(1))
    there.find("Other 1")
    there.invoke(shown.number, "1")
    until(lambda: holder.clicks == [(ASKS, REJECT)])


def test_a_service_without_buttons_and_markup(holder: Holder, desk: Callable[..., Desk]) -> None:
    there = desk("body")
    holder.notifier.show(ASKS)
    shown = there.find("OpenCode asks")
    assert shown.actions == {}
    assert shown.text == ASKS.text


def test_the_same_key_takes_the_same_place_and_goes(
    holder: Holder, desk: Callable[..., Desk]
) -> None:
    there = desk(mute=True)
    for number in range(5):
        holder.notifier.show(Notice("one", Kind.ASKS, f"{number} questions wait", ""))
    holder.notifier.show(other(1))
    holder.notifier.withdraw("other 1")
    holder.notifier.withdraw("never there")
    there.speak()
    there.find("4 questions wait")
    there.wait(lambda: there.titles() == ["4 questions wait"])
    holder.notifier.show(
        Notice(
            "one",
            Kind.ASKS,
            "5 questions wait",
            "",
        )
    )
    holder.notifier.show(
        Notice(
            "one",
            Kind.ASKS,
            "6 questions wait",
            "",
        )
    )
    there.wait(lambda: there.titles() == ["6 questions wait"])
    assert list(there.screen) == [1]
    holder.notifier.withdraw("one")
    there.wait(lambda: not there.screen)


def test_withdrawn_before_the_service_has_named_it(bus: str, desk: Callable[..., Desk]) -> None:
    there = desk()
    holder = Holder(bus)
    try:
        holder.notifier.show(other(0))
        there.find("Other 0")
        there._mute = True
        holder.notifier.show(ASKS)
        there.wait(lambda: there._held)
        holder.notifier.withdraw(ASKS.key)
        holder.notifier.show(other(1))
        there.wait(lambda: len(there._held) > 1)
        there.speak()
        there.find("Other 1")
        there.wait(lambda: set(there.titles()) == {"Other 0", "Other 1"})
    finally:
        holder.notifier.close()
    there.wait(lambda: not there.screen)  # the end takes everything back


def test_no_service_is_said_once_and_one_that_comes_late_is_used(
    holder: Holder, desk: Callable[..., Desk], caplog: pytest.LogCaptureFixture
) -> None:
    holder.notifier.show(NEWS)
    holder.notifier.show(ASKS)
    until(lambda: "shows no notifications" in caplog.text)
    holder.now += STALE + 1
    holder.notifier.show(other(1))
    holder.notifier.show(other(2))
    holder.notifier.withdraw("other 2")
    there = desk()
    there.find("OpenCode asks")
    there.find("Other 1")
    assert sorted(there.titles()) == ["OpenCode asks", "Other 1"]  # old news are none
    assert len(caplog.records) == 1


def test_a_service_that_is_restarted_shows_what_is_new(
    holder: Holder, desk: Callable[..., Desk]
) -> None:
    first = desk()
    holder.notifier.show(ASKS)
    first.find("OpenCode asks")
    first.close()
    until(lambda: not holder.notifier._owner)
    second = desk("body")
    holder.notifier.show(other(1))
    assert second.find("Other 1").actions == {}
    holder.notifier.withdraw(ASKS.key)  # shown by the first only
    holder.notifier.show(other(2))
    second.find("Other 2")
    assert second.titles() == ["Other 1", "Other 2"]


def test_a_service_that_never_answers_holds_nothing_up(bus: str, desk: Callable[..., Desk]) -> None:
    there = desk(mute=True)
    holder = Holder(bus)
    for number in range(3 * MOST):
        holder.notifier.show(other(number))
    there.wait(lambda: there._held)
    holder.notifier.close()
    assert not holder.notifier._thread.is_alive()
    assert len(holder.notifier._entries) <= MOST
    holder.notifier.show(ASKS)  # after the end, and harmless
    holder.notifier.close()


def test_more_than_are_kept_in_mind(holder: Holder, desk: Callable[..., Desk]) -> None:
    there = desk()
    for number in range(MOST + 5):
        holder.notifier.show(other(number))
    there.find(f"Other {MOST + 4}")
    there.wait(lambda: len(there.screen) == MOST)
    assert "Other 4" not in there.titles()


@pytest.mark.parametrize("how", ["refuses", "nonsense"])
def test_a_broken_service_is_said_and_ends_nothing(
    holder: Holder, desk: Callable[..., Desk], how: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken = desk(**{how: True})
    holder.notifier.show(ASKS)
    until(lambda: bool(caplog.records))
    broken.close()
    until(lambda: not holder.notifier._owner)
    holder.notifier.show(other(1))
    assert desk().find("Other 1").text == "text"


def test_the_end_of_the_bus_ends_the_notifier(caplog: pytest.LogCaptureFixture) -> None:
    with private_bus() as address:
        holder = Holder(address)
        holder.notifier.show(ASKS)
        until(lambda: "shows no notifications" in caplog.text)
    until(lambda: not holder.notifier._thread.is_alive())
    assert "bus is gone" in caplog.text
    holder.notifier.show(ASKS)
    holder.notifier.close()


def test_no_bus_is_a_problem() -> None:
    with pytest.raises(Problem):
        choose({"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}, lambda *_: None)


def test_the_end_leaves_nothing_behind(bus: str, desk: Callable[..., Desk]) -> None:
    there = desk()
    before, threads = len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208
    for _ in range(3):
        made = choose({"DBUS_SESSION_BUS_ADDRESS": bus}, lambda *_: None)
        made.show(ASKS)
        there.find("OpenCode asks")
        made.close()
        there.wait(lambda: not there.screen)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert threading.active_count() == threads


@pytest.mark.skipif(
    not shutil.which("dunst") or not shutil.which("Xvfb"), reason="needs dunst and Xvfb"
)
def test_the_real_dunst_shows_answers_and_closes(bus: str, holder: Holder) -> None:
    with subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as screen:  # fmt: skip
        assert screen.stdout is not None
        number = screen.stdout.readline().decode().strip()
        environment = dict(os.environ, DISPLAY=f":{number}", DBUS_SESSION_BUS_ADDRESS=bus)
        environment.pop("WAYLAND_DISPLAY", None)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(["dunst", "-conf", "/dev/null"], env=environment, **quiet) as dunst:  # type: ignore[call-overload]
            try:
                _use_dunst(holder, environment)
            finally:
                dunst.terminate()
                dunst.wait(10)
                screen.terminate()
                screen.wait(10)


def _use_dunst(holder: Holder, environment: dict[str, str]) -> None:
    def ctl(*words: str) -> str:
        return subprocess.run(
            ["dunstctl", *words], env=environment, capture_output=True, text=True, timeout=10,
            check=False,
        ).stdout.strip()  # fmt: skip

    until(lambda: ctl("count", "displayed") == "0")
    holder.notifier.show(ASKS)
    until(lambda: ctl("count", "displayed") == "1")
    ctl("action")
    until(lambda: holder.clicks == [(ASKS, None)])
    until(lambda: ctl("count", "displayed") == "0")
    holder.notifier.show(ASKS)
    until(lambda: ctl("count", "displayed") == "1")
    holder.notifier.withdraw(ASKS.key)
    until(lambda: ctl("count", "displayed") == "0")
    holder.notifier.show(ASKS)
    until(lambda: ctl("count", "displayed") == "1")
    ctl("close")
    until(lambda: not holder.notifier._entries)


def test_the_library_of_the_other_systems(
    bus: str, desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Linux it speaks to the same service, so what we do with it can be tried here."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    there = desk()
    clicks: list[tuple[Notice, Button | None]] = []
    made = StockNotifier(lambda *click: clicks.append(click))
    made.show(ASKS)
    shown = there.find("OpenCode asks")
    assert list(shown.actions.values())[1:] == ["Allow once", "Reject"]
    until(lambda: bool(made._library._backend._notification_cache))  # it has heard the number
    there.invoke(shown.number, list(shown.actions)[1])
    until(lambda: clicks == [(ASKS, ALLOW)])
    made.show(other(1))
    made.show(other(1, "Newer"))
    there.find("Newer 1")
    there.wait(lambda: there.titles() == ["Newer 1"])
    made.withdraw("other 1")
    made.show(other(2))
    there.find("Other 2")
    assert there.titles() == ["Other 2"]
    made.close()
    there.wait(lambda: not there.screen)
    assert not made._thread.is_alive()
    made.show(other(3))  # after the end, and harmless
    made.close()
    made._library._backend.bus._sock.close()  # which the library leaves open
