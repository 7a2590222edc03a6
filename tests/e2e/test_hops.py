"""Each hop broken for real, one after the other, and what the dashboard's page says of it."""

import os
import signal

import pytest
from playwright.sync_api import Page, expect

from tests.cloudflare.lab import Lab
from tests.e2e.conftest import PASSWORD, Phone
from tests.e2e.program import Program

pytestmark = pytest.mark.timeout(240)

WELL = "Reachable from anywhere"


def hop(page: Page, name: str, state: str) -> None:
    """The station says this state in a word for those who do not see its colour."""
    station = page.locator(".path .hop").filter(has_text=name)
    expect(station.locator(".unseen")).to_contain_text(state, timeout=30_000)


def test_each_hop_broken_and_what_the_page_says(program: Program, lab: Lab, phone: Phone) -> None:
    program.start()
    assert program.cli("password", "set", given=PASSWORD + "\n").returncode == 0
    address = program.wait_running("opencode", "gateway", "quick").address
    desk = phone.browser.new_context(viewport={"width": 1100, "height": 900}).new_page()
    desk.goto(program.cli("dashboard", "--print").stdout.strip())
    expect(desk.locator("h1")).to_have_text(WELL, timeout=30_000)

    # the device: unknown until somebody came
    hop(desk, "Your devices", "not known")
    phone.page.goto(f"{address}/")
    phone.page.get_by_label("Password").fill(PASSWORD)
    phone.page.get_by_role("button", name="Sign in").click()
    hop(desk, "Your devices", "well")

    # OpenCode deaf: found by its probes, said, ended and started again
    pid = program.pid_of("opencode")
    os.kill(pid, signal.SIGSTOP)
    hop(desk, "OpenCode", "broken")
    expect(desk.locator("header")).to_contain_text("OpenCode")
    expect(desk.locator("h1")).to_have_text(WELL, timeout=90_000)
    assert program.pid_of("opencode") != pid

    # cloudflared ends, and Cloudflare gives no new tunnel: the edge is named, with the next try
    lab.faults(quick={"kind": "status", "status": 429})
    os.kill(program.pid_of("quick"), signal.SIGKILL)
    hop(desk, "Cloudflare edge", "broken")
    expect(desk.locator("h1")).to_contain_text("Cloudflare")
    expect(desk.locator("header")).to_contain_text("Next try in")
    lab.faults(quick=None)
    desk.get_by_role("button", name="Try now", exact=True).click()
    expect(desk.locator("h1")).to_have_text(WELL, timeout=60_000)

    # the gateway begins anew: not ours to see broken for long, but well again by itself
    desk.get_by_role("button", name="Restart Gateway").click()
    expect(desk.get_by_role("region", name="What happened lately")).to_contain_text(
        "The gateway is being stopped"
    )
    expect(desk.locator("h1")).to_have_text(WELL, timeout=60_000)
    hop(desk, "Gateway", "well")
