"""From readings of the meters to what is told: rates, percentiles, when it is told, and to whom."""

import time
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.app.metrics import Gauge, Gauges, figures, measured
from nexus_tray.app.traffic import Seconds, Surface, TrafficWatch
from nexus_tray.cloudflare.metrics import Metrics as Cloudflared
from nexus_tray.gateway.meter import Meter, Meters, Reading, Readings
from nexus_tray.model import (
    Desired,
    Facts,
    HopState,
    Metrics,
    Service,
    ServiceKind,
    ServiceState,
    Snapshot,
)
from nexus_tray.paths import Paths
from nexus_tray.reports import TrafficQuery
from nexus_tray.store.history import History
from tests.gateway.doubles import eventually

NOW = 1000.0


def snapshot(*services: Service) -> Snapshot:
    return Snapshot(
        boot_id="b", cursor=0, version="1", taken_at=0.0, state=HopState.UP, headline="",
        path=(), services=services,
    )  # fmt: skip


def service(
    name: str,
    kind: ServiceKind = ServiceKind.TUNNEL,
    state: ServiceState = ServiceState.RUNNING,
    metrics: Metrics | None = None,
) -> Service:
    return Service(
        name=name, kind=kind, desired=Desired.RUNNING, state=state, since_at=0.0,
        facts=Facts(metrics=metrics),
    )  # fmt: skip


QUICK, HOME = service("quick"), service("home")
GATEWAY = service("gateway", ServiceKind.GATEWAY)
OPENCODE = service("opencode", ServiceKind.OPENCODE)


def told(changed: Mapping[str, Facts]) -> dict[str, Metrics]:
    found = {name: facts.metrics for name, facts in changed.items()}
    return {name: one for name, one in found.items() if one is not None}


def test_rates_are_those_of_the_last_five_seconds_and_sink_to_nothing() -> None:
    meter, gauge = Meter(), Gauge(Reading())
    for second in range(20):
        for _ in range(10):
            meter.answered(200, 0.01)
        meter.sent += 3000
        metrics = gauge.look(meter.read(), NOW + second)
    assert (metrics.requests, metrics.requests_per_second) == (200, 10.0)
    assert metrics.bytes_out_per_second == 3000
    for second in range(20, 26):
        metrics = gauge.look(meter.read(), NOW + second)
    assert (metrics.requests, metrics.requests_per_second, metrics.bytes_out_per_second) == (
        200, 0.0, 0.0,
    )  # fmt: skip


def test_percentiles_are_those_of_the_last_minute() -> None:
    meter, gauge = Meter(), Gauge(Reading())
    for ms in range(1, 101):
        meter.answered(200, ms / 1000)
    metrics = gauge.look(meter.read(), NOW)
    for found, true in ((metrics.p50_ms, 50), (metrics.p95_ms, 95), (metrics.p99_ms, 99)):
        assert found is not None
        assert abs(found - true) <= 0.1 * true
    for second in range(1, 59):
        assert gauge.look(meter.read(), NOW + second).p50_ms == metrics.p50_ms
    for second in range(59, 62):
        last = gauge.look(meter.read(), NOW + second)
    assert (last.requests, last.p50_ms, last.p99_ms) == (100, None, None)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=200))
def test_no_request_is_lost_or_counted_twice(each: list[int]) -> None:
    meter, gauge = Meter(), Gauge(Reading())
    for second, number in enumerate(each):
        for _ in range(number):
            meter.answered(404, 0.001)
        metrics = gauge.look(meter.read(), NOW + second)
    assert metrics.requests == metrics.refused == sum(each)
    recent = each[-5:] if len(each) > 4 else each
    assert metrics.requests_per_second == pytest.approx(sum(recent) / len(recent), abs=0.06)


