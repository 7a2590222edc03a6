"""Guard and program killed both at once: what they left is ended by the next start."""

import os
import signal

import psutil
import pytest

from nexus_tray.system import process_tree
from tests.e2e.conftest import PASSWORD
from tests.e2e.program import Program, gone, wait_until

pytestmark = pytest.mark.timeout(240)


def test_the_next_start_ends_what_was_left(program: Program) -> None:
    program.start()
    program.cli("password", "set", given=f"{PASSWORD}\n")
    program.wait_running("opencode", "quick", seconds=90)
    guard, below = program.tree()[0].pid, program.program_pid()
    children = [psutil.Process(program.pid_of(name)) for name in ("opencode", "quick")]
    mark = children[0].environ()[process_tree.MARK].rpartition(".")[0]
    with psutil.Popen(["sleep", "600"], env={process_tree.MARK: f"{mark}0"}) as lookalike:
        for number in (signal.SIGSTOP, signal.SIGKILL):  # so that neither sees the other die
            for pid in (guard, below):
                os.kill(pid, number)
        assert program.popen is not None
        program.popen.wait(10)
        assert all(child.is_running() for child in children)
        program.start()
        wait_until(lambda: gone(children), 10, "what was left is gone")
        program.wait_running("opencode", "quick", seconds=90)
        assert lookalike.is_running()
        assert lookalike.status() != psutil.STATUS_ZOMBIE
        lookalike.kill()
    assert "An earlier run left processes" in program.cli("logs", "--source", "nexus-tray").stdout
