"""Sessions begun, continued, stopped and read on the real OpenCode, and messages in our words."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.gateway.http import Upstream
from nexus_tray.model import Activity, OpenCodeSession, Problem, SessionState
from nexus_tray.reports import Transcript
from nexus_tray.services import conversation_forms as forms
from nexus_tray.services.activity import ActivityWatch
from nexus_tray.services.conversations import LONGEST_PROMPT, Conversations
from nexus_tray.services.opencode_client import OpenCodeClient
from tests.opencode_lab.harness import Home, Keeper, until


class House:
    """The activity of an OpenCode, and conversations over it."""

    def __init__(self, keeper: Keeper) -> None:
        self.activity: Activity | None = None
        self.watch = ActivityWatch(self._publish)
        self.talks = Conversations(lambda: self.activity, lambda: str(keeper.home.project))
        self.set_upstream(keeper)

    def _publish(self, activity: Activity | None) -> None:
        self.activity = activity

    def set_upstream(self, keeper: Keeper) -> None:
        self.watch.set_upstream(keeper.upstream)
        self.talks.set_upstream(keeper.upstream)

    def state(self, session_id: str) -> SessionState | None:
        known = self.activity.sessions if self.activity else ()
        return next((one.state for one in known if one.id == session_id), None)

    def until_state(self, session_id: str, state: SessionState) -> None:
        until(f"{session_id} is {state}", lambda: self.state(session_id) is state)

    def until_said(self, session_id: str, words: str) -> Transcript:
        def read() -> Transcript | None:
            found = self.talks.transcript(session_id)
            return found if words in " ".join(one.text for one in found.messages) else None

        return until(f"“{words}” is said", read)


@pytest.fixture
def house(opencode: Keeper) -> Iterator[House]:
    made = House(opencode)
    yield made
    made.watch.close()


def code(raised: pytest.ExceptionInfo[Problem]) -> str:
    return raised.value.reason.code


def test_a_session_is_begun_spoken_in_and_stopped(house: House, opencode: Keeper) -> None:
    session_id = house.talks.create("RUNTOOL: echo in-the-lab")
    assert house.talks.transcript(session_id).session.directory == str(opencode.home.project)
    house.until_state(session_id, SessionState.WAITING)
    assert house.activity is not None
    (question,) = [one for one in house.activity.questions if one.session_id == session_id]
    house.watch.answer_permission(question.id, "once")
    found = house.until_said(session_id, "The tool said: in-the-lab")
    assert found.messages[0].role == "user"
    assert found.messages[0].text == "RUNTOOL: echo in-the-lab"
    assert [one.doings for one in found.messages if one.doings] == [("bash: echo in-the-lab",)]
    assert all(one.trouble == "" for one in found.messages)
    house.until_state(session_id, SessionState.IDLE)

    house.talks.prompt(session_id, "SLOW")
    house.until_state(session_id, SessionState.WORKING)
    until("a reply begins", lambda: house.talks.transcript(session_id).messages[-1].text == "SLOW")
    house.talks.abort(session_id)
    house.until_state(session_id, SessionState.IDLE)
    house.talks.prompt(session_id)
    found = house.until_said(session_id, "You said: Continue.")
    assert not found.more


def test_another_folder_is_taken_and_one_that_is_not_there_refused(
    house: House, opencode: Keeper
) -> None:
    folder = str(opencode.home.folder("elsewhere"))
    session_id = house.talks.create("hello", folder)
    found = house.until_said(session_id, "Hello from the lab")
    assert found.session.directory == folder
    for wrong in (f"{folder}/not-there", "\0", "project"):
        with pytest.raises(Problem) as raised:
            house.talks.create("hello", wrong)
        assert code(raised) == "opencode-no-folder"


@pytest.mark.parametrize("session_id", ["ses_made_up", "../../config", "", "x/y?z"])
def test_only_sessions_that_are_known_are_spoken_of(house: House, session_id: str) -> None:
    until("the activity", lambda: house.activity)
    for ask in (
        lambda: house.talks.prompt(session_id, "hello"),
        lambda: house.talks.abort(session_id),
        lambda: house.talks.transcript(session_id),
    ):
        with pytest.raises(Problem) as raised:
            ask()
        assert code(raised) == "opencode-session-gone"


def test_words_are_bounded_and_a_dead_opencode_is_named() -> None:
    talks = Conversations(lambda: None, lambda: None)
    for text, expected in ((" \n", "nothing-said"), ("x" * (LONGEST_PROMPT + 1), "too-long")):
        with pytest.raises(Problem) as raised:
            talks.create(text)
        assert code(raised) == f"opencode-{expected}"
    for ask in (lambda: talks.create("hello"), lambda: talks.transcript("ses_1")):
        with pytest.raises(Problem) as raised:
            ask()
        assert code(raised) == "opencode-down"


def test_a_broken_reply_says_so(opencode_home: Home) -> None:
    with Keeper(opencode_home) as keeper:
        keeper.start()
        house = House(keeper)
        try:
            session_id = house.talks.create("SLOW")
            house.until_state(session_id, SessionState.WORKING)
            until(
                "the reply has begun",
                lambda: "assistant" in msgspec.json.encode(_raw(keeper, session_id)).decode(),
            )
            keeper.driver.kill(keeper.run)
            keeper.exited()
            house.watch.set_upstream(None)
            keeper.start()
            house.set_upstream(keeper)
            house.until_state(session_id, SessionState.INTERRUPTED)
            last = house.talks.transcript(session_id).messages[-1]
            assert (last.role, last.trouble) == ("assistant", forms.BROKEN_OFF)
            house.talks.prompt(session_id)
            house.until_said(session_id, "You said: Continue.")
        finally:
            house.watch.close()


def _raw(keeper: Keeper, session_id: str) -> list[forms.Said]:
    assert keeper.upstream is not None
    return OpenCodeClient(keeper.upstream).get(
        f"/session/{session_id}/message", list[forms.Said], directory=str(keeper.home.project)
    )


TABLE = [
    ({"type": "text", "text": " Hi "}, "Hi", ()),
    ({"type": "text", "text": "hidden", "synthetic": True}, "", ()),
    ({"type": "step-start", "snapshot": "x"}, "", ()),
    ({"type": "reasoning", "text": "hm"}, "", ()),
    ({"type": "file", "filename": "a.png"}, "", ("file: a.png",)),
    (
        {"type": "tool", "tool": "bash", "state": {"input": {"command": "l\ns"}}},
        "",
        ("bash: l s",),
    ),
    (
        {"type": "tool", "tool": "read", "state": {"status": "error", "error": "no"}},
        "",
        ("read (failed: no)",),
    ),
    ({"type": "tool", "tool": "todo"}, "", ("todo",)),
]  # fmt: skip


@pytest.mark.parametrize(("part", "text", "doings"), TABLE)
def test_parts_in_our_words(part: dict[str, object], text: str, doings: tuple[str, ...]) -> None:
    info = {"id": "m", "role": "assistant", "time": {"created": 1000, "completed": 2000}}
    said = msgspec.convert({"info": info, "parts": [part]}, forms.Said)
    found = said.message(last=True, at_work=False)
    assert (found.text, found.doings, found.trouble, found.at) == (text, doings, "", 1.0)


def test_faults_in_our_words() -> None:
    table = [
        ({"name": "MessageAbortedError", "data": {}}, "Stopped before it was finished."),
        ({"name": "APIError", "data": {"message": "no\ncredit"}}, "no credit"),
        ({"name": "UnknownError"}, "UnknownError"),
    ]
    for fault, words in table:
        said = msgspec.convert(
            {"info": {"id": "m", "role": "assistant", "error": fault}}, forms.Said
        )
        assert said.message(last=True, at_work=True).trouble == words


@given(st.integers(0, 200), st.integers(0, 60_000))
def test_what_is_shown_is_bounded(doings: int, length: int) -> None:
    tool = forms.Part(type="tool", tool="t" * 500)
    parts = (forms.Part(type="text", text="x" * length), *([tool] * doings))
    said = forms.Said(forms.Info("m", "assistant"), parts)
    found = said.message(last=True, at_work=True)
    assert len(found.text) <= forms.LONGEST_TEXT + 1
    assert len(found.doings) <= forms.MOST_DOINGS + 1
    assert all(len(line) <= forms.LONGEST_DOING + 1 for line in found.doings)


def message(number: int, text: str) -> dict[str, object]:
    info = {"id": f"m{number}", "role": "user", "time": {"created": 1}}
    return {"info": info, "parts": [{"type": "text", "text": text}]}


class LongTalk(BaseHTTPRequestHandler):
    """Answers for one session's messages of so many megabytes each, as OpenCode does: the newest
    `limit` of them, oldest first. The real one takes minutes to take in such a message."""

    sizes: ClassVar[list[int]] = []
    asked: ClassVar[list[int]] = []

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        """Say nothing."""

    def do_GET(self) -> None:
        limit = int(parse_qs(urlsplit(self.path).query)["limit"][0])
        self.asked.append(limit)
        newest = list(enumerate(self.sizes))[-limit:]
        said = [message(number, f"{number} " + "x" * size) for number, size in newest]
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who asked has had enough
            self.wfile.write(body)


@pytest.fixture
def long_talk() -> Iterator[Conversations]:
    LongTalk.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), LongTalk) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        session = OpenCodeSession(
            id="ses_1", title="", directory="/w", project="w", state=SessionState.IDLE
        )
        talks = Conversations(lambda: Activity(sessions=(session,)), lambda: None)
        talks.set_upstream(Upstream("127.0.0.1", server.server_port, b"Basic x"))
        yield talks
        server.shutdown()
        serving.join()


@pytest.mark.parametrize(
    ("sizes", "shown", "more"),
    [
        ([1, 1, 1], ["0", "1", "2"], False),
        ([1] * 51, [str(n) for n in range(1, 51)], True),
        ([5_000_000] * 4, ["1", "2", "3"], True),
        ([9_000_000, 9_000_000, 9_000_000], ["2"], True),
    ],
)
def test_of_what_is_too_long_to_read_the_newest_is_shown(
    long_talk: Conversations, sizes: list[int], shown: list[str], more: bool
) -> None:
    LongTalk.sizes = sizes
    found = long_talk.transcript("ses_1")
    assert [one.text.split()[0] for one in found.messages] == shown
    assert found.more is more


def test_a_message_that_is_too_long_by_itself_is_named(long_talk: Conversations) -> None:
    LongTalk.sizes = [1, 17_000_000]
    with pytest.raises(Problem) as raised:
        long_talk.transcript("ses_1")
    assert code(raised) == "opencode-too-much"
    assert "longer than 16 MB" in raised.value.reason.what
    assert LongTalk.asked == [51, 12, 3, 1]
