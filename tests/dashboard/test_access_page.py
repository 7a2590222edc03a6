"""The Access page: who can come in, who is in, what happened; and the end of all of it."""

import dataclasses
import time

import msgspec
import pytest
from playwright.sync_api import Page, expect

from nexus_tray.commands import (
    ClearPassword,
    EndAllSessions,
    EndSession,
    Panic,
    SetPassword,
)
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.reports import Access
from nexus_tray.store.audit import AuditEvent
from tests.api.doubles import until
from tests.dashboard.conftest import Desk, Refusing
from tests.dashboard.house import DOORS, entrances
from tests.dashboard.test_access import axe_finds_nothing, nothing_is_wider_than_the_window


class Doors:
    """What the page is told; changed by the test while it is open."""

    def __init__(self, house: Refusing) -> None:
        self.now = entrances(time.time())
        house.reports = dataclasses.replace(house.reports, access=lambda: self.now)

    def change(self, **changes: object) -> None:
        self.now = msgspec.structs.replace(self.now, **changes)


@pytest.fixture
def doors(house: Refusing) -> Doors:
    """Named before `desk` by each test: its server takes what the house reports as it starts."""
    return Doors(house)


def devices(page: Page) -> list[str]:
    return page.get_by_role("region", name="Signed-in devices").locator("li b").all_inner_texts()


def test_it_is_for_everybody_in_either_theme_and_any_width(doors: Doors, desk: Desk) -> None:
    page = desk.open("/access")
    expect(page.get_by_role("region", name="What happened at the doors")).to_be_visible()
    axe_finds_nothing(page)
    nothing_is_wider_than_the_window(page)
    page.evaluate("document.documentElement.style.fontSize = ''")
    page.get_by_role("button", name="End all access…").click()
    axe_finds_nothing(page)
    doors.now = Access(password=False)
    page.keyboard.press("Escape")
    expect(page.get_by_text("No password is set")).to_be_visible()
    axe_finds_nothing(page)


def test_who_is_in_is_said_in_words_with_the_exact_time_at_hand(doors: Doors, desk: Desk) -> None:
    page = desk.open("/access")
    assert doors.now.password
    expect(page.get_by_text("3 devices are signed in.")).to_be_visible()
    row = page.get_by_role("listitem").filter(has=page.get_by_text("Safari on iPhone", exact=True))
    first = row.first
    for words in ("from outside", "203.0.113.7", "signed in 2 h ago", "ends in 5 d"):
        expect(first).to_contain_text(words)
    exact: str = first.locator("time").nth(1).get_attribute("title") or ""
    assert time.strftime("%Y", time.localtime(doors.now.devices[0].signed_in_at)) in exact
    # what a visitor calls himself acts on nothing
    assert devices(page)[2] == "<img src=x onerror=alert(1)>\\u202e evil"


def test_one_device_is_signed_out(doors: Doors, desk: Desk) -> None:
    page = desk.open("/access")
    page.get_by_role("button", name="Sign out Chrome on Pixel 9, 2001:db8::7f").click()
    until(lambda: desk.house.came == [EndSession(id="dev-2")])
    doors.change(devices=(doors.now.devices[0], doors.now.devices[2]))
    expect(page.get_by_text("Chrome on Pixel 9", exact=True)).to_have_count(0, timeout=15_000)
    expect(page.get_by_role("heading", name="Signed-in devices")).to_be_focused()


def test_a_device_that_is_gone_already_is_said(doors: Doors, desk: Desk) -> None:
    reason = Reason(code="no-such-device", hop=Hop.DEVICE, what="No such device is signed in.")
    desk.house.refusals[EndSession] = Problem(reason)
    page = desk.open("/access")
    page.get_by_role("button", name="Sign out Safari on iPhone").click()
    expect(page.get_by_role("alert")).to_contain_text("No such device is signed in.")


def test_everybody_is_signed_out_after_a_question(doors: Doors, desk: Desk) -> None:
    page = desk.open("/access")
    everybody = page.get_by_role("button", name="Sign out everybody")
    everybody.click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert desk.house.came == []
    everybody.click()
    page.get_by_role("dialog").get_by_role("button", name="Sign out everybody").click()
    until(lambda: desk.house.came == [EndAllSessions()])
    doors.change(devices=())
    # read again at the latest with the next look, which comes every 5 s
    expect(page.get_by_text("No device is signed in.")).to_be_visible(timeout=15_000)
    expect(everybody).to_have_count(0)


