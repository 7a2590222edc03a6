"""The log store: nobody waits, nothing is lost silently, the disk stays bounded."""

import re
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nexus_tray.model import Level, LogLine, LogPage, LogQuery, Problem
from nexus_tray.store import log_query, log_queue
from nexus_tray.store.log_file import LogFile, siblings
from nexus_tray.store.logs import OWN_SOURCE, LogStore

MEGABYTE = 1_000_000


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


def texts(page: LogPage) -> list[str]:
    return [line.text for line in page.lines]


def size(path: Path) -> int:
    return sum(file.stat().st_size for file in siblings(path) if file.exists())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "logs.db"


@pytest.fixture
def store(path: Path) -> Iterator[LogStore]:
    made = LogStore(path, 64 * MEGABYTE)
    yield made
    made.close()
    assert not made._thread.is_alive()


def stored(store: LogStore, last: str) -> None:
    """Wait until a line, the last one appended, can be found."""
    until(lambda: texts(store.query(LogQuery(limit=1))) == [last])


def indexed(store: LogStore) -> None:
    until(lambda: store._file.unindexed == 0)


def test_a_line_is_found_as_it_was_appended(path: Path) -> None:
    store = LogStore(path, MEGABYTE, clock=lambda: 1_700_000_000.125)
    store.append("tunnel:quick", Level.WARNING, "a line")
    stored(store, "a line")
    (line,) = store.query(LogQuery()).lines
    assert line == LogLine(
        id=1, at=1_700_000_000.125, source="tunnel:quick", level=Level.WARNING, text="a line"
    )
    store.close()


def test_closing_stores_what_waits_and_reopening_goes_on(path: Path) -> None:
    for run in range(3):
        store = LogStore(path, MEGABYTE)
        for number in range(1000):
            store.append("a", Level.INFO, f"{run} {number}")
        store.close()
        store.append("a", Level.INFO, "too late")
        store.close()
    store = LogStore(path, MEGABYTE)
    lines = store.query(LogQuery(limit=10_000)).lines
    assert [line.text for line in lines] == [f"{run} {n}" for run in range(3) for n in range(1000)]
    assert [line.id for line in lines] == list(range(1, 3001))
    store.close()


def test_files_are_private_and_planted_ones_refused(path: Path, store: LogStore) -> None:
    store.append("a", Level.INFO, "x")
    stored(store, "x")
    for file in siblings(path):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    store.close()
    path.chmod(0o644)
    with pytest.raises(Problem) as caught:
        LogStore(path, MEGABYTE)
    assert caught.value.reason.code == "file-open-to-others"


@pytest.mark.parametrize(
    ("given_text", "kept"),
    [
        ("a\0b", "a␀b"),
        ("half \ud83d character", "half � character"),
        ("\x1b[31mred\r\n", "\x1b[31mred\r\n"),
        ("", ""),
        ("é🙂", "é🙂"),
        ("x" * 70_000, "x" * 65_536 + " [4464 more characters]"),
    ],
)
def test_any_text_is_kept_as_one_line(store: LogStore, given_text: str, kept: str) -> None:
    store.append("a", Level.INFO, given_text)
    stored(store, kept)


# --- finding ---------------------------------------------------------------------------------

