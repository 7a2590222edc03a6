"""The first start in a real browser: each step, skipped and come back to, by keys alone."""

import dataclasses
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page, expect

from nexus_tray.app.folder import CheckedFolder
from nexus_tray.commands import CancelFetch, FetchTool, PassStep, SetPassword
from nexus_tray.gateway.signin.passwords import judge
from nexus_tray.model import Activity, Hop, Reason
from nexus_tray.paths import Paths
from nexus_tray.reports import Access, Device, Fetch, Setup, ToolState
from tests.api.doubles import stored_house, until
from tests.dashboard.conftest import Desk, Refusing
from tests.dashboard.house import sessions, well
from tests.dashboard.test_access import axe_finds_nothing, nothing_is_wider_than_the_window

FOUND = (
    ToolState(name="opencode", path="/usr/bin/opencode", version="1.18.33"),
    ToolState(name="cloudflared", path="/usr/bin/cloudflared", version="2026.8.2"),
)
MISSING = Reason(
    code="tool-missing", hop=Hop.OPENCODE, what="It was not found on this machine.",
    cure="Fetch it, or install it yourself.",
)  # fmt: skip
NO_NPM = Reason(
    code="opencode-no-npm", hop=Hop.OPENCODE, what="npm was not found.", cure="Install it by hand.",
)  # fmt: skip


@dataclass
class Beginner(Refusing):
    """A house in which somebody has just moved in."""

    setup: Setup = field(
        default_factory=lambda: Setup(finished=False, tools=FOUND, directory="/home/ada/src")
    )
    access: Access = field(default_factory=lambda: Access(password=False))

    def now(self, **changes: Any) -> None:
        self.setup = msgspec.structs.replace(self.setup, **changes)

    def tool(self, name: str, **changes: Any) -> None:
        self.now(
            tools=tuple(
                msgspec.structs.replace(tool, **changes) if tool.name == name else tool
                for tool in self.setup.tools
            )
        )

    def arrive(self) -> None:
        at = time.time()
        phone = Device(
            id="d1", name="Safari on iPhone", address="203.0.113.7", door="public", host="x",
            signed_in_at=at, seen_at=at, expires_at=at + 1000,
        )  # fmt: skip
        self.access = Access(password=True, devices=(phone,))

    def _carry_out(self, command: Any) -> str | None:
        answer = super()._carry_out(command)
        match command:
            case SetPassword():
                self.now(password=True)
            case PassStep(step="finish"):
                self.now(finished=True)
            case PassStep(step=step):
                self.now(passed=(*self.setup.passed, step))
            case FetchTool(name=name):
                self.tool(name, fetch=Fetch(done_bytes=0))
            case CancelFetch(name=name):
                self.tool(name, fetch=None)
        return answer


@pytest.fixture
def house(paths: Paths) -> Iterator[Beginner]:
    with stored_house(paths) as plain:
        house = Beginner(plain.journal, plain.logs, CheckedFolder(plain.settings))
        house.reports = dataclasses.replace(
            house.reports, setup=lambda: house.setup, access=lambda: house.access
        )
        well(house, time.time(), address=None, activity=Activity())
        yield house


def begin(desk: Desk) -> tuple[Page, Beginner]:
    assert isinstance(desk.house, Beginner)
    return desk.open("/welcome"), desk.house


def fits(page: Page) -> None:
    nothing_is_wider_than_the_window(page)
    page.evaluate("document.documentElement.style.fontSize = ''")


def step(page: Page, title: str) -> None:
    expect(page.locator("#step")).to_have_text(title)


def test_from_nothing_to_the_phone_by_keys_alone(desk: Desk) -> None:
    page, house = begin(desk)
    step(page, "Choose a password")
    expect(page.get_by_label("Password", exact=True)).to_be_focused()
    expect(page.locator(".steps li")).to_have_text(["Password", "Your phone", "Ready"])
    page.keyboard.type("short")
    expect(page.locator("#password-hint")).to_have_text("7 more characters.")
    page.keyboard.press("Enter")
    assert not house.came
    page.keyboard.type(" river and a long walk")
    page.keyboard.press("Enter")
    step(page, "Sign in on your phone")
    assert [type(one) for one in house.came] == [SetPassword]
    expect(page.get_by_text("The tunnel is on its way to an address")).to_be_visible()
    well(house, time.time())
    code = page.get_by_role("img", name=re.compile("^QR code of .*calm-river"))
    expect(code).to_be_visible()
    expect(page.get_by_text("its address is another one each time")).to_be_visible()
    house.arrive()
    step(page, "You are ready")
    expect(page.get_by_text("Safari on iPhone is in").first).to_be_visible()
    until(lambda: house.setup.finished)
    assert house.setup.passed == ("phone",)
    expect(page.locator("#step")).to_be_focused()


def test_what_was_done_is_not_asked_again_and_can_be_come_back_to(desk: Desk) -> None:
    page, house = begin(desk)
    page.get_by_role("button", name="Skip").click()
    step(page, "Sign in on your phone")
    expect(page.get_by_text("There is no address without a password")).to_be_visible()
    page.reload()
    step(page, "Sign in on your phone")
    page.get_by_role("button", name="Back to: Password").click()
    step(page, "Choose a password")
    page.get_by_label("Password", exact=True).fill("a long walk by the river")
    page.get_by_role("button", name="Set password").click()
    step(page, "Sign in on your phone")
    page.get_by_role("button", name="Skip").click()
    step(page, "You are ready")
    until(lambda: house.setup.finished)
    assert house.setup.passed == ("password", "phone")


