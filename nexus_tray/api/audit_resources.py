"""The audit trail in the local API: a page of it, and all of it as a file.

Owns the handlers, the walk over the pages and AUDIT_ROUTES, a part of the one table in
`resources`. How text is made harmless in a file is `inert`'s. Imports layer 1 and Backend;
runs in the request's thread.
"""

from collections.abc import Callable, Iterator

import msgspec

from nexus_tray.api import streams
from nexus_tray.api.export import MEDIA, SUFFIX, Format, row, when
from nexus_tray.api.routes import Answer, Call, Route, fault
from nexus_tray.core.backend import Backend
from nexus_tray.inert import cell, inert
from nexus_tray.model import Hop, Reason, to_json
from nexus_tray.reports import AuditEntry, AuditPage, AuditQuery

PAGE = 1000
CSV_HEAD = ("time", "event", "who", "address", "text")
BUSY = Reason(
    code="api-streams",
    hop=Hop.GATEWAY,
    what="As many streams are open as this program allows at a time.",
    cure="Close another window or command first.",
)


class AuditExport(AuditQuery, frozen=True):
    """AuditQuery's filters, without a limit; `format`: `text`, `csv` or `jsonl`."""

    format: Format = Format.TEXT


def query_audit(call: Call) -> Answer:
    """What happened at the doors, newest first; `before` pages backwards."""
    return Answer(to_json(call.backend.audit(call.query)))


def export_audit(call: Call) -> Answer:
    """Every matching row as a file, newest first."""
    given = call.query
    query = AuditQuery(
        words=given.words, events=given.events, since_at=given.since_at,
        until_at=given.until_at, before=given.before, limit=PAGE,
    )  # fmt: skip
    page = call.backend.audit(query)
    release = call.hold()
    if release is None:
        return fault(429, BUSY)
    name = f'attachment; filename="nexus-tray-audit.{SUFFIX[given.format]}"'
    body = streams.released(written(entries(call.backend, query, page), given.format), release)
    return Answer(body, media=MEDIA[given.format], headers=(("Content-Disposition", name),))


def entries(backend: Backend, query: AuditQuery, page: AuditPage) -> Iterator[AuditEntry]:
    """Every match from `page` on, newest first, holding one page at a time."""
    while True:
        yield from page.entries
        if not page.more:
            return
        before = page.entries[-1].id
        page = backend.audit(msgspec.structs.replace(query, before=before))


def written(found: Iterator[AuditEntry], form: Format) -> Iterator[bytes]:
    """The rows as bytes of the file."""
    one = _WRITERS[form]
    if form is Format.CSV:
        yield row(CSV_HEAD)
    for entry in found:
        yield one(entry)


def _as_text(entry: AuditEntry) -> bytes:
    parts = (entry.event, entry.address, entry.who, entry.text)
    return (" ".join((when(entry.at), *map(inert, parts))) + "\n").encode()


def _as_csv(entry: AuditEntry) -> bytes:
    parts = (entry.event, entry.who, entry.address, entry.text)
    return row((when(entry.at), *map(cell, parts)))


def _as_json(entry: AuditEntry) -> bytes:
    return to_json(entry) + b"\n"


_WRITERS: dict[Format, Callable[[AuditEntry], bytes]] = {
    Format.TEXT: _as_text,
    Format.CSV: _as_csv,
    Format.JSONL: _as_json,
}

AUDIT_ROUTES: tuple[Route, ...] = (
    Route("GET", "/audit", query_audit, answers=AuditPage, query=AuditQuery),
    Route("GET", "/audit/export", export_audit, answers=str, query=AuditExport,
          media=tuple(MEDIA.values())),
)  # fmt: skip