LINES = [
    ("opencode", Level.INFO, "opencode server listening on http://127.0.0.1:4096"),
    ("tunnel:quick", Level.ERROR, 'Error unmarshaling QuickTunnel response status_code="429"'),
    ("gateway", Level.DEBUG, "Client conn_id=ab-12 gone away"),
    ("opencode", Level.WARNING, "Verbindung zurückgesetzt, naïve Erwartung"),
    ("tunnel:quick", Level.INFO, "Registered tunnel connection connIndex=0 location=fra03"),
    ("opencode", Level.ERROR, "发生错误 100% of C:\\temp_dir \uf1d3glyph e\u0301a"),
    ("gateway", Level.INFO, "connection closed"),
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (LogQuery(), [0, 1, 2, 3, 4, 5, 6]),
        (LogQuery(limit=2), [5, 6]),
        (LogQuery(level=Level.WARNING), [1, 3, 5]),
        (LogQuery(sources=("gateway", "nobody")), [2, 6]),
        (LogQuery(sources=("opencode",), level=Level.ERROR), [5]),
        (LogQuery(words="connection"), [4, 6]),
        (LogQuery(words="CONN"), [2, 4, 6]),
        (LogQuery(words="conn registered"), [4]),
        (LogQuery(words="nnection"), []),
        (LogQuery(words="conn_id=ab"), [2]),
        (LogQuery(words="ab-1"), [2]),
        (LogQuery(words="b-12"), []),
        (LogQuery(words="127.0.0.1:40"), [0]),
        (LogQuery(words='="429"'), [1]),
        (LogQuery(words="zurück"), [3]),
        (LogQuery(words="ZURÜCK"), [3]),
        (LogQuery(words="ïve"), [3]),
        (LogQuery(words="ck"), []),
        (LogQuery(words="错误"), [5]),
        (LogQuery(words="%"), [5]),
        (LogQuery(words="100% c:\\temp_d"), [5]),
        (LogQuery(words="tempxdir"), []),
        (LogQuery(words="glyph"), []),
        (LogQuery(words='"'), [1]),
        (LogQuery(words="NOT AND"), []),
        (LogQuery(words="a" * 60_000), []),
        (LogQuery(words="conn " * 400), [2, 4, 6]),
        (LogQuery(pattern=r"conn\w*$"), []),
        (LogQuery(pattern=r"^Reg.*\d$"), [4]),
        (LogQuery(pattern="(?i)ERROR", words="status"), [1]),
        (LogQuery(since_at=1002.0, until_at=1004.0), [2, 3, 4]),
        (LogQuery(before=4), [0, 1, 2]),
        (LogQuery(after=5), [5, 6]),
        (LogQuery(after=2, before=6, level=Level.INFO), [3, 4]),
        (LogQuery(after=0, limit=2, words="conn"), [2, 4]),
        (LogQuery(limit=0), [6]),
    ],
)
@pytest.mark.parametrize("with_index", [True, False, "half"])
def test_what_is_found(
    path: Path, query: LogQuery, expected: list[int], with_index: bool | str
) -> None:
    file = LogFile(path, MEGABYTE)
    rows = [
        (number, (999 + number) * 1000, source, level.rank, text)
        for number, (source, level, text) in enumerate(LINES, 1)
    ]
    file.insert(rows[:4])
    if with_index:
        file.index()
    file.insert(rows[4:])
    if with_index is True:
        file.index()
    found = log_query.read(path, query)
    assert texts(found) == [LINES[number][2] for number in expected]
    file.close()


words = st.text(st.sampled_from("abAB1é-_. %\"\\'*\uf1d3\u0301ßİK"), max_size=6)


@given(
    lines=st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(list(Level)), words), max_size=12
    ),
    cut=st.integers(0, 12),
    query=st.builds(
        LogQuery,
        sources=st.sampled_from([(), ("a",), ("a", "b")]),
        level=st.sampled_from(list(Level)),
        words=words,
        before=st.none() | st.integers(0, 14),
        after=st.none() | st.integers(0, 14),
        limit=st.integers(1, 5),
    ),
)
@example(lines=[("a", Level.INFO, "a-a-a"), ("a", Level.INFO, "ba-a")], cut=2,
         query=LogQuery(words="a-a"))  # fmt: skip
def test_index_and_tail_answer_as_reading_each_line_would(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[tuple[str, Level, str]],
    cut: int,
    query: LogQuery,
) -> None:
    path = tmp_path_factory.mktemp("walk") / "logs.db"
    file = LogFile(path, MEGABYTE)
    rows = [(n, n, source, level.rank, text) for n, (source, level, text) in enumerate(lines, 1)]
    if rows[:cut]:
        file.insert(rows[:cut])
        file.index()
    if rows[cut:]:
        file.insert(rows[cut:])
    tests = [log_query.word_test(word) for word in query.words.split()]
    start = query.after if query.after is not None and query.after <= len(rows) else 0
    expected = [
        row[0]
        for row in rows
        if (not query.sources or row[2] in query.sources)
        and row[3] >= query.level.rank
        and all(test(row[4]) for test in tests)
        and (query.before is None or row[0] < query.before)
        and (query.after is None or row[0] > start)
    ]
    forwards = query.after is not None
    page = log_query.read(path, query)
    wanted = expected[: query.limit] if forwards else expected[-query.limit :]
    assert [line.id for line in page.lines] == wanted
    assert page.more == (len(expected) > query.limit)
    if forwards and page.more:
        assert page.last_id == wanted[-1]
    else:
        assert page.last_id == len(rows)
    file.close()


