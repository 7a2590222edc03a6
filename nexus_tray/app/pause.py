"""The pause of remote access: when it began to hold, when it ends, what is kept of it.

Owns the one pause and the thread that ends it in time. The supervisor is told (`tell`) and
holds the tunnels; the file brings a pause back after a restart. Fails closed: a pause holds
before it is written, and a file that cannot be read is a pause. Any thread may call.
"""

import logging
import math
import threading
from collections.abc import Callable
from pathlib import Path

from nexus_tray.core.moments import moment
from nexus_tray.core.snapshot import UNUSED, Pause
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store import pause_file
from nexus_tray.store.pause_file import PauseRecord

log = logging.getLogger(__name__)

MOST_SECONDS = 30 * 86400.0
LOOK_SECONDS = 15.0
"""The wall clock is looked at this often: a wait does not go on while the machine sleeps."""

RESUME = "Resume it from the tray, or with: nexus-tray resume"

BAD_TIME = Reason(
    code="pause-time",
    hop=Hop.GATEWAY,
    what="That is no time at which a pause could end.",
    meaning="Nothing was changed.",
    cure="Name a time from now to 30 days ahead, or pause until you resume.",
)


class PauseKeeper:
    """The pause. `wall` in epoch seconds; `tell` hears each change, in order; `on_over` when
    one ended by itself. `start` and `close` once each; before `start` no pause ends by itself."""

    def __init__(
        self,
        file: Path,
        wall: Callable[[], float],
        tell: Callable[[Pause | None], None],
        on_over: Callable[[], None],
        look: float = LOOK_SECONDS,
    ) -> None:
        self._file, self._wall, self._tell, self._on_over = file, wall, tell, on_over
        self._look = look
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="pause", daemon=True)
        self._now = self._recall()
        tell(self._now)

    def start(self) -> None:
        """Begin to look at the clock."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; the pause stays."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def holds(self) -> bool:
        """Whether access is paused now."""
        return self._now is not None

    def begin(self, until_at: float | None) -> Pause:
        """Pause until then, or until it is ended; a pause that holds gets this end.

        Raises Problem for a time that is none (nothing is changed), and when the pause
        holds but could not be kept for the next start.
        """
        now = self._wall()
        if until_at is not None and not (
            math.isfinite(until_at) and now < until_at <= now + MOST_SECONDS
        ):
            raise Problem(BAD_TIME)
        with self._changed:
            return self._keep(PauseRecord(until_at=until_at), now)

    def close_unused(self, minutes: int) -> Pause | None:
        """Pause until it is ended, for nobody has asked for anything for so long; None: it is
        paused already, as somebody wished it. Raises Problem as `begin`."""
        with self._changed:
            if self._now is not None:
                return None
            return self._keep(PauseRecord(until_at=None, idle_minutes=minutes), self._wall())

    def end(self) -> bool:
        """End the pause; whether there was one. Raises Problem: then it still holds."""
        with self._changed:
            if self._now is None:
                return False
            pause_file.remove(self._file)
            self._set(None)
        return True

    def _keep(self, record: PauseRecord, now: float) -> Pause:
        pause = _pause(record, now)
        self._set(pause)
        try:
            pause_file.write(self._file, record)
        except Problem as problem:
            raise Problem(_not_kept(problem.reason)) from problem
        return pause

    def _set(self, pause: Pause | None) -> None:
        self._now = pause
        self._tell(pause)
        self._changed.notify_all()

    def _recall(self) -> Pause | None:
        """What was kept. A pause whose time is over has ended; one in doubt holds."""
        now = self._wall()
        try:
            kept = pause_file.read(self._file)
        except Problem as problem:
            log.warning("%s", problem.reason)
            return Pause(_in_doubt(problem.reason))
        if kept is None:
            return None
        if kept.until_at is not None and kept.until_at <= now:
            self._forget()
            return None
        return _pause(kept, now)

    def _forget(self) -> None:
        """Remove the record of a pause that is over; left behind, it says so itself."""
        try:
            pause_file.remove(self._file)
        except Problem as problem:
            log.warning("%s", problem.reason)

    def _watch(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                until = self._now.until_at if self._now else None
                left = None if until is None else until - self._wall()
                if left is None or left > 0:
                    self._changed.wait(None if left is None else min(left, self._look))
                    continue
                self._forget()
                self._set(None)
            self._on_over()


def _pause(record: PauseRecord, now: float) -> Pause:
    until_at = record.until_at
    if record.idle_minutes:
        return Pause(_unused(record.idle_minutes))
    until = "until you resume it" if until_at is None else f"until {moment(until_at, now)}"
    return Pause(
        Reason(
            code="paused",
            hop=Hop.EDGE,
            what=f"Remote access is paused {until}.",
            meaning="The tunnels are stopped; OpenCode goes on working here.",
            cure=RESUME,
        ),
        until_at,
    )


def _unused(minutes: int) -> Reason:
    spent = "a minute" if minutes == 1 else f"{minutes} minutes"
    return Reason(
        code=UNUSED,
        hop=Hop.EDGE,
        what=f"Remote access was closed after {spent} without a request.",
        meaning="That is as you set it. The tunnels are stopped; OpenCode goes on here.",
        cure="Open it again from the tray, or with: nexus-tray resume",
    )


def _in_doubt(reason: Reason) -> Reason:
    return Reason(
        code="paused-in-doubt",
        hop=Hop.EDGE,
        what="Remote access is paused until you resume it.",
        meaning=f"Whether it was paused, and until when, cannot be read. {reason.what}",
        cure=RESUME,
    )


def _not_kept(reason: Reason) -> Reason:
    return Reason(
        code="pause-not-kept",
        hop=Hop.GATEWAY,
        what="Remote access is paused, but only until Nexus Tray ends.",
        meaning=f"The pause could not be kept for the next start. {reason.what}",
        cure=reason.cure,
    )
