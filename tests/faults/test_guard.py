"""What survives the death of the program, of the guard, or of both: nothing. Real signals."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nexus_tray.system import guard, process_tree
from nexus_tray.system.guard_posix import SAME_MOMENT
from tests.faults.program import lines

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("program.py")
RUN = "import sys; from nexus_tray.system import guard; sys.exit(guard.run(sys.argv[1:]))"


def until(condition: Callable[[], bool], what: str, patience: float = 20.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < patience, f"not within {patience:.0f} s: {what}"
        time.sleep(0.01)
    return time.monotonic() - began


class Guarded:
    """A guard in its own process, and the program below it."""

    def __init__(self, folder: Path, behaviour: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, sys.executable, str(PROGRAM), str(folder), behaviour],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )

    def notes(self) -> list[str]:
        return lines(self.folder / "notes")

    def starts(self) -> list[int]:
        return [int(note.split()[1]) for note in self.notes() if note.startswith("started ")]

    def left(self) -> set[process_tree.Identity]:
        """The deaf grandchildren and their parent, of the latest life."""
        until(lambda: any(note.startswith("left ") for note in self.notes()), "they are up")
        note = [note for note in self.notes() if note.startswith("left ")][-1]
        found = {process_tree.identify(int(pid)) for pid in note.split()[1:]}
        assert len(found) >= 4
        return {each for each in found if each is not None}

    def started(self, times: int = 1) -> int:
        until(lambda: len(self.starts()) >= times, f"start number {times}")
        return self.starts()[times - 1]

    def ended(self, seconds: float = 20.0) -> tuple[int, str]:
        _out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, err


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[str], Guarded]]:
    begun: list[Guarded] = []

    def start(behaviour: str) -> Guarded:
        begun.append(Guarded(tmp_path, behaviour))
        return begun[-1]

    yield start
    for each in begun:
        each.process.kill()
        each.process.wait()
        assert each.process.stderr is not None
        each.process.stderr.close()
    assert process_tree.end(lambda: named(tmp_path), grace=0.0) == set()


Run = Callable[[str], Guarded]


def named(folder: Path) -> set[process_tree.Identity]:
    """What runs with this test's folder on its command line: a failed test leaves nothing."""
    found = set()
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(folder).encode() + b"\0" in command.read_bytes():
                found.add(process_tree.identify(int(command.parent.name)))
    return {each for each in found if each is not None}


def alive(found: set[process_tree.Identity]) -> set[process_tree.Identity]:
    return {each for each in found if process_tree.running(each)}


def test_kill_9_of_the_program_leaves_nothing_and_it_starts_again(run: Run) -> None:
    """SECURITY 15: TERM-ignoring grandchildren in sessions of their own, 0 left within 5 s."""
    guarded = run("leave")
    first = guarded.left()
    assert len(alive(first)) == 4
    port = int((guarded.folder / "port").read_text())
    os.kill(guarded.started(), signal.SIGKILL)
    assert until(lambda: not alive(first), "nothing is left", 5.0) < 5.0
    socket.create_server(("127.0.0.1", port)).close()
    guarded.started(2)
    until(lambda: sum(note.startswith("left ") for note in guarded.notes()) == 2, "it works again")
    second = guarded.left()
    guarded.process.terminate()
    code, messages = guarded.ended()
    assert code == 0
    assert "was ended by signal 9. It starts again in 1 s." in messages
    assert not alive(second)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_passed_on_once(run: Run, number: signal.Signals) -> None:
    guarded = run("wait")
    guarded.started()
    guarded.process.send_signal(number)
    assert guarded.ended() == (0, "")
    assert guarded.notes()[-2:] == [f"signal {number.value}", "ended in order"]


def test_an_orderly_stop_leaves_nothing(run: Run) -> None:
    guarded = run("leave")
    left = guarded.left()
    guarded.process.terminate()
    assert guarded.ended()[0] == 0
    assert not alive(left)


def test_a_normal_end_leaves_nothing_either(run: Run) -> None:
    guarded = run("leave and exit")
    left = guarded.left()
    assert guarded.ended()[0] == 0
    assert not alive(left)
    assert len(guarded.starts()) == 1


def test_the_second_signal_kills_at_once(run: Run) -> None:
    guarded = run("deaf")
    guarded.started()
    guarded.process.terminate()
    until(lambda: guarded.notes()[-1] == "signal 15", "the first arrived")
    time.sleep(SAME_MOMENT + 0.1)  # sooner, it would count as one with the first
    began = time.monotonic()
    guarded.process.terminate()
    assert guarded.ended()[0] == 128 + signal.SIGKILL
    assert time.monotonic() - began < 5
    assert guarded.notes()[-1] == "signal 15"


