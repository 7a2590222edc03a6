"""Log lines as a file: text, CSV or JSON lines, one event one line (SECURITY.md 30, 31).

Owns the formats and the walk over the store in pages, so that an export of any length
takes the memory of one page. Imports layer 1 and Backend only; runs in the thread of the
request.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from nexus_tray.core.backend import Backend
from nexus_tray.inert import cell, inert, sheet_row
from nexus_tray.model import Hop, LogLine, LogPage, LogQuery, Problem, Reason, to_json

PAGE = 500

STUCK = Reason(
    code="log-export-stuck",
    hop=Hop.GATEWAY,
    what="The export ended early: the pattern takes too long on a line.",
    cure="Use a simpler pattern, or words.",
)


class Format(StrEnum):
    """The forms of an export."""

    TEXT = "text"
    CSV = "csv"
    JSONL = "jsonl"


MEDIA = {
    Format.TEXT: "text/plain; charset=utf-8",
    Format.CSV: "text/csv; charset=utf-8",
    Format.JSONL: "application/x-ndjson",
}
SUFFIX = {Format.TEXT: "txt", Format.CSV: "csv", Format.JSONL: "jsonl"}
TOTAL = "Nexus-Lines-At-Most"
"""The field that says how much there is to come (`at_most`)."""
CSV_HEAD = ("time", "source", "level", "text")


def first_page(backend: Backend, query: LogQuery) -> tuple[LogPage, int]:
    """The oldest matches, and the newest id there is: an export ends there.

    Without that bound, a flood of new lines would make it endless. Raises Problem.
    """
    newest = backend.logs(LogQuery(limit=1)).last_id
    start = msgspec.structs.replace(query, after=query.after or 0, limit=PAGE)
    return backend.logs(start), newest


def at_most(page: LogPage, newest: int) -> int:
    """How many lines an export that begins with this page can have: exactly so many where
    nothing is filtered, for the ids of stored lines have no holes."""
    first = page.lines[0].id if page.lines else page.last_id + 1
    return max(0, newest - first + 1) if page.lines or page.more else 0


def lines(backend: Backend, query: LogQuery, page: LogPage, newest: int) -> Iterator[LogLine]:
    """Every match from `page` on, oldest first, up to the id `newest`.

    A page may be empty and yet not the last: the store bounds the time of each search.
    Raises Problem where it can not get beyond a line (a pattern that takes for ever).
    """
    seen = -1
    while True:
        yield from (line for line in page.lines if line.id <= newest)
        if not page.more or page.last_id >= newest:
            return
        if page.last_id <= seen:
            raise Problem(STUCK)
        seen = page.last_id
        page = backend.logs(msgspec.structs.replace(query, after=seen, limit=PAGE))


def written(found: Iterator[LogLine], form: Format) -> Iterator[bytes]:
    """The lines as bytes of the file."""
    one = WRITERS[form]
    if form is Format.CSV:
        yield row(CSV_HEAD)
    for line in found:
        yield one(line)


def when(at: float) -> str:
    """An instant as ISO 8601 in UTC with milliseconds."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def as_text(line: LogLine) -> bytes:
    """`time source level text`."""
    parts = (when(line.at), inert(line.source), line.level.value, inert(line.text))
    return (" ".join(parts) + "\n").encode()


def as_csv(line: LogLine) -> bytes:
    """A row in which every cell is quoted, and none is a formula."""
    return row((when(line.at), cell(line.source), line.level.value, cell(line.text)))


def as_json(line: LogLine) -> bytes:
    """The LogLine itself."""
    return to_json(line) + b"\n"


WRITERS: dict[Format, Callable[[LogLine], bytes]] = {
    Format.TEXT: as_text,
    Format.CSV: as_csv,
    Format.JSONL: as_json,
}


def row(cells: tuple[str, ...]) -> bytes:
    """A line of a spreadsheet's file; formulas are the caller's to break."""
    return sheet_row(cells).encode()
