"""The traffic history: seconds for an hour in memory, minutes for a week on disk.

Owns both and the answer to a `TrafficQuery`. Imports the model, the reports and its own
room. One thread records, any thread reads; one lock, held for a few milliseconds at most.

Figures for a chart are never worth more than the program: a file that cannot be used is
said once, and what was not written waits in memory, an hour of it. A time in which nothing
was measured is a gap. Of a single door only what passed it is kept: where there is nothing, but
the gateway was measured, nothing passed. A clock that is set back makes two pasts share their
steps: they are added up, nothing is overwritten.
"""

import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from nexus_tray.model import Problem
from nexus_tray.reports import Traffic, TrafficPoint, TrafficQuery
from nexus_tray.store import history_steps
from nexus_tray.store.history_file import HistoryFile, is_damage, open_or_begin
from nexus_tray.store.history_steps import MINUTE

HOUR = 3600
WAITING = 60
"""Minutes that wait for a disk that takes nothing."""

NO_DOORS: Mapping[str, TrafficPoint] = MappingProxyType({})


class History:
    """What passed, over time. Close it, or the present minute is lost.

    `say` is told in words what went wrong with the file. Never raises for it.
    """

    def __init__(self, path: Path, now: float, say: Callable[[str], None]) -> None:
        self._path = path
        self._say = say
        self._lock = threading.Lock()
        self._seconds: dict[int, TrafficPoint] = {}  # in the order of their coming
        self._waiting: dict[int, list[TrafficPoint]] = {}  # minutes that are not on disk yet
        self._doors: dict[int, Mapping[str, TrafficPoint]] = {}  # seconds of single doors
        self._doors_waiting: dict[int, dict[str, list[TrafficPoint]]] = {}
        self._minute = 0
        self._told = ""
        self._file: HistoryFile | None = None
        self._open(now)
        minute = int(now) // MINUTE * MINUTE
        # The minute of a start has two halves, if we were ended and started within it.
        self._shared = minute if self._minutes(minute, minute + 1) else None

    def record(self, second: TrafficPoint, doors: Mapping[str, TrafficPoint] = NO_DOORS) -> None:
        """Add what passed in the second that began at `second.at`, and of that what passed single
        doors, by name. At most once a minute this waits for the disk: a thread of its own should
        call."""
        at = int(second.at)
        minute = at // MINUTE * MINUTE
        with self._lock:
            known = self._seconds.get(at)
            self._seconds[at] = history_steps.merge(at, [known, second] if known else [second])
            if doors:
                self._doors[at] = _both(at, self._doors.get(at, NO_DOORS), doors)
            if len(self._seconds) > HOUR:
                oldest = next(iter(self._seconds))
                del self._seconds[oldest]
                self._doors.pop(oldest, None)
            if minute != self._minute:
                self._flush(float(at))
                self._minute = minute
            self._waiting.setdefault(minute, []).append(second)
            for name, point in doors.items():
                waiting = self._doors_waiting.setdefault(minute, {})
                waiting.setdefault(name, []).append(point)

    def read(self, query: TrafficQuery, now: float) -> Traffic:
        """The last `query.seconds` before `now`, in steps of a round length."""
        with self._lock:
            step, begin, end = history_steps.window(now, query.seconds, query.points, 1)
            if self._reaches_to(begin, now, query.seconds):
                found = self._known_seconds(begin, end, query.tunnel)
            else:
                step, begin, end = history_steps.window(now, query.seconds, query.points, MINUTE)
                found = self._minutes(begin, end, query.tunnel)
        return Traffic(step=float(step), points=tuple(history_steps.gather(found, step)))

    def forget(self, door: str) -> None:
        """Drop what passed a door that is no more: another of its name has another history."""
        with self._lock:
            self._doors = {at: _without(door, doors) for at, doors in self._doors.items()}
            for waiting in self._doors_waiting.values():
                waiting.pop(door, None)
            if self._file is not None:
                try:
                    self._file.forget(door)
                except sqlite3.Error as error:
                    self._tell(f"The traffic history could not be written: {error}.")

    def close(self, now: float) -> None:
        """Write the present minute and close the file. `now` in seconds since the epoch."""
        with self._lock:
            self._flush(now)
            if self._file is not None:
                self._file.close()
                self._file = None

    # all below: with the lock held, or before anybody else has us

    def _reaches_to(self, begin: int, now: float, seconds: int) -> bool:
        """Whether the seconds in memory say all that is known since `begin`."""
        if seconds > HOUR:
            return False
        first = min((at for at in self._seconds if begin <= at <= now), default=int(now))
        minute = first // MINUTE * MINUTE
        before = minute + 1 if minute == self._shared else minute
        return not self._minutes(begin // MINUTE * MINUTE, before)

    def _known_seconds(self, begin: int, end: int, door: str) -> list[TrafficPoint]:
        known = [(at, point) for at, point in self._seconds.items() if begin <= at < end]
        if not door:
            return [point for _, point in known]
        return [self._doors.get(at, NO_DOORS).get(door) or _nothing(at) for at, _ in known]

    def _minutes(self, begin: int, end: int, door: str = "") -> list[TrafficPoint]:
        """On disk and waiting, from `begin` until before `end`."""
        found = [
            history_steps.merge(at, self._doors_waiting.get(at, {}).get(door) or [_nothing(at)])
            if door
            else history_steps.merge(at, points)
            for at, points in self._waiting.items()
            if begin <= at < end
        ]
        if self._file is not None:
            try:
                found += self._file.read(begin, end, door)
            except sqlite3.Error as error:
                self._failed("read", error, float(end))
        return found

    def _open(self, now: float) -> None:
        try:
            self._file, told = open_or_begin(self._path, now)
        except Problem as problem:
            self._tell(f"The traffic history is kept in memory only. {problem.reason}")
        except (sqlite3.Error, OSError) as error:
            self._tell(f"The traffic history is kept in memory only: {self._path}: {error}.")
        else:
            if told:
                self._tell(told)

    def _flush(self, now: float) -> None:
        """Write what waits; it goes on waiting if that fails."""
        if not self._waiting:
            return
        if self._file is None:
            self._open(now)
        if self._file is not None:
            minutes = [history_steps.merge(at, points) for at, points in self._waiting.items()]
            doors = [
                (name, history_steps.merge(at, points))
                for at, waiting in self._doors_waiting.items()
                for name, points in waiting.items()
            ]
            try:
                self._file.add(minutes, doors)
            except sqlite3.Error as error:
                self._failed("written", error, now)
            else:
                self._waiting.clear()
                self._doors_waiting.clear()
                self._told = ""
        while len(self._waiting) > WAITING:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            self._doors_waiting.pop(oldest, None)

    def _failed(self, done: str, error: sqlite3.Error, now: float) -> None:
        self._tell(f"The traffic history could not be {done}: {error}. It is kept in memory.")
        if is_damage(error) and self._file is not None:
            self._file.close()
            self._file = None
            self._open(now)  # which finds the damage, and puts the file aside

    def _tell(self, text: str) -> None:
        """Once for each trouble, not once a minute."""
        if text != self._told:
            self._told = text
            self._say(text)


def _nothing(at: int) -> TrafficPoint:
    return TrafficPoint(at=float(at))


def _both(
    at: int, one: Mapping[str, TrafficPoint], other: Mapping[str, TrafficPoint]
) -> dict[str, TrafficPoint]:
    """What passed single doors in a second that came twice."""
    names = {**one, **other}
    return {
        name: history_steps.merge(at, [side[name] for side in (one, other) if name in side])
        for name in names
    }


def _without(door: str, doors: Mapping[str, TrafficPoint]) -> Mapping[str, TrafficPoint]:
    return {name: point for name, point in doors.items() if name != door}
