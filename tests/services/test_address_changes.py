"""How often an address changed without anybody asking for it."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.services.address_changes import DAY, AddressChanges, Seen, forced, within_a_day


class Wall:
    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


def test_only_what_nobody_asked_for_counts(tmp_path: Path) -> None:
    file, wall = tmp_path / "addresses.json", Wall()
    changes = AddressChanges(file, wall)
    assert changes.saw("quick", "a", 0) is None  # the first of this life
    assert changes.saw("quick", "a", 3) is None  # the same again
    assert changes.saw("quick", "b", 0) is None  # a person's restart
    assert changes.saw("quick", "c", 1) == 1
    assert changes.saw("quick", "d", 1) is None
    assert changes.saw("quick", "e", 3) == 2
    assert changes.count("quick") == 2
    assert changes.count("other") == 0
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_restart_of_ours_forgets_nothing_and_a_day_does(tmp_path: Path) -> None:
    file, wall = tmp_path / "addresses.json", Wall()
    changes = AddressChanges(file, wall)
    for restarts, address in enumerate("abcd"):
        changes.saw("quick", address, restarts)
    again = AddressChanges(file, wall)
    assert again.count("quick") == 3
    assert again.saw("quick", "e", 0) is None  # what ended the one before is not known
    wall.now += DAY - 1
    assert again.count("quick") == 3
    wall.now += 1
    assert again.count("quick") == 0
    wall.now -= 366 * DAY  # a clock that was wrong makes no alarm
    assert again.count("quick") == 0


def test_a_broken_file_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "addresses.json"
    file.write_text('{"quick": [1, "x"]}')
    file.chmod(0o600)
    assert AddressChanges(file, Wall()).count("quick") == 0


@given(st.lists(st.floats(0, 3 * DAY)), st.floats(0, 3 * DAY))
def test_a_day_is_a_day(times: list[float], now: float) -> None:
    kept = within_a_day(times, now)
    assert all(0 <= now - at < DAY for at in kept)
    assert len(kept) == sum(0 <= now - at < DAY for at in times)
    assert not forced(None, Seen("a", 5))
