"""Notifications, put together: what is followed, who shows them, what a click does.

Owns two threads: one follows the journal and decides; one carries out clicks in their
order, for they may take seconds. The notifier has its own. `start`, `stop` and `join` are
for the thread that runs the program; only with a desktop.

New sign-ins are in the audit trail, exactly; it is read when its newest row's number has
changed, which is one indexed look at each turn (some 10 microseconds).
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from nexus_tray.commands import Outcome, ShowWindow
from nexus_tray.core.backend import Backend
from nexus_tray.desktop import notice_words as words
from nexus_tray.desktop import notices, notifier
from nexus_tray.desktop.notice_words import Button, Notice
from nexus_tray.desktop.notifier import Notifier, OnClick
from nexus_tray.desktop.tray import UNEXPECTED
from nexus_tray.model import Cursor, Problem, Snapshot
from nexus_tray.reports import AuditEntry

logger = logging.getLogger(__name__)

PACE = 0.5
"""Seconds between two looks: what comes in one storm is told together."""
WAKE = 5.0
"""Seconds between two looks when nothing happens: sign-ins, quiet hours, what lasts."""
END_SECONDS = 2.0


class Notify:
    """The notifications of one program. `make` gets what is to be told of clicks; `newest`
    answers the number of the audit trail's newest row, and raises Problem like the store."""

    def __init__(
        self,
        backend: Backend,
        newest: Callable[[], int],
        make: Callable[[OnClick], Notifier],
        *,
        clock: Callable[[], float] = time.monotonic,
        minute: Callable[[], int] = lambda: _minute(time.localtime()),
        pace: float = PACE,
        wake: float = WAKE,
    ) -> None:
        self._backend = backend
        self._newest = newest
        self._make = make
        self._clock = clock
        self._minute = minute
        self._pace = pace
        self._wake = wake
        self._clicks: queue.SimpleQueue[tuple[Notice, Button | None] | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._made = threading.Lock()
        self._notifier: Notifier | None = None
        self._state = notices.State()
        self._row: int | None = None
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for name, work in (("notices", self._follow), ("notice clicks", self._serve))
        ]

    def start(self) -> None:
        """Begin. The first thing told is what is true and of weight now."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take back what is shown; nothing is told from here on."""
        self._ended.set()
        self._clicks.put(None)
        with self._made:
            if self._notifier is not None:
                self._notifier.close()

    def join(self) -> None:
        """Wait until it has ended; after the journal was closed, which ends its waiting."""
        for thread in self._threads:
            thread.join(END_SECONDS)

    def _follow(self) -> None:
        shown = self._choose()
        cursor: Cursor | None = None
        snapshot: Snapshot | None = None
        while shown is not None and not self._ended.is_set():
            try:
                batch = self._backend.events(cursor, self._wake)
                cursor = batch.cursor
                for event in batch.events:
                    snapshot = event.snapshot or snapshot
                if snapshot is not None and not self._ended.is_set():
                    self._tell(shown, snapshot)
            except Exception:
                # whatever it is, what comes after it must still be told
                logger.exception("Notifications could not be decided.")
            self._ended.wait(self._pace)

    def _choose(self) -> Notifier | None:
        with self._made:
            if self._ended.is_set():
                return None
            try:
                self._notifier = self._make(lambda *click: self._clicks.put(click))
            except Problem as problem:
                logger.warning("There are no notifications. %s", problem.reason)
            except Exception:
                # a desktop's own failure must not cost more than its notifications
                logger.exception("There are no notifications.")
            return self._notifier

    def _tell(self, shown: Notifier, snapshot: Snapshot) -> None:
        wishes = self._backend.config().settings.notifications
        trail = self._trail()
        decision = notices.decide(
            self._state, snapshot, trail, wishes, self._clock(), self._minute()
        )
        self._state = decision.state
        for key in decision.withdraws:
            shown.withdraw(key)
        for notice in decision.shows:
            shown.show(notice)

    def _trail(self) -> Sequence[AuditEntry] | None:
        """The audit trail if there is something new in it."""
        try:
            row = self._newest()
            if row == self._row:
                return None
            trail = self._backend.access().trail
        except Problem as problem:  # said where it is looked at; the next turn tries again
            logger.debug("The audit trail cannot be read: %s", problem.reason)
            return None
        self._row = row
        return trail

    def _serve(self) -> None:
        """Carry out clicks until the end."""
        while (click := self._clicks.get()) is not None:
            notice, button = click
            command = ShowWindow(page=notice.page) if button is None else button.command
            try:
                outcome = self._backend.submit(command)
            except Exception:
                # a click that fails must not end those that follow
                logger.exception("A click on a notification could not be carried out.")
                outcome = Outcome(ok=False, reason=UNEXPECTED)
            said = words.outcome(command, outcome)
            if said is not None and self._notifier is not None:
                self._notifier.show(said)


def on_desktop(backend: Backend, newest: Callable[[], int], env: Mapping[str, str]) -> Notify:
    """The notifications of this desktop, not yet begun."""
    return Notify(backend, newest, lambda on_click: notifier.choose(env, on_click))


def _minute(local: time.struct_time) -> int:
    return local.tm_hour * 60 + local.tm_min
