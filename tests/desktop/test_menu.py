"""The menu as it looks, for each state of things."""

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.commands import (
    AnswerPermission,
    AnswerQuestion,
    Autostart,
    OpenDoor,
    Panic,
    RestartService,
    Resume,
    SetAutostart,
    Shutdown,
    StartService,
    StopService,
)
from nexus_tray.core.moments import Span, moment
from nexus_tray.desktop.items import (
    Browse,
    Copy,
    PauseFor,
    Submit,
    dashboard,
    default_action,
)
from nexus_tray.desktop.menu import Around, menu, title
from nexus_tray.inert import inert
from nexus_tray.model import (
    Activity,
    Desired,
    Facts,
    Hop,
    HopState,
    OpenCodeSession,
    Question,
    QuestionKind,
    QuestionPart,
    Reason,
    Service,
    ServiceKind,
    ServiceState,
    SessionState,
    Snapshot,
)
from tests.api.doubles import AT, first_snapshot, service
from tests.desktop.picture import drawn, everything, find, said

NOW = AT + 3 * 3600
FULL = Around(can_copy=True, autostart=Autostart.ON)
S = ServiceState

BLOCKED = Reason(
    code="edge-blocked",
    hop=Hop.EDGE,
    what="Port 7844 is blocked.",
    cure="Allow outgoing connections to port 7844.",
)
NO_PASSWORD = Reason(
    code="no-password",
    hop=Hop.GATEWAY,
    what="Remote access is off: no password is set.",
    cure="Set one: nexus-tray password set",
)


def look(snapshot: Snapshot, around: Around = FULL) -> str:
    return drawn(menu(snapshot, around, NOW))


def session(name: str, state: SessionState, **changes: Any) -> OpenCodeSession:
    plain = OpenCodeSession(
        id=f"ses_{name}", title=name, directory="/srv/app", project="app", state=state
    )
    return msgspec.structs.replace(plain, **changes)


def push(detail: str = "git push origin main") -> Question:
    return Question(
        id="per_1",
        kind=QuestionKind.PERMISSION,
        session_id="ses_Fix the test",
        directory="/srv/app",
        title="bash",
        detail=detail,
    )


WORKING = session("Fix the test", SessionState.WORKING, updated_at=AT)


def test_all_is_well() -> None:
    assert look(first_snapshot()) == (
        "(Reachable)\n"
        "Copy https://calm-river.trycloudflare.com\n"
        "---\n"
        "Open dashboard *\n"
        "Open OpenCode\n"
        "Pair a phone…\n"
        "---\n"
        "OpenCode: running, 3 h >\n"
        "    Restart\n"
        "    Stop\n"
        "    Logs\n"
        "Gateway: running, 3 h >\n"
        "    Restart\n"
        "    Logs\n"
        "Tunnel quick: running, 3 h >\n"
        "    Restart\n"
        "    Stop\n"
        "    Logs\n"
        "---\n"
        "Pause remote access >\n"
        "    15 minutes\n"
        "    1 hour\n"
        "    Until tomorrow, 6:00\n"
        "    Until I resume\n"
        "Panic: end all access now… >\n"
        "    (This stops every tunnel, signs out every device,)\n"
        "    (and voids every token and link; OpenCode goes on.)\n"
        "    ---\n"
        "    End all access\n"
        "---\n"
        "[x] Start at login\n"
        "Doctor…\n"
        "Settings…\n"
        "Quit"
    )


def test_the_menus_identities_do_not_move_with_time() -> None:
    """A menu that is held open while time passes is the same menu: no click may miss."""
    before = everything(menu(first_snapshot(), FULL, NOW))
    later = everything(menu(first_snapshot(), FULL, NOW + 40 * 60))
    assert [(i.key, i.action) for i in before] == [(i.key, i.action) for i in later]


@pytest.mark.parametrize(
    ("until_at", "label"),
    [
        (NOW + 900, f"Resume remote access (paused until {moment(NOW + 900, NOW)})"),
        (NOW + 86400 * 2, f"Resume remote access (paused until {moment(NOW + 86400 * 2, NOW)})"),
        (None, "Resume remote access (paused)"),
    ],
)
def test_what_is_paused_is_resumed(until_at: float | None, label: str) -> None:
    reason = Reason(code="paused", hop=Hop.EDGE, what="Remote access is paused until 14:30.",
                    cure="Resume it from the tray, or with: nexus-tray resume")  # fmt: skip
    held = service("quick", ServiceKind.TUNNEL, state=S.STOPPED, reason=reason)
    paused = said(
        state=HopState.OFF, reason=reason, headline=reason.what, address=None, paused=True,
        paused_until=until_at, services=(held,),
    )  # fmt: skip
    shown = look(paused).splitlines()
    assert shown[0] == "(Remote access is paused until 14:30.)"
    assert label in shown
    assert "Pause remote access >" not in shown
    assert "Tunnel quick: off >" in shown
    assert find(menu(paused, FULL, NOW), label).action == Submit(Resume())


