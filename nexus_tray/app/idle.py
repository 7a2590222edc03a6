"""Remote access closes by itself where nobody has used it for as long as a person allows.

Owns that decision (`decide`, pure, time an argument) and the thread that looks now and then. What
counts is a request of a signed-in device or token from outside: not a stranger's knock, not our
own visits, and not a page or a terminal that merely stays open. It never closes while OpenCode
works or waits for an answer, nor where that is not known. Imports layers 1 to 3; any thread may
call `close`.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from nexus_tray.gateway.signin.reference_clock import since_boot
from nexus_tray.model import Desired, Service, ServiceKind, ServiceState, Snapshot
from nexus_tray.services import memory_cap

log = logging.getLogger(__name__)

MINUTE = 60.0
LOOK_EVERY = 5.0
"""Seconds: it closes so much later than it might, at most."""

DOWN = (ServiceState.STOPPED, ServiceState.FAILED)

Visits = tuple[tuple[str, float], ...]
"""The doors that lead in from outside, and when each was last used; only ever compared with what
it was before, for the wall clock may be set back."""


@dataclass(frozen=True)
class Look:
    """What is so now. `minutes`: how long nobody must have asked (0: it never closes). `is_open`:
    there is something to close. `busy`: OpenCode works or waits for an answer; None: not known."""

    minutes: int
    is_open: bool
    busy: bool | None
    visits: Visits


@dataclass(frozen=True)
class State:
    """What is remembered: nobody asked and nothing worked since `since` (None: nothing is
    counted), with these visits and this setting."""

    since: float | None = None
    visits: Visits = ()
    minutes: int = 0


def decide(state: State, look: Look, now: float) -> tuple[State, bool]:
    """What is remembered next, and whether to close. `now`: seconds on a clock that nobody sets
    and that goes on while the machine sleeps. The count begins anew with each request, when
    OpenCode has finished, when access opens, and when the setting changes."""
    nothing = State(None, look.visits, look.minutes)
    if not look.minutes or not look.is_open or look.busy is not False:
        return nothing, False
    kept = (state.visits, state.minutes) == (look.visits, look.minutes)
    if state.since is None or not kept:
        return State(now, look.visits, look.minutes), False
    if now - state.since < look.minutes * MINUTE:
        return state, False
    return nothing, True  # who opens it at once finds it open for as long again


def busy(snapshot: Snapshot) -> bool | None:
    """Whether OpenCode works or waits for an answer. One that does not run does neither."""
    opencode = next((s for s in snapshot.services if s.kind is ServiceKind.OPENCODE), None)
    if opencode is not None and opencode.state in DOWN:
        return False
    return memory_cap.busy(snapshot.activity)


def is_open(snapshot: Snapshot, *, network: bool) -> bool:
    """Whether anybody might come in. `network`: by the local network's door."""
    return not snapshot.paused and (network or any(_on(one) for one in snapshot.services))


def _on(service: Service) -> bool:
    wished = service.kind is ServiceKind.TUNNEL and service.desired is Desired.RUNNING
    return wished and service.state not in DOWN


class IdleWatch:
    """Looks now and then, and closes. `look` answers what is so; `shut(minutes)` closes, and may
    raise. One thread; `start` and `close` once each."""

    def __init__(
        self,
        look: Callable[[], Look],
        shut: Callable[[int], None],
        clock: Callable[[], float] = since_boot,
        every: float = LOOK_EVERY,
    ) -> None:
        self._look, self._shut = look, shut
        self._clock = clock
        self._every = every
        self._state = State()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="idle closing", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            try:
                self.step()
            except Exception:  # a watch that dies unseen would leave access open for ever
                log.exception("Whether remote access is used could not be judged.")

    def step(self) -> None:
        """One look, and what follows from it."""
        look = self._look()
        self._state, due = decide(self._state, look, self._clock())
        if due:
            self._shut(look.minutes)
