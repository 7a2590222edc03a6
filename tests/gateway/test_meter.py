"""What the gateway says has passed, against what did pass over its real sockets."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.core.driver import Observed, Probed
from nexus_tray.gateway.http import Channel
from nexus_tray.gateway.meter import (
    BOUNDS,
    Meter,
    Meters,
    Reading,
    Readings,
    passed,
    quantile_ms,
    together,
)
from nexus_tray.gateway.relay.metering import Metering
from nexus_tray.services.gateway import GatewayDriver
from tests.gateway.doubles import (
    OK,
    House,
    Link,
    SmallSite,
    eventually,
    house,
    tunnel_request,
)
from tests.gateway.test_relay import SWITCH, UPGRADE

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


def read(home: House) -> Reading:
    return readings(home).whole


def readings(home: House) -> Readings:
    found = home.gateway.read_meters()
    assert found is not None
    return found


def test_bytes_and_requests_are_those_that_the_visitor_sent_and_got(home: House) -> None:
    client = home.tunnel()
    request = tunnel_request("POST", "/session", "Content-Length: 5", body=b"hello")
    request = request.replace(
        b"\r\n\r\n", b"\r\nOrigin: https://quiet-river.trycloudflare.com\r\n\r\n", 1
    )
    client.send(request)
    got = client.head()
    assert got.status == 200
    assert client.read(2) == b"ok"
    seen = read(home)
    assert (seen.requests, seen.failures, sum(seen.times)) == (1, 0, 1)
    assert seen.received == len(request)
    head = sum(len(f"{name}: {value}\r\n") for name, value in got.headers)
    assert seen.sent == len("HTTP/1.1 200 OK\r\n") + head + len("\r\nok")


@pytest.mark.parametrize(
    ("target", "cookie", "off", "failures"),
    [
        ("/", "ada", False, 0),
        ("/", None, False, 0),  # a stranger: 401
        ("/_nexus/x", None, False, 0),
        ("/", "ada", True, 1),  # OpenCode is off: 503
    ],
)
def test_each_answer_counts_once_and_fails_from_500_on(
    home: House, target: str, cookie: str | None, off: bool, failures: int
) -> None:
    if off:
        home.gateway.set_upstream(None)
    home.ask(tunnel_request("GET", target, cookie=cookie))
    seen = read(home)
    assert (seen.requests, seen.failures) == (1, failures)


def test_no_answer_of_opencodes_is_a_failure(tmp_path: Path) -> None:
    def hang_up(link: Link) -> None:
        link.read_head()

    with house(tmp_path, script=hang_up) as home:
        assert home.ask(tunnel_request()).status == 502
        assert (read(home).requests, read(home).failures) == (1, 1)


def test_what_is_no_whole_head_is_no_request(home: House) -> None:
    client = home.tunnel()
    client.send(b"this is no HTTP\r\n\r\n")
    assert client.answer().status == 400
    assert read(home).requests == 0


def test_time_is_from_the_head_to_the_first_byte_of_the_answer(tmp_path: Path) -> None:
    go_on = threading.Event()

    def slow_body(link: Link) -> None:
        link.read_head()
        assert not go_on.wait(0.2)  # this is what is measured
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        assert go_on.wait(10.0)  # and this is not
        link.send(b"k")

    with house(tmp_path, script=slow_body) as home:
        client = home.tunnel()
        began = time.monotonic()
        client.send(tunnel_request())
        assert client.head().status == 200
        seen_ms = (time.monotonic() - began) * 1000
        point = passed(Reading(), read(home), 0.0)
        assert point.requests == 1
        assert point.latency_ms is not None
        assert 180 <= point.latency_ms <= seen_ms * 1.1
        go_on.set()
        assert client.read(2) == b"ok"
        assert sum(read(home).times) == 1


def test_streams_are_counted_while_they_are_open(tmp_path: Path) -> None:
    over = threading.Event()

    def serve(link: Link) -> None:
        first = link.read_head()
        if b"/events" in first:
            link.send(EVENTS)
            over.wait(10.0)
        elif b"Upgrade" in first:
            link.send(SWITCH)
            link.ended()
        else:
            link.send(OK)

    site = SmallSite()
    ours = asyncio.Event()

    async def hold(channel: Channel) -> None:
        await channel.write(SWITCH)
        await ours.wait()

    site.handler = hold
    with house(tmp_path, site, script=serve) as home:
        home.ask(tunnel_request())  # ends by itself: no stream
        assert read(home).peak == 0
        events, upgraded, bridge = home.tunnel(), home.tunnel(), home.tunnel()
        events.send(tunnel_request("GET", "/events"))
        assert events.head().status == 200
        upgraded.send(tunnel_request("GET", "/pty", *UPGRADE))
        assert upgraded.head().status == 101
        bridge.send(tunnel_request("GET", "/_nexus/events", *UPGRADE))
        assert bridge.head().status == 101
        assert read(home).peak == 3
        events.close()
        upgraded.close()
        eventually(lambda: read(home).peak == 1)  # the peak is that since the reading before
        bridge.close()
        eventually(lambda: read(home).peak == 0)
        assert read(home).requests == 4
        over.set()


def test_a_session_that_is_cut_leaves_no_stream_behind(tmp_path: Path) -> None:
    def serve(link: Link) -> None:
        link.read_head()
        link.send(EVENTS)
        link.ended()

    with house(tmp_path, script=serve) as home:
        client = home.tunnel()
        client.send(tunnel_request("GET", "/events"))
        assert client.head().status == 200
        assert read(home).peak == 1
        home.gateway.cut("id-ada")
        eventually(lambda: read(home).peak == 0)


def test_the_programs_own_question_is_no_traffic(home: House) -> None:
    driver = GatewayDriver(lambda: home.gateway, lambda _at: None)
    told: list[object] = []
    driver.start(1, told.append)
    eventually(lambda: any(isinstance(one, Observed) for one in told))
    before = home.gateway.counters().requests
    for _ in range(3):
        driver.probe(1)
    eventually(lambda: sum(isinstance(one, Probed) for one in told) == 3)
    assert [one.reason for one in told if isinstance(one, Probed)] == [None] * 3
    assert home.gateway.counters().requests == before + 3  # they did come in
    assert readings(home) == Readings()
    local = home.local()  # another visitor of that very path counts
    host = f"localhost:{home.gateway.local_port}"
    local.send(f"GET /_nexus/style.css HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert local.answer().status == 200
    assert read(home).requests == 1


def test_a_gateway_that_is_shut_measures_nothing_and_goes_on_where_it_was(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.ask(tunnel_request())
        home.gateway.close(keep_ports=True)
        assert home.gateway.read_meters() is None
        home.gateway.start()
        home.ask(tunnel_request())
        assert read(home).requests == 2


@given(st.lists(st.floats(0.06, 50_000), min_size=1, max_size=50))
def test_the_median_is_never_a_tenth_off(times: list[float]) -> None:
    meter = Meter()
    for ms in times:
        meter.answered(200, ms / 1000)
    found = quantile_ms(meter.read().times, 0.5)
    true = sorted(times)[(len(times) - 1) // 2]
    assert found is not None
    assert abs(found - true) <= 0.1 * true


@pytest.mark.parametrize(("ms", "found"), [(0.0, BOUNDS[0]), (10.0**7, BOUNDS[-1])])
def test_what_lies_beyond_the_histogram_is_its_first_or_last_field(ms: float, found: float) -> None:
    meter = Meter()
    meter.answered(200, ms / 1000)
    median = quantile_ms(meter.read().times, 0.5)
    assert median is not None
    assert found / 1.3 < median < found * 1.3


def test_nothing_has_no_median() -> None:
    meter = Meter()
    assert passed(meter.read(), meter.read(), 5.0).latency_ms is None


# -- a meter for each door, and one behind ------------------------------------------------------

OTHER = "s3cret-channel-of-another-tunnel"


def test_two_doors_at_once_are_each_counted_exactly(home: House) -> None:
    home.gateway.open_door("home", OTHER, holds_events=False)
    requests = {
        "quick": tunnel_request("GET", "/some/where"),
        "home": tunnel_request("GET", "/x", secret=OTHER),
    }
    sent = dict.fromkeys(requests, 0)

    def visit(name: str) -> None:
        for _ in range(4):
            client = home.tunnel()
            for _ in range(25):
                client.send(requests[name])
                assert client.answer().status == 200
                sent[name] += len(requests[name])

    threads = [threading.Thread(target=visit, args=(name,)) for name in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
    found = readings(home)
    assert {name: one.requests for name, one in found.doors.items()} == {"quick": 100, "home": 100}
    assert {name: one.received for name, one in found.doors.items()} == sent
    assert found.opencode.requests == 200
    assert found.whole == together(found.doors.values())
    assert {one.concurrent for one in found.doors.values()} == {0}


def test_the_local_door_has_its_own_meter(home: House) -> None:
    client = home.local()
    host = f"localhost:{home.gateway.local_port}"
    request = f"GET /_nexus/x HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    client.send(request)
    client.answer()
    found = readings(home)
    assert found.doors["local"].requests == 1
    assert found.doors["local"].received == len(request)
    assert "quick" not in found.doors


def test_who_is_let_in_at_no_door_counts_in_the_whole_alone(home: House) -> None:
    assert home.ask(tunnel_request(secret="x" * 30)).status == 403
    found = readings(home)
    assert found.doors == {}
    assert (found.whole.requests, found.whole.refused, found.whole.failures) == (1, 1, 0)
    assert found.opencode.requests == 0


def answer_with(status: int) -> Callable[[Link], None]:
    def serve(link: Link) -> None:
        link.read_head()
        link.send(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)

    return serve


def hang_up(link: Link) -> None:
    link.read_head()


@pytest.mark.parametrize(
    ("script", "cookie", "refused", "failed", "unreachable", "behind"),
    [
        (answer_with(200), "ada", 0, 0, 0, (1, 0, 0, 0)),
        (answer_with(400), "ada", 1, 0, 0, (1, 1, 0, 0)),
        (answer_with(500), "ada", 0, 1, 0, (1, 0, 1, 0)),
        (answer_with(502), "ada", 0, 1, 0, (1, 0, 1, 0)),  # OpenCode's own 502 is an answer
        (hang_up, "ada", 0, 1, 1, (1, 0, 1, 1)),
        (None, "ada", 0, 1, 1, (1, 0, 1, 1)),  # it is off
        (answer_with(200), None, 1, 0, 0, (0, 0, 0, 0)),  # a stranger never gets there
    ],
)
def test_each_error_has_its_class_at_the_door_and_behind(
    tmp_path: Path,
    script: Callable[[Link], None] | None,
    cookie: str | None,
    refused: int,
    failed: int,
    unreachable: int,
    behind: tuple[int, int, int, int],
) -> None:
    with house(tmp_path, script=script or answer_with(200)) as home:
        if script is None:
            home.gateway.set_upstream(None)
        home.ask(tunnel_request(cookie=cookie))
        found = readings(home)
        at, there = found.doors["quick"], found.opencode
        assert (at.requests, at.refused, at.failures, at.unreachable) == (
            1, refused, failed, unreachable,
        )  # fmt: skip
        told = (there.requests, there.refused, there.failures, there.unreachable)
        assert told == behind
        assert sum(there.times) == behind[0] - behind[3]  # nobody's answer has no time


def test_what_is_under_way_is_counted_while_it_is(tmp_path: Path) -> None:
    go_on = threading.Event()

    def slow(link: Link) -> None:
        link.read_head()
        go_on.wait(10.0)
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with house(tmp_path, script=slow) as home:
        clients = [home.tunnel() for _ in range(3)]
        for client in clients:
            client.send(tunnel_request())
        eventually(lambda: readings(home).whole.concurrent == 3)
        assert readings(home).opencode.concurrent == 3
        clients[0].close()  # gone before the answer
        eventually(lambda: readings(home).doors["quick"].concurrent == 2)
        go_on.set()
        for client in clients[1:]:
            assert client.answer().status == 200
        eventually(lambda: readings(home).whole.concurrent == 0)
        assert readings(home).opencode.concurrent == 0
        assert read(home).requests == 2


def test_bytes_behind_are_those_that_went_to_opencode_and_came_from_it(home: House) -> None:
    assert home.ask(tunnel_request()).status == 200
    behind = readings(home).opencode
    assert behind.sent == len(home.raw.received)
    assert behind.received == len(OK)


def test_a_question_of_ours_through_a_tunnel_is_no_traffic(home: House) -> None:
    question = home.gateway.ask_proof("quick")
    client = home.tunnel()
    client.send(tunnel_request())
    assert client.answer().status == 200
    before = readings(home)
    client.send(tunnel_request("GET", question.path, cookie=None))
    assert client.answer().status == 200
    assert readings(home) == before
    assert home.ask(tunnel_request("GET", home.gateway.ask_proof("quick").path)).status == 200
    assert readings(home) == before


def test_a_door_that_is_opened_anew_goes_on_where_it_was(home: House) -> None:
    home.ask(tunnel_request())
    home.gateway.open_door("quick", OTHER, holds_events=True)
    home.ask(tunnel_request(secret=OTHER))
    assert readings(home).doors["quick"].requests == 2


@given(
    st.lists(st.floats(0.06, 50_000), min_size=1, max_size=200),
    st.sampled_from([0.5, 0.95, 0.99]),
)
def test_no_percentile_is_a_tenth_off(times: list[float], part: float) -> None:
    meter = Meter()
    for ms in times:
        meter.answered(200, ms / 1000)
    found = quantile_ms(meter.read().times, part)
    true = sorted(times)[math.ceil(part * len(times)) - 1]
    assert found is not None
    assert abs(found - true) <= 0.1 * true


def test_a_request_costs_the_meters_next_to_nothing() -> None:
    meters = Meters()
    metering = Metering(meters, time.perf_counter)
    began = time.process_time()
    for _ in range(20_000):
        metering.asked_at = 0.0
        metering.enter("quick")
        metering.pass_on(meters.opencode)
        metering.answered(200, behind=True)
        metering.leave()
    assert (time.process_time() - began) / 20_000 < 20e-6  # a few us here
