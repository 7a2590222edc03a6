"""The traffic history on a real file: what is kept, what is added up, what a loss costs."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.app.traffic import LATE, Seconds, TrafficWatch
from nexus_tray.gateway.meter import Meter, Meters, Readings
from nexus_tray.paths import Paths
from nexus_tray.reports import Traffic, TrafficPoint, TrafficQuery
from nexus_tray.store import history_file, history_steps
from nexus_tray.store.history import HOUR, History
from nexus_tray.store.history_file import WEEK, HistoryFile, open_or_begin
from tests.gateway.doubles import eventually

NOW = 1_795_000_020.0  # on a whole minute


def second(
    at: float, requests: int = 1, latency_ms: float | None = 10.0, **more: int
) -> TrafficPoint:
    return TrafficPoint(at=at, requests=requests, latency_ms=latency_ms, **more)


class Keeper:
    """A history and what it said."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self.history = History(path, NOW, self.said.append)

    def again(self) -> None:
        """The program starts anew."""
        self.history.close(NOW)
        self.history = History(self.path, NOW, self.said.append)

    def ask(self, seconds: int, points: int = 100, now: float = NOW) -> Traffic:
        return self.history.read(TrafficQuery(seconds=seconds, points=points), now)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path / "data" / "traffic.db")
    yield keeper
    keeper.history.close(NOW)


