"""Traffic in steps: how points of time become one, and which steps a question gets.

Pure; imports the reports. Any thread.
"""

from collections.abc import Iterable

import msgspec

from nexus_tray.reports import TrafficPoint

MINUTE = 60
STEPS = (
    1, 2, 3, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200,
    86_400,
)  # fmt: skip
"""Lengths of a step in seconds: those that people count in, for the axis below them."""


def window(now: float, seconds: int, points: int, finest: int) -> tuple[int, int, int]:
    """Step, beginning and end for the last `seconds` in at most `points` steps.

    The steps are multiples of `finest` and stand on the clock's own: an hour's begin on the
    hour. The last one holds `now`.
    """
    step = next(one for one in STEPS if one % finest == 0 and one * points >= seconds)
    end = (int(now) // step + 1) * step
    return step, end - -(-seconds // step) * step, end


def gather(points: Iterable[TrafficPoint], step: int) -> list[TrafficPoint]:
    """The points by step, in order; a step without one is not there."""
    steps: dict[int, list[TrafficPoint]] = {}
    for point in points:
        steps.setdefault(int(point.at) // step * step, []).append(point)
    return [merge(at, steps[at]) for at in sorted(steps)]


def merge(at: float, points: list[TrafficPoint]) -> TrafficPoint:
    """Several points as one: sums, the most streams, the median of medians by requests."""
    if len(points) == 1:
        return msgspec.structs.replace(points[0], at=float(at))
    return TrafficPoint(
        at=float(at),
        requests=sum(point.requests for point in points),
        failures=sum(point.failures for point in points),
        bytes_in=sum(point.bytes_in for point in points),
        bytes_out=sum(point.bytes_out for point in points),
        streams=max(point.streams for point in points),
        latency_ms=_median(points),
    )


def _median(points: list[TrafficPoint]) -> float | None:
    times = sorted((p.latency_ms, p.requests) for p in points if p.latency_ms is not None)
    half, so_far = sum(requests for _, requests in times) / 2, 0
    for latency_ms, requests in times:
        so_far += requests
        if so_far >= half:
            return latency_ms
    return None
