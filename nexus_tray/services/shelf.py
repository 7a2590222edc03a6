"""Our own copies of the two programs: which version is in use, and which one it replaced.

Owns the folder of one program below our tools: a folder for each version, and `use.json`, which
says what is in use and what was before, each with the SHA-256 that it had when it came here. Only
`put` brings something in, and only what was checked. Imports the model and the store's atomic
write; any thread, one writer at a time (`fetches` sees to that).
"""

import contextlib
import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.services.transfer import synced
from nexus_tray.store.files import check_unwritable, ensure_private_dir, write_atomic

_VERSION = re.compile(r"\d[0-9A-Za-z.+-]{0,60}")
_MOST = 16 * 1024


class Copy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version here, and the SHA-256 that its program had when it was put here."""

    version: str
    sha256: str


class _Use(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    now: Copy
    before: Copy | None = None


@dataclass(frozen=True)
class Shelf:
    """The copies of one program: `folder` for all versions, `executable` the file's name."""

    folder: Path
    executable: str

    def at(self, version: str) -> Path:
        """Where this version stands, or would."""
        return self.folder / version / self.executable

    def present(self) -> tuple[str, Path] | None:
        """The version in use and its program; None: there is none of ours."""
        use = self._read()
        if use is not None and self.at(use.now.version).is_file():
            return use.now.version, self.at(use.now.version)
        newest = self._newest()
        return (newest, self.at(newest)) if newest else None

    def trusted(self) -> tuple[str, Path] | None:
        """As `present`, of what may be run: Problem when others could have put it there, or could
        change it, or what says which it is (SECURITY.md 35)."""
        own = self.present()
        if own is not None:
            places = [self.folder.parent, self.folder, own[1].parent, own[1]]
            note = self.folder / "use.json"
            for place in [*places, *([note] if os.path.lexists(note) else [])]:
                check_unwritable(place)
        return own

    def restorable(self) -> str | None:
        """The version that the last update replaced, if it is still here."""
        use = self._read()
        before = use.before if use else None
        return before.version if before and self.at(before.version).is_file() else None

    def put(self, version: str, checked: Path, sha256: str) -> Path:
        """Use this program from now on; what was in use is kept, what was before that is not.

        `checked`: a file on the same disk, whose SHA-256 was compared; it is moved. Raises OSError
        and Problem; then what was in use still is.
        """
        target, was = self.at(version), self.present()
        ensure_private_dir(target.parent)
        checked.chmod(0o755)
        synced(checked)
        os.replace(checked, target)  # noqa: PTH105 - named for what it is: atomic
        return self._take(version, sha256, was)

    def use(self, version: str, sha256: str) -> Path:
        """Use this version, which is here and has this SHA-256."""
        return self._take(version, sha256, self.present())

    def _take(self, version: str, sha256: str, was: tuple[str, Path] | None) -> Path:
        use = self._read()
        if use is not None and use.now.version == version:
            before = use.before
        elif was is None or was[0] == version:
            before = None
        else:
            known = use.now.sha256 if use and use.now.version == was[0] else digest(was[1])
            before = Copy(was[0], known)
        self._write(_Use(Copy(version, sha256), before))
        self._tidy({version, before.version if before else version})
        return self.at(version)

    def restore(self, name: str) -> str:
        """Go back to what the last update replaced; its version. Raises Problem."""
        use = self._read()
        before = use.before if use else None
        if before is None or not self.at(before.version).is_file():
            raise Problem(_nothing_before(name))
        if digest(self.at(before.version)) != before.sha256:
            raise Problem(_changed(name, before.version))
        self._write(_Use(before))
        return before.version

    def _read(self) -> _Use | None:
        """What `use.json` says; None when it is not there or cannot be understood: the newest
        version is then in use, as before there was such a file."""
        try:
            with (self.folder / "use.json").open("rb") as file:
                use = msgspec.json.decode(file.read(_MOST), type=_Use)
        except (OSError, msgspec.MsgspecError):
            return None
        copies = [use.now, *([use.before] if use.before else [])]
        return use if all(_VERSION.fullmatch(copy.version) for copy in copies) else None

    def _write(self, use: _Use) -> None:
        write_atomic(self.folder / "use.json", msgspec.json.encode(use))

    def _newest(self) -> str | None:
        with contextlib.suppress(OSError):
            found = [
                path.name
                for path in self.folder.iterdir()
                if _VERSION.fullmatch(path.name) and self.at(path.name).is_file()
            ]
            return max(found, key=key, default=None)
        return None

    def _tidy(self, kept: set[str]) -> None:
        """Remove the versions that are neither in use nor before it. What runs of them goes on
        where the system lets a running file be removed, else it stays until the next time."""
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                if _VERSION.fullmatch(path.name) and path.name not in kept and path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)


def key(version: str) -> tuple[int, ...]:
    """A version's numbers, for comparing."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def digest(path: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _nothing_before(name: str) -> Reason:
    return Reason(
        code="tool-nothing-before",
        hop=Hop.GATEWAY,
        what=f"There is no earlier {name} to go back to.",
        meaning="Nothing was changed. One is kept by each update.",
    )


def _changed(name: str, version: str) -> Reason:
    return Reason(
        code="tool-changed",
        hop=Hop.GATEWAY,
        what=f"The {name} {version} that was kept is not the one that was put there (SHA-256).",
        meaning="It was not run; what is in use stays in use.",
        cure="Look who may write into the folder of tools.",
    )
