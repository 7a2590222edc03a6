"""SECURITY 16: stop means that nothing is left, and nobody can hold it up by holding a pipe."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nexus_tray.services import process
from nexus_tray.services.process import ChildProcess
from nexus_tray.system import process_tree

# Double-forked, in a session of its own, without the mark: from the moment its parents are
# gone nothing tells whose it was. It still holds both pipes.
ESCAPED = """
setsid env -i PATH="$PATH" sh -c 'sh -c "trap \\"\\" TERM HUP; echo \\$\\$; sleep 600" & exit' &
wait
"""

HOLDER = "setsid sh -c 'trap \"\" TERM HUP INT; echo $$; while :; do sleep 0.05; done' &"


class Told:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.codes: list[int | None] = []
        self.over = threading.Event()

    def line(self, _stream: str, text: str) -> None:
        self.lines.append(text)

    def exit(self, code: int | None) -> None:
        self.codes.append(code)
        self.over.set()

    def pids(self, count: int) -> list[int]:
        deadline = time.monotonic() + 10
        while len(self.lines) < count:
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.01)
        return [int(line) for line in self.lines[:count]]


def start(told: Told, script: str, folder: Path) -> ChildProcess:
    env = {"PATH": os.environ["PATH"]}
    return ChildProcess(
        ["/bin/sh", "-c", script], env, folder, on_line=told.line, on_exit=told.exit
    )


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def stray() -> Iterator[list[int]]:
    """Pids of what escapes on purpose, ended after the test."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        os.killpg(os.getsid(pid), signal.SIGKILL)


ENDS: dict[str, Callable[[ChildProcess], None]] = {
    "stop": lambda child: child.stop(5),
    "stop at once": lambda child: child.stop(0),
    "kill": lambda child: child.kill(),
    "crash": lambda child: os.kill(child.pid, signal.SIGKILL),
}


@pytest.mark.parametrize("way", ENDS)
def test_a_deaf_grandchild_with_the_pipe_ends_too(told: Told, tmp_path: Path, way: str) -> None:
    child = start(told, HOLDER * 3 + " while :; do sleep 0.05; done", tmp_path)
    holders = [process_tree.identify(pid) for pid in told.pids(3)]
    began = time.monotonic()
    ENDS[way](child)
    assert told.over.wait(10)
    assert time.monotonic() - began < 5
    assert not any(process_tree.running(each) for each in holders if each is not None)
    assert child.processes() == set()


# Below a polite shell that TERM ends: in a session of its own, deaf, and without the mark. Once
# that shell is gone, only who has seen it before knows whose it is.
HIDDEN = """
setsid sh -c 'setsid env -i PATH="$PATH" sh -c "trap \\"\\" TERM HUP; echo \\$\\$;
while :; do sleep 0.05; done" & wait' &
while :; do sleep 0.05; done
"""


@pytest.mark.parametrize("way", ENDS)
def test_who_hides_below_a_polite_one_ends_too(told: Told, tmp_path: Path, way: str) -> None:
    child = start(told, HIDDEN, tmp_path)
    hidden = process_tree.identify(told.pids(1)[0])
    assert hidden is not None
    ENDS[way](child)
    assert told.over.wait(10)
    left = process_tree.running(hidden)
    process_tree.send(hidden, signal.SIGKILL)  # a failed test leaves nothing
    assert not left


@pytest.mark.parametrize("way", ENDS)
def test_a_stranger_with_the_pipe_cannot_hold_the_end_up(
    told: Told, tmp_path: Path, stray: list[int], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "DRAIN", 0.5)
    child = start(told, ESCAPED + "while :; do sleep 0.05; done", tmp_path)
    stray += told.pids(1)
    began = time.monotonic()
    ENDS[way](child)
    assert told.over.wait(15), "the pipe is still open, and the end is told"
    assert time.monotonic() - began < 2 * process.DRAIN + 5
    assert len(told.codes) == 1


def test_a_frozen_consumer_cannot_hold_the_end_up(tmp_path: Path) -> None:
    told, frozen = Told(), threading.Event()

    def freeze(_stream: str, _text: str) -> None:
        frozen.wait()

    child = ChildProcess(
        ["/bin/sh", "-c", "while :; do echo hello; done"],
        {"PATH": os.environ["PATH"]},
        tmp_path,
        on_line=freeze,
        on_exit=told.exit,
    )
    child.stop(1)
    assert told.over.wait(15)
    assert told.codes == [-signal.SIGTERM]
    frozen.set()


def test_a_tree_that_grows_while_it_is_ended(told: Told, tmp_path: Path) -> None:
    breeder = "trap '' TERM; echo $$; while :; do setsid sleep 600 & sleep 0.01; done"
    child = start(told, f'sh -c "{breeder}" & wait', tmp_path)
    told.pids(1)
    child.stop(2)
    assert told.over.wait(15)
    assert child.processes() == set()


def test_stop_does_not_touch_a_process_that_only_looks_alike(told: Told, tmp_path: Path) -> None:
    """The same program, another run: its mark differs, and it is left alone."""
    other = Told()
    first, second = start(told, "sleep 600", tmp_path), start(other, "sleep 600", tmp_path)
    with subprocess.Popen(["sleep", "600"]) as bystander:
        first.stop(5)
        assert told.over.wait(10)
        assert second.processes()
        assert bystander.poll() is None
        bystander.kill()
    second.kill()
    assert other.over.wait(10)
