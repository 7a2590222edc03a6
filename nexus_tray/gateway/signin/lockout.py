"""How often a password may be tried: by address, and by everybody together.

Owns the counting of failures and nothing else: no clock, no I/O, no threads (the
gateway's loop is the only caller). `now` is monotonic seconds, so turning the wall clock
neither opens nor lengthens a lock. Imports the store's notion of one address.

SECURITY.md "Lockout": after 5 failures of an address 1 s, doubling to 15 min; 100
failures an hour in total pause *password* sign-in only. An attempt is counted when it
begins and taken back when it succeeds, so that many at once cannot slip past the count.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import Enum

from nexus_tray.store.places import network

FREE_FAILURES = 5
FIRST_LOCK = 1.0
LONGEST_LOCK = 900.0
FORGET_AFTER = 3600.0
TOTAL_FAILURES = 100
TOTAL_WINDOW = 3600.0
MOST_ADDRESSES = 1_000
"""Addresses remembered; the one quiet for longest is forgotten first.

Only attempts that were let through are remembered, so the total keeps it far below.
"""


class Gate(Enum):
    """What is to be done with an attempt."""

    OPEN = "open"
    LOCKED = "locked"
    PAUSED = "paused"


@dataclass
class _Record:
    failures: int = 0
    last: float = 0.0
    until: float = 0.0


class Lockout:
    """The counts. `total` and `window`: failures of everybody, and over how many seconds; a window
    of 0 seconds means that they are not counted in total."""

    def __init__(self, total: int = TOTAL_FAILURES, window: float = TOTAL_WINDOW) -> None:
        self._total = total
        self._window = window
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._failed_at: deque[float] = deque()

    def begin(self, address: str, now: float) -> Gate:
        """May this address try now? If OPEN, the attempt counts as failed until `succeeded`."""
        key = network(address)
        record = self._records.get(key) or _Record()
        if now < record.until:
            return Gate.LOCKED
        while self._failed_at and now - self._failed_at[0] >= self._window:
            self._failed_at.popleft()
        if len(self._failed_at) >= self._total:
            return Gate.PAUSED
        self._failed_at.append(now)
        if now - max(record.last, record.until) >= FORGET_AFTER:
            record = _Record()
        record.failures += 1
        record.last = now
        record.until = now + _lock(record.failures)
        self._keep(key, record)
        return Gate.OPEN

    def succeeded(self, address: str, began: float) -> None:
        """The attempt that began then was right: it and the address's failures are forgotten."""
        self._records.pop(network(address), None)
        if began in self._failed_at:
            self._failed_at.remove(began)

    def locked_for(self, address: str, now: float) -> float:
        """Seconds until this address may try again; 0 if it may."""
        record = self._records.get(network(address))
        return max(0.0, record.until - now) if record else 0.0

    def paused_for(self, now: float) -> float:
        """Seconds until the total lets one more through; 0 if it does."""
        if len(self._failed_at) < self._total:
            return 0.0
        return max(0.0, self._failed_at[-self._total] + self._window - now)

    def __len__(self) -> int:
        return len(self._records)

    def _keep(self, key: str, record: _Record) -> None:
        self._records[key] = record
        self._records.move_to_end(key)
        if len(self._records) > MOST_ADDRESSES:
            self._records.popitem(last=False)


def _lock(failures: int) -> float:
    """Seconds of lock after so many failures in a row: none for the first four."""
    if failures < FREE_FAILURES:
        return 0.0
    return float(min(LONGEST_LOCK, FIRST_LOCK * 2.0 ** min(failures - FREE_FAILURES, 32)))
