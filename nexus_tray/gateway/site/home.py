"""The home page: OpenCode's sessions of all projects, and what it waits on a person for.

Pure functions from a Snapshot to HTML. The page is whole without a script: links open
sessions, plain forms answer questions. With `ui/gateway/live.js` the same `fragment` is
fetched again and its changed parts put in place, matched by their ids. Imports the
model and `gateway.pages`. Runs on the gateway's event loop.
"""

import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass

from nexus_tray.gateway.site.pages import frame, text
from nexus_tray.model import (
    Activity,
    Hop,
    HopState,
    OpenCodeSession,
    Question,
    QuestionKind,
    QuestionPart,
    SessionState,
    Snapshot,
)

MOST_SESSIONS = 200

OPENCODE_WORDS = {
    HopState.UP: "OpenCode runs",
    HopState.BUSY: "OpenCode is starting",
    HopState.DOWN: "OpenCode is down",
    HopState.OFF: "OpenCode is off",
    HopState.UNKNOWN: "OpenCode: not known",
}
# The first of each is the class that gives colour and shape; the second is the word.
SESSION_WORDS = {
    SessionState.WORKING: ("up", "working"),
    SessionState.WAITING: ("busy", "waiting for you"),
    SessionState.INTERRUPTED: ("down", "interrupted"),
    SessionState.IDLE: ("off", "idle"),
    SessionState.UNKNOWN: ("off", "state not known"),
}
ORDER = (
    SessionState.WAITING,
    SessionState.WORKING,
    SessionState.INTERRUPTED,
    SessionState.IDLE,
    SessionState.UNKNOWN,
)
PERMISSIONS = {
    "bash": "Run this command?",
    "edit": "Change this file?",
    "write": "Write this file?",
    "read": "Read this file?",
    "webfetch": "Fetch this address?",
    "websearch": "Search the web for this?",
    "external_directory": "Work outside its folder?",
    "doom_loop": "Go on, though it repeats itself?",
}
NOTES = {
    "answered": ("up", "Your answer is on its way."),
    "rejected": ("up", "You said no."),
    "restarted": ("up", "OpenCode is being restarted. This takes a few seconds."),
    "gone": ("down", "That question is no longer open: it was answered elsewhere, or it ended."),
    "empty": ("down", "Nothing was chosen. Pick an answer, write one, or dismiss the question."),
}
STALE = (
    '<p id="stale" class="note busy" role="status" hidden>This page cannot reach '
    "the computer just now; what it shows may be old.</p>"
)


@dataclass(frozen=True)
class View:
    """What the home page shows. `now` in seconds since the epoch; `note` a key of NOTES;
    `passkeys`: one may be added at this address."""

    snapshot: Snapshot
    machine: str
    who: str
    now: float
    note: str = ""
    passkeys: bool = False


def page(view: View) -> bytes:
    """The whole home page."""
    return frame("Sessions", view.machine, _body(view), corner=_sign_out(), kind="home")


def fragment(view: View) -> bytes:
    """The part that changes."""
    return "".join((_head(view), _waiting(view), _sessions(view))).encode()


def money(cost: float | None) -> str:
    """US dollars; what is not known is a dash, never zero."""
    if cost is None:
        return "$ —"
    return "< $0.01" if 0 < cost < 0.005 else f"${cost:,.2f}"


def age(seconds: float) -> str:
    """How long ago, in minutes or more, so that the page changes at most once a minute."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def _body(view: View) -> str:
    kind, words = NOTES.get(view.note, ("", ""))
    note = f'<p class="note {kind}" role="status">{words}</p>' if words else ""
    return (
        f'{note}<div id="live" class="live" data-from="/_nexus/home-fragment">'
        f"{fragment(view).decode()}</div>{STALE}"
        f'<footer class="dim small">Signed in as {text(view.who)}{_passkeys(view)}</footer>'
    )


def _passkeys(view: View) -> str:
    return ' · <a href="/_nexus/passkeys">Passkeys</a>' if view.passkeys else ""


def _sign_out() -> str:
    return (
        '<form class="corner" method="post" action="/_nexus/sign-out">'
        '<button class="quiet">Sign out</button></form>'
    )


def _head(view: View) -> str:
    """The heading with OpenCode's state, and why it is not up."""
    hop = next((hop for hop in view.snapshot.path if hop.hop is Hop.OPENCODE), None)
    state = hop.state if hop else HopState.UNKNOWN
    why = ""
    if hop and hop.reason and state is not HopState.UP:
        why = f'<p class="note {_colour(state)}">{text(str(hop.reason))}</p>'
    return (
        '<div id="head" class="head"><h1>Sessions</h1>'
        f'<span class="state {_colour(state)}">{OPENCODE_WORDS[state]}</span>{why}'
        f"{restart(view.snapshot)}</div>"
    )


def restart(snapshot: Snapshot, session_id: str = "") -> str:
    """A button that starts OpenCode anew, where it is down; then back to that session's page."""
    hop = next((hop for hop in snapshot.path if hop.hop is Hop.OPENCODE), None)
    if hop is None or hop.state is not HopState.DOWN:
        return ""
    return (
        '<form class="act" method="post" action="/_nexus/restart">'
        f'<input type="hidden" name="id" value="{text(session_id)}">'
        '<button class="primary">Restart OpenCode</button></form>'
    )


