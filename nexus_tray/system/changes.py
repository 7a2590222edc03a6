"""Did this machine sleep, come to another network, or get another time? Asked every few seconds.

Owns the comparison of two looks at the surroundings (pure: `change`), and `ChangeWatch`, one
thread that looks and tells. Nothing of the desktop is asked (logind, NetworkManager), for that
needs a bus and differs by system; a clock and the own address are everywhere. Imports the
standard library only; which network it is, is told by whoever makes the look.

A sleep is known by a clock that goes on meanwhile (`since_boot`): more time passed between two
looks than they lie apart. So a process that was stopped and a virtual machine that was frozen
are known too, and count as sleep, for to everybody outside they were.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

EVERY = 3.0
"""Seconds between two looks: a change is noticed within 10 s, and a look takes a millisecond."""
ASLEEP = 8.0
"""Seconds beyond EVERY that pass as a busy machine, not as sleep."""


STEP = 5.0
"""Seconds: a clock that is brought right gently moves less between two looks."""
_ANYWHERE = ((socket.AF_INET, "1.1.1.1"), (socket.AF_INET6, "2606:4700:4700::1111"))


@dataclass(frozen=True)
class Look:
    """The surroundings `at` a moment of a clock that goes on during sleep. `network`: a word for
    the one we are on, None: none; `address`: by which this machine leaves it; `wall`: seconds
    since the epoch, as everybody may set them."""

    at: float
    network: str | None
    address: str = ""
    wall: float = 0.0


@dataclass(frozen=True)
class Change:
    """What changed. `slept`: so many seconds, 0: it did not; `moved`: it is on another network;
    `back`: there is a network after there was none; `renamed`: it has another address;
    `ahead`: its clock was set ahead by so many seconds, or back (negative)."""

    slept: float = 0.0
    moved: bool = False
    back: bool = False
    renamed: bool = False
    ahead: float = 0.0

    @property
    def words(self) -> str:
        """As a sentence for the journal."""
        told = (
            (self.slept, f"woke after {_span(self.slept)}"),
            (self.moved, "is on another network"),
            (self.back, "has a network again"),
            (self.renamed, "has another address in its network"),
            (self.ahead > 0, f"had its clock set ahead by {_span(self.ahead)}"),
            (self.ahead < 0, f"had its clock set back by {_span(-self.ahead)}"),
        )
        parts = " and ".join(words for happened, words in told if happened)
        return f"This computer {parts}: the way to it is looked at now."


Same = Callable[[str | None, str | None], bool]


def change(before: Look, home: Look, now: Look, same: Same, every: float = EVERY) -> Change | None:
    """What happened between two looks; None: nothing that matters. `home`: the last look with
    a network, however long ago; `same`: whether two words may mean one network. That one is
    lost is no change: nothing can be done then."""
    passed = now.at - before.at
    slept = passed if passed >= every + ASLEEP else 0.0
    step = now.wall - before.wall - passed
    ahead = step if abs(step) >= STEP else 0.0
    if now.network is None:
        found = Change(slept, ahead=ahead)
        return found if found != Change() else None
    moved = home.network is not None and not same(home.network, now.network)
    back = not moved and before.network is None
    renamed = not (moved or back) and now.address not in ("", home.address)
    found = Change(slept, moved, back, renamed, ahead)
    return found if found != Change() else None


def outgoing() -> str:
    """The addresses by which this machine leaves its network; empty: it cannot. No packet is
    sent: a UDP socket that is connected only asks the routing table."""
    found = []
    for family, anywhere in (
        (socket.AF_INET, "1.1.1.1"),
        (socket.AF_INET6, "2606:4700:4700::1111"),
    ):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((anywhere, 443))
            found.append(str(probe.getsockname()[0]))
    return " ".join(found)


class ChangeWatch:
    """Looks `every` so many seconds and tells `heard`, in its own thread; `same`: as `change`
    has it. `start` and `close` once each."""

    def __init__(
        self,
        look: Callable[[], Look],
        heard: Callable[[Change], None],
        same: Same,
        every: float = EVERY,
    ) -> None:
        self._look, self._heard, self._same, self._every = look, heard, same, every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="surroundings", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        before = home = self._look()
        while not self._over.wait(self._every):
            now = self._look()
            found = change(before, home, now, self._same, self._every)
            before, home = now, now if now.network is not None else home
            if found is not None:
                self._heard(found)


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    if seconds < 7200:
        return f"{seconds / 60:.0f} minutes"
    if seconds < 172_800:
        return f"{seconds / 3600:.0f} hours"
    return f"{seconds / 86_400:.0f} days"
