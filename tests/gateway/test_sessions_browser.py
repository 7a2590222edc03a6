"""The pages of sessions in a real Chromium: begun, read, spoken in; kept as an app."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from nexus_tray.commands import CreateSession, Outcome, PromptSession
from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.server import Gateway
from nexus_tray.model import Activity, SessionState
from nexus_tray.reports import Message

from .doubles import RawUpstream, no_shape
from .site_world import SESSIONS, open_site
from .test_home_browser import QUIET, House

AXE = Path(__file__).parent.parent / "dashboard" / "vendor" / "axe.min.js"
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
CHECK = "levels => axe.run({runOnly: levels}).then(r => r.violations.map(v => v.id))"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "The tests need Chromium on PATH; ./build/test installs it."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET.split())
        yield browser
        browser.close()


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
        made = House(world, gateway, chromium)
        yield made
        for context in made.contexts:
            context.close()


def interrupted(house: House) -> None:
    broken = msgspec.structs.replace(SESSIONS[2], state=SessionState.INTERRUPTED)
    house.world.change(activity=Activity(sessions=(*SESSIONS[:2], broken)))


def test_a_session_begins_without_a_script(house: House) -> None:
    house.world.outcome = Outcome(ok=True, value="ses_3")
    page = house.enter(script=False)
    page.get_by_role("link", name="New session").click()
    page.get_by_label("What is to be done?").fill("Write the notes")
    page.get_by_label("Folder").select_option("/home/ada/lab")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("p.note.up")).to_have_text("The session has begun.")
    expect(page.locator("#said article")).to_have_count(2)
    assert house.world.commands == [
        CreateSession(text="Write the notes", directory="/home/ada/lab")
    ]


def test_what_is_said_appears_and_what_is_typed_stays(house: House) -> None:
    interrupted(house)
    page = house.enter()
    page.locator("a.sess", has_text="Notes").click()
    page.locator("summary").click()
    page.get_by_label("Say something").fill("half a thought")
    house.world.said = (*house.world.said, Message(id="m3", role="assistant", text="Done now."))
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator("#said article")).to_have_count(3)
    expect(page.get_by_label("Say something")).to_have_value("half a thought")
    expect(page.locator("details")).to_have_attribute("open", "")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("p.note.up")).to_have_text("It goes on.")
    assert house.world.commands == [PromptSession(session_id="ses_3")]
    assert house.complaints == []


@pytest.mark.parametrize("path", ["session?id=ses_3", "new", ""])
@pytest.mark.parametrize("width", [360, 1600])
def test_pages_fit_and_can_be_used_by_everybody(house: House, path: str, width: int) -> None:
    interrupted(house)
    page = house.enter()
    page.set_viewport_size({"width": width, "height": 740})
    page.goto(f"{house.origin}/_nexus/{path}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for target in page.locator("button, a, textarea, select, summary").all():
        box = target.bounding_box()
        assert box is not None
        assert box["height"] >= 44, target.inner_text()
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert page.evaluate(CHECK, LEVELS) == []
    kept = os.environ.get("NEXUS_SCREENSHOTS")
    if kept:
        page.screenshot(path=Path(kept) / f"{path.partition('?')[0] or 'home'}-{width}.png")


def test_the_pages_can_be_kept_as_an_app(house: House) -> None:
    page = house.enter()
    told = page.context.new_cdp_session(page).send("Page.getAppManifest")
    assert told["errors"] == []
    said = json.loads(told["data"])
    assert said["name"] == "OpenCode on studio-pc"
    assert (said["start_url"], said["scope"], said["display"]) == (
        "/_nexus/", "/_nexus/", "standalone",
    )  # fmt: skip
    for icon in said["icons"]:
        size = page.evaluate(
            "src => new Promise(done => { const one = new Image();"
            "one.onload = () => done(`${one.naturalWidth}x${one.naturalHeight}`); one.src = src })",
            icon["src"],
        )
        assert size == icon["sizes"]
    assert house.complaints == []
