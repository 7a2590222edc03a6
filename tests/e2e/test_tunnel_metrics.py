"""Two tunnels at once over the whole program: each request is counted once, at its own tunnel."""

import json
import threading
import urllib.request
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from nexus_tray.model import Metrics, Snapshot
from nexus_tray.reports import Measured, Traffic
from tests.cloudflare.lab import Lab
from tests.e2e.conftest import PASSWORD
from tests.e2e.program import Program, wait_until

pytestmark = pytest.mark.timeout(180)

EACH = 100
NAMES = ("first", "second")


def get(program: Program, path: str, token: str = "") -> bytes:
    told = json.loads(program.paths.api_file.read_text())
    request = urllib.request.Request(
        f"{told['url']}/api/v1{path}", headers={"Authorization": f"Bearer {token or told['token']}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        body: bytes = answer.read()
        return body


def measured(program: Program) -> dict[str, int]:
    found = msgspec.json.decode(get(program, "/measurements"), type=Measured)
    return {one.name: one.requests for one in found.doors}


def metrics(snapshot: Snapshot, name: str) -> Metrics:
    service = snapshot.service(name)
    assert service is not None
    return service.facts.metrics or Metrics()


def scraped(program: Program) -> dict[tuple[str, str], float]:
    """As Prometheus does: where the target's file says, with the token's file."""
    [found] = json.loads(program.paths.metrics_target.read_text())
    request = urllib.request.Request(
        f"http://{found['targets'][0]}/api/v1/metrics",
        headers={"Authorization": f"Bearer {program.paths.metrics_token.read_text()}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {
        (sample.name, sample.labels.get("tunnel", "")): sample.value
        for family in families
        for sample in family.samples
        if sample.labels.get("hop", "gateway") == "gateway"
    }


def passed(program: Program, name: str) -> int:
    told = get(program, f"/traffic?seconds=900&points=900&tunnel={name}")
    return sum(point.requests for point in msgspec.json.decode(told, type=Traffic).points)


def test_two_tunnels_at_once_are_counted_exactly(program: Program, lab: Lab) -> None:
    configured = json.loads(program.paths.config_file.read_text())
    program.configure(
        {
            **configured,
            "tunnels": [{"name": name} for name in NAMES],
            "access": {"address_requests_per_second": 0},  # one stranger asks 200 times at once
        }
    )
    program.start()
    assert program.cli("password", "set", given=f"{PASSWORD}\n").returncode == 0
    snapshot = program.wait_for(
        lambda now: all((s := now.service(name)) and s.facts.proved_at for name in NAMES),
        90,
        "both proved",
    )
    assert measured(program) == {}  # our own visits, of each by its address, are no traffic
    hosts = {}
    for name in NAMES:
        service = snapshot.service(name)
        assert service is not None
        assert service.facts.address is not None
        hosts[name] = service.facts.address.removeprefix("https://")
    failures: list[Any] = []

    def visit(name: str) -> None:
        for _ in range(EACH // 2):
            status, _, _ = lab.visit(hosts[name])
            if status != 401:
                failures.append((name, status))

    threads = [threading.Thread(target=visit, args=(name,)) for name in NAMES * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert failures == []
    expected = dict.fromkeys(NAMES, EACH)
    wait_until(lambda: measured(program) == expected, 10, "every request measured")
    snapshot = program.wait_for(
        lambda now: metrics(now, "gateway").requests == 2 * EACH, 10, "and told as an event"
    )
    for name in NAMES:
        found = metrics(snapshot, name)
        assert (found.requests, found.refused, found.failed) == (EACH, EACH, 0)
        assert found.bytes_in > 100 * EACH
        assert found.p50_ms is not None
        assert found.p99_ms is not None
        assert found.p50_ms <= found.p99_ms
        assert passed(program, name) == EACH
    samples = scraped(program)
    for name in NAMES:
        assert samples["nexus_tray_requests_total", name] == EACH
        assert samples["nexus_tray_tunnel_edge_connections", name] >= 1
        own = wait_until(
            lambda name=name: (
                scraped(program)[  # type: ignore[misc]
                    "nexus_tray_cloudflared_requests_total", name
                ]
                >= EACH
            ),
            20,
            "cloudflared's own count",
        )
        assert own
    stopped = program.cli("tunnel", "stop", "first")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    snapshot = program.wait_for(
        lambda now: (s := now.service("first")) and s.state == "stopped", 30, "stopped"
    )
    first = snapshot.service("first")
    assert first is not None
    assert first.facts.metrics is None  # nothing looks alive that is not
    assert metrics(snapshot, "second").requests == EACH
