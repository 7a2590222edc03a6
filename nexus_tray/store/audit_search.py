"""Search in the audit trail, a few thousand rows at a time.

Owns the translation of an AuditQuery into bounded SQL. Imports `store.database`
and layer 1. Any thread may call, but not the gateway's loop. The loop's own
reads share the reading connection, so no statement here looks at more than STEP rows.
"""

from collections.abc import Collection

from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.reports import AuditEntry, AuditPage, AuditQuery
from nexus_tray.store.database import Database

STEP = 2000
"""Rows that one statement looks at. Twice as many took 5.3 ms at most (measured)."""
_HIGHEST = 2**63 - 1


def search(database: Database, query: AuditQuery, events: Collection[str]) -> AuditPage:
    """The newest matches below `query.before`, newest first. `events`: all that there are.

    Raises Problem: an event that does not exist, or a database that cannot be read.
    """
    unknown = [event for event in query.events if event not in events]
    if unknown:
        raise Problem(_unknown(unknown[0], events))
    where, values = _conditions(query)
    before = _HIGHEST if query.before is None else query.before
    found: list[AuditEntry] = []
    while len(found) <= query.limit:
        floor = _floor(database, before)
        if floor is None:
            break
        rows = database.read(
            "SELECT id, at, event, who, address, outcome FROM audit"  # noqa: S608 - no values
            f" WHERE id >= ? AND id < ?{where} ORDER BY id DESC LIMIT ?",
            (floor, before, *values, query.limit + 1 - len(found)),
        )
        found += [
            AuditEntry(id=row[0], at=row[1], event=row[2], who=row[3], address=row[4], text=row[5])
            for row in rows
        ]
        before = floor
    return AuditPage(entries=tuple(found[: query.limit]), more=len(found) > query.limit)


def _floor(database: Database, before: int) -> int | None:
    """The lowest id of the next STEP rows below `before`; None where there is no row."""
    rows = database.read(
        "SELECT min(id) FROM (SELECT id FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?)",
        (before, STEP),
    )
    lowest = rows[0][0]
    return None if lowest is None else int(lowest)


def _conditions(query: AuditQuery) -> tuple[str, list[object]]:
    """What follows the bounds of the ids, and its values."""
    where, values = "", list[object]()
    if query.events:
        where += f" AND event IN ({', '.join('?' * len(query.events))})"
        values += query.events
    if query.since_at is not None:
        where += " AND at >= ?"
        values.append(query.since_at)
    if query.until_at is not None:
        where += " AND at < ?"
        values.append(query.until_at)
    for word in query.words.split():
        text = "event || char(10) || who || char(10) || address || char(10) || outcome"
        where += f" AND {text} LIKE ? ESCAPE '\\'"
        values.append(f"%{_literal(word)}%")
    return where, values


def _literal(word: str) -> str:
    """A word in which nothing is a wildcard of LIKE, and no half of a surrogate pair."""
    for special in "\\%_":
        word = word.replace(special, "\\" + special)
    return word.encode(errors="replace").decode()


def _unknown(event: str, events: Collection[str]) -> Reason:
    return Reason(
        code="audit-event-unknown",
        hop=Hop.GATEWAY,
        what=f"“{event}” is no event of the audit trail.",
        cure=f"There are: {', '.join(events)}.",
    )
