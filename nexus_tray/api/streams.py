"""Answers that go on: server-sent events of the journal, and log lines as they come.

Owns the two wire forms and their heartbeats. A stream asks Backend again every second; in
between it writes a heartbeat, because only a write tells that the other side has gone.
Each runs in the thread of its request until the client leaves or `over` says so.
"""

from collections.abc import Callable, Iterator

import msgspec

from nexus_tray.api.routes import write_cursor
from nexus_tray.core.backend import Backend
from nexus_tray.model import Batch, Cursor, Event, LogPage, LogQuery, to_json

HEARTBEAT = 1.0
"""Seconds between two writes of a silent stream."""


def events(
    backend: Backend, since: Cursor | None, over: Callable[[], bool], release: Callable[[], None]
) -> Iterator[bytes]:
    """Server-sent events (WHATWG HTML, 9.2): `id` is a cursor, `event` the kind, `data` the Event.

    A new reader's first frame is a RESET with the Snapshot. `release` is called at the end.
    """
    try:
        batch = backend.events(since, 0.0)
        yield _frames(batch) or b": resumed\n\n"
        while not over():
            batch = backend.events(batch.cursor, HEARTBEAT)
            yield _frames(batch) or b": alive\n\n"
    finally:
        release()


def log_lines(
    backend: Backend,
    query: LogQuery,
    page: LogPage,
    over: Callable[[], bool],
    release: Callable[[], None],
) -> Iterator[bytes]:
    """LogLines as NDJSON from `page` on; an empty line is a heartbeat."""
    try:
        yield _lines(page)
        while not over():
            query = msgspec.structs.replace(query, after=page.last_id, before=None, limit=500)
            page = backend.logs(query, 0.0 if page.more else HEARTBEAT)
            yield _lines(page)
    finally:
        release()


def released(body: Iterator[bytes], release: Callable[[], None]) -> Iterator[bytes]:
    """`body`, and `release` at its end or when the client leaves."""
    try:
        yield from body
    finally:
        release()


def _frames(batch: Batch) -> bytes:
    return b"".join(_frame(batch.cursor.boot_id, event) for event in batch.events)


def _frame(boot_id: str, event: Event) -> bytes:
    place = write_cursor(Cursor(boot_id=boot_id, id=event.id))
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        place.encode(), event.kind.value.encode(), to_json(event),
    )  # fmt: skip


def _lines(page: LogPage) -> bytes:
    return b"".join(to_json(line) + b"\n" for line in page.lines) or b"\n"
