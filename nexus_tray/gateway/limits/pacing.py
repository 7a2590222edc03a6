"""Bandwidth: who has passed his share waits, and nothing is buffered for him meanwhile.

Owns the pacers (one a direction, for a device and for all) and the lanes of connections that pass
through them. A lane that is in debt is told to hold: its connection reads no more from where the
bytes come. One lane at a time goes on, the devices in turn. Imports its own room and asyncio's
timers. Runs on the gateway's event loop.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from nexus_tray.gateway.limits.buckets import Bucket

BURST = 0.05
"""Seconds' worth that may pass at once after a rest."""

TURN = 0.02
"""Seconds that a lane has to use its turn before the next one goes on."""


class Pacer:
    """So many bytes a second through all its lanes together."""

    def __init__(self, rate: float, now: float) -> None:
        self._bucket = Bucket(rate, rate * BURST, now)
        self._waiting: OrderedDict[str, deque[Lane]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._turn: Lane | None = None

    def change(self, rate: float, now: float) -> None:
        """Another rate from now on, for who waits too."""
        self._bucket.change(rate, rate * BURST, now)
        self._turn = None
        self._look()

    def spend(self, lane: "Lane", amount: int, now: float) -> float:
        """So many bytes passed. What is left; below 0: the lane has to wait."""
        left = self._bucket.spend(amount, now)
        if self._turn is lane:
            self._turn = None
            self._look()
        return left

    def left(self, now: float) -> float:
        """Below 0: whoever comes has to wait. So has he if others wait already."""
        return -1.0 if self._waiting else self._bucket.level(now)

    def wait(self, lane: "Lane") -> None:
        """Tell this lane when it is its turn."""
        self._waiting.setdefault(lane.device, deque()).append(lane)
        self._look()

    def forget(self, lane: "Lane") -> None:
        """It waits no more."""
        queue = self._waiting.get(lane.device)
        if queue is not None and lane in queue:
            queue.remove(lane)
            if not queue:
                del self._waiting[lane.device]
        if self._turn is lane:
            self._turn = None
            self._look()

    def _look(self) -> None:
        """When the debt is paid, the next; now, or by the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        loop = asyncio.get_running_loop()
        level = self._bucket.level(time.monotonic())
        wait = -level / self._bucket.rate if level < 0 else 0.0
        if self._turn is not None:
            wait = max(wait, TURN)
        self._timer = loop.call_later(wait, self._next)

    def _next(self) -> None:
        self._timer = None
        self._turn = None
        if self._bucket.level(time.monotonic()) < 0:
            self._look()
            return
        device, queue = self._waiting.popitem(last=False)
        lane = queue.popleft()
        if queue:
            self._waiting[device] = queue
        self._turn = lane
        if not lane.go_on(self):
            self._turn = None
        self._look()


class Lane:
    """One direction of one connection. `hold(True)` stops reading from where the bytes come.
    `gate`: pacers that only its begin waits for. An answer waits until what was sent before is
    paid, or many small requests would pass each before it could be held."""

    __slots__ = ("_gate", "_hold", "_pacers", "_waits_at", "device")

    def __init__(
        self,
        device: str,
        pacers: tuple[Pacer, ...],
        hold: Callable[[bool], None],
        gate: tuple[Pacer, ...] = (),
    ) -> None:
        self._gate = gate
        self.device = device
        self._pacers = pacers
        self._hold = hold
        self._waits_at: Pacer | None = None

    def passed(self, amount: int) -> None:
        """So many bytes went through. May hold."""
        now = time.monotonic()
        debtor: Pacer | None = None
        for pacer in self._pacers:
            if pacer.spend(self, amount, now) < 0 and debtor is None:
                debtor = pacer
        if debtor is not None and self._waits_at is None:
            self._wait(debtor)

    def begin(self) -> None:
        """A request begins: it waits behind those that wait."""
        now = time.monotonic()
        for pacer in (*self._gate, *self._pacers):
            if self._waits_at is None and pacer.left(now) < 0:
                self._wait(pacer)

    def go_on(self, at: Pacer) -> bool:
        """Its turn there has come; False if it has to wait elsewhere."""
        now = time.monotonic()
        for pacer in self._pacers:
            if pacer is not at and pacer.left(now) < 0:
                self._waits_at = pacer
                pacer.wait(self)
                return False
        self._waits_at = None
        self._hold(False)
        return True

    def close(self) -> None:
        """The exchange is over, or no limit holds any more."""
        for pacer in (*self._gate, *self._pacers):
            pacer.forget(self)
        if self._waits_at is not None:
            self._waits_at = None
            self._hold(False)

    def _wait(self, pacer: Pacer) -> None:
        self._waits_at = pacer
        self._hold(True)
        pacer.wait(self)


class Pacers:
    """A pair (from the visitor, to him), of a device or of all; None: no limit that way."""

    def __init__(self) -> None:
        self.inward: Pacer | None = None
        self.outward: Pacer | None = None

    def adopt(self, kilobytes_in: int, kilobytes_out: int, now: float) -> None:
        """These rates from now on (0: none)."""
        self.inward = _adopted(self.inward, kilobytes_in, now)
        self.outward = _adopted(self.outward, kilobytes_out, now)


def _adopted(pacer: Pacer | None, kilobytes: int, now: float) -> Pacer | None:
    if not kilobytes:
        return None
    if pacer is None:
        return Pacer(kilobytes * 1000.0, now)
    pacer.change(kilobytes * 1000.0, now)
    return pacer
