"""How far the first start has come, kept over restarts in a small private file.

Owns the file's form. Imports the model and `store.files`. Holds no state; any thread.
"""

from pathlib import Path

import msgspec

from nexus_tray.model import Hop, Problem, Reason, Value, to_json
from nexus_tray.store.files import ensure_private_dir, read_private, write_atomic

_LIMIT = 4096


class SetupRecord(Value, frozen=True):
    """The steps that were done or skipped, and whether the person has been through it."""

    passed: tuple[str, ...] = ()
    finished: bool = False


def read(path: Path) -> SetupRecord | None:
    """What was kept; None: nothing yet. Raises Problem when it cannot be read."""
    try:
        return msgspec.json.decode(read_private(path, _LIMIT), type=SetupRecord)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, OSError) as error:
        raise Problem(
            Reason(
                code="setup-file",
                hop=Hop.GATEWAY,
                what=f"{path} could not be read: {error}.",
                meaning="How far the first start had come is not known; it begins anew.",
            )
        ) from error


def write(path: Path, record: SetupRecord) -> None:
    """Keep it. Raises Problem."""
    ensure_private_dir(path.parent)
    write_atomic(path, to_json(record))
