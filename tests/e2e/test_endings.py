"""However the program ends, it ends whole."""

import os
import signal

import psutil
import pytest

from tests.e2e.conftest import PASSWORD
from tests.e2e.program import Program, Visitor, gone, wait_until

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


STUBBORN = "setsid sh -c 'trap \"\" TERM HUP INT; while :; do sleep 1; done' & sleep 600"


def run_stubborn_shells(running: Program) -> list[psutil.Process]:
    """Have the agent start what ignores TERM, in a session of its own; all of OpenCode's tree."""
    visitor = Visitor(running)
    session = visitor.ask("POST", "/session", {"title": "stubborn"})["id"]
    parts = [{"type": "text", "text": f"RUNTOOL: {STUBBORN}"}]
    visitor.ask("POST", f"/session/{session}/prompt_async", {"parts": parts})
    waiting = running.wait_for(lambda s: s.activity and s.activity.questions, 20, "a permission")
    assert waiting.activity is not None
    question = waiting.activity.questions[0].id
    visitor.ask("POST", f"/permission/{question}/reply", {"reply": "once"})
    opencode = psutil.Process(running.pid_of("opencode"))

    def started() -> list[psutil.Process]:
        tree = opencode.children(recursive=True)
        return tree if sum(p.name() == "sleep" for p in tree) == 2 else []

    return [opencode, *wait_until(started, 20, "the shells")]


def test_stubborn_grandchildren_do_not_outlive_a_killed_program(running: Program) -> None:
    """SECURITY.md 15, with the real OpenCode and its tool shells."""
    tree = run_stubborn_shells(running)
    os.kill(running.program_pid(), signal.SIGKILL)
    wait_until(lambda: gone(tree), 5, "the end of all of them")
    wait_until(lambda: running.cli("status").returncode == 0, 20, "a new start")


def test_stop_means_that_nothing_is_left(running: Program) -> None:
    """SECURITY.md 16."""
    tree = run_stubborn_shells(running)
    assert running.cli("stop", "opencode").returncode == 0
    wait_until(lambda: gone(tree), 12, "the end of all of them")


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
