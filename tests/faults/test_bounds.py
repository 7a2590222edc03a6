"""Issue 6, bounds: stores at their caps, for a day's worth of writes at full speed.

What is written in a day goes in as fast as the store takes it: the log of an OpenCode that says
200 lines a second, the traffic of every second at nine doors, the audit trail under a stranger who
never rests. All the while the disk stays within the cap, the process does not grow, and one
operation takes no longer at the end than at the beginning. The short profile writes a smaller day
against smaller caps; `--long` the whole one, whose figures `-s` shows.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from nexus_tray.model import Level, LogQuery
from nexus_tray.reports import AuditQuery, TrafficPoint, TrafficQuery
from nexus_tray.store import audit
from nexus_tray.store.audit import AuditEvent
from nexus_tray.store.history import History
from nexus_tray.store.history_file import DOORS, WEEK
from nexus_tray.store.log_queue import QUEUE_LINES
from nexus_tray.store.logs import LogStore
from tests.store.vaults import open_store

NOW = 1_795_000_000.0
DAY = 86_400
LINES_A_SECOND = 200
MEGABYTE = 1024 * 1024
GROWTH = 50 * MEGABYTE
"""What the process may grow by after the first tenth."""


@dataclass
class Watch:
    """What a run took: the most on disk, the most in memory, and each operation's seconds."""

    folder: Path
    disk: int = 0
    first: int = 0
    memory: int = 0
    times: dict[str, list[float]] = field(default_factory=dict)

    def time(self, name: str, operation: Callable[[], object]) -> None:
        began = time.perf_counter()
        operation()
        self.times.setdefault(name, []).append(time.perf_counter() - began)

    def look(self, *, warm: bool) -> None:
        used = 0
        for path in self.folder.iterdir():
            try:
                used += path.stat().st_size
            except FileNotFoundError:
                continue
        self.disk = max(self.disk, used)
        memory = psutil.Process().memory_info().rss
        if not warm:
            self.first = max(self.first, memory)
        self.memory = max(self.memory, memory)

    def verdict(self, cap: int) -> None:
        """Bounded in each: what is said here is what docs/reliability.md tells."""
        print(f"\ndisk {self.disk / MEGABYTE:.1f} of {cap / MEGABYTE:.1f} MB at most; ", end="")
        print(f"memory +{(self.memory - self.first) / MEGABYTE:.1f} MB")
        for name, times in self.times.items():
            begin, end = thirds(times)
            print(
                f"  {name}: median {begin * 1000:.3f} ms at first, {end * 1000:.3f} at last; "
                f"99 of 100 within {quantile(times, 0.99) * 1000:.3f}, longest "
                f"{max(times) * 1000:.1f} ms; {len(times)} taken"
            )
        assert self.disk <= cap
        assert self.memory - self.first <= GROWTH
        for name, times in self.times.items():
            begin, end = thirds(times)
            assert end <= 4 * begin + 0.02, f"{name} grew from {begin:.4f} to {end:.4f} s"


