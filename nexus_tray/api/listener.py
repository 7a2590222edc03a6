"""Whose program listens on a loopback port: looked at before a password is sent there.

Owns one question to the system. A killed instance leaves api.json behind; another user of
the machine could then listen on that very port and wait to be told the new password.
Linux tells who owns a listening socket (proc(5), /proc/net/tcp); elsewhere, and where the
table cannot be read, nothing is known and nothing is refused. Standard library only; any
thread.
"""

import os
import sys
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTENING = "0A"


def is_foreign(port: int) -> bool:
    """Only other users' programs listen on this port. False too when that is not known."""
    if sys.platform == "win32":
        return False
    owners = listeners(port)
    return bool(owners) and os.geteuid() not in owners


def listeners(port: int, tables: tuple[Path, ...] = TABLES) -> set[int]:
    """The user ids of all that listen on this port, at any address."""
    found = set()
    for table in tables:
        try:
            rows = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:  # no such table on this system
            continue
        end = f":{port:04X}"
        for row in rows:
            columns = row.split()
            if columns[1].endswith(end) and columns[3] == _LISTENING:
                found.add(int(columns[7]))
    return found
