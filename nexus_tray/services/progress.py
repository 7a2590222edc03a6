"""How a download tells how far it is, and how it is told to end.

Owns the one callback that both downloads take. Imports nothing of ours. It is called in the
download's own thread.
"""

from collections.abc import Callable

Progress = Callable[[int, int | None], None]
"""Bytes here, and bytes in all (None: not known). What it raises ends the download."""


class Cancelled(Exception):
    """Raised by a `Progress` when the download is no longer wanted; nothing of it is left."""


class Suspended(Cancelled):
    """Raised by a `Progress` when the program ends; what is here is gone on with next time."""


def silent(done_bytes: int, total_bytes: int | None) -> None:
    """For who does not watch."""
