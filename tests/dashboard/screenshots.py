"""Pictures of every page of the dashboard: each width, each theme, well and broken.

    .venv/bin/python -m tests.dashboard.screenshots FOLDER    # every width, and large text

A part of `python -m tests.screenshots`. The list of pages is main.js's own. They are the real
ones over the real local API; what they show is made up (tests/dashboard/house.py), so that
two runs show the same.
"""

import dataclasses
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from playwright.sync_api import Browser, Page, sync_playwright

from nexus_tray.model import Activity, Level, LogQuery
from nexus_tray.paths import find
from nexus_tray.reports import Access
from tests.api.doubles import House, StoredLogs, stored_house, until
from tests.dashboard import house as made
from tests.dashboard import tunnel_house as tunnels
from tests.dashboard.conftest import LAUNCH, UI, start
from tests.screenshots.picture import pack

THEMES = ("light", "dark")
FEW = (360, 1600)
"""Pixels of width of the pictures that are kept."""
EVERY = (360, 720, 1600)
TALLEST = 2600
"""Pixels; what lies below on a page of many rows says nothing new."""
LARGE_TEXT = 1600
"""The width that is also taken with text at 200 %."""


PARTS = {"access": "rules", "tunnels": "network-door"}
"""Of long pages, a part that is pictured by itself: by what labels it."""


def places() -> dict[str, str]:
    """What is pictured: every page, and the first one in its other conditions."""
    main = (UI / "main.js").read_text(encoding="utf-8")
    pages = re.findall(r'path: "(/[^"]*)", name: "([^"]+)"', main)
    others = {"overview-broken": "/", "overview-asks": "/", "tunnels-new": "/tunnels"}
    return {name.lower(): path for path, name in pages} | others


LINES = (
    ("opencode", Level.INFO, "service=server POST /session/ses_1/prompt_async 204"),
    ("gateway", Level.DEBUG, "GET /global/event 200 3.1 ms"),
    ("quick", Level.INFO, "Registered tunnel connection connIndex=1 location=fra08 protocol=quic"),
    ("nexus-tray", Level.INFO, "OpenCode is ready"),
    ("quick", Level.WARNING, "connIndex=2 lost connection with the edge, reconnecting"),
    ("opencode", Level.INFO, "session=ses_1 permission asked: bash “git push origin feature/x”"),
    ("quick", Level.ERROR, "connIndex=2 accept stream listener encountered a failure"),
)  # fmt: skip


def entrances(now: float) -> Access:
    """As the tests have them, but for the hostile name among the devices."""
    told = made.entrances(now)
    named = [
        one if one.name.isprintable() and "<" not in one.name
        else msgspec.structs.replace(one, name="Firefox on Linux")
        for one in told.devices
    ]  # fmt: skip
    return msgspec.structs.replace(told, devices=tuple(named))


def furnish(house: House[StoredLogs]) -> None:
    """Notes, log lines and what the doctor found."""
    house.reports = dataclasses.replace(
        house.reports,
        examine=lambda: made.examined(time.time()),
        access=lambda: entrances(time.time()),
        audit=lambda query: made.found(entrances(time.time()), query),
    )
    house.reports = dataclasses.replace(
        house.reports, traffic=lambda query: made.passed(query, time.time())
    )
    tunnels.settle(house)
    made.note_some(house)
    for number in range(420):
        source, level, text = LINES[number % len(LINES)]
        house.logs._store.append(source, level, text)
    until(lambda: house.logs.query(LogQuery(limit=1)).last_id >= 420)


def arrange(house: House[StoredLogs], place: str) -> None:
    """The condition that a picture shows."""
    now = time.time()
    if place == "overview-broken":
        made.broken(house, now)
    elif place == "tunnels":
        tunnels.tunnels(house, now, tunnels.question(now))
    elif place == "tunnels-new":
        tunnels.tunnels(house, now, tunnels.login(now))
    elif place == "overview-asks":
        asked = tuple(
            msgspec.structs.replace(question, asked_at=now - 20)
            for question in (made.PERMISSION, made.CHOICE)
        )
        made.well(house, now, activity=Activity(sessions=made.sessions(now), questions=asked))
    else:
        made.well(house, now)


def shoot(browser: Browser, folder: Path, *, every: bool = False) -> None:
    """All pictures; with `every` the middle width and large text too."""
    with (
        tempfile.TemporaryDirectory() as home,
        stored_house(find({"NEXUS_TRAY_HOME": f"{home}/home"})) as house,
    ):
        furnish(house)
        server = start(house.backend)
        try:
            for theme in THEMES:
                for width in EVERY if every else FEW:
                    context = browser.new_context(
                        viewport={"width": width, "height": 900}, locale="en-GB",
                        color_scheme="dark" if theme == "dark" else "light",
                    )  # fmt: skip
                    page = context.new_page()
                    page.goto(server.invite())
                    page.wait_for_selector("main h1")  # let in, which it stays in this tab
                    for place, path in places().items():
                        arrange(house, place)
                        page.goto("about:blank")  # or the page before is seen for this one
                        page.goto(f"{server.url}/#{path}")
                        if place == "tunnels-new":
                            begin(page)
                        look(page, folder / f"dashboard-{place}-{width}-{theme}.png")
                        if place in PARTS:
                            part(page, PARTS[place], folder, f"{width}-{theme}")
                        if every and width == LARGE_TEXT:
                            large(page, folder / f"dashboard-{place}-large-{theme}.png")
                    context.close()
        finally:
            server.stop()


def begin(page: Page) -> None:
    """A new tunnel on a domain of one's own."""
    page.get_by_role("button", name="New tunnel").click()
    page.get_by_role("radio", name="On your domain").check()
    page.get_by_label("Host name 1").fill("agent")
    page.evaluate("scrollTo(0, 0)")


def look(page: Page, to: Path) -> None:
    """The whole page, once it is drawn."""
    page.wait_for_selector("main h1")
    if page.locator(".traffic").count():  # the chart asks only when it is seen
        page.locator(".traffic").scroll_into_view_if_needed()
        page.wait_for_selector(".plot")
        page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(400)  # what comes by the stream has been drawn by then
    pack(page.screenshot(full_page=True), to, tallest=TALLEST)


def part(page: Page, label: str, folder: Path, which: str) -> None:
    """One section, with all that is folded in it."""
    section = page.locator(f"section[aria-labelledby={label}]")
    for folded in section.locator("details").all():
        folded.evaluate("e => { e.open = true }")
    pack(section.screenshot(), folder / f"dashboard-{label}-{which}.png", tallest=TALLEST)


def large(page: Page, to: Path) -> None:
    """The same with text at 200 %."""
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    look(page, to)
    page.evaluate("document.documentElement.style.fontSize = ''")


def main(folder: Path, *, every: bool = False) -> None:
    """Write every picture into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=LAUNCH)
        shoot(browser, folder, every=every)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), every=True)
