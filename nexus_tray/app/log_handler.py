"""Python's log records into the log store, so that nothing unexpected is swallowed.

Owns the one handler on the root logger. Records may come from any thread; the store's
`append` never blocks.
"""

import logging
from collections.abc import Callable

from nexus_tray.model import Event, Level

SOURCE = "nexus-tray"

Append = Callable[[str, Level, str], None]


def level_of(number: int) -> Level:
    """Python's level number as ours; CRITICAL is an error."""
    if number >= logging.ERROR:
        return Level.ERROR
    if number >= logging.WARNING:
        return Level.WARNING
    return Level.INFO if number >= logging.INFO else Level.DEBUG


class StoreHandler(logging.Handler):
    """Appends each record, traceback included, line by line."""

    def __init__(self, append: Append) -> None:
        super().__init__()
        self._append = append

    def emit(self, record: logging.LogRecord) -> None:
        """One line of the record, one line of the log."""
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - a wrong format argument must not end the thread that logged
            self.handleError(record)
            return
        for line in text.splitlines():
            self._append(SOURCE, level_of(record.levelno), line)


def install(append: Append) -> Callable[[], None]:
    """Send everything from INFO up to the store; answers the function that ends it."""
    handler = StoreHandler(append)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)

    def remove() -> None:
        root.removeHandler(handler)
        root.setLevel(before)
        logging.captureWarnings(False)

    return remove


def note_line(append: Append) -> Callable[[Event], None]:
    """Writes the journal's notes into the log, graver when they carry a reason."""

    def write(event: Event) -> None:
        level = Level.WARNING if event.reason else Level.INFO
        cure = f" {event.reason.cure}" if event.reason and event.reason.cure else ""
        append(event.service or SOURCE, level, event.note + cure)

    return write
