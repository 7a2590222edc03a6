"""Upgrade: from every form of every file that ever landed, with data in it; newer ones refused.

What is read here was left on disk by the very code of the commit that its file is named after
(`landed.py` says how), and nothing of it may be lost: what an older version stored, this one
gives back. A file of a version that this one does not know is refused in words, and stays as it
is, byte for byte.
"""

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nexus_tray.app.jobs import JobKeeper, Plan, Step
from nexus_tray.model import Job, JobState, Level, LogQuery, Problem
from nexus_tray.paths import Paths
from nexus_tray.settings import SCHEMA_VERSION
from nexus_tray.store import (
    config_document,
    history_file,
    log_file,
    pause_file,
    secret_keyring,
    setup_file,
)
from nexus_tray.store.config import ConfigStore
from nexus_tray.store.database import MIGRATIONS, open_database
from nexus_tray.store.history import History
from nexus_tray.store.logs import LogStore
from nexus_tray.store.pairings import Pairings
from nexus_tray.store.second_factor import SecondFactorStore
from nexus_tray.store.secrets import SecretStore
from tests.e2e.program import Program
from tests.faults.landed import KEPT, form
from tests.faults.landed_filler import HOST, NOW, PASSPHRASE, TUNNEL
from tests.store.vaults import Clock, Store, open_store

RETIRED = frozenset({"version", "access.idle_minutes"})
"""Settings of an older version that this one does not keep: `config_document` says why."""


def landed(name: str) -> pytest.MarkDecorator:
    """Run for each recorded form of that file."""
    files = sorted((KEPT / name).iterdir())
    assert files, "it was recorded"
    return pytest.mark.parametrize("old", files, ids=lambda file: file.stem)


def until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def put(old: Path, target: Path) -> Path:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(old, target)
    target.chmod(0o600)
    return target