def test_paging_back_and_following_on_meet_every_line_once(store: LogStore) -> None:
    for number in range(1, 2001):
        store.append("a", Level.INFO, f"line {number} {'odd' if number % 2 else 'even'}")
    stored(store, "line 2000 even")
    back: list[int] = []
    page = store.query(LogQuery(words="odd", limit=300))
    back = [line.id for line in page.lines]
    while page.more:
        page = store.query(LogQuery(words="odd", limit=300, before=back[0]))
        back = [line.id for line in page.lines] + back
    on: list[int] = []
    page = store.query(LogQuery(words="odd", limit=300, after=0))
    on += [line.id for line in page.lines]
    while page.more:
        page = store.query(LogQuery(words="odd", limit=300, after=page.last_id))
        on += [line.id for line in page.lines]
    assert back == on == list(range(1, 2001, 2))


# --- following -------------------------------------------------------------------------------


def test_a_follower_is_woken_by_the_first_match(store: LogStore) -> None:
    store.append("a", Level.INFO, "before")
    stored(store, "before")
    last = store.query(LogQuery()).last_id
    answered: list[tuple[float, LogPage]] = []

    def follow() -> None:
        page = store.query(LogQuery(after=last, words="wanted"), timeout=30)
        answered.append((time.monotonic(), page))

    follower = threading.Thread(target=follow)
    follower.start()
    for _ in range(3):
        store.append("a", Level.INFO, "other")
    stored(store, "other")
    assert not answered
    sent = time.monotonic()
    store.append("a", Level.INFO, "wanted")
    follower.join(10)
    ((at, page),) = answered
    assert texts(page) == ["wanted"]
    assert at - sent < 1


def test_a_follower_without_news_is_answered_at_its_timeout(store: LogStore) -> None:
    began = time.monotonic()
    page = store.query(LogQuery(after=0), timeout=0.2)
    assert page == LogPage(lines=(), last_id=0)
    assert 0.2 <= time.monotonic() - began < 2


def test_closing_answers_followers(path: Path) -> None:
    store = LogStore(path, MEGABYTE)
    follower = threading.Thread(target=store.query, args=(LogQuery(after=0), 60))
    follower.start()
    store.close()
    follower.join(5)
    assert not follower.is_alive()


# --- bounds ----------------------------------------------------------------------------------


def test_appending_never_waits_and_what_is_dropped_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    insert = LogFile.insert
    monkeypatch.setattr(LogFile, "insert", lambda self, rows: (gate.wait(30), insert(self, rows)))
    store = LogStore(path, 64 * MEGABYTE)
    for number in range(log_queue.QUEUE_LINES + 2000):
        store.append("flood", Level.INFO, f"{number}")
    assert not gate.is_set(), "all were taken while the disk stood still"
    gate.set()
    store.close()
    reopened = LogStore(path, 64 * MEGABYTE)
    (line,) = reopened.query(LogQuery(sources=(OWN_SOURCE,))).lines
    dropped = int(line.text.split()[0])
    kept = reopened.query(LogQuery(limit=1)).last_id - 1
    assert kept + dropped == log_queue.QUEUE_LINES + 2000
    assert 0 < dropped <= 2000
    reopened.close()


def test_waiting_lines_are_bounded_in_size_too() -> None:
    queue = log_queue.LogQueue()
    for _ in range(1000):
        queue.put(0.0, "a", Level.INFO, "x" * 60_000)
    assert queue._characters < log_queue.QUEUE_CHARACTERS + log_queue.LINE_CHARACTERS
    batch = queue.take(0)
    assert sum(len(line[3]) for line in batch.lines) <= (
        log_queue.BATCH_CHARACTERS + log_queue.LINE_CHARACTERS
    )
    assert batch.dropped == 1000 - log_queue.QUEUE_CHARACTERS // 60_000 - 1


