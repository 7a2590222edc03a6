"""From the first start to the first message from a phone, over the whole program: the steps are
counted, and everything but Cloudflare itself is the real thing."""

import re
import time

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import PASSWORD, Phone
from tests.e2e.program import Program

pytestmark = pytest.mark.timeout(180)

MOST_SECONDS = 180
"""Three minutes to the first message are promised; a machine is quicker than a person."""


def test_from_the_first_start_to_the_first_message(program: Program, phone: Phone) -> None:
    program.start()
    assert "nexus-tray password set" in program.output.read_text() + waited(program)
    began = time.monotonic()
    desk = phone.browser.new_context(viewport={"width": 1100, "height": 900}).new_page()
    desk.goto(program.cli("dashboard", "/welcome", "--print").stdout.strip())

    # two steps: the programs are there, so nothing is asked about them
    expect(desk.locator(".steps li")).to_have_text(["Password", "Your phone", "Ready"])
    desk.get_by_label("Password", exact=True).fill(PASSWORD)
    desk.get_by_role("button", name="Set password").click()
    code = desk.get_by_role("img", name=re.compile("^QR code of "))
    expect(code).to_be_visible(timeout=60_000)
    address = (code.get_attribute("aria-label") or "").removeprefix("QR code of ")

    sign_in(phone.page, address)
    expect(desk.locator("#step")).to_have_text("You are ready", timeout=15_000)
    expect(desk.get_by_text(re.compile(" is in$")).first).to_be_visible()
    phone.page.get_by_role("link", name="New session").click()
    phone.page.get_by_role("textbox").first.fill("hello")
    phone.page.get_by_role("button", name="Begin").click()
    expect(phone.page.get_by_text("Hello from the lab").first).to_be_visible(timeout=30_000)
    assert time.monotonic() - began < MOST_SECONDS

    # another default project cuts nothing off
    pid = program.pid_of("opencode")
    other = program.home / "other"
    other.mkdir()
    desk.get_by_label("Another one").fill(str(other))
    desk.get_by_role("button", name="Make default", exact=True).last.click()
    expect(desk.locator(".toast")).to_contain_text("Nothing was restarted.")
    assert str(other) in desk.get_by_role("region", name="Projects").inner_text()
    assert program.pid_of("opencode") == pid

    # it is over: the next start does not begin with it
    desk.get_by_role("link", name="Overview").first.click()
    expect(desk.locator("h1")).to_have_text("Reachable from anywhere")
    expect(desk.get_by_role("link", name="Finish setting up")).to_have_count(0)


def waited(program: Program) -> str:
    """What the terminal says once it has said the next step."""
    end = time.monotonic() + 20
    while "password set" not in program.output.read_text() and time.monotonic() < end:
        time.sleep(0.05)
    return program.output.read_text()


def sign_in(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{address}/_nexus/")
