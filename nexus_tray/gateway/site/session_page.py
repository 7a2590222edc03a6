"""One session of OpenCode's on a page of ours, and the form that begins a new one.

Pure functions from reports to HTML; what was said there is foreign and passes `text`. The pages
are whole without a script: replies, Stop and Continue are plain forms. With `ui/gateway/live.js`
the changed parts of `fragment` are put in place; the box for the reply stands outside of them.
Imports the model, the reports and the site's pages. Runs on the gateway's event loop.
"""

import html
import urllib.parse
from dataclasses import dataclass

from nexus_tray.core.links import session_link
from nexus_tray.gateway.site import home
from nexus_tray.gateway.site.pages import frame, text
from nexus_tray.model import Activity, OpenCodeSession, Reason, SessionState, Snapshot
from nexus_tray.reports import Message, Transcript

LONGEST_TEXT = 20_000
"""Characters of a prompt from a page."""
MOST_FOLDERS = 30
BACK = '<a class="quiet button" href="/_nexus/">All sessions</a>'
NOTHING_SAID = '<section id="said" class="said" hidden></section>'
NOTES = {
    "begun": ("up", "The session has begun."),
    "sent": ("up", "Sent."),
    "continued": ("up", "It goes on."),
    "stopped": ("up", "Told to stop."),
    "nothing": ("down", "Nothing was written, so nothing was sent."),
    **home.NOTES,
}


@dataclass(frozen=True)
class SessionView:
    """What the page of a session shows. `reason`: why `transcript` is not known. `typed`: what
    somebody wrote and could not send, and `refused` why not. `note`: a key of NOTES."""

    session_id: str
    machine: str
    snapshot: Snapshot
    now: float
    transcript: Transcript | None = None
    reason: Reason | None = None
    typed: str = ""
    refused: Reason | None = None
    note: str = ""


@dataclass(frozen=True)
class NewView:
    """What the form of a new session shows; the first of `folders` is the default one."""

    machine: str
    folders: tuple[str, ...]
    typed: str = ""
    chosen: str = ""
    refused: Reason | None = None


def path(session_id: str, note: str = "") -> str:
    """The address of a session's page."""
    fields = {"id": session_id, **({"note": note} if note else {})}
    return f"/_nexus/session?{urllib.parse.urlencode(fields)}"


def folders(snapshot: Snapshot) -> tuple[str, ...]:
    """Where a session may begin: OpenCode's own folder, then those of the sessions, newest
    first."""
    service = snapshot.service("opencode")
    own = [service.facts.directory] if service and service.facts.directory else []
    sessions = snapshot.activity.sessions if snapshot.activity else ()
    newest = sorted(sessions, key=lambda one: -(one.updated_at or 0.0))
    known = dict.fromkeys((*own, *(one.directory for one in newest)))
    # a form cannot carry what is no text (half an encoding) nor a line's end
    return tuple(folder for folder in known if folder.isprintable())[:MOST_FOLDERS]


def page(view: SessionView) -> bytes:
    """The whole page."""
    session = view.transcript.session if view.transcript else None
    title = (session.title if session else "") or "Session"
    source = f"/_nexus/session-fragment?{urllib.parse.urlencode({'id': view.session_id})}"
    body = (
        f'{_note(view.note)}<div id="live" class="live talk" data-from="{text(source)}">'
        f"{fragment(view).decode()}{'' if view.transcript else NOTHING_SAID}</div>"
        f"{home.STALE}{_reply(view)}"
    )
    return frame(title, view.machine, body, corner=BACK, kind="home")


def fragment(view: SessionView) -> bytes:
    """The part that changes. What was said stays as it stands while it cannot be read."""
    if view.transcript is None:
        return _lost(view).encode()
    found = view.transcript
    return f"{_head(found)}{_questions(view, found.session)}{_said(found)}".encode()


def new(view: NewView) -> bytes:
    """The form of a new session."""
    options = "".join(
        f'<option value="{html.escape(folder)}"{" selected" if folder == view.chosen else ""}>'
        f"{text(folder)}</option>"
        for folder in view.folders
    )
    where = f'<label>Folder<select name="folder">{options}</select></label>' if options else ""
    body = (
        f'<h1>New session</h1>{_refused(view.refused)}<form method="post" action="/_nexus/new">'
        f'<label>What is to be done?<textarea name="text" rows="6" maxlength="{LONGEST_TEXT}" '
        f"required>\n{_lines(view.typed)}</textarea></label>{where}"
        '<button class="primary">Begin</button></form>'
    )
    return frame("New session", view.machine, body, corner=BACK)


