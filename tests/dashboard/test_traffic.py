"""The traffic's charts and the hops' figures, over the product's own history, in a real browser."""

import dataclasses
import gzip
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from nexus_tray.api.server import ApiServer
from nexus_tray.model import Facts
from nexus_tray.paths import Paths
from nexus_tray.reports import Traffic, TrafficPoint, TrafficQuery
from nexus_tray.store.history import History
from tests.api.doubles import until
from tests.dashboard.conftest import UI, Desk, Refusing, start
from tests.dashboard.house import services as made_services
from tests.dashboard.house import well
from tests.dashboard.test_access import axe_finds_nothing, nothing_is_wider_than_the_window


class Past:
    """A history that tests write, and how often it was asked for which range."""

    def __init__(self, path: Path) -> None:
        self.history = History(path, time.time(), pytest.fail)
        self.asked: list[int] = []

    def add(self, ago: float, **figures: float) -> None:
        at = float(int(time.time() - ago))
        self.history.record(TrafficPoint(at=at, **figures))  # type: ignore[arg-type]

    def read(self, query: TrafficQuery) -> Traffic:
        self.asked.append(query.seconds)
        return self.history.read(query, time.time())


@pytest.fixture
def past(paths: Paths) -> Iterator[Past]:
    past = Past(paths.traffic_database)
    yield past
    past.history.close(time.time())


@pytest.fixture
def server(house: Refusing, past: Past) -> Iterator[ApiServer]:
    house.reports = dataclasses.replace(house.reports, traffic=past.read)
    server = start(house.backend)
    yield server
    server.stop()


def some(past: Past) -> None:
    """1,200 requests over ten minutes, a few of which failed, after a time without a gateway."""
    for ago in range(600, 0, -1):
        past.add(
            ago, requests=2, failures=ago % 60 == 0, bytes_in=100, bytes_out=20_000, streams=3,
            latency_ms=12.5,
        )  # fmt: skip


def traffic(page: Page) -> Locator:
    found = page.get_by_role("region", name="Traffic", exact=True)
    found.scroll_into_view_if_needed()
    return found


def test_it_says_what_passed_in_words_in_bars_and_as_a_table(desk: Desk, past: Past) -> None:
    some(past)
    shown = traffic(desk.open())
    label = "Requests in the last hour: 1,200, 10 failed."
    expect(shown.get_by_role("img", name=label)).to_be_visible()
    expect(
        shown.get_by_role("img", name="Data in the last hour: 12 MB out, 60 kB in.")
    ).to_be_visible()
    expect(shown).to_contain_text("1,200 · 10 failed · 13 ms to answer")
    expect(shown).to_contain_text("12 MB out · 60 kB in · 3 streams")
    bars = shown.locator("path.bar").first.get_attribute("d")
    assert bars is not None
    assert 20 <= bars.count("M") <= 21  # ten minutes in steps of 30 s
    expect(shown).to_contain_text("Not measured")
    shown.get_by_text("As a table").click()
    together = shown.locator("tfoot tr")
    expect(together).to_have_text("Together1,2001013 ms12 MB60 kB3")
    rows = [row.split("\t") for row in shown.locator("tbody tr").all_inner_texts()]
    assert len(rows) == 12
    assert sum(int(row[1]) for row in rows if row[1] != "not measured") == 1200
    assert rows[0][1] == "not measured"


def test_each_range_is_a_key_away(desk: Desk, past: Past) -> None:
    some(past)
    shown = traffic(desk.open())
    times = shown.get_by_role("group", name="Time shown")
    expect(times.get_by_role("button", name="1 h")).to_have_attribute("aria-pressed", "true")
    for name, words in [
        ("15 min", "the last 15 minutes"),
        ("24 h", "the last 24 hours"),
        ("7 d", "the last 7 days"),
    ]:
        times.get_by_role("button", name=name).focus()
        desk.page.keyboard.press("Enter")
        expect(shown.get_by_role("img", name=f"Requests in {words}: 1,200")).to_be_visible()
        expect(times.get_by_role("button", name=name)).to_be_focused()
    assert past.asked[-1] == 604_800


def test_what_is_not_there_is_said_in_words(desk: Desk, past: Past) -> None:
    shown = traffic(desk.open())
    expect(shown).to_contain_text("Nothing was measured in the last hour.")
    past.add(30)
    past.add(20)
    shown.get_by_role("button", name="15 min").click()
    expect(shown).to_contain_text("No requests in the last 15 minutes.")
    expect(shown.get_by_role("img", name="No requests in the last 15 minutes.")).to_be_visible()


def test_it_follows_while_it_is_seen_and_asks_nothing_while_it_is_not(
    desk: Desk, past: Past
) -> None:
    desk.page.set_viewport_size({"width": 1100, "height": 300})
    page = desk.open()
    page.wait_for_selector(".ranges", state="attached")
    assert past.asked == []  # it is below the window's edge
    shown = traffic(page)
    shown.get_by_role("button", name="15 min").click()
    expect(shown).to_contain_text("Nothing was measured")
    past.add(2, requests=7, latency_ms=1.0)
    expect(shown.get_by_role("img", name="Requests in the last 15 minutes: 7.")).to_be_visible()
    page.evaluate("""() => {
        Object.defineProperty(document, 'hidden', {get: () => window.away, configurable: true});
        window.away = true;
        document.dispatchEvent(new Event('visibilitychange'));
    }""")
    asked = len(past.asked)
    page.wait_for_timeout(3500)  # longer than the pause between two looks
    assert len(past.asked) == asked
    past.add(1, requests=5, latency_ms=1.0)
    page.evaluate("window.away = false, document.dispatchEvent(new Event('visibilitychange'))")
    expect(shown.get_by_role("img", name="Requests in the last 15 minutes: 12.")).to_be_visible()


