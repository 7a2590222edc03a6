"""From readings of the meters to what a person is told: rates, percentiles, totals.

Pure: time (monotonic seconds) is an argument. `Gauge` remembers the last minute of one meter,
`Gauges` has one for each service. Imports the model, the reports and the gateway's meter; its
owner calls from one thread.
"""

from collections import deque
from collections.abc import Collection, Mapping

from nexus_tray.cloudflare.metrics import Metrics as Cloudflared
from nexus_tray.gateway.meter import BOUNDS, PER_DOUBLING, Reading, Readings, between, quantile_ms
from nexus_tray.model import Facts, Metrics, ServiceKind, ServiceState, Snapshot
from nexus_tray.reports import CloudflaredCounters, Figures, Measured

MINUTE = 60.0
"""Seconds over which percentiles are taken."""
RATE = 5.0
"""Seconds over which rates are taken."""

ALIVE = (
    ServiceState.STARTING, ServiceState.RUNNING, ServiceState.DEGRADED, ServiceState.STOPPING,
)  # fmt: skip


class Gauge:
    """One meter over the last minute. Totals count from `base` on."""

    def __init__(self, base: Reading) -> None:
        self._base = base
        self._past: deque[tuple[float, Reading]] = deque()

    def look(self, reading: Reading, now: float) -> Metrics:
        """What the meter says now. Call it about once a second."""
        past = self._past
        if not past:
            past.append((now - 1.0, self._base))
        if past[-1][1] == reading:
            reading = past[-1][1]  # one object for all the time in which nothing happens
        past.append((now, reading))
        while len(past) > 1 and past[1][0] <= now - MINUTE:
            past.popleft()
        begin, before = next(((at, one) for at, one in reversed(past) if at <= now - RATE), past[0])
        seconds = max(now - begin, 1.0)
        times = between(past[0][1], reading)
        base = self._base
        return Metrics(
            requests=reading.requests - base.requests,
            refused=reading.refused - base.refused,
            failed=reading.failures - base.failures,
            unreachable=reading.unreachable - base.unreachable,
            concurrent=reading.concurrent,
            bytes_in=max(0, reading.received - base.received),
            bytes_out=reading.sent - base.sent,
            requests_per_second=round((reading.requests - before.requests) / seconds, 1),
            bytes_in_per_second=_per(reading.received - before.received, seconds),
            bytes_out_per_second=_per(reading.sent - before.sent, seconds),
            p50_ms=quantile_ms(times, 0.50),
            p95_ms=quantile_ms(times, 0.95),
            p99_ms=quantile_ms(times, 0.99),
        )


def _per(number: int, seconds: float) -> float:
    return float(max(0, round(number / seconds)))


class Gauges:
    """A gauge for each service: each tunnel, the gateway (all doors together), OpenCode."""

    def __init__(self) -> None:
        self._gauges: dict[str, Gauge] = {}
        self._gone: set[str] = set()

    def changed(self, snapshot: Snapshot, readings: Readings, now: float) -> dict[str, Facts]:
        """What is now told otherwise in the Snapshot, by service. Of one that does not run nothing
        is told: its figures would look alive."""
        self._forget({service.name for service in snapshot.services})
        changed = {}
        for service in snapshot.services:
            reading = _reading_of(service.kind, service.name, readings)
            metrics = self._gauge(service.name, reading).look(reading, now)
            if service.state in ALIVE and metrics != service.facts.metrics:
                changed[service.name] = Facts(metrics=metrics)
        return changed

    def _forget(self, names: Collection[str]) -> None:
        for name in [known for known in self._gauges if known not in names]:
            del self._gauges[name]
            self._gone.add(name)

    def _gauge(self, name: str, reading: Reading) -> Gauge:
        """A tunnel that has the name of one that was deleted begins at nothing."""
        gauge = self._gauges.get(name)
        if gauge is None:
            base = reading if name in self._gone else Reading()
            gauge = self._gauges[name] = Gauge(base)
        return gauge


def _reading_of(kind: ServiceKind, name: str, readings: Readings) -> Reading:
    if kind is ServiceKind.GATEWAY:
        return readings.whole
    if kind is ServiceKind.OPENCODE:
        return readings.opencode
    return readings.doors.get(name, NOTHING)


NOTHING = Reading()


def measured(at: float, readings: Readings | None, counters: Mapping[str, Cloudflared]) -> Measured:
    """Everything that was counted, as front ends read it. `readings` None: nothing yet."""
    doors = readings.doors if readings else {}
    return Measured(
        at=at,
        doors=tuple(figures(name, doors[name]) for name in sorted(doors)),
        opencode=figures("opencode", readings.opencode) if readings else None,
        cloudflared=tuple(_counted(name, counters[name]) for name in sorted(counters)),
    )


def figures(name: str, reading: Reading) -> Figures:
    """One meter. Its histogram by doublings: a quarter of the fields, and as exact."""
    steps = range(0, len(BOUNDS), PER_DOUBLING)
    return Figures(
        name=name,
        requests=reading.requests,
        refused=reading.refused,
        failed=reading.failures,
        unreachable=reading.unreachable,
        concurrent=reading.concurrent,
        bytes_in=max(0, reading.received),
        bytes_out=reading.sent,
        answered=sum(reading.times),
        seconds=round(reading.seconds, 6),
        within=tuple((BOUNDS[n] / 1000, sum(reading.times[: n + 1])) for n in steps),
    )


def counted(tunnel: str, metrics: Cloudflared | None) -> CloudflaredCounters | None:
    """What cloudflared itself counts; None of none."""
    return _counted(tunnel, metrics) if metrics is not None else None


def _counted(tunnel: str, metrics: Cloudflared) -> CloudflaredCounters:
    return CloudflaredCounters(
        tunnel=tunnel,
        requests=metrics.total_requests,
        errors=metrics.request_errors,
        concurrent=metrics.concurrent_requests,
        responses=tuple(sorted(metrics.responses.items())),
        registered=metrics.registered,
        refused=tuple(sorted(metrics.refused.items())),
        memory_bytes=metrics.memory_bytes,
    )
