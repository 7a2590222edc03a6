"""The doctor's page: what is wrong first, the rest in one line, copied, examined again."""

import dataclasses
import re
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page, expect

from nexus_tray.cli.doctor import report
from nexus_tray.commands import FetchTool, Repair, RestoreTool
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.reports import (
    Bundle,
    BundleFile,
    Check,
    CheckState,
    Examination,
    Fetch,
    Setup,
    ToolState,
)
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
        self.setup = Setup(finished=True)
        self.bundle = Bundle(at=1.7e9)
        self.no_bundle: Problem | None = None

    def pack(self) -> Bundle:
        if self.no_bundle:
            raise self.no_bundle
        return self.bundle

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
    house.reports = dataclasses.replace(
        house.reports,
        examine=examining,
        setup=lambda: examining.setup,
        bundle=examining.pack,
    )
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


# -- repairs, programs, the bundle ---------------------------------------------------------------


def mend(examining: Examining, code: str, label: str) -> None:
    checks = tuple(
        msgspec.structs.replace(one, repair=label) if one.code == code else one
        for one in examining.found.checks
    )
    examining.found = msgspec.structs.replace(examining.found, checks=checks)


def test_a_repair_is_a_button_and_is_examined_after(desk: Desk, examining: Examining) -> None:
    mend(examining, "clock", "Put it right")
    page = opened(desk)
    page.get_by_role("button", name="Put it right: Clock").click()
    until(lambda: desk.house.came[-1:] == [Repair(code="clock")])
    until(lambda: examining.times == 2)
    assert page.get_by_role("dialog").count() == 0


def test_what_cuts_somebody_off_is_asked_first(desk: Desk, examining: Examining) -> None:
    bad = Check(
        code="opencode-health", title="OpenCode's health", state=CheckState.BAD, text="silent",
        repair="Restart OpenCode",
    )  # fmt: skip
    examining.found = Examination(at=time.time(), checks=(bad,))
    page = desk.open("/doctor")
    button = page.get_by_role("button", name="Restart OpenCode: OpenCode's health")
    button.click()
    expect(page.get_by_role("dialog")).to_contain_text("cut off")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert desk.house.came == []
    button.click()
    page.get_by_role("dialog").get_by_role("button", name="Restart OpenCode").click()
    until(lambda: desk.house.came == [Repair(code="opencode-health")])


def test_a_repair_that_fails_says_why(desk: Desk, examining: Examining) -> None:
    mend(examining, "clock", "Put it right")
    why = Reason(code="x", hop=Hop.GATEWAY, what="It could not be put right.")
    desk.house.refusals[Repair] = Problem(why)
    page = opened(desk)
    page.get_by_role("button", name="Put it right: Clock").click()
    expect(page.get_by_role("alert")).to_contain_text("It could not be put right.")
    assert examining.times == 1


OLD = ToolState(
    name="cloudflared", path="~/tools/cloudflared", version="2026.1.0", fetchable=True,
    reason=Reason(code="tool-old", hop=Hop.CLOUDFLARED, what="It is older than 2026.8.2."),
)  # fmt: skip


def test_a_program_is_updated_and_one_can_go_back(desk: Desk, examining: Examining) -> None:
    house = desk.house

    def now(**changes: Any) -> None:
        tool = msgspec.structs.replace(OLD, **changes)
        examining.setup = Setup(finished=True, tools=(tool,))

    now()
    page = opened(desk)
    programs = page.get_by_role("region", name="Programs")
    expect(programs).to_contain_text("It is older than 2026.8.2.")
    now(fetch=Fetch(done_bytes=10_000_000, total_bytes=40_000_000))
    programs.get_by_role("button", name="Update cloudflared").click()
    until(lambda: house.came == [FetchTool(name="cloudflared")])
    expect(programs.get_by_text("10 MB of 40 MB")).to_be_visible()
    axe_finds_nothing(page)
    now(version="2026.8.2", fetchable=False, reason=None, restorable="2026.1.0")
    programs.get_by_role("button", name="Go back to cloudflared 2026.1.0").click()
    page.get_by_role("dialog").get_by_role("button", name="Go back").click()
    until(lambda: house.came[-1] == RestoreTool(name="cloudflared"))


def bundled(examining: Examining) -> Bundle:
    files = [("about.txt", "Nexus Tray 0.1.0\nTaken out: much\n"),
             ("logs/opencode.txt", "one\nTwo <b>wörds</b> \u202e\nthree two\n"),
             ("settings.json", '{"version": 1}')]  # fmt: skip
    examining.bundle = Bundle(at=1.7e9, files=tuple(BundleFile(name=n, text=t) for n, t in files))
    return examining.bundle


def test_the_bundle_is_seen_searched_and_saved_as_seen(
    desk: Desk, examining: Examining, tmp_path: Path
) -> None:
    made = bundled(examining)
    page = opened(desk)
    section = page.get_by_role("region", name="Support bundle")
    assert section.get_by_role("button", name="Save").count() == 0, "it is seen first"
    section.get_by_role("button", name="Show what it would hold").click()
    expect(section.get_by_role("region", name="What about.txt holds")).to_contain_text("much")
    section.get_by_label("File", exact=True).select_option("logs/opencode.txt")
    text = section.get_by_role("region", name="What logs/opencode.txt holds")
    expect(text).to_contain_text("Two <b>wörds</b> \\u202e")
    section.get_by_label("Search in all files").fill("TWO")
    expect(section.get_by_text("2 lines in 1 file")).to_be_visible()
    expect(text.locator("mark")).to_have_text(["Two", "two"])
    expect(text).not_to_contain_text("one")
    axe_finds_nothing(page)
    nothing_is_wider_than_the_window(page)
    with page.expect_download() as download:
        section.get_by_role("button", name="Save as a zip").click()
    assert download.value.suggested_filename == "nexus-tray-support-2023-11-14.zip"
    file = tmp_path / "saved.zip"
    download.value.save_as(file)
    with zipfile.ZipFile(file) as pack:
        assert pack.testzip() is None
        found = {name: pack.read(name).decode() for name in pack.namelist()}
    assert found == {f"nexus-tray-support/{one.name}": one.text for one in made.files}
    section.get_by_role("button", name="Throw away").click()
    expect(section.get_by_role("button", name="Save as a zip")).to_have_count(0)


def test_a_bundle_that_cannot_be_made_says_why(desk: Desk, examining: Examining) -> None:
    what = "It could not be gathered."
    examining.no_bundle = Problem(Reason(code="x", hop=Hop.GATEWAY, what=what))
    page = opened(desk)
    page.get_by_role("button", name="Show what it would hold").click()
    expect(page.get_by_role("alert")).to_contain_text("It could not be gathered.")
