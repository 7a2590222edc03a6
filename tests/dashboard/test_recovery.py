"""The program crashes, the stream falls behind, a request fails: the page says so and goes on."""

import contextlib
import http.client
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from nexus_tray.api import pages
from nexus_tray.api.server import ApiServer
from nexus_tray.api.tickets import Tickets
from tests.api.doubles import until
from tests.api.wires import TOKEN
from tests.dashboard.conftest import UI, Desk, Refusing
from tests.e2e.program import Program

SILENT = "Nexus Tray does not answer just now."
RESTARTED = "Nexus Tray was started again. This is how it stands now."
BEHIND = "This page had fallen behind. It shows the present state again."
ENDED = "This page’s access has ended."
STAYED = "window.stayed === true"


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path / "home", tmp_path, {})
    made.configure({"opencode": {"enabled": False}})
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1100, "height": 900}, locale="en-GB")
    context.set_default_timeout(20_000)
    yield context
    context.close()


def opened(program: Program, context: BrowserContext, to: str) -> Page:
    """A page that remembers whether it was ever loaded anew."""
    page = context.new_page()
    page.goto(program.cli("dashboard", to, "--print").stdout.strip())
    page.wait_for_selector("main h1")
    page.evaluate("window.stayed = true")
    return page


def test_a_crash_is_said_and_every_page_goes_on_where_it_was(
    program: Program, context: BrowserContext
) -> None:
    overview, logs, settings = (opened(program, context, to) for to in ("/", "/logs", "/settings"))
    heard = overview.get_by_role("region", name="What happened lately")
    field = settings.get_by_label("New password for remote access")
    field.fill("half a passw")
    starts = logs.locator(".line[role=option]", has_text="Nexus Tray 0.1.0 starts.")
    expect(starts).to_have_count(1)
    url = overview.evaluate("location.origin")

    os.kill(program.program_pid(), signal.SIGKILL)
    # A command that comes meanwhile waits, and is answered by the next program.
    assert program.cli("status").returncode == 0
    expect(overview.locator(".toast")).to_have_text(RESTARTED)
    expect(starts).to_have_count(2)
    # A second crash is survived as the first was; the guard waits longer, so it is seen.
    os.kill(program.program_pid(), signal.SIGKILL)
    for page in (overview, logs, settings):
        expect(page.get_by_text(SILENT)).to_be_visible()
    voice = overview.locator("[role=status]").last
    expect(voice).to_contain_text("The line to Nexus Tray is lost.")
    expect(overview.locator(".toast")).to_have_text(RESTARTED)
    for page in (overview, logs, settings):
        expect(page.get_by_text(SILENT)).to_have_count(0)
        assert page.evaluate(STAYED)
    expect(starts).to_have_count(3)
    ids = logs.locator(".line[role=option]").evaluate_all("all => all.map(e => e.id)")
    assert len(ids) == len(set(ids))
    expect(logs.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "true")
    expect(field).to_have_value("half a passw")
    expect(heard.get_by_role("listitem").first).to_be_visible()
    # it is alive, not only drawn: a command goes through and the page shows what came of it
    assert program.snapshot().boot_id
    assert program.cli("dashboard", "--print").stdout.startswith(f"{url}/#ticket=")


def test_an_end_in_order_ends_the_pages_and_the_next_start_does_not_know_them(
    program: Program, context: BrowserContext
) -> None:
    page = opened(program, context, "/")
    token = page.evaluate("sessionStorage.getItem('nexus-token')")
    assert program.paths.pages_file.exists()
    assert token not in program.paths.pages_file.read_text()
    program.stop()
    assert not program.paths.pages_file.exists()
    expect(page.get_by_text(SILENT)).to_be_visible()
    expect(page.locator("main > .note").first).to_contain_text("open the dashboard again")
    program.start()
    assert status_for(program, token) == 401


def test_a_panic_ends_the_pages_for_good_a_crash_does_not_bring_them_back(
    program: Program, context: BrowserContext
) -> None:
    page = opened(program, context, "/access")
    token = page.evaluate("sessionStorage.getItem('nexus-token')")
    assert status_for(program, token) == 200
    page.get_by_role("button", name="End all access…").click()
    page.get_by_role("dialog").get_by_role("button", name="End all access").click()
    after = page.get_by_role("dialog", name="All access is ended")
    expect(after).to_contain_text("To come back")
    expect(page.get_by_text(ENDED)).to_be_visible()
    assert status_for(program, token) == 401
    before = program.snapshot().boot_id
    os.kill(program.program_pid(), signal.SIGKILL)
    program.wait_for(lambda snapshot: snapshot.boot_id != before, 20, "another start")
    assert status_for(program, token) == 401


