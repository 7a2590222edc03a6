"""The status port's pages, as the real cloudflared answered them, and broken ones."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.cloudflare.metrics import (
    Metrics,
    leads_only_to,
    parse_config,
    parse_metrics,
    parse_quicktunnel,
    parse_ready,
)
from tests.cloudflare.recordings import FOLDER


def page(name: str, file: str) -> str:
    return (FOLDER / name / file).read_text(encoding="utf-8")


def test_every_figure_of_a_recorded_page() -> None:
    assert parse_metrics(page("metrics-server", "metrics.txt")) == Metrics(
        total_requests=6,
        request_errors=0,
        concurrent_requests=0,
        responses={200: 3, 302: 1, 404: 1, 500: 1},
        registered=1,
        refused={},
        locations=("lab07",),
        memory_bytes=37597184,
        version="2026.8.2",
    )


def test_refused_registrations_over_quic_show_only_here() -> None:
    metrics = parse_metrics(page("quic-unknown-tunnel", "metrics.txt"))
    assert metrics.refused == {"server_error": 3}
    assert metrics.refusals == 3
    assert metrics.registered == 0


def test_a_duplicate_connection_is_no_refusal() -> None:
    metrics = parse_metrics(page("register-duplicate", "metrics.txt"))
    assert metrics.refused == {"dup_edge_conn": 1}
    assert metrics.refusals == 0


def test_cloudflareds_own_502_is_an_error_and_no_response() -> None:
    metrics = parse_metrics(page("origin-down", "metrics.txt"))
    assert metrics.request_errors
    assert 502 not in metrics.responses


def test_what_is_not_told_is_unknown() -> None:
    assert parse_metrics("") == Metrics()


@pytest.mark.parametrize(
    "line",
    [
        "process_resident_memory_bytes NaN",
        "process_resident_memory_bytes +Inf",
        "process_resident_memory_bytes many",
        "process_resident_memory_bytes",
        "process_resident_memory_bytes{ 5",
        "# process_resident_memory_bytes 5",
    ],
)
def test_broken_lines_are_passed_over(line: str) -> None:
    text = f"{line}\ncloudflared_tunnel_total_requests 7\n"
    assert parse_metrics(text) == Metrics(total_requests=7)


def test_labels_are_unescaped() -> None:
    text = 'cloudflared_tunnel_server_locations{edge_location="a\\"b\\\\c\\nd",connection_id="0"} 1'
    assert parse_metrics(text).locations == ('a"b\\c\nd',)


@given(st.text())
def test_no_page_raises(text: str) -> None:
    parse_metrics(text)
    for line in ("cloudflared_tunnel_response_by_code", "build_info"):
        parse_metrics(line + text)


@pytest.mark.parametrize(
    ("status", "body", "connections"),
    [
        (200, page("metrics-server", "ready.json"), 1),
        (503, page("quick-default-protocol-no-udp", "ready.json"), 0),
        (503, page("stop-sigterm-idle", "ready-while-stopping.json"), 0),
        (503, '{"status":200,"readyConnections":4}', 0),
        (200, '{"status":200,"readyConnections":0}', 0),
        (404, "404 page not found", None),
        (200, "<html>", None),
        (302, '{"readyConnections":4}', None),
        (200, '{"readyConnections":"4"}', None),
    ],
)
def test_readiness(status: int, body: str, connections: int | None) -> None:
    assert parse_ready(status, body.encode()) == connections


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (
            page("metrics-server", "quicktunnel.json"),
            "pepper-jungle-willow-lagoon.trycloudflare.com",
        ),
        ('{"hostname":"https://a-b.trycloudflare.com"}', "a-b.trycloudflare.com"),
        ('{"hostname":""}', None),
        ("{}", None),
        ('{"hostname":"api.trycloudflare.com"}', None),
        ('{"hostname":"API.trycloudflare.com"}', None),
        ('{"hostname":"https://api.trycloudflare.com/tunnel"}', None),
        ('{"hostname":"a.b/../c"}', None),
        ('{"hostname":"a.b\\nc"}', None),
        ('{"hostname":"a.b:443"}', None),
        ('{"hostname":"user@a.b"}', None),
        ("404 page not found", None),
    ],
)
def test_address(body: str, name: str | None) -> None:
    assert parse_quicktunnel(body.encode()) == name


def test_the_ingress_in_force() -> None:
    recorded = page("metrics-server", "config.json").encode()
    assert leads_only_to("http://127.0.0.1:45603", recorded)
    assert not leads_only_to("unix:/gateway.sock", recorded)


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [{"service": "x"}, {"service": "x"}],
        [{"service": "y"}],
        [{"service": "x", "hostname": "a.b"}],
        [{"service": "x", "path": "/only-here"}],
        [{}],
    ],
)
def test_an_ingress_that_is_not_ours(rules: list[dict[str, str]]) -> None:
    body = json.dumps({"version": -1, "config": {"ingress": rules}}).encode()
    assert not leads_only_to("x", body)
    assert not leads_only_to("x", b"404 page not found")


def test_the_users_own_configuration_would_be_noticed() -> None:
    recorded = page("quick-with-user-config", "config.json").encode()
    assert not leads_only_to("http://127.0.0.1:45603", recorded)


def config(*rules: Mapping[str, object], version: int = 3) -> bytes:
    return json.dumps({"version": version, "config": {"ingress": rules}}).encode()


def test_the_rules_that_cloudflare_sent() -> None:
    recorded = parse_config(page("named-run-token", "config.json").encode())
    assert recorded is not None
    assert recorded.remote
    assert recorded.hostnames() == ("www.lab.example",)
    assert recorded.stranger({"http://127.0.0.1:45603"}) is None
    assert recorded.stranger({"unix:/gateway.sock"}) == recorded.rules[0]
    local = parse_config(page("named-run-config", "config.json").encode())
    assert local is not None
    assert not local.remote


@pytest.mark.parametrize(
    ("service", "bastion", "strange"),
    [
        ("unix:/g", False, False),
        ("http_status:404", False, False),
        ("unix:/g", True, True),
        ("unix+tls:/g", False, True),
        ("http://127.0.0.1:4096", False, True),
        ("bastion", False, True),
        ("hello_world", False, True),
        ("socks-proxy", False, True),
        ("ssh://localhost:22", False, True),
    ],
)
def test_what_is_a_stranger_among_rules(service: str, bastion: bool, strange: bool) -> None:
    rule = {"hostname": "a.b", "service": service, "originRequest": {"bastionMode": bastion}}
    ingress = parse_config(config({"service": "unix:/g", "hostname": "x.y"}, rule))
    assert ingress is not None
    assert (ingress.stranger({"unix:/g"}) is not None) == strange


def test_a_bastion_for_all_rules_counts_as_one_for_each() -> None:
    """As the API tells it: what holds for all rules stands beside them."""
    told = json.loads(config({"hostname": "a.b", "service": "unix:/g"}))
    told["config"]["originRequest"] = {"bastionMode": True}
    ingress = parse_config(json.dumps(told).encode())
    assert ingress is not None
    assert ingress.stranger({"unix:/g"}) is not None


def test_which_names_are_led_here() -> None:
    ingress = parse_config(
        config(
            {"hostname": "No.example.com", "service": "http_status:404"},
            {"hostname": "*.example.com", "service": "unix:/g"},
            {"service": "http_status:404"},
        )
    )
    assert ingress is not None
    names = ("no.example.com", "a.example.com", "b.a.example.com", "example.com", "x.org")
    assert [ingress.takes(name) for name in names] == [False, True, True, False, False]
    assert ingress.hostnames() == ("*.example.com",)


@pytest.mark.parametrize("body", [b"", b"{}", b"404 page not found", config({"path": "/"})])
def test_rules_that_cannot_be_read(body: bytes) -> None:
    assert parse_config(body) is None