def test_without_a_tunnel_there_is_nothing_to_pause() -> None:
    shown = look(said(services=(service("opencode", ServiceKind.OPENCODE),)))
    assert "Pause remote access" not in shown
    assert "Panic: end all access now… >" in shown


def test_a_permission_is_read_whole_before_it_is_answered() -> None:
    asking = Activity(sessions=(WORKING,), questions=(push(),))
    lines = look(said(activity=asking)).splitlines()
    assert lines[3:12] == [
        "OpenCode asks: git push origin main >",
        "    (bash)",
        "    (git push origin main)",
        "    (in “Fix the test”)",
        "    ---",
        "    Allow once",
        "    Allow always",
        "    Reject",
        "    Show in OpenCode",
    ]


def test_what_is_too_long_to_read_cannot_be_allowed_here() -> None:
    long = " && ".join(["echo all is well"] * 60) + " && rm -rf ~"
    items = menu(said(activity=Activity(questions=(push(long),))), FULL, NOW)
    [asked] = [item for item in items if item.key == "question per_1"]
    labels = [item.label for item in asked.items]
    assert labels[-2:] == ["Reject", "Show in OpenCode"]
    assert not [label for label in labels if label.startswith("Allow")]
    assert "… and more. Read it whole before you answer." in labels


def test_a_question_is_answered_by_its_options() -> None:
    options = (("Blue", "like the sky"), ("Red", ""))
    question = Question(
        id="que_1", kind=QuestionKind.QUESTION, session_id="ses_1", directory="/srv/app",
        title="Colour", parts=(QuestionPart(text="Which colour?", options=options),),
    )  # fmt: skip
    items = menu(said(activity=Activity(questions=(question,))), FULL, NOW)
    asked = find(items, "OpenCode asks: Which colour?")
    assert drawn(asked.items) == (
        "(Which colour?)\n---\nBlue: like the sky\nRed\nDo not answer\nShow in OpenCode"
    )
    assert find(asked.items, "Blue: like the sky").action == Submit(
        AnswerQuestion(question_id="que_1", answers=(("Blue",),))
    )


@pytest.mark.parametrize("several", ["two parts", "multiple"])
def test_what_needs_more_than_one_click_is_answered_in_opencode(several: str) -> None:
    part = QuestionPart(text="Which?", options=(("A", ""),), multiple=several == "multiple")
    parts = (part, part) if several == "two parts" else (part,)
    question = Question(
        id="q", kind=QuestionKind.QUESTION, session_id="s", directory="/d", title="t", parts=parts
    )
    items = menu(said(activity=Activity(questions=(question,))), FULL, NOW)
    [asked] = [item for item in items if item.key == "question q"]
    assert [item.label for item in asked.items][-2:] == ["Do not answer", "Show in OpenCode"]
    assert "A" not in [item.label for item in asked.items]


def test_more_questions_than_fit_are_counted() -> None:
    many = tuple(msgspec.structs.replace(push(), id=f"per_{n}") for n in range(7))
    assert "(2 more: see OpenCode)" in look(said(activity=Activity(questions=many)))


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"state": HopState.BUSY, "headline": "Starting", "address": None}, ["(Starting)"]),
        (
            {"state": HopState.DOWN, "reason": BLOCKED, "address": None},
            ["(Not reachable: Port 7844 is blocked.)",
             "(Allow outgoing connections to port 7844.)"],
        ),
        (
            {"state": HopState.OFF, "reason": NO_PASSWORD, "address": None},
            ["(Remote access is off: no password is set.)",
             "(Set one: nexus-tray password set)"],
        ),
        ({"state": HopState.OFF, "address": None}, ["(Remote access is off)"]),
        ({"state": HopState.UNKNOWN, "address": None}, ["(Not known)"]),
    ],
)  # fmt: skip
def test_the_first_lines_say_how_things_stand(changes: dict[str, Any], lines: list[str]) -> None:
    shown = look(said(**changes)).splitlines()
    assert shown[: len(lines)] == lines
    assert shown[len(lines)] == "---"


def test_the_next_try_is_said() -> None:
    waiting = service("quick", ServiceKind.TUNNEL, state=S.BACKOFF, next_try_at=NOW + 8)
    shown = look(said(state=HopState.DOWN, reason=BLOCKED, services=(waiting,)))
    assert "(Next try in 8 s)" in shown
    assert "Tunnel quick: next try in 8 s >\n    Try now\n    Stop" in shown


