"""The pause on the first page: chosen, counted from the press, shown, and ended there."""

import re
import time
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page, expect

from nexus_tray.commands import Pause, Resume
from nexus_tray.core.moments import moment, tomorrow
from nexus_tray.core.snapshot import UNUSED
from nexus_tray.model import Desired, Hop, HopState, Problem, Reason, ServiceState
from tests.api.doubles import until
from tests.dashboard.conftest import Desk
from tests.dashboard.house import broken, services, well
from tests.dashboard.test_access import axe_finds_nothing, nothing_is_wider_than_the_window


def paused(desk: Desk, until_at: float | None, code: str = "paused") -> Reason:
    """Remote access is paused, as the program says it."""
    now = time.time()
    words = "until you resume it" if until_at is None else f"until {moment(until_at, now)}"
    reason = Reason(
        code=code, hop=Hop.EDGE, what=f"Remote access is paused {words}.",
        meaning="The tunnels are stopped; OpenCode goes on working here.",
        cure="Resume it from the tray, or with: nexus-tray resume",
    )  # fmt: skip
    opencode, gateway, quick = services(now)
    quick = msgspec.structs.replace(
        quick, state=ServiceState.STOPPED, desired=Desired.RUNNING, reason=reason,
        facts=type(quick.facts)(),
    )  # fmt: skip
    snapshot = well(
        desk.house, now, state=HopState.OFF, headline=reason.what, reason=reason, address=None,
        services=(opencode, gateway, quick), paused=True, paused_until=until_at,
    )  # fmt: skip
    path = list(snapshot.path)
    path[1] = msgspec.structs.replace(path[1], state=HopState.OFF, text="no tunnel")
    path[2] = msgspec.structs.replace(path[2], state=HopState.OFF, text="off", reason=reason)
    desk.house.say(path=tuple(path))
    return reason


def choose(page: Page, word: str) -> None:
    page.get_by_role("button", name="Pause remote access").click()
    page.get_by_role("dialog").get_by_role("button", name=word).click()


@pytest.mark.parametrize(
    ("word", "seconds"), [("15 minutes", 900), ("1 hour", 3600), ("Until I resume", None)]
)
def test_a_pause_is_counted_from_the_press(desk: Desk, word: str, seconds: float | None) -> None:
    page = desk.open()
    choose(page, word)
    until(lambda: bool(desk.house.came))
    [came] = desk.house.came
    assert isinstance(came, Pause)
    if seconds is None:
        assert came.until_at is None
    else:
        assert came.until_at is not None
        assert abs(came.until_at - time.time() - seconds) < 5
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_text("Remote access is paused.").first).to_be_visible()


def test_tomorrow_is_what_the_program_calls_so(desk: Desk) -> None:
    choose(desk.open(), "Until tomorrow, 6:00")
    until(lambda: bool(desk.house.came))
    assert desk.house.came == [Pause(until_at=tomorrow(time.time()))]


@pytest.mark.parametrize(("code", "seconds"), [("paused", 900), (UNUSED, None)])
def test_what_is_paused_says_so_and_is_resumed(
    desk: Desk, code: str, seconds: float | None
) -> None:
    page = desk.open()
    reason = paused(desk, None if seconds is None else time.time() + seconds, code)
    expect(page.locator("h1")).to_have_text(reason.what)
    expect(page.get_by_role("button", name="Pause remote access")).to_have_count(0)
    resume = page.get_by_role("button", name="Resume remote access")
    expect(resume).to_have_class(re.compile("primary"))
    resume.click()
    until(lambda: desk.house.came == [Resume()])
    well(desk.house, time.time(), paused=False, paused_until=None)
    expect(page.get_by_role("button", name="Pause remote access")).to_be_visible()
    expect(page.locator("h1")).to_have_text("Reachable from anywhere")


def test_a_pause_is_said_beside_what_is_broken(desk: Desk) -> None:
    page = desk.open()
    broken(desk.house, time.time())
    desk.house.say(paused=True, paused_until=time.time() + 3 * 86400)
    expect(page.locator("header")).to_contain_text(re.compile("paused until .* [A-Z].*, "))
    expect(page.get_by_role("button", name="Resume remote access")).to_be_visible()


def test_a_refusal_stays_in_the_dialog(desk: Desk) -> None:
    reason = Reason(code="no", hop=Hop.GATEWAY, what="It may not.", cure="Ask the moon.")
    desk.house.refusals[Pause] = Problem(reason)
    page = desk.open()
    choose(page, "1 hour")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("It may not.")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Pause remote access")).to_be_focused()


def test_without_a_tunnel_there_is_nothing_to_pause(desk: Desk) -> None:
    well(desk.house, time.time(), services=services(time.time())[:2])
    page = desk.open()
    expect(page.get_by_role("button", name="Open OpenCode")).to_be_visible()
    expect(page.get_by_role("button", name="Pause remote access")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
def test_everybody_can_use_it(desk: Desk, scheme: Any, width: int) -> None:
    page = desk.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    desk.open()
    page.get_by_role("button", name="Pause remote access").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    axe_finds_nothing(page)
    page.keyboard.press("Escape")
    paused(desk, time.time() + 900)
    expect(page.get_by_role("button", name="Resume remote access")).to_be_visible()
    axe_finds_nothing(page)
    nothing_is_wider_than_the_window(page)