def test_a_proposed_password_is_one_that_the_program_takes(desk: Desk) -> None:
    page, _ = begin(desk)
    found = page.get_by_label("Password", exact=True)
    proposed = set()
    for _ in range(20):
        page.get_by_role("button", name="Propose one").click()
        proposed.add(found.input_value())
    assert len(proposed) == 20
    assert all(judge(text) is None and len(text.split()) == 5 for text in proposed)
    expect(found).to_have_attribute("type", "text")
    expect(page.locator("#password-hint")).to_have_text("Strong.")
    page.get_by_role("button", name="Show").click()
    expect(found).to_have_attribute("type", "password")


def test_missing_programs_are_fetched_with_progress_and_cancel(desk: Desk) -> None:
    house = desk.house
    assert isinstance(house, Beginner)
    for name in ("opencode", "cloudflared"):
        house.tool(name, path=None, version=None, fetchable=True, reason=MISSING)
    page, house = begin(desk)
    step(page, "Two programs are needed")
    page.get_by_role("button", name="Fetch both").click()
    bar = page.get_by_role("progressbar", name="Fetching cloudflared")
    expect(bar).to_be_visible()
    house.tool("cloudflared", fetch=Fetch(done_bytes=10_000_000, total_bytes=40_000_000))
    expect(page.get_by_text("10 MB of 40 MB")).to_be_visible()
    expect(page.get_by_text("how far is not told")).to_be_visible()
    axe_finds_nothing(page)
    page.get_by_role("button", name="Cancel fetching OpenCode").click()
    expect(page.get_by_role("button", name="Fetch OpenCode")).to_be_visible()
    house.tool("opencode", reason=NO_NPM)
    house.tool("cloudflared", path="/x/cloudflared", version="2026.8.2", fetch=None, reason=None)
    expect(page.get_by_text("Install it by hand.")).to_be_visible()
    page.get_by_role("button", name="Fetch OpenCode").click()
    expect(page.get_by_role("progressbar", name="Fetching OpenCode")).to_be_visible()
    house.tool("opencode", path="/x/opencode", version="1.18.33", fetch=None, reason=None)
    step(page, "Choose a password")


def test_the_overview_leads_back_until_it_is_done(desk: Desk) -> None:
    _, house = begin(desk)
    page = desk.open("/")
    expect(page.get_by_text("2 steps are left until your phone")).to_be_visible()
    page.get_by_role("link", name="Finish setting up").click()
    step(page, "Choose a password")
    house.now(finished=True, password=True)
    page.get_by_role("link", name="Overview").click()
    expect(page.locator(".traffic-body")).to_be_visible()
    expect(page.get_by_role("link", name="Finish setting up")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_use_it(desk: Desk, theme: Any) -> None:
    desk.page.emulate_media(color_scheme=theme)
    page, house = begin(desk)
    step(page, "Choose a password")
    fits(page)
    axe_finds_nothing(page)
    page.get_by_label("Password", exact=True).fill("a long walk by the river")
    page.get_by_role("button", name="Set password").click()
    well(house, time.time())
    expect(page.get_by_role("img", name=re.compile("QR code"))).to_be_visible()
    axe_finds_nothing(page)
    fits(page)
    page.get_by_role("button", name="Skip").click()
    step(page, "You are ready")
    expect(page.get_by_role("region", name="Projects")).to_be_visible()
    axe_finds_nothing(page)
    fits(page)


def test_the_default_project_is_chosen_in_the_settings(desk: Desk, tmp_path: Path) -> None:
    house = desk.house
    assert isinstance(house, Beginner)
    page = desk.open("/settings")
    session = msgspec.structs.replace(sessions(time.time())[0], directory=str(tmp_path))
    well(house, time.time(), activity=Activity(sessions=(session,)))
    projects = page.get_by_role("region", name="Projects")
    expect(projects.get_by_role("listitem").first).to_contain_text("/home/ada/src")
    expect(projects.get_by_role("listitem").first).to_contain_text("Default")
    projects.get_by_role("button", name=f"Make default: {tmp_path}").click()
    until(lambda: directory(house) == str(tmp_path))
    page.get_by_role("button", name="Undo").click()
    until(lambda: directory(house) == "")


def test_a_folder_that_is_none_is_said_while_it_is_typed(desk: Desk, tmp_path: Path) -> None:
    page = desk.open("/settings")
    field = page.get_by_role("region", name="Projects").get_by_label("Another one")
    expect(field).to_be_visible()
    field.fill("/nowhere")
    expect(page.locator("#other-wrong")).to_have_text("There is no such folder.")
    expect(field).to_have_attribute("aria-invalid", "true")
    field.press("Enter")
    field.fill(str(tmp_path))
    expect(page.locator("#other-wrong")).to_have_text("")
    assert desk.house.settings.read().settings.opencode.directory == ""
    field.press("Enter")
    until(lambda: desk.house.settings.read().settings.opencode.directory == str(tmp_path))


def directory(house: Beginner) -> str:
    return house.settings.read().settings.opencode.directory
