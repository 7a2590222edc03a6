"""A conversation is not lost: the program's own end leaves its sessions interrupted, not idle.

The whole program and the real OpenCode. That one tap goes on is
tests/gateway/test_sessions_opencode.py; that a phone's page replays what it missed is
tests/gateway/test_bridge_browser.py.
"""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from nexus_tray.model import SessionState
from tests.e2e.program import Program, Visitor, wait_until
from tests.faults.children import begin, house, said, say, shows, state_of
from tests.opencode_lab.provider import Provider

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def program(tmp_path: Path, provider: Provider) -> Iterator[Program]:
    made = house(tmp_path, provider)
    yield made
    made.stop()


def quit_and_start(program: Program) -> None:
    assert program.stop() == 0
    program.start()


def kill_the_program(program: Program) -> None:
    victim = psutil.Process(program.program_pid())
    victim.kill()
    wait_until(lambda: not victim.is_running(), 10, "its end")
    wait_until(lambda: program.cli("status").returncode == 0, 20, "a new one")


def kill_program_and_guard(program: Program) -> None:
    """As a power cut does; what is left of OpenCode is ended by the next start."""
    assert program.popen is not None
    for pid in (program.popen.pid, program.program_pid()):
        os.kill(pid, signal.SIGSTOP)
    for pid in (program.program_pid(), program.popen.pid):
        os.kill(pid, signal.SIGKILL)
    program.popen.wait(10)
    program.start()


ENDS: dict[str, Callable[[Program], None]] = {
    "quit": quit_and_start,
    "program killed": kill_the_program,
    "program and guard killed": kill_program_and_guard,
}


def ready(program: Program) -> Visitor:
    program.wait_running("opencode", "gateway", seconds=90)
    return Visitor(program)


def answered(program: Program, visitor: Visitor, session: str, text: str) -> None:
    """The agent has said this there, and works no more."""
    wait_until(lambda: text in said(visitor, session), 30, f"“{text}”")
    program.wait_for(shows(session, SessionState.IDLE), 30, f"after “{text}”")


def test_a_kill_of_the_program_is_said_of_the_turn_that_it_broke_off(program: Program) -> None:
    program.start()
    visitor = ready(program)
    session = begin(visitor, "SLOW")
    program.wait_for(shows(session, SessionState.WORKING), 30, "at work")
    kill_the_program(program)
    program.wait_for(shows(session, SessionState.INTERRUPTED), 60, "interrupted")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_whatever_ends_the_program_what_it_broke_off_is_said_after_the_next_start(
    program: Program,
) -> None:
    program.start()
    visitor = ready(program)
    rested = begin(visitor, "say hello")
    answered(program, visitor, rested, "Hello from the lab")
    for way, end in ENDS.items():
        session = begin(visitor, "SLOW")
        program.wait_for(shows(session, SessionState.WORKING), 30, f"{way}: at work")
        end(program)
        visitor = ready(program)
        seen = program.wait_for(shows(session, SessionState.INTERRUPTED), 30, way)
        assert state_of(seen, rested) is SessionState.IDLE, way
        say(visitor, session, "hello again")
        answered(program, visitor, session, "hello again")
    quit_and_start(program)
    program.wait_running("opencode", seconds=90)
    seen = program.wait_for(lambda s: state_of(s, rested) is not None, 30, "the sessions")
    assert seen.activity is not None
    assert {one.state for one in seen.activity.sessions} == {SessionState.IDLE}
