"""The whole program tells the desktop: what cannot run, who signs in, what OpenCode asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.desktop.notification_host import Desk
from tests.desktop.tray_host import private_bus
from tests.e2e.conftest import Phone
from tests.e2e.program import Program, wait_until
from tests.e2e.test_main_job import fetch, reachable, sign_in

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def bus() -> Iterator[str]:
    with private_bus() as address:
        yield address


@pytest.fixture
def desk(bus: str) -> Iterator[Desk]:
    made = Desk(bus)
    yield made
    made.close()


def on_desktop(program: Program, bus: str, opened: Path) -> None:
    """A desktop without a panel; what its browser was asked to open goes to a file."""
    browser = opened.with_suffix(".sh")
    browser.write_text(f'#!/bin/sh\necho "$1" >> {opened}\n')
    browser.chmod(0o755)
    program.options = []
    program.environment |= {
        "WAYLAND_DISPLAY": "wayland-test",
        "DBUS_SESSION_BUS_ADDRESS": bus,
        "BROWSER": str(browser),
    }


def test_what_cannot_run_is_told_and_a_click_leads_to_its_log(
    tmp_path: Path, bus: str, desk: Desk
) -> None:
    program = Program(tmp_path / "home", tmp_path, {})
    opened = tmp_path / "opened"
    on_desktop(program, bus, opened)
    nowhere = str(tmp_path / "nothing")
    program.configure({
        "opencode": {"program": nowhere}, "cloudflared": {"program": nowhere},
        "dashboard": {"open_in": "browser"},
    })  # fmt: skip
    program.start()
    try:
        shown = desk.find("OpenCode cannot run")
        assert nowhere in shown.text
        desk.invoke(shown.number, "default")
        wait_until(opened.exists, 10, "a page")
        wait_until(lambda: "source" in opened.read_text(), 10, "the page of the log")
    finally:
        assert program.stop() == 0
    assert desk.titles() == []


def test_a_sign_in_and_a_question_are_told_and_answered(
    program: Program, phone: Phone, tmp_path: Path, bus: str, desk: Desk
) -> None:
    on_desktop(program, bus, tmp_path / "opened")
    program.start()
    address = reachable(program)
    sign_in(phone, address)
    page = phone.page
    expect(page).to_have_url(f"{address}/_nexus/")
    assert " from " in desk.find("New sign-in").text
    fetch(page, "POST", "/session", {"title": "A first talk"})
    page.reload()
    page.get_by_role("link", name="A first talk").click()
    page.get_by_role("link", name="Open in OpenCode").click()
    page.get_by_role("textbox").click(timeout=20_000)
    page.keyboard.type("RUNTOOL: echo tool-$((6*7))")
    page.keyboard.press("Enter")
    asked = desk.find("OpenCode asks to run a command")
    assert "echo tool-$((6*7))" in asked.text
    assert "in “A first talk”" in asked.text
    once = next(key for key, label in asked.actions.items() if label == "Allow once")
    desk.invoke(asked.number, once)
    expect(page.get_by_text("tool-42").first).to_be_visible(timeout=20_000)
