"""The doctor's page: what is wrong first, the rest in one line, copied, examined again."""

import dataclasses
import re
import threading
import time

import pytest
from playwright.sync_api import Page, expect

from nexus_tray.cli.doctor import report
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.reports import Check, CheckState, Examination
from tests.api.doubles import until
from tests.dashboard.conftest import Desk, Refusing
from tests.dashboard.house import examined
from tests.dashboard.test_access import axe_finds_nothing, nothing_is_wider_than_the_window


class Examining:
    """Stands behind `examine`: answers what it was given, when it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.may.set()
        self.times = 0
        self.found = examined(time.time())
        self.trouble: Problem | None = None

    def __call__(self) -> Examination:
        self.times += 1
        assert self.may.wait(20)
        if self.trouble:
            raise self.trouble
        return self.found


@pytest.fixture
def examining() -> Examining:
    return Examining()


@pytest.fixture
def house(house: Refusing, examining: Examining) -> Refusing:
    house.reports = dataclasses.replace(house.reports, examine=examining)
    return house


def opened(desk: Desk) -> Page:
    page = desk.open("/doctor")
    expect(page.get_by_role("heading", name="What is fine")).to_be_visible()
    return page


def test_what_is_wrong_comes_first_and_the_rest_is_one_line(desk: Desk) -> None:
    page = opened(desk)
    rows = page.locator("section", has_text="What is not well").locator("li")
    assert [row.locator(".state").inner_text() for row in rows.all()] == [
        "Wrong", "Attend to", "Not known",
    ]  # fmt: skip
    expect(rows.first).to_contain_text("12 minutes behind")
    expect(rows.first).to_contain_text("set its clock by the network")
    expect(page.get_by_text("7 checks are fine")).to_be_visible()
    expect(page.get_by_text("70.1 GB free")).to_be_hidden()
    page.get_by_text("7 checks are fine").click()
    expect(page.get_by_text("70.1 GB free")).to_be_visible()
    expect(page.get_by_text("1 wrong, 1 to attend to, 1 not known, 7 good").first).to_be_visible()


def test_everybody_can_read_it(desk: Desk) -> None:
    page = opened(desk)
    page.get_by_text("7 checks are fine").click()
    axe_finds_nothing(page)
    nothing_is_wider_than_the_window(page)


def test_key_d_leads_there(desk: Desk) -> None:
    page = desk.open()
    page.keyboard.press("d")
    expect(page.locator("h1")).to_have_text("Doctor")


def test_it_is_examined_again_and_said_once(desk: Desk, examining: Examining) -> None:
    page = opened(desk)
    page.evaluate("""() => {
        window.said = [];
        new MutationObserver(() => said.push(document.querySelector('[role=status]').textContent))
            .observe(document.querySelector('[role=status]'), {childList: true, subtree: true,
                characterData: true});
    }""")
    examining.may.clear()
    good = Check(code="clock", title="Clock", state=CheckState.GOOD, text="right within 1 s")
    examining.found = Examination(at=time.time(), checks=(good,))
    button = page.get_by_role("button", name="Examine again")
    button.click()
    expect(page.get_by_role("button", name="Examining…")).to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("progressbar", name="Examination")).to_be_visible()
    examining.may.set()
    expect(page.get_by_text("1 check is fine")).to_be_visible()
    expect(page.get_by_text("right within 1 s")).to_be_visible()  # nothing else: shown at once
    until(lambda: bool(page.evaluate("said.length")))
    assert page.evaluate("said") == ["Examined: 1 good."]
    assert examining.times == 2
    page.keyboard.press("o")
    page.keyboard.press("d")
    expect(page.get_by_text("1 check is fine")).to_be_visible()
    assert examining.times == 2  # to come back is not to examine


def test_a_cures_command_and_the_report_are_copied(desk: Desk, examining: Examining) -> None:
    desk.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = opened(desk)
    page.get_by_role("button", name="Copy command nexus-tray password set").click()
    expect(page.get_by_role("button", name="Copy command")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "nexus-tray password set"
    page.get_by_role("button", name="Copy report").click()
    expect(page.get_by_role("button", name="Copy report")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == report(examining.found)


def test_an_examination_that_fails_says_so_and_can_be_tried_again(
    desk: Desk, examining: Examining
) -> None:
    what = "The examination could not be made."
    examining.trouble = Problem(Reason(code="x", hop=Hop.GATEWAY, what=what))
    page = desk.open("/doctor")
    expect(page.get_by_role("alert")).to_contain_text(what)
    examining.trouble = None
    page.get_by_role("button", name=re.compile("^Examine$")).click()
    expect(page.get_by_text("7 checks are fine")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