def test_each_service_is_told_what_is_its_own() -> None:
    meters = Meters()
    for _ in range(3):
        meters.door("quick").answered(200, 0.01)
    meters.door("home").answered(503, 0.01)
    meters.door("local").answered(200, 0.01)
    meters.nowhere.answered(403, 0.01)
    meters.opencode.answered(200, 0.01)
    found = told(Gauges().changed(snapshot(OPENCODE, GATEWAY, QUICK, HOME), meters.read(), NOW))
    assert {name: one.requests for name, one in found.items()} == {
        "opencode": 1, "gateway": 6, "quick": 3, "home": 1,
    }  # fmt: skip
    assert (found["gateway"].refused, found["home"].failed) == (1, 1)


def test_only_what_changed_is_told_and_an_idle_program_tells_nothing() -> None:
    meters, gauges = Meters(), Gauges()
    services = [GATEWAY, QUICK, HOME]
    meters.door("quick").answered(200, 0.01)

    def look(second: int) -> dict[str, Metrics]:
        found = told(gauges.changed(snapshot(*services), meters.read(), NOW + second))
        for place, one in enumerate(services):
            if one.name in found:
                services[place] = msgspec.structs.replace(one, facts=Facts(metrics=found[one.name]))
        return found

    assert set(look(0)) == {"gateway", "quick", "home"}  # nothing passed "home": that is known
    changes = [look(second) for second in range(1, 200)]
    assert all("home" not in one for one in changes)
    assert sum(map(bool, changes)) <= 8  # the rate sinks, and a minute is over
    assert not any(changes[70:])
    meters.door("home").answered(200, 0.01)
    assert set(look(200)) == {"gateway", "home"}


@pytest.mark.parametrize("state", [ServiceState.STOPPED, ServiceState.FAILED, ServiceState.BACKOFF])
def test_of_a_service_that_does_not_run_nothing_is_told(state: ServiceState) -> None:
    meters, gauges = Meters(), Gauges()
    meters.door("quick").answered(200, 0.01)
    still = service("quick", state=state)
    assert gauges.changed(snapshot(still), meters.read(), NOW) == {}
    found = told(gauges.changed(snapshot(QUICK), meters.read(), NOW + 1))
    assert found["quick"].requests == 1  # it runs again: totals go on


def test_a_tunnel_with_the_name_of_a_deleted_one_begins_at_nothing() -> None:
    meters, gauges = Meters(), Gauges()
    meters.door("quick").answered(200, 0.01)
    gauges.changed(snapshot(QUICK), meters.read(), NOW)
    gauges.changed(snapshot(), meters.read(), NOW + 1)
    found = told(gauges.changed(snapshot(QUICK), meters.read(), NOW + 2))
    assert found["quick"] == Metrics()


def test_a_histogram_for_prometheus_rises_and_loses_nothing() -> None:
    meter = Meter()
    for ms in (0.01, 0.3, 8, 8, 900, 10**6):
        meter.answered(200, ms / 1000)
    found = figures("quick", meter.read())
    counts = [count for _, count in found.within]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1], found.answered) == (1, 5, 6)
    assert dict(found.within)[0.0128] == 4
    assert found.seconds == pytest.approx(1000.916, abs=0.01)


def test_everything_counted_is_in_the_measurements() -> None:
    meters = Meters()
    meters.door("quick").answered(200, 0.01)
    own = Cloudflared(total_requests=3, responses={200: 2, 502: 1}, refused={"x": 1})
    found = measured(5.0, meters.read(), {"quick": own})
    assert [one.name for one in found.doors] == ["quick"]
    assert found.opencode is not None
    (counters,) = found.cloudflared
    assert (counters.requests, counters.responses) == (3, ((200, 2), (502, 1)))
    assert counters.errors is None
    assert measured(5.0, None, {}).opencode is None


