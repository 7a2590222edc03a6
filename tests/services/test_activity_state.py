"""The ledger: recorded events folded, walks at random, bounds, and lists that overrule."""

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.model import QuestionKind, SessionState
from nexus_tray.services import activity_forms as forms
from nexus_tray.services import activity_state
from nexus_tray.services.activity_state import Ledger

HERE, THERE = "/home/me/here", "/home/me/there"
SAMPLES: dict[str, dict[str, Any]] = msgspec.json.decode(
    (Path(__file__).parents[1] / "opencode_lab" / "event_samples.json").read_bytes()
)
RECORDED = SAMPLES["session.created"]["properties"]["sessionID"]


def event(kind: str, properties: dict[str, Any], directory: str = HERE) -> forms.Envelope:
    """An event as it comes over the wire."""
    payload = {"id": "evt_1", "type": kind, "properties": properties}
    wire = msgspec.json.encode({"directory": directory, "project": "global", "payload": payload})
    return msgspec.json.decode(wire, type=forms.Envelope)


def recorded(kind: str) -> forms.Envelope:
    return event(kind, SAMPLES[kind]["properties"])


def session(
    key: str, updated: int = 1, parent: str | None = None, directory: str = HERE, **more: Any
) -> dict[str, Any]:  # fmt: skip
    info: dict[str, Any] = {
        "id": key,
        "title": f"title {key}",
        "directory": directory,
        "projectID": "p",
    }
    info |= {"time": {"created": 0, "updated": updated}, "cost": 0.5, **more}
    return info | ({"parentID": parent} if parent else {})


def born(key: str, **more: Any) -> forms.Envelope:
    return event("session.created", {"sessionID": key, "info": session(key, **more)})


def status(key: str, kind: str, directory: str = HERE) -> forms.Envelope:
    return event("session.status", {"sessionID": key, "status": {"type": kind}}, directory)


def asks(key: str, session_id: str, directory: str = HERE) -> forms.Envelope:
    properties = {"id": key, "sessionID": session_id, "permission": "bash", "patterns": ["ls"]}
    return event("permission.asked", properties | {"metadata": {}, "always": []}, directory)


def states(ledger: Ledger) -> dict[str, SessionState]:
    return {found.id: found.state for found in ledger.activity().sessions}


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_every_recorded_kind_is_taken_or_left_without_a_fault(kind: str) -> None:
    Ledger().event(recorded(kind), 0.0)


def test_a_recorded_conversation() -> None:
    ledger = Ledger()
    assert ledger.event(recorded("session.created"), 1.0)
    assert states(ledger) == {RECORDED: SessionState.IDLE}
    assert ledger.event(recorded("session.status"), 2.0)
    assert states(ledger) == {RECORDED: SessionState.WORKING}
    assert ledger.event(recorded("permission.asked"), 3.0)
    assert ledger.event(recorded("question.asked"), 4.0)
    assert states(ledger) == {RECORDED: SessionState.WAITING}
    permission, question = ledger.activity().questions
    assert permission.kind is QuestionKind.PERMISSION
    assert (permission.title, permission.detail) == ("bash", "echo tool-ran-$((6*7)); pwd")
    assert (permission.asked_at, permission.directory) == (3.0, HERE)
    assert question.parts[0].text == "Which colour?"
    assert question.parts[0].options == (("Red", "r"), ("Blue", "b"))
    assert question.parts[0].custom
    assert ledger.event(recorded("permission.replied"), 5.0)
    assert ledger.event(recorded("question.replied"), 6.0)
    assert states(ledger) == {RECORDED: SessionState.WORKING}
    assert not ledger.event(recorded("message.part.delta"), 7.0)


def test_a_subagent_counts_with_who_called_it() -> None:
    ledger = Ledger()
    ledger.event(born("root"), 0)
    ledger.event(born("child", parent="root"), 0)
    ledger.event(born("grandchild", parent="child"), 0)
    assert states(ledger) == {"root": SessionState.IDLE}
    ledger.event(status("grandchild", "busy"), 0)
    assert states(ledger) == {"root": SessionState.WORKING}
    ledger.event(asks("per_1", "grandchild"), 0)
    assert states(ledger) == {"root": SessionState.WAITING}
    ledger.event(born("root", parent="grandchild"), 0)  # a circle: no root, no hang
    assert states(ledger) == {}


def test_archived_and_deleted_sessions_go_with_their_questions() -> None:
    ledger = Ledger()
    for key in ("a", "b"):
        ledger.event(born(key), 0)
        ledger.event(status(key, "busy"), 0)
        ledger.event(asks(f"per_{key}", key), 0)
    info = session("a", time={"created": 0, "updated": 1, "archived": 2})
    ledger.event(event("session.updated", {"sessionID": "a", "info": info}), 0)
    assert set(states(ledger)) == {"b"}
    ledger.event(event("session.deleted", {"sessionID": "b", "info": session("b")}), 0)
    assert ledger.activity() == Ledger().activity()


def test_a_directorys_own_word_overrules_but_keeps_when_it_was_asked() -> None:
    ledger = Ledger()
    ledger.event(born("a"), 0)
    ledger.event(born("b"), 0)
    ledger.event(born("far", directory=THERE), 0)
    ledger.event(status("a", "busy"), 0)
    ledger.event(status("far", "busy", THERE), 0)
    ledger.event(asks("per_gone", "a"), 5.0)
    ledger.event(asks("per_kept", "a"), 6.0)
    kept = forms.Permission(id="per_kept", session="a", permission="bash")
    new = forms.Permission(id="per_new", session="b", permission="bash")
    ledger.directory_state(HERE, {"b": forms.Status("retry")}, [kept, new], [])
    asked = {question.id: question.asked_at for question in ledger.activity().questions}
    assert asked == {"per_kept": 6.0, "per_new": None}
    ledger.directory_state(HERE, {"b": forms.Status("retry")}, [], [])
    assert states(ledger) == {
        "a": SessionState.IDLE, "b": SessionState.WORKING, "far": SessionState.WORKING,
    }  # fmt: skip
    ledger.directory_unknown(HERE)
    assert states(ledger) == {
        "a": SessionState.UNKNOWN, "b": SessionState.UNKNOWN, "far": SessionState.WORKING,
    }  # fmt: skip
    ledger.event(event("global.disposed", {}, ""), 0)
    assert states(ledger)["far"] is SessionState.IDLE


