"""Which dashboard pages are open, remembered from a crash to the restart after it.

Owns one private file of hashes: what a page shows itself by is not in it, so whoever reads
it can do nothing with it. It belongs to one life of the guard, which holds the port that
those pages talk to; a file of another life is removed unread. Any thread may call; one at
a time (`api.tickets` sees to it).
"""

import contextlib
import logging

import msgspec

from nexus_tray.model import Problem
from nexus_tray.paths import Paths
from nexus_tray.store.files import ensure_private_dir, read_private, sync_folder, write_atomic

log = logging.getLogger(__name__)

LIMIT = 16 * 1024
"""Bytes of the file at most; 32 pages need 2 kB."""


class _Kept(msgspec.Struct):
    life: str
    hashes: tuple[str, ...]


class OpenPages:
    """The memory of one life of the guard. `life` None: there is no guard, and no memory."""

    def __init__(self, paths: Paths, life: str | None) -> None:
        self._paths = paths
        self._life = life

    def recall(self) -> tuple[bytes, ...]:
        """What was kept last under this guard; nothing, if that cannot be told for sure."""
        try:
            kept = msgspec.json.decode(read_private(self._paths.pages_file, LIMIT), type=_Kept)
            if self._life is not None and kept.life == self._life:
                return tuple(bytes.fromhex(text) for text in kept.hashes)
        except FileNotFoundError:
            return ()
        except (Problem, msgspec.DecodeError, ValueError) as error:
            log.warning("The open pages of before are not known, and ended: %s", error)
        self.forget()
        return ()

    def keep(self, hashes: tuple[bytes, ...]) -> None:
        """Remember these and no others. On a full disk nobody is remembered, which is as sure an
        end for those that ended; what else keeps the file from being written raises Problem."""
        if self._life is None:
            return
        kept = _Kept(life=self._life, hashes=tuple(each.hex() for each in hashes))
        ensure_private_dir(self._paths.run)
        try:
            write_atomic(self._paths.pages_file, msgspec.json.encode(kept))
        except Problem as problem:
            if problem.reason.code != "disk-full":
                raise
            self.forget()
            log.warning("Open pages have to be opened anew after a restart: %s", problem.reason)

    def forget(self) -> None:
        """Remember nothing more: the end was in order. May be called again; raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            self._paths.pages_file.unlink()
            sync_folder(self._paths.run)
