"""Token buckets: so much a second, and a little at once.

Pure but for what they remember; time (monotonic seconds) is an argument. Imports the store's
notion of an address. Runs on the gateway's event loop.
"""

from collections import OrderedDict

from nexus_tray.store.places import network

BURST_SECONDS = 2.0
"""Of requests: a page's first load asks for many things at once."""

MOST_ADDRESSES = 10_000
"""Addresses remembered; the one quiet for longest is forgotten first."""


class Bucket:
    """`rate` a second, at most `burst` at once. Full at first."""

    __slots__ = ("_at", "_level", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._level = burst
        self._at = now

    def level(self, now: float) -> float:
        """What is in it now; below 0 when more was spent than there was."""
        if now > self._at:
            self._level = min(self.burst, self._level + (now - self._at) * self.rate)
            self._at = now
        return self._level

    def take(self, now: float) -> bool:
        """One, if there is one."""
        if self.level(now) < 1.0:
            return False
        self._level -= 1.0
        return True

    def spend(self, amount: float, now: float) -> float:
        """So much has passed already; what is left, below 0 for a debt."""
        self._level = self.level(now) - amount
        return self._level

    def change(self, rate: float, burst: float, now: float) -> None:
        """Another rate from now on; what is owed stays owed."""
        self._level = min(self.level(now), burst)
        self.rate, self.burst = rate, burst


class Crowd:
    """A bucket for each address of strangers: IPv4, or the /64 of IPv6."""

    def __init__(self, rate: float, most: int = MOST_ADDRESSES) -> None:
        self._rate = rate
        self._most = most
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, address: str, now: float) -> bool:
        """May this address ask for one thing more?"""
        if not self._rate:
            return True
        key = network(address)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._rate, self._rate * BURST_SECONDS, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket.take(now)

    def __len__(self) -> int:
        return len(self._buckets)