def _colour(state: HopState) -> str:
    return "off" if state is HopState.UNKNOWN else str(state)


def _waiting(view: View) -> str:
    activity = view.snapshot.activity or Activity()
    return waiting(activity.questions, activity, view.now)


def waiting(
    questions: Iterable[Question], activity: Activity, now: float, *, back: str = ""
) -> str:
    """The cards of these questions; an answer leads back to that session's page, or to home."""
    cards = "".join(_question(one, activity, now, back) for one in questions)
    hidden = "" if cards else " hidden"
    return (
        f'<section id="waiting" class="waiting" aria-label="Waiting for you" aria-live="polite"'
        f"{hidden}>{cards}</section>"
    )


def _question(question: Question, activity: Activity, now: float, back: str) -> str:
    session = next((s for s in activity.sessions if s.id == question.session_id), None)
    title = f"“{text(session.title)}”" if session and session.title else "a session"
    project = text(session.project if session else question.directory)
    asked = "" if question.asked_at is None else f" · {age(now - question.asked_at)}"
    context = f'<p class="dim small">{project} · {title}{asked}</p>'
    leads_to = f'<input type="hidden" name="session" value="{text(back)}">' if back else ""
    inside = _permission(question) if question.kind is QuestionKind.PERMISSION else _parts(question)
    return (
        f'<form class="ask" id="q-{text(question.id)}" method="post" action="/_nexus/answer">'
        f'<input type="hidden" name="id" value="{text(question.id)}">'
        f'{leads_to}<span class="state busy">Waiting for you</span>{inside[0]}{context}'
        f'<div class="buttons">{inside[1]}</div></form>'
    )


def _permission(question: Question) -> tuple[str, str]:
    """All of what it wants to do is shown: a command cut short is not what one allows."""
    asks = PERMISSIONS.get(question.title, f"Allow “{question.title}”?")
    detail = "\n".join(text(line) for line in question.detail.split("\n"))
    shown = f'<pre tabindex="0">{detail}</pre>' if question.detail else ""
    return f"<h2>{text(asks)}</h2>{shown}", (
        '<button name="reply" value="reject">Reject</button>'
        '<button name="reply" value="always">Always</button>'
        '<button class="primary" name="reply" value="once">Allow once</button>'
    )


def _parts(question: Question) -> tuple[str, str]:
    parts = "".join(_part(number, part) for number, part in enumerate(question.parts))
    return f"<h2>{text(question.title or 'OpenCode asks')}</h2>{parts}", (
        '<button name="reply" value="dismiss">Dismiss</button>'
        '<button class="primary" name="reply" value="send">Send answer</button>'
    )


def _part(number: int, part: QuestionPart) -> str:
    kind = "checkbox" if part.multiple else "radio"
    choices = "".join(
        f'<label class="choice"><input type="{kind}" name="choice{number}" value="{place}">'
        f"<span><b>{text(label)}</b>"
        + (f'<span class="dim small">{text(description)}</span>' if description else "")
        + "</span></label>"
        for place, (label, description) in enumerate(part.options)
    )
    hint = "Or in your own words" if part.options else "Your answer"
    own = (
        f'<label class="own">{hint}<input type="text" name="own{number}" maxlength="2000" '
        'autocomplete="off"></label>'
        if part.custom
        else ""
    )
    return f"<fieldset><legend>{text(part.text)}</legend>{choices}{own}</fieldset>"


def _sessions(view: View) -> str:
    activity = view.snapshot.activity
    new = '<a class="button" href="/_nexus/new">New session</a>'
    actions = f'<div class="buttons">{new}<a class="button" href="/">Open OpenCode</a></div>'
    if activity is None:
        listed = '<p class="empty dim">What OpenCode is doing is not known just now.</p>'
    elif not activity.sessions:
        listed = '<p class="empty dim">No sessions yet. Begin one, and it appears here.</p>'
    else:
        ordered = sorted(activity.sessions, key=_rank)[:MOST_SESSIONS]
        listed = f'<nav class="list">{"".join(_session(one, view.now) for one in ordered)}</nav>'
    return f'<section id="sessions" class="sessions">{listed}{actions}</section>'


def _rank(session: OpenCodeSession) -> tuple[int, float]:
    return ORDER.index(session.state), -(session.updated_at or 0.0)


def _page_of(session: OpenCodeSession) -> str:
    return f"/_nexus/session?{urllib.parse.urlencode({'id': session.id})}"


def _session(session: OpenCodeSession, now: float) -> str:
    kind, word = SESSION_WORDS[session.state]
    when = "" if session.updated_at is None else f" · {age(now - session.updated_at)}"
    facts = f"{session.project} · {money(session.cost)}{when}"
    return (
        f'<a class="sess" href="{text(_page_of(session))}">'
        f"<b>{text(session.title or 'Untitled')}</b>"
        f'<span class="facts"><span class="state {kind}">{word}</span>'
        f'<span class="dim">{text(facts)}</span></span></a>'
    )
