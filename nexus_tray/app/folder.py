"""The project folder as a person sets it: checked before it is kept.

Owns the one rule that the settings' shape cannot say: the folder is there. Imports the model
and the settings. Any thread. Only changes that front ends ask for are checked: a folder that is
gone later is OpenCode's failure to start, with its own words.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.settings import Configuration


class Store(Protocol):
    """The settings' store."""

    def read(self) -> Configuration:
        """The settings in force."""

    def update(self, change: Mapping[str, object], etag: str | None) -> Configuration:
        """Merge and save."""


class CheckedFolder:
    """The settings' store, refusing a project folder that is none."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self) -> Configuration:
        """See Backend.config."""
        return self._store.read()

    def update(self, change: Mapping[str, object], etag: str | None) -> Configuration:
        """See Backend.update_config. Raises Problem "folder-missing" besides."""
        opencode = change.get("opencode")
        wished = opencode.get("directory") if isinstance(opencode, Mapping) else None
        if isinstance(wished, str) and wished and wished != self._present():
            fault = trouble(wished)
            if fault is not None:
                raise Problem(fault)
        return self._store.update(change, etag)

    def _present(self) -> str:
        return self._store.read().settings.opencode.directory


def trouble(folder: str) -> Reason | None:
    """Why this cannot be the project folder; None: it can."""
    if "\0" in folder:
        return _no_folder("There is a character in it that no folder has.")
    try:
        path = Path(folder).expanduser()
    except RuntimeError:
        return _no_folder("There is no such person on this computer.")
    if not path.is_absolute():
        return _no_folder("It has to begin with / (or ~).")
    try:
        if path.is_dir():
            return None
        there = path.exists()
    except OSError as error:
        return _no_folder(f"It cannot be looked at: {error.strerror or error}.")
    return _no_folder("That is a file." if there else "There is no such folder.")


def _no_folder(what: str) -> Reason:
    return Reason(
        code="folder-missing",
        hop=Hop.OPENCODE,
        what=what,
        meaning="The project folder was not changed.",
        cure="Name a folder that is there, with its whole path.",
    )
