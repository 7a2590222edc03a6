"""What is told, when, and once: tables, and walks at random against what may never be."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_tray.commands import AnswerPermission, AnswerQuestion
from nexus_tray.core.snapshot import UNUSED
from nexus_tray.desktop import notice_words as words
from nexus_tray.desktop.notice_words import Kind, Notice
from nexus_tray.desktop.notices import LASTS, WORTH, Decision, State, decide, is_quiet
from nexus_tray.model import (
    Activity,
    Desired,
    Hop,
    HopState,
    OpenCodeSession,
    PathHop,
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
from nexus_tray.reports import AuditEntry
from nexus_tray.settings import NotificationSettings
from tests.api.doubles import first_snapshot, service

ONE, TWO = "https://calm-river.trycloudflare.com", "https://blue-moon.trycloudflare.com"
GONE = Reason(code="gone", hop=Hop.EDGE, what="Cloudflare does not answer.", cure="Wait.")
LOOP = Reason(code="loop", hop=Hop.OPENCODE, what="OpenCode ended six times.", cure="See its log.")
IMPORTANT, ALL = NotificationSettings(), NotificationSettings(level="all")
OFF = NotificationSettings(level="off")
NIGHT = NotificationSettings(level="all", quiet_from="22:00", quiet_to="07:00")
NOON, MIDNIGHT = 12 * 60, 0


def at(state: HopState, address: str | None = ONE, **changes: Any) -> Snapshot:
    """A snapshot in that state; down has a reason, off has a hop that is off."""
    reason = GONE if state is HopState.DOWN else None
    edge = {HopState.OFF: HopState.OFF, HopState.DOWN: HopState.DOWN}.get(state, HopState.UP)
    path = tuple(
        PathHop(hop=hop, state=edge if hop is Hop.EDGE else HopState.UP, text="") for hop in Hop
    )
    given: dict[str, Any] = {
        "state": state, "address": address, "reason": reason, "headline": "x", "path": path,
    }  # fmt: skip
    return msgspec.structs.replace(first_snapshot(), **(given | changes))


UP, DOWN, BUSY, OUT = (
    at(state) for state in (HopState.UP, HopState.DOWN, HopState.BUSY, HopState.OFF)
)


def permission(number: int = 1, detail: str = "git push", **changes: Any) -> Question:
    plain = Question(
        id=f"per_{number}", kind=QuestionKind.PERMISSION, session_id="s1", directory="/w",
        title="bash", detail=detail,
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


def choice(*parts: QuestionPart) -> Question:
    return permission(kind=QuestionKind.QUESTION, detail="", parts=parts)


def session(state: SessionState, name: str = "s1", title: str = "Icons") -> OpenCodeSession:
    return OpenCodeSession(id=name, title=title, directory="/w", project="w", state=state)


def asking(*questions: Question, before: Snapshot = UP) -> Snapshot:
    return msgspec.structs.replace(before, activity=Activity(questions=questions))


def busy_with(*sessions: OpenCodeSession) -> Snapshot:
    return msgspec.structs.replace(UP, activity=Activity(sessions=sessions))


def failed(name: str = "opencode", reason: Reason = LOOP, **changes: Any) -> Snapshot:
    broken = service(name, ServiceKind.OPENCODE, state=ServiceState.FAILED, reason=reason)
    return at(HopState.DOWN, reason=reason, services=(broken,), **changes)


def row(number: int, event: str = "sign-in", who: str = "Chrome on Android") -> AuditEntry:
    return AuditEntry(
        id=number, at=0.0, event=event, who=who, address="203.0.113.7", text="signed in"
    )


@dataclass
class Told:
    """Decisions one after the other, and what they came to."""

    wishes: NotificationSettings = IMPORTANT
    minute: int = NOON
    now: float = 1000.0
    state: State = field(default_factory=lambda: State(row=0))
    shown: list[Notice] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    def see(
        self, snapshot: Snapshot, after: float = 1.0, trail: Sequence[AuditEntry] | None = None
    ) -> list[str]:
        """The titles of what is shown; and what is taken back goes to `taken`."""
        self.now += after
        decision = decide(self.state, snapshot, trail, self.wishes, self.now, self.minute)
        self.state = decision.state
        self.shown += decision.shows
        self.taken = list(decision.withdraws)
        return [notice.title for notice in decision.shows]


def test_not_reachable_is_told_once_when_it_lasts_and_so_is_its_end() -> None:
    told = Told()
    assert told.see(UP) == []
    assert told.see(DOWN) == []
    assert told.see(DOWN, LASTS - 1) == []
    assert told.see(DOWN) == ["Not reachable"]
    assert told.shown[-1].text == "Cloudflare does not answer.\nWait."
    assert told.see(BUSY, 60) == []
    assert told.taken == []
    assert told.see(DOWN, 600) == []
    assert told.see(UP) == ["Reachable again"]
    assert told.taken == [words.DOWN]
    assert told.shown[-1].text == ONE
    assert told.see(DOWN) == []
    assert told.see(DOWN, LASTS) == ["Not reachable"]
    assert told.taken == [words.BACK]


@pytest.mark.parametrize(
    "steps",
    [
        [(UP, 0), (DOWN, 1), (DOWN, LASTS - 1), (UP, 1), (DOWN, 1), (DOWN, LASTS - 1)],  # blips
        [(BUSY, 0), (BUSY, 600), (UP, 1)],  # a slow start
        [(UP, 0), (OUT, 1), (OUT, 600), (UP, 1)],  # switched off, and on again
        [(UP, 0), (DOWN, 1), (OUT, 5), (DOWN, 5), (DOWN, LASTS - 1)],  # off in between
        [(at(HopState.UNKNOWN), 0), (at(HopState.UNKNOWN), 600)],
        [(UP, 0), (BUSY, 1), (BUSY, 600), (UP, 1)],  # restarted by hand
        # OpenCode is broken, but remote access is off anyway
        [(at(HopState.DOWN, path=OUT.path), 0), (at(HopState.DOWN, path=OUT.path), 600)],
    ],
)
def test_what_is_no_news_is_not_told(steps: list[tuple[Snapshot, float]]) -> None:
    told = Told()
    assert [told.see(snapshot, after) for snapshot, after in steps] == [[]] * len(steps)


def test_tries_in_between_do_not_begin_anew() -> None:
    told = Told()
    told.see(UP)
    for _ in range(4):
        assert told.see(DOWN, 3) == []
        assert told.see(BUSY, 2) == []
    assert told.see(BUSY, LASTS) == []  # it starts: perhaps it comes
    assert told.see(DOWN, 1) == ["Not reachable"]


def test_switched_off_takes_it_back_and_on_again_is_no_news() -> None:
    told = Told()
    told.see(DOWN)
    assert told.see(DOWN, LASTS) == ["Not reachable"]
    assert told.see(OUT) == []
    assert told.taken == [words.DOWN]
    assert told.see(UP) == []


def test_a_service_that_was_switched_off_has_not_failed() -> None:
    off = service(
        "opencode", ServiceKind.OPENCODE, state=ServiceState.FAILED, desired=Desired.STOPPED
    )
    assert Told().see(at(HopState.OFF, services=(off,))) == []


def test_a_failed_service_is_told_once_and_is_not_also_not_reachable() -> None:
    told = Told()
    told.see(UP)
    assert told.see(failed()) == ["OpenCode cannot run"]
    notice = told.shown[-1]
    assert notice.page == "/logs?source=opencode"
    assert notice.text == "OpenCode ended six times.\nSee its log."
    assert told.see(failed(), 600) == []
    assert told.see(UP) == []
    assert told.taken == ["failed opencode"]
    assert told.see(failed()) == ["OpenCode cannot run"]


def test_a_failure_after_the_outage_was_told_takes_its_place() -> None:
    told = Told()
    told.see(DOWN)
    assert told.see(DOWN, LASTS) == ["Not reachable"]
    assert told.see(failed()) == ["OpenCode cannot run"]
    assert told.taken == [words.DOWN]
    assert told.see(DOWN, LASTS) == []  # the same outage
    assert told.see(UP) == ["Reachable again"]


def test_a_failure_elsewhere_does_not_hide_that_nothing_is_reachable() -> None:
    told = Told()
    other = failed(reason=LOOP).services[0]
    both = at(HopState.DOWN, services=(other,))
    assert told.see(both) == ["OpenCode cannot run"]
    assert told.see(both, LASTS) == ["Not reachable"]


def test_a_new_address_matters_more_than_the_first() -> None:
    told = Told()
    assert told.see(BUSY) == []
    assert told.see(UP) == []
    assert told.see(BUSY) == []
    assert told.see(UP) == []
    assert told.see(at(HopState.BUSY, TWO)) == []  # not yet open
    assert told.see(at(HopState.UP, TWO)) == ["New address"]
    assert (
        told.shown[-1].text == f"{TWO}\nBrowsers must sign in again, and paired phones pair again."
    )
    assert told.see(at(HopState.UP, TWO)) == []
    everything = Told(ALL)
    assert everything.see(UP) == ["New address"]
    assert everything.see(BUSY) == []
    assert everything.taken == []
    assert everything.see(at(HopState.UP, "https://code.example.dev")) == ["New address"]
    assert everything.shown[-1].text == "https://code.example.dev"


def test_reachable_again_at_a_new_address_is_one_piece_of_news() -> None:
    told = Told()
    told.see(UP)
    told.see(DOWN)
    told.see(DOWN, LASTS)
    assert told.see(at(HopState.UP, TWO)) == ["New address"]
    assert told.taken == [words.DOWN]


def test_a_question_is_told_with_its_answers_until_somebody_answers() -> None:
    told = Told()
    assert told.see(asking(permission())) == ["OpenCode asks to run a command"]
    notice = told.shown[-1]
    assert notice.text == "git push"
    assert [button.label for button in notice.buttons] == ["Allow once", "Always", "Reject"]
    assert notice.buttons[0].command == AnswerPermission(question_id="per_1", reply="once")
    assert notice.page == "/"
    assert told.see(asking(permission())) == []
    assert told.see(UP) == []  # OpenCode is not heard: nothing is known of its questions
    assert told.taken == []
    assert told.see(asking(permission())) == []
    assert told.see(asking()) == []
    assert told.taken == ["asks per_1"]


def test_a_permission_without_words_of_ours_is_named_in_the_text() -> None:
    told = Told()
    assert told.see(asking(permission(title="doom<loop"))) == ["OpenCode asks"]
    assert told.shown[-1].text == "Use “doom<loop”\ngit push"
    assert len(told.shown[-1].buttons) == 3
    bare = Told()
    assert bare.see(asking(permission(detail=""))) == ["OpenCode asks to run a command"]
    assert bare.shown[-1].text == "Use “bash”"


@pytest.mark.parametrize(
    ("question", "labels"),
    [
        (permission(detail="x" * 300), []),
        (permission(detail="\n".join("abcdef")), []),
        (choice(QuestionPart(text="Which?", options=(("A", ""), ("B", "")))), ["A", "B"]),
        (choice(QuestionPart(text="Which?", options=tuple((x, "") for x in "ABCD"))), []),
        (choice(QuestionPart(text="Which?", options=(("A", ""),), multiple=True)), []),
        (choice(QuestionPart(text="Which?", options=(("A" * 40, ""),))), []),
        (choice(QuestionPart(text="Which?", options=(("A\x1b[31m", ""),))), []),
        (choice(QuestionPart(text="1?", options=(("A", ""),)), QuestionPart(text="2?")), []),
        (choice(QuestionPart(text="Name?")), []),
    ],
)
def test_only_what_can_be_read_whole_can_be_answered(question: Question, labels: list[str]) -> None:
    told = Told()
    told.see(asking(question))
    assert [button.label for button in told.shown[0].buttons] == labels
    assert len(told.shown[0].text) <= words.MOST_TEXT
    for button in told.shown[0].buttons:
        assert button.command == AnswerQuestion(question_id="per_1", answers=((button.label,),))


def test_foreign_text_is_inert_and_never_in_a_title() -> None:
    told = Told(ALL)
    evil = "\x1b[31m<b>owned</b>\u202e"
    told.see(asking(permission(title=evil, detail=evil), before=at(HopState.BUSY)))
    told.see(busy_with(session(SessionState.WORKING, title=evil)))
    told.see(busy_with(session(SessionState.IDLE, title=evil)), WORTH)
    told.see(UP, trail=[row(1, who=evil)])
    assert {notice.kind for notice in told.shown} >= {Kind.ASKS, Kind.FINISHED, Kind.SIGN_IN}
    for notice in told.shown:
        assert "owned" not in notice.title
        assert "\x1b" not in notice.text
        assert "\u202e" not in notice.text


def test_many_questions_are_summed_up() -> None:
    told = Told()
    three = [permission(number) for number in range(3)]
    assert told.see(asking(*three)) == ["3 questions wait"]
    assert told.see(asking(*three)) == []
    assert told.see(asking(*three, permission(3))) == ["4 questions wait"]
    assert told.taken == []  # the second takes the place of the first
    assert told.see(asking(*three)) == []
    assert told.taken == [words.ASKS]  # the number is no longer true
    assert told.see(asking()) == []
    one_by_one = Told()
    assert one_by_one.see(asking(three[0])) == ["OpenCode asks to run a command"]
    assert one_by_one.see(asking(*three[:2])) == ["OpenCode asks to run a command"]
    assert one_by_one.see(asking(*three)) == ["3 questions wait"]
    assert set(one_by_one.taken) == {"asks per_0", "asks per_1"}


def test_sign_ins_are_told_exactly_once_and_never_those_from_before() -> None:
    told = Told(state=State())
    assert told.see(UP, trail=[row(7)]) == []
    assert told.see(UP, trail=[row(9), row(8, "sign-in-failed"), row(7)]) == ["New sign-in"]
    assert told.shown[-1].text.startswith("Chrome on Android from 203.0.113.7")
    assert told.shown[-1].page == "/access"
    assert told.see(UP) == []
    assert told.see(UP, trail=[row(9), row(7)]) == []
    assert told.see(UP, trail=[row(10, "ticket-used"), row(9)]) == []
    many = [row(number) for number in range(20, 10, -1)]
    assert told.see(UP, trail=many) == ["10 new sign-ins"]
    nobody = Told(state=State())
    assert nobody.see(UP, trail=[]) == []
    assert nobody.see(UP, trail=[row(1)]) == ["New sign-in"]


def test_finished_work_is_told_when_everything_is() -> None:
    for wishes, titles in ((ALL, ["A session has finished"]), (IMPORTANT, [])):
        told = Told(wishes)
        told.see(UP)
        assert told.see(busy_with(session(SessionState.WORKING))) == []
        assert told.see(busy_with(session(SessionState.WAITING)), WORTH) == []
        assert told.see(busy_with(session(SessionState.IDLE))) == titles
        assert told.see(busy_with(session(SessionState.IDLE))) == []
        told.wishes = ALL
        assert told.see(busy_with(session(SessionState.IDLE))) == []  # no longer news
    assert told.see(busy_with(session(SessionState.WORKING))) == []
    assert told.see(busy_with(session(SessionState.IDLE)), WORTH - 1) == []
    three = [session(SessionState.WORKING, name) for name in "abc"]
    told.see(busy_with(*three))
    done = [msgspec.structs.replace(one, state=SessionState.IDLE) for one in three]
    assert told.see(busy_with(*done), WORTH) == ["3 sessions have finished"]
    assert told.see(busy_with(three[0], *done[1:])) == []
    assert told.taken == [words.FINISHED]


def test_quiet_hours_tell_sign_ins_only_and_the_rest_when_it_is_still_so() -> None:
    told = Told(NIGHT, minute=MIDNIGHT)
    told.see(UP)
    assert told.see(asking(permission(1), permission(2), before=DOWN)) == []
    assert told.see(asking(permission(2), before=DOWN), LASTS, [row(1)]) == ["New sign-in"]
    told.minute = 7 * 60
    assert set(told.see(asking(permission(2), before=DOWN))) == {
        "OpenCode asks to run a command", "Not reachable",
    }  # fmt: skip
    assert told.see(asking(permission(2), before=DOWN)) == []
    told.minute = MIDNIGHT
    assert told.see(UP) == []
    assert words.DOWN in told.taken
    told.minute = 7 * 60
    assert told.see(UP) == ["New address"]  # "all" tells the first, and it still is so


def test_work_that_finished_in_the_night_is_no_news_in_the_morning() -> None:
    told = Told(NIGHT, minute=MIDNIGHT)
    told.see(busy_with(session(SessionState.WORKING)))
    assert told.see(busy_with(session(SessionState.IDLE)), WORTH) == []
    told.minute = NOON
    assert "A session has finished" not in told.see(busy_with(session(SessionState.IDLE)))


def test_off_is_off_and_on_tells_what_still_waits() -> None:
    told = Told(OFF)
    told.see(UP, trail=[row(1)])
    told.see(DOWN)
    assert told.see(asking(permission(), before=DOWN), LASTS, [row(2), row(1)]) == []
    assert told.see(failed()) == []
    told.wishes = IMPORTANT
    assert set(told.see(asking(permission(), before=DOWN), trail=[row(2), row(1)])) == {
        "Not reachable", "OpenCode asks to run a command",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("begin", "end", "minute", "quiet"),
    [
        ("22:00", "07:00", 22 * 60, True),
        ("22:00", "07:00", 0, True),
        ("22:00", "07:00", 7 * 60 - 1, True),
        ("22:00", "07:00", 7 * 60, False),
        ("22:00", "07:00", 22 * 60 - 1, False),
        ("12:30", "14:00", 13 * 60, True),
        ("12:30", "14:00", 14 * 60, False),
        ("12:00", "12:00", 12 * 60, False),
        ("", "07:00", 0, False),
        ("22:00", "", 23 * 60, False),
        ("", "", 0, False),
    ],
)
def test_quiet_hours(begin: str, end: str, minute: int, quiet: bool) -> None:
    wishes = NotificationSettings(quiet_from=begin, quiet_to=end)
    assert is_quiet(wishes, minute) is quiet


@pytest.mark.parametrize(
    ("text", "good"),
    [("22:00", True), ("00:00", True), ("23:59", True), ("", True), ("24:00", False),
     ("7:00", False), ("22:60", False), ("22:00\n", False), ("late", False)],
)  # fmt: skip
def test_a_time_is_checked(text: str, good: bool) -> None:
    change = {"quiet_from": text}
    if good:
        assert msgspec.convert(change, NotificationSettings).quiet_from == text
    else:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(change, NotificationSettings)


# Walks at random: whatever happens, in whatever order.

STATES = st.sampled_from([*HopState, HopState.DOWN, HopState.DOWN, HopState.UP])
SERVICES: tuple[Service, ...] = (
    service("opencode", ServiceKind.OPENCODE),
    service("opencode", ServiceKind.OPENCODE, state=ServiceState.FAILED, reason=LOOP),
    service("opencode", ServiceKind.OPENCODE, state=ServiceState.FAILED, reason=GONE),
    service("opencode", ServiceKind.OPENCODE, state=ServiceState.FAILED, desired=Desired.STOPPED),
)
ACTIVITIES = st.none() | st.builds(
    Activity,
    sessions=st.lists(
        st.builds(session, st.sampled_from(list(SessionState)), st.sampled_from("abcd")),
        max_size=4, unique_by=lambda one: one.id,
    ).map(tuple),
    questions=st.lists(
        st.builds(permission, st.integers(1, 5)), max_size=5, unique_by=lambda one: one.id
    ).map(tuple),
)  # fmt: skip
STEPS = st.lists(
    st.tuples(
        st.builds(
            at, STATES, st.sampled_from([None, ONE, TWO]),
            services=st.sampled_from(SERVICES).map(lambda one: (one,)), activity=ACTIVITIES,
        ),
        st.sampled_from([1.0, 5.0, 15.0, 30.0, 60.0]),
        st.sampled_from([NOON, MIDNIGHT]),
        st.sampled_from([IMPORTANT, ALL, OFF, NIGHT, NIGHT]),
        st.integers(0, 4),
    ),
    max_size=40,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_whatever_happens(
    steps: list[tuple[Snapshot, float, int, NotificationSettings, int]],
) -> None:
    state, now, rows = State(row=0), 0.0, 0
    on_screen: dict[str, Notice] = {}
    down_since: float | None = None
    outage_told, told_questions, seen_rows = False, set[str](), set[str]()
    for snapshot, passed, minute, wishes, entered in steps:
        now += passed
        rows += entered
        trail = [row(number) for number in range(rows, max(0, rows - 100), -1)]
        decision = decide(state, snapshot, trail, wishes, now, minute)
        state = decision.state
        kinds = [notice.kind for notice in decision.shows]
        if is_quiet(wishes, minute):
            assert set(kinds) <= {Kind.SIGN_IN}
        if wishes is OFF:
            assert not kinds
        if wishes is IMPORTANT:
            assert Kind.FINISHED not in kinds
        assert len({notice.key for notice in decision.shows}) == len(kinds)
        assert kinds.count(Kind.ASKS) < 3
        assert kinds.count(Kind.SIGN_IN) < 3
        if Kind.BACK in kinds:
            assert outage_told
            outage_told = False
        if snapshot.state is HopState.DOWN:
            down_since = now if down_since is None else down_since
        elif snapshot.state in (HopState.UP, HopState.OFF):
            down_since = None
        if Kind.DOWN in kinds:
            assert snapshot.state is HopState.DOWN
            assert down_since is not None
            assert now - down_since >= LASTS
            assert not outage_told
            outage_told = True
        if snapshot.state in (HopState.UP, HopState.OFF):
            outage_told = False
        _follow(decision, snapshot, on_screen, told_questions, seen_rows)
    assert len(state.told) <= 20
    assert len(state.shown) <= 20


def _follow(
    decision: Decision,
    snapshot: Snapshot,
    on_screen: dict[str, Notice],
    told_questions: set[str],
    seen_rows: set[str],
) -> None:
    """What is on the screen, and that nothing there is untrue or there twice."""
    for key in decision.withdraws:
        on_screen.pop(key, None)
    for notice in decision.shows:
        if notice.key in on_screen:  # in the same place, but never the same news
            assert notice.kind in (Kind.ASKS, Kind.FINISHED, Kind.BACK)
        on_screen[notice.key] = notice
        assert notice.key not in seen_rows
        if notice.kind is Kind.SIGN_IN:
            seen_rows.add(notice.key)
    if snapshot.activity is not None:
        open_ids = {question.id for question in snapshot.activity.questions}
        _follow_questions(decision, open_ids, on_screen, told_questions)
    if words.DOWN in on_screen:
        assert snapshot.state not in (HopState.UP, HopState.OFF)


def _follow_questions(
    decision: Decision, open_ids: set[str], on_screen: dict[str, Notice], told: set[str]
) -> None:
    told &= open_ids
    asks = [notice.key for notice in decision.shows if notice.kind is Kind.ASKS]
    named = [open_ids if key == words.ASKS else {key.removeprefix(words.ASKS)} for key in asks]
    for ids in named:
        assert ids - told, "told again though nothing is new"
    told |= set().union(*named)
    for key, notice in on_screen.items():
        if notice.kind is Kind.ASKS and key != words.ASKS:
            assert key.removeprefix(words.ASKS) in open_ids


def test_a_paired_phone_and_a_new_place_are_told_even_in_quiet_hours() -> None:
    told = Told(NIGHT, minute=MIDNIGHT)
    told.see(UP, LASTS, [])
    assert told.see(UP, LASTS, [row(1, "paired")]) == ["A new phone is paired"]
    far = msgspec.structs.replace(row(2), text="signed in, from a new place: DE")
    assert told.see(UP, LASTS, [far]) == ["New sign-in, from a new place"]
    assert "Nobody came from DE before." in told.shown[-1].text


def test_a_new_key_and_a_copied_one_are_told() -> None:
    told = Told(NIGHT, minute=MIDNIGHT)
    told.see(UP, LASTS, [])
    assert told.see(UP, LASTS, [row(1, "passkey-added")]) == ["A passkey was added"]
    assert told.see(UP, LASTS, [row(2, "passkey-copied")]) == ["A passkey may have been copied"]
    assert told.see(UP, LASTS, [row(3, "passkey-refused")]) == []


def test_what_is_worth_knowing_of_what_runs_is_told_once_where_all_is_told() -> None:
    said = Reason(code="opencode-recycled", hop=Hop.OPENCODE, what="It was started anew.")
    noticed = at(HopState.UP, services=(service("opencode", ServiceKind.OPENCODE, notice=said),))
    told = Told(wishes=ALL)
    told.see(UP)
    assert told.see(noticed) == ["About OpenCode"]
    assert told.shown[-1].text == "It was started anew."
    assert told.see(noticed, 600) == []
    assert told.see(UP) == []
    assert told.taken == ["notice opencode opencode-recycled"]
    assert told.see(noticed) == ["About OpenCode"]
    quietly = Told()
    assert quietly.see(noticed) == []
    quietly.wishes = ALL
    assert quietly.see(noticed) == [], "what was passed over is no news later"


UNUSED_WHY = Reason(
    code=UNUSED, hop=Hop.EDGE, what="Remote access was closed after 30 minutes without a request.",
    cure="Open it again from the tray, or with: nexus-tray resume",
)  # fmt: skip


@pytest.mark.parametrize(
    "closed",
    [
        at(HopState.OFF, reason=UNUSED_WHY, paused=True),
        failed(paused=True, path=OUT.path),  # OpenCode's own reason comes first
    ],
)
def test_that_nobody_used_it_and_it_closed_is_told_once(closed: Snapshot) -> None:
    held = service("quick", ServiceKind.TUNNEL, state=ServiceState.STOPPED, reason=UNUSED_WHY)
    closed = msgspec.structs.replace(closed, services=(*closed.services, held))
    told = Told()
    told.see(UP)
    assert "Remote access is closed" in told.see(closed)
    [notice] = [one for one in told.shown if one.kind is Kind.CLOSED]
    assert notice.text == f"{UNUSED_WHY.what}\n{UNUSED_WHY.cure}"
    assert told.see(closed, 3600) == []
    told.see(UP)
    assert words.CLOSED in told.taken
    assert "Remote access is closed" in told.see(closed)
    # the program begins anew while it is closed: that was told before it ended
    again = Told()
    assert "Remote access is closed" not in again.see(closed)
    assert "Remote access is closed" not in again.see(closed, 60)
    # in the quiet hours it waits for their end
    night = Told(NIGHT)
    night.see(UP)
    night.minute = MIDNIGHT
    assert night.see(closed) == []
    night.minute = NOON
    assert "Remote access is closed" in night.see(closed)
