"""Searching the audit trail: every filter, paging over gaps, and words that are no patterns."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.model import Problem
from nexus_tray.reports import AuditQuery
from nexus_tray.store import audit_search
from nexus_tray.store.audit import AuditEvent

from .vaults import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path / "data" / "nexus.db")
    yield store
    store.close()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (AuditQuery(), ["c", "b", "a"]),
        (AuditQuery(words="PHONE"), ["a"]),
        (AuditQuery(words="192.0.2 wrong"), ["b"]),
        (AuditQuery(words="100%"), ["c"]),
        (AuditQuery(words="%"), ["c"]),
        (AuditQuery(words="_"), []),
        (AuditQuery(words="\\"), []),
        (AuditQuery(words="\ud800"), []),
        (AuditQuery(words="' OR 1=1 --"), []),
        (AuditQuery(events=("sign-in",)), ["a"]),
        (AuditQuery(events=("sign-in", "panic")), ["c", "a"]),
        (AuditQuery(since_at=1010.0), ["c", "b"]),
        (AuditQuery(until_at=1010.0), ["a"]),
        (AuditQuery(before=2), ["a"]),
        (AuditQuery(before=0), []),
    ],
)
def test_each_filter(store: Store, query: AuditQuery, found: list[str]) -> None:
    rows = [
        (1000.0, AuditEvent.SIGN_IN, "a phone", "203.0.113.7", ""),
        (1010.0, AuditEvent.SIGN_IN_FAILED, "b", "192.0.2.1", "wrong password"),
        (1020.0, AuditEvent.PANIC, "c", "local", "100% ended"),
    ]
    for at, *row in rows:
        store.clock.now = at
        store.audit.record(*row)  # type: ignore[arg-type]  # as the columns stand
    assert [entry.who[0] for entry in store.audit.search(query).entries] == found


def test_pages_go_back_over_gaps_and_lose_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_search, "STEP", 3)
    for number in range(40):
        store.audit.record(AuditEvent.SIGN_IN, f"n{number}", "a")
    with store.database.write() as connection:
        connection.execute("DELETE FROM audit WHERE id BETWEEN 10 AND 25")
    seen, query = [], AuditQuery(limit=7)
    while True:
        page = store.audit.search(query)
        seen += [entry.id for entry in page.entries]
        if not page.more:
            break
        query = AuditQuery(limit=7, before=seen[-1])
    assert seen == [*range(40, 25, -1), *range(9, 0, -1)]


def test_an_exact_page_is_the_last(store: Store) -> None:
    for _ in range(3):
        store.audit.record(AuditEvent.SIGN_IN, "a", "a")
    assert not store.audit.search(AuditQuery(limit=3)).more
    assert store.audit.search(AuditQuery(limit=2)).more


def test_an_event_that_does_not_exist_is_refused_with_those_that_do(store: Store) -> None:
    with pytest.raises(Problem) as caught:
        store.audit.search(AuditQuery(events=("sign-in", "sing-in")))
    assert "sing-in" in caught.value.reason.what
    assert "sign-in-failed" in caught.value.reason.cure
