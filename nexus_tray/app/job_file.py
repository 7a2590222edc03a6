"""The file of jobs that are not over: read at the start, written whole at each change.

Owns the file's form and what becomes of one that cannot be read. Imports the model, the records
and `store.files`. Any thread; its owner holds a lock.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from nexus_tray.app import job_words as words
from nexus_tray.app.job_record import Record
from nexus_tray.model import Problem, Reason
from nexus_tray.store import files

UNREAD = "unread"
"""The kind of what is shown in place of jobs that could not be read. It is not kept."""
_LIMIT = 256 * 1024


class JobFile:
    """`wall` in epoch seconds."""

    def __init__(self, path: Path, wall: Callable[[], float]) -> None:
        self._path = path
        self._wall = wall

    def read(self) -> tuple[list[Record], Reason | None]:
        """What was not over, and why it is not known. A damaged file is kept aside, so that what
        is written from now on does not overwrite it; one that is not ours alone stays."""
        try:
            data = files.read_private(self._path, _LIMIT)
            return msgspec.json.decode(data, type=list[Record]), None
        except FileNotFoundError:
            return [], None
        except Problem as problem:
            return [], words.unread(problem.reason)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
        try:
            return [], words.damaged(self._path, files.set_aside(self._path, self._wall()))
        except Problem as problem:
            return [], words.unread(problem.reason)

    def write(self, records: Sequence[Record]) -> None:
        """Keep these. Raises Problem; then what was kept stands."""
        kept = [record for record in records if record.kind != UNREAD]
        if kept or self._path.exists():
            files.ensure_private_dir(self._path.parent)
            files.write_atomic(self._path, msgspec.json.encode(kept))
