"""Looks at the gateway's meter once a second, and keeps what it finds in the history.

Owns the thread that does so; `Seconds` decides, without clock and thread, which seconds a
look accounts for. Imports the gateway's meter and the store.
"""

import threading
import time
from collections.abc import Callable

from nexus_tray.gateway.meter import Reading, passed
from nexus_tray.reports import Traffic, TrafficPoint, TrafficQuery
from nexus_tray.store.history import History

LATE = 5
"""Seconds by which a look may be late and still account for all that passed since the last
one; after more the machine slept, or the clock was set, and nothing is known of the time."""


class Seconds:
    """Turns readings of the meter into seconds of the history."""

    def __init__(self) -> None:
        self._before = Reading()
        self._last: int | None = None

    def account(self, reading: Reading | None, now: float) -> list[TrafficPoint]:
        """What passed since the last look, in the second that ended nearest to `now`.

        Seconds that were overslept are there, and empty: what passed in them is told with the
        last. `reading` None: nothing can pass, and nothing is measured.
        """
        if reading is None:
            self._last = None
            return []
        at, last, before = round(now) - 1, self._last, self._before
        self._last, self._before = at, reading
        missed = range(last + 1, at) if last is not None and last < at <= last + LATE else range(0)
        return [
            *(TrafficPoint(at=float(second)) for second in missed),
            passed(before, reading, float(at)),
        ]


class TrafficWatch:
    """The history, and the thread that feeds it. `read_meter` answers None while the gateway
    is shut. Close it, or the present minute is lost; a second close does nothing."""

    def __init__(
        self,
        history: History,
        read_meter: Callable[[], Reading | None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._history = history
        self._read_meter = read_meter
        self._clock = clock
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="traffic", daemon=True)
        self._thread.start()

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
            for second in seconds.account(self._read_meter(), self._clock()):
                self._history.record(second)
        self._history.close(self._clock())