def test_without_a_clipboard_the_address_is_text() -> None:
    shown = look(first_snapshot(), Around(can_copy=False))
    assert "(https://calm-river.trycloudflare.com)" in shown
    assert "Copy" not in shown


@pytest.mark.parametrize(
    ("changes", "label", "deeds"),
    [
        ({"state": S.RUNNING, "since_at": NOW - 5}, "running", ["Restart", "Stop", "Logs"]),
        ({"state": S.STARTING}, "starting", ["Restart", "Stop", "Logs"]),
        ({"state": S.DEGRADED}, "does not answer as it should", ["Restart", "Stop", "Logs"]),
        ({"state": S.FAILED}, "cannot run", ["Try again", "Stop", "Logs"]),
        ({"state": S.STOPPED, "desired": Desired.STOPPED}, "stopped", ["Start", "Logs"]),
        ({"state": S.STOPPING, "desired": Desired.STOPPED}, "stopping", ["Start", "Logs"]),
        ({"state": S.STOPPED, "reason": NO_PASSWORD}, "off",
         ["(Remote access is off: no password is set.)", "(Set one: nexus-tray password set)",
          "---", "Stop", "Logs"]),
    ],
)  # fmt: skip
def test_a_service_offers_what_can_be_done(
    changes: dict[str, Any], label: str, deeds: list[str]
) -> None:
    tunnel = service("quick", ServiceKind.TUNNEL, **changes)
    items = menu(said(services=(tunnel,)), FULL, NOW)
    entry = find(items, f"Tunnel quick: {label}")
    assert drawn(entry.items).splitlines() == deeds


def test_a_tunnel_that_runs_has_its_address_copied() -> None:
    tunnel = service("home", ServiceKind.TUNNEL, facts=Facts(address="https://code.example.dev"))
    entry = find(menu(said(services=(tunnel,)), FULL, NOW), "Tunnel home: running, 3 h")
    assert [item.label for item in entry.items] == ["Restart", "Stop", "Copy address", "Logs"]
    assert entry.items[2].action == Copy("https://code.example.dev")
    assert "Copy address" not in look(said(services=(tunnel,)), Around(can_copy=False))
    waits = msgspec.structs.replace(tunnel, state=S.BACKOFF)
    assert "Copy address" not in look(said(services=(waits,)))


def test_without_a_gateway_there_is_no_way_to_opencode() -> None:
    down = service("gateway", ServiceKind.GATEWAY, state=S.STARTING)
    assert "Open OpenCode" not in look(said(services=(down,)))


def test_sessions_that_wait_or_work_come_first() -> None:
    sessions = (
        session("Old", SessionState.IDLE, updated_at=AT),
        session("New", SessionState.IDLE, updated_at=AT + 9),
        WORKING,
        session("Ask me", SessionState.WAITING),
    )
    shown = look(said(activity=Activity(sessions=sessions))).splitlines()
    at = shown.index("Sessions: 1 working, 1 waiting >")
    assert shown[at + 1 : at + 5] == [
        "    Ask me · waits for you",
        "    Fix the test · working",
        "    New · idle",
        "    Old · idle",
    ]


def test_quit_asks_only_while_opencode_works() -> None:
    idle = said(activity=Activity(sessions=(session("Idle", SessionState.IDLE),)))
    assert find(menu(idle, FULL, NOW), "Quit").action == Submit(Shutdown())
    busy = Activity(sessions=(WORKING, session("Ask me", SessionState.WAITING)))
    items = menu(said(activity=busy), FULL, NOW)
    asked = find(items, "Quit: 2 sessions work…")
    assert asked.action is None
    assert drawn(asked.items) == (
        "(These would be cut off:)\n(  Fix the test)\n(  Ask me)\n---\nQuit now"
    )
    assert find(asked.items, "Quit now").action == Submit(Shutdown())


@pytest.mark.parametrize(
    ("state", "line", "click"),
    [
        (Autostart.ON, "[x] Start at login", False),
        (Autostart.SIGNED_IN, "[x] Start at login", False),
        (Autostart.OFF, "[ ] Start at login", True),
        (Autostart.STALE, "[ ] Start this copy at login (another is entered)", True),
    ],
)
def test_start_at_login_shows_what_is_true(state: Autostart, line: str, click: bool) -> None:
    items = menu(first_snapshot(), Around(autostart=state), NOW)
    assert line in drawn(items)
    [entry] = [item for item in items if item.key == "autostart"]
    assert entry.action == Submit(SetAutostart(enabled=click))


def test_what_is_not_known_is_not_shown() -> None:
    assert "login" not in look(first_snapshot(), Around(autostart=None))


