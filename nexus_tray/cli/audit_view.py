"""`nexus-tray audit`: what happened at the doors, searched.

Owns how a row looks on a terminal. Imports layer 1 and Backend; main thread.
"""

from argparse import Namespace
from datetime import UTC, datetime

import msgspec

from nexus_tray.cli.console import Console, Exit
from nexus_tray.cli.log_view import instant
from nexus_tray.core.backend import Backend
from nexus_tray.inert import cell, inert, sheet_row
from nexus_tray.reports import AuditEntry, AuditQuery

PAGE = 1000
"""Rows asked for at once while all are exported."""


def audit(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Print the newest matches, the oldest of them first, as logs are printed."""
    query = AuditQuery(
        words=" ".join(options.words),
        events=tuple(options.event),
        since_at=instant(options.since, console.now()),
        until_at=instant(options.until, console.now()),
        limit=options.lines,
    )
    if options.export:
        return _export(backend, query, options.export, console)
    page = backend.audit(query)
    for entry in reversed(page.entries):
        if console.json:
            console.show(entry)
        else:
            console.say(_line(entry, console))
    if not (page.entries or console.json):
        console.err.write("Nothing in the audit trail matches.\n")
    console.out.flush()
    return Exit.OK


def _export(backend: Backend, query: AuditQuery, form: str, console: Console) -> Exit:
    """Every match, a page in memory at a time."""
    if form == "csv":
        console.out.write(sheet_row(("time", "event", "who", "address", "text")))
    query = msgspec.structs.replace(query, limit=PAGE)
    while True:
        page = backend.audit(query)
        for entry in page.entries:
            if form == "jsonl":
                console.show(entry)
            elif form == "csv":
                parts = (entry.event, entry.who, entry.address, entry.text)
                console.out.write(sheet_row((_utc(entry), *map(cell, parts))))
            else:
                parts = (entry.event, entry.address, entry.who, entry.text)
                console.say(" ".join((_utc(entry), *map(inert, parts))))
        if not page.more:
            console.out.flush()
            return Exit.OK
        query = msgspec.structs.replace(query, before=page.entries[-1].id)


def _utc(entry: AuditEntry) -> str:
    text = datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _line(entry: AuditEntry, console: Console) -> str:
    """One row in local time, one line whatever is in it."""
    at = datetime.fromtimestamp(entry.at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    parts = (f"{inert(entry.event):<16}", inert(entry.address), inert(entry.who))
    text = "  ".join((console.paint.ink(at, "90"), *parts, inert(entry.text)))
    return text.rstrip()
