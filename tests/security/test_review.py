"""Holes that a hostile review of the whole found, each as the attack that once worked."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def test_a_folder_brings_no_code_of_its_own(tmp_path: Path) -> None:
    """A cloned repository has a `msgspec.py` in it, and `nexus-tray run` is typed there: with
    `-m` alone, Python looks into the present folder first (CWE-427)."""
    marker = tmp_path / "ran"
    for name in ("msgspec", "argparse", "platformdirs"):
        (tmp_path / f"{name}.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    for words in (["run", "--no-such-option"], ["status"]):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "nexus_tray", *words],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "NEXUS_TRAY_HOME": str(tmp_path / "home")},
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert done.returncode in (2, 3), done.stderr
        assert not marker.exists(), words


@pytest.mark.parametrize("script", ["run", "setup.sh"])
def test_no_script_of_ours_looks_into_the_present_folder(script: str) -> None:
    text = (ROOT / "build" / script).read_text(encoding="utf-8")
    calls = re.findall(r'(?:python"?|PYTHON"|candidate") +(-\S*.*)', text)
    assert calls
    assert [call for call in calls if not re.match(r"-[PI]\b", call)] == []
