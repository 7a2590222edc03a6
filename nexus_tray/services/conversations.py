"""What is said in OpenCode's sessions: begun, continued, stopped, and read.

Owns the requests of conversations and the bounds of what is read; imports the model, the
reports, the client and `conversation_forms`. Holds the present OpenCode and the few sessions
that were begun here and that the activity does not show yet. Any thread may call it; each call
waits for OpenCode on the caller's thread, at most `PATIENCE` seconds for each request.

Only sessions that the activity knows are spoken of, each with its own folder: OpenCode takes the
folder from the query, so a made-up id reaches nothing (paths measured on OpenCode 1.18.33).
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from nexus_tray.gateway.http import Upstream
from nexus_tray.model import Activity, Hop, OpenCodeSession, Problem, Reason, SessionState
from nexus_tray.reports import Transcript
from nexus_tray.services import conversation_forms as forms
from nexus_tray.services.activity_forms import folder_name
from nexus_tray.services.opencode_client import OpenCodeClient, Trouble, Unwell

T = TypeVar("T")

LONGEST_PROMPT = 32_000
"""Characters of one prompt."""
MOST_MESSAGES = 50
FEWER = (MOST_MESSAGES, 12, 3, 1)
"""So many messages are asked for; the next, where they are more than is ever read (pictures, and
what tools said, can make a message megabytes long)."""
MOST_FRESH = 32
PATIENCE = 20.0
CONTINUE = "Continue."


class _Made(msgspec.Struct, frozen=True):
    """What matters of the answer to `POST /session`."""

    id: str
    title: str = ""


class Conversations:
    """`activity` says what is known now, `default` the folder that OpenCode was started in; both
    return at once. Every method raises Problem."""

    def __init__(
        self, activity: Callable[[], Activity | None], default: Callable[[], str | None]
    ) -> None:
        self._activity = activity
        self._default = default
        self._lock = threading.Lock()
        self._upstream: Upstream | None = None
        self._fresh: dict[str, OpenCodeSession] = {}

    def set_upstream(self, upstream: Upstream | None) -> None:
        """OpenCode answers there from now on; None: it is down."""
        with self._lock:
            self._upstream = upstream
            self._fresh.clear()

    def create(self, text: str, directory: str = "") -> str:
        """Begin a session in that folder with a first prompt; its id."""
        said = _said(text)
        if not said:
            raise Problem(NOTHING_SAID)
        client, folder = self._client(), directory or self._default() or ""
        if not (Path(folder).is_absolute() and Path(folder).is_dir()):
            raise Problem(NO_FOLDER)
        answer = client.post("/session", {}, directory=folder, timeout=PATIENCE)
        try:
            made = msgspec.json.decode(answer, type=_Made)
        except msgspec.DecodeError as error:
            raise Problem(UNKNOWN_ANSWER) from error
        self._remember(made, folder)
        _prompt(client, made.id, folder, said)
        return made.id

    def prompt(self, session_id: str, text: str = "") -> None:
        """Say something there; nothing: go on with what was interrupted."""
        said, client, session = _said(text), self._client(), self._session(session_id)
        _prompt(client, session.id, session.directory, said or CONTINUE)

    def abort(self, session_id: str) -> None:
        """Stop what OpenCode does there."""
        client, session = self._client(), self._session(session_id)
        path = f"/session/{session.id}/abort"
        _ask(lambda: client.post(path, directory=session.directory, timeout=PATIENCE))

    def transcript(self, session_id: str) -> Transcript:
        """The session and its newest messages, oldest first; of very long ones only those that
        can be read (see `FEWER`)."""
        client, session = self._client(), self._session(session_id)
        newest, more = _newest(client, session)
        at_work = session.state in (SessionState.WORKING, SessionState.WAITING)
        return Transcript(
            session=session,
            messages=forms.messages(newest, at_work=at_work),
            more=more,
        )

    def _client(self) -> OpenCodeClient:
        with self._lock:
            if self._upstream is None:
                raise Problem(DOWN)
            return OpenCodeClient(self._upstream)

    def _session(self, session_id: str) -> OpenCodeSession:
        activity = self._activity()
        for session in activity.sessions if activity is not None else ():
            if session.id == session_id:
                return session
        with self._lock:
            fresh = self._fresh.get(session_id)
        if fresh is None:
            raise Problem(NOT_KNOWN if activity is None else GONE)
        return fresh

    def _remember(self, made: _Made, folder: str) -> None:
        """The activity learns of it a moment later; until then it is known from here."""
        session = OpenCodeSession(
            id=made.id,
            title=made.title,
            directory=folder,
            project=folder_name(folder),
            state=SessionState.WORKING,
        )
        with self._lock:
            self._fresh[made.id] = session
            if len(self._fresh) > MOST_FRESH:
                del self._fresh[next(iter(self._fresh))]


def _newest(client: OpenCodeClient, session: OpenCodeSession) -> tuple[list[forms.Said], bool]:
    """As many of the newest messages as can be read, and whether there are more before them."""
    path = f"/session/{session.id}/message"
    for most in FEWER:
        # one more than all tells whether there is one; fewer than that, and there is
        query = {"limit": str(most + 1 if most == MOST_MESSAGES else most)}
        try:
            found = _ask(
                lambda query=query: client.get(  # type: ignore[misc]
                    path,
                    list[forms.Said],
                    directory=session.directory,
                    query=query,
                    timeout=PATIENCE,
                )
            )
        except Unwell as unwell:
            if unwell.trouble is not Trouble.TOO_MUCH:
                raise
        else:
            return found[-most:], len(found) > most or most < MOST_MESSAGES
    raise Problem(TOO_MUCH)


def _prompt(client: OpenCodeClient, session_id: str, folder: str, text: str) -> None:
    """Say it and do not wait for the answer (204 at once; `message` would wait for the turn)."""
    body = {"parts": [{"type": "text", "text": text}]}
    path = f"/session/{session_id}/prompt_async"
    _ask(lambda: client.post(path, body, directory=folder, timeout=PATIENCE))


def _ask(request: Callable[[], T]) -> T:
    try:
        return request()
    except Unwell as unwell:
        if unwell.status == 404:
            raise Problem(GONE) from unwell
        raise


def _said(text: str) -> str:
    said = text.strip()
    if len(said) > LONGEST_PROMPT:
        raise Problem(TOO_LONG)
    return said


def _reason(code: str, what: str, cure: str = "") -> Reason:
    return Reason(code=f"opencode-{code}", hop=Hop.OPENCODE, what=what, cure=cure)


DOWN = _reason("down", "OpenCode is not running.", "Start it, then try again.")
GONE = _reason(
    "session-gone",
    "There is no such session of OpenCode’s.",
    "It may have been deleted, or be among the oldest; open OpenCode’s own page to look.",
)
NOT_KNOWN = _reason(
    "not-known", "What OpenCode is doing is not known just now.", "Try again in a moment."
)
NOTHING_SAID = _reason("nothing-said", "A session begins with words.", "Write what is to be done.")
NO_FOLDER = _reason("no-folder", "That folder is not there.", "Choose another one.")
TOO_LONG = _reason(
    "too-long",
    f"This is longer than {LONGEST_PROMPT} characters.",
    "Put the long part into a file, and name the file.",
)
TOO_MUCH = _reason(
    "too-much",
    "The newest message of this session is longer than 16 MB, so it is not shown here.",
    "Open OpenCode’s own page to read it; what you say here still reaches the session.",
)
UNKNOWN_ANSWER = _reason("not-json", "OpenCode began a session, but did not say which.")
