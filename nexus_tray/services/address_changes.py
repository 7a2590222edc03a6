"""How often a quick tunnel's address changed although nobody asked for it.

Owns the count of the last day and its file, so that a restart of this program forgets nothing.
Imports `store.files`. Any thread; a lock inside. What a person did does not count: a change is
forced when the service was started again, unasked, since the address before.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nexus_tray.model import Problem
from nexus_tray.store import files

log = logging.getLogger(__name__)

DAY = 86_400.0
MANY = 3
"""Changes within a day from which a named tunnel is the better choice."""
MOST = 100
_SIZE_LIMIT = 256 * 1024


@dataclass(frozen=True)
class Seen:
    """The address of a tunnel, and how often it had been restarted, unasked, by then."""

    address: str
    restarts: int


def forced(before: Seen | None, now: Seen) -> bool:
    """The address changed, and nobody asked for it. The first one after a start of this program
    is compared with nothing: what ended the one before is not known."""
    return before is not None and before.address != now.address and now.restarts > before.restarts


def within_a_day(times: list[float], now: float) -> list[float]:
    """Those of the last day; what a clock that was wrong wrote into the future is none."""
    return [at for at in times if 0.0 <= now - at < DAY]


class AddressChanges:
    """Counts. `file` keeps the times of changes (None: in memory only); `wall`: epoch seconds."""

    def __init__(self, file: Path | None, wall: Callable[[], float]) -> None:
        self._file = file
        self._wall = wall
        self._lock = threading.Lock()
        self._seen: dict[str, Seen] = {}
        self._times = self._load()

    def saw(self, name: str, address: str, restarts: int) -> int | None:
        """A tunnel has this address now. The count of the day, if it has just risen."""
        with self._lock:
            before = self._seen.get(name)
            if before is not None and before.address == address:
                return None
            self._seen[name] = now = Seen(address, restarts)
            if not forced(before, now):
                return None
            at = self._wall()
            times = [*within_a_day(self._times.get(name, []), at), at]
            self._times[name] = times[-MOST:]
            self._save()
            return len(times)

    def count(self, name: str) -> int:
        """Forced changes of this tunnel's address within the last day."""
        with self._lock:
            return len(within_a_day(self._times.get(name, []), self._wall()))

    def _load(self) -> dict[str, list[float]]:
        if self._file is None:
            return {}
        try:
            data = files.read_private(self._file, _SIZE_LIMIT)
            return msgspec.json.decode(data, type=dict[str, list[float]])
        except FileNotFoundError:
            return {}
        except (Problem, msgspec.DecodeError) as error:
            log.warning("The count of changed addresses begins anew: %s", error)
            return {}

    def _save(self) -> None:
        now = self._wall()
        kept = {name: within_a_day(times, now) for name, times in self._times.items()}
        self._times = {name: times for name, times in kept.items() if times}
        if self._file is None:
            return
        try:
            files.ensure_private_dir(self._file.parent)
            files.write_atomic(self._file, msgspec.json.encode(self._times))
        except Problem as problem:  # the count goes on; only a restart of ours would forget it
            log.warning("The count of changed addresses is not kept: %s", problem)
