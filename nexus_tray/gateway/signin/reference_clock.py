"""Is this computer's clock right? Compared with the Date of an answer of Cloudflare's.

Owns the comparison (SECURITY.md: "clock uncertain" is more than 5 minutes from it). A
clock that nobody can set carries on what was told, so a wall clock that is set later is
found out too. Any thread may call; the two fields are replaced together.
"""

import time
from collections.abc import Callable

TOLERANCE = 300.0
"""Seconds. A Date has a resolution of one, and an answer takes at most a few."""


def since_boot() -> float:
    """Seconds on a clock that nobody sets and that goes on while the machine sleeps.

    `time.monotonic` stands still then on Linux and macOS: after a night's sleep a right
    clock would look wrong.
    """
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):  # Linux; macOS, where it goes on
        if hasattr(time, name):
            return time.clock_gettime(getattr(time, name))
    return time.monotonic()  # Windows, where it goes on


class ReferenceClock:
    """Knows nothing, and doubts nothing, until it was told the time once.

    `wall`: seconds since the epoch, ours; `steady`: as `since_boot`.
    """

    def __init__(self, wall: Callable[[], float], steady: Callable[[], float]) -> None:
        self._wall = wall
        self._steady = steady
        self._told: tuple[float, float] | None = None

    def tell(self, at: float) -> None:
        """It is `at` now (seconds since the epoch), by a clock better than ours."""
        self._told = (at, self._steady())

    def off(self) -> bool:
        """Our wall clock is further from it than can be explained."""
        away = self.drift()
        return away is not None and abs(away) > TOLERANCE

    def drift(self) -> float | None:
        """Seconds that our wall clock is ahead of it (negative: behind); None: never told."""
        if self._told is None:
            return None
        at, when = self._told
        return self._wall() - (at + self._steady() - when)
