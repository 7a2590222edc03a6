"""SECURITY.md 36: a kill or a full disk at every step of a write leaves old or new, never torn.

Each step is struck in a process of its own by a real SIGKILL, or by calls that fail for
want of room; and by the kernel's own limit on a file's size. The logs are killed while
lines pour in, are indexed and trimmed: after each kill the database is whole.
"""

import json
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from nexus_tray.model import Level, LogQuery, Problem
from nexus_tray.paths import find
from nexus_tray.settings import LogSettings, Settings
from nexus_tray.store import secret_file
from nexus_tray.store.config import ConfigStore
from nexus_tray.store.logs import LogStore
from tests.faults.disturbed_write import (
    DAMAGED,
    NEW,
    OLD,
    PASSPHRASE,
    SAID,
    THROUGH,
    UNDISTURBED,
    jobs_of,
    shelf_of,
)

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")

KILLS = ("before", "after", "torn")


def run(module: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.faults.{module}", *arguments],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def struck(write: str, base: Path, fault: str) -> list[tuple[Path, int]]:
    """Each step's folder, and what became of the write in it."""
    lines = run("disturbed_write", write, str(base), fault).splitlines()
    steps = [(Path(folder), code) for folder, code in map(json.loads, lines)]
    assert len(steps) > 8, "the harness sees the calls"
    assert steps[-1][1] == UNDISTURBED
    allowed = (SAID, THROUGH) if fault == "full" else (-signal.SIGKILL,)
    assert {code for _, code in steps[:-1]} <= set(allowed)
    assert sum(code == allowed[0] for _, code in steps) > 3
    for folder, _ in steps:
        for path in folder.rglob("*"):
            closed = 0o022 if "tools" in path.parts else 0o077  # programs may be read
            assert not stat.S_IMODE(path.lstat().st_mode) & closed, f"{path} is private"
    return steps


@pytest.mark.parametrize("fault", [*KILLS, "full"])
def test_a_file_is_old_or_new(tmp_path: Path, fault: str) -> None:
    seen = set()
    for folder, code in struck("atomic", tmp_path, fault):
        content = (folder / "file").read_bytes()
        assert content in (OLD, NEW)
        seen.add(content)
        if code in (UNDISTURBED, THROUGH):
            assert content == NEW
        if fault == "full":
            assert list(folder.iterdir()) == [folder / "file"], "a failed write cleans up"
    assert seen == {OLD, NEW}


def sized(megabytes: int) -> Settings:
    return Settings(logs=LogSettings(max_megabytes=megabytes))


@pytest.mark.parametrize("fault", [*KILLS, "full"])
@pytest.mark.parametrize(
    ("write", "old", "new"),
    [
        ("update", sized(1), sized(2)),
        ("first", Settings(), sized(2)),
        ("migration", sized(1), sized(1)),
    ],
)
def test_settings_are_old_or_new_and_can_be_changed_after(
    tmp_path: Path, write: str, old: Settings, new: Settings, fault: str
) -> None:
    for folder, code in struck(write, tmp_path, fault):
        store = ConfigStore(find({"NEXUS_TRAY_HOME": str(folder)}))
        found = store.load().settings
        assert found in (old, new)
        if code in (UNDISTURBED, THROUGH):
            assert found == new
        elif code == SAID and write != "migration":
            # Only the folder's last sync may fail after the new content stands.
            last_good = store.last_good()
            assert last_good is None or last_good.settings in (old, new)
        store.update({"logs": {"max_megabytes": 3}})
        assert ConfigStore(find({"NEXUS_TRAY_HOME": str(folder)})).load().settings == sized(3)


@pytest.mark.parametrize("fault", [*KILLS, "full"])
def test_damaged_settings_are_put_right_or_stay_and_are_never_taken_for_none(
    tmp_path: Path, fault: str
) -> None:
    """No settings would be the defaults: another tunnel, and none of the rules of who may knock."""
    seen = set()
    for folder, code in struck("restore", tmp_path, fault):
        store = ConfigStore(find({"NEXUS_TRAY_HOME": str(folder)}))
        try:
            assert store.load().settings == sized(1)
            seen.add("new")
        except Problem as problem:
            seen.add(problem.reason.code)
            store.restore_last_good(1_795_000_001.0)
            assert store.load().settings == sized(1)
        if code in (UNDISTURBED, THROUGH):
            kept = list((folder / "config").glob("config.json.damaged-*"))
            assert DAMAGED in [one.read_bytes() for one in kept], "and the damaged one is kept"
    assert seen == {"new", "config-damaged"}


@pytest.mark.parametrize("fault", [*KILLS, "full"])
def test_secrets_are_old_or_new(tmp_path: Path, fault: str) -> None:
    new = {"A_KEY": "new", "MORE": "x" * 5000}
    steps = struck("secrets", tmp_path, fault)
    opened = secret_file.open_file(steps[0][0] / "secrets.enc", PASSPHRASE)  # one salt for all
    seen = []
    for folder, code in steps:
        vars(opened)["_path"] = folder / "secrets.enc"
        seen.append(opened.read())
        assert seen[-1] in ({"A_KEY": "old"}, new)
        if code in (UNDISTURBED, THROUGH):
            assert seen[-1] == new
    assert {"A_KEY": "old"} in seen


@pytest.mark.parametrize("fault", [*KILLS, "full"])
def test_jobs_are_old_or_new(tmp_path: Path, fault: str) -> None:
    for folder, code in struck("jobs", tmp_path, fault):
        found, trouble = jobs_of(folder).read()
        assert trouble is None
        assert [one.id for one in found] in (["old"], ["new"])
        if code in (UNDISTURBED, THROUGH):
            assert [one.id for one in found] == ["new"]


@pytest.mark.parametrize("fault", [*KILLS, "full"])
def test_the_program_in_use_is_the_old_or_the_new_and_whole(tmp_path: Path, fault: str) -> None:
    seen = set()
    for folder, _ in struck("tool", tmp_path, fault):
        found = shelf_of(folder).trusted()
        assert found is not None
        version, program = found
        assert program.read_bytes() == version.encode() * 5000
        seen.add(version)
    assert seen == {"2026.8.2", "2026.9.1"}


def test_a_kernel_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path) -> None:
    """RLIMIT_FSIZE gives a real short write and a real EFBIG, as a quota would."""
    script = f"""
import resource, sys
from pathlib import Path
from nexus_tray.model import Problem
from nexus_tray.store import files
path = Path({str(tmp_path)!r}) / "file"
files.write_atomic(path, b"old" * 1000)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    files.write_atomic(path, b"new" * 10_000)
except Problem as problem:
    sys.stdout.write(problem.reason.code)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, timeout=60
    )
    assert done.stdout == b"disk-full"
    assert (tmp_path / "file").read_bytes() == b"old" * 1000
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def kill_under_writes(path: Path, rounds: int) -> None:
    """Kill the log's writer again and again; the database is whole and no stored line is lost."""
    random = Random(36)
    for _ in range(rounds):
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.log_writer", str(path)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        stored = 0
        try:
            assert writer.stdout is not None
            for _ in range(random.randrange(1, 12)):
                stored = int(writer.stdout.readline())
        finally:
            writer.kill()
            writer.wait(30)
            assert writer.stdout is not None
            writer.stdout.close()
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            for (segment,) in database.execute("SELECT id FROM segment").fetchall():
                database.execute(
                    f"INSERT INTO words_{segment}(words_{segment}) VALUES('integrity-check')"
                )
            first, newest, count = database.execute(
                "SELECT min(id), max(id), count(*) FROM line"
            ).fetchone()
        assert newest >= stored > 0
        assert count == newest - first + 1, "no holes"
    store = LogStore(path, 2_000_000)
    store.append("after", Level.INFO, "goes on")
    last = store.query(LogQuery(limit=1)).last_id
    store.query(LogQuery(after=last), timeout=5)
    assert store.query(LogQuery(words="goes on")).lines[-1].source == "after"
    assert not list(path.parent.glob("*.damaged-*"))
    store.close()


def test_logs_are_whole_after_kills_under_writes(tmp_path: Path) -> None:
    kill_under_writes(tmp_path / "d" / "logs.db", 12)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_logs_are_whole_after_500_kills(tmp_path: Path) -> None:
    kill_under_writes(tmp_path / "d" / "logs.db", 500)
