"""`nexus-tray selftest` does the real thing, and a build that is not whole is found out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_tray.app import selftest
from nexus_tray.reports import CheckState
from nexus_tray.system import itself


def test_this_program_is_whole(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nexus_tray", "selftest", "--json"],
        env=os.environ | {"NEXUS_TRAY_HOME": str(tmp_path / "never")},
        capture_output=True,
        timeout=60,
        check=False,
    )
    checks = {check["code"]: check for check in json.loads(done.stdout)["checks"]}
    assert list(checks) == [
        "packages", "files", "database", "gateway", "child", "keyring", "tray", "window",
    ]  # fmt: skip
    for code in ("packages", "files", "database", "gateway", "child"):
        assert checks[code]["state"] == "good", checks[code]
    assert done.returncode == 0
    assert not (tmp_path / "never").exists()  # nothing of a program that runs is touched


def test_a_missing_part_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "PACKAGES", ("json", "nexus_tray.no_such_module"))
    found = selftest.packages()
    assert found.reason is not None
    assert found.reason.code == "selftest-failed"
    assert "nexus_tray.no_such_module" in found.reason.what


def test_missing_files_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(selftest, "icons_folder", lambda: tmp_path)
    found = selftest.files()
    assert found.state is CheckState.BAD
    assert str(tmp_path / "nexus-tray.svg") in found.text


def test_a_child_that_ends_early_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(itself, "command", lambda *_: [sys.executable, "-c", "print(1)"])
    assert selftest.child(os.environ, str(tmp_path)).state is CheckState.BAD