@pytest.mark.parametrize(
    ("seconds", "points", "finest", "step", "count"),
    [
        (60, 60, 1, 1, 60),
        (60, 10, 1, 10, 6),  # six is not more than ten
        (900, 90, 1, 10, 90),
        (3600, 1000, 1, 5, 720),
        (3600, 1000, 60, 60, 60),
        (86_400, 96, 60, 900, 96),
        (604_800, 84, 60, 7200, 84),
        (604_800, 10, 60, 86_400, 7),
        (97, 10, 1, 10, 10),
    ],
)
def test_steps_are_such_as_people_count_in(
    seconds: int, points: int, finest: int, step: int, count: int
) -> None:
    found, begin, end = history_steps.window(NOW, seconds, points, finest)
    assert (found, (end - begin) // found) == (step, count)


@given(
    now=st.floats(0, 4e9),
    seconds=st.integers(60, 604_800),
    points=st.integers(10, 1000),
    finest=st.sampled_from([1, 60]),
)
def test_a_window_reaches_to_now_and_has_no_more_steps_than_asked(
    now: float, seconds: int, points: int, finest: int
) -> None:
    step, begin, end = history_steps.window(now, seconds, points, finest)
    assert step % finest == begin % step == end % step == 0
    assert end - step <= now < end
    assert 1 <= (end - begin) // step <= points
    assert end - begin >= seconds


POINTS = st.lists(
    st.builds(
        TrafficPoint,
        at=st.integers(0, 5000).map(float),
        requests=st.integers(1, 50),
        failures=st.integers(0, 50),
        bytes_in=st.integers(0, 10**12),
        bytes_out=st.integers(0, 10**12),
        streams=st.integers(0, 90),
        latency_ms=st.floats(0.1, 900),
    ),
    max_size=60,
)


@given(points=POINTS, step=st.sampled_from(history_steps.STEPS))
def test_no_step_loses_or_invents_anything(points: list[TrafficPoint], step: int) -> None:
    steps = history_steps.gather(points, step)
    for name in ("requests", "failures", "bytes_in", "bytes_out"):
        assert sum(getattr(p, name) for p in steps) == sum(getattr(p, name) for p in points)
    assert max((p.streams for p in steps), default=0) == max((p.streams for p in points), default=0)
    assert [p.at for p in steps] == sorted({p.at // step * step for p in points})
    for one in steps:
        within = [p.latency_ms for p in points if p.at // step * step == one.at]
        assert one.latency_ms in within


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([(1, 5.0), (1, 9.0), (1, 100.0)], 9.0),
        ([(1, 5.0), (1, 9.0), (8, 100.0)], 100.0),
        ([(9, 5.0), (1, 9.0)], 5.0),
        ([(0, None), (1, 7.0)], 7.0),
        ([(0, None), (0, None)], None),
    ],
)
def test_the_median_goes_by_requests(
    given: list[tuple[int, float | None]], found: float | None
) -> None:
    points = [second(0.0, requests, latency) for requests, latency in given]
    assert history_steps.merge(0, points).latency_ms == found


def test_an_hour_is_known_by_the_second_and_no_more(kept: Keeper) -> None:
    for at in range(HOUR + 500):
        kept.history.record(second(NOW + at, streams=at % 7))
    now = NOW + HOUR + 500
    assert [p.at for p in kept.ask(60, 60, now).points] == [now - 59 + n for n in range(59)]
    hour = kept.ask(HOUR, 720, now)
    assert (hour.step, sum(p.requests for p in hour.points)) == (5.0, HOUR - 5)
    assert len(kept.history._seconds) == HOUR
    assert len(kept.history._waiting) == 1  # the rest is on the disk


def test_what_was_kept_is_there_after_a_new_start_in_minutes(kept: Keeper) -> None:
    for at in range(-300, 0):
        kept.history.record(second(NOW + at, requests=2, bytes_in=3, bytes_out=4, failures=1))
    kept.again()
    found = kept.ask(900, 90)
    assert found.step == 60.0
    assert [p.at for p in found.points] == [NOW - 300 + 60 * n for n in range(5)]
    assert {(p.requests, p.failures, p.bytes_in, p.bytes_out) for p in found.points} == {
        (120, 60, 180, 240)
    }


def test_two_starts_within_a_minute_add_up(kept: Keeper) -> None:
    kept.history.record(second(NOW + 1, streams=5))
    kept.again()
    kept.history.record(second(NOW + 20, streams=2))
    kept.again()
    kept.history.record(second(NOW + 25))
    for seconds in (86_400, 3600):
        (minute,) = kept.ask(seconds, now=NOW + 30).points
        assert (minute.requests, minute.streams) == (3, 5)


def test_a_time_in_which_nothing_was_measured_is_a_gap(kept: Keeper) -> None:
    for at in (-600, -590, -30, -10):
        kept.history.record(second(NOW + at, requests=0, latency_ms=None))
    found = kept.ask(900, 90)
    assert [p.at - NOW for p in found.points] == [-600, -590, -30, -10]
    assert {p.latency_ms for p in found.points} == {None}


def test_the_disk_holds_a_week_and_no_more(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "traffic.db")
    file.add([second(60.0 * n) for n in range(WEEK + 100)])
    assert [p.at for p in file.read(0, 10**12)] == [60.0 * n for n in range(100, WEEK + 100)]
    file.close()
    assert (tmp_path / "traffic.db").stat().st_size < 1_000_000


def test_seconds_that_come_twice_are_added_up(kept: Keeper) -> None:
    for _ in range(2):
        for at in range(-20, 0):
            kept.history.record(second(NOW + at))
    assert sum(p.requests for p in kept.ask(60, 60).points) == 40


@pytest.mark.parametrize("jump", [-(10**8), -7200, -30, 7200, 10**8])
def test_a_clock_that_is_set_loses_and_overwrites_nothing(kept: Keeper, jump: int) -> None:
    for at in range(-200, 0):
        kept.history.record(second(NOW + at))
    for at in range(100):
        kept.history.record(second(NOW + jump + at))
    for at in range(100):  # and it is set right again
        kept.history.record(second(NOW + at))
    for anew in (False, True):
        if anew:
            kept.again()
        rows = [*kept.ask(604_800, now=NOW + 120).points, *kept.ask(604_800, now=NOW + jump).points]
        by_time = {p.at: p.requests for p in rows}
        assert sum(by_time.values()) >= 300
    kept.history.close(NOW)
    file, told = open_or_begin(kept.path, NOW)
    assert not told
    assert sum(p.requests for p in file.read(-(10**12), 10**12)) == 400
    file.close()


def make_foreign(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 0")
    database.close()


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(b"this is no database" * 500),
        lambda path: path.write_bytes(path.read_bytes()[:5000] + b"\xff" * 4000),
        make_foreign,
    ],
    ids=["no database", "torn", "of no version"],
)
def test_a_damaged_file_is_put_aside_and_said(kept: Keeper, harm: Callable[[Path], object]) -> None:
    kept.history.record(second(NOW - 200))
    kept.history.close(NOW)
    harm(kept.path)
    kept.history = History(kept.path, NOW, kept.said.append)
    assert len(kept.said) == 1
    assert "was damaged" in kept.said[0]
    assert len(list(kept.path.parent.glob("traffic.db.damaged-*"))) == 1
    kept.history.record(second(NOW - 100))
    kept.again()
    assert sum(p.requests for p in kept.ask(86_400).points) == 1


def test_damage_under_way_costs_the_file_and_not_what_comes(kept: Keeper) -> None:
    kept.history.record(second(NOW - 200))
    kept.again()
    with sqlite3.connect(kept.path) as other:  # a table of another form: no row can be read
        other.execute("PRAGMA writable_schema = ON")
        other.execute("UPDATE sqlite_master SET sql = 'broken'")
        other.execute("PRAGMA schema_version = 77")
    other.close()
    kept.history.record(second(NOW - 50))
    kept.ask(86_400)
    kept.again()
    assert any("was damaged" in text for text in kept.said), kept.said
    assert sum(p.requests for p in kept.ask(86_400).points) == 1


def test_a_file_that_is_not_ours_alone_is_not_used_and_nothing_stops(tmp_path: Path) -> None:
    path = tmp_path / "data" / "traffic.db"
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o644)
    path.chmod(0o644)
    keeper = Keeper(path)
    for at in range(-7200, 0):
        keeper.history.record(second(NOW + at))
    assert sum(p.requests for p in keeper.ask(900, 90).points) == 890  # the last step has none yet
    assert sum(p.requests for p in keeper.ask(86_400).points) == 3600 + 60
    assert len(keeper.said) == 1
    assert "open to other users" in keeper.said[0]
    path.chmod(0o600)
    keeper.again()  # cured: what waited is written
    assert sum(p.requests for p in keeper.ask(86_400).points) >= 3600
    keeper.history.close(NOW)


