"""The pages of OpenCode's sessions, answered: new ones, what was said, replies, Stop, Restart.

Owns the handlers and SESSION_PATHS; what the pages look like is `session_page`. The relay and
the site have judged the request and who sends it before. Runs on the gateway's event loop; what
waits for OpenCode (commands, what was said) goes to the site's threads.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from nexus_tray.commands import (
    AbortSession,
    AnyCommand,
    CreateSession,
    Outcome,
    PromptSession,
    RestartService,
)
from nexus_tray.gateway.http import PREFIX, Request, Response
from nexus_tray.gateway.site import pages, session_page, static
from nexus_tray.gateway.site.forms import HOME, form, one, query_value
from nexus_tray.gateway.site.replies import HTML, see
from nexus_tray.gateway.site.session_page import LONGEST_TEXT, NewView, SessionView
from nexus_tray.model import Hop, Problem, Reason, Snapshot
from nexus_tray.reports import Transcript

T = TypeVar("T")

PROMPT_BODY = 256 * 1024
"""LONGEST_TEXT characters of four bytes each, percent-encoded (12 bytes), and a little."""
SESSION_PATHS: Mapping[str, int] = {"new": PROMPT_BODY, "prompt": PROMPT_BODY}
"""The largest body, where it is not the ordinary one."""
LONGEST_ID = 100


class Around(Protocol):
    """What is needed of the site's world."""

    @property
    def machine(self) -> str:
        """The computer's name."""

    @property
    def snapshot(self) -> Callable[[], Snapshot]:
        """What is known now; returns at once."""

    @property
    def submit(self) -> Callable[[AnyCommand], Outcome]:
        """Carry out a command; may take seconds."""

    @property
    def transcript(self) -> Callable[[str], Transcript]:
        """What was said in a session; may take seconds. Raises Problem."""

    @property
    def wall(self) -> Callable[[], float]:
        """Seconds since the epoch."""


class Run(Protocol):
    """Calls a function on one of the site's threads."""

    def __call__(self, function: Callable[[], T], /) -> Awaitable[T]:
        """What it returns or raises."""


class SessionPages:
    """`respond` answers one of the session paths for somebody who is signed in."""

    def __init__(self, around: Around, run: Run) -> None:
        self._around = around
        self._run = run

    async def respond(self, request: Request) -> Response:
        """Answer. Raises Problem."""
        name = request.path.removeprefix(PREFIX)
        post = request.method == "POST"
        if name == "new":
            return await self._create(request) if post else self._new()
        if name == "session":
            return await self._page(query_value(request, "id") or "", query_value(request, "note"))
        if name == "session-fragment":
            return await self._fragment(request)
        fields = form(request)
        session_id = (one(fields, "id") or "")[:LONGEST_ID]
        if name == "prompt":
            return await self._prompt(session_id, _typed(fields))
        if name == "continue":
            return await self._tell(PromptSession(session_id=session_id), session_id, "continued")
        if name == "stop":
            return await self._tell(AbortSession(session_id=session_id), session_id, "stopped")
        return await self._tell(RestartService(name="opencode"), session_id, "restarted")

    def _new(self, typed: str = "", chosen: str = "", refused: Reason | None = None) -> Response:
        known = session_page.folders(self._around.snapshot())
        view = NewView(self._around.machine, known, typed, chosen, refused)
        return _html(409 if refused else 200, session_page.new(view))

    async def _create(self, request: Request) -> Response:
        """A folder must be among those that are known now: a form can name no other."""
        fields = form(request)
        typed, folder = _typed(fields), one(fields, "folder") or ""
        if not typed.strip():
            return self._new(typed, folder, NOTHING_WRITTEN)
        if folder and folder not in session_page.folders(self._around.snapshot()):
            return self._new(typed, "", NOT_AMONG_THEM)
        command = CreateSession(text=typed, directory=folder)
        outcome = await self._run(lambda: self._around.submit(command))
        if not (outcome.ok and outcome.value):
            return self._new(typed, folder, outcome.reason or NOT_SAID)
        return see(session_page.path(outcome.value, "begun"))

    async def _prompt(self, session_id: str, typed: str) -> Response:
        if not typed.strip():
            return see(session_page.path(session_id, "nothing"))
        command = PromptSession(session_id=session_id, text=typed)
        outcome = await self._run(lambda: self._around.submit(command))
        if outcome.ok:
            return see(session_page.path(session_id, "sent"))
        view = await self._view(session_id)
        reason = outcome.reason or NOT_SAID
        return _html(409, session_page.page(replace(view, typed=typed, refused=reason)))

    async def _tell(self, command: AnyCommand, session_id: str, note: str) -> Response:
        outcome = await self._run(lambda: self._around.submit(command))
        if not outcome.ok:
            raise Problem(outcome.reason or NOT_SAID)
        return see(session_page.path(session_id, note) if session_id else f"{HOME}?note={note}")

    async def _page(self, session_id: str, note: str | None) -> Response:
        view = await self._view(session_id[:LONGEST_ID], note or "")
        if view.reason is not None and view.reason.code == GONE:
            title = "Session not found"
            body = pages.trouble(title, self._around.machine, view.reason, back=True)
            return _html(404, body)
        return _html(200, session_page.page(view))

    async def _fragment(self, request: Request) -> Response:
        view = await self._view((query_value(request, "id") or "")[:LONGEST_ID])
        body = session_page.fragment(view)
        return static.tagged(request, HTML, body, static.etag_of(body), "no-store")

    async def _view(self, session_id: str, note: str = "") -> SessionView:
        around, found, reason = self._around, None, None
        try:
            found = await self._run(lambda: around.transcript(session_id))
        except Problem as problem:
            reason = problem.reason
        return SessionView(
            session_id=session_id,
            machine=around.machine,
            snapshot=around.snapshot(),
            now=around.wall(),
            transcript=found,
            reason=reason,
            note=note,
        )


def leads_back(fields: Mapping[str, list[str]], note: str) -> str:
    """Where an answered question leads: to the page of the session it stood on, or home."""
    session_id = (one(fields, "session") or "")[:LONGEST_ID]
    return session_page.path(session_id, note) if session_id else f"{HOME}?note={note}"


def _typed(fields: Mapping[str, list[str]]) -> str:
    return (one(fields, "text") or "").replace("\r\n", "\n")[:LONGEST_TEXT]


def _html(status: int, body: bytes) -> Response:
    own = ("content-type", HTML), ("content-security-policy", pages.POLICY)
    return Response(status, own, body)


GONE = "opencode-session-gone"
NOT_SAID = Reason(
    code="session-refused",
    hop=Hop.OPENCODE,
    what="OpenCode did not take it.",
    cure="Look whether it runs, and try again.",
)
NOTHING_WRITTEN = Reason(
    code="nothing-written", hop=Hop.OPENCODE, what="Nothing was written.", cure="Say what to do."
)
NOT_AMONG_THEM = Reason(
    code="folder-unknown",
    hop=Hop.OPENCODE,
    what="That folder is not among those of the sessions any more.",
    cure="Choose another one.",
)
