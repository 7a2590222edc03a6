"""One visitor's connection before the meters: which of them its requests and bytes count in.

Owns that choice, and that whatever was begun is ended once. May import `gateway.meter`. Runs on
the gateway's event loop, for every request: plain additions.
"""

from collections.abc import Callable

from nexus_tray.gateway.meter import Meter, Meters


class Metering:
    """What is counted of one connection; one request at a time.

    `meter` takes the bytes; `early` are those of the request that is coming, or was the last to
    come. `asked_at` is when its head was whole (None: there is none, or its answer has begun).
    """

    __slots__ = (
        "_behind", "_clock", "_entered", "_meters", "_stream", "asked_at", "early", "meter",
    )  # fmt: skip

    def __init__(self, meters: Meters, clock: Callable[[], float]) -> None:
        self._meters = meters
        self._clock = clock
        self.meter = meters.nowhere
        self.early = 0
        self.asked_at: float | None = None
        self._entered = False
        self._stream = False
        self._behind: Meter | None = None

    def is_ours(self) -> None:
        """This program itself is the visitor: nothing of it is traffic."""
        self.meter = self._meters.ours

    def enter(self, door: str) -> None:
        """A request of that door begins. What came of it was counted before its door was known."""
        if self.meter is not self._meters.ours:
            meter = self._meters.door(door)
            if meter is not self.meter:
                self.meter.received -= self.early  # in this order: see Meters.read
                meter.received += self.early
                self.meter = meter
        self.meter.concurrent += 1
        self._entered = True

    def take_back(self) -> None:
        """The request is this program's own: nothing of it counts, nor of what may follow it on
        a connection that its answer ends."""
        self.asked_at = None
        self.meter.received -= self.early
        self.is_ours()

    def pass_on(self, behind: Meter) -> None:
        """The request goes to what lies behind the gateway, or would if that were there."""
        behind.concurrent += 1
        self._behind = behind

    def answered(self, status: int, *, endless: bool = False, behind: bool = False) -> None:
        """An answer begins; `behind`: given by what lies there, and not by ourselves. What was no
        whole head, and so no request, is not counted."""
        asked_at, self.asked_at = self.asked_at, None
        if asked_at is None:
            return
        seconds = self._clock() - asked_at
        self.meter.answered(status, seconds)
        if behind and self._behind is not None:
            self._behind.answered(status, seconds)
        if endless:
            self._stream = True
            self.meter.opened()

    def unreachable(self) -> None:
        """Nobody behind the gateway answered; the answer of ours that says so follows."""
        if self.asked_at is not None:
            self.meter.unreachable += 1
            if self._behind is not None:
                self._behind.silent()

    def leave(self) -> None:
        """The request is over, and so is its stream. May be called again."""
        if self._stream:
            self._stream = False
            self.meter.closed()
        if self._entered:
            self._entered = False
            self.meter.concurrent -= 1
        if self._behind is not None:
            self._behind.concurrent -= 1
            self._behind = None