def test_the_file_is_for_us_alone(kept: Keeper) -> None:
    kept.history.record(second(NOW))
    modes = {p.name: p.stat().st_mode & 0o777 for p in kept.path.parent.iterdir()}
    assert modes
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize(
    ("looks", "seconds"),
    [
        ([100.0, 101.0, 102.0], [99, 100, 101]),
        ([100.01, 100.99, 102.3], [99, 100, 101]),  # near enough
        ([100.0, 103.2], [99, 100, 101, 102]),  # late: the time was measured all the same
        ([100.0, 100.0 + LATE + 1], [99, 105]),  # too late: nobody knows
        ([100.0, 90.0, 91.0], [99, 89, 90]),
        ([100.0, 100.2], [99, 99]),
        ([100.0, None, 105.0], [99, 104]),  # the gateway was shut meanwhile
    ],
)
def test_which_seconds_a_look_accounts_for(looks: list[float | None], seconds: list[int]) -> None:
    meter, account = Meter(), Seconds()
    found: list[TrafficPoint] = []
    for number, now in enumerate(looks):
        meter.answered(200, 0.01)
        reading = None if now is None else Readings(meter.read())
        looked = account.account(reading, now if now is not None else float(number))
        found += [whole for whole, _ in looked]
    assert [p.at for p in found] == seconds
    assert sum(p.requests for p in found) == len(looks)  # nothing is lost to lateness


def test_the_watch_tells_what_the_meter_says_and_keeps_it(paths: Paths) -> None:
    meters = Meters()
    meter = meters.door("quick")
    history = History(paths.traffic_database, NOW, lambda text: pytest.fail(text))
    watch = TrafficWatch(history, meters.read)
    meter.answered(500, 0.02)
    meter.received += 10
    eventually(lambda: sum(p.requests for p in watch.report(TrafficQuery(seconds=60)).points) == 1)
    watch.close()
    watch.close()
    file = HistoryFile(paths.traffic_database)
    (minute, *_) = [p for p in file.read(0, 10**12) if p.requests]
    assert (minute.failures, minute.bytes_in) == (1, 10)
    file.close()


def test_a_shut_gateway_is_a_gap(paths: Paths) -> None:
    history = History(paths.traffic_database, NOW, lambda text: pytest.fail(text))
    looks: list[None] = []

    def shut() -> Readings | None:
        looks.append(None)
        return None

    watch = TrafficWatch(history, shut)
    eventually(lambda: bool(looks))
    assert watch.report(TrafficQuery(seconds=60)).points == ()
    watch.close()


# -- by door ------------------------------------------------------------------------------------


