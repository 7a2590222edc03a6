"""Issue 6, full disk: what is said to the person, and nothing lost that was acknowledged.

Each scenario has a tmpfs of a few megabytes of its own in a mount namespace of its own, so that
every write is the kernel's own answer (`full_disk.py`).
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.full_disk import SCENARIOS

ROOT = Path(__file__).parents[2]
NAMESPACE = ["unshare", "--mount"] if os.name == "posix" and os.geteuid() == 0 else [
    "unshare", "--map-root-user", "--mount",
]  # fmt: skip


def can_mount() -> bool:
    """Whether this system lets us have a disk of our own."""
    command = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not can_mount(), reason="no mount namespace here")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_full_disk_is_said_and_costs_nothing_that_was_acknowledged(
    tmp_path: Path, scenario: str
) -> None:
    done = subprocess.run(
        [*NAMESPACE, sys.executable, "-m", "tests.faults.full_disk", scenario, str(tmp_path)],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