def test_the_password_is_set_and_removed_here(doors: Doors, desk: Desk) -> None:
    doors.change(password=False)
    page = desk.open("/access")
    expect(page.get_by_text("No password is set, so there is no remote access.")).to_be_visible()
    expect(page.get_by_role("button", name="Remove")).to_have_count(0)
    page.get_by_label("New password for remote access").fill("four unrelated words here")
    doors.change(password=True)
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_text("Whoever knows the password can sign in.")).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    until(lambda: len(desk.house.came) == 2)
    assert [type(one) for one in desk.house.came] == [SetPassword, ClearPassword]


def test_panic_says_before_what_it_ends_and_after_how_to_come_back(
    doors: Doors,
    desk: Desk,
) -> None:
    page = desk.open("/access")
    page.get_by_role("button", name="End all access…").click()
    dialog = page.get_by_role("dialog", name="End all access now?")
    for words in (
        "every tunnel", "every signed-in device", "every one-time link", "this one too",
        "OpenCode goes on working", "nexus-tray start quick", "nexus-tray dashboard",
    ):  # fmt: skip
        expect(dialog).to_contain_text(words)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert desk.house.came == []
    page.get_by_role("button", name="End all access…").click()
    dialog.get_by_role("button", name="End all access").click()
    until(lambda: desk.house.came == [Panic()])
    after = page.get_by_role("dialog", name="All access is ended")
    expect(after).to_contain_text("nexus-tray start quick")
    # this page ends too, and the way back stays in sight
    desk.server._tickets.void_all()
    expect(page.get_by_text("This page’s access has ended.")).to_be_visible()
    expect(after).to_be_visible()


def test_an_incomplete_panic_says_what_is_open_still(
    doors: Doors,
    desk: Desk,
) -> None:
    what = "Not all access could be ended. The disk is full."
    desk.house.refusals[Panic] = Problem(
        Reason(code="panic-incomplete", hop=Hop.GATEWAY, what=what)
    )
    page = desk.open("/access")
    page.get_by_role("button", name="End all access…").click()
    page.get_by_role("dialog").get_by_role("button", name="End all access").click()
    expect(page.get_by_role("alert")).to_contain_text(what)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_trail_is_in_words_newest_first_and_can_be_searched(doors: Doors, desk: Desk) -> None:
    page = desk.open("/access")
    trail = page.get_by_role("region", name="What happened at the doors")
    rows = trail.get_by_role("listitem")
    expect(rows).to_have_count(len(doors.now.trail))
    expect(trail.get_by_role("status")).to_have_text("The newest 100, newest first.")
    first = rows.first.inner_text()
    assert "Wrong password" in first
    assert "A stranger" in first
    assert "192.0.2.77" in first
    trail.get_by_role("searchbox").fill("wrong 192.0.2")
    expect(rows).to_have_count(sum(e.event == "sign-in-failed" for e in doors.now.trail))
    expect(trail.get_by_role("status")).to_contain_text("of the newest 100 match")
    trail.get_by_role("searchbox").fill("nowhere at all")
    expect(rows).to_have_count(0)
    expect(trail.get_by_role("status")).to_have_text("0 of the newest 100 match.")


def test_every_event_has_words_of_its_own(doors: Doors, desk: Desk) -> None:
    entry = doors.now.trail[0]
    events = [*map(str, AuditEvent), "of-a-later-version"]
    doors.change(
        trail=tuple(
            msgspec.structs.replace(entry, id=number, event=event, text="")
            for number, event in enumerate(events, 1)
        )
    )
    page = desk.open("/access")
    expect(page.locator(".trail li")).to_have_count(len(events))
    said = page.locator(".trail .state").all_inner_texts()
    assert [
        (event, words) for event, words in zip(events, said, strict=True) if event == words
    ] == [("of-a-later-version", "of-a-later-version")]


def test_it_follows_what_happens_and_keeps_focus_and_typing(doors: Doors, desk: Desk) -> None:
    page = desk.open("/access")
    search = page.get_by_role("searchbox")
    search.fill("safari")
    search.press("ArrowLeft")
    doors.change(devices=doors.now.devices[:1])
    expect(page.get_by_text("1 device is signed in.")).to_be_visible(timeout=8000)
    expect(search).to_be_focused()
    expect(search).to_have_value("safari")
    assert search.evaluate("e => e.selectionStart") == len("safari") - 1


def test_a_key_leads_here(doors: Doors, desk: Desk) -> None:
    page = desk.open()
    page.keyboard.press("a")
    expect(page.locator("h1")).to_have_text("Access")
    assert {device.door for device in doors.now.devices} == set(DOORS)
