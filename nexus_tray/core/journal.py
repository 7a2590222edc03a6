"""The journal: a numbered, bounded ring of events that any number of readers follow.

Readers pull by cursor; there are no per-reader queues, so nobody can slow the writer. A
reader that fell behind, comes from an earlier start of the program, or is new, gets one
RESET with the whole Snapshot. Only the supervisor appends; any thread reads.
"""

import threading
from collections import deque
from collections.abc import Callable

from nexus_tray.model import Batch, Cursor, Event, EventKind, Reason, Snapshot


class Journal:
    """The ring. `wall` gives epoch seconds; `capacity` is how many events are kept.

    `on_note` hears each note as it is written, on the writer's thread: it must not block.
    """

    def __init__(
        self,
        boot_id: str,
        wall: Callable[[], float],
        capacity: int = 1000,
        on_note: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self.boot_id = boot_id
        self._wall = wall
        self._on_note = on_note
        self._events: deque[Event] = deque(maxlen=capacity)
        self._last_id = 0
        self._snapshot: Snapshot | None = None
        self._changed = threading.Condition()
        self._closed = False

    @property
    def next_id(self) -> int:
        """The id that the next appended event will have."""
        return self._last_id + 1

    def note(self, text: str, service: str = "", reason: Reason | None = None) -> int:
        """Append a sentence about what happened; its id."""
        return self._append(EventKind.NOTE, None, text, service, reason)

    def publish(self, snapshot: Snapshot) -> int:
        """Append a Snapshot, which becomes the latest; its id."""
        return self._append(EventKind.SNAPSHOT, snapshot, "", "", None)

    def latest(self) -> Snapshot:
        """The newest Snapshot. The supervisor publishes one before anybody can read."""
        with self._changed:
            if self._snapshot is None:
                raise RuntimeError("the journal was read before the first snapshot")
            return self._snapshot

    def since(self, cursor: Cursor | None, timeout: float) -> Batch:
        """Events after `cursor`, waiting up to `timeout` seconds for the first.

        Of several snapshots only the newest is answered: each is the whole truth.
        """
        with self._changed:
            if self._is_lost(cursor):
                return self._reset()
            assert cursor is not None  # noqa: S101 - _is_lost said so
            self._changed.wait_for(lambda: self._closed or self._last_id > cursor.id, timeout)
            if self._is_lost(cursor):
                return self._reset()
            events = [event for event in self._events if event.id > cursor.id]
        newest = max((e.id for e in events if e.snapshot is not None), default=0)
        kept = tuple(e for e in events if e.snapshot is None or e.id == newest)
        last = events[-1].id if events else cursor.id
        return Batch(cursor=Cursor(boot_id=self.boot_id, id=last), events=kept)

    def close(self) -> None:
        """Wake every waiting reader; later reads no longer wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _append(
        self, kind: EventKind, snapshot: Snapshot | None, text: str, service: str,
        reason: Reason | None,
    ) -> int:  # fmt: skip
        with self._changed:
            self._last_id += 1
            event = Event(
                id=self._last_id, at=self._wall(), kind=kind, snapshot=snapshot, note=text,
                service=service, reason=reason,
            )  # fmt: skip
            self._events.append(event)
            if snapshot is not None:
                self._snapshot = snapshot
            self._changed.notify_all()
        if kind is EventKind.NOTE:
            self._on_note(event)
        return event.id

    def _is_lost(self, cursor: Cursor | None) -> bool:
        """The reader's place is not in the ring, so only a reset tells it the truth."""
        if cursor is None or cursor.boot_id != self.boot_id or cursor.id > self._last_id:
            return True
        return bool(self._events) and cursor.id < self._events[0].id - 1

    def _reset(self) -> Batch:
        snapshot = self.latest_or_none()
        events: tuple[Event, ...] = ()
        if snapshot is not None:
            at = self._wall()
            events = (Event(id=self._last_id, at=at, kind=EventKind.RESET, snapshot=snapshot),)
        return Batch(cursor=Cursor(boot_id=self.boot_id, id=self._last_id), events=events)

    def latest_or_none(self) -> Snapshot | None:
        """The newest Snapshot, or None before the first."""
        return self._snapshot
