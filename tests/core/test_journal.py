"""The journal: nothing missing, nothing twice, and a reset where that cannot be promised."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.core.journal import Journal
from nexus_tray.core.snapshot import compose
from nexus_tray.model import Cursor, EventKind, Snapshot


def snapshot(cursor: int = 1) -> Snapshot:
    return compose(
        boot_id="boot", cursor=cursor, version="0", taken_at=0.0, services=(), activity=None,
        visited_at=None,
    )  # fmt: skip


def journal(capacity: int = 1000) -> Journal:
    made = Journal("boot", lambda: 1.0, capacity)
    made.publish(snapshot())
    return made


def test_a_new_reader_gets_a_reset_with_the_snapshot() -> None:
    batch = journal().since(None, 0)
    assert [event.kind for event in batch.events] == [EventKind.RESET]
    assert batch.events[0].snapshot == snapshot()
    assert batch.cursor == Cursor(boot_id="boot", id=1)


def test_a_reader_from_before_the_restart_gets_a_reset() -> None:
    batch = journal().since(Cursor(boot_id="earlier", id=1), 0)
    assert batch.events[0].kind is EventKind.RESET


def test_a_cursor_from_the_future_gets_a_reset() -> None:
    assert journal().since(Cursor(boot_id="boot", id=99), 0).events[0].kind is EventKind.RESET


def test_an_up_to_date_reader_gets_nothing_and_keeps_its_place() -> None:
    made = journal()
    cursor = made.since(None, 0).cursor
    assert made.since(cursor, 0).events == ()
    assert made.since(cursor, 0).cursor == cursor


def test_of_several_snapshots_only_the_newest_is_told() -> None:
    made = journal()
    cursor = made.since(None, 0).cursor
    made.publish(snapshot(2))
    made.note("between")
    made.publish(snapshot(4))
    events = made.since(cursor, 0).events
    assert [(event.id, event.kind) for event in events] == [
        (3, EventKind.NOTE),
        (4, EventKind.SNAPSHOT),
    ]


def test_a_waiting_reader_is_woken() -> None:
    made = journal()
    cursor = made.since(None, 0).cursor
    got: list[str] = []
    reader = threading.Thread(
        target=lambda: got.extend(e.note for e in made.since(cursor, 30).events)
    )
    reader.start()
    made.note("news")
    reader.join(10)
    assert got == ["news"]


def test_closing_wakes_the_waiting() -> None:
    made = journal()
    cursor = made.since(None, 0).cursor
    reader = threading.Thread(target=made.since, args=(cursor, 30))
    reader.start()
    made.close()
    reader.join(10)
    assert not reader.is_alive()


@given(
    steps=st.lists(st.integers(0, 12), max_size=60),
    capacity=st.integers(1, 20),
)
def test_any_reader_sees_each_note_once_or_is_reset(steps: list[int], capacity: int) -> None:
    made, cursor, seen, written = journal(capacity), None, 0, 0
    for burst in steps:
        for _ in range(burst):
            written += 1
            made.note(str(written))
        batch = made.since(cursor, 0)
        cursor = batch.cursor
        for event in batch.events:
            if event.kind is EventKind.RESET:
                seen = written
            else:
                seen += 1
                assert event.note == str(seen)
        assert seen == written
