"""What OpenCode's sessions do, folded from its lists and events into the model's form.

Owns the `Ledger`; no I/O and no clock. Imports the model and `activity_forms`. Only the
activity thread touches a ledger. It is bounded, and an event of a kind that it does not
know changes nothing.
"""

from collections.abc import Iterable

import msgspec

from nexus_tray.model import Activity, OpenCodeSession, Question, SessionState
from nexus_tray.services import activity_forms as forms

MOST_SESSIONS = 100
MOST_QUESTIONS = 200
# Subagents have sessions of their own and are kept to be counted with who called them.
MOST_KEPT = 4 * MOST_SESSIONS
ABORTED_BY_ITS_END = 10.0
"""Seconds before OpenCode's end within which an abort was its own doing."""


class Ledger:
    """What is known now. `broken_off`: the sessions whose last turn an OpenCode before this one
    did not finish, as its own ledger said at the end."""

    def __init__(self, broken_off: frozenset[str] = frozenset()) -> None:
        self._broken_off = set(broken_off)
        self._aborted: dict[str, float] = {}  # session -> when
        self._sessions: dict[str, forms.Session] = {}
        self._working: dict[str, str] = {}  # session -> its directory
        self._questions: dict[str, Question] = {}
        self._projects: dict[str, str] = {}
        self._unreadable: set[str] = set()

    # whole lists, taken at each connection

    def list_sessions(self, sessions: Iterable[forms.Session]) -> None:
        """Take a fresh list of all sessions in place of what was known of them."""
        self._sessions = {}
        for session in sessions:
            if session.project is not None:
                self._projects[session.project_id] = session.project.title
            self._keep(session)

    def directory_state(
        self,
        directory: str,
        statuses: dict[str, forms.Status],
        permissions: Iterable[forms.Permission],
        questions: Iterable[forms.Asked],
    ) -> None:
        """Take a directory's own word for who works and what is asked in it."""
        asked = {known.id: known.asked_at for known in self._questions.values()}
        self.forget(directory)
        for session_id, status in statuses.items():
            self._set_working(session_id, directory, status)
        for permission in permissions:
            self._ask(permission.question(directory, asked.get(permission.id)))
        for question in questions:
            self._ask(question.question(directory, asked.get(question.id)))

    def directory_unknown(self, directory: str) -> None:
        """A directory would not tell: the states of its sessions are unknown."""
        self.forget(directory)
        self._unreadable.add(directory)

    def forget(self, directory: str) -> None:
        """Nobody works or waits in this directory any more."""
        self._unreadable.discard(directory)
        self._working = {key: place for key, place in self._working.items() if place != directory}
        for question in [q for q in self._questions.values() if q.directory == directory]:
            del self._questions[question.id]

    def directories(self, since_ms: float) -> set[str]:
        """Where anything happened since: only there may somebody work or wait."""
        recent = {s.directory for s in self._sessions.values() if s.time.updated >= since_ms}
        asked = {question.directory for question in self._questions.values()}
        return recent | asked | set(self._working.values())

    def unfinished(self) -> frozenset[str]:
        """Whose turn is broken off if everything ends now: who works or waits, and who was broken
        off before and has not worked since. What a subagent does, its caller is to go on with."""
        working = {self._root(session_id) for session_id in self._working}
        waiting = {self._root(question.session_id) for question in self._questions.values()}
        return frozenset(sorted(self._broken_off | working | waiting)[:MOST_KEPT])

    def broken_off(self, now: float) -> frozenset[str]:
        """Whose turn is broken off if this OpenCode has just ended: `unfinished`, and who was
        aborted by its end (one that ends in good order aborts everybody first; measured: 0.1 s
        before)."""
        aborted = {
            self._root(key) for key, at in self._aborted.items() if now - at < ABORTED_BY_ITS_END
        }
        return frozenset(sorted(self.unfinished() | aborted)[:MOST_KEPT])

    # events

    def event(self, event: forms.Envelope, now: float) -> bool:
        """Fold one event in; False if its kind is of no interest.

        Raises msgspec.DecodeError if it has not the form its kind should have.
        """
        body = event.payload.properties
        match event.payload.type:
            case "session.status":
                changed = msgspec.json.decode(body, type=forms.Changed)
                self._set_working(changed.session, event.directory, changed.status)
            case "session.error":
                self._failed(msgspec.json.decode(body, type=forms.Failed), now)
            case "session.created" | "session.updated":
                self._keep(msgspec.json.decode(body, type=forms.Info).info)
            case "session.deleted":
                self._drop(msgspec.json.decode(body, type=forms.Info).info.id)
            case "permission.asked":
                permission = msgspec.json.decode(body, type=forms.Permission)
                self._ask(permission.question(event.directory, now))
            case "question.asked":
                asked = msgspec.json.decode(body, type=forms.Asked)
                self._ask(asked.question(event.directory, now))
            case "permission.replied" | "question.replied" | "question.rejected":
                self.answered(msgspec.json.decode(body, type=forms.Answered).request)
            case "server.instance.disposed":
                self.forget(event.directory)
            case "global.disposed":
                self._working.clear()
                self._questions.clear()
            case _:
                return False
        return True

    def answered(self, question_id: str) -> None:
        """It waits for this no longer."""
        self._questions.pop(question_id, None)

    # what is shown

    def activity(self) -> Activity:
        """The model's form: sessions newest first, subagents counted with who called them."""
        waiting = {self._root(question.session_id) for question in self._questions.values()}
        working = {self._root(session_id) for session_id in self._working}
        roots = [session for session in self._sessions.values() if session.parent is None]
        roots.sort(key=lambda session: session.time.updated, reverse=True)
        return Activity(
            sessions=tuple(
                OpenCodeSession(
                    id=session.id,
                    title=session.title,
                    directory=session.directory,
                    project=self._project(session),
                    state=self._state(session, waiting, working),
                    cost=session.cost,
                    updated_at=session.time.updated / 1000 or None,
                )
                for session in roots[:MOST_SESSIONS]
            ),
            questions=tuple(self._questions.values()),
        )

    def _project(self, session: forms.Session) -> str:
        return self._projects.get(session.project_id) or forms.folder_name(session.directory)

    def _state(self, session: forms.Session, waiting: set[str], working: set[str]) -> SessionState:
        if session.id in waiting:
            return SessionState.WAITING
        if session.id in working:
            return SessionState.WORKING
        if session.directory in self._unreadable:
            return SessionState.UNKNOWN
        if session.id in self._broken_off:
            return SessionState.INTERRUPTED
        return SessionState.IDLE

    def _root(self, session_id: str) -> str:
        """The session a person began, of which this one is perhaps a subagent's."""
        for _ in range(16):  # a circle would be OpenCode's fault and must not be ours
            session = self._sessions.get(session_id)
            if session is None or session.parent is None:
                break
            session_id = session.parent
        return session_id

    # bounded changes

    def _keep(self, session: forms.Session) -> None:
        if session.time.archived is not None:
            self._drop(session.id)
            return
        self._sessions[session.id] = session
        if len(self._sessions) > MOST_KEPT:
            oldest = min(self._sessions.values(), key=lambda known: known.time.updated)
            del self._sessions[oldest.id]

    def _drop(self, session_id: str) -> None:
        self._sessions.pop(session_id, None)
        self._working.pop(session_id, None)
        self._broken_off.discard(session_id)
        self._aborted.pop(session_id, None)
        for question in [q for q in self._questions.values() if q.session_id == session_id]:
            del self._questions[question.id]

    def _set_working(self, session_id: str, directory: str, status: forms.Status) -> None:
        if status.type == "idle":
            self._working.pop(session_id, None)
        elif session_id in self._working or len(self._working) < MOST_KEPT:
            self._working[session_id] = directory
            self._broken_off.discard(session_id)
            self._aborted.pop(session_id, None)

    def _failed(self, failed: forms.Failed, now: float) -> None:
        if failed.session in self._sessions and failed.aborted:
            self._aborted[failed.session] = now

    def _ask(self, question: Question) -> None:
        if question.id not in self._questions and len(self._questions) < MOST_QUESTIONS:
            self._questions[question.id] = question
