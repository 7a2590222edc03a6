"""Python's own start-up hook: a program that finds this folder on PYTHONPATH has a clock that a
test sets, by two numbers in the file that NEXUS_TEST_CLOCK names.

The first is what somebody set the wall clock ahead by; the second is how long the machine slept:
then the wall clock and the clock since boot went on, and the monotonic one stood still, as on
Linux. The machine's clock itself is everybody's. Nothing here is part of the product.
"""

import mmap
import os
import struct
import time
from pathlib import Path

_FILE = os.environ.get("NEXUS_TEST_CLOCK")


def _set(path: str) -> None:
    with Path(path).open("r+b") as file:
        numbers = mmap.mmap(file.fileno(), 16)
    wall, read, boot = time.time, time.clock_gettime, time.CLOCK_BOOTTIME

    def ahead() -> tuple[float, float]:
        found: tuple[float, float] = struct.unpack("dd", numbers)
        return found

    def clock_gettime(clock: int) -> float:
        now = read(clock)
        if clock == time.CLOCK_REALTIME:
            return now + sum(ahead())
        return now + ahead()[1] if clock == boot else now

    time.time = lambda: wall() + sum(ahead())
    time.clock_gettime = clock_gettime


if _FILE:
    _set(_FILE)
