"""What was counted and what is known, in Prometheus' text format (0.0.4).

Owns the names of the metrics; docs/metrics.md tells them, and they stay. Pure. Imports layer 1;
the library that writes the format is imported only when somebody asks (1.1 MB, measured).
Base units: seconds and bytes. What is not known is left out, never zero.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from nexus_tray.model import Service, ServiceKind, ServiceState, Snapshot
from nexus_tray.reports import CloudflaredCounters, Figures, Measured

if TYPE_CHECKING:
    from prometheus_client.core import Metric

MEDIA = "text/plain; version=0.0.4; charset=utf-8"

CLASSES: tuple[tuple[str, Callable[[Figures], int]], ...] = (
    ("refused", lambda one: one.refused),
    ("failed", lambda one: one.failed - one.unreachable),
    ("unreachable", lambda one: one.unreachable),
)
"""Classes of errors, each request in one of them: here `failed` are those that somebody gave."""


def exposition(snapshot: Snapshot, measured: Measured) -> bytes:
    """The whole answer to a scrape."""
    from prometheus_client.exposition import generate_latest

    return generate_latest(_Everything(snapshot, measured))


class _Everything:
    """What the library calls a collector."""

    def __init__(self, snapshot: Snapshot, measured: Measured) -> None:
        self._snapshot = snapshot
        self._measured = measured

    def collect(self) -> Iterator["Metric"]:
        """Every metric."""
        yield from _program(self._snapshot)
        yield from _services(self._snapshot)
        yield from _doors(self._measured)
        yield from _cloudflared(self._measured.cloudflared)


Rows = Iterable[tuple[tuple[str, ...], float | None]]


def _gauge(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily

    made = GaugeMetricFamily(name, text, labels=labels)
    for values, value in rows:
        if value is not None:
            made.add_metric(values, value)
    return made


def _counter(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    made = CounterMetricFamily(name, text, labels=labels)
    for values, value in rows:
        if value is not None:
            made.add_metric(values, value)
    return made


def _program(snapshot: Snapshot) -> Iterator["Metric"]:
    text = "The program's version; always 1."
    yield _gauge("nexus_tray_info", text, ("version",), [((snapshot.version,), 1.0)])
    yield _gauge(
        "nexus_tray_hop_state",
        "State of each hop of a request's way; 1 for the present one.",
        ("hop", "state"),
        [((one.hop.value, one.state.value), 1.0) for one in snapshot.path],
    )
    yield _gauge(
        "nexus_tray_remote_access_paused",
        "1 while remote access is paused.",
        (),
        [((), float(snapshot.paused))],
    )


def _services(snapshot: Snapshot) -> Iterator["Metric"]:
    services, labels = snapshot.services, ("service", "kind")

    def rows(tell: Callable[[Service], float | None]) -> Rows:
        return [((one.name, one.kind.value), tell(one)) for one in services]

    def tunnels(tell: Callable[[Service], float | None]) -> Rows:
        return [((one.name,), tell(one)) for one in services if one.kind is ServiceKind.TUNNEL]

    yield _gauge(
        "nexus_tray_service_up",
        "1 while the service is ready, proved by a probe.",
        labels,
        rows(lambda one: float(one.state is ServiceState.RUNNING)),
    )
    yield _gauge(
        "nexus_tray_service_state",
        "State of each service; 1 for the present one.",
        (*labels, "state"),
        [((one.name, one.kind.value, one.state.value), 1.0) for one in services],
    )
    yield _gauge(
        "nexus_tray_service_state_since_seconds",
        "When the present state began, in seconds since the epoch.",
        labels,
        rows(lambda one: one.since_at),
    )
    yield _counter(
        "nexus_tray_service_restarts",
        "Restarts that nobody asked for.",
        labels,
        rows(lambda one: float(one.restarts)),
    )
    yield _gauge(
        "nexus_tray_service_memory_bytes",
        "Resident memory of the service's process.",
        labels,
        rows(lambda one: one.facts.memory_bytes),
    )
    yield _gauge(
        "nexus_tray_tunnel_edge_connections",
        "Connections to Cloudflare's edge.",
        ("tunnel",),
        tunnels(lambda one: one.facts.connections),
    )
    yield _gauge(
        "nexus_tray_tunnel_edge_location",
        "Cloudflare's places to which the tunnel is connected; always 1.",
        ("tunnel", "location"),
        [
            ((one.name, place), 1.0)
            for one in services
            if one.kind is ServiceKind.TUNNEL
            for place in one.facts.locations or ()
        ],
    )
    yield _gauge(
        "nexus_tray_tunnel_proved_seconds",
        "When a request of our own last came back through the public address, since the epoch.",
        ("tunnel",),
        tunnels(lambda one: one.facts.proved_at),
    )
    yield _gauge(
        "nexus_tray_tunnel_round_trip_seconds",
        "How long that request took.",
        ("tunnel",),
        tunnels(lambda one: _seconds(one.facts.round_trip_ms)),
    )


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def _doors(measured: Measured) -> Iterator["Metric"]:
    from prometheus_client.core import HistogramMetricFamily

    labels = ("hop", "tunnel")
    found = [(("gateway", one.name), one) for one in measured.doors]
    if measured.opencode is not None:
        found.append((("opencode", ""), measured.opencode))

    def rows(tell: Callable[[Figures], float]) -> Rows:
        return [(place, tell(one)) for place, one in found]

    yield _counter(
        "nexus_tray_requests", "Requests answered.", labels, rows(lambda one: one.requests)
    )
    yield _counter(
        "nexus_tray_request_errors",
        "Requests that ended badly: refused (4xx), failed (5xx), unreachable (nobody answered).",
        (*labels, "class"),
        [((*place, name), tell(one)) for place, one in found for name, tell in CLASSES],
    )
    yield _gauge(
        "nexus_tray_requests_in_flight",
        "Requests under way, streams too.",
        labels,
        rows(lambda one: one.concurrent),
    )
    yield _counter(
        "nexus_tray_received_bytes",
        "Bytes that came: from visitors, or (hop opencode) from OpenCode.",
        labels,
        rows(lambda one: one.bytes_in),
    )
    yield _counter(
        "nexus_tray_sent_bytes",
        "Bytes that went: to visitors, or (hop opencode) to OpenCode.",
        labels,
        rows(lambda one: one.bytes_out),
    )
    times = HistogramMetricFamily(
        "nexus_tray_first_byte_seconds",
        "From a request's head to the first byte of its answer.",
        labels=labels,
    )
    for place, one in found:
        steps = [(str(most), float(count)) for most, count in one.within]
        times.add_metric(place, [*steps, ("+Inf", float(one.answered))], one.seconds)
    yield times


def _cloudflared(counters: tuple[CloudflaredCounters, ...]) -> Iterator["Metric"]:
    labels = ("tunnel",)
    yield _counter(
        "nexus_tray_cloudflared_requests",
        "Requests that cloudflared counted, since its process started.",
        labels,
        [((one.tunnel,), one.requests) for one in counters],
    )
    yield _counter(
        "nexus_tray_cloudflared_request_errors",
        "Requests that cloudflared could not pass on, or whose visitor left.",
        labels,
        [((one.tunnel,), one.errors) for one in counters],
    )
    yield _gauge(
        "nexus_tray_cloudflared_requests_in_flight",
        "Requests under way in cloudflared.",
        labels,
        [((one.tunnel,), one.concurrent) for one in counters],
    )
    yield _counter(
        "nexus_tray_cloudflared_responses",
        "Answers that cloudflared passed on, by status.",
        (*labels, "code"),
        [((one.tunnel, str(code)), count) for one in counters for code, count in one.responses],
    )
    yield _counter(
        "nexus_tray_cloudflared_registrations",
        "Connections that the edge took, since the process started.",
        labels,
        [((one.tunnel,), one.registered) for one in counters],
    )
    yield _counter(
        "nexus_tray_cloudflared_refused_registrations",
        "Connections that the edge turned down, by its word for why.",
        (*labels, "error"),
        [((one.tunnel, word), count) for one in counters for word, count in one.refused],
    )
    yield _gauge(
        "nexus_tray_cloudflared_memory_bytes",
        "Resident memory of cloudflared, as it says itself.",
        labels,
        [((one.tunnel,), one.memory_bytes) for one in counters],
    )
