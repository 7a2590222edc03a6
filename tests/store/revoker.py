"""A child that adds and ends sessions for ever, and says what it has been promised.

Prints `+ID TOKEN` after a session was added and `-ID` after it was ended; each line is
written at once, so that what the parent has read before the kill had been reported durable.
"""

import itertools
import os
import sys
from pathlib import Path

from nexus_tray.store.accounts import SessionRow
from tests.store.vaults import open_store

store = open_store(Path(sys.argv[1]))
for number in itertools.count():
    name = f"{os.getpid()}-{number}"
    row = SessionRow(
        id=name, door="tunnel", host="h", name="n", address="a", created_at=store.clock(),
        seen_at=store.clock(), expires_at=store.clock() + 9e9, how="ticket",
    )  # fmt: skip
    store.accounts.add_session(row, f"token-{name}", password_id=None, old=None)
    os.write(1, f"+{name}\n".encode())
    if number % 3:
        store.accounts.end_session(name, "owner", "local")
        os.write(1, f"-{name}\n".encode())
