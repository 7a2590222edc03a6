"""What the gateway says has passed, against what did pass over its real sockets."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.core.driver import Observed, Probed
from nexus_tray.gateway.http import Channel
from nexus_tray.gateway.meter import BOUNDS, Meter, Reading, Readings, passed, quantile_ms
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
    assert read(home) == Reading()
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
