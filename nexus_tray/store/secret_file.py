"""The encrypted file of secrets, for systems without a keyring.

Owns its format: JSON with the key derivation's parameters and one sealed blob, all names
and values in it. The key comes from the user's passphrase by Argon2id (RFC 9106; the
costs of SECURITY.md "Passwords"), the seal is ChaCha20-Poly1305 (RFC 8439) under a new
random nonce at each write. Changed parameters give another key, so the seal does not open
then: they need no protection of their own. Imports the model and its own room;
`argon2` and `cryptography` only when first needed (FACTS.md, "Imports").

A `SecretFile` is not for several threads at once: `store.secrets` holds a lock.
"""

import contextlib
import os
from pathlib import Path
from typing import Any

import msgspec

from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store import files

SIZE_LIMIT = 1024 * 1024
PASSPHRASE_CHARACTERS = 12
_VERSION = 1
_SALT_BYTES = 16
_NONCE_BYTES = 12
_KEY_BYTES = 32


class _Derivation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Argon2id's parameters; memory in KiB. Bounded, so that a file cannot exhaust us."""

    salt: bytes
    time: int = 3
    memory: int = 64 * 1024
    lanes: int = 4

    def is_bounded(self) -> bool:
        costs = 1 <= self.time <= 16 and 1 <= self.lanes <= 16
        return costs and 8 * 1024 <= self.memory <= 1024 * 1024 and len(self.salt) >= _SALT_BYTES


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is on disk; bytes are base64 in JSON."""

    version: int
    argon2id: _Derivation
    nonce: bytes
    sealed: bytes


class _Versioned(msgspec.Struct, frozen=True):
    """What every version of the file says, whatever else it holds."""

    version: int


class SecretFile:
    """The opened file: its key is in memory, what it holds only while it is asked for."""

    def __init__(self, path: Path, derivation: _Derivation, key: bytes) -> None:
        self._path = path
        self._derivation = derivation
        self._key = key

    def read(self) -> dict[str, str]:
        """All names and values. Raises Problem ("secrets-passphrase-wrong" if never opened)."""
        return _open(_load(self._path), self._key)

    def write(self, values: dict[str, str]) -> None:
        """Seal and replace all of them, atomically. Raises Problem."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = _cipher(self._key).encrypt(nonce, msgspec.json.encode(values), None)
        content = _Sealed(_VERSION, self._derivation, nonce, sealed)
        files.ensure_private_dir(self._path.parent)
        files.write_atomic(self._path, msgspec.json.encode(content) + b"\n")


def open_file(path: Path, passphrase: str) -> SecretFile:
    """Open the file, or make an empty one if there is none; takes about 0.2 s of work.

    Raises Problem: "secrets-passphrase-wrong", "secrets-passphrase-short" (a new file
    wants at least 12 characters: who has the file may guess as long as he likes),
    "secrets-file-damaged", "secrets-file-newer", or as `store.files` does.
    """
    try:
        content = _load(path)
    except FileNotFoundError:
        if len(passphrase) < PASSPHRASE_CHARACTERS:
            raise Problem(_TOO_SHORT) from None
        derivation = _Derivation(salt=os.urandom(_SALT_BYTES))
        file = SecretFile(path, derivation, _derive(derivation, passphrase))
        file.write({})
        return file
    key = _derive(content.argon2id, passphrase)
    _open(content, key)
    return SecretFile(path, content.argon2id, key)


def _load(path: Path) -> _Sealed:
    data = files.read_private(path, SIZE_LIMIT)
    try:
        if msgspec.json.decode(data, type=_Versioned).version > _VERSION:
            raise Problem(_newer(path))
        content = msgspec.json.decode(data, type=_Sealed)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Problem(_damaged(path)) from None
    whole = len(content.nonce) == _NONCE_BYTES and content.argon2id.is_bounded()
    if content.version != _VERSION or not whole:
        raise Problem(_damaged(path))
    return content


def _open(content: _Sealed, key: bytes) -> dict[str, str]:
    from cryptography.exceptions import InvalidTag

    for header in (None, _first_header(content.argon2id)):
        with contextlib.suppress(InvalidTag):
            data = _cipher(key).decrypt(content.nonce, content.sealed, header)
            return msgspec.json.decode(data, type=dict[str, str])
    raise Problem(_WRONG)


def _first_header(derivation: _Derivation) -> bytes:
    """What the seals of the first files covered beside the secrets."""
    return b"nexus-tray secrets 1 " + msgspec.json.encode(derivation)


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key)


def _derive(derivation: _Derivation, passphrase: str) -> bytes:
    from argon2 import low_level

    return low_level.hash_secret_raw(
        passphrase.encode("utf-8", "surrogatepass"),
        derivation.salt,
        time_cost=derivation.time,
        memory_cost=derivation.memory,
        parallelism=derivation.lanes,
        hash_len=_KEY_BYTES,
        type=low_level.Type.ID,
    )


_WRONG = Reason(
    code="secrets-passphrase-wrong",
    hop=Hop.GATEWAY,
    what="This passphrase does not open the encrypted file of secrets.",
    meaning="The stored keys stay closed.",
    cure="Try again. If it is lost, move the file away and store the keys anew.",
)
_TOO_SHORT = Reason(
    code="secrets-passphrase-short",
    hop=Hop.GATEWAY,
    what=f"The passphrase has fewer than {PASSPHRASE_CHARACTERS} characters.",
    meaning="Who gets hold of the file could guess it. No file was made.",
    cure="Choose a longer one, such as four or five words.",
)


def _newer(path: Path) -> Reason:
    return Reason(
        code="secrets-file-newer",
        hop=Hop.GATEWAY,
        what=f"The encrypted file of secrets was written by a newer Nexus Tray: {path}",
        meaning="It is left untouched, and the stored keys cannot be read.",
        cure="Install the newer version again, or move the file away and store the keys anew.",
    )


def _damaged(path: Path) -> Reason:
    return Reason(
        code="secrets-file-damaged",
        hop=Hop.GATEWAY,
        what=f"The encrypted file of secrets is damaged: {path}",
        meaning="The stored keys cannot be read.",
        cure="Put a copy of it back, or move it away and store the keys anew.",
    )
