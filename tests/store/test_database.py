"""`nexus.db`: private from its creation, whole or refused, and true after kill -9."""

import os
import random
import select
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nexus_tray.model import Problem
from nexus_tray.store import database as module
from nexus_tray.store.database import MIGRATIONS, open_database

from .vaults import open_store

NOW = 1_795_000_000.0
ROOT = Path(__file__).parent.parent.parent


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(Problem) as caught:
        action()
    reason = caught.value.reason
    assert reason.what
    assert reason.cure
    return reason.code


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "nexus.db"


def test_private_from_creation_side_files_too(path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store(path)
        store.accounts.set_password("x")
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert modes == {"nexus.db": 0o600, "nexus.db-wal": 0o600, "nexus.db-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_durable_by_its_settings(path: Path) -> None:
    database = open_database(path, NOW)
    with database.write() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    database.close()


def planted_link(path: Path) -> None:
    other = path.with_name("other")
    other.touch(0o600)
    path.symlink_to(other)


def planted_side_link(path: Path) -> None:
    other = path.with_name("other")
    other.touch(0o600)
    path.with_name("nexus.db-wal").symlink_to(other)


def open_to_all(path: Path) -> None:
    path.touch()
    path.chmod(0o666)


def of_another_user(path: Path) -> None:
    path.touch(0o600)
    os.chown(path, 12345, 12345)


def a_folder(path: Path) -> None:
    path.mkdir(mode=0o700)


def a_pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    "plant",
    [
        planted_link,
        planted_side_link,
        open_to_all,
        pytest.param(
            of_another_user,
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away"),
        ),
        a_folder,
        a_pipe,
    ],
)
def test_planted_files_are_refused_and_left(path: Path, plant: Callable[[Path], None]) -> None:
    path.parent.mkdir(mode=0o700)
    plant(path)
    before = {p: p.lstat() for p in path.parent.iterdir()}
    assert code_of(lambda: open_database(path, NOW)).startswith("file-")
    assert {p: p.lstat() for p in path.parent.iterdir() if p in before} == before


def test_a_folder_others_may_write_to_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o777)
    assert code_of(lambda: open_database(path, NOW)) == "file-open-to-others"
    assert not path.exists()


def test_a_newer_version_is_refused_and_never_touched(path: Path) -> None:
    open_store(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    before = path.read_bytes()
    assert code_of(lambda: open_database(path, NOW)) == "database-newer"
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["nexus.db"]


def test_migrations_run_once_and_a_broken_one_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(path).close()
    broken = "CREATE TABLE more (a INTEGER) STRICT; CREATE TABLE sessions (a INTEGER);"
    monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, broken))
    assert code_of(lambda: open_database(path, NOW)) == "database-failed"
    whole = "CREATE TABLE more (a INTEGER) STRICT;"
    monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, whole))
    for _ in range(2):
        database = open_database(path, NOW)
        assert database.read("SELECT count(*) FROM more") == [(0,)]
        database.close()


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize(
    ("at", "data"),
    [(0, b"no database at all, but text"), (4096, b"\xff" * 4096), (100, b"\xff" * 3000)],
    ids=["header", "a page", "the schema"],
)
def test_a_damaged_file_is_kept_aside_and_access_stays_off(
    path: Path, at: int, data: bytes
) -> None:
    store = open_store(path)
    store.accounts.set_password("x")
    store.close()
    overwrite(path, at, data)
    damaged = path.read_bytes()
    assert code_of(lambda: open_database(path, NOW)) == "database-damaged"
    kept = [p for p in path.parent.iterdir() if p.name.startswith("nexus.db.damaged-20261118T")]
    assert [p.read_bytes() for p in kept] == [damaged]
    assert not path.exists()
    fresh = open_store(path)
    assert not fresh.accounts.has_password(), "a fresh file has no password: no remote access"
    fresh.close()


def test_an_emptied_file_has_no_password(path: Path) -> None:
    store = open_store(path)
    store.accounts.set_password("x")
    store.close()
    path.write_bytes(b"")
    store = open_store(path)
    assert not store.accounts.has_password()
    store.close()


def test_a_full_disk_is_a_problem_and_changes_nothing(path: Path) -> None:
    store = open_store(path)
    store.accounts.set_password("x")
    before = store.accounts.password()
    with store.database.write() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    filled = "x" * 100_000

    def fill() -> None:
        with store.database.write() as connection:
            connection.execute("UPDATE password SET hash = ?", (filled,))

    assert code_of(fill) == "database-full"
    assert store.accounts.password() == before
    store.close()


def test_a_failed_block_is_undone(path: Path) -> None:
    database = open_database(path, NOW)

    def fail() -> None:
        with database.write() as connection:
            connection.execute("INSERT INTO tickets VALUES (x'00', '/', 0, 0)")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert database.read("SELECT * FROM tickets") == []
    with database.write() as connection:
        connection.execute("INSERT INTO tickets VALUES (x'00', '/', 0, 0)")
    assert len(database.read("SELECT * FROM tickets")) == 1
    database.close()
    database.close()
    assert code_of(lambda: database.read("SELECT 1")) == "database-failed"


def test_a_reader_never_waits_for_a_writer(path: Path) -> None:
    database = open_database(path, NOW)
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with database.write() as connection:
            connection.execute("INSERT INTO tickets VALUES (x'00', '/', 0, 0)")
            inside.set()
            assert done.wait(10)

    writer = threading.Thread(target=hold)
    writer.start()
    assert inside.wait(10)
    assert database.read("SELECT * FROM tickets") == [], "as last committed"
    done.set()
    writer.join()
    assert len(database.read("SELECT * FROM tickets")) == 1
    database.close()


def kill_while_writing(path: Path, after: float) -> list[str]:
    """Start the revoker, kill -9 it after some seconds of work, and tell what it reported."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.store.revoker", str(path)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert child.stdout is not None
    said, until = b"", None
    while until is None or time.monotonic() < until:
        wait = 20.0 if until is None else max(0.0, until - time.monotonic())
        if select.select([child.stdout], [], [], wait)[0]:
            said += os.read(child.stdout.fileno(), 65536)
            until = until or time.monotonic() + after
        assert until is not None, "the child did not begin"
    child.kill()
    said += child.stdout.read()
    child.stdout.close()
    assert child.wait() == -9
    return said.decode().split("\n")[:-1]


def no_revocation_lost(path: Path, kills: int) -> None:
    chance = random.Random(36)
    added: set[str] = set()
    ended: set[str] = set()
    for _ in range(kills):
        said = kill_while_writing(path, chance.uniform(0.0, 0.12))
        added |= {line[1:] for line in said if line[0] == "+"}
        ended |= {line[1:] for line in said if line[0] == "-"}
        store = open_store(path)  # integrity is checked here
        alive = {row.id for row in store.accounts.sessions()}
        assert not alive & ended, "a reported revocation was lost"
        rows = store.database.read("SELECT count(*) FROM audit WHERE event = 'ticket-used'")
        assert rows[0][0] >= len(added), "a reported sign-in has no audit row"
        rows = store.database.read("SELECT count(*) FROM audit WHERE event = 'sign-out'")
        assert rows[0][0] >= len(ended), "a reported sign-out has no audit row"
        store.close()
    assert len(ended) > kills


def test_kill_9_under_writes(path: Path) -> None:
    no_revocation_lost(path, 20)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_kill_9_under_writes_500_times(path: Path) -> None:
    no_revocation_lost(path, 500)
