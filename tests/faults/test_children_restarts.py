"""SECURITY 28 on the whole program: after a thousand restarts it holds no more than before.

OpenCode (its stand-in, which is up at once), the gateway and a quick tunnel over the lab, each
restarted in every round; every tenth OpenCode is killed instead. Descriptors and threads of the
program stay within two of the first rounds; its memory is told.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from nexus_tray.api.client import HttpBackend, connect
from nexus_tray.commands import RestartService
from nexus_tray.model import Service, ServiceState
from tests.cloudflare.lab import STANDIN, Lab
from tests.e2e.conftest import PASSWORD
from tests.e2e.program import Program, wait_until
from tests.opencode_lab import standin

NAMES = ("opencode", "gateway", "quick")
MEGABYTE = 1024 * 1024
WARM = 5
"""Rounds before the first count: what is made once, at the first use, is no leak."""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path / "lab")
    yield made
    made.close()


@pytest.fixture
def program(tmp_path: Path, lab: Lab) -> Iterator[Program]:
    project = tmp_path / "project"
    project.mkdir()
    made = Program(tmp_path / "home", project, {"NEXUS_TRAY_CLOUDFLARED_LAB": str(lab.file)})
    made.configure(
        {
            "opencode": {"program": str(standin.executable(tmp_path / "standin"))},
            "cloudflared": {"program": str(STANDIN)},
        }
    )
    yield made
    made.stop()


class Rounds:
    """Restarts everything, again and again, and counts what the program holds."""

    def __init__(self, program: Program) -> None:
        program.start()
        assert program.cli("password", "set", given=PASSWORD + "\n").returncode == 0
        program.wait_running(*NAMES, seconds=60)
        self.backend: HttpBackend = connect(program.paths)
        self.process = psutil.Process(program.program_pid())

    def service(self, name: str) -> Service:
        found = self.backend.snapshot().service(name)
        assert found is not None
        return found

    def round(self, number: int) -> None:
        before = {name: self.service(name) for name in NAMES}
        opencode = before["opencode"].facts.pid
        assert opencode is not None
        for name in NAMES:
            if name == "opencode" and number % 10 == 9:
                os.kill(opencode, signal.SIGKILL)
            else:
                assert self.backend.submit(RestartService(name=name)).ok
        wait_until(lambda: all(self._anew(before[name]) for name in NAMES), 60, f"round {number}")

    def _anew(self, before: Service) -> bool:
        now = self.service(before.name)
        other = now.facts.pid != before.facts.pid or now.facts.pid is None
        return now.state is ServiceState.RUNNING and now.since_at > before.since_at and other

    def held(self) -> tuple[int, int]:
        """Descriptors and threads, once what is on its way out is gone: the least of a moment."""
        seen = []
        for _ in range(20):
            seen.append((self.process.num_fds(), self.process.num_threads()))
            threading.Event().wait(0.1)
        return min(fds for fds, _ in seen), min(threads for _, threads in seen)


def check(program: Program, rounds: int) -> None:
    house = Rounds(program)
    for number in range(WARM):
        house.round(number)
    before, memory, began = house.held(), house.process.memory_info().rss, time.monotonic()
    for number in range(rounds):
        house.round(number)
    after = house.held()
    growth = (house.process.memory_info().rss - memory) / MEGABYTE
    print(
        f"{3 * rounds} restarts in {time.monotonic() - began:.0f} s: descriptors {before[0]} then"
        f" {after[0]}, threads {before[1]} then {after[1]}, memory {growth:+.1f} MiB"
    )
    assert after[0] - before[0] <= 2
    assert after[1] - before[1] <= 2
    assert growth < 30


@pytest.mark.timeout(120)
def test_some_restarts(program: Program) -> None:
    check(program, 4)


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_a_thousand_restarts(program: Program) -> None:
    check(program, 334)