def leaves(document: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Each value of a document by its path."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from leaves(value, f"{above}.{key}" if above else key)
    elif isinstance(document, list | tuple) and document and isinstance(document[0], dict):
        for place, value in enumerate(document):
            yield from leaves(value, f"{above}[{place}]")
    else:
        yield above, list(document) if isinstance(document, tuple) else document


@landed("config.json")
def test_settings_of_every_version_are_kept(paths: Paths, old: Path) -> None:
    before = dict(leaves(json.loads(put(old, paths.config_file).read_bytes())))
    put(old, paths.config_file.with_name("config.json.good"))
    store = ConfigStore(paths)
    assert store.last_good() == store.load()
    after = dict(leaves(config_document.builtins(store.load().settings)))
    assert {k: after.get(k) for k in before if k not in RETIRED} == {
        k: v for k, v in before.items() if k not in RETIRED
    }
    if before["version"] < SCHEMA_VERSION:
        kept = paths.config_file.with_name(f"config.json.v{before['version']}")
        assert kept.read_bytes() == old.read_bytes(), "the old file stands beside the new one"
    store.update({"logs": {"max_megabytes": 17}})
    assert ConfigStore(paths).load().settings.logs.max_megabytes == 17


def rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Everything in a database of ours, by table."""
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        tables = database.execute(
            "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE TABLE%' AND name NOT LIKE 'sql%'"
        ).fetchall()
        return {
            name: [dict(row) for row in database.execute(f"SELECT * FROM {name}")]
            for (name,) in tables
        }


@landed("nexus.db")
def test_sign_in_of_every_version_is_kept(paths: Paths, old: Path) -> None:
    before = rows(put(old, paths.database))
    store = open_store(paths.database, Clock(NOW + 1))
    after = rows(paths.database)
    for table, whole in before.items():
        assert len(whole) == len(after[table])
        for was, now in zip(whole, after[table], strict=True):
            assert {name: now[name] for name in was} == was, table
    assert {row["id"]: row["how"] for row in after["sessions"]}["at-local"] == "ticket"
    works_with(store)
    store.close()
    again = open_store(paths.database, Clock(NOW + 2))
    assert again.accounts.session("token of tunnel") is None, "its end is remembered"
    again.close()


def works_with(store: Store) -> None:
    """Who came in with the older version is in, and can be sent away."""
    assert store.accounts.has_password()
    session = store.accounts.session("token of tunnel")
    assert session is not None
    assert (session.host, session.name) == (HOST, "Firefox on Linux")
    assert store.accounts.session("token of local") is not None
    assert {row.event for row in store.audit.newest()} >= {"password-set", "sign-in-failed"}
    pairings = Pairings(store.database, store.audit, store.clock)
    open_before = len(pairings.open())
    pairings.make(HOST, "new")
    assert len(pairings.open()) == open_before + 1
    factor = SecondFactorStore(store.database, store.audit, store.clock)
    assert factor.codes_left() == (10 if factor.row() else 0)
    store.accounts.end_session("at-tunnel", "owner", "local")
    store.accounts.set_password("a new one for everybody")


@landed("logs.db")
def test_logs_of_every_version_are_kept_and_found(paths: Paths, old: Path) -> None:
    put(old, paths.log_database)
    store = LogStore(paths.log_database, 1_000_000)
    found = store.query(LogQuery(limit=1000)).lines
    assert [line.text for line in found] == [f"line {n} of an older version" for n in range(300)]
    assert [line.text for line in store.query(LogQuery(words="217")).lines] == [found[217].text]
    grave = store.query(LogQuery(level=Level.ERROR, limit=1000)).lines
    assert len(grave) == 6
    store.append("opencode", Level.ERROR, "of today")
    page = store.query(LogQuery(after=found[-1].id), timeout=10)
    assert [line.text for line in page.lines] == ["of today"]
    store.close()
    assert not list(paths.data.glob("*.damaged*"))


@landed("traffic.db")
def test_the_traffic_of_every_version_is_kept(paths: Paths, old: Path) -> None:
    before = rows(put(old, paths.traffic_database))["minute"]
    said: list[str] = []
    History(paths.traffic_database, NOW + 700, said.append).close(NOW + 700)
    after = rows(paths.traffic_database)["minute"]
    assert len(before) == 11
    assert after[: len(before)] == before
    assert not said


@landed("secrets.enc")
def test_secrets_of_every_version_are_kept(
    paths: Paths, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_keyring, "_BACKENDS", ())
    put(old, paths.secrets_file)
    store = SecretStore(paths)
    store.unlock(PASSPHRASE)
    assert store.all() == {"ANTHROPIC_API_KEY": "the key of a provider"}
    store.set_tunnel_token(TUNNEL, "added")
    again = SecretStore(paths)
    again.unlock(PASSPHRASE)
    assert (again.tunnel_token(TUNNEL), again.names()) == ("added", ("ANTHROPIC_API_KEY",))


@landed("jobs.json")
def test_jobs_of_every_version_can_be_gone_on_with(paths: Paths, old: Path) -> None:
    recorded = json.loads(put(old, paths.jobs_file).read_bytes())
    seen: list[tuple[Job, ...]] = []
    memos: list[dict[str, str]] = []

    def step(key: str) -> Step:
        def work(course: Any) -> str:
            memos.append(dict(course.memo))
            return key

        return Step(key, key, work)

    plan = Plan((step("create"), step("lead")))
    keeper = JobKeeper(paths.jobs_file, {"make-tunnel": lambda _: plan}, seen.append, lambda: NOW)
    keeper.begin()
    [job] = seen[-1]
    assert (job.id, job.subject, job.state) == (recorded[0]["id"], "work", JobState.FAILED)
    keeper.retry(job.id)
    until(lambda: seen[-1][0].state is JobState.DONE, "the job is done")
    keeper.close()
    done_before = len(recorded[0]["done"])
    assert memos == [recorded[0]["memo"]] * (2 - done_before), "what was done is not done again"


@landed("pause.json")
def test_a_pause_of_every_version_holds(paths: Paths, old: Path) -> None:
    record = pause_file.read(put(old, paths.pause_file))
    assert record is not None
    assert record.until_at == NOW + 3600


@landed("setup.json")
def test_the_first_start_is_not_begun_again(paths: Paths, old: Path) -> None:
    record = setup_file.read(put(old, paths.setup_file))
    assert record is not None
    assert (record.passed, record.finished) == (("opencode",), True)


def test_every_version_before_todays_is_recorded() -> None:
    """Whoever raises a version records what the one before left (`landed.py`)."""
    databases = {form(file).partition(",")[0].strip("(") for file in (KEPT / "nexus.db").iterdir()}
    assert databases >= {str(version) for version in range(1, len(MIGRATIONS))}
    configs = {json.loads(f.read_bytes())["version"] for f in (KEPT / "config.json").iterdir()}
    assert configs >= set(range(1, SCHEMA_VERSION))
    traffic = {form(file).partition(",")[0].strip("(") for file in (KEPT / "traffic.db").iterdir()}
    assert traffic >= {str(version) for version in range(1, history_file.VERSION)}


def newer_settings(paths: Paths) -> tuple[Path, Callable[[], object], str]:
    newest = {"version": SCHEMA_VERSION + 1, "a setting": "of tomorrow"}
    paths.config_file.parent.mkdir(mode=0o700, parents=True)
    paths.config_file.touch(0o600)
    paths.config_file.write_text(json.dumps(newest))
    return paths.config_file, ConfigStore(paths).load, "config-newer"


def newer_database(paths: Paths) -> tuple[Path, Callable[[], object], str]:
    open_store(paths.database).close()
    raise_version(paths.database, len(MIGRATIONS) + 1)
    return paths.database, lambda: open_database(paths.database, NOW), "database-newer"


def newer_secrets(paths: Paths) -> tuple[Path, Callable[[], object], str]:
    put(KEPT / "secrets.enc" / "3a9a0811.enc", paths.secrets_file)
    document = json.loads(paths.secrets_file.read_bytes())
    paths.secrets_file.write_text(json.dumps({**document, "version": 2}))
    opened = SecretStore(paths)
    return paths.secrets_file, lambda: opened.unlock(PASSPHRASE), "secrets-file-newer"


def raise_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize("newer", [newer_settings, newer_database, newer_secrets])
def test_what_a_newer_version_wrote_is_refused_and_left(
    paths: Paths, newer: Callable[[Paths], tuple[Path, Callable[[], object], str]]
) -> None:
    path, opened, code = newer(paths)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(Problem) as caught:
            opened()
        assert caught.value.reason.code == code
        assert "newer" in caught.value.reason.what
        assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_newer_logs_are_kept_aside_whole_and_said(paths: Paths) -> None:
    """Without logs nothing could be looked at, so a new one begins; that it is no damage is said,
    and no later damage removes it."""
    LogStore(paths.log_database, 1_000_000).close()
    raise_version(paths.log_database, log_file.SCHEMA_VERSION + 1)
    before = paths.log_database.read_bytes()
    for round_ in range(2):
        store = LogStore(paths.log_database, 1_000_000, lambda: NOW)
        page = store.query(LogQuery(limit=10), timeout=5)
        while not page.lines:
            page = store.query(LogQuery(limit=10, after=0), timeout=5)
        assert ("newer" if round_ == 0 else "damaged") in page.lines[-1].text
        store.close()
        if round_ == 0:
            paths.log_database.write_bytes(b"no database at all, but text" * 200)
    [kept] = paths.data.glob("logs.db.newer-*")
    assert kept.read_bytes() == before


def test_a_newer_history_is_kept_aside_whole_and_said(paths: Paths) -> None:
    said: list[str] = []
    History(paths.traffic_database, NOW, said.append).close(NOW)
    raise_version(paths.traffic_database, history_file.VERSION + 1)
    before = paths.traffic_database.read_bytes()
    History(paths.traffic_database, NOW, said.append).close(NOW)
    assert "newer" in said[-1]
    paths.traffic_database.write_bytes(b"no database at all, but text" * 200)
    History(paths.traffic_database, NOW, said.append).close(NOW)
    assert "damaged" in said[-1]
    [kept] = paths.data.glob("traffic.db.newer-*")
    assert kept.read_bytes() == before


def oldest(name: str) -> Path:
    """The first form of that file that landed; commits are known by their place in history."""
    first = {"config.json": "04e5eac2", "nexus.db": "880af794", "logs.db": "96cc256e"}
    first |= {"traffic.db": "17d8b5c2", "secrets.enc": "3a9a0811", "jobs.json": "8dc2d4ea"}
    [found] = (KEPT / name).glob(f"{first[name]}.*")
    return found


def test_the_whole_program_starts_from_the_oldest_of_each(tmp_path: Path) -> None:
    """All of them together, and a second start from what the first one made of them."""
    program = Program(tmp_path / "home", tmp_path, {})
    paths = program.paths
    for name, target in (
        ("config.json", paths.config_file), ("nexus.db", paths.database),
        ("logs.db", paths.log_database), ("traffic.db", paths.traffic_database),
        ("secrets.enc", paths.secrets_file), ("jobs.json", paths.jobs_file),
    ):  # fmt: skip
        put(oldest(name), target)
    before = rows(paths.database)
    for _ in range(2):
        program.start()
        try:
            assert "of an older version" in program.cli("logs", "-n", "1000").stdout
            assert "217" in program.cli("logs", "-n", "5", "217").stdout
            assert program.cli("config", "get", "logs.max_megabytes").stdout.strip() == "3334"
            trail = program.cli("audit", "--json", "-n", "1000").stdout
            assert "sign-in-failed" in trail
            given = f"{PASSPHRASE}\n"
            assert program.cli("secret", "unlock", given=given).returncode == 0
        finally:
            assert program.stop() == 0
    assert rows(paths.database)["password"] == before["password"]
    said = program.output.read_text()
    assert "Traceback" not in said
    assert not list(paths.data.glob("*.damaged*"))
    assert not list(paths.data.glob("*.newer*"))
