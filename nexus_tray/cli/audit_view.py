"""`nexus-tray audit`: what happened at the doors, searched.

Owns how a row looks on a terminal. Imports layer 1 and Backend; main thread.
"""

from argparse import Namespace
from datetime import UTC, datetime

from nexus_tray.cli.console import Console, Exit
from nexus_tray.cli.log_view import instant
from nexus_tray.core.backend import Backend
from nexus_tray.inert import inert
from nexus_tray.reports import AuditEntry, AuditQuery


def audit(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Print the newest matches, the oldest of them first, as logs are printed."""
    query = AuditQuery(
        words=" ".join(options.words),
        events=tuple(options.event),
        since_at=instant(options.since, console.now()),
        until_at=instant(options.until, console.now()),
        limit=options.lines,
    )
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


def _line(entry: AuditEntry, console: Console) -> str:
    """One row in local time, one line whatever is in it."""
    at = datetime.fromtimestamp(entry.at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    parts = (f"{inert(entry.event):<16}", inert(entry.address), inert(entry.who))
    text = "  ".join((console.paint.ink(at, "90"), *parts, inert(entry.text)))
    return text.rstrip()
