"""Our pages in a real Chromium, through the real gateway's local door.

With the script: what changes shows by itself, and what somebody types stays. Without it:
everything works by links and forms. The policy is never offended, and 360 px are enough.
"""

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from nexus_tray.commands import AnswerPermission, AnswerQuestion
from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.server import Gateway
from nexus_tray.model import Activity, SessionState

from .doubles import RawUpstream, no_shape
from .site_world import PERMISSION, QUESTION, SESSIONS, SiteWorld, open_site

QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "The tests need Chromium on PATH; ./build/test installs it."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET.split())
        yield browser
        browser.close()


@dataclass
class House:
    world: SiteWorld
    gateway: Gateway
    browser: Browser
    contexts: list[BrowserContext] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.gateway.local_port}"

    def enter(self, *, script: bool = True) -> Page:
        """A phone's page that came in by a ticket and stands on home."""
        context = self.browser.new_context(
            viewport={"width": 360, "height": 740}, java_script_enabled=script
        )
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        ticket = self.world.vault.accounts.new_ticket("/_nexus/")
        page.goto(f"{self.origin}/_nexus/enter?ticket={ticket}")
        expect(page).to_have_url(f"{self.origin}/_nexus/")
        return page

    def show(self, activity: Activity) -> None:
        """Change what there is; a page that stands need not wait for its next look."""
        self.world.change(activity=activity)
        for context in self.contexts:
            context.pages[0].evaluate("dispatchEvent(new Event('online'))")


@pytest.fixture
def house(tmp_path: Path, chromium: Browser) -> Iterator[House]:
    with contextlib.ExitStack() as ending:
        world = open_site(tmp_path, now=time.time())
        ending.callback(world.close)
        upstream = RawUpstream()
        ending.callback(upstream.close)
        gateway = Gateway(world.site, no_shape, None, 0, Bounds())
        ending.callback(gateway.close)
        gateway.start()
        gateway.set_upstream(upstream.upstream)
        house = House(world, gateway, chromium)
        yield house
        for context in house.contexts:
            context.close()


def test_what_changes_shows_by_itself(house: House) -> None:
    page = house.enter()
    expect(page.locator(".sess")).to_have_count(3)
    page.locator(".sess").nth(2).focus()
    renamed = msgspec.structs.replace(SESSIONS[0], title="Renamed", state=SessionState.WORKING)
    house.show(Activity(sessions=(renamed, *SESSIONS[1:])))
    expect(page.locator("#sessions")).to_contain_text("Renamed")
    expect(page.locator("#waiting")).to_be_hidden()
    expect(page.locator(".sess").nth(2)).to_be_focused()
    house.show(Activity(sessions=SESSIONS, questions=(PERMISSION,)))
    expect(page.locator("#waiting pre")).to_have_text("git push origin main")
    assert house.complaints == []


def test_what_somebody_types_stays_while_the_rest_changes(house: House) -> None:
    page = house.enter()
    form = page.locator("#q-que_1")
    form.locator("input[name=own0]").fill("Green")
    form.locator("input[name=choice1]").nth(1).check()
    again = msgspec.structs.replace(QUESTION, title="Asked anew", asked_at=time.time())
    new = msgspec.structs.replace(PERMISSION, id="per_2", detail="rm -rf build")
    house.show(Activity(sessions=SESSIONS, questions=(new, again)))
    expect(page.locator("#q-per_2")).to_be_visible()
    expect(page.locator("#q-per_1")).to_have_count(0)
    expect(form.locator("input[name=own0]")).to_have_value("Green")
    expect(form.locator("input[name=choice1]").nth(1)).to_be_focused()
    form.get_by_role("button", name="Send answer").click()
    expect(page.locator("p.note.up")).to_contain_text("on its way")
    assert house.world.commands == [
        AnswerQuestion(question_id="que_1", answers=(("Green",), ("b.py",)))
    ]
    assert house.complaints == []


def test_a_lost_gateway_is_said_and_a_lost_session_leads_to_the_door(house: House) -> None:
    page = house.enter()
    house.contexts[0].set_offline(True)
    expect(page.locator("#stale")).to_be_visible(timeout=10_000)
    house.contexts[0].set_offline(False)
    expect(page.locator("#stale")).to_be_hidden(timeout=10_000)
    house.world.vault.accounts.end_all_sessions()
    expect(page.locator("h1")).to_have_text("Open from this computer", timeout=10_000)


def test_without_a_script_everything_works(house: House) -> None:
    page = house.enter(script=False)
    page.get_by_role("button", name="Allow once").click()
    expect(page).to_have_url(f"{house.origin}/_nexus/?note=answered")
    page.get_by_role("button", name="Send answer").click()
    expect(page.locator("p.note.down")).to_contain_text("Nothing was chosen")
    page.get_by_label("Blue").check()
    page.get_by_label("a.py").check()
    page.get_by_role("button", name="Send answer").click()
    assert house.world.commands == [
        AnswerPermission(question_id="per_1", reply="once"),
        AnswerQuestion(question_id="que_1", answers=(("Blue",), ("a.py",))),
    ]
    assert page.locator(".sess").first.get_attribute("href") == "/_nexus/session?id=ses_1"
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("h1")).to_have_text("Open from this computer")
    assert house.world.vault.accounts.sessions() == []


@pytest.mark.parametrize("width", [320, 360, 1600])
def test_nothing_is_cut_off_and_everything_can_be_hit(house: House, width: int) -> None:
    long = msgspec.structs.replace(SESSIONS[2], title="W" * 300, project="p" * 90)
    wide = msgspec.structs.replace(PERMISSION, detail="x" * 400, title="y" * 120)
    house.show(Activity(sessions=(*SESSIONS, long), questions=(wide, QUESTION)))
    page = house.enter()
    page.set_viewport_size({"width": width, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for target in page.locator("button, a, label.choice, input[type=text]").all():
        box = target.bounding_box()
        assert box is not None
        assert box["height"] >= 44 or box["width"] == 1, target.inner_text()
    assert house.complaints == []
