"""What was made on the strength of a password must not outlive it.

Owns that question, asked within the transaction that makes something: whoever gave the password
of a moment ago, while its owner was setting another, makes nothing. Imports the model. Any thread
that holds a transaction.
"""

import sqlite3

from nexus_tray.model import Hop, Problem, Reason


def require_same(connection: sqlite3.Connection, password_id: str | None) -> None:
    """The password is still the one of that id (None: nobody was asked for it). Raises Problem."""
    if password_id is None:
        return
    now = connection.execute("SELECT id FROM password").fetchone()
    if now is None or now[0] != password_id:
        raise Problem(CHANGED)


CHANGED = Reason(
    code="password-changed-meanwhile",
    hop=Hop.GATEWAY,
    what="The password for remote access was changed meanwhile. Nothing was made.",
    cure="Try again, with the new password.",
)
