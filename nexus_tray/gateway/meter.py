"""What passed through the gateway, counted where it passes.

Owns the figures behind the traffic history. `Meter` is written on the gateway's loop alone,
as plain numbers without locks, for every request goes through here; any thread may `read`
it. The rest is pure. Imports the reports only.
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from nexus_tray.reports import TrafficPoint

FINEST_MS = 0.05
PER_DOUBLING = 4
BOUNDS = tuple(FINEST_MS * 2 ** (n / PER_DOUBLING) for n in range(20 * PER_DOUBLING + 1))
"""Upper ends of the histogram's fields in ms, up to 52 s; a field is a fifth wide, so that
its middle, in the geometric sense, is never a tenth off."""


@dataclass(frozen=True)
class Reading:
    """The meter at one moment: sums since it was made, `peak` since the reading before.

    `times` counts the answers by the field of BOUNDS into which their first byte fell.
    """

    requests: int = 0
    failures: int = 0
    received: int = 0
    sent: int = 0
    peak: int = 0
    times: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)


class Meter:
    """The live figures. `received` and `sent` are bytes on the visitors' side, heads too."""

    def __init__(self) -> None:
        self.requests = 0
        self.failures = 0
        self.received = 0
        self.sent = 0
        self.streams = 0
        self.peak = 0
        self._times = [0] * (len(BOUNDS) + 1)

    def answered(self, status: int, seconds: float) -> None:
        """A request's answer begins, so long after the last byte of its head had come."""
        self.requests += 1
        if status >= 500:
            self.failures += 1
        self._times[bisect_right(BOUNDS, seconds * 1000)] += 1

    def opened(self) -> None:
        """A stream begins: an answer without an end that anybody knows."""
        self.streams += 1
        self.peak = max(self.peak, self.streams)

    def closed(self) -> None:
        """A stream is over."""
        self.streams -= 1

    def read(self) -> Reading:
        """The figures now. Any thread; a request under way may be in one of them and not yet
        in the next, and is then in both at the next reading."""
        return Reading(
            self.requests, self.failures, self.received, self.sent, self.peak, tuple(self._times)
        )

    def begin_anew(self) -> None:
        """The peak has been read; count on from what is open. On the loop only."""
        self.peak = self.streams


def passed(before: Reading, after: Reading, at: float) -> TrafficPoint:
    """What passed between two readings of one meter, as the step that began at `at`."""
    return TrafficPoint(
        at=at,
        requests=after.requests - before.requests,
        failures=after.failures - before.failures,
        bytes_in=after.received - before.received,
        bytes_out=after.sent - before.sent,
        streams=after.peak,
        latency_ms=median_ms([b - a for a, b in zip(before.times, after.times, strict=True)]),
    )


def median_ms(times: list[int]) -> float | None:
    """The median of a histogram over BOUNDS: the middle of the field it lies in."""
    total = sum(times)
    if not total:
        return None
    field = next(n for n, so_far in enumerate(accumulate(times)) if 2 * so_far >= total)
    nearest = min(max(field, 1), len(BOUNDS) - 1)
    return round(BOUNDS[nearest] / 2 ** (0.5 / PER_DOUBLING), 3)
