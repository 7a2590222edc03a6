"""What a start ends of an earlier life, and what it must never touch: over real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from nexus_tray.paths import Paths
from nexus_tray.store.files import ensure_private_dir, write_atomic
from nexus_tray.system import guard, leftovers, process_tree
from nexus_tray.system.leftovers import Life

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="marks and boots as Linux has them")

MARK = "00ff00ff00ff00ff"
DEAF = "trap '' TERM; echo up; while :; do sleep 0.05; done"

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    begun: list[subprocess.Popen[bytes]] = []

    def begin(mark: str | None, *argv: str) -> subprocess.Popen[bytes]:
        environment = {"PATH": os.environ["PATH"], **({process_tree.MARK: mark} if mark else {})}
        process = subprocess.Popen(
            argv or ("sleep", "600"), env=environment, start_new_session=True,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


@pytest.fixture
def dead(start: Start) -> process_tree.Identity:
    """A guard that was killed."""
    process = start(None)
    identity = process_tree.identify(process.pid)
    assert identity is not None
    process.kill()
    process.wait(10)
    return identity


def record(paths: Paths, *lives: Life) -> None:
    ensure_private_dir(paths.run)
    write_atomic(paths.guards_file, msgspec.json.encode(lives))


def recorded(paths: Paths) -> list[str]:
    return [life.mark for life in leftovers._recorded(paths)]


def alive(process: "subprocess.Popen[bytes]") -> bool:
    return process.poll() is None


MINE = Life("aa11aa11aa11aa11", (os.getpid(), 0.0), leftovers._boot())


def test_what_a_dead_life_left_is_ended_and_nothing_else(
    paths: Paths, dead: process_tree.Identity, start: Start
) -> None:
    record(paths, Life(MARK, dead, leftovers._boot()))
    theirs = [start(MARK), start(f"{MARK}.0123"), start(MARK, "sh", "-c", "env -i sleep 600; true")]
    others = (None, f"{MARK}0", f"1.{MARK}", "other", f"x{MARK}")
    strangers = [start(mark) for mark in others]
    assert leftovers.left(paths, MINE.mark) >= {process.pid for process in theirs}
    assert leftovers.sweep(paths, MINE) >= len(theirs)
    *plain, shell = theirs
    for process in plain:
        assert process.wait(10) == -signal.SIGTERM
    # a shell whose child was ended first may be through before its own turn comes
    assert shell.wait(10) in (-signal.SIGTERM, 0)
    assert all(alive(process) for process in strangers)
    assert leftovers.left(paths, MINE.mark) == set()
    assert recorded(paths) == [MINE.mark]
    assert leftovers.sweep(paths, MINE) == 0


def test_what_does_not_obey_is_killed(
    paths: Paths, dead: process_tree.Identity, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "GRACE", 0.3)
    record(paths, Life(MARK, dead, leftovers._boot()))
    deaf = start(MARK, "sh", "-c", DEAF)
    assert deaf.stdout is not None
    assert deaf.stdout.readline() == b"up\n"
    leftovers.sweep(paths, MINE)
    assert deaf.wait(10) == -signal.SIGKILL


def test_a_guard_that_lives_ends_its_own(paths: Paths, start: Start) -> None:
    identity = process_tree.identify(start(None).pid)
    assert identity is not None
    record(paths, Life(MARK, identity, leftovers._boot()))
    child = start(MARK)
    assert leftovers.sweep(paths, MINE) == 0
    assert alive(child)
    assert recorded(paths) == [MARK, MINE.mark]
    assert leftovers.left(paths, MINE.mark) == set()


def test_another_boots_life_is_forgotten(
    paths: Paths, dead: process_tree.Identity, start: Start
) -> None:
    record(paths, Life(MARK, dead, "another boot"))
    child = start(MARK)
    assert leftovers.left(paths, None) == set()
    assert leftovers.sweep(paths, MINE) == 0
    assert alive(child)
    assert recorded(paths) == [MINE.mark]


def test_what_is_older_than_the_guard_is_not_its_child(
    paths: Paths, dead: process_tree.Identity, start: Start
) -> None:
    child = start(MARK)
    identity = process_tree.identify(child.pid)
    assert identity is not None
    record(paths, Life(MARK, (dead[0], identity[1] + 1), leftovers._boot()))
    assert leftovers.sweep(paths, MINE) == 0
    assert alive(child)


def test_started_from_what_an_earlier_life_left_it_ends_nothing(
    paths: Paths, dead: process_tree.Identity, start: Start
) -> None:
    """A terminal in OpenCode outlived both, and there Nexus Tray is started again."""
    record(paths, Life(MARK, dead, leftovers._boot()))
    other = start(MARK)
    code = (
        "from nexus_tray import paths; from nexus_tray.system import leftovers; "
        f"home = {str(paths.run.parent)!r}; "
        "print(leftovers.sweep(paths.find({'NEXUS_TRAY_HOME': home}), None))"
    )
    root = str(Path(__file__).parents[2])
    inside = start(MARK, "env", f"PYTHONPATH={root}", sys.executable, "-c", code)
    assert inside.communicate(timeout=20)[0] == b"0\n"
    assert alive(other)
    assert recorded(paths) == [MARK]


def test_a_damaged_record_costs_the_sweep_and_no_start(
    paths: Paths, caplog: pytest.LogCaptureFixture
) -> None:
    ensure_private_dir(paths.run)
    write_atomic(paths.guards_file, b"{")
    assert leftovers.sweep(paths, MINE) == 0
    assert "not known" in caplog.text
    assert recorded(paths) == [MINE.mark]


def test_whose_life_this_is() -> None:
    assert leftovers.own({}) is None
    assert leftovers.own({process_tree.MARK: MARK}) is None
    life = leftovers.own({process_tree.MARK: MARK, guard.PIPE: "3"})
    assert life is not None
    assert life.guard == process_tree.identify(os.getppid())
