"""Accounts on a database for tests, with a clock that is set and hashing that is not."""

from dataclasses import dataclass
from pathlib import Path

from nexus_tray.store.accounts import Accounts
from nexus_tray.store.audit import Audit
from nexus_tray.store.database import Database, open_database


@dataclass
class Clock:
    now: float = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Store:
    database: Database
    audit: Audit
    accounts: Accounts
    clock: Clock

    def close(self) -> None:
        self.database.close()


def open_store(path: Path, clock: Clock | None = None) -> Store:
    clock = clock or Clock()
    database = open_database(path, clock())
    audit = Audit(database, clock)
    accounts = Accounts(database, audit, lambda password: f"hash of {len(password)}", clock)
    return Store(database, audit, accounts, clock)
