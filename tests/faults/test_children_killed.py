"""SECURITY 15 on the whole program and the real OpenCode: kill -9, and nothing is left.

OpenCode's agent has started what ignores TERM, HUP and INT: below its own shell, in a session of
its own, without our mark in its environment, orphaned, and stopped. The same while the program
starts and while it ends, and to the guard and everybody above it.
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from nexus_tray.model import SessionState
from nexus_tray.system import process_tree
from nexus_tray.system.process_tree import Identity
from tests.e2e.program import Program, Visitor, gone, wait_until
from tests.faults.children import begin, house, said, say, shows
from tests.opencode_lab.provider import Provider

pytestmark = pytest.mark.timeout(240)

DEAF = "trap '' TERM HUP INT; echo $$ >> \"$1/deaf\"; while :; do sleep 0.2; done"
HIDING = {
    "a session of its own": 'setsid sh "$1/deaf.sh" "$1" &',
    "no mark": 'setsid env -i PATH="$PATH" sh "$1/deaf.sh" "$1" &',
    "orphaned": 'setsid env -i PATH="$PATH" sh -c \'sh "$1/deaf.sh" "$1" & exit\' sh "$1" &',
    "below the shell": 'sh "$1/deaf.sh" "$1" &',
}


@pytest.fixture
def program(tmp_path: Path, provider: Provider) -> Iterator[Program]:
    made = house(tmp_path, provider)
    yield made
    made.stop()
    for pid in deaf_ones(made):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def deaf_ones(program: Program) -> list[int]:
    """The pids that the deaf ones have noted, but for those that another has now."""
    file = program.home / "deaf"
    pids = [int(line) for line in file.read_text().split()] if file.exists() else []
    named = str(program.home / "deaf.sh").encode()
    return [pid for pid in pids if named in command_of(pid)]


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def breed(program: Program, visitor: Visitor) -> list[int]:
    """Have the agent start one of each; their pids."""
    (program.home / "deaf.sh").write_text(DEAF)
    script = program.home / "breed.sh"
    script.write_text("\n".join([*HIDING.values(), "sleep 600"]))
    session = begin(visitor, f"RUNTOOL: sh {script} {program.home}")
    waiting = program.wait_for(shows(session, SessionState.WAITING), 30, "a permission")
    assert waiting.activity is not None
    visitor.ask("POST", f"/permission/{waiting.activity.questions[0].id}/reply", {"reply": "once"})
    found = wait_until(
        lambda: pids if len(pids := deaf_ones(program)) == len(HIDING) else [], 30, "all of them"
    )
    os.kill(found[0], signal.SIGSTOP)
    return found


def ports_of(pid: int) -> set[int]:
    connections = psutil.Process(pid).net_connections(kind="tcp")
    return {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}


def identities(pids: list[int]) -> set[Identity]:
    found = {process_tree.identify(pid) for pid in pids}
    assert None not in found
    return {each for each in found if each is not None}


def survivors(known: set[Identity]) -> set[Identity]:
    return {each for each in known if process_tree.running(each)}


def test_kill_9_leaves_nothing_frees_the_ports_and_a_new_start_works(program: Program) -> None:
    program.start()
    program.wait_running("opencode", "gateway", seconds=90)
    visitor = Visitor(program)
    deaf = breed(program, visitor)
    opencode, victim = program.pid_of("opencode"), program.program_pid()
    children = psutil.Process(victim).children(recursive=True)
    known = identities([victim, opencode, *deaf, *(child.pid for child in children)])
    ports = ports_of(opencode) | ports_of(victim)
    api = int(program.paths.api_file.read_text().partition("127.0.0.1:")[2].partition('"')[0])
    assert len(ports) >= 2

    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: not survivors(known), 5, "nothing is left")
    took = time.monotonic() - began
    for port in ports - {api}:  # the guard keeps that one, so that nobody else gets it
        with contextlib.closing(socket.create_server(("127.0.0.1", port))):
            pass
    print(f"nothing left after {took:.2f} s")

    wait_until(lambda: program.cli("status").returncode == 0, 20, "a new one")
    program.wait_running("opencode", "gateway", seconds=90)
    visitor = Visitor(program)
    session = begin(visitor, "hello again")
    wait_until(lambda: "hello again" in said(visitor, session), 30, "an answer")
    assert not survivors(known)


@pytest.mark.long
@pytest.mark.parametrize("seconds", [0.05, 0.3, 0.8, 1.5, 2.5])
def test_kill_9_at_any_moment_of_a_start_leaves_nothing(program: Program, seconds: float) -> None:
    program.start()
    known: set[Identity] = set()
    end = time.monotonic() + seconds  # a moment, not a condition: that is what is tested
    while time.monotonic() < end:
        with contextlib.suppress(psutil.NoSuchProcess):
            known |= {
                found
                for child in psutil.Process(program.program_pid()).children(recursive=True)
                if (found := process_tree.identify(child.pid)) is not None
            }
    os.kill(program.program_pid(), signal.SIGKILL)
    wait_until(lambda: not survivors(known), 5, "nothing of that start is left")
    # told to end before it has seen that death, the guard passes it on as the program's own end
    assert program.stop() in (0, 128 + signal.SIGKILL)


@pytest.mark.long
def test_kill_9_while_it_ends_leaves_nothing(program: Program) -> None:
    program.start()
    program.wait_running("opencode", seconds=90)
    deaf = breed(program, Visitor(program))
    tree, known = program.tree(), identities(deaf)
    victim = program.program_pid()
    assert program.popen is not None
    program.popen.send_signal(signal.SIGTERM)
    time.sleep(0.1)  # in the middle of its end, which takes longer with such children
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: not survivors(known) and gone(tree), 10, "all of it")


@pytest.mark.long  # the short form, without what hides: tests/e2e/test_leftovers.py
def test_guard_and_program_killed_leave_what_the_next_start_ends(program: Program) -> None:
    program.start()
    program.wait_running("opencode", "gateway", seconds=90)
    visitor = Visitor(program)
    session = begin(visitor, "say hello")
    wait_until(lambda: "Hello" in said(visitor, session), 30, "an answer")
    deaf = breed(program, visitor)
    # without the mark and without parents nobody that lives can tell whose it was
    hidden = {pid for pid in deaf if process_tree.MARK not in psutil.Process(pid).environ()}
    assert len(hidden) == 2
    known = identities([pid for pid in deaf if pid not in hidden] + [program.pid_of("opencode")])
    assert program.popen is not None
    below = program.program_pid()
    for number in (signal.SIGSTOP, signal.SIGKILL):  # so that neither sees the other die
        for pid in (program.popen.pid, below):
            os.kill(pid, number)
    program.popen.wait(10)
    program.start()
    wait_until(lambda: not survivors(known), 15, "ended")
    program.wait_running("opencode", "gateway", seconds=90)
    visitor = Visitor(program)
    say(visitor, session, "hello again")
    wait_until(lambda: "hello again" in said(visitor, session), 30, "the same conversation")
