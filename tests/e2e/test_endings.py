"""However the program ends, it ends whole."""

import os
import signal

import psutil
import pytest

from tests.e2e.conftest import PASSWORD
from tests.e2e.program import Program, gone, wait_until

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def running(program: Program) -> Program:
    """The program with everything up."""
    program.start()
    assert program.cli("password", "set", given=PASSWORD + "\n").returncode == 0
    program.wait_running("opencode", "gateway", "quick")
    return program


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_everything_in_order(running: Program, number: int) -> None:
    tree = running.tree()
    assert len(tree) >= 4  # guard, program, OpenCode, cloudflared
    assert running.stop(number, seconds=15) == 0
    assert gone(tree)
    assert not running.paths.api_file.exists()
    assert not running.paths.tunnel_socket.exists()


def test_quit_ends_everything(running: Program) -> None:
    tree = running.tree()
    done = running.cli("quit")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: gone(tree), 15, "the end")
    assert running.cli("status").returncode == 3


def test_the_program_killed_is_started_again(running: Program) -> None:
    before = running.program_pid()
    children = psutil.Process(before).children(recursive=True)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: gone(children), 5, "its children's end")
    wait_until(lambda: running.cli("status").returncode == 0, 20, "a new one")
    assert running.program_pid() != before
    running.wait_running("opencode", "gateway", "quick")


def test_the_guard_killed_ends_the_program_in_order(running: Program) -> None:
    tree = running.tree()
    tree[0].send_signal(signal.SIGKILL)
    wait_until(lambda: gone(tree[1:]), 15, "the end")
    assert not running.paths.api_file.exists()
    again = running.cli("status")
    assert again.returncode == 3


def test_a_second_instance_is_refused(running: Program) -> None:
    second = Program(running.home, running.directory, running.environment)
    second.popen = None
    done = second.cli("run", "--headless")
    assert done.returncode == 69
    assert "already running" in done.stderr
    assert running.cli("status").returncode == 0
