"""Run by test_disk in a mount namespace of its own: our stores on a disk that is full.

`python -m tests.faults.full_disk SCENARIO FOLDER` mounts a tmpfs of a few megabytes on FOLDER,
which ends with the namespace, and plays the scenario there; an assertion that fails is its exit.
Real writes meet a real ENOSPC of the kernel.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nexus_tray.app.jobs import JobKeeper, Plan, Step
from nexus_tray.model import Job, JobState, Level, LogQuery, Problem, Reason
from nexus_tray.paths import Paths, find
from nexus_tray.reports import TrafficPoint
from nexus_tray.store import pause_file, secret_keyring
from nexus_tray.store.accounts import SessionRow
from nexus_tray.store.config import ConfigStore
from nexus_tray.store.history import History
from nexus_tray.store.logs import LogStore
from nexus_tray.store.secrets import SecretStore
from tests.e2e.program import Program, Visitor
from tests.store.vaults import open_store

MEGABYTES = 6
PASSWORD = "a long walk by the river"
NOW = 1_795_000_000.0


class Disk:
    """A small disk; `fill` leaves not a byte, `free` gives all of it back."""

    def __init__(self, folder: Path) -> None:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,mode=700", "tmpfs", str(folder)],
            check=True,
        )
        self._ballast = folder / "ballast"
        self.paths: Paths = find({"NEXUS_TRAY_HOME": str(folder / "home")})

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 4096)

    def free(self) -> None:
        self._ballast.unlink()


def until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def refused(action: Callable[[], object]) -> Reason:
    """The reason that is said for it."""
    with pytest.raises(Problem) as caught:
        action()
    assert caught.value.reason.cure
    return caught.value.reason


def settings(disk: Disk) -> None:
    store = ConfigStore(disk.paths)
    store.update({"logs": {"max_megabytes": 3}})
    disk.fill()
    reason = refused(lambda: store.update({"logs": {"max_megabytes": 4}}))
    assert reason.code == "disk-full"
    assert "no room" in reason.what
    for read in (store, ConfigStore(disk.paths)):
        assert read.load().settings.logs.max_megabytes == 3
    disk.free()
    store.update({"logs": {"max_megabytes": 5}})
    assert ConfigStore(disk.paths).load().settings.logs.max_megabytes == 5


def sign_in(disk: Disk) -> None:
    """What was acknowledged stands; what was refused is not there; nothing in between."""
    store = open_store(disk.paths.database)
    added: set[str] = set()
    disk.fill()
    number = 0
    while True:  # what fits into the write-ahead log's own room still goes in
        row = SessionRow(
            id=f"s{number}", door="tunnel", host="h", name="n", address="a", created_at=NOW,
            seen_at=NOW, expires_at=NOW + 9e9, idle=9e9,
        )  # fmt: skip
        try:
            store.accounts.add_session(row, f"t{number}", password_id=None, old=None)
        except Problem as problem:
            reason = problem.reason
            break
        added |= {row.id}
        number += 1
        assert number < 100_000
    assert reason.code == "database-full", reason
    assert "no room" in reason.what
    assert {row.id for row in store.accounts.sessions()} <= added
    kept = {row.id for row in store.accounts.sessions()}
    assert store.accounts.session(f"t{number - 1}") is not None
    assert store.accounts.session(f"t{number}") is None
    again = open_store(disk.paths.database)  # a start on a full disk reads what there is
    assert {row.id for row in again.accounts.sessions()} == kept
    again.close()
    disk.free()
    for key in kept:
        store.accounts.end_session(key, "owner", "local")
    store.close()
    assert open_store(disk.paths.database).accounts.sessions() == []


def revocation(disk: Disk) -> None:
    """Where nothing else can be written any more, people can still be sent away."""
    store = open_store(disk.paths.database)
    for number in range(20):
        row = SessionRow(
            id=f"s{number}", door="tunnel", host="h", name="n", address="a", created_at=NOW,
            seen_at=NOW, expires_at=NOW + 9e9, idle=9e9,
        )  # fmt: skip
        store.accounts.add_session(row, f"t{number}", password_id=None, old=None)
    store.close()
    store = open_store(disk.paths.database)
    disk.fill()
    store.accounts.end_session("s3", "owner", "local")
    assert store.accounts.session("t3") is None
    assert store.accounts.panic() == 19
    assert store.accounts.sessions() == []
    store.close()
    assert open_store(disk.paths.database).accounts.sessions() == []


def secrets(disk: Disk) -> None:
    vars(secret_keyring)["_BACKENDS"] = ()
    store = SecretStore(disk.paths)
    store.unlock("a passphrase of some length")
    store.set("FIRST_KEY", "one")
    disk.fill()
    reason = refused(lambda: store.set("SECOND_KEY", "two" * 2000))
    assert reason.code == "disk-full"
    for opened in (store, SecretStore(disk.paths)):
        opened.unlock("a passphrase of some length")
        assert opened.all() == {"FIRST_KEY": "one"}
    disk.free()
    store.set("SECOND_KEY", "two")
    assert store.names() == ("FIRST_KEY", "SECOND_KEY")


def logs(disk: Disk) -> None:
    """What was stored stays and is found; that lines are lost is known while they are, and how
    many afterwards."""
    store = LogStore(disk.paths.log_database, 100_000_000)
    for number in range(2000):
        store.append("opencode", Level.INFO, f"line {number} " + "x" * 80)
    until(lambda: store.query(LogQuery(limit=1)).last_id >= 2000, "all are stored")
    disk.fill()

    def flooded() -> bool:
        for _ in range(200):
            store.append("opencode", Level.INFO, "y" * 2000)
        return store.trouble() is not None

    until(flooded, "there is no room for more")
    trouble = store.trouble()
    assert trouble is not None
    assert trouble.code == "log-failed"
    assert "full" in trouble.what
    page = store.query(LogQuery(words="1234"))
    assert page.trouble == trouble, "whoever looks at the logs is told"
    found = page.lines
    assert [line.text[:9] for line in found] == ["line 1234"]
    disk.free()
    store.append("opencode", Level.INFO, "after")
    until(lambda: store.query(LogQuery(words="after")).lines, "it goes on")
    assert store.trouble() is None
    assert store.query(LogQuery(words="dropped")).lines, "how many are missing is said"
    store.close()
    assert not list(disk.paths.data.glob("*.damaged*"))


def traffic(disk: Disk) -> None:
    said: list[str] = []
    history = History(disk.paths.traffic_database, NOW, said.append)
    disk.fill()
    minutes = 0
    while not said:  # until its write-ahead log has no more room of its own
        history.record(TrafficPoint(at=NOW + 60 * minutes, requests=1))
        minutes += 1
        assert minutes < 5000
    assert "could not be written" in said[0]
    for _ in range(5):
        history.record(TrafficPoint(at=NOW + 60 * minutes, requests=1))
        minutes += 1
    assert len(said) == 1, "once, not once a minute"
    disk.free()
    history.close(NOW + 60 * minutes)
    from tests.faults.test_upgrade import rows

    assert sum(row["requests"] for row in rows(disk.paths.traffic_database)["minute"]) == minutes


def jobs(disk: Disk) -> None:
    seen: list[tuple[Job, ...]] = []
    made: list[str] = []

    def make(course: Any) -> str:
        disk.fill()
        made.append("made")
        course.memo["id"] = "34b8" * 2000
        course.remember()
        return "made"

    plan = Plan((Step("make", "Make it", make), Step("lead", "Lead it", lambda _: "led")))
    keeper = JobKeeper(disk.paths.jobs_file, {"create": lambda _: plan}, seen.append, lambda: NOW)
    keeper.start("create", "home", {})
    until(lambda: seen and seen[-1][0].state is JobState.FAILED, "it stops")
    reason = seen[-1][0].reason
    assert reason is not None
    assert reason.code == "disk-full"
    refused(lambda: keeper.start("create", "other" * 2000, {}))
    assert len(seen[-1]) == 1
    keeper.close()
    assert made == ["made"]


def pause(disk: Disk) -> None:
    disk.paths.data.mkdir(parents=True, mode=0o700)
    disk.fill()
    record = pause_file.PauseRecord(until_at=NOW)
    assert refused(lambda: pause_file.write(disk.paths.pause_file, record)).code == "disk-full"
    assert pause_file.read(disk.paths.pause_file) is None


def program(disk: Disk) -> None:
    """The whole of it: it goes on, says of each command what was refused and why, ends in order,
    says why it does not start, and knows everything when there is room again."""
    home = disk.paths.config.parent
    run = Program(home, home.parent, {})
    run.output = home.parent.parent / f"{home.parent.name}-output.txt"  # on another disk
    run.configure({"opencode": {"enabled": False}, "tunnels": []})
    run.start()
    assert run.cli("password", "set", given=f"{PASSWORD}\n").returncode == 0
    phone = Visitor(run)
    disk.fill()
    assert run.cli("status").returncode == 0
    for command, words in (
        (("config", "set", "logs.max_megabytes", "9"), "no room left"),
        (("pause",), "paused, but only until Nexus Tray ends"),
        (("secret", "unlock"), "no room left"),
    ):
        done = run.cli(*command, given="a passphrase of some length\n")
        assert (done.returncode, words in done.stderr) == (4, True), done
        assert "Free some space" in done.stderr, done
    assert run.cli("resume").returncode == 0
    assert "Room on the disk" in run.cli("doctor").stdout
    done = run.cli("panic", "--yes")
    assert (done.returncode, "1 device is signed out" in done.stdout) == (0, True), done
    with pytest.raises(AssertionError, match=r"303|401|403"):
        phone.ask("GET", "/session")
    assert run.stop() == 0
    again = subprocess.run(
        [sys.executable, "-m", "nexus_tray", "run", "--headless"],
        env=run.environment, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert again.returncode == 78, again
    assert "Traceback" not in again.stderr
    assert "Free some space" in again.stderr
    disk.free()
    run.start()
    events = run.cli("audit").stdout
    assert "password-set" in events
    assert "panic" in events
    assert "no password" not in run.cli("status").stdout
    assert run.stop() == 0
    assert "Traceback" not in run.output.read_text()


SCENARIOS: dict[str, Callable[[Disk], None]] = {
    one.__name__: one
    for one in (settings, sign_in, revocation, secrets, logs, traffic, jobs, pause, program)
}

if __name__ == "__main__":
    SCENARIOS[sys.argv[1]](Disk(Path(sys.argv[2])))
    os._exit(0)
