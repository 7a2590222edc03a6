"""The dashboard over the whole program: from no password to an answered question, and what it
says while things break."""

import os
import re
import signal
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from nexus_tray.model import SessionState
from tests.e2e.conftest import PASSWORD, Phone
from tests.e2e.program import Program, Visitor, wait_until

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def desk(phone: Phone) -> Iterator[Page]:
    """A window of a desk-sized browser; it complains of nothing on its console."""
    context = phone.browser.new_context(viewport={"width": 1100, "height": 900}, locale="en-GB")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text if line.type == "error" else ""))
    yield page
    context.close()
    assert [text for text in errors if text and "Failed to load resource" not in text] == []


def open_dashboard(program: Program, page: Page, at: str = "/") -> None:
    link = program.cli("dashboard", at, "--print").stdout.strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/#ticket=[\w-]{43}&to=\S+", link)
    page.goto(link)
    page.wait_for_selector("main h1")


def test_from_no_password_to_an_answered_question(program: Program, desk: Page) -> None:
    program.start()
    program.wait_running("opencode", "gateway")
    open_dashboard(program, desk)
    tunnel = desk.get_by_role("region", name="Tunnel “quick”")
    expect(tunnel).to_contain_text("Held back")

    # the first thing to do is said, and one press away
    desk.get_by_role("link", name="Choose a password").click()
    desk.get_by_label("New password for remote access").fill(PASSWORD)
    desk.get_by_role("button", name="Set password").click()
    expect(desk.locator(".toast")).to_contain_text("The password is set.")
    desk.get_by_role("link", name="Overview").click()
    expect(desk.locator("h1")).to_have_text("Reachable from anywhere", timeout=60_000)
    address = program.snapshot().address
    assert address is not None
    expect(desk.get_by_role("link", name=address)).to_be_visible()

    # OpenCode's own question, answered here
    visitor = Visitor(program)
    session = visitor.ask("POST", "/session", {"title": "A first talk"})["id"]
    prompt = {"parts": [{"type": "text", "text": "RUNTOOL: echo tool-$((6*7))"}]}
    visitor.ask("POST", f"/session/{session}/prompt_async", prompt)
    asks = desk.get_by_role("group", name="OpenCode asks to run a command")
    expect(asks).to_contain_text("echo tool-$((6*7))", timeout=30_000)
    asks.get_by_role("button", name="Allow once").click()
    expect(asks).to_have_count(0)
    program.wait_for(
        lambda s: s.activity and all(one.state is SessionState.IDLE for one in s.activity.sessions),
        30, "an idle session",
    )  # fmt: skip

    # OpenCode opens by a one-time link, at that very session
    row = desk.get_by_role("listitem").filter(has_text="A first talk")
    with desk.context.expect_page() as opened:
        row.get_by_role("button", name="Open").click()
    expect(opened.value.get_by_text("tool-42").first).to_be_visible(timeout=30_000)
    assert opened.value.evaluate("window.opener") is None
    opened.value.close()

    # what happened is in the logs, and a service can be stopped and started
    desk.get_by_role("link", name="Logs", exact=True).click()
    expect(desk.get_by_text("Tunnel “quick” is ready at")).to_be_visible()
    desk.get_by_role("link", name="Overview").click()
    desk.get_by_role("button", name="Stop Tunnel “quick”").click()
    desk.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(desk.locator("h1")).to_have_text("Remote access is off", timeout=20_000)
    desk.get_by_role("button", name="Start Tunnel “quick”").click()
    expect(desk.locator("h1")).to_have_text("Reachable from anywhere", timeout=60_000)


def test_a_broken_hop_and_the_programs_end_are_said(program: Program, desk: Page) -> None:
    program.start()
    assert program.cli("password", "set", given=PASSWORD + "\n").returncode == 0
    program.wait_running("opencode", "gateway", "quick")
    open_dashboard(program, desk)
    expect(desk.locator("h1")).to_have_text("Reachable from anywhere")
    pid = program.pid_of("opencode")
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    expect(desk.locator(".hop").nth(4)).not_to_contain_text("well", timeout=3000)
    assert time.monotonic() - began < 3
    expect(desk.locator("h1")).to_have_text("Reachable from anywhere", timeout=60_000)
    lately = desk.get_by_role("region", name="What happened lately")
    expect(lately).to_contain_text("OpenCode ended")

    program.stop()
    expect(desk.get_by_text("Nexus Tray does not answer just now.")).to_be_visible(timeout=15_000)
    program.start()
    wait_until(lambda: program.cli("status").returncode == 0, 30, "an answer")
    open_dashboard(program, desk, "/logs")
    expect(desk.get_by_text("Nexus Tray 0.1.0 starts.").last).to_be_visible()
