"""What a tunnel's card says was measured of it, over the product's own history."""

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Locator, Page, expect

from nexus_tray.api.server import ApiServer
from nexus_tray.model import Facts, Metrics
from nexus_tray.paths import Paths
from nexus_tray.reports import CloudflaredCounters, TrafficPoint, TunnelReport, Tunnels
from nexus_tray.store.history import History
from tests.dashboard.conftest import Desk, Refusing, start
from tests.dashboard.house import services, well
from tests.dashboard.test_access import axe_finds_nothing, nothing_is_wider_than_the_window

MEASURED = Metrics(
    requests=1204, refused=3, failed=4, unreachable=1, concurrent=2, bytes_in=60_000,
    bytes_out=12_300_000, requests_per_second=0.4, bytes_in_per_second=0.0,
    bytes_out_per_second=3100.0, p50_ms=8.4, p95_ms=40.2, p99_ms=1203.0,
)  # fmt: skip
COUNTERS = CloudflaredCounters(tunnel="quick", requests=1210, errors=6)


@pytest.fixture
def past(paths: Paths) -> Iterator[History]:
    history = History(paths.traffic_database, time.time(), pytest.fail)
    yield history
    history.close(time.time())


@pytest.fixture
def server(house: Refusing, past: History) -> Iterator[ApiServer]:
    report = TunnelReport(name="quick", kind="quick", counters=COUNTERS)
    house.reports = dataclasses.replace(
        house.reports,
        traffic=lambda query: past.read(query, time.time()),
        tunnels=lambda: Tunnels(tunnels=(report,)),
    )
    server = start(house.backend)
    yield server
    server.stop()


def show(desk: Desk, metrics: Metrics | None, **facts: Any) -> Locator:
    now = time.time()
    opencode, gateway, quick = services(now)
    quick = msgspec.structs.replace(quick, facts=Facts(metrics=metrics, **facts))
    well(desk.house, now, services=(opencode, gateway, quick))
    page = desk.open("/tunnels")
    return page.get_by_role("group", name="Measured of quick")


def value(group: Locator, name: str) -> Locator:
    return group.locator("div", has=group.page.locator("dt", has_text=name)).locator("dd")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Requests", "1,204 · 0.4/s"),
        ("Under way", "2"),
        ("Errors", "3 refused · 3 failed · 1 unreachable"),
        ("Half answered within", "8.4 ms"),
        ("95 % within", "40 ms"),
        ("99 % within", "1.2 s"),
        ("Data out", "12 MB (3 kB/s)"),
        ("Data in", "60 kB"),
        ("Counted by cloudflared", "1,210 requests · 6 not passed on"),
    ],
)
def test_each_figure_has_its_words_and_units(desk: Desk, name: str, said: str) -> None:
    expect(value(show(desk, MEASURED), name)).to_have_text(said)


def test_nothing_yet_is_said_in_words_and_what_is_not_known_is_a_dash(desk: Desk) -> None:
    group = show(desk, Metrics())
    expect(value(group, "Requests")).to_have_text("0")
    expect(value(group, "Errors")).to_have_text("none")
    expect(value(group, "Time to answer")).to_have_text("no request in the last minute")
    group = show(desk, None)
    expect(group.locator("dd", has_text="—")).to_have_count(8)


def test_the_figures_follow_the_events(desk: Desk) -> None:
    group = show(desk, Metrics(requests=1))
    expect(value(group, "Requests")).to_have_text("1")
    now = time.time()
    opencode, gateway, quick = services(now)
    quick = msgspec.structs.replace(quick, facts=Facts(metrics=Metrics(requests=2)))
    well(desk.house, now, services=(opencode, gateway, quick))
    expect(value(group, "Requests")).to_have_text("2")


def test_the_chart_of_one_tunnel_has_what_passed_that_one(desk: Desk, past: History) -> None:
    at = float(int(time.time()) - 100)
    past.record(
        TrafficPoint(at=at, requests=9, latency_ms=2.0),
        {"quick": TrafficPoint(at=at, requests=7, latency_ms=2.0)},
    )
    group = show(desk, MEASURED)
    group.get_by_text("Traffic over time").click()
    expect(group.get_by_role("img", name="Requests in the last hour: 7.")).to_be_visible()


@pytest.mark.parametrize(("kind", "hop"), [("gateway", "Gateway"), ("opencode", "OpenCode")])
def test_a_hop_tells_what_was_counted_at_it(desk: Desk, kind: str, hop: str) -> None:
    now = time.time()
    measured = tuple(
        msgspec.structs.replace(one, facts=msgspec.structs.replace(one.facts, metrics=MEASURED))
        if one.kind == kind
        else one
        for one in services(now)
    )
    well(desk.house, now, services=measured)
    page = desk.open()
    page.locator(".hop", has_text=hop).get_by_role("button").click()
    dialog = page.get_by_role("dialog", name=hop)
    expect(dialog).to_contain_text("Errors since the start3 refused · 3 failed · 1 unreachable")
    expect(dialog).to_contain_text("Half answered within8.4 ms95 % within40 ms99 % within1.2 s")
    axe_finds_nothing(page)


@pytest.mark.parametrize("width", [360, 1100])
def test_it_is_for_everybody(desk: Desk, past: History, width: int) -> None:
    past.record(TrafficPoint(at=float(int(time.time()) - 100), requests=9))
    desk.page.set_viewport_size({"width": width, "height": 900})
    group = show(desk, MEASURED)
    group.get_by_text("Traffic over time").click()
    expect(group.locator(".plot")).to_have_count(2)
    page: Page = group.page
    axe_finds_nothing(page)
    nothing_is_wider_than_the_window(page)
