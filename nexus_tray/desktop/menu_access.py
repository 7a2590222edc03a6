"""Closing remote access from the menu: for a while, and at once and wholly.

Owns which pauses are offered, and that a panic is never one click away from a slip: it
stands in a submenu, below what it ends. Pure; imports layer 1 and the pure parts of core;
any thread.
"""

from collections.abc import Iterator

from nexus_tray.commands import Panic, Resume
from nexus_tray.core.moments import SPAN_WORDS, moment
from nexus_tray.desktop.items import Item, PauseFor, Submit
from nexus_tray.model import ServiceKind, Snapshot

ENDS = (
    "This stops every tunnel, signs out every device,",
    "and voids every token and link; OpenCode goes on.",
)


def access(snapshot: Snapshot, now: float) -> Iterator[Item]:
    """Pause or resume, where there is something to close; and the panic, always."""
    if snapshot.paused:
        yield Item("resume", f"Resume remote access ({_paused(snapshot, now)})", Submit(Resume()))
    elif any(service.kind is ServiceKind.TUNNEL for service in snapshot.services):
        spans = (Item(f"pause {span}", word, PauseFor(span)) for span, word in SPAN_WORDS.items())
        yield Item("pause", "Pause remote access", items=tuple(spans))
    told = (Item(f"panic ends {number}", line) for number, line in enumerate(ENDS))
    yield Item(
        "panic",
        "Panic: end all access now…",
        items=(*told, Item("line panic"), Item("panic now", "End all access", Submit(Panic()))),
    )


def _paused(snapshot: Snapshot, now: float) -> str:
    until = snapshot.paused_until
    return "paused" if until is None else f"paused until {moment(until, now)}"
