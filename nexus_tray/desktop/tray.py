"""The tray: follows Backend, draws what is true, carries out what is clicked.

Owns two threads beside the icon's own: one follows the journal and draws, at most four
times a second and at least every quarter of a minute (durations grow); one carries out
clicks in their order, for they may take seconds and nothing may hold up the icon. Knows
Backend only; what the desktop does for it (browser, clipboard) is given as `Hands`.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from nexus_tray.commands import Autostart, GetAutostart, Panic, Pause, ShowWindow
from nexus_tray.core.backend import Backend
from nexus_tray.core.moments import end_of
from nexus_tray.desktop.items import Action, Browse, Copy, PauseFor, Submit
from nexus_tray.desktop.menu import Around
from nexus_tray.desktop.view import Icon, View, view
from nexus_tray.model import Cursor, Hop, Problem, Reason, Snapshot

logger = logging.getLogger(__name__)

PACE = 0.25
"""Seconds between two drawings: soon enough to be at once, and a storm becomes four."""
COUNTING = 1.0
"""Seconds until the next drawing while a "next try in 8 s" is shown."""
IDLE = 15.0
"""Seconds until the next drawing when nothing happens."""
PANEL_GRACE = 10.0
"""Seconds a desktop that has just begun may take to show its panel."""


@dataclass(frozen=True)
class Hands:
    """What the desktop does for the tray. `copy` is None where there is no clipboard.

    Both answer whether it was done. `say` hears, once each, what a person should know.
    """

    browse: Callable[[str], bool]
    copy: Callable[[str], bool] | None
    say: Callable[[Reason], None]


class Tray:
    """The tray icon of one program. `make` gets what is to be told of clicks."""

    def __init__(
        self,
        backend: Backend,
        make: Callable[[Callable[[Action], None]], Icon],
        hands: Hands,
        *,
        wall: Callable[[], float] = time.time,
        panel_grace: float = PANEL_GRACE,
    ) -> None:
        self._backend = backend
        self._hands = hands
        self._wall = wall
        self._clicks: queue.SimpleQueue[Action | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._panel_until: float | None = time.monotonic() + panel_grace
        self._drawing = threading.Lock()
        self._drawn: View | None = None
        self.icon = make(self._clicks.put)

    def run(self) -> None:
        """Show the icon until `stop`, or until its desktop is gone. On the main thread."""
        for name, work in (("tray", self._follow), ("tray clicks", self._serve)):
            threading.Thread(target=work, name=name, daemon=True).start()
        try:
            self.icon.run()
        finally:
            self._ended.set()
            self._clicks.put(None)

    def stop(self) -> None:
        """Have `run` return. Any thread."""
        self._ended.set()
        self.icon.stop()

    def _follow(self) -> None:
        """Draw each new truth until the end."""
        cursor: Cursor | None = None
        snapshot: Snapshot | None = None
        while not self._ended.is_set():
            try:
                batch = self._backend.events(cursor, _patience(snapshot))
                cursor = batch.cursor
                shown = [event.snapshot for event in batch.events if event.snapshot is not None]
                snapshot = shown[-1] if shown else snapshot
                if snapshot is not None:
                    self._draw(snapshot)
                self._look_for_panel()
            except Exception:
                # whatever it is, an icon that no longer follows would show what is not true
                logger.exception("The tray could not draw.")
            self._ended.wait(PACE)

    def _draw(self, snapshot: Snapshot) -> None:
        around = Around(can_copy=self._hands.copy is not None, autostart=self._autostart())
        now = view(snapshot, around, self._wall())
        with self._drawing:
            if now != self._drawn:
                self._drawn = now
                self.icon.show(now)

    def _autostart(self) -> Autostart | None:
        outcome = self._backend.submit(GetAutostart())
        return Autostart(outcome.value) if outcome.ok and outcome.value else None

    def _look_for_panel(self) -> None:
        """Say, once, that nobody shows the icon; not while the desktop may be starting."""
        if self._panel_until is None or self.icon.seen is not False:
            return
        if self._ended.is_set():  # it is gone because we end
            return
        if time.monotonic() >= self._panel_until:
            self._panel_until = None
            self._hands.say(NO_PANEL)

    def _serve(self) -> None:
        """Carry out clicks until the end."""
        while (action := self._clicks.get()) is not None:
            try:
                reason = self._carry_out(action)
            except Problem as problem:
                reason = problem.reason
            except Exception:
                # a click that fails must not end those that follow
                logger.exception("A click could not be carried out.")
                reason = UNEXPECTED
            if reason is not None:
                self.icon.tell(
                    "It was not done", " ".join(filter(None, (reason.what, reason.cure)))
                )

    def _carry_out(self, action: Action) -> Reason | None:
        """Do what was clicked; why not, if it was not done."""
        match action:
            case Submit(command=command):
                outcome = self._backend.submit(command)
                self._draw(self._backend.snapshot())  # start at login is in no event
                if outcome.ok and isinstance(command, Panic):  # with the way back
                    self.icon.tell("All access is ended", outcome.value)
                if outcome.ok and isinstance(command, ShowWindow) and outcome.value:
                    self.icon.tell("The dashboard is in the browser", outcome.value)
                return outcome.reason
            case PauseFor(span=span):
                return self._backend.submit(Pause(until_at=end_of(span, self._wall()))).reason
            case Browse(command=command):
                outcome = self._backend.submit(command)
                if not outcome.ok:
                    return outcome.reason
                return None if self._hands.browse(outcome.value) else NO_BROWSER
            case Copy(text=text):
                copy = self._hands.copy
                return None if copy is not None and copy(text) else NO_CLIPBOARD


def _patience(snapshot: Snapshot | None) -> float:
    """Seconds until the picture may change by itself."""
    if snapshot is None:
        return COUNTING
    counting = any(service.next_try_at is not None for service in snapshot.services)
    return COUNTING if counting else IDLE


NO_PANEL = Reason(
    code="no-tray-host",
    hop=Hop.DEVICE,
    what="No panel on this desktop shows tray icons.",
    meaning="Nexus Tray runs, but its icon cannot be seen; it appears as soon as there is one.",
    cure="On GNOME, install the extension “AppIndicator and KStatusNotifierItem Support”; "
    "elsewhere add the status tray to a panel. Until then: nexus-tray dashboard",
)

NO_BROWSER = Reason(
    code="no-browser",
    hop=Hop.DEVICE,
    what="No browser could be opened.",
    cure="Print the link instead: nexus-tray dashboard --print",
)

NO_CLIPBOARD = Reason(
    code="no-clipboard",
    hop=Hop.DEVICE,
    what="The clipboard could not be written.",
    cure="Read the address instead: nexus-tray status",
)

UNEXPECTED = Reason(
    code="tray-unexpected",
    hop=Hop.DEVICE,
    what="Something unexpected happened.",
    cure="What it was stands in the log: nexus-tray logs --source nexus-tray",
)
