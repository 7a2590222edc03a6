"""What passed through the gateway, counted where it passes: by each door, and behind it.

Owns the figures behind the metrics and the traffic history. `Meter` and `Meters` are written on
the gateway's loop alone, as plain numbers without locks, for every request goes through here;
any thread may `read` them. The rest is pure. Imports the reports only.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from nexus_tray.reports import TrafficPoint

FINEST_MS = 0.05
PER_DOUBLING = 4
BOUNDS = tuple(FINEST_MS * 2 ** (n / PER_DOUBLING) for n in range(20 * PER_DOUBLING + 1))
"""Upper ends of the histogram's fields in ms, up to 52 s; a field is a fifth wide, so that
its middle, in the geometric sense, is never a tenth off."""


@dataclass(frozen=True)
class Reading:
    """A meter at one moment: sums since it was made, `peak` since the reading before.

    `refused` are answers of 400 to 499, `failures` of 500 and above; `unreachable` those of them
    that were given by us because nobody answered behind. `times` counts the answers by the field
    of BOUNDS into which their first byte fell, `seconds` is the sum of those times. `concurrent`:
    requests that are under way now, streams too.
    """

    requests: int = 0
    refused: int = 0
    failures: int = 0
    unreachable: int = 0
    received: int = 0
    sent: int = 0
    concurrent: int = 0
    peak: int = 0
    seconds: float = 0.0
    times: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)


class Meter:
    """The live figures. `received` and `sent` are bytes on the visitors' side, heads too; behind
    the gateway those that came from there, and that went there."""

    def __init__(self) -> None:
        self.requests = 0
        self.refused = 0
        self.failures = 0
        self.unreachable = 0
        self.received = 0
        self.sent = 0
        self.concurrent = 0
        self.streams = 0
        self.peak = 0
        self._seconds = 0.0
        self._times = [0] * (len(BOUNDS) + 1)

    def answered(self, status: int, seconds: float) -> None:
        """A request's answer begins, so long after the last byte of its head had come."""
        self.requests += 1
        if status >= 500:
            self.failures += 1
        elif status >= 400:
            self.refused += 1
        self._seconds += seconds
        self._times[bisect_right(BOUNDS, seconds * 1000)] += 1

    def silent(self) -> None:
        """A request that nobody answered: there is no time to its first byte."""
        self.requests += 1
        self.failures += 1
        self.unreachable += 1

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
            requests=self.requests,
            refused=self.refused,
            failures=self.failures,
            unreachable=self.unreachable,
            received=self.received,
            sent=self.sent,
            concurrent=self.concurrent,
            peak=self.peak,
            seconds=self._seconds,
            times=tuple(self._times),
        )

    def begin_anew(self) -> None:
        """The peak has been read; count on from what is open. On the loop only."""
        self.peak = self.streams


@dataclass(frozen=True)
class Readings:
    """All meters at one moment: of each door by its name, of OpenCode behind them, and `whole`,
    what came by all doors together and what no door took in."""

    whole: Reading = Reading()
    doors: Mapping[str, Reading] = field(default_factory=dict)
    opencode: Reading = Reading()


class Meters:
    """A meter for each door, one for who was let in at none, and one for what lies behind."""

    def __init__(self) -> None:
        self.nowhere = Meter()
        self.ours = Meter()  # nobody reads it: what this program asks itself is no traffic
        self.opencode = Meter()
        self._doors: dict[str, Meter] = {}

    def door(self, name: str) -> Meter:
        """The meter of the door of that name. On the loop only."""
        meter = self._doors.get(name)
        if meter is None:
            meter = self._doors[name] = Meter()
        return meter

    def read(self) -> Readings:
        """All of them now. Any thread.

        The doors first: what moves from `nowhere` to a door meanwhile is told the next time, and
        not twice now.
        """
        doors = {name: meter.read() for name, meter in self._doors.copy().items()}
        rest = self.nowhere.read()
        return Readings(together((*doors.values(), rest)), doors, self.opencode.read())

    def begin_anew(self) -> None:
        """As `Meter.begin_anew`, for all of them."""
        for meter in (self.nowhere, self.opencode, *self._doors.values()):
            meter.begin_anew()


def together(readings: Iterable[Reading]) -> Reading:
    """Several readings as one: sums. Peaks of different moments are added too, which is never
    less than the truth."""
    rows = tuple(readings)
    return Reading(
        requests=sum(row.requests for row in rows),
        refused=sum(row.refused for row in rows),
        failures=sum(row.failures for row in rows),
        unreachable=sum(row.unreachable for row in rows),
        received=sum(row.received for row in rows),
        sent=sum(row.sent for row in rows),
        concurrent=sum(row.concurrent for row in rows),
        peak=sum(row.peak for row in rows),
        seconds=sum(row.seconds for row in rows),
        times=tuple(map(sum, zip(*(row.times for row in rows), strict=True))),
    )


def passed(before: Reading, after: Reading, at: float) -> TrafficPoint:
    """What passed between two readings of one meter, as the step that began at `at`."""
    return TrafficPoint(
        at=at,
        requests=after.requests - before.requests,
        failures=after.failures - before.failures,
        bytes_in=max(0, after.received - before.received),  # a question of ours is taken back
        bytes_out=after.sent - before.sent,
        streams=after.peak,
        latency_ms=quantile_ms(between(before, after), 0.5),
    )


def between(before: Reading, after: Reading) -> list[int]:
    """The histogram of what was answered between two readings of one meter."""
    return [b - a for a, b in zip(before.times, after.times, strict=True)]


def quantile_ms(times: Sequence[int], part: float) -> float | None:
    """The time in ms within which that part of the answers began (0.5: the median), from a
    histogram over BOUNDS: the middle of the field it lies in. None: no answer."""
    total = sum(times)
    if not total:
        return None
    found = next(n for n, so_far in enumerate(accumulate(times)) if so_far >= part * total)
    nearest = min(max(found, 1), len(BOUNDS) - 1)
    return round(BOUNDS[nearest] / 2 ** (0.5 / PER_DOUBLING), 3)
