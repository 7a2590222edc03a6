"""The audit: rows that cannot be forged or flooded, and a clock that cannot be trusted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.store import audit as module
from nexus_tray.store.audit import Audit, AuditEvent

from .vaults import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path / "data" / "nexus.db")
    yield store
    store.close()


def test_a_row_says_when_what_who_where_and_how_it_went(store: Store) -> None:
    store.audit.record(AuditEvent.DENIED, "stranger", "2001:db8::1", "no password set")
    row = store.audit.newest()[0]
    assert (row.at, row.event, row.who) == (store.clock.now, AuditEvent.DENIED, "stranger")
    assert (row.address, row.outcome) == ("2001:db8::1", "no password set")


def test_newest_first_and_no_more_than_asked(store: Store) -> None:
    for number in range(5):
        store.audit.record(AuditEvent.SIGN_IN, str(number), "a")
    assert [row.who for row in store.audit.newest(3)] == ["4", "3", "2"]


def test_a_visitors_words_cannot_forge_a_row_or_move_a_terminal(store: Store) -> None:
    store.audit.record(AuditEvent.SIGN_IN, "a\nb\x1b[2J\u202e" + "x" * 999, "\r\n", "\x00")
    row = store.audit.newest()[0]
    assert (row.who + row.address + row.outcome).isprintable()
    assert len(row.who) == 200


def test_rows_are_bounded_the_oldest_go_first(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_ROWS", 300)
    with store.database.write() as connection:
        for number in range(2000):
            store.audit.add(connection, AuditEvent.DENIED, str(number), "a")
    rows = store.audit.newest(9999)
    assert 300 <= len(rows) < 800
    assert rows[0].who == "1999"


def test_strangers_do_not_push_out_who_signed_in(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_ROWS", 300)
    monkeypatch.setattr(module, "KEPT_OWN", 600)
    with store.database.write() as connection:
        for number in range(1000):
            store.audit.add(connection, AuditEvent.SIGN_IN, str(number), "a")
        for _ in range(2000):
            store.audit.add(connection, AuditEvent.DENIED, "stranger", "b")
    events = [row.event for row in store.audit.newest(9999)]
    assert (events.count(AuditEvent.SIGN_IN), events.count(AuditEvent.DENIED)) == (600, 300)


def test_many_short_runs_are_bounded_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_ROWS", 10)
    for _ in range(20):
        run = Audit(store.database, store.clock)
        for _ in range(5):
            run.record(AuditEvent.DENIED, "stranger", "b")
    assert len(store.audit.newest(9999)) <= 15


def test_a_crowd_is_counted_not_written(store: Store) -> None:
    now = 50.0
    for _ in range(5000):
        store.audit.crowd(AuditEvent.SIGN_IN_REFUSED, "192.0.2.1", "locked", now)
        now += 0.001
    rows = store.audit.newest(9999)
    assert 100 <= len(rows) <= 102
    now += 10
    store.audit.crowd(AuditEvent.SIGN_IN_REFUSED, "192.0.2.1", "locked", now)
    told = store.audit.newest(1)[0].outcome
    assert told.startswith("locked (4")
    assert "only counted" in told


def test_the_clock_is_behind_when_it_reads_earlier_than_the_newest_row(store: Store) -> None:
    assert not store.audit.clock_is_behind()
    store.audit.record(AuditEvent.SIGN_IN, "a", "b")
    assert not store.audit.clock_is_behind()
    store.clock.now -= 0.001
    assert store.audit.clock_is_behind()
    assert Audit(store.database, store.clock).clock_is_behind(), "after a restart too"
    store.clock.now += 0.001
    assert not store.audit.clock_is_behind()


def test_a_row_written_behind_does_not_move_the_newest_back(store: Store) -> None:
    store.audit.record(AuditEvent.SIGN_IN, "a", "b")
    store.clock.now -= 100
    store.audit.record(AuditEvent.SIGN_IN_FAILED, "a", "b")
    assert store.audit.clock_is_behind()
    assert Audit(store.database, store.clock).clock_is_behind()


def test_setting_the_password_says_that_the_clock_is_right(store: Store) -> None:
    store.audit.record(AuditEvent.SIGN_IN, "a", "b")
    store.clock.now -= 100
    store.accounts.set_password("x")
    assert not store.audit.clock_is_behind()
    assert not Audit(store.database, store.clock).clock_is_behind(), "after a restart too"
    store.clock.now -= 1
    assert store.audit.clock_is_behind()
