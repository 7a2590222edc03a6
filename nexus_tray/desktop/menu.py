"""The tray's menu: a pure function from what is true to what is shown.

Owns which entries there are, their words and what a click on each means. An entry that
cannot do anything now is not there; what is text stays text. Imports layer 1 and the pure
parts of core; no clock: `now` is an argument (epoch seconds). Any thread.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nexus_tray.commands import (
    Autostart,
    OpenDoor,
    SetAutostart,
    Shutdown,
)
from nexus_tray.core.links import session_link
from nexus_tray.core.snapshot import ago
from nexus_tray.desktop.items import Browse, Copy, Item, Submit, dashboard
from nexus_tray.desktop.menu_access import access
from nexus_tray.desktop.menu_questions import asks
from nexus_tray.desktop.menu_services import service_item
from nexus_tray.desktop.words import elided, lines
from nexus_tray.model import (
    HopState,
    OpenCodeSession,
    ServiceKind,
    ServiceState,
    SessionState,
    Snapshot,
)

MOST_SESSIONS = 12
ORDER = (
    SessionState.WAITING,
    SessionState.WORKING,
    SessionState.INTERRUPTED,
    SessionState.IDLE,
    SessionState.UNKNOWN,
)
SESSION_WORDS = {
    SessionState.WORKING: "working",
    SessionState.WAITING: "waits for you",
    SessionState.INTERRUPTED: "interrupted",
    SessionState.IDLE: "idle",
    SessionState.UNKNOWN: "not known",
}
STATE_WORDS = {
    HopState.UP: "Reachable",
    HopState.BUSY: "Starting",
    HopState.DOWN: "Not reachable",
    HopState.OFF: "Remote access is off",
    HopState.UNKNOWN: "Not known",
}


@dataclass(frozen=True)
class Around:
    """What the menu needs to know besides the Snapshot.

    `can_copy`: this desktop's clipboard can be written. `autostart`: None while unknown.
    """

    can_copy: bool = False
    autostart: Autostart | None = None


def menu(snapshot: Snapshot, around: Around, now: float) -> tuple[Item, ...]:
    """The whole menu."""
    groups: list[list[Item]] = [
        [*_state(snapshot, now), *_address(snapshot, around)],
        list(asks(snapshot)),
        list(_doors(snapshot)),
        [
            *_sessions(snapshot),
            *(service_item(s, now, can_copy=around.can_copy) for s in snapshot.services),
        ],
        list(access(snapshot, now)),
        [
            *_autostart(around),
            Item("doctor", "Doctor…", dashboard("/doctor")),
            Item("settings", "Settings…", dashboard("/settings")),
            _quit(snapshot),
        ],
    ]
    items: list[Item] = []
    for number, group in enumerate(groups):
        if group and items:
            items.append(Item(f"line {number}"))
        items += group
    return tuple(items)


def title(snapshot: Snapshot) -> str:
    """The tool tip: the state in a line, and how many questions wait."""
    waiting = len(snapshot.activity.questions) if snapshot.activity else 0
    asked = f" · OpenCode asks {_count(waiting, 'question')}" if waiting else ""
    return f"Nexus Tray: {elided(snapshot.headline)}{asked}"


def _state(snapshot: Snapshot, now: float) -> Iterator[Item]:
    """The state in words; when it is not well, why, what to do, and when it is tried again."""
    reason = snapshot.reason
    if reason is None:
        yield Item("state", STATE_WORDS[snapshot.state])
        return
    word = "" if snapshot.state is HopState.OFF else f"{STATE_WORDS[snapshot.state]}: "
    for part, text in (("state", word + reason.what), ("cure", reason.cure)):
        for number, line in enumerate(lines(text)):
            yield Item(f"{part} {number}", line)
    tries = [s.next_try_at for s in snapshot.services if s.next_try_at is not None]
    if tries:
        yield Item("next try", f"Next try in {ago(max(0.0, min(tries) - now))}")


def _address(snapshot: Snapshot, around: Around) -> Iterator[Item]:
    if snapshot.address is None:
        return
    if around.can_copy:
        yield Item("address", f"Copy {elided(snapshot.address)}", Copy(snapshot.address))
    else:
        yield Item("address", elided(snapshot.address))


def _doors(snapshot: Snapshot) -> Iterator[Item]:
    """What opens in the browser, and pairing, which opens the dashboard. OpenCode's page is
    behind the gateway, so it needs that."""
    yield Item("dashboard", "Open dashboard", dashboard(), default=True)
    if any(
        service.kind is ServiceKind.GATEWAY and service.state is ServiceState.RUNNING
        for service in snapshot.services
    ):
        yield Item("opencode", "Open OpenCode", Browse(OpenDoor()))
    if snapshot.address is not None:  # else there is nowhere for a phone to come
        yield Item("pair", "Pair a phone…", dashboard("/access?pair"))


def _sessions(snapshot: Snapshot) -> Iterator[Item]:
    """OpenCode's sessions, those that wait or work first, then the newest."""
    sessions = snapshot.activity.sessions if snapshot.activity else ()
    if not sessions:
        return
    ranked = sorted(sessions, key=lambda s: (ORDER.index(s.state), -(s.updated_at or 0.0)))
    counts = [
        f"{number} {word}"
        for state, word in ((SessionState.WORKING, "working"), (SessionState.WAITING, "waiting"))
        if (number := sum(session.state is state for session in sessions))
    ]
    label = ": ".join(["Sessions", ", ".join(counts)] if counts else ["Sessions"])
    yield Item("sessions", label, items=tuple(_session(s) for s in ranked[:MOST_SESSIONS]))


def _session(session: OpenCodeSession) -> Item:
    link = OpenDoor(path=session_link(session.directory, session.id))
    label = f"{elided(session.title or 'Without a title')} · {SESSION_WORDS[session.state]}"
    return Item(f"session {session.id}", label, Browse(link))


def _autostart(around: Around) -> Iterator[Item]:
    if around.autostart is None:
        return
    checked = around.autostart in (Autostart.ON, Autostart.SIGNED_IN)
    label = "Start at login"
    if around.autostart is Autostart.STALE:
        label = "Start this copy at login (another is entered)"
    yield Item("autostart", label, Submit(SetAutostart(enabled=not checked)), checked=checked)


def _quit(snapshot: Snapshot) -> Item:
    """Quit; while OpenCode works, only after having read what would be cut off."""
    working = _working(snapshot)
    if not working:
        return Item("quit", "Quit", Submit(Shutdown()))
    told = (
        Item("cut off", "These would be cut off:"),
        *(Item(f"cut off {s.id}", f"  {elided(s.title or 'Without a title')}") for s in working),
        Item("line quit"),
        Item("quit now", "Quit now", Submit(Shutdown())),
    )
    verb = "works" if len(working) == 1 else "work"
    return Item(
        "quit while working", f"Quit: {_count(len(working), 'session')} {verb}…", items=told
    )


def _working(snapshot: Snapshot) -> Sequence[OpenCodeSession]:
    """Sessions in the middle of something; one that waits for an answer is, too."""
    sessions = snapshot.activity.sessions if snapshot.activity else ()
    return [s for s in sessions if s.state in (SessionState.WORKING, SessionState.WAITING)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
