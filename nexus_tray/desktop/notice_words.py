"""What a notification says and offers: its words, its answers and where a click leads.

Owns the rules that titles are words of ours, that foreign text stands only in the body,
inert and bounded, and that nobody allows what they cannot read there. Pure; imports layer
1, the pure parts of core and its room's words; any thread.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from urllib.parse import quote, urlsplit

from nexus_tray.commands import AnswerPermission, AnswerQuestion, AnyCommand, Outcome, ShowWindow
from nexus_tray.core.snapshot import title as service_title
from nexus_tray.desktop.words import elided
from nexus_tray.inert import inert
from nexus_tray.model import (
    OpenCodeSession,
    Question,
    QuestionKind,
    Reason,
    Service,
    Snapshot,
)
from nexus_tray.reports import AuditEntry

ASKS, FINISHED, FAILED, ADDRESS, SIGN_IN = "asks ", "finished ", "failed ", "address ", "sign-in "
DOWN, BACK, OUTCOME, NOTICE, CLOSED = "down", "back", "outcome", "notice ", "closed"

MOST_TEXT = 200
"""Characters of foreign text. More is cut by most desktops, so it cannot be judged there."""
MOST_LINES = 4
MOST_OPTIONS = 3
"""Buttons that desktops show beside each other."""
DEEDS = {
    "bash": "run a command",
    "edit": "change a file",
    "write": "write a file",
    "read": "read a file",
    "webfetch": "fetch a web page",
    "external_directory": "leave its folder",
    "task": "start another agent",
}
"""OpenCode's permissions in words, the dashboard's too; a name that is not here is shown."""
NEW_PLACE = ", from a new place: "
"""What the trail says of a sign-in from where nobody came before (store.accounts)."""
STAYS_OFF = frozenset(("secrets-locked", "secrets-file-locked", "secrets-keyring-failed"))
"""What is told of secrets only where it keeps everybody out (app.locked_secrets)."""
QUICK_SUFFIX = ".trycloudflare.com"
"""Names that quick tunnels get: a new one each time (Cloudflare)."""


class Kind(StrEnum):
    """What a notification is about."""

    ASKS = "asks"
    DOWN = "down"
    BACK = "back"
    CLOSED = "closed"
    FAILED = "failed"
    ADDRESS = "address"
    SIGN_IN = "sign-in"
    NOTICE = "notice"
    FINISHED = "finished"
    OUTCOME = "outcome"


class Weight(IntEnum):
    """From which level on it is told."""

    IMPORTANT = 1
    ALL = 2


PASSING = (Kind.ADDRESS, Kind.FINISHED, Kind.NOTICE)
"""What is news only once: where the level does not want it, it is not told later either."""


@dataclass(frozen=True)
class Button:
    """An answer that can be given on the notification."""

    label: str
    command: AnyCommand


@dataclass(frozen=True)
class Notice:
    """One notification. `key` is who it is: the same key again takes the place of the first.

    `text` is plain text, lines parted by newlines. `page` of the dashboard is where a click
    leads. `lasting`: it is true until it is withdrawn, and worth showing late. `urgent`:
    about security, so shown also where the desktop was asked not to disturb.
    """

    key: str
    kind: Kind
    title: str
    text: str
    page: str = "/"
    buttons: tuple[Button, ...] = ()
    weight: Weight = Weight.IMPORTANT
    lasting: bool = True
    urgent: bool = False


def down(snapshot: Snapshot) -> Notice:
    """The way from outside does not lead to OpenCode, and why."""
    text = _reason(snapshot.reason) if snapshot.reason else _line(snapshot.headline)
    return Notice(DOWN, Kind.DOWN, "Not reachable", text)


def back(snapshot: Snapshot) -> Notice:
    """It does again."""
    text = _line(snapshot.address or snapshot.headline)
    return Notice(BACK, Kind.BACK, "Reachable again", text, lasting=False)


def closed(why: Reason) -> Notice:
    """Remote access closed by itself, and how to open it."""
    return Notice(CLOSED, Kind.CLOSED, "Remote access is closed", _reason(why))


def failed(service: Service) -> Notice:
    """A service that is no longer tried."""
    title = f"{service_title(service.kind, service.name)} cannot run"
    text = _reason(service.reason) if service.reason else "Its log says more."
    page = f"/logs?source={quote(service.name, safe='')}"
    return Notice(FAILED + service.name, Kind.FAILED, title, text, page)


def notice(service: Service, said: Reason) -> Notice:
    """What is worth knowing of a service that runs: each such thing once."""
    key = f"{NOTICE}{service.name} {said.code}"
    if said.code in STAYS_OFF:
        return Notice(key, Kind.NOTICE, "Remote access stays off", _reason(said))
    title = f"About {service_title(service.kind, service.name)}"
    return Notice(key, Kind.NOTICE, title, _reason(said), weight=Weight.ALL)


def address(now: str, *, before: str | None) -> Notice:
    """Where it is reachable. One that takes the place of another matters more: that is dead."""
    quick = (urlsplit(now).hostname or "").endswith(QUICK_SUFFIX)
    again = "\nBrowsers must sign in again, and paired phones pair again." if quick else ""
    weight = Weight.ALL if before is None else Weight.IMPORTANT
    text = f"{_line(now)}{again}"
    return Notice(ADDRESS + now, Kind.ADDRESS, "New address", text, weight=weight)


def asks(snapshot: Snapshot, question: Question) -> Notice:
    """OpenCode waits. Answers are offered where the whole question can be read."""
    deed = DEEDS.get(question.title) if question.kind is QuestionKind.PERMISSION else None
    title = f"OpenCode asks to {deed}" if deed else "OpenCode asks"
    text, whole = _body(question.detail if deed and question.detail else _asked(question))
    about = _session(snapshot, question.session_id)
    body = f"{text}\n{about}" if about else text
    return Notice(
        ASKS + question.id, Kind.ASKS, title, body, buttons=_answers(question, whole=whole)
    )


def finished(session: OpenCodeSession) -> Notice:
    """A session that worked and is idle now."""
    text = elided(session.title or "Without a title")
    key = FINISHED + session.id
    return Notice(key, Kind.FINISHED, "A session has finished", text, weight=Weight.ALL)


_TITLES = {
    "paired": "A new phone is paired",
    "passkey-added": "A passkey was added",
    "passkey-copied": "A passkey may have been copied",
}


def is_sign_in(row: AuditEntry) -> bool:
    """Whether somebody came in, or may from now on by a key of his own. The owner's own way into
    the local door is no sign-in."""
    return row.event in ("sign-in", *_TITLES)


def sign_in(row: AuditEntry) -> Notice:
    """Somebody came in, told by their browser's name and their address, and whether anybody
    had come from there before."""
    _, new, place = row.text.partition(NEW_PLACE)
    where = f"Nobody came from {_line(place)} before.\n" if new else ""
    text = (
        f"{_line(row.who)} from {_line(row.address)}\n{where}"
        "If this was not you: sign it out and set another password."
    )
    title = _TITLES.get(row.event, "New sign-in")
    if new:
        title = f"{title}, from a new place"
    return Notice(
        f"{SIGN_IN}{row.id}", Kind.SIGN_IN, title, text, "/access",
        lasting=False, urgent=True,
    )  # fmt: skip


def many(kind: Kind, number: int, last: str = "") -> Notice:
    """One notification for many of a kind; `last` tells one such from the next."""
    match kind:
        case Kind.ASKS:
            return Notice(ASKS, kind, f"{number} questions wait", "OpenCode asks. See them all.")
        case Kind.FINISHED:
            title = f"{number} sessions have finished"
            return Notice(FINISHED, kind, title, "See them all.", weight=Weight.ALL)
        case Kind.SIGN_IN:
            text = "If this was not you: sign them out and set another password."
            key = f"{SIGN_IN}many {last}"
            title = f"{number} new sign-ins"
            return Notice(key, kind, title, text, "/access", lasting=False, urgent=True)
        case _:
            title = f"{number} services cannot run"
            return Notice(FAILED, kind, title, "See why, and what to do.")


def outcome(command: AnyCommand, came: Outcome) -> Notice | None:
    """What a person should know of what came of a click: why it was not done, if so."""
    if came.reason is not None:
        text = _reason(came.reason)
        return Notice(OUTCOME, Kind.OUTCOME, "It was not done", text, lasting=False)
    if isinstance(command, ShowWindow) and came.value:
        title = "The dashboard is in the browser"
        return Notice(OUTCOME, Kind.OUTCOME, title, _line(came.value), lasting=False)
    return None


def _reason(reason: Reason) -> str:
    return "\n".join(_line(part) for part in (reason.what, reason.cure) if part)


def _line(text: str) -> str:
    return elided(text, MOST_TEXT)


def _body(text: str) -> tuple[str, bool]:
    """Foreign text, inert and bounded, and whether that is all of it."""
    lines = [inert(line) for line in text.splitlines()]
    kept = "\n".join(lines[:MOST_LINES])
    whole = len(lines) <= MOST_LINES and len(kept) <= MOST_TEXT
    return (kept, True) if whole else (kept[: MOST_TEXT - 1].rstrip() + "…", False)


def _asked(question: Question) -> str:
    if question.kind is QuestionKind.PERMISSION:
        return "\n".join(part for part in (f"Use “{question.title}”", question.detail) if part)
    return "\n".join(part.text for part in question.parts) or question.title


def _session(snapshot: Snapshot, session_id: str) -> str:
    sessions = snapshot.activity.sessions if snapshot.activity else ()
    title = next((s.title for s in sessions if s.id == session_id), "")
    return f"in “{elided(title, 40)}”" if title else ""


def _answers(question: Question, *, whole: bool) -> tuple[Button, ...]:
    """The answers that can be judged by what is shown; none of them: a click shows it all."""
    if not whole:
        return ()
    if question.kind is QuestionKind.PERMISSION:
        replies = (("once", "Allow once"), ("always", "Always"), ("reject", "Reject"))
        return tuple(
            Button(label, AnswerPermission(question_id=question.id, reply=reply))
            for reply, label in replies
        )
    if len(question.parts) != 1 or question.parts[0].multiple:
        return ()
    labels = [label for label, _ in question.parts[0].options]
    if len(labels) > MOST_OPTIONS or any(elided(label, 30) != label for label in labels):
        return ()
    return tuple(
        Button(label, AnswerQuestion(question_id=question.id, answers=((label,),)))
        for label in labels
    )
