"""What holds for every page, also for those that come: PAGES of main.js is the list.

Reflow, large text, wide spacing, targets, focus, forced colours, motion, jumps, the policy,
who is asked for what, and how much of it there is.
"""

import gzip
import io
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from nexus_tray.api.server import ApiServer
from nexus_tray.model import Activity, Level, LogQuery
from nexus_tray.paths import find
from tests.api.doubles import House, StoredLogs, stored_house, until
from tests.dashboard import house as made
from tests.dashboard import tunnel_house as tunnels
from tests.dashboard.conftest import UI, start

MAIN = (UI / "main.js").read_text(encoding="utf-8")
PAGES = re.findall(r'path: "([^"]+)", name: "([^"]+)"(?:, key: "(\w)")?', MAIN)
PATHS = [path for path, _, _ in PAGES]
KEYS = {path: key for path, _, key in PAGES}
JUDGE = (Path(__file__).parent / "quality.js").read_text(encoding="utf-8")

WATCH = """
window.against = [];
document.addEventListener('securitypolicyviolation', event =>
    against.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
window.shifts = [];
new PerformanceObserver(list => list.getEntries().forEach(e => shifts.push([e.value,
    ...e.sources.map(s => s.node?.outerHTML?.slice(0, 80))])))
    .observe({type: 'layout-shift', buffered: true});
window.spoken = [];
new MutationObserver(list => list.forEach(change => {
    const region = (change.target.parentElement || change.target)
        .closest?.('[aria-live], [role=status], [role=alert], [role=log]');
    if (region) spoken.push(region.textContent);
})).observe(document, {childList: true, subtree: true, characterData: true});
"""

QUIET = """() => new Promise(done => {
    let timer = setTimeout(done, 250);
    const last = setTimeout(done, 3000);
    new MutationObserver(() => {
        clearTimeout(timer);
        timer = setTimeout(() => { clearTimeout(last); done(); }, 250);
    }).observe(document.body, {childList: true, subtree: true, attributes: true});
})"""
"""What a page had to fetch is there: nothing has been drawn for a moment."""


class Room:
    """One house for all tests of the module; a page of its own for each."""

    def __init__(self, house: House[StoredLogs], server: ApiServer, context: BrowserContext):
        self.house, self.server, self.context = house, server, context
        self.faults: list[str] = []
        self.asked: list[str] = []

    def open(self, path: str) -> Page:
        """A fresh tab at this page, with everything on it that a page can show."""
        self.faults.clear()
        self.asked.clear()
        now = time.time()
        activity = Activity(sessions=made.sessions(now), questions=(made.PERMISSION, made.CHOICE))
        more = {"services": tunnels.tunnel_services(now), "jobs": tunnels.jobs(now)}
        made.well(self.house, now, activity=activity, **(more if path == "/tunnels" else {}))
        page = self.context.new_page()
        page.add_init_script(WATCH)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda line: self.faults.append(line.text)
                if line.type in ("error", "warning") else None)  # fmt: skip
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(self.server.invite(path))
        page.wait_for_selector("main h1")
        page.evaluate(QUIET)
        page.evaluate(JUDGE)
        return page