def test_term_and_hangup_together_are_one_request(run: Run) -> None:
    """Log-out sends both; the program must have its time to stop in order."""
    guarded = run("deaf")
    pid = guarded.started()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
        guarded.process.send_signal(number)
    until(lambda: guarded.notes()[-1] == "signal 15", "it arrived")
    time.sleep(SAME_MOMENT + 0.1)
    guarded.process.send_signal(signal.SIGHUP)  # not even later: a closing terminal is no haste
    with pytest.raises(subprocess.TimeoutExpired):
        guarded.process.wait(0.5)
    os.kill(pid, signal.SIGKILL)
    assert guarded.ended()[0] == 128 + signal.SIGKILL
    assert guarded.notes()[1:] == ["signal 15"]


def test_ctrl_c_in_a_terminal_reaches_the_program_once(run: Run) -> None:
    """The program has a process group of its own, so the terminal's SIGINT is the guard's."""
    guarded = run("wait")
    pid = guarded.started()
    assert os.getpgid(pid) == pid
    assert os.getsid(pid) == os.getsid(guarded.process.pid)


def test_kill_9_of_the_guard_makes_the_program_stop_in_order(run: Run) -> None:
    guarded = run("leave")
    pid, left = guarded.started(), guarded.left()
    program = process_tree.identify(pid)
    assert program is not None
    guarded.process.kill()
    until(lambda: not process_tree.running(program), "the program ended", 10.0)
    assert guarded.notes()[-2:] == ["guard gone", "ended in order"]
    hidden = alive(left)
    for each in hidden:  # clean up before judging
        process_tree.send(each, signal.SIGKILL)
    # the one that was orphaned, unmarked, before: only a living guard could know it
    assert len(hidden) <= 1


def test_the_program_is_told_of_its_guard_and_children_are_not(run: Run) -> None:
    guarded = run("wait")
    guarded.started()
    assert guarded.notes()[0].split()[2:] == ["True", "False"]


@pytest.mark.parametrize("code", guard.FINAL)
def test_an_end_that_is_final_is_passed_on(run: Run, code: int) -> None:
    guarded = run(f"exit {code}")
    assert guarded.ended() == (code, "")
    assert len(guarded.starts()) == 1


def test_a_program_may_ask_to_be_started_again_but_not_for_ever(run: Run) -> None:
    guarded = run(f"exit {guard.RESTART}")
    code, messages = guarded.ended()
    assert code == guard.GAVE_UP
    assert len(guarded.starts()) == guard.MOST_STARTS
    assert "6 times in 10 minutes and is not started again" in messages


def test_a_signal_during_back_off_ends_at_once(run: Run) -> None:
    guarded = run("exit 1")
    assert guarded.process.stderr is not None
    said = [guarded.process.stderr.readline() for _ in range(3)]
    assert [line.split(". ")[1].strip() for line in said] == [
        f"It starts again in {seconds} s." for seconds in (1, 2, 4)
    ]
    began = time.monotonic()
    guarded.process.terminate()
    assert guarded.ended() == (0, "")
    assert time.monotonic() - began < 3


def test_the_guard_is_small(run: Run) -> None:
    """It lives as long as the product. Bare Python is 3 MB of private memory by itself."""
    guarded = run("wait")
    guarded.started()
    rollup = Path(f"/proc/{guarded.process.pid}/smaps_rollup").read_text()
    private = sum(int(line.split()[1]) for line in rollup.splitlines() if "Private_" in line)
    assert private < 6 * 1024, f"{private} kB"


def test_a_second_instance_ends_and_touches_nothing(run: Run) -> None:
    """SECURITY 26. And after a kill -9 the lock is free for the new start."""
    first = run("alone")
    until(lambda: first.notes()[-1:] == ["alone"], "it is the only one")
    pid = first.started()
    second = run("alone")
    assert second.ended() == (guard.ALREADY_RUNNING, "")
    assert second.notes()[-1] == "refused already-running"
    assert first.process.poll() is None
    assert process_tree.identify(pid) is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: first.notes()[-1:] == ["alone"], "the new start is the only one")


def test_a_program_that_is_not_there_is_an_error_and_no_loop() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN, "/nowhere/at/all"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert "FileNotFoundError" in done.stderr
