"""The pause of remote access, kept over restarts in a small private file.

Owns the file's form: it is there while access is paused, and says until when. Imports the
model and `store.files`. Holds no state; any thread. What cannot be read is told to the
caller, for whom a pause in doubt is a pause.
"""

from pathlib import Path
from typing import Annotated

import msgspec

from nexus_tray.model import Hop, Problem, Reason, Value, to_json
from nexus_tray.store.files import ensure_private_dir, read_private, sync_folder, write_atomic

_LIMIT = 4096
_LAST = 250_000_000_000.0
"""Beyond it (the year 9892) calendars do not know what is meant."""


class PauseRecord(Value, frozen=True, omit_defaults=True):
    """Until when (epoch seconds); None: until it is resumed. `idle_minutes`: it closed by itself,
    when nobody had asked for anything for so long (0: a person paused)."""

    until_at: Annotated[float, msgspec.Meta(ge=0, le=_LAST)] | None
    idle_minutes: Annotated[int, msgspec.Meta(ge=0)] = 0


def read(path: Path) -> PauseRecord | None:
    """The pause that was kept; None: there is none. Raises Problem when that is not clear."""
    try:
        return msgspec.json.decode(read_private(path, _LIMIT), type=PauseRecord)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise Problem(
            Reason(
                code="pause-damaged",
                hop=Hop.GATEWAY,
                what=f"{path} is damaged: {error}.",
            )
        ) from error
    except OSError as error:
        raise Problem(_failed(path, "read", error)) from error


def write(path: Path, record: PauseRecord) -> None:
    """Keep this pause. Raises Problem."""
    ensure_private_dir(path.parent)
    write_atomic(path, to_json(record))


def remove(path: Path) -> None:
    """Keep no pause. Raises Problem."""
    try:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    except FileNotFoundError:
        return  # no folder, no pause
    except OSError as error:
        raise Problem(_failed(path, "removed", error)) from error


def _failed(path: Path, done: str, error: OSError) -> Reason:
    return Reason(
        code="pause-file",
        hop=Hop.GATEWAY,
        what=f"{path} could not be {done}: {error.strerror or error}.",
        cure="Check the disk, and that you may write there.",
    )