def test_a_door_has_what_passed_it_and_nothing_where_the_gateway_was_open(kept: Keeper) -> None:
    kept.history.record(second(NOW - 30, requests=5), {"quick": second(NOW - 30, requests=3)})
    kept.history.record(second(NOW - 20, requests=2), {"home": second(NOW - 20, requests=2)})
    for anew in (False, True):
        if anew:
            kept.again()
        asked = {
            name: kept.history.read(TrafficQuery(seconds=900, points=90, tunnel=name), NOW).points
            for name in ("", "quick", "home", "never")
        }
        known = [p.at for p in asked[""]]
        assert all([p.at for p in points] == known for points in asked.values())
        sums = {name: sum(p.requests for p in points) for name, points in asked.items()}
        assert sums == {"": 7, "quick": 3, "home": 2, "never": 0}
        assert all(p.latency_ms is None for p in asked["never"])


def test_doors_are_written_by_the_minute_and_read_by_the_week(kept: Keeper) -> None:
    for at in range(-600, 0):
        kept.history.record(second(NOW + at, requests=4), {"quick": second(NOW + at, requests=1)})
    kept.again()
    week = TrafficQuery(seconds=604_800, points=84, tunnel="quick")
    assert sum(p.requests for p in kept.history.read(week, NOW).points) == 600


def test_seconds_that_come_twice_add_up_at_each_door(kept: Keeper) -> None:
    for name in ("quick", "home", "quick"):
        kept.history.record(second(NOW - 5), {name: second(NOW - 5)})
    found = kept.history.read(TrafficQuery(seconds=60, points=60, tunnel="quick"), NOW).points
    assert sum(p.requests for p in found) == 2


def test_the_hour_of_a_door_is_bounded_as_the_whole_is(kept: Keeper) -> None:
    for at in range(HOUR + 50):
        kept.history.record(second(NOW + at), {"quick": second(NOW + at)})
    assert len(kept.history._doors) == HOUR
    assert len(kept.history._doors_waiting) == 1


def test_a_door_that_is_no_more_is_forgotten_everywhere(kept: Keeper) -> None:
    for at in (-300, -5):
        both = {"quick": second(NOW + at), "home": second(NOW + at)}
        kept.history.record(second(NOW + at, requests=2), both)
    kept.history.forget("quick")
    for anew in (False, True):
        if anew:
            kept.again()
        sums = [
            sum(p.requests for p in kept.history.read(TrafficQuery(tunnel=name), NOW).points)
            for name in ("quick", "home", "")
        ]
        assert sums == [0, 2, 4]


def test_many_doors_are_bounded_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_file, "DOORS", 500)
    file = HistoryFile(tmp_path / "traffic.db")
    for minute in range(100):
        at = 60.0 * minute
        file.add([second(at)], [(f"tunnel-{n}", second(at)) for n in range(20)])
    held = sum(p.requests for n in range(20) for p in file.read(0, 10**12, f"tunnel-{n}"))
    assert held == 500
    newest = file.read(60 * 99, 10**12, "tunnel-19")
    assert [p.requests for p in newest] == [1]
    file.close()


def test_a_week_with_eight_busy_doors_is_a_few_megabytes(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "traffic.db")
    at = [60.0 * n for n in range(WEEK + 10)]
    file.add(map(second, at), ((f"tunnel-{n % 8}", second(a)) for a in at for n in range(8)))
    assert len(file.read(0, 10**12, "tunnel-3")) == WEEK
    assert sum(p.requests for p in file.read(0, 10**12, "tunnel-3")) == WEEK
    file.close()
    assert (tmp_path / "traffic.db").stat().st_size < 12_000_000


def test_minutes_of_doors_go_with_the_minute(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "traffic.db")
    file.add([second(0.0)], [("quick", second(0.0))])
    file.add([second(60.0 * n) for n in range(1, WEEK + 1)])
    file.close()
    with sqlite3.connect(tmp_path / "traffic.db") as database:
        assert database.execute("SELECT count(*) FROM door_minute").fetchone() == (0,)
    database.close()


def test_a_file_of_the_version_before_keeps_its_minutes(kept: Keeper) -> None:
    kept.history.record(second(NOW - 300, requests=6))
    kept.history.close(NOW)
    with sqlite3.connect(kept.path) as database:
        database.execute("DROP TABLE door_minute")
        database.execute("PRAGMA user_version = 1")
    database.close()
    kept.history = History(kept.path, NOW, kept.said.append)
    kept.history.record(second(NOW - 200), {"quick": second(NOW - 200)})
    kept.again()
    asked = [
        sum(p.requests for p in kept.history.read(TrafficQuery(tunnel=name), NOW).points)
        for name in ("", "quick")
    ]
    assert asked == [7, 1]
    assert kept.said == []
