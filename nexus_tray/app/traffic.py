"""Looks at the gateway's meters once a second: keeps the history, and publishes the metrics.

Owns the thread that does so; `Seconds` decides, without clock and thread, which seconds a
look accounts for. Imports the gateway's meter, the store and `app.metrics`.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus_tray.app.metrics import Gauges
from nexus_tray.gateway.meter import Reading, Readings, passed
from nexus_tray.model import Facts, Snapshot
from nexus_tray.reports import Traffic, TrafficPoint, TrafficQuery
from nexus_tray.store.history import History

log = logging.getLogger(__name__)

LATE = 5
"""Seconds by which a look may be late and still account for all that passed since the last
one; after more the machine slept, or the clock was set, and nothing is known of the time."""

Second = tuple[TrafficPoint, Mapping[str, TrafficPoint]]
"""What passed in a second: by all doors together, and by each that something passed."""


class Seconds:
    """Turns readings of the meters into seconds of the history."""

    def __init__(self) -> None:
        self._before = Readings()
        self._last: int | None = None

    def account(self, readings: Readings | None, now: float) -> list[Second]:
        """What passed since the last look, in the second that ended nearest to `now`.

        Seconds that were overslept are there, and empty: what passed in them is told with the
        last. `readings` None: nothing can pass, and nothing is measured.
        """
        if readings is None:
            self._last = None
            return []
        at, last, before = round(now) - 1, self._last, self._before
        self._last, self._before = at, readings
        missed = range(last + 1, at) if last is not None and last < at <= last + LATE else range(0)
        empty = [TrafficPoint(at=float(second)) for second in missed]
        whole = passed(before.whole, readings.whole, float(at))
        return [*((point, {}) for point in empty), (whole, _by_door(before, readings, float(at)))]


def _by_door(before: Readings, after: Readings, at: float) -> dict[str, TrafficPoint]:
    points = {
        name: passed(before.doors.get(name, Reading()), reading, at)
        for name, reading in after.doors.items()
    }
    return {name: point for name, point in points.items() if point != TrafficPoint(at=at)}


@dataclass(frozen=True)
class Surface:
    """Where metrics are told. `publish` takes those that changed, by service, all at once;
    `tunnels` are the names in the settings."""

    snapshot: Callable[[], Snapshot]
    publish: Callable[[Mapping[str, Facts]], None]
    tunnels: Callable[[], Collection[str]]


class TrafficWatch:
    """The history, the metrics, and the thread that feeds them. `read_meters` answers None while
    the gateway is shut. Close it, or the present minute is lost; a second close does nothing."""

    def __init__(
        self,
        history: History,
        read_meters: Callable[[], Readings | None],
        surface: Surface | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._history = history
        self._read_meters = read_meters
        self._surface = surface
        self._clock = clock
        self._monotonic = monotonic
        self._gauges = Gauges()
        self._tunnels: frozenset[str] = frozenset()
        self._latest: Readings | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="traffic", daemon=True)
        self._thread.start()

    @property
    def latest(self) -> Readings | None:
        """The meters as of the last second in which the gateway was open. Any thread."""
        return self._latest

    def report(self, query: TrafficQuery) -> Traffic:
        """See Backend.traffic. Any thread."""
        return self._history.read(query, self._clock())

    def close(self) -> None:
        """Keep what has passed until now, and end."""
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        seconds = Seconds()
        while not self._over.wait(1.0 - self._clock() % 1.0):
            readings = self._read_meters()
            for whole, doors in seconds.account(readings, self._clock()):
                self._history.record(whole, doors)
            self._latest = readings or self._latest
            try:
                self._tell()
            except Exception:  # the history goes on
                log.exception("the metrics could not be told")
        self._history.close(self._clock())

    def _tell(self) -> None:
        """While the gateway is shut the last readings stand, and so the rates sink to nothing."""
        surface, readings = self._surface, self._latest
        if surface is None or readings is None:
            return
        changed = self._gauges.changed(surface.snapshot(), readings, self._monotonic())
        if changed:
            surface.publish(changed)
        tunnels = frozenset(surface.tunnels())
        for name in self._tunnels - tunnels:
            self._history.forget(name)
        self._tunnels = tunnels


def kept(
    file: Path,
    on_trouble: Callable[[str], None],
    read_meters: Callable[[], Readings | None],
    surface: Surface,
) -> TrafficWatch:
    """The watch over the history in that file; `on_trouble` is told what was wrong with it."""
    return TrafficWatch(History(file, time.time(), on_trouble), read_meters, surface)
