"""A passkey's authenticator and the browser before it, in software: what they would send.

Everything may be turned wrong by a word, as an attacker would: the page's origin, the RP ID, the
flags, the counter, the key.
"""

import base64
import hashlib
import json
import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cbor2
import webauthn  # noqa: F401 - before a socket waits for it: a busy machine loads it slowly
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

RIGHT: Mapping[str, Any] = {}
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def written(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """One passkey. `counter` is what the next answer says; None: it keeps none (0, always)."""

    counter: int | None = 1
    handle: bytes = b""
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def public_key(self) -> bytes:
        """As COSE has it (RFC 9053, ES256)."""
        numbers = self.key.public_key().public_numbers()
        x, y = (value.to_bytes(32, "big") for value in (numbers.x, numbers.y))
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})

    def _count(self) -> int:
        if self.counter is None:
            return 0
        self.counter += 1
        return self.counter - 1

    def make(self, options: dict[str, Any], origin: str, wrong: Mapping[str, Any] = RIGHT) -> str:
        """Answers `passkey-begin`."""
        self.handle = read(options["user"]["id"])
        flags = wrong.get("flags", PRESENT | VERIFIED) | ATTESTED
        about = struct.pack(">16sH", b"\0" * 16, len(self.credential_id))
        made = about + self.credential_id + self.public_key
        head = self._head(wrong.get("rp", options["rp"]["id"]), flags) + made
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": head})
        data = client_data("webauthn.create", options, origin, wrong)
        response = {"clientDataJSON": written(data), "attestationObject": written(attestation)}
        return self._answer(response)

    def use(self, options: dict[str, Any], origin: str, wrong: Mapping[str, Any] = RIGHT) -> str:
        """Answers `passkey-challenge`."""
        head = self._head(wrong.get("rp", options["rpId"]), wrong.get("flags", PRESENT | VERIFIED))
        data = client_data("webauthn.get", options, origin, wrong)
        key = wrong.get("key", self.key)
        signature = key.sign(head + hashlib.sha256(data).digest(), ec.ECDSA(SHA256()))
        response = {
            "clientDataJSON": written(data),
            "authenticatorData": written(head),
            "signature": written(signature),
            "userHandle": written(wrong.get("handle", self.handle)),
        }
        if wrong.get("nobody"):
            del response["userHandle"]
        return self._answer(response)

    def _head(self, rp: str, flags: int) -> bytes:
        count = struct.pack(">I", self._count())
        return hashlib.sha256(rp.encode()).digest() + bytes([flags]) + count

    def _answer(self, response: dict[str, str]) -> str:
        key = written(self.credential_id)
        return json.dumps({"id": key, "rawId": key, "type": "public-key", "response": response})


def client_data(kind: str, options: dict[str, Any], origin: str, wrong: Mapping[str, Any]) -> bytes:
    """What the browser says of the page that asked."""
    said = {
        "type": wrong.get("type", kind),
        "challenge": wrong.get("challenge", options["challenge"]),
        "origin": wrong.get("origin", origin),
        "crossOrigin": wrong.get("cross", False),
    }
    return json.dumps(said).encode()