def test_only_where_something_happened_is_asked() -> None:
    ledger = Ledger()
    sessions = [session("old", 10), session("new", 2000, directory=THERE)]
    ledger.list_sessions([msgspec.convert(found, forms.Session) for found in sessions])
    assert ledger.directories(1000.0) == {THERE}
    ledger.event(status("old", "busy"), 0)
    assert ledger.directories(1000.0) == {HERE, THERE}


@pytest.mark.parametrize(
    ("project", "shown"),
    [
        ({"id": "p", "worktree": "/home/me/tree"}, "tree"),
        ({"id": "p", "worktree": "/home/me/tree", "name": "My project"}, "My project"),
        ({"id": "global", "worktree": "/"}, "here"),
        (None, "here"),
    ],
)
def test_what_the_project_is_called(project: dict[str, str] | None, shown: str) -> None:
    ledger = Ledger()
    ledger.list_sessions([msgspec.convert(session("a", project=project), forms.Session)])
    ledger.event(born("a"), 0)  # events do not say the project's name
    assert ledger.activity().sessions[0].project == shown


IDS = st.sampled_from(["s1", "s2", "s3"])
PLACES = st.sampled_from([HERE, THERE])
EVENTS = st.one_of(
    st.builds(born, IDS, updated=st.integers(0, 9), parent=st.none() | IDS),
    st.builds(status, IDS, st.sampled_from(["busy", "retry", "idle"]), PLACES),
    st.builds(asks, st.sampled_from(["per_1", "per_2"]), IDS, PLACES),
    st.builds(
        lambda key: event("permission.replied", {"requestID": key}),
        st.sampled_from(["per_1", "per_2"]),
    ),
    st.builds(lambda place: event("server.instance.disposed", {}, place), PLACES),
)


@given(st.lists(EVENTS, max_size=40))
def test_walks(events: list[forms.Envelope]) -> None:
    ledger = Ledger()
    for happened in events:
        ledger.event(happened, 1.0)
        activity = ledger.activity()
        times = [found.updated_at or 0 for found in activity.sessions]
        assert times == sorted(times, reverse=True)
        assert len({found.id for found in activity.sessions}) == len(activity.sessions)
        assert len({question.id for question in activity.questions}) == len(activity.questions)
        waiting = {question.session_id for question in activity.questions}
        for found in activity.sessions:
            if found.id in waiting:
                assert found.state is SessionState.WAITING
    for place in (HERE, THERE):
        ledger.forget(place)
    assert not ledger.activity().questions
    assert set(states(ledger).values()) <= {SessionState.IDLE}


def test_it_is_bounded_and_keeps_the_newest() -> None:
    ledger = Ledger()
    for number in range(2000):
        ledger.event(born(f"s{number}", updated=number), 0)
        ledger.event(status(f"s{number}", "busy"), 0)
        ledger.event(asks(f"per_{number}", f"s{number}"), 0)
    activity = ledger.activity()
    assert len(activity.sessions) == activity_state.MOST_SESSIONS
    assert activity.sessions[0].id == "s1999"
    assert len(activity.questions) == activity_state.MOST_QUESTIONS
    assert len(ledger._working) == activity_state.MOST_KEPT


def test_the_flood_of_a_streamed_answer_costs_little() -> None:
    wire = msgspec.json.encode(
        {"directory": HERE, "project": "global", "payload": SAMPLES["message.part.delta"]}
    )
    ledger = Ledger()
    began = time.process_time()
    for _ in range(20_000):
        ledger.event(msgspec.json.decode(wire, type=forms.Envelope), 0.0)
    assert time.process_time() - began < 1.0, "50 microseconds each at the very most"


def test_who_was_at_work_when_opencode_ended_is_shown_interrupted_until_it_works_again() -> None:
    before = Ledger()
    for name in ("worked", "asked", "rested", "stopped", "ended"):
        before.event(born(name), 0)
    before.event(born("helper", parentID="rested"), 0)
    before.event(status("worked", "busy"), 1)
    before.event(asks("per_1", "asked"), 1)
    for name, at in (("stopped", 80.0), ("ended", 99.9)):
        before.event(status(name, "busy"), 1)
        aborted = {"sessionID": name, "error": {"name": "MessageAbortedError", "data": {}}}
        before.event(event("session.error", aborted), at)
        before.event(status(name, "idle"), at)
    assert before.broken_off(100.0) == {"worked", "asked", "ended"}
    before.event(status("helper", "busy"), 1)
    assert "rested" in before.broken_off(100.0)

    after = Ledger(before.broken_off(100.0))
    for name in ("worked", "asked", "rested", "stopped", "ended"):
        after.event(born(name), 101)
    broken = {name for name, state in states(after).items() if state is SessionState.INTERRUPTED}
    assert broken == {"worked", "asked", "rested", "ended"}
    after.event(status("worked", "busy"), 102)
    after.event(status("worked", "idle"), 103)
    assert states(after)["worked"] is SessionState.IDLE
    assert after.broken_off(200.0) == {"asked", "rested", "ended"}