def test_a_bar_tells_its_figures(desk: Desk, past: Past) -> None:
    some(past)
    page = desk.open()
    chart = traffic(page).get_by_role("img").first
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 30, box["y"] + 40)
    expect(page.locator(".plot figcaption").first).to_contain_text(": 60")
    page.mouse.move(box["x"] + 5, box["y"] + 40)
    expect(page.locator(".plot figcaption").first).to_contain_text("not measured")
    page.mouse.move(0, 0)
    expect(page.locator(".plot figcaption").first).to_contain_text("1,200")


def test_a_bar_stands_at_its_time(desk: Desk, past: Past) -> None:
    past.add(300, requests=9, latency_ms=3.0)
    at = next(iter(past.history._seconds)) // 10 * 10
    page = desk.open()
    shown = traffic(page)
    shown.get_by_role("button", name="15 min").click()
    expect(shown.get_by_role("img", name="Requests in the last 15 minutes: 9.")).to_be_visible()
    bar = shown.locator("path.bar").first
    box = bar.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    when = time.strftime("%H:%M:%S", time.localtime(at))
    expect(page.locator(".plot figcaption").first).to_contain_text(f"{when}: 9 · 3.0 ms")


@pytest.mark.parametrize("filled", [True, False])
def test_it_is_for_everybody(desk: Desk, past: Past, filled: bool) -> None:
    if filled:
        some(past)
    page = desk.open()
    shown = traffic(page)
    if filled:
        shown.get_by_text("As a table").click()
        expect(shown.get_by_role("table")).to_be_visible()
        page.set_viewport_size({"width": 360, "height": 800})  # where the table scrolls
    else:
        expect(shown).to_contain_text("Nothing was measured")
    axe_finds_nothing(page)
    nothing_is_wider_than_the_window(page)


@pytest.mark.parametrize("width", [360, 720, 900, 1600])
def test_nothing_moves_when_it_comes(desk: Desk, past: Past, width: int) -> None:
    some(past)
    page = desk.page
    page.set_viewport_size({"width": width, "height": 3000})
    held: list[Route] = []
    page.route("**/traffic.js", lambda route: held.append(route))
    desk.open()
    region = page.get_by_role("region", name="OpenCode sessions")
    before = region.bounding_box()
    until(lambda: bool(page.evaluate("1") and held))
    held[0].continue_()
    expect(page.locator(".plot")).to_have_count(2)
    assert region.bounding_box() == before
    page.get_by_role("button", name="24 h").click()
    expect(page.get_by_role("img", name="Requests in the last 24 hours")).to_be_visible()
    assert region.bounding_box() == before


def test_the_whole_dashboard_stays_small() -> None:
    files = [path for path in UI.rglob("*") if path.suffix in (".js", ".css", ".html", ".svg")]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < 150_000


HOPS = {
    "Your devices": ["Last request", "4 s ago", "Signed in", "1"],
    "Cloudflare edge": [
        "Connections", "4", "Cloudflare’s places", "fra08, ams13", "Transport", "QUIC",
    ],
    "cloudflared": [
        "Memory", "38 MB", "Version", "2026.8.2", "Up for", "3 h 11 min", "Restarts", "0",
    ],
    "Gateway": [
        "Requests, last minute", "7", "Failed", "1", "Time to answer, median", "8.0 ms",
        "Open streams", "2", "Up for", "3 h 12 min", "Restarts", "0",
    ],
    "OpenCode": [
        "Sessions", "3", "Last answer after", "2.4 ms", "Memory", "334 MB", "Version", "1.18.33",
        "Up for", "3 h 12 min", "Restarts", "0",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", HOPS)
def test_each_hop_tells_its_figures(desk: Desk, past: Past, name: str) -> None:
    past.add(10, requests=7, failures=1, latency_ms=8.0, streams=2)
    page = desk.open()
    page.locator(".hop", has_text=name).get_by_role("button").click()
    dialog = page.get_by_role("dialog", name=name)
    expect(dialog.locator("dt, dd")).to_have_text(HOPS[name])
    axe_finds_nothing(page)


def test_what_nobody_measured_of_a_hop_is_a_dash(desk: Desk) -> None:
    now = time.time()
    bare = tuple(msgspec.structs.replace(service, facts=Facts()) for service in made_services(now))
    well(desk.house, now, services=bare, activity=None)
    page = desk.open()
    for name, dashes in (("Cloudflare edge", 3), ("Gateway", 4), ("OpenCode", 4)):
        page.locator(".hop", has_text=name).get_by_role("button").click()
        dialog = page.get_by_role("dialog", name=name)
        expect(dialog.locator("dd", has_text="—")).to_have_count(dashes)
        page.keyboard.press("Escape")
