"""What OpenCode's sessions do, followed live over one subscription, and its questions answered.

Owns one thread and its `Ledger`; imports the model, the client and `activity_forms`. The
thread subscribes to `/global/event` first and then takes the lists, so nothing falls
between; it publishes the model's `Activity` when it changed, at most ten times a second.
`set_upstream`, `answer_*` and `close` may be called from any thread.

Asking a directory for its state makes OpenCode load that project, so only directories in
which something happened since this OpenCode began are asked: elsewhere nobody can work.
"""

import logging
import threading
import time
from collections.abc import Callable

import msgspec

from nexus_tray.gateway.http import Upstream
from nexus_tray.model import Activity, Hop, Problem, Question, QuestionKind, Reason
from nexus_tray.services import activity_forms as forms
from nexus_tray.services.activity_state import MOST_SESSIONS, Ledger
from nexus_tray.services.opencode_client import OpenCodeClient, Trouble, Unwell
from nexus_tray.services.opencode_events import EventStream
from nexus_tray.services.opencode_versions import V1, Api, detect

log = logging.getLogger(__name__)

SILENCE = 25.0
"""The longest silence of the stream in seconds: its heartbeat comes every 10 (measured)."""
AGAIN = 1.0
"""Seconds until the next try when the stream broke and OpenCode is still said to run."""
RECHECKS = (1.0, 5.0)
"""Seconds after which the lists are taken once more: OpenCode says `server.connected` up to
0.1 s (measured, idle machine) before it really passes events on, and those between are lost."""
INTERVAL = 0.1
"""Seconds between two publications, at least."""
CLOSE_PATIENCE = 2.0
MOST_DIRECTORIES = 50
REPLIES = ("once", "always", "reject")


