"""`nexus-tray logs`: stored lines, and with -f the new ones as they come.

Owns the reading of the filters and the following. Imports layer 1 and Backend; main
thread. Following ends with Ctrl-C, or when the program ends.
"""

import re
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from nexus_tray.cli import draw
from nexus_tray.cli.console import Console, Exit, failed
from nexus_tray.core.backend import Backend
from nexus_tray.inert import inert
from nexus_tray.model import Level, LogLine, LogQuery, Reason

FOLLOW_SECONDS = 30.0
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def logs(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Print the newest matches, then follow if asked to."""
    query = query_of(options, console.now())
    page = backend.logs(query)
    _print(page.lines, console)
    _tell(page.trouble, None, console)
    if not (page.lines or options.follow or console.json):
        console.err.write("No stored line matches.\n")
    while options.follow:
        query = msgspec.structs.replace(query, after=page.last_id, limit=500)
        told = page.trouble
        page = backend.logs(query, FOLLOW_SECONDS)
        _print(page.lines, console)
        _tell(page.trouble, told, console)
    return Exit.OK


def _tell(trouble: Reason | None, told: Reason | None, console: Console) -> None:
    """Say once why lines are being lost."""
    if trouble is not None and trouble != told:
        console.err.write(f"{inert(str(trouble))}\n")


def query_of(options: Namespace, now: float) -> LogQuery:
    """The filters as a LogQuery. Raises Problem."""
    return LogQuery(
        sources=tuple(options.source),
        level=Level(options.level),
        words=" ".join(options.words),
        pattern=options.pattern,
        since_at=instant(options.since, now),
        until_at=instant(options.until, now),
        limit=options.lines,
    )


def instant(text: str | None, now: float) -> float | None:
    """`10m`, `2h`, `3d` ago, or an ISO 8601 time (local, unless it names its offset)."""
    if text is None:
        return None
    ago = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if ago:
        return now - int(ago[1]) * _UNITS[ago[2]]
    try:
        return datetime.fromisoformat(text).astimezone(UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise failed(
            f"“{text}” is no time.", "Write 10m, 2h or 3d (ago), or 2026-11-30T18:00."
        ) from error


def _print(lines: Sequence[LogLine], console: Console) -> None:
    for line in lines:
        if console.json:
            console.show(line)
        else:
            console.say(draw.log_line(line, console.paint))
    console.out.flush()
