"""The guard's listening socket: it outlives a killed program, and only programs have it."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from nexus_tray.system import guard, process_tree

ROOT = Path(__file__).parents[2]
RUN = "import sys; from nexus_tray.system import guard; sys.exit(guard.run(sys.argv[1:]))"

PROGRAM = """
import os, socket, subprocess, sys
from nexus_tray.system import guard
descriptor, life = guard.listener()
assert guard.LISTENER not in os.environ and guard.listener() is None
# a careless child: everything inheritable goes to it
child = subprocess.Popen(["sleep", "600"], close_fds=False)
server = socket.socket(fileno=descriptor)
port = server.getsockname()[1]
with open(sys.argv[1], "a") as notes:
    notes.write(f"{os.getpid()} {child.pid} {port} {life}\\n")
while True:
    with server.accept()[0] as caller:
        caller.sendall(b"%d" % os.getpid())
"""


class Guarded:
    """A guard in its own process; each start of the program below it is a line of notes."""

    def __init__(self, folder: Path) -> None:
        self.notes = folder / "notes"
        script = folder / "program.py"
        script.write_text(PROGRAM)
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, sys.executable, str(script), str(self.notes)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.DEVNULL,
        )

    def start(self, times: int) -> tuple[int, int, int, str]:
        """Of that start: the program's pid, its child's, the port, the name of the life."""
        end = time.monotonic() + 20
        while len(said := self._said()) < times:
            assert time.monotonic() < end, f"no start number {times}"
            time.sleep(0.01)
        pid, child, port, life = said[times - 1].split()
        return int(pid), int(child), int(port), life

    def _said(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    made = Guarded(tmp_path)
    yield made
    below = process_tree.children(made.process.pid)
    made.process.kill()
    made.process.wait()
    assert process_tree.end(lambda: {e for e in below if process_tree.running(e)}, 0.0) == set()


def call(port: int, seconds: float = 20.0) -> int:
    """The pid of the program that answers there."""
    with socket.create_connection(("127.0.0.1", port), seconds) as caller:
        return int(caller.recv(64))


def rob(host: str, port: int, option: int | None) -> None:
    with socket.socket() as robber:
        if option is not None:
            robber.setsockopt(socket.SOL_SOCKET, option, 1)
        robber.bind((host, port))
        robber.listen()


def sockets_of(pid: int) -> set[str]:
    open_ones = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
    return {each for each in open_ones if each.startswith("socket:")}


def test_who_calls_while_the_program_is_down_is_answered_by_the_next(guarded: Guarded) -> None:
    first, _child, port, life = guarded.start(1)
    assert call(port) == first
    program = psutil.Process(first)
    program.kill()
    program.wait(10)
    answers: list[int] = []
    caller = threading.Thread(target=lambda: answers.append(call(port)))
    caller.start()
    # Meanwhile nobody else can have the port, whatever they ask the system for.
    for option in (None, socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        for host in ("127.0.0.1", "0.0.0.0"):
            with pytest.raises(OSError, match="in use"):
                rob(host, port, option)
    second, _child, same_port, same_life = guarded.start(2)
    assert (same_port, same_life) == (port, life)
    caller.join(20)
    assert answers == [second] != [first]


def test_the_programs_children_do_not_have_the_socket(guarded: Guarded) -> None:
    program, child, _port, _life = guarded.start(1)
    assert sockets_of(program)
    assert sockets_of(program) <= sockets_of(guarded.process.pid)
    assert not sockets_of(child) & sockets_of(program)


def test_with_the_guard_the_socket_is_gone(guarded: Guarded) -> None:
    program, _child, port, _life = guarded.start(1)
    guarded.process.terminate()  # the program knows no signals: it ends at once
    assert guarded.process.wait(20) == 128 + signal.SIGTERM
    assert not psutil.pid_exists(program)
    socket.create_server(("127.0.0.1", port)).close()


def test_another_guard_is_another_life(tmp_path: Path) -> None:
    lives = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made = Guarded(tmp_path / name)
        lives.add(made.start(1)[3])
        made.process.terminate()
        made.process.wait(20)
    assert len(lives) == 2


@pytest.mark.parametrize("value", ["", ":", "7", "x:life", "-1:life", "1²:life", "99999:life"])
def test_what_the_guard_did_not_write_is_no_socket(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(guard.LISTENER, value)
    assert guard.listener() is None
    assert guard.LISTENER not in os.environ


def test_a_descriptor_that_is_no_socket_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "file").open("w") as file:
        monkeypatch.setenv(guard.LISTENER, f"{file.fileno()}:life")
        assert guard.listener() is None