@pytest.fixture(scope="module")
def room(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    paths = find({"NEXUS_TRAY_HOME": str(tmp_path_factory.mktemp("room") / "home")})
    with stored_house(paths) as house:
        made.note_some(house)
        tunnels.settle(house)
        for number in range(60):
            level = list(Level)[number % 4]
            house.logs._store.append("quick", level, f"line {number} " + "and more words " * 12)
        until(lambda: house.logs.query(LogQuery(limit=1)).last_id >= 60)
        server = start(house.backend)
        context = browser.new_context(viewport={"width": 1600, "height": 900}, locale="en-GB")
        context.set_default_timeout(10_000)
        yield Room(house, server, context)
        context.close()
        server.stop()


def test_the_pages_are_found() -> None:
    assert PATHS[0] == "/"
    assert len(PATHS) >= 4
    assert MAIN.count("load: ") == len(PAGES), "PAGES of main.js is not written as it was"


def complaints(page: Page, *kinds: str) -> list[str]:
    return [fault for kind in kinds for fault in page.evaluate(f"quality.{kind}()")]


@pytest.mark.parametrize("path", PATHS)
def test_every_word_can_be_read(room: Room, path: str) -> None:
    """WCAG 1.4.10 (320 px), 1.4.4 (text at 200 %), 1.4.12 (spacing)."""
    page = room.open(path)
    for width in (320, 360, 720, 1600):
        page.set_viewport_size({"width": width, "height": 800})
        assert complaints(page, "wider", "cut") == [], width
    page.evaluate("quality.space()")
    for width in (360, 1600):
        page.set_viewport_size({"width": width, "height": 800})
        assert complaints(page, "wider", "cut") == [], f"{width}, wide spacing"
    page.evaluate("document.adoptedStyleSheets = []")
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    for width in (640, 1600):  # 640 is what 320 px come to
        page.set_viewport_size({"width": width, "height": 800})
        assert complaints(page, "wider", "cut") == [], f"{width}, 200 %"
    page.close()


@pytest.mark.parametrize("path", PATHS)
def test_targets_are_large_and_keys_reach_them_in_order(room: Room, path: str) -> None:
    """WCAG 2.5.8; 2.1.1, 2.4.3, 2.4.7 and 2.4.11, on a phone's window and a wide one."""
    page = room.open(path)
    for width, height in ((1600, 900), (360, 640)):
        page.set_viewport_size({"width": width, "height": height})
        assert complaints(page, "small") == []
        page.evaluate("document.querySelector('.skip').focus()")
        for key in ("Tab", "Shift+Tab"):
            walked = walk(page, key)
            faults = [fault for stop in walked for fault in stop["complaints"]]
            assert faults == [], f"{width} px, {key}"
            places = [stop["place"] for stop in walked]
            assert places == sorted(places, reverse=key != "Tab")
            assert len(set(places)) >= page.evaluate("quality.stops()"), "a key does not get there"
    page.close()


def walk(page: Page, key: str) -> list[dict[str, Any]]:
    """Every stop of the focus from one end of the page to the other."""
    stops: list[dict[str, Any]] = []
    for _ in range(400):
        page.keyboard.press(key)
        stop = page.evaluate("quality.focused()")
        if stop is None or (stops and stop["place"] == stops[0]["place"]):
            break
        stops.append(stop)
    return stops


@pytest.mark.parametrize("path", PATHS)
def test_it_keeps_still_asks_nobody_else_and_obeys_the_policy(room: Room, path: str) -> None:
    page = room.open(path)
    shifts = page.evaluate("shifts")
    assert sum(shift[0] for shift in shifts) < 0.02, shifts
    assert page.evaluate("against") == []
    assert room.faults == []
    own = urlsplit(room.server.url).netloc
    assert {urlsplit(url).netloc for url in room.asked if not url.startswith("blob:")} == {own}
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate("document.getAnimations().length") == 0
    page.close()


@pytest.mark.parametrize("path", PATHS)
def test_a_storm_of_snapshots_is_not_read_out(room: Room, path: str) -> None:
    page = room.open(path)
    page.evaluate("spoken.length = 0")
    for number in range(50):
        made.well(room.house, time.time(), headline=f"Starting {number}")
        page.wait_for_timeout(10)  # one by one, or they would be drawn together
    until(lambda: bool(page.evaluate("spoken.some(said => said.includes('Starting 49'))")))
    spoken = page.evaluate("spoken")
    assert len(spoken) <= 2, spoken
    page.close()


@pytest.mark.parametrize("path", PATHS)
def test_forced_colours_still_tell_states_apart(room: Room, path: str) -> None:
    page = room.open(path)
    page.emulate_media(forced_colors="active")
    for mark in page.locator("main .state i:visible").all():
        assert colours(mark.screenshot()) > 1, "a state has lost its shape"
    if KEYS[path]:  # a page of the navigation
        current = page.locator("nav a[aria-current]")
        others = page.locator("nav a:not([aria-current])").first
        look = "e => { const s = getComputedStyle(e); return s.outlineStyle + s.borderStyle }"
        assert current.evaluate(look) != others.evaluate(look)
    for pressed in page.locator("main button[aria-pressed=true]").all():
        plain = page.locator("nav .foot button")
        back = "e => getComputedStyle(e).backgroundColor"
        assert pressed.evaluate(back) != plain.evaluate(back)
    page.emulate_media(forced_colors="none")
    page.close()


def colours(picture: bytes) -> int:
    with Image.open(io.BytesIO(picture)) as image:
        return len(image.convert("RGB").getcolors(4096) or [])


def test_the_question_mark_lists_every_shortcut(room: Room) -> None:
    page = room.open("/")
    page.keyboard.press("?")
    listed = page.get_by_role("dialog", name="Keyboard shortcuts").locator("dl")
    expect(listed).to_be_visible()
    rows = dict(zip(listed.locator("dt").all_inner_texts(),
                    listed.locator("dd").all_inner_texts(), strict=True))  # fmt: skip
    for _, name, key in PAGES:
        if key:
            assert rows[key] == name
    heard = set(
        re.findall(
            r'event\.key === "([^"]+)"', "".join(path.read_text() for path in UI.glob("*.js"))
        )
    )
    assert heard - {"Escape"} <= {key for row in rows for key in row.split()} | {"Enter"}
    page.keyboard.press("Escape")
    expect(listed).to_have_count(0)
    page.close()


def test_it_is_small() -> None:
    """150 kB compressed, of everything that a browser could ask for (licences it does not)."""
    files = [path for path in UI.rglob("*") if path.suffix in (".html", ".css", ".js", ".svg")]
    size = sum(len(gzip.compress(path.read_bytes(), 9)) for path in files)
    assert size < 150_000


def test_what_is_read_ahead_is_all_there_and_all_that_the_first_page_needs() -> None:
    """begin.js names the files that main.js imports at once, so that they come side by side."""
    begin = (UI / "begin.js").read_text(encoding="utf-8")
    needed, open_ends = {"/begin.js"}, ["/api.js", "/main.js"]
    while open_ends:
        name = open_ends.pop()
        if name not in needed:
            needed.add(name)
            source = (UI / name[1:]).read_text(encoding="utf-8")
            open_ends += re.findall(r'^(?:import|export)[^;]* from "([^"]+)"', source, re.M)
    assert set(re.findall(r'"(/[^"]+\.js)"', begin)) == needed - {"/begin.js"}


@pytest.mark.parametrize("width", [320, 360, 720])
def test_every_section_is_seen_without_scrolling_sideways(room: Room, width: int) -> None:
    page = room.open("/")
    page.set_viewport_size({"width": width, "height": 640})
    for link in page.locator("nav a, nav .foot button").all():
        box = link.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    nav = page.locator("nav").bounding_box()
    assert nav is not None
    assert nav["height"] < 640 / 6, "it is in the way of the page"
    page.close()
