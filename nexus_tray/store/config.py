"""The settings on disk: loaded, migrated, changed one at a time, never lost.

Owns `config.json`, its last good copy `config.json.good` and the `.vN` copies made
before a migration. Imports the model, the settings, the paths and its own room. Any
thread may call any method; changes stand in one queue (a lock): verify, commit, notify.

What the file says is always either the settings before a change or after it (atomic
writes, SECURITY.md 36). A file that cannot be read is never taken for "no settings":
everything raises Problem until it is mended, so nothing becomes public by default.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.paths import Paths
from nexus_tray.settings import SCHEMA_VERSION, Configuration, Settings
from nexus_tray.store import config_document as document
from nexus_tray.store import files

SIZE_LIMIT = 1024 * 1024
Listener = Callable[[Configuration], None]


class ConfigStore:
    """The settings of this user; one store per process."""

    def __init__(self, paths: Paths) -> None:
        self._file = paths.config_file
        self._good = self._file.with_name(self._file.name + ".good")
        self._queue = threading.Lock()
        self._current: Configuration | None = None
        self._listeners: list[Listener] = []

    def load(self) -> Configuration:
        """Read the file; none means the defaults. An older schema is migrated, copy first.

        Raises Problem: "config-damaged", "config-invalid", "config-newer", or as
        `store.files` does. The file itself is then left exactly as it is.
        """
        with self._queue:
            self._current = self._from_disk()
            return self._current

    def read(self) -> Configuration:
        """The settings in force. The first call loads them and raises as `load` does."""
        return self._current or self.load()

    def update(self, change: Mapping[str, object], etag: str | None = None) -> Configuration:
        """Merge `change` (RFC 7396; null puts a setting back to its default) and save.

        With `etag`, only if it is still the present one. Settings edited by hand since
        they were loaded are what the change is merged into. Raises Problem
        ("config-changed", "config-invalid", or the disk's); then nothing is changed.
        Listeners have been told when this returns.
        """
        with self._queue:
            before = self._current or self._from_disk()
            if self._file.exists():
                before = self._from_disk()
            if etag is not None and etag != before.etag:
                raise Problem(_changed())
            wished = document.merged(document.builtins(before.settings), change)
            after = self._commit(document.decode(wished), before)
            if after != self._current:
                self._tell(after)
            return after

    def listen(self, listener: Listener) -> None:
        """Have every later change told, in order, by the changing thread.

        A listener must be quick and must not change settings itself; posting to an inbox
        is what it is for.
        """
        with self._queue:
            self._listeners.append(listener)

    def last_good(self) -> Configuration | None:
        """The newest settings that were in force, from their own copy; None without one.

        Raises Problem when the copy cannot be read either.
        """
        try:
            data = files.read_private(self._good, SIZE_LIMIT)
        except FileNotFoundError:
            return None
        return _configuration(document.decode(document.migrate(document.parse(data))))

    def restore_last_good(self, now: float) -> Configuration:
        """Put the last good copy in force; the damaged file is kept aside under a dated name.

        `now` in seconds since the epoch. Raises Problem "config-no-good-copy" without one.
        """
        with self._queue:
            good = self.last_good()
            if good is None:
                raise Problem(_no_good_copy(self._good))
            if self._file.exists():  # it stays until then: none would mean the defaults
                files.keep_aside(self._file, now)
            files.write_atomic(self._file, document.encode(good.settings))
            self._tell(good)
            return good

    def _from_disk(self) -> Configuration:
        """The file's settings; the caller holds the queue. Migrates, and keeps the good copy."""
        if self._file.parent.exists():  # who may write there could put another file in place
            files.ensure_private_dir(self._file.parent)
        try:
            data = files.read_private(self._file, SIZE_LIMIT)
        except FileNotFoundError:
            return _configuration(Settings())
        try:
            found = document.parse(data)
            version = document.version_of(found)
            loaded = _configuration(document.decode(document.migrate(found)))
        except Problem as problem:
            raise Problem(self._about_file(problem.reason)) from problem
        if version < SCHEMA_VERSION:
            files.write_atomic(self._file.with_name(f"{self._file.name}.v{version}"), data)
            files.write_atomic(self._file, document.encode(loaded.settings))
        self._keep_good(loaded.settings)
        return loaded

    def _commit(self, settings: Settings, before: Configuration) -> Configuration:
        after = _configuration(settings)
        if after != before:
            files.ensure_private_dir(self._file.parent)
            # The copy first: should the second write fail, the change failed as a whole,
            # and the next load puts the copy right.
            self._keep_good(settings)
            files.write_atomic(self._file, document.encode(settings))
        return after

    def _keep_good(self, settings: Settings) -> None:
        data = document.encode(settings)
        try:
            same = files.read_private(self._good, SIZE_LIMIT) == data
        except FileNotFoundError:
            same = False
        if not same:
            files.write_atomic(self._good, data)

    def _tell(self, configuration: Configuration) -> None:
        self._current = configuration
        for listener in self._listeners:
            listener(configuration)

    def _about_file(self, reason: Reason) -> Reason:
        """The reason, saying which file it is and how to put the good copy back, if any."""
        if reason.code == "config-newer":
            cure = f"{reason.cure} The file: {self._file}"
            return msgspec.structs.replace(reason, cure=cure)
        cure = f"{reason.cure} Correct the file {self._file}"
        if self._good.exists():
            cure += f", or copy the last good settings over it: {self._good}"
        meaning = "Nothing is started without settings, so that nothing is reachable by mistake."
        return msgspec.structs.replace(reason, meaning=meaning, cure=cure.strip())


def _configuration(settings: Settings) -> Configuration:
    etag = hashlib.sha256(document.encode(settings)).hexdigest()[:16]
    return Configuration(etag=etag, settings=settings)


def _changed() -> Reason:
    return Reason(
        code="config-changed",
        hop=Hop.GATEWAY,
        what="The settings were changed elsewhere meanwhile.",
        meaning="Yours were not saved, so that the others are not lost.",
        cure="Load the settings anew, then make your change again.",
    )


def _no_good_copy(path: Path) -> Reason:
    return Reason(
        code="config-no-good-copy",
        hop=Hop.GATEWAY,
        what=f"There is no copy of good settings ({path}).",
        meaning="Nothing was changed.",
        cure="Correct the file of settings, or move it away to begin with the defaults.",
    )
