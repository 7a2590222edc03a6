"""The pause: how long it holds, over restarts and sleep, and that doubt is a pause."""

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.app.pause import MOST_SECONDS, PauseKeeper
from nexus_tray.core.snapshot import Pause
from nexus_tray.model import Problem
from tests.api.doubles import until

NOW = 1_795_000_000.0


class World:
    """Keepers over one file, and a wall clock that tests turn."""

    def __init__(self, file: Path) -> None:
        self.file, self.now = file, NOW
        self.told: list[Pause | None] = []
        self.over = threading.Event()
        self._made: list[PauseKeeper] = []

    def keeper(self) -> PauseKeeper:
        """The keeper of another start of the program."""
        made = PauseKeeper(self.file, lambda: self.now, self.told.append, self.over.set, look=0.02)
        self._made.append(made)
        return made

    def close(self) -> None:
        for made in self._made:
            made.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "data" / "pause.json")
    yield made
    made.close()


def test_without_a_pause_nothing_is_held(world: World) -> None:
    keeper = world.keeper()
    assert world.told == [None]
    assert not keeper.holds
    assert keeper.end() is False


@pytest.mark.parametrize(
    ("until_at", "words"),
    [(NOW + 900, "until "), (NOW + MOST_SECONDS, "until "), (None, "until you resume it.")],
)
def test_a_pause_survives_a_restart(world: World, until_at: float | None, words: str) -> None:
    begun = world.keeper().begin(until_at)
    assert words in begun.reason.what
    assert "nexus-tray resume" in begun.reason.cure
    again = world.keeper()
    assert again.holds
    assert world.told == [None, begun, begun]
    assert again.end() is True
    assert again.end() is False
    world.keeper()
    assert world.told[3:] == [None, None]


@pytest.mark.parametrize(
    "until_at",
    [NOW - 1, NOW, NOW + MOST_SECONDS + 60, math.inf, -math.inf, math.nan],
)
def test_a_time_that_is_none_changes_nothing(world: World, until_at: float) -> None:
    keeper = world.keeper()
    keeper.begin(NOW + 60)
    with pytest.raises(Problem) as refused:
        keeper.begin(until_at)
    assert refused.value.reason.code == "pause-time"
    assert world.told[-1] is not None
    assert world.told[-1].until_at == NOW + 60


def test_it_ends_by_itself_when_the_wall_clock_says_so(world: World) -> None:
    keeper = world.keeper()
    keeper.start()
    keeper.begin(NOW + 900)
    assert not world.over.wait(0.1)
    world.now += 901  # as after sleep: no wait of ours went on meanwhile
    assert world.over.wait(5)
    assert not keeper.holds
    assert world.told[-1] is None
    assert not world.file.exists()


def test_a_later_pause_takes_the_place_of_the_first(world: World) -> None:
    keeper = world.keeper()
    keeper.start()
    keeper.begin(NOW + 60)
    keeper.begin(None)
    world.now += 61
    assert not world.over.wait(0.1)
    assert keeper.holds


def test_one_whose_time_passed_while_nothing_ran_is_over(world: World) -> None:
    world.keeper().begin(NOW + 60)
    world.now += 61
    assert not world.keeper().holds
    assert not world.file.exists()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"until_at": "soon"}', b'{"until_at": 1e300}', b"x" * 5000]
)
def test_a_file_that_cannot_be_read_is_a_pause_and_says_so(world: World, content: bytes) -> None:
    world.file.parent.mkdir(mode=0o700)
    world.file.touch(0o600)
    world.file.write_bytes(content)
    keeper = world.keeper()
    [told] = world.told
    assert told is not None
    assert told.until_at is None
    assert told.reason.code == "paused-in-doubt"
    assert str(world.file) in told.reason.meaning
    assert keeper.end() is True
    assert not world.keeper().holds


def test_a_link_in_its_place_is_a_pause(world: World) -> None:
    world.file.parent.mkdir(mode=0o700)
    world.file.symlink_to("/dev/null")
    assert world.keeper().holds


def test_what_cannot_be_kept_holds_now_and_says_so(world: World) -> None:
    keeper = world.keeper()
    world.file.parent.mkdir(mode=0o700)
    world.file.mkdir()  # nothing can be renamed over it
    (world.file / "x").touch()
    with pytest.raises(Problem) as told:
        keeper.begin(None)
    assert told.value.reason.code == "pause-not-kept"
    assert keeper.holds
    assert world.told[-1] is not None
    with pytest.raises(Problem):
        keeper.end()
    assert keeper.holds


def test_the_words_name_the_day_only_where_it_matters(world: World) -> None:
    keeper = world.keeper()
    near = keeper.begin(NOW + 900).reason.what
    assert near == f"Remote access is paused until {_clock(NOW + 900, '%H:%M')}."
    far = keeper.begin(NOW + 3 * 86400).reason.what
    assert _clock(NOW + 3 * 86400, "%b, %H:%M") in far


def test_a_keeper_that_never_began_ends(world: World) -> None:
    world.keeper().close()
    keeper = world.keeper()
    keeper.start()
    keeper.close()
    until(lambda: not any(t.name == "pause" for t in threading.enumerate()))


def _clock(at: float, form: str) -> str:
    return time.strftime(form, time.localtime(at))
