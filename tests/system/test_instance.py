"""One instance: the lock is the truth, and dies with its holder. Real processes."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_tray.model import Problem
from nexus_tray.paths import Paths
from nexus_tray.system import instance

HOLD = """
import subprocess, sys, time
from nexus_tray.paths import find
from nexus_tray.system import instance
held = instance.take(find({"NEXUS_TRAY_HOME": sys.argv[1]}))
child = subprocess.Popen(["sleep", "600"])  # must not inherit the lock
print(child.pid, flush=True)
time.sleep(600)
"""


def refused(paths: Paths) -> str:
    with pytest.raises(Problem) as caught:
        instance.take(paths)
    return caught.value.reason.code


def test_the_second_is_refused_until_the_first_lets_go(paths: Paths) -> None:
    first = instance.take(paths)
    assert refused(paths) == "already-running"
    first.release()
    first.release()
    instance.take(paths).release()


def test_the_lock_file_and_its_folder_are_private(paths: Paths) -> None:
    held = instance.take(paths)
    assert stat.S_IMODE(paths.lock.stat().st_mode) == 0o600
    assert stat.S_IMODE(paths.run.stat().st_mode) == 0o700
    held.release()


def test_two_homes_do_not_meet(paths: Paths, tmp_path: Path) -> None:
    other = Paths(tmp_path, tmp_path, tmp_path / "other", tmp_path)
    first, second = instance.take(paths), instance.take(other)
    first.release()
    second.release()


def test_a_killed_holder_leaves_a_file_and_no_lock(paths: Paths) -> None:
    """SECURITY 26. Its child lives on and must not keep the lock."""
    home = paths.run.parent
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        assert refused(paths) == "already-running"
        holder.kill()
    assert paths.lock.exists()
    instance.take(paths).release()
    os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("content", [b"", b"12345\n", b"\0" * 5000])
def test_what_stands_in_the_file_does_not_matter(paths: Paths, content: bytes) -> None:
    paths.run.mkdir(parents=True, mode=0o700)
    paths.lock.write_bytes(content)
    paths.lock.chmod(0o600)
    instance.take(paths).release()


def test_a_planted_lock_is_refused(paths: Paths, tmp_path: Path) -> None:
    """SECURITY 35."""
    paths.run.mkdir(parents=True, mode=0o700)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    paths.lock.symlink_to(victim)
    assert refused(paths) == "file-link"
    paths.lock.unlink()
    paths.lock.touch()
    paths.lock.chmod(0o666)
    assert refused(paths) == "file-open-to-others"
    assert victim.read_text() == "precious"


def test_where_nothing_can_be_locked_none_starts(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def no_locks(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert refused(paths) == "no-locks"
