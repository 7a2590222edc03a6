"""SECURITY 19 on the whole program, with its own times: OpenCode that dies at once.

1 to 60 s between starts, spread; six starts, then FAILED with a reason, said once; under 2 % of a
processor. The same decisions in shortened time: tests/faults/test_opencode.py.
"""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from nexus_tray.model import ServiceState
from tests.e2e.program import Program, wait_until

DIES = """#!/bin/sh
[ "$1" = serve ] && date +%s.%N >> "{folder}/starts"  # its version is asked for, too
echo "Error: out of luck" >&2
exit 7
"""
OWN = 0.7
"""Seconds that a start itself may take, on a busy machine."""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    dies = tmp_path / "dies"
    dies.write_text(DIES.format(folder=tmp_path))
    dies.chmod(0o755)
    made = Program(tmp_path / "home", tmp_path, {})
    made.configure({"opencode": {"program": str(dies)}, "tunnels": []})
    yield made
    made.stop()


def processor_time(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


@pytest.mark.long
@pytest.mark.timeout(180)
def test_instant_exits_in_their_own_time(program: Program, tmp_path: Path) -> None:
    program.start()
    pid, began = program.program_pid(), time.monotonic()
    used = processor_time(pid)
    starts = tmp_path / "starts"

    def six() -> list[float]:  # asks nobody: what is asked costs time of the processor, too
        found = [float(line) for line in starts.read_text().split()] if starts.exists() else []
        return found if len(found) >= 6 else []

    times = wait_until(six, 60, "six starts")
    share = (processor_time(pid) - used) / (time.monotonic() - began)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    print(f"gaps {', '.join(f'{gap:.2f}' for gap in gaps)} s, {share:.1%} of a processor")
    for number, gap in enumerate(gaps):
        assert 2.0**number <= gap < 2.0**number * 1.25 + OWN
    assert share < 0.02

    failed = program.wait_for(
        lambda s: s.services and s.services[0].state is ServiceState.FAILED, 10, "FAILED"
    )
    reason = failed.services[0].reason
    assert reason is not None
    assert reason.code == "opencode-ended"
    assert "out of luck" in str(reason)
    assert reason.cure
    told = program.cli("logs").stdout
    assert told.count("was given up") == 1, told

    used, began = processor_time(pid), time.monotonic()
    time.sleep(20)  # nothing may happen in it
    assert (processor_time(pid) - used) / (time.monotonic() - began) < 0.02
    assert len(six()) == 6
