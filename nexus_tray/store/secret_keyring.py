"""The system's keyring, asked so that it can neither hang us nor be another than it seems.

Owns the choice of the backend and the time limit. Imports the model; `keyring` by name,
in the asking thread, when first needed (FACTS.md, "Imports"). Any thread may ask.

A locked collection may block for ever (FACTS.md), so each question runs in a thread of
its own that nobody waits for longer than the limit (SECURITY.md 34). Only the backends
named here are used: never what the environment, a configuration file or an installed
plug-in offers, which could be plain text.
"""

import importlib
import re
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from nexus_tray.model import Hop, Problem, Reason

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
# Keyrings cannot be asked which entries they hold, so one entry names the others.
_INDEX = "names"
_BACKENDS = {
    "win32": ("keyring.backends.Windows:WinVaultKeyring",),
    "darwin": ("keyring.backends.macOS:Keyring",),
}.get(
    sys.platform, ("keyring.backends.SecretService:Keyring", "keyring.backends.kwallet:DBusKeyring")
)

Answer = TypeVar("Answer")


class Keyring:
    """Named secrets in the keyring, and one entry that names them."""

    def __init__(self, service: str, time_limit: float) -> None:
        self._service = service
        self._time_limit = time_limit
        self._backend: Any = None
        self._asking = threading.Lock()
        self._hanging: threading.Thread | None = None

    def names(self) -> list[str]:
        """What is stored. Raises Problem: LOCKED, NO_KEYRING, "secrets-keyring-failed"."""
        return self._ask(lambda backend: self._index(backend))

    def all(self) -> dict[str, str]:
        """Every name with its secret. Raises as `names` does."""

        def read(backend: Any) -> dict[str, str]:
            found = {name: self._get(backend, name) for name in self._index(backend)}
            return {name: secret for name, secret in found.items() if secret is not None}

        return self._ask(read)

    def locked_away(self) -> bool:
        """Whether something is stored in a keyring that is locked. Opens no window where the
        keyring can be asked without; elsewhere it may. Raises as `names` does."""
        return self._ask(lambda backend: _locked_away(backend, self._service))

    def set(self, name: str, secret: str) -> None:
        """Store one. Raises as `names` does; a keyring that was only slow may have stored it."""

        def write(backend: Any) -> None:
            names = self._index(backend)
            # The index first: an entry that it lacks could never be found or deleted again.
            if name not in names:
                self._put(backend, _INDEX, msgspec.json.encode(sorted({*names, name})).decode())
            self._put(backend, f"secret:{name}", secret)

        self._ask(write)

    def delete(self, name: str) -> None:
        """Forget one, if it is there. Raises as `names` does."""

        def remove(backend: Any) -> None:
            names = self._index(backend)
            if name not in names:
                return
            if self._get(backend, name) is not None:
                backend.delete_password(self._service, f"secret:{name}")
            names.remove(name)
            if names:
                self._put(backend, _INDEX, msgspec.json.encode(names).decode())
            else:  # nothing of ours is left, and who only looks shall see that
                backend.delete_password(self._service, _INDEX)

        self._ask(remove)

    def _index(self, backend: Any) -> list[str]:
        if _would_make_one(backend):
            return []
        content = backend.get_password(self._service, _INDEX)
        names = msgspec.json.decode(content, type=list[str]) if content else []
        return [name for name in names if NAME.fullmatch(name)]

    def _get(self, backend: Any, name: str) -> str | None:
        found: str | None = backend.get_password(self._service, f"secret:{name}")
        return found

    def _put(self, backend: Any, entry: str, text: str) -> None:
        backend.set_password(self._service, entry, text)

    def _ask(self, question: Callable[[Any], Answer]) -> Answer:
        """Ask in a thread; a Problem when it fails or is not done in time.

        While an earlier question hangs, no other is put to it: refused at once.
        """
        with self._asking:
            if self._hanging is not None and self._hanging.is_alive():
                raise Problem(LOCKED)
            answers: list[Answer] = []
            faults: list[Reason] = []

            def work() -> None:
                # Whatever a backend raises may quote what it was given, so only the kind of
                # the exception leaves this thread.
                try:
                    self._backend = self._backend or _find_backend()
                    answers.append(question(self._backend))
                except Problem as problem:
                    faults.append(problem.reason)
                except Exception as error:  # noqa: BLE001
                    faults.append(_fault(type(error).__name__))

            self._hanging = threading.Thread(target=work, name="keyring", daemon=True)
            self._hanging.start()
            self._hanging.join(self._time_limit)
            if answers:
                return answers[0]
            raise Problem(faults[0] if faults else LOCKED)


def _find_backend() -> Any:
    """The first allowed backend that works here. Blocks as long as it likes."""
    for name in _BACKENDS:
        module, kind = name.split(":")
        backend = getattr(importlib.import_module(module), kind)
        if backend.viable:
            return backend()
    raise Problem(NO_KEYRING)


def _would_make_one(backend: Any) -> bool:
    """Whether there is no keyring yet, so that a mere look would have one made.

    The Secret Service then asks its user to choose a password for it: at the first start, out
    of the blue. It shall come when there is something to keep.
    """
    if type(backend).__module__ != "keyring.backends.SecretService":
        return False
    secretstorage = importlib.import_module("secretstorage")
    connection = secretstorage.dbus_init()
    try:
        secretstorage.Collection(connection)
    except secretstorage.ItemNotFoundException:
        return True
    finally:
        connection.close()
    return False


def _locked_away(backend: Any, service: str) -> bool:
    """The Secret Service finds what is locked too, without opening it (its `SearchItems`)."""
    if type(backend).__module__ != "keyring.backends.SecretService":
        backend.get_password(service, _INDEX)
        return False
    secretstorage = importlib.import_module("secretstorage")
    connection = secretstorage.dbus_init()
    try:
        found = secretstorage.search_items(connection, {"service": service})
        return any(item.is_locked() for item in found)
    finally:
        connection.close()


def _fault(kind: str) -> Reason:
    """A keyring's exception, by its kind, as a person would say it."""
    if kind in ("KeyringLocked", "LockedException", "PromptDismissedException", "InitError"):
        return LOCKED
    return Reason(
        code="secrets-keyring-failed",
        hop=Hop.GATEWAY,
        what=f"The system's keyring did not do what it was asked ({kind}).",
        meaning="The stored keys are out of reach.",
        cure="Look whether the keyring works for other programs, then try again.",
    )


LOCKED = Reason(
    code="secrets-locked",
    hop=Hop.GATEWAY,
    what="The system's keyring is locked or does not answer.",
    meaning="Stored keys are out of reach until it is unlocked.",
    cure="Unlock it (a window of your desktop may be asking), then try again. Without a desktop, "
    "nexus-tray secret unlock keeps keys in an encrypted file instead.",
)
NO_KEYRING = Reason(
    code="secrets-no-keyring",
    hop=Hop.GATEWAY,
    what="This system offers no keyring.",
    meaning="Keys are not kept in plain text, so none are kept yet.",
    cure="Choose a passphrase with nexus-tray secret unlock: keys are then kept in a file that "
    "is encrypted with it.",
)