def status_for(program: Program, token: str) -> int:
    """What the local API answers to this token."""
    url = json.loads(program.paths.api_file.read_text())["url"]
    line = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    with contextlib.closing(line):
        line.request("GET", "/api/v1/snapshot", headers={"Authorization": f"Bearer {token}"})
        return line.getresponse().status


@pytest.fixture
def door() -> Iterator[socket.socket]:
    """A port that is kept while no server is there, as the guard keeps it."""
    with socket.create_server(("127.0.0.1", 0)) as kept:
        yield kept


def serve(house: Refusing, door: socket.socket, tickets: Tickets) -> ApiServer:
    server = ApiServer(
        house.backend, TOKEN, pages=pages.load(UI), bound=door.dup(), tickets=tickets
    )
    server.start()
    return server


def test_a_page_that_fell_behind_says_so_and_shows_what_is_true(
    desk: Desk, door: socket.socket
) -> None:
    desk.server.stop()
    tickets = Tickets()
    desk.server = serve(desk.house, door, tickets)
    page = desk.open()
    page.evaluate("window.stayed = true")
    desk.server.stop()
    for number in range(2000):  # more than the journal keeps
        desk.house.journal.note(f"note {number}")
    desk.house.say(headline="Everything is new")
    again = serve(desk.house, door, tickets)
    try:
        expect(page.locator("h1")).to_have_text("Everything is new")
        expect(page.locator(".toast")).to_have_text(BEHIND)
        lately = page.get_by_role("region", name="What happened lately")
        expect(lately.get_by_role("listitem").first).to_contain_text("note 1999")
        assert page.evaluate(STAYED)
    finally:
        again.stop()


FAILURES = {
    "/": ("**/api/v1/journal*", "Tunnel “quick” is ready at"),
    "/logs": ("**/api/v1/logs?*", "a line to be read"),
    "/settings": ("**/api/v1/config", "Default:"),
    "/settings?": ("**/api/v1/openapi.json", "Default:"),
    "/settings?at=login": ("**/api/v1/autostart", "It does not."),
    "/access": ("**/api/v1/access", "Safari on iPhone"),
    "/tunnels": ("**/tunnels.js", "Tunnel “quick”"),
}


@pytest.mark.parametrize("to", FAILURES)
def test_a_request_that_fails_is_said_and_tried_again(desk: Desk, to: str) -> None:
    pattern, wanted = FAILURES[to]
    desk.house.logs.add("a line to be read")
    failed = 0

    def fail(route: Route) -> None:
        nonlocal failed
        failed += 1
        route.abort()

    desk.page.route(pattern, fail)
    desk.page.goto(desk.server.invite(to))
    said = desk.page.locator("main .failure")
    expect(said).to_be_visible()
    expect(said).to_contain_text("again by itself")
    expect(said).to_be_visible()
    desk.page.wait_for_event("requestfailed", lambda _: failed > 1)
    desk.page.unroute(pattern)
    expect(said).to_have_count(0)
    expect(desk.page.get_by_text(wanted).first).to_be_visible()


def test_a_command_that_fails_is_not_repeated_by_the_page(desk: Desk) -> None:
    page = desk.open()
    restart = page.get_by_role("button", name="Restart Gateway")
    page.route("**/restarts", lambda route: route.abort())
    restart.click()
    failure = page.get_by_role("alert")
    expect(failure).to_contain_text("Whether it was done is not known.")
    page.unroute("**/restarts")
    assert desk.house.came == []
    restart.click()
    expect(failure).to_have_count(0)
    until(lambda: len(desk.house.came) == 1)


def test_when_all_access_is_ended_the_page_says_how_to_come_back_and_asks_no_more(
    desk: Desk,
) -> None:
    page = desk.open("/logs")
    tickets = desk.server._tickets
    tickets.void_all()
    expect(page.get_by_text(ENDED)).to_be_visible()
    way = "from the tray, or with nexus-tray dashboard"
    expect(page.locator("main > .note").first).to_contain_text(way)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(3500)  # longer than any wait between two tries
    assert asked == []
    assert page.evaluate("sessionStorage.length") == 0
