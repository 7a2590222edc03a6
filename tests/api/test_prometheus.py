"""What Prometheus is told, read by Prometheus' own parser; and who may ask."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from nexus_tray.api.prometheus import MEDIA, exposition
from nexus_tray.api.routes import PREFIX
from nexus_tray.api.server import ApiServer
from nexus_tray.model import Facts
from nexus_tray.reports import Figures, Measured
from tests.api.doubles import MEASURED, House
from tests.api.doubles import house as build
from tests.api.wires import Reply, authority, served
from tests.api.wires import ask as send

COUNTERS = "c" * 43
DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "metrics.md"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def house() -> House[Any]:
    return build()


@pytest.fixture
def server(house: House[Any]) -> Iterator[ApiServer]:
    with served(house.backend, scrape_token=COUNTERS) as made:
        yield made


def ask(server: ApiServer, method: str, path: str, shown: str) -> Reply:
    headers = {"Host": authority(server), "Authorization": shown}
    return send(server, method, PREFIX + path, headers=headers)


def told(text: bytes) -> Samples:
    """Every sample, once; what Prometheus would refuse is refused."""
    found: Samples = {}
    for family in text_string_to_metric_families(text.decode()):
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def of(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, tuple(sorted(labels.items()))))


def test_counters_are_there_by_hop_tunnel_and_class(house: House[Any]) -> None:
    samples = told(exposition(house.backend.snapshot(), MEASURED))
    home = {"hop": "gateway", "tunnel": "home"}
    behind = {"hop": "opencode", "tunnel": ""}
    assert of(samples, "nexus_tray_requests_total", **home) == 12
    assert of(samples, "nexus_tray_requests_total", **behind) == 9
    errors = [
        of(samples, "nexus_tray_request_errors_total", **home, **{"class": name})
        for name in ("refused", "failed", "unreachable")
    ]
    assert errors == [2, 2, 1]  # each in one class: together they are all that went wrong
    assert of(samples, "nexus_tray_received_bytes_total", **home) == 4000
    assert of(samples, "nexus_tray_sent_bytes_total", **home) == 90_000
    assert of(samples, "nexus_tray_requests_in_flight", **home) == 1


def test_latency_is_a_histogram_in_seconds(house: House[Any]) -> None:
    samples = told(exposition(house.backend.snapshot(), MEASURED))
    name, home = "nexus_tray_first_byte_seconds", {"hop": "gateway", "tunnel": "home"}
    steps = [of(samples, f"{name}_bucket", **home, le=le) for le in ("0.01", "0.1", "1.0", "+Inf")]
    assert steps == [4, 11, 12, 12]
    assert of(samples, f"{name}_count", **home) == 12
    assert of(samples, f"{name}_sum", **home) == 0.5


def test_what_cloudflared_counts_keeps_its_own_names_apart(house: House[Any]) -> None:
    samples = told(exposition(house.backend.snapshot(), MEASURED))
    assert of(samples, "nexus_tray_cloudflared_requests_total", tunnel="home") == 14
    assert of(samples, "nexus_tray_cloudflared_responses_total", tunnel="home", code="502") == 3
    word = "nexus_tray_cloudflared_refused_registrations_total"
    assert of(samples, word, tunnel="home", error="dup_edge_conn") == 1
    assert of(samples, "nexus_tray_cloudflared_memory_bytes", tunnel="home") == 38_000_000


def test_services_tell_state_restarts_and_what_is_known(house: House[Any]) -> None:
    first = house.backend.snapshot().services[0]
    known = msgspec.structs.replace(first, restarts=3, facts=Facts(memory_bytes=5))
    bare = msgspec.structs.replace(first, name="bare", facts=Facts())
    house.say(services=(known, bare))
    samples = told(exposition(house.backend.snapshot(), MEASURED))
    labels = {"service": first.name, "kind": first.kind.value}
    assert of(samples, "nexus_tray_service_restarts_total", **labels) == 3
    state = of(samples, "nexus_tray_service_state", **labels, state=first.state.value)
    assert state == 1
    memory = [key for key in samples if key[0] == "nexus_tray_service_memory_bytes"]
    assert memory == [("nexus_tray_service_memory_bytes", tuple(sorted(labels.items())))]


def test_nothing_measured_is_no_sample_and_not_nought(house: House[Any]) -> None:
    samples = told(exposition(house.backend.snapshot(), Measured(at=1.0)))
    assert not [key for key in samples if key[0].startswith("nexus_tray_requests")]
    assert not [key for key in samples if key[0].startswith("nexus_tray_cloudflared")]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "ü☂", "{}", 'x"} 1\nevil{y="'])
def test_no_name_breaks_out_of_its_label(house: House[Any], name: str) -> None:
    measured = Measured(at=1.0, doors=(Figures(name=name, requests=7),))
    samples = told(exposition(house.backend.snapshot(), measured))
    assert of(samples, "nexus_tray_requests_total", hop="gateway", tunnel=name) == 7
    assert all(key[0].startswith("nexus_tray_") for key in samples)


def test_the_route_answers_in_the_formats_own_type(server: ApiServer) -> None:
    answer = send(server, "GET", f"{PREFIX}/metrics")  # with the whole token
    assert answer.status == 200
    assert answer.headers["content-type"] == MEDIA
    assert of(told(answer.body), "nexus_tray_requests_total", hop="gateway", tunnel="home") == 12


def test_the_token_for_the_counters_opens_them_and_nothing_else(server: ApiServer) -> None:
    shown = f"Bearer {COUNTERS}"
    assert ask(server, "GET", "/metrics", shown).status == 200
    for method, path in (
        ("GET", "/snapshot"), ("GET", "/measurements"), ("GET", "/config"), ("POST", "/metrics"),
        ("POST", "/shutdown"), ("GET", "/metrics/"), ("GET", "/events"),
    ):  # fmt: skip
        assert ask(server, method, path, shown).status in (401, 405), path


@pytest.mark.parametrize("shown", ["", "Bearer ", "Bearer d", f"Basic {COUNTERS}", COUNTERS])
def test_without_a_token_there_are_no_counters(server: ApiServer, shown: str) -> None:
    assert ask(server, "GET", "/metrics", shown).status == 401


def test_where_there_is_no_token_for_the_counters_an_empty_one_opens_nothing(
    house: House[Any],
) -> None:
    with served(house.backend) as server:
        assert ask(server, "GET", "/metrics", "Bearer ").status == 401


def test_the_documentation_names_every_metric_and_no_other(house: House[Any]) -> None:
    text = exposition(house.backend.snapshot(), MEASURED).decode()
    made = {
        (line.split()[2], line.split()[3])
        for line in text.splitlines()
        if line.startswith("# TYPE")
    }
    rows = re.findall(r"^\| `(nexus_tray_\w+)` \| (\w+) \|", DOCUMENT.read_text("utf-8"), re.M)
    assert sorted(rows) == sorted(made)
