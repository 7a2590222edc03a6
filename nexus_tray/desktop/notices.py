"""What is worth a notification, and when: a pure state machine.

Owns every decision: what holds, what was told already, what waits for the end of the quiet
hours, what is summed up, what is taken back. No clock: `now` (monotonic seconds) and
`minute` (of the local day) are arguments. Imports layer 1, the pure parts of core and its
room's words; any thread.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from nexus_tray.core.snapshot import UNUSED
from nexus_tray.desktop import notice_words as words
from nexus_tray.desktop.notice_words import Notice
from nexus_tray.model import (
    Desired,
    Hop,
    HopState,
    Reason,
    ServiceState,
    SessionState,
    Snapshot,
)
from nexus_tray.reports import AuditEntry
from nexus_tray.settings import NotificationSettings

LASTS = 20.0
"""Seconds until "not reachable" is told: most breaks mend themselves sooner."""
WORTH = 10.0
"""Seconds of work whose end is told: who asks for less is still looking."""
MANY = 3
"""From so many of a kind on, one notification sums them up."""

LEVELS = {"off": 0, "important": 1, "all": 2}


@dataclass(frozen=True)
class State:
    """What must be remembered between two decisions; bounded by what the Snapshot holds.

    `told`: keys of what holds and was told, or deliberately passed over. `shown`: what may
    still be on the screen, and which keys each stands for. `row`: the audit trail's newest
    row that was looked at (None: never read). `begun`: something was decided before.
    """

    told: frozenset[str] = frozenset()
    shown: tuple[tuple[str, frozenset[str]], ...] = ()
    address: str | None = None
    down_since: float | None = None
    down_told: bool = False
    working: tuple[tuple[str, float], ...] = ()
    finished: frozenset[str] = frozenset()
    row: int | None = None
    begun: bool = False


@dataclass(frozen=True)
class Decision:
    """The next state; what to take back, and then what to show."""

    state: State
    shows: tuple[Notice, ...] = ()
    withdraws: tuple[str, ...] = ()


def decide(
    state: State,
    snapshot: Snapshot,
    sign_ins: Sequence[AuditEntry] | None,
    wishes: NotificationSettings,
    now: float,
    minute: int,
) -> Decision:
    """What is due. `sign_ins`: the trail, newest first, or None where it was not read."""
    quiet = is_quiet(wishes, minute)
    news, row = _sign_ins(state, sign_ins)
    state = _watch(replace(state, row=row), snapshot, now)
    holds = _holding(state, snapshot, now)
    still = holds.keys() | _unknown(state, snapshot, holds)
    told = _told(state, still)
    due, passing = _due([n for n in holds.values() if n.key not in told], wishes, quiet=quiet)
    told |= {notice.key for notice in (*due, *passing)}
    withdraws = [key for key, covers in state.shown if not covers <= still]
    shown = {key: covers for key, covers in state.shown if key not in withdraws}
    down_told = state.down_told or words.DOWN in {notice.key for notice in due}
    if down_told and not state.down_told:
        withdraws.append(words.BACK)
    if down_told and snapshot.state is HopState.UP:
        down_told = False
        if not quiet and not any(notice.kind is words.Kind.ADDRESS for notice in due):
            news.append(words.back(snapshot))
    shows = [
        *_summed_up(due, holds, shown, withdraws),
        *_few([notice for notice in news if _wants(wishes, notice)]),
    ]
    after = replace(
        state, told=told, shown=tuple(shown.items()), address=_address(state, snapshot, told),
        down_told=down_told, begun=True,
    )  # fmt: skip
    again = {notice.key for notice in shows}
    taken = dict.fromkeys(key for key in withdraws if key not in again)
    return Decision(after, tuple(shows), tuple(taken))


def is_quiet(wishes: NotificationSettings, minute: int) -> bool:
    """Whether this minute of the local day lies in the quiet hours; they may span midnight."""
    if not wishes.quiet_from or not wishes.quiet_to:
        return False
    begin, end = _minute(wishes.quiet_from), _minute(wishes.quiet_to)
    if begin <= end:
        return begin <= minute < end
    return minute >= begin or minute < end


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _wants(wishes: NotificationSettings, notice: Notice) -> bool:
    return LEVELS[wishes.level] >= notice.weight


def _watch(state: State, snapshot: Snapshot, now: float) -> State:
    """Since when it is down, who works since when, and who has finished."""
    condition = _condition(snapshot)
    since, told = state.down_since, state.down_told
    if condition is HopState.DOWN:
        since = now if since is None else since
    elif condition is HopState.UP:
        since = None
    elif condition is HopState.OFF:  # somebody's wish: neither down nor, later, back again
        since, told = None, False
    state = replace(state, down_since=since, down_told=told)
    if snapshot.activity is None:
        return state
    before, after = dict(state.working), {}
    finished: set[str] = set()
    for session in snapshot.activity.sessions:
        begun = before.get(session.id)
        if session.state is SessionState.WORKING or (
            session.state is not SessionState.IDLE and begun is not None
        ):
            after[session.id] = now if begun is None else begun
        elif session.state is SessionState.IDLE and (
            session.id in state.finished or (begun is not None and now - begun >= WORTH)
        ):
            finished.add(session.id)
    return replace(state, working=tuple(after.items()), finished=frozenset(finished))


def _condition(snapshot: Snapshot) -> HopState:
    """The path's state, where a hop that is off by somebody's wish beats one that is down."""
    states = {hop.state for hop in snapshot.path if hop.hop is not Hop.DEVICE}
    return HopState.OFF if HopState.OFF in states else snapshot.state


def _holding(state: State, snapshot: Snapshot, now: float) -> dict[str, Notice]:
    """Everything that is so at this moment and that a notification could tell."""
    notices: list[Notice] = []
    failed = [
        service
        for service in snapshot.services
        if service.state is ServiceState.FAILED and service.desired is Desired.RUNNING
    ]
    notices += [words.failed(service) for service in failed]
    notices += [words.notice(s, s.notice) for s in snapshot.services if s.notice is not None]
    lasts = state.down_since is not None and now - state.down_since >= LASTS
    named = any(s.reason is not None and s.reason == snapshot.reason for s in failed)
    begun = state.down_told and state.down_since is not None  # a try in between is no end
    down = _condition(snapshot) is HopState.DOWN
    if not named and ((lasts and down) or begun):
        notices.append(words.down(snapshot))
    if (why := _closed_by_itself(snapshot)) is not None:
        notices.append(words.closed(why))
    if snapshot.state is HopState.UP and snapshot.address is not None:
        notices.append(words.address(snapshot.address, before=state.address))
    if snapshot.activity is not None:
        notices += [words.asks(snapshot, question) for question in snapshot.activity.questions]
        sessions = snapshot.activity.sessions
        notices += [words.finished(s) for s in sessions if s.id in state.finished]
    return {notice.key: notice for notice in notices}


def _closed_by_itself(snapshot: Snapshot) -> Reason | None:
    """Why, if remote access is closed because nobody used it."""
    if not snapshot.paused:
        return None
    reasons = (snapshot.reason, *(service.reason for service in snapshot.services))
    return next((one for one in reasons if one is not None and one.code == UNUSED), None)


def _unknown(state: State, snapshot: Snapshot, holds: Mapping[str, Notice]) -> set[str]:
    """What was told and of which nothing is known now: neither taken back nor told again."""
    kept: set[str] = set()
    if snapshot.activity is None:
        kept |= {key for key in state.told if key.startswith((words.ASKS, words.FINISHED))}
    if state.address and not any(n.kind is words.Kind.ADDRESS for n in holds.values()):
        kept.add(words.ADDRESS + state.address)
    return kept


def _told(state: State, still: Set[str]) -> frozenset[str]:
    """What must not be told (again): it was, and is still so."""
    told = set(state.told & still)
    if state.down_told:
        told.add(words.DOWN)  # one outage is told once, whatever it is called meanwhile
    if state.address:
        told.add(words.ADDRESS + state.address)
    if not state.begun and words.CLOSED in still:
        told.add(words.CLOSED)  # before this start of the program, which told it then
    return frozenset(told)


def _due(
    fresh: Iterable[Notice], wishes: NotificationSettings, *, quiet: bool
) -> tuple[list[Notice], list[Notice]]:
    """What is told now, and what is passed over for good; the rest waits."""
    due: list[Notice] = []
    passing: list[Notice] = []
    for notice in fresh:
        wanted = _wants(wishes, notice)
        if wanted and not quiet:
            due.append(notice)
        elif notice.kind is words.Kind.FINISHED or (notice.kind in words.PASSING and not wanted):
            passing.append(notice)
    return due, passing


def _address(state: State, snapshot: Snapshot, told: Set[str]) -> str | None:
    """The address that everybody was told last, or need not be told."""
    now = snapshot.address
    return now if now is not None and words.ADDRESS + now in told else state.address


def _sign_ins(state: State, trail: Sequence[AuditEntry] | None) -> tuple[list[Notice], int | None]:
    """Who came in since the trail was last read; at the first reading nobody is new."""
    if trail is None:
        return [], state.row
    newest = max((row.id for row in trail), default=0)
    if state.row is None:
        return [], newest
    new = [row for row in reversed(trail) if row.id > state.row and words.is_sign_in(row)]
    return [words.sign_in(row) for row in new], max(newest, state.row)


def _summed_up(
    due: Iterable[Notice],
    holds: Mapping[str, Notice],
    shown: dict[str, frozenset[str]],
    withdraws: list[str],
) -> list[Notice]:
    """What is due, each for itself or, of many of a kind, one for all; notes it in `shown`.

    All questions that wait count; of the rest only what is due at the same moment.
    """
    shows: list[Notice] = []
    by_kind: dict[words.Kind, list[Notice]] = {}
    for notice in due:
        by_kind.setdefault(notice.kind, []).append(notice)
    for kind, group in by_kind.items():
        waiting = [notice for notice in holds.values() if notice.kind is kind]
        whole = waiting if kind is words.Kind.ASKS else group
        if len(whole) < MANY:
            shown.update((notice.key, frozenset((notice.key,))) for notice in group)
            shows += group
            continue
        covers = frozenset(notice.key for notice in whole)
        replaced = [key for key, parts in shown.items() if parts <= covers]
        withdraws += replaced
        for key in replaced:
            del shown[key]
        total = words.many(kind, len(whole))
        shown[total.key] = covers
        shows.append(total)
    return shows


def _few(news: list[Notice]) -> list[Notice]:
    """Sign-ins of one moment, one for all when they are many."""
    entered = [notice for notice in news if notice.kind is words.Kind.SIGN_IN]
    if len(entered) < MANY:
        return news
    rest = [notice for notice in news if notice.kind is not words.Kind.SIGN_IN]
    last = entered[-1].key.removeprefix(words.SIGN_IN)
    return [words.many(words.Kind.SIGN_IN, len(entered), last), *rest]