@pytest.mark.parametrize(
    ("labels", "action"),
    [
        (["Copy https://calm-river.trycloudflare.com"],
         Copy("https://calm-river.trycloudflare.com")),
        (["Open dashboard"], dashboard()),
        (["Open OpenCode"], Browse(OpenDoor())),
        (["Pair a phone…"], dashboard("/access?pair")),
        (["Pause remote access", "15 minutes"], PauseFor(Span.QUARTER)),
        (["Pause remote access", "1 hour"], PauseFor(Span.HOUR)),
        (["Pause remote access", "Until tomorrow, 6:00"], PauseFor(Span.TOMORROW)),
        (["Pause remote access", "Until I resume"], PauseFor(Span.OPEN)),
        (["Panic: end all access now…"], None),
        (["Panic: end all access now…", "End all access"], Submit(Panic())),
        (["Doctor…"], dashboard("/doctor")),
        (["Settings…"], dashboard("/settings")),
        (["Sessions: 1 working", "Fix the test · working"],
         Browse(OpenDoor(path="/L3Nydi9hcHA/session/ses_Fix%20the%20test"))),
        (["OpenCode: running, 3 h", "Restart"], Submit(RestartService(name="opencode"))),
        (["OpenCode: running, 3 h", "Stop"], Submit(StopService(name="opencode"))),
        (["OpenCode: running, 3 h", "Logs"],
         dashboard("/logs?source=opencode")),
        (["Tunnel off: stopped", "Start"], Submit(StartService(name="off"))),
        (["OpenCode asks: git push origin main", "Allow once"],
         Submit(AnswerPermission(question_id="per_1", reply="once"))),
        (["OpenCode asks: git push origin main", "Allow always"],
         Submit(AnswerPermission(question_id="per_1", reply="always"))),
        (["OpenCode asks: git push origin main", "Reject"],
         Submit(AnswerPermission(question_id="per_1", reply="reject"))),
    ],
)  # fmt: skip
def test_what_a_click_means(labels: list[str], action: object) -> None:
    off = service("off", ServiceKind.TUNNEL, state=S.STOPPED, desired=Desired.STOPPED)
    full = said(
        services=(*first_snapshot().services, off),
        activity=Activity(sessions=(WORKING,), questions=(push(),)),
    )
    assert find(menu(full, FULL, NOW), *labels).action == action


def test_a_left_click_opens_the_dashboard() -> None:
    assert default_action(menu(first_snapshot(), FULL, NOW)) == dashboard()


def test_the_tool_tip_says_state_and_questions() -> None:
    assert title(said(activity=Activity(questions=(push(),)))) == (
        "Nexus Tray: Reachable at https://calm-river.trycloudflare.com · OpenCode asks 1 question"
    )


NASTY = st.text(max_size=200)
SERVICES = st.builds(
    service,
    st.from_regex(r"[a-z0-9-]{1,8}", fullmatch=True),
    st.sampled_from(ServiceKind),
    state=st.sampled_from(ServiceState),
    desired=st.sampled_from(Desired),
    reason=st.none() | st.builds(Reason, code=st.just("x"), hop=st.just(Hop.EDGE), what=NASTY,
                                 cure=NASTY),
    next_try_at=st.none() | st.just(NOW + 5),
)  # fmt: skip
SESSIONS = st.builds(session, NASTY, st.sampled_from(SessionState))
QUESTIONS = st.builds(
    Question, id=st.uuids().map(str), kind=st.sampled_from(QuestionKind), session_id=NASTY,
    directory=NASTY, title=NASTY, detail=NASTY,
    parts=st.lists(
        st.builds(QuestionPart, text=NASTY, options=st.lists(st.tuples(NASTY, NASTY), max_size=3)
                  .map(tuple)), max_size=2).map(tuple),
)  # fmt: skip


def unique(services: list[Service]) -> tuple[Service, ...]:
    return tuple({s.name: s for s in services}.values())


@given(
    st.lists(SERVICES, max_size=4),
    st.lists(SESSIONS, max_size=4, unique_by=lambda s: s.id),
    st.lists(QUESTIONS, max_size=3),
    st.sampled_from(HopState),
)
def test_whatever_is_true_the_menu_is_sound(
    services: list[Service],
    sessions: list[OpenCodeSession],
    questions: list[Question],
    state: HopState,
) -> None:
    activity = Activity(sessions=tuple(sessions), questions=tuple(questions))
    items = menu(said(services=unique(services), activity=activity, state=state), FULL, NOW)
    found = list(everything(items))
    keys = [item.key for item in found]
    assert len(keys) == len(set(keys)), "two entries with one identity"
    for item in found:
        assert item.label == inert(item.label)
        assert len(item.label) <= 110
        assert not (item.action and item.items)
    for previous, item in itertools.pairwise(items):
        assert previous.label or item.label, "two lines in a row"
    assert items[0].label
    assert items[-1].label