def test_a_second_of_the_history_knows_the_doors_that_something_passed() -> None:
    meters, seconds = Meters(), Seconds()
    meters.door("home")
    for _ in range(2):
        meters.door("quick").answered(200, 0.01)
    ((whole, doors),) = seconds.account(meters.read(), 100.0)
    assert (whole.requests, {name: one.requests for name, one in doors.items()}) == (
        2, {"quick": 2},
    )  # fmt: skip
    meters.door("home").opened()
    meters.begin_anew()
    ((_, doors),) = seconds.account(meters.read(), 101.0)
    assert {name: one.streams for name, one in doors.items()} == {"home": 1}


class World:
    """A snapshot that takes what is published, and counts how often that was."""

    def __init__(self, *services: Service) -> None:
        self.services = list(services)
        self.times: list[float] = []
        self.tunnels = ["quick"]

    def publish(self, changed: Mapping[str, Facts]) -> None:
        self.times.append(time.monotonic())
        for place, one in enumerate(self.services):
            if one.name in changed:
                self.services[place] = msgspec.structs.replace(one, facts=changed[one.name])

    @property
    def surface(self) -> Surface:
        return Surface(lambda: snapshot(*self.services), self.publish, lambda: tuple(self.tunnels))


def watch(paths: Paths, read: Any, world: World) -> TrafficWatch:
    history = History(paths.traffic_database, time.time(), lambda text: pytest.fail(text))
    return TrafficWatch(history, read, world.surface)


def test_under_load_it_is_told_once_a_second_at_most(paths: Paths) -> None:
    meters, world = Meters(), World(GATEWAY, QUICK)
    watching = watch(paths, meters.read, world)
    until = time.monotonic() + 3.2
    while time.monotonic() < until:
        meters.door("quick").answered(200, 0.01)
        time.sleep(0.001)  # the load, not a wait for something
    watching.close()
    assert 2 <= len(world.times) <= 4
    gaps = [after - before for before, after in zip(world.times, world.times[1:], strict=False)]
    assert min(gaps) > 0.8
    quick, whole = world.services[1].facts.metrics, world.services[0].facts.metrics
    assert quick is not None
    assert whole is not None
    assert quick.requests == whole.requests > 100
    assert quick.requests_per_second > 10


def test_while_the_gateway_is_shut_the_last_figures_stand_and_rates_sink() -> None:
    meters, gauges = Meters(), Gauges()
    meters.opencode.answered(200, 0.01)
    last: Readings = meters.read()
    first = told(gauges.changed(snapshot(OPENCODE), last, NOW))["opencode"]
    assert first.requests_per_second == 1.0
    for second in range(1, 8):
        found = told(gauges.changed(snapshot(OPENCODE), last, NOW + second))["opencode"]
    assert (found.requests, found.requests_per_second) == (1, 0.0)


def test_a_deleted_tunnels_history_goes_with_it(paths: Paths) -> None:
    meters, world = Meters(), World(GATEWAY, QUICK)
    watching = watch(paths, meters.read, world)
    meters.door("quick").answered(200, 0.01)

    def known() -> int:
        query = TrafficQuery(seconds=60, tunnel="quick")
        return sum(point.requests for point in watching.report(query).points)

    eventually(lambda: known() == 1)
    eventually(lambda: bool(world.times))
    world.tunnels = []
    eventually(lambda: known() == 0)
    assert sum(p.requests for p in watching.report(TrafficQuery(seconds=60)).points) == 1
    watching.close()


def test_an_error_in_telling_does_not_end_the_history(
    paths: Paths, caplog: pytest.LogCaptureFixture
) -> None:
    meters = Meters()

    def broken() -> Snapshot:
        raise RuntimeError("broken")

    history = History(paths.traffic_database, time.time(), lambda text: pytest.fail(text))
    watching = TrafficWatch(history, meters.read, Surface(broken, lambda _: None, tuple))
    eventually(lambda: "could not be told" in caplog.text)
    meters.door("quick").answered(200, 0.01)

    def passed() -> int:
        return sum(p.requests for p in watching.report(TrafficQuery(seconds=60)).points)

    eventually(lambda: passed() == 1)
    watching.close()
