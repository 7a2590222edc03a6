"""From values to lines for a terminal: the five hops, the services, log lines.

Pure: a Snapshot, the time and a Paint in; lines out. All text that a program or a person
elsewhere wrote is made inert first. Imports layer 1 and the pure parts of core.
"""

import textwrap
from datetime import UTC, datetime

from nexus_tray.cli.console import Paint
from nexus_tray.core.moments import moment
from nexus_tray.inert import inert
from nexus_tray.model import (
    HopState,
    LogLine,
    Question,
    Reason,
    Service,
    ServiceState,
    Snapshot,
)

STATE = {
    ServiceState.RUNNING: HopState.UP,
    ServiceState.STARTING: HopState.BUSY,
    ServiceState.STOPPING: HopState.BUSY,
    ServiceState.DEGRADED: HopState.DOWN,
    ServiceState.BACKOFF: HopState.DOWN,
    ServiceState.FAILED: HopState.DOWN,
    ServiceState.STOPPED: HopState.OFF,
}

TEXT_COLUMN = 26
NARROWEST = 24


def status(snapshot: Snapshot, now: float, paint: Paint, width: int = 0) -> list[str]:
    """The whole picture: headline, path, address, services, and who waits for an answer.

    Reasons are wrapped at `width` columns (0: not at all).
    """
    told: set[Reason] = set()
    headline = f"{paint.mark(snapshot.state)} {paint.word(snapshot.state, snapshot.state.value)}"
    lines = [f"{headline}  {inert(snapshot.headline)}", ""]
    for hop in snapshot.path:
        word = paint.word(hop.state, f"{hop.state.value:<8}")
        lines.append(f"  {paint.mark(hop.state)} {hop.hop.value:<12} {word} {inert(hop.text)}")
        lines += _reason(hop.reason, told, TEXT_COLUMN, width, said=hop.text)
    lines += ["", f"Address   {inert(snapshot.address or 'none')}"]
    if snapshot.paused:
        lines.append(f"Paused    {_until(snapshot, now)}; to end it: nexus-tray resume")
    lines.append("")
    for service in snapshot.services:
        lines += [_service(service, now, paint), *_reason(service.reason, told, TEXT_COLUMN, width)]
        lines += _reason(service.notice, told, TEXT_COLUMN, width)
    lines += _reason(snapshot.reason, told, 0, width)
    if snapshot.activity is not None and snapshot.activity.questions:
        lines += ["", "OpenCode waits for an answer"]
        lines += [_question(question) for question in snapshot.activity.questions]
    return lines


def log_line(line: LogLine, paint: Paint) -> str:
    """One log line in local time, one line whatever is in it."""
    at = datetime.fromtimestamp(line.at, UTC).astimezone()
    stamp = paint.ink(at.strftime("%Y-%m-%d %H:%M:%S"), "90")
    return f"{stamp}  {inert(line.source):<10} {paint.level(line.level)} {inert(line.text)}"


def span(seconds: float) -> str:
    """A length of time in its two largest units."""
    left = max(0, round(seconds))
    if left < 60:
        return f"{left} s"
    if left < 3600:
        return f"{left // 60} min"
    if left < 86400:
        return f"{left // 3600} h {left % 3600 // 60} min"
    return f"{left // 86400} d {left % 86400 // 3600} h"


def size(number: int) -> str:
    """Bytes in their largest fitting unit."""
    for unit, step in (("GB", 1e9), ("MB", 1e6)):
        if number >= step:
            return f"{number / step:.1f} {unit}"
    return f"{number / 1e3:.0f} kB"


def _until(snapshot: Snapshot, now: float) -> str:
    until = snapshot.paused_until
    return "until you resume it" if until is None else f"until {moment(until, now)}"


def _service(service: Service, now: float, paint: Paint) -> str:
    state = STATE[service.state]
    word = paint.word(state, f"{service.state.value:<8}")
    parts = [f"for {span(now - service.since_at)}"]
    if service.next_try_at is not None:
        parts.append(f"next try in {span(service.next_try_at - now)}")
    if service.state is ServiceState.FAILED:
        parts.append(f"to try again: nexus-tray start {inert(service.name)}")
    if service.restarts:
        parts.append(f"restarted {service.restarts} {_times(service.restarts)}")
    if service.facts.version:
        parts.append(inert(service.facts.version))
    if service.facts.address and service.state is ServiceState.RUNNING:
        parts.append(inert(service.facts.address))
    return f"  {paint.mark(state)} {inert(service.name):<12} {word} {', '.join(parts)}"


def _times(number: int) -> str:
    return "time" if number == 1 else "times"


def _reason(
    reason: Reason | None, told: set[Reason], indent: int, width: int, said: str = ""
) -> list[str]:
    """What (unless `said` said it), meaning and cure, each on a line of its own; the same
    reason only once."""
    if reason is None or reason in told:
        return []
    told.add(reason)
    parts = (reason.what, reason.meaning, reason.cure)
    lines = [
        line
        for part in parts
        if part and part != said
        for line in _wrapped(inert(part), width - indent)
    ]
    return [" " * indent + line for line in lines]


def _wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of `width`; a column too narrow to read is not wrapped at."""
    if width < NARROWEST:
        return [text]
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _question(question: Question) -> str:
    text = question.detail or " ".join(part.text for part in question.parts)
    return f"  {question.kind.value:<12} {inert(question.title)}: {inert(text)}"