class ActivityWatch:
    """Follows one OpenCode at a time. `publish` is called from its thread, and must not
    block; None means that nothing is known (OpenCode is down, or of an unknown version).
    `unfinished`: whose turn an earlier life of the program left broken off; `keep` hears, from
    the thread, whose would be if everything ended now, at each change.
    """

    def __init__(
        self,
        publish: Callable[[Activity | None], None],
        *,
        clock: Callable[[], float] = time.time,
        unfinished: frozenset[str] = frozenset(),
        keep: Callable[[frozenset[str]], None] = lambda _: None,
    ) -> None:
        self._publish = publish
        self._keep = keep
        self._clock = clock
        self._changed = threading.Condition()
        self._upstream: Upstream | None = None
        self._since_ms = 0.0
        self._stream: EventStream | None = None
        self._closed = False
        self._ledger = Ledger(unfinished)
        self._shown: Activity | None = None
        self._shown_at = 0.0
        self._thread = threading.Thread(target=self._run, name="opencode activity", daemon=True)
        self._thread.start()

    def set_upstream(self, upstream: Upstream | None) -> None:
        """OpenCode answers there from now on; None: it is down."""
        with self._changed:
            self._upstream = upstream
            self._since_ms = (self._clock() - 60.0) * 1000  # it began a little earlier
            self._wake()

    def close(self) -> None:
        """End the thread. Waits for it, but not for an OpenCode that does not answer."""
        with self._changed:
            self._closed = True
            self._wake()
        self._thread.join(CLOSE_PATIENCE)

    def answer_permission(self, question_id: str, reply: str) -> None:
        """Reply `once`, `always` or `reject`. Raises Problem when that cannot be done."""
        if reply not in REPLIES:
            raise Problem(_reason("reply", f"A permission is answered by {', '.join(REPLIES)}."))
        self._answer(question_id, QuestionKind.PERMISSION, V1.permission_reply, {"reply": reply})

    def answer_question(self, question_id: str, answers: tuple[tuple[str, ...], ...]) -> None:
        """Give the chosen labels for each part; none at all rejects it. Raises Problem."""
        if answers:
            body: object = {"answers": answers}
            self._answer(question_id, QuestionKind.QUESTION, V1.question_reply, body)
        else:
            self._answer(question_id, QuestionKind.QUESTION, V1.question_reject, None)

    def _answer(self, question_id: str, kind: QuestionKind, path: str, body: object) -> None:
        with self._changed:
            upstream, shown = self._upstream, self._shown
        if upstream is None:
            raise Problem(_reason("down", "OpenCode is not running.", "Start it first."))
        question = _find(shown, question_id, kind)
        try:
            # without the directory another project's question is not found (FACTS.md)
            OpenCodeClient(upstream).post(
                path.format(id=question_id), body, directory=question.directory
            )
        except Unwell as unwell:
            if unwell.status != 404:
                raise
            with self._changed:
                self._wake()  # we show what is gone: take the lists again
            raise Problem(_gone()) from unwell

    # the thread

    def _wake(self) -> None:
        """Under the lock: let the thread look again."""
        self._changed.notify_all()
        if self._stream is not None:
            self._stream.interrupt()

    def _run(self) -> None:
        while (upstream := self._next_upstream()) is not None:
            try:
                self._follow(upstream)
            except Unwell as unwell:
                log.info("Following OpenCode's activity is interrupted: %s", unwell)
            with self._changed:
                if not self._dismissed(upstream):
                    self._changed.wait(AGAIN)
                gone = self._dismissed(upstream)
            if gone:
                # a restart forgets who worked, and the page must not: they were broken off
                self._ledger = Ledger(self._ledger.broken_off(self._clock()))
                self._keep(self._ledger.unfinished())
                self._show(None)

    def _next_upstream(self) -> Upstream | None:
        """Wait until there is one to follow; None: closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._upstream is not None or self._closed)
            return None if self._closed else self._upstream

    def _dismissed(self, upstream: Upstream) -> bool:
        """Under the lock: whether this one is not to be followed any longer."""
        return self._upstream is not upstream or self._closed

    def _follow(self, upstream: Upstream) -> None:
        """Until the stream breaks (Unwell), or we are told of another OpenCode."""
        client = OpenCodeClient(upstream)
        api = detect(client).api
        if not api.activity:
            log.info("What this version of OpenCode does cannot be followed")
            with self._changed:
                self._changed.wait_for(lambda: self._dismissed(upstream))
            return
        stream = EventStream(client, api.events, SILENCE)
        try:
            with self._changed:
                if self._dismissed(upstream):
                    return
                self._stream = stream
            self._listen(stream, client, api)
        finally:
            with self._changed:
                self._stream = None
            stream.close()

    def _listen(self, stream: EventStream, client: OpenCodeClient, api: Api) -> None:
        began, rechecks, lost, dirty = time.monotonic(), list(RECHECKS), 0, True
        self._take_lists(client, api)
        while True:
            now = time.monotonic()
            if dirty and now >= self._shown_at + INTERVAL:
                self._keep(self._ledger.unfinished())  # now: after a kill it is too late
                self._show(self._ledger.activity())
                dirty = False
            if (rechecks and now >= began + rechecks[0]) or stream.lost != lost:
                del rechecks[:1]
                lost, dirty = stream.lost, True
                self._take_lists(client, api)
                continue
            dues = [self._shown_at + INTERVAL] if dirty else []
            dues += [began + rechecks[0]] if rechecks else []
            if not dues or stream.readable(min(dues) - now):
                for data in stream.next():
                    dirty |= self._fold(data)

    def _take_lists(self, client: OpenCodeClient, api: Api) -> None:
        query = {"limit": str(2 * MOST_SESSIONS)}
        self._ledger.list_sessions(client.get(api.sessions, list[forms.Session], query=query))
        directories = self._ledger.directories(self._since_ms)
        for directory in sorted(directories)[:MOST_DIRECTORIES]:
            try:
                self._ledger.directory_state(
                    directory,
                    client.get(api.statuses, dict[str, forms.Status], directory=directory),
                    client.get(api.permissions, list[forms.Permission], directory=directory),
                    client.get(api.questions, list[forms.Asked], directory=directory),
                )
            except Unwell as unwell:
                if unwell.trouble is not Trouble.STATUS:
                    raise
                self._ledger.directory_unknown(directory)  # its own configuration is broken

    def _fold(self, data: bytes) -> bool:
        try:
            event = msgspec.json.decode(data, type=forms.Envelope)
            return self._ledger.event(event, self._clock())
        except msgspec.DecodeError as error:
            log.warning("An event of OpenCode has an unknown form (%s): %.200r", error, data)
            return False

    def _show(self, activity: Activity | None) -> None:
        self._shown_at = time.monotonic()
        if activity != self._shown:
            self._shown = activity
            self._publish(activity)


def _find(shown: Activity | None, question_id: str, kind: QuestionKind) -> Question:
    questions = shown.questions if shown is not None else ()
    for question in questions:
        if question.id == question_id and question.kind is kind:
            return question
    raise Problem(_gone())


def _gone() -> Reason:
    return _reason("question-gone", "OpenCode no longer waits for this answer.")


def _reason(code: str, what: str, cure: str = "") -> Reason:
    return Reason(code=f"opencode-{code}", hop=Hop.OPENCODE, what=what, cure=cure)
