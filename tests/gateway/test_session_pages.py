"""The pages of OpenCode's sessions as bytes: what they show, what they send, whom they refuse."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from nexus_tray.commands import (
    AbortSession,
    AnswerPermission,
    CreateSession,
    Outcome,
    PromptSession,
    RestartService,
)
from nexus_tray.model import Activity, Hop, HopState, PathHop, Reason, SessionState
from nexus_tray.reports import Message

from .site_world import PERMISSION, SESSIONS, SiteWorld, field_of, open_site, page, post

DOWN = (
    PathHop(
        hop=Hop.OPENCODE,
        state=HopState.DOWN,
        text="down",
        reason=Reason(code="x", hop=Hop.OPENCODE, what="It <ended>."),
    ),
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SiteWorld]:
    made = open_site(tmp_path)
    yield made
    made.close()


@pytest.fixture
def cookie(world: SiteWorld) -> str:
    return world.sign_in()


def shown(world: SiteWorld, cookie: str, path: str = "session", query: str = "id=ses_3") -> str:
    answer = world.get(page(f"/_nexus/{path}", cookie=cookie, query=query))
    assert answer.status == 200, answer
    return answer.body.decode()


def with_state(world: SiteWorld, state: SessionState) -> None:
    changed = msgspec.structs.replace(SESSIONS[2], state=state)
    world.change(activity=Activity(sessions=(*SESSIONS[:2], changed), questions=(PERMISSION,)))


def test_what_was_said_is_shown_and_does_nothing(world: SiteWorld, cookie: str) -> None:
    evil = "<script>alert(1)</script>\n\x1b[31m\u202egnp"
    world.said = (*world.said, Message(id='x" onx="', role="assistant", text=evil, doings=(evil,)))
    text = shown(world, cookie)
    assert "Fix the &lt;b&gt;test&lt;/b&gt;\nplease" in text
    assert "2 steps: edit: a.py" in text
    assert "$&lt; $0.01" not in text
    assert "&lt; $0.01" in text
    assert 'href="/L2hvbWUvYWRhL3RyYXlz/session/ses_3"' in text
    for acting in ("<script>alert", "\x1b", "\u202e", 'onx="'):
        assert acting not in text


@pytest.mark.parametrize(
    ("state", "button", "absent"),
    [
        (SessionState.WORKING, "Stop", "Continue"),
        (SessionState.WAITING, "Stop", "Continue"),
        (SessionState.INTERRUPTED, "Continue", "Stop"),
        (SessionState.IDLE, "Send", "Continue"),
    ],
)
def test_what_can_be_done_follows_the_state(
    world: SiteWorld, cookie: str, state: SessionState, button: str, absent: str
) -> None:
    with_state(world, state)
    text = shown(world, cookie)
    assert f">{button}</button>" in text
    assert f">{absent}</button>" not in text


POSTS = [
    ("prompt", {"id": "ses_1", "text": "a\r\nb"}, PromptSession(session_id="ses_1", text="a\nb")),
    ("continue", {"id": "ses_1"}, PromptSession(session_id="ses_1")),
    ("stop", {"id": "ses_1"}, AbortSession(session_id="ses_1")),
    ("restart", {"id": "ses_1"}, RestartService(name="opencode")),
]


@pytest.mark.parametrize(("path", "fields", "command"), POSTS)
def test_forms_become_commands_and_lead_back(
    world: SiteWorld, cookie: str, path: str, fields: dict[str, str | list[str]], command: object
) -> None:
    answer = world.get(post(f"/_nexus/{path}", fields, cookie=cookie))
    assert (answer.status, world.commands) == (303, [command])
    assert field_of(answer, "location").startswith("/_nexus/session?id=ses_1&note=")


@pytest.mark.parametrize("path", ["new", "prompt", "continue", "stop", "restart"])
def test_a_stranger_and_another_site_reach_nothing(
    world: SiteWorld, cookie: str, path: str
) -> None:
    fields: dict[str, str | list[str]] = {"id": "ses_1", "text": "rm -rf /"}
    assert world.get(post(f"/_nexus/{path}", fields)).status in (303, 413)
    foreign = post(f"/_nexus/{path}", fields, cookie=cookie)
    headers = tuple(
        (name, b"https://evil.example" if name == b"origin" else value)
        for name, value in foreign.headers
    )
    changed = replace(foreign, headers=headers)
    assert world.get(changed).status == 403
    assert world.commands == []
    for shown_path in ("session", "session-fragment", "new"):
        assert world.get(page(f"/_nexus/{shown_path}", query="id=ses_1")).status == 303


def test_a_session_begins_in_a_known_folder_and_in_no_other(world: SiteWorld, cookie: str) -> None:
    form = shown(world, cookie, "new", "")
    assert form.index('value="/home/ada/trays"') < form.index('value="/home/ada/lab"')
    world.outcome = Outcome(ok=True, value="ses_new")
    fields: dict[str, str | list[str]] = {"text": "Do it", "folder": "/home/ada/lab"}
    answer = world.get(post("/_nexus/new", fields, cookie=cookie))
    assert field_of(answer, "location") == "/_nexus/session?id=ses_new&note=begun"
    assert world.commands == [CreateSession(text="Do it", directory="/home/ada/lab")]
    for wrong in ({"text": "keep <this>", "folder": "/etc"}, {"text": " ", "folder": ""}):
        refused = world.get(post("/_nexus/new", {**wrong}, cookie=cookie))
        assert refused.status == 409
    assert len(world.commands) == 1
    refused = world.get(post("/_nexus/new", {"text": "keep <this>", "folder": "/x"}, cookie=cookie))
    assert b"keep &lt;this&gt;</textarea>" in refused.body


def test_what_could_not_be_sent_is_not_lost(world: SiteWorld, cookie: str) -> None:
    why = Reason(code="x", hop=Hop.OPENCODE, what="It is <down>.")
    world.outcome = Outcome(ok=False, reason=why)
    fields: dict[str, str | list[str]] = {"id": "ses_3", "text": "a long thought"}
    for path in ("new", "prompt"):
        answer = world.get(post(f"/_nexus/{path}", fields, cookie=cookie))
        assert answer.status == 409
        assert b"a long thought</textarea>" in answer.body
        assert b"It is &lt;down&gt;." in answer.body


def test_a_dead_opencode_is_named_and_can_be_restarted(world: SiteWorld, cookie: str) -> None:
    world.change(path=DOWN)
    text = shown(world, cookie, "", "")
    assert "It &lt;ended&gt;." in text
    assert "Restart OpenCode" in text
    answer = world.get(post("/_nexus/restart", {"id": ""}, cookie=cookie))
    assert field_of(answer, "location") == "/_nexus/?note=restarted"
    world.change(activity=None)
    fragment = shown(world, cookie, "session-fragment")
    assert 'id="said"' not in fragment  # what stands on the page may stay
    assert "Restart OpenCode" in fragment


def test_an_unknown_session_is_not_found_and_a_question_leads_back(
    world: SiteWorld, cookie: str
) -> None:
    assert world.get(page("/_nexus/session", cookie=cookie, query="id=x")).status == 404
    text = shown(world, cookie, query="id=ses_1")
    assert 'name="session" value="ses_1"' in text
    fields: dict[str, str | list[str]] = {"id": "per_1", "reply": "once", "session": "ses_1"}
    answer = world.get(post("/_nexus/answer", fields, cookie=cookie))
    assert field_of(answer, "location") == "/_nexus/session?id=ses_1&note=answered"
    assert world.commands == [AnswerPermission(question_id="per_1", reply="once")]
