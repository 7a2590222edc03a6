"""Whose turn is not finished: remembered on disk, so that the program's own end loses it not.

Owns `unfinished.json`, the ids of OpenCode's sessions that work, wait or were broken off. It is
written while they work, for after a kill nobody can write. Nothing secret: ids of sessions and
no word of theirs. Imports the model and `files`. Used by the activity's thread.
"""

import logging
from pathlib import Path

import msgspec

from nexus_tray.model import Problem
from nexus_tray.store import files

log = logging.getLogger(__name__)

MOST_BYTES = 256 * 1024


class UnfinishedFile:
    """The file. It costs a hint where it cannot be read or written, never a conversation (those
    are OpenCode's), so trouble is logged and nothing is raised."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._kept: frozenset[str] | None = None

    def recall(self) -> frozenset[str]:
        """The ids that stood there at the last end; none where there is no such file."""
        try:
            found = msgspec.json.decode(
                files.read_private(self._file, MOST_BYTES), type=frozenset[str]
            )
        except FileNotFoundError:
            return frozenset()
        except Problem as problem:
            log.warning("Which sessions were broken off is not known. %s", problem.reason)
            return frozenset()
        except msgspec.DecodeError as error:
            log.warning(
                "Which sessions were broken off is not known: %s is damaged (%s), and is written"
                " anew.", self._file, error,
            )  # fmt: skip
            return frozenset()
        self._kept = found
        return found

    def keep(self, ids: frozenset[str]) -> None:
        """Replace what stands there, whole or not at all; nothing is written where nothing
        changed. What could not be written is tried again with the next change."""
        if ids == self._kept:
            return
        try:
            files.ensure_private_dir(self._file.parent)
            files.write_atomic(self._file, msgspec.json.encode(sorted(ids)))
        except Problem as problem:
            log.warning("Which sessions are not finished was not written. %s", problem.reason)
            return
        self._kept = ids