@pytest.mark.parametrize("length", [0, 80, 3000, 60_000])
def test_the_disk_is_bounded_and_the_oldest_go_first(path: Path, length: int) -> None:
    file = LogFile(path, MEGABYTE)
    per_batch = max(1, min(250, MEGABYTE // max(length, 1)))
    total = 4 * MEGABYTE // (length + 20)
    batches = [range(n, min(n + per_batch, total + 1)) for n in range(1, total + 1, per_batch)]
    largest = 0
    for numbers in batches:
        file.insert([(n, n, "a", 1, f"{n} word " + "x" * length) for n in numbers])
        file.trim()
        file.index()
        file.trim()
        largest = max(largest, size(path))
    page = log_query.read(path, LogQuery(limit=10_000))
    ids = [line.id for line in page.lines]
    assert ids == list(range(ids[0], total + 1)), "a run of lines without holes, up to the newest"
    assert largest - 32_768 <= MEGABYTE, "shared memory of 32 KiB aside"
    stored_bytes = sum(len(line.text) for line in page.lines)
    assert page.more or stored_bytes > MEGABYTE / 4, "and it is made use of"
    assert [line.id for line in log_query.read(path, LogQuery(words="word", limit=5)).lines] == (
        ids[-5:]
    )
    file.close()


def test_lowering_the_bound_shrinks_the_file(path: Path, store: LogStore) -> None:
    for number in range(40_000):
        store.append("a", Level.INFO, f"{number} " + "word " * 40)
    stored(store, "39999 " + "word " * 40)
    indexed(store)
    assert size(path) > 8 * MEGABYTE
    store.set_bound(MEGABYTE)
    until(lambda: size(path) <= MEGABYTE + 32_768)
    assert texts(store.query(LogQuery(limit=1))) == ["39999 " + "word " * 40]
    store.append("a", Level.INFO, "goes on")
    stored(store, "goes on")


def test_the_index_follows_when_it_is_quiet_and_beside_a_trickle(store: LogStore) -> None:
    for number in range(3000):
        store.append("a", Level.INFO, f"{number}")
    stored(store, "2999")
    indexed(store)
    store.append("a", Level.INFO, "one more")
    indexed(store)
    assert texts(store.query(LogQuery(words="2999"))) == ["2999"]


# --- patterns and time -----------------------------------------------------------------------


def test_a_bad_pattern_is_a_problem_and_a_hanging_one_does_not_hang(store: LogStore) -> None:
    with pytest.raises(Problem) as caught:
        store.query(LogQuery(pattern="("))
    assert caught.value.reason.code == "log-pattern-invalid"
    for _ in range(50):
        store.append("a", Level.INFO, "a" * 5000)
    store.append("a", Level.INFO, "end")
    stored(store, "end")
    began = time.monotonic()
    assert store.query(LogQuery(pattern="(a+)+b")).lines == ()
    assert time.monotonic() - began < log_query.TIME_LIMIT + 1


def test_what_takes_too_long_is_said_or_goes_on_from_there(path: Path) -> None:
    file = LogFile(path, 64 * MEGABYTE)
    for start in range(1, 40_001, 1000):
        file.insert([(n, n, "a", 1, f"line {n}") for n in range(start, start + 1000)])
    with pytest.raises(Problem) as caught:
        log_query.read(path, LogQuery(pattern="(x+)+y"), time_limit=0.0)
    assert caught.value.reason.code == "log-query-slow"
    seen, rounds = 0, 0
    found: list[str] = []
    while True:
        page = log_query.read(path, LogQuery(pattern=r"line \d*999$", after=seen), time_limit=0.01)
        found += texts(page)
        assert page.last_id > seen, "each round comes further"
        seen, rounds = page.last_id, rounds + 1
        if not page.more:
            break
    assert found == [f"line {n}" for n in range(1, 40_001) if n % 1000 == 999]
    assert rounds > 1
    file.close()


# --- damage ----------------------------------------------------------------------------------


def fill(path: Path, lines: int = 5000) -> None:
    store = LogStore(path, 64 * MEGABYTE)
    for number in range(lines):
        store.append("a", Level.INFO, f"{number} " + "x" * 80)
    store.close()


@pytest.mark.parametrize(
    "damage",
    [
        b"this is no database at all, but a text that someone put here" * 100,
        b"\0" * 20_000,
        b"SQLite format 3\0" + b"\xff" * 5000,
    ],
)
def test_a_damaged_file_is_kept_aside_and_a_new_log_begun(path: Path, damage: bytes) -> None:
    fill(path)
    path.write_bytes(damage)
    store = LogStore(path, MEGABYTE, clock=lambda: 0.0)
    store.append("a", Level.INFO, "goes on")
    stored(store, "goes on")
    (line,) = store.query(LogQuery(level=Level.ERROR)).lines
    aside = path.with_name("logs.db.damaged-19700101T000000Z")
    assert str(aside) in line.text
    assert aside.read_bytes() == damage
    assert store.trouble() is None
    store.close()


def test_a_foreign_or_newer_database_is_kept_aside_too(path: Path) -> None:
    fill(path)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    store = LogStore(path, MEGABYTE)
    assert len(list(path.parent.glob("logs.db.newer-*"))) == 1
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE segment")
        database.execute("PRAGMA user_version = 0")
    database.close()
    store = LogStore(path, MEGABYTE)
    assert len(list(path.parent.glob("logs.db.damaged-*"))) == 1
    store.close()


def test_who_follows_hears_that_lines_are_being_lost(path: Path) -> None:
    store = LogStore(path, MEGABYTE)
    store.append("a", Level.INFO, "first")
    stored(store, "first")
    last = store.query(LogQuery(limit=1)).last_id
    with sqlite3.connect(path, timeout=10) as held:  # the writer waits a tenth of a second for it
        held.execute("BEGIN IMMEDIATE")
        store.append("a", Level.INFO, "lost")
        page = store.query(LogQuery(after=last), timeout=10)
        assert page.trouble is not None
        assert page.trouble.code == "log-failed"
        held.rollback()
    held.close()
    store.append("a", Level.INFO, "after")
    page = store.query(LogQuery(after=last), timeout=10)
    while not page.lines or page.trouble:
        page = store.query(LogQuery(after=last), timeout=10)
    store.close()


def test_only_the_newest_damaged_file_is_kept(path: Path) -> None:
    for damage in (b"first" * 100, b"second" * 100):
        fill(path, 10)
        path.write_bytes(damage)
        LogStore(path, MEGABYTE).close()
    (aside,) = path.parent.glob("logs.db*.damaged-*")
    assert aside.read_bytes() == b"second" * 100


def test_damage_met_while_running_does_not_end_logging(path: Path) -> None:
    fill(path, 20_000)
    store = LogStore(path, 64 * MEGABYTE)
    indexed(store)
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"\xa5" * (len(content) - 4096 * 2)
    path.write_bytes(content)
    with pytest.raises(Problem) as caught:
        store.query(LogQuery(pattern="nothing like it"))
    assert caught.value.reason.code == "log-damaged"

    def goes_on() -> bool:
        store.append("a", Level.INFO, "goes on")
        try:
            return "goes on" in texts(store.query(LogQuery(words="goes")))
        except Problem:
            return False

    until(goes_on)
    assert list(path.parent.glob("logs.db.damaged-*"))
    store.close()


def test_a_full_disk_is_said_and_the_lost_lines_are_counted(path: Path) -> None:
    store = LogStore(path, 64 * MEGABYTE)
    store.append("a", Level.INFO, "fits")
    stored(store, "fits")
    database = store._file._database
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(100):
        store.append("a", Level.INFO, f"{number}" + "x" * 1000)
    until(store.trouble)
    trouble = store.trouble()
    assert trouble is not None
    assert "full" in trouble.what
    database.execute("PRAGMA max_page_count = 100000")
    store.append("a", Level.INFO, "room again")
    until(lambda: store.trouble() is None)
    lines = store.query(LogQuery(sources=(OWN_SOURCE,))).lines
    lost = sum(int(line.text.split()[0]) for line in lines)
    kept = store.query(LogQuery(sources=("a",))).lines
    assert len(kept) + lost == 102
    assert re.search("dropped", lines[-1].text)
    store.close()


def test_a_full_disk_at_the_end_does_not_keep_closing_from_ending(path: Path) -> None:
    store = LogStore(path, 64 * MEGABYTE)
    store._file._database.execute("PRAGMA max_page_count = 1")
    for _ in range(1000):
        store.append("a", Level.INFO, "x" * 1000)
    began = time.monotonic()
    store.close()
    assert time.monotonic() - began < 3
    assert not store._thread.is_alive()
