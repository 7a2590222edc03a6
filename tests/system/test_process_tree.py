"""Identity, signals and the descendant set, over real processes and both tables."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from types import ModuleType

import pytest

from nexus_tray.system import process_table, process_table_psutil, process_tree


@pytest.fixture(params=[process_table, process_table_psutil], ids=["proc", "psutil"])
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module: ModuleType = request.param
    for name in ("identify", "send"):
        monkeypatch.setattr(process_tree, name, getattr(module, name))
    monkeypatch.setattr(process_tree, "table", module)
    return module


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"], env={process_tree.MARK: "a.b"}) as process:
        yield process
        process.kill()


def test_identity_names_one_process(table: ModuleType, sleeper: subprocess.Popen[bytes]) -> None:
    identity = process_tree.identify(sleeper.pid)
    assert identity == process_tree.identify(sleeper.pid)
    assert identity is not None
    assert process_tree.running(identity)
    rows = table.read()
    parent, session, started, alive = rows[sleeper.pid]
    assert (parent, session, alive) == (os.getpid(), os.getsid(0), True)
    assert started == identity[1]
    assert rows[os.getpid()][2] <= started


def test_a_reused_pid_is_never_signalled(
    table: ModuleType, sleeper: subprocess.Popen[bytes]
) -> None:
    """SECURITY 26: the number lives on with another process; only the start time tells."""
    identity = process_tree.identify(sleeper.pid)
    assert identity is not None
    former = (identity[0], identity[1] - 1)
    assert process_tree.send(former, signal.SIGKILL) is False
    assert process_tree.running(former) is False
    assert process_tree.members(former, "no such mark", known=[former]) == set()
    assert process_tree.end(lambda: process_tree.members(former, "none", [former]), 0.0) == set()
    with pytest.raises(subprocess.TimeoutExpired):
        sleeper.wait(0.3)
    assert process_tree.send(identity, signal.SIGKILL) is True
    assert sleeper.wait(10) == -signal.SIGKILL


def test_the_dead_are_not_running_and_not_signalled(table: ModuleType) -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    zombie = process_tree.identify(process.pid)
    assert zombie is not None
    assert not process_tree.running(zombie)
    assert process_tree.members(zombie, "none") == set()
    process.wait()
    assert process_tree.identify(process.pid) is None
    assert not process_tree.running(zombie)
    assert process_tree.send(zombie, signal.SIGTERM) is False


@pytest.mark.parametrize(
    ("mark", "found"),
    [("a.b", True), ("a", True), ("a.b.c", False), ("b", False), ("a.", False), ("", False)],
)
def test_marks_nest(
    table: ModuleType, sleeper: subprocess.Popen[bytes], mark: str, found: bool
) -> None:
    identity = process_tree.identify(sleeper.pid)
    assert identity is not None
    nobody = (0, identity[1] - 1)
    assert process_tree.members(nobody, mark) == ({identity} if found else set())


def test_what_is_older_than_the_root_cannot_be_below_it(
    table: ModuleType, sleeper: subprocess.Popen[bytes]
) -> None:
    identity = process_tree.identify(sleeper.pid)
    assert identity is not None
    assert process_tree.members((0, identity[1] + 1), "a.b") == set()


SCRIPT = """
import os, subprocess, sys, time
env = {"PATH": os.environ["PATH"]}
subprocess.Popen(["sleep", "600"], env=env)                              # by parent
subprocess.Popen(["sh", "-c", "sleep 600 & exit"], env=env).wait()       # by session
subprocess.Popen(["sh", "-c", "setsid sleep 600 & exit"]).wait()         # by mark
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture
def nothing_stays() -> Iterator[None]:
    """Whatever a test says, its marked processes end."""
    yield
    assert process_tree.end(lambda: process_tree.members((0, 0.0), "test"), 0.0) == set()


@pytest.mark.usefixtures("nothing_stays")
def test_all_three_ways_lead_to_the_set(table: ModuleType) -> None:
    env = {**os.environ, process_tree.MARK: "test.tree"}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], env=env, stdout=subprocess.PIPE, start_new_session=True
    ) as root:
        identity = process_tree.identify(root.pid)
        assert identity is not None
        assert root.stdout is not None
        assert root.stdout.readline() == b"up\n"
        wanted = 4
        deadline = time.monotonic() + 10  # setsid(1) needs a moment to become sleep
        while len(found := process_tree.members(identity, "test.tree")) != wanted:
            assert time.monotonic() < deadline, found
        assert identity in found
        assert (
            process_tree.end(lambda: process_tree.members(identity, "test.tree", found), grace=5.0)
            == set()
        )
        assert not any(map(process_tree.running, found))
        assert root.wait(10) == -signal.SIGTERM


@pytest.mark.usefixtures("nothing_stays")
def test_end_kills_who_does_not_listen_and_finds_who_is_born_meanwhile(table: ModuleType) -> None:
    breeder = "trap '' TERM; echo; while :; do setsid sleep 600 >/dev/null & sleep 0.01; done"
    env = {**os.environ, process_tree.MARK: "test.breed"}
    with subprocess.Popen(
        ["sh", "-c", breeder], env=env, stdout=subprocess.PIPE, start_new_session=True
    ) as root:
        identity = process_tree.identify(root.pid)
        assert identity is not None
        assert root.stdout is not None
        root.stdout.readline()  # it is deaf to TERM from now on
        began = time.monotonic()
        left = process_tree.end(
            lambda: process_tree.members(identity, "test.breed"), grace=0.3, patience=10
        )
        assert left == set()
        assert 0.3 <= time.monotonic() - began < 8
    assert process_tree.members(identity, "test.breed") == set()


def test_children_are_found_by_parents_alone(
    table: ModuleType, sleeper: subprocess.Popen[bytes]
) -> None:
    assert process_tree.identify(sleeper.pid) in process_tree.children(os.getpid())
    assert process_tree.children(sleeper.pid) == set()


def test_fresh_marks_differ_and_stand_below() -> None:
    assert process_tree.new_mark(None) != process_tree.new_mark("")
    assert process_tree.new_mark("above").startswith("above.")
    assert "." not in process_tree.new_mark(None)
