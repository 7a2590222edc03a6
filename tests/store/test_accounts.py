"""Password, sessions and tickets as stored: deed and audit row together, secrets hashed."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store.accounts import (
    ABSOLUTE_SECONDS,
    IDLE_SECONDS,
    MOST_SESSIONS,
    TICKET_SECONDS,
    Accounts,
    SessionRow,
    fingerprint,
)

from .vaults import Clock, Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path / "data" / "nexus.db")
    yield store
    store.close()


def row(store: Store, name: str, door: str = "tunnel") -> SessionRow:
    now = store.clock()
    return SessionRow(
        id=name, door=door, host="h", name=f"browser {name}", address="192.0.2.1",
        created_at=now, seen_at=now, expires_at=now + ABSOLUTE_SECONDS,
    )  # fmt: skip


def add(store: Store, name: str, door: str = "tunnel") -> None:
    assert store.accounts.add_session(row(store, name, door), name, password_id=None, old=None)


def ids(store: Store) -> set[str]:
    return {session.id for session in store.accounts.sessions()}


def test_the_password_is_set_changed_and_cleared(store: Store) -> None:
    accounts = store.accounts
    assert accounts.password() is None
    accounts.set_password("first")
    first = accounts.password()
    accounts.set_password("other words")
    second = accounts.password()
    assert first is not None
    assert second is not None
    assert first.id != second.id
    assert second.hash == "hash of 11"
    accounts.clear_password()
    assert not accounts.has_password()
    events = [r.event for r in store.audit.newest()]
    assert events == ["password-cleared", "password-set", "password-set"]


def test_a_refused_password_changes_nothing(store: Store) -> None:
    def refuse(password: str) -> str:
        raise Problem(Reason(code="password-weak", hop=Hop.GATEWAY, what="Too short."))

    store.accounts.set_password("first")
    add(store, "a")
    before = store.accounts.password()
    strict = Accounts(store.database, store.audit, refuse, store.clock)
    with pytest.raises(Problem):
        strict.set_password("x")
    assert store.accounts.password() == before
    assert ids(store) == {"a"}


def test_a_rehash_is_dropped_when_the_password_was_changed_meanwhile(store: Store) -> None:
    store.accounts.set_password("first")
    old = store.accounts.password()
    store.accounts.set_password("other words")
    now = store.accounts.password()
    assert old is not None
    store.accounts.rehash(old.id, "stale")
    assert store.accounts.password() == now


def test_whoever_ends_sessions_the_listeners_are_told_after_it_is_durable(store: Store) -> None:
    told: list[tuple[str, ...]] = []

    def listen(ended: tuple[str, ...]) -> None:
        assert not ids(store) & set(ended)
        told.append(ended)

    store.accounts.listen(listen)
    for name in "abcd":
        add(store, name)
    store.accounts.end_session("a", "owner", "local")
    store.accounts.end_session("a", "owner", "local")
    store.accounts.set_password("x")
    assert [set(ended) for ended in told] == [{"a"}, {"b", "c", "d"}]


def test_every_end_has_its_audit_row(store: Store) -> None:
    for name in "ab":
        add(store, name)
    store.accounts.end_session("a", "browser a", "192.0.2.7")
    store.accounts.end_all_sessions()
    rows = [(r.event, r.who, r.address, r.outcome) for r in store.audit.newest()][:2]
    assert rows == [
        ("session-ended", "owner", "local", "browser b: all sessions ended"),
        ("sign-out", "browser a", "192.0.2.7", "browser a: signed out"),
    ]


def test_touch_never_moves_back_and_revives_nothing(store: Store) -> None:
    add(store, "a")
    now = store.clock()
    store.accounts.touch({"a": now + 50, "gone": now})
    store.accounts.touch({"a": now + 10})
    assert [(s.id, s.seen_at) for s in store.accounts.sessions()] == [("a", now + 50)]


def test_what_is_over_is_removed(store: Store) -> None:
    add(store, "idle")
    store.clock.now += IDLE_SECONDS - 10
    add(store, "fresh")
    store.accounts.end_expired()
    assert ids(store) == {"idle", "fresh"}
    store.clock.now += 10
    store.accounts.end_expired()
    assert ids(store) == {"fresh"}


def test_room_is_made_by_what_is_over_first(store: Store) -> None:
    for number in range(MOST_SESSIONS):
        add(store, f"old-{number}")
        store.clock.now += 1
    store.clock.now += IDLE_SECONDS - 10
    store.accounts.touch({f"old-{n}": store.clock() for n in range(1, MOST_SESSIONS)})
    store.clock.now += 10
    add(store, "new")
    assert "old-0" not in ids(store)
    assert len(ids(store)) == MOST_SESSIONS


def test_tickets_work_once_and_for_a_minute(store: Store) -> None:
    first, second = store.accounts.new_ticket("/a"), store.accounts.new_ticket("/b")
    assert len(first) == 43
    assert first != second
    assert store.accounts.redeem_ticket(first) == "/a"
    assert store.accounts.redeem_ticket(first) is None
    assert store.accounts.redeem_ticket("") is None
    store.clock.now += TICKET_SECONDS
    assert store.accounts.redeem_ticket(second) is None


def test_a_ticket_from_the_future_is_none(store: Store) -> None:
    ticket = store.accounts.new_ticket("/a")
    store.clock.now -= 1
    assert store.accounts.redeem_ticket(ticket) is None


def test_a_ticket_survives_a_restart_but_not_a_crowd(store: Store) -> None:
    first = store.accounts.new_ticket("/first")
    for _ in range(60):
        store.clock.now += 0.01
        store.accounts.new_ticket("/")
    assert store.accounts.redeem_ticket(first) is None
    assert store.database.read("SELECT count(*) FROM tickets")[0][0] <= 50


def test_fifty_threads_one_redeems(store: Store) -> None:
    ticket, got = store.accounts.new_ticket("/"), []
    begin = threading.Barrier(50)

    def redeem() -> None:
        begin.wait(10)
        got.append(store.accounts.redeem_ticket(ticket))

    threads = [threading.Thread(target=redeem) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got.count("/") == 1
    assert got.count(None) == 49


def test_nothing_secret_is_in_the_file(store: Store, tmp_path: Path) -> None:
    ticket = store.accounts.new_ticket("/")
    add(store, "token-of-a-session")
    store.accounts.set_password("canary password words")
    stored = b"".join(p.read_bytes() for p in (tmp_path / "data").iterdir())
    for secret in (ticket, "canary password words"):
        assert secret.encode() not in stored
        assert fingerprint(secret) not in stored or secret == ticket


class Walk(RuleBasedStateMachine):
    """The store against a dictionary: at most 25, ended ones never come back."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.store = open_store(Path(self.folder.name) / "data" / "nexus.db", self.clock)
        self.ended: set[str] = set()
        self.store.accounts.listen(self.ended.update)
        self.made: list[str] = []

    @rule(door=st.sampled_from(["tunnel", "local"]), many=st.integers(1, 9))
    def add(self, door: str, many: int) -> None:
        for _ in range(many):
            self.made.append(f"s{len(self.made)}")
            add(self.store, self.made[-1], door)

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self.store.accounts.end_session(data.draw(st.sampled_from(self.made)), "o", "local")

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def touch(self, data: st.DataObject) -> None:
        self.store.accounts.touch({data.draw(st.sampled_from(self.made)): self.clock()})

    @rule(seconds=st.sampled_from([1.0, 3600.0, IDLE_SECONDS]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def expire(self) -> None:
        self.store.accounts.end_expired()
        assert all(s.valid_at(self.clock(), s.seen_at) for s in self.store.accounts.sessions())

    @rule()
    def restart(self) -> None:
        path = Path(self.folder.name) / "data" / "nexus.db"
        self.store.close()
        self.store = open_store(path, self.clock)
        self.store.accounts.listen(self.ended.update)

    @rule()
    def end_all(self) -> None:
        self.store.accounts.end_all_sessions()
        assert not ids(self.store)

    @invariant()
    def sessions_and_endings_are_all_that_was_made(self) -> None:
        alive = ids(self.store)
        assert len(alive) <= MOST_SESSIONS
        assert not alive & self.ended
        assert alive | self.ended == set(self.made)

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