def thirds(times: Sequence[float]) -> tuple[float, float]:
    """The median of the first and of the last third."""
    third = max(1, len(times) // 3)
    return statistics.median(times[:third]), statistics.median(times[-third:])


def quantile(times: Sequence[float], share: float) -> float:
    return sorted(times)[int((len(times) - 1) * share)]


def write_logs(folder: Path, lines: int, megabytes: int) -> Watch:
    cap = megabytes * MEGABYTE
    store = LogStore(folder / "logs.db", cap)
    watch = Watch(folder)
    text = "request {} of session ses_{} took 12 ms and said nothing that anybody would miss"
    step = max(2000, lines // 300)
    written = 0
    try:
        while written < lines:
            for number in range(written, written + step):
                if number % 4000 == 0:  # as fast as it is stored, and nothing dropped
                    wait_for_room(store, number)
                line = text.format(number, number % 97)
                if number % 500:
                    store.append("opencode", Level.INFO, line)
                else:
                    watch.time("append", lambda: store.append("opencode", Level.INFO, line))  # noqa: B023
            written += step
            watch.time("newest 200", lambda: store.query(LogQuery(limit=200)))
            watch.time("a word", lambda: store.query(LogQuery(words="ses_13", limit=50)))
            watch.look(warm=written > lines // 10)
        wait_for_room(store, written, none=True)
        newest = store.query(LogQuery(limit=1)).lines
        assert newest[0].text == text.format(written - 1, (written - 1) % 97)
        assert not store.query(LogQuery(words="dropped")).lines, "nothing was dropped"
        assert store.query(LogQuery(limit=1)).last_id == written
    finally:
        store.close()
    watch.look(warm=True)
    watch.verdict(cap)
    return watch


def wait_for_room(store: LogStore, sent: int, *, none: bool = False) -> None:
    """Until the writer has taken all but a quarter of a queue."""
    # what is queued and not stored would be dropped when the queue is full
    least = sent if none else sent - QUEUE_LINES // 4
    deadline = time.monotonic() + 60
    while store.query(LogQuery(limit=1)).last_id < least:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def write_traffic(folder: Path, seconds: int, doors: int) -> None:
    said: list[str] = []
    history = History(folder / "traffic.db", NOW, said.append)
    watch = Watch(folder)
    names = [f"door-{number}" for number in range(doors)]
    try:
        for second in range(seconds):
            at = NOW + second
            point = TrafficPoint(at=at, requests=9, bytes_in=900, bytes_out=9000, latency_ms=3.0)
            passed = dict.fromkeys(names, point)
            watch.time("a second", lambda: history.record(point, passed))  # noqa: B023
            if second % max(1, seconds // 200) == 0:
                hour = TrafficQuery(seconds=3600, points=120)
                week = TrafficQuery(seconds=7 * DAY, points=120)
                watch.time("an hour", lambda: history.read(hour, at))  # noqa: B023
                watch.time("a week", lambda: history.read(week, at))  # noqa: B023
                watch.look(warm=second > seconds // 10)
    finally:
        history.close(NOW + seconds)
    watch.verdict((WEEK + DOORS) * 120 + MEGABYTE)
    assert not said


def write_audit(folder: Path, seconds: int) -> None:
    store = open_store(folder / "nexus.db")
    watch = Watch(folder)
    own = 0
    for second in range(seconds):
        store.clock.now += 1
        for visitor in range(3):
            address = f"203.0.113.{(second + visitor) % 250}"
            watch.time(
                "a refusal",
                lambda: store.audit.crowd(AuditEvent.SIGN_IN_FAILED, address, "wrong", second),  # noqa: B023
            )
        if second % 20 == 0:  # and the owner's own, which no stranger may push out
            own += 1
            store.audit.record(AuditEvent.SIGN_OUT, "owner", "local", "signed out")
        if second % max(1, seconds // 200) == 0:
            watch.time("newest 100", lambda: store.audit.newest(100))
            watch.time("search", lambda: store.audit.search(AuditQuery(words="203.0.113.9")))
            watch.look(warm=second > seconds // 10)
    counted = store.database.read("SELECT event, count(*) FROM audit GROUP BY event")
    kept = {str(event): int(number) for event, number in counted}
    assert kept["sign-out"] >= min(own, audit.KEPT_OWN)
    assert kept["sign-in-failed"] <= audit.KEPT_ROWS + 500, "it prunes at every 500th row"
    store.close()
    watch.verdict((audit.KEPT_ROWS + audit.KEPT_OWN) * 300 + 6 * MEGABYTE)


def test_logs_at_their_cap(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o700)
    write_logs(tmp_path / "d", 80_000, 2)


def test_traffic_at_its_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d").mkdir(mode=0o700)
    monkeypatch.setattr("nexus_tray.store.history_file.WEEK", 60)
    monkeypatch.setattr("nexus_tray.store.history_file.DOORS", 240)
    write_traffic(tmp_path / "d", 2 * 3600, 9)


def test_the_audit_trail_at_its_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d").mkdir(mode=0o700)
    monkeypatch.setattr(audit, "KEPT_ROWS", 300)
    monkeypatch.setattr(audit, "KEPT_OWN", 100)
    monkeypatch.setattr(audit, "_PRUNE_EVERY", 50)
    write_audit(tmp_path / "d", 1800)


@pytest.mark.long
@pytest.mark.timeout(5400)
def test_logs_for_a_day(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o700)
    write_logs(tmp_path / "d", DAY * LINES_A_SECOND, 256)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_traffic_for_a_day_and_more(tmp_path: Path) -> None:
    """Eight days, so that the week of the store is full and goes on."""
    (tmp_path / "d").mkdir(mode=0o700)
    write_traffic(tmp_path / "d", 8 * DAY, 9)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_audit_trail_for_a_day(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o700)
    write_audit(tmp_path / "d", DAY)