def _head(found: Transcript) -> str:
    session = found.session
    kind, word = home.SESSION_WORDS[session.state]
    facts = f"{session.project} · {home.money(session.cost)}"
    own = session_link(session.directory, session.id)
    return (
        f'<div id="head" class="head"><h1>{text(session.title or "Untitled")}</h1>'
        f'<span class="state {kind}">{word}</span>'
        f'<p class="facts"><span class="dim">{text(facts)}</span>'
        f'<a href="{own}">Open in OpenCode</a></p>{_act(session, found)}</div>'
    )


def _act(session: OpenCodeSession, found: Transcript) -> str:
    """The one thing to do about its state."""
    if session.state in (SessionState.WORKING, SessionState.WAITING):
        return _button("stop", session.id, "Stop")
    last = found.messages[-1] if found.messages else None
    broken = session.state is SessionState.INTERRUPTED or bool(last and last.trouble)
    if not broken:
        return ""
    why = (
        '<p class="note down">OpenCode ended while it was at this.</p>'
        if session.state is SessionState.INTERRUPTED
        else ""
    )
    return why + _button("continue", session.id, "Continue", kind="primary")


def _button(action: str, session_id: str, word: str, kind: str = "") -> str:
    return (
        f'<form class="act" method="post" action="/_nexus/{action}">'
        f'<input type="hidden" name="id" value="{text(session_id)}">'
        f'<button class="{kind}">{word}</button></form>'
    )


def _lost(view: SessionView) -> str:
    reason = view.reason
    words = (reason.what, reason.meaning, reason.cure) if reason else ()
    told = " ".join(part for part in words if part)
    return (
        '<div id="head" class="head"><h1>Session</h1>'
        f'<p class="note down">{text(told)}</p>'
        f"{home.restart(view.snapshot, view.session_id)}</div>"
        '<section id="waiting" class="waiting" aria-label="Waiting for you" hidden></section>'
    )


def _questions(view: SessionView, session: OpenCodeSession) -> str:
    """Its own, and those of its subagents, whose sessions are not listed."""
    activity = view.snapshot.activity or Activity()
    listed = {one.id for one in activity.sessions}
    asked = [
        one
        for one in activity.questions
        if one.session_id == session.id
        or (
            session.state is SessionState.WAITING
            and one.session_id not in listed
            and one.directory == session.directory
        )
    ]
    return home.waiting(asked, activity, view.now, back=view.session_id)


def _said(found: Transcript) -> str:
    older = '<p class="dim small" id="older">Older messages are on OpenCode’s own page.</p>'
    told = "".join(_message(one) for one in found.messages)
    nothing = '<p class="empty dim" id="nothing">Nothing was said here yet.</p>'
    return (
        f'<section id="said" class="said" aria-label="What was said">'
        f"{older if found.more else ''}{told or nothing}</section>"
    )


def _message(message: Message) -> str:
    who = "You" if message.role == "user" else "OpenCode"
    words = f'<p class="words">{_lines(message.text)}</p>' if message.text else ""
    lines = "".join(f"<li>{text(line)}</li>" for line in message.doings)
    count = len(message.doings)
    doings = (
        f"<details><summary>{count} {'step' if count == 1 else 'steps'}: "
        f"{text(message.doings[-1])}</summary><ol>{lines}</ol></details>"
        if count
        else ""
    )
    trouble = f'<p class="state down">{text(message.trouble)}</p>' if message.trouble else ""
    kind = "mine" if message.role == "user" else "its"
    return (
        f'<article class="said-one {kind}" id="m-{text(message.id)}">'
        f'<h2 class="small dim">{who}</h2>{doings}{words}{trouble}</article>'
    )


def _reply(view: SessionView) -> str:
    return (
        f'{_refused(view.refused)}<form class="reply" method="post" action="/_nexus/prompt">'
        f'<input type="hidden" name="id" value="{text(view.session_id)}">'
        f'<label>Say something<textarea name="text" rows="3" maxlength="{LONGEST_TEXT}" required>'
        f"\n{_lines(view.typed)}</textarea></label>"
        '<button class="primary">Send</button></form>'
    )


def _refused(reason: Reason | None) -> str:
    if reason is None:
        return ""
    said = " ".join(part for part in (reason.what, reason.meaning, reason.cure) if part)
    return f'<p class="note down" role="alert">{text(said)}</p>'


def _note(note: str) -> str:
    kind, words = NOTES.get(note, ("", ""))
    return f'<p class="note {kind}" role="status">{words}</p>' if words else ""


def _lines(foreign: str) -> str:
    """Foreign text of several lines, inert line by line."""
    return "\n".join(text(line.expandtabs(4)) for line in foreign.replace("\r\n", "\n").split("\n"))
