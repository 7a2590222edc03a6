"""What passes through the real program to the real OpenCode is counted, and outlives it."""

import contextlib
import http.client
import json
import urllib.request
from collections.abc import Iterator

import msgspec
import pytest

from nexus_tray.reports import Traffic
from tests.e2e.program import Program, Visitor, wait_until

pytestmark = pytest.mark.timeout(120)

ASKED = 25


def traffic(program: Program, seconds: int, points: int) -> Traffic:
    api = json.loads(program.paths.api_file.read_text())
    request = urllib.request.Request(
        f"{api['url']}/api/v1/traffic?seconds={seconds}&points={points}",
        headers={"Authorization": f"Bearer {api['token']}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return msgspec.json.decode(answer.read(), type=Traffic)


def requests(program: Program, seconds: int = 900, points: int = 900) -> int:
    return sum(point.requests for point in traffic(program, seconds, points).points)


@contextlib.contextmanager
def events(visitor: Visitor) -> Iterator[None]:
    """OpenCode's event stream, open."""
    connection = http.client.HTTPConnection(visitor._authority, timeout=30)
    connection.request("GET", "/global/event", headers={"Cookie": visitor._cookie})
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.readline().startswith(b"data:")
    try:
        yield
    finally:
        answer.close()
        connection.close()


def test_what_passes_is_measured_and_kept(program: Program) -> None:
    program.start()
    program.wait_running("opencode", "gateway")  # without a password no tunnel brings anybody
    before = requests(program)  # our own questions, one a second, are not among them
    assert before == 0
    visitor = Visitor(program)
    for _ in range(ASKED):
        visitor.ask("GET", "/session")
    with events(visitor):
        wait_until(lambda: requests(program) == ASKED + 2, 10, "every request told")
        newest = wait_until(
            lambda: [p for p in traffic(program, 60, 60).points if p.streams], 10, "a stream"
        )
        assert newest[-1].streams == 1
    told = traffic(program, 900, 900)
    assert told.step == 1.0
    assert sum(p.bytes_out for p in told.points) > ASKED * 100
    assert all(p.latency_ms is not None for p in told.points if p.requests)
    assert sum(p.failures for p in told.points) == 0
    program.stop()
    program.start()
    program.wait_running("gateway")
    assert requests(program) == ASKED + 2  # in minutes now
    assert traffic(program, 900, 900).step == 60.0
