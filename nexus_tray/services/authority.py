"""The certificate authority for the local network's door, made on this machine, for it alone.

Owns the authority's file and that of the door's certificate, and when they are made anew.
Imports `store.files`; `cryptography` only when needed. No state but the files; the caller lets
one thread at a time write. Time is an argument, in epoch seconds.

Each file holds a key and its certificate, so that one never stands without the other: 0600, in
a 0700 folder. A file that cannot be read is left as it is and said: devices trust this
authority, and another one in its place would be a surprise.
"""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store import files

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

DAY = 86400.0
AUTHORITY_DAYS = 3650
DOOR_DAYS = 397
"""Apple refuses server certificates that are valid for longer than 398 days."""
RENEW_DAYS = 30
SKEW = DAY
"""Devices whose clock is behind by less than this believe a new certificate too."""

AUTHORITY, DOOR = "authority.pem", "door.pem"
_SIZE_LIMIT = 64 * 1024


@dataclass(frozen=True)
class Shown:
    """What of a certificate may be shown to anybody. `fingerprint`: SHA-256, as browsers do."""

    pem: str
    fingerprint: str
    not_after_at: float


@dataclass(frozen=True)
class Issued:
    """The door's certificate: the file with its key, until when it is good, whose it is."""

    file: Path
    fingerprint: str
    not_after_at: float
    authority: Shown


class Authority:
    """The authority in that folder. `machine` is how this computer is called."""

    def __init__(self, folder: Path, machine: str) -> None:
        self._folder = folder
        self._machine = machine

    def shown(self) -> Shown | None:
        """The authority's certificate; None: there is none yet. Raises Problem."""
        found = _load(self._folder / AUTHORITY)
        return _shown(found[1]) if found else None

    def issue(self, address: str, names: tuple[str, ...], now: float) -> Issued:
        """The door's certificate for these, made or renewed where that is due. Raises Problem."""
        files.ensure_private_dir(self._folder)
        key, above = self._authority(now)
        file = self._folder / DOOR
        found = _load(file)
        if found is None or _is_due(found[1], above, key, (address, *names), now):
            found = _new_door(key, above, (address, *names), now)
            files.write_atomic(file, _pem(*found))
        shown = _shown(found[1])
        return Issued(file, shown.fingerprint, shown.not_after_at, _shown(above))

    def _authority(self, now: float) -> "tuple[EllipticCurvePrivateKey, x509.Certificate]":
        """Its key stays for ever. The certificate is renewed while it outlives the door's, so
        that devices can be told in time, and what they trust already goes on to fit."""
        file = self._folder / AUTHORITY
        found = _load(file)
        if found is None:
            from cryptography.hazmat.primitives.asymmetric import ec

            key = ec.generate_private_key(ec.SECP256R1())
            found = key, _new_authority(key, self._machine, now)
            files.write_atomic(file, _pem(*found))
        key, certificate = found
        if _end(certificate) - now < (DOOR_DAYS + RENEW_DAYS) * DAY:
            certificate = _new_authority(key, self._machine, now, certificate.subject)
            files.write_atomic(file, _pem(key, certificate))
        return key, certificate


def fingerprint(certificate: "x509.Certificate") -> str:
    """SHA-256 in pairs, as browsers show it."""
    from cryptography.hazmat.primitives import hashes

    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def names_of(certificate: "x509.Certificate") -> frozenset[str]:
    """The host names and addresses that it is for, in lower case."""
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return frozenset()
    names = {name.lower() for name in found.get_values_for_type(x509.DNSName)}
    return frozenset(names | {str(one) for one in found.get_values_for_type(x509.IPAddress)})


def _load(file: Path) -> "tuple[EllipticCurvePrivateKey, x509.Certificate] | None":
    """Key and certificate that belong together; None: no file. Raises Problem."""
    try:
        data = files.read_private(file, _SIZE_LIMIT)
    except FileNotFoundError:
        return None
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(data, None)
        certificate = x509.load_pem_x509_certificate(data)
        fits = isinstance(key, ec.EllipticCurvePrivateKey) and (
            key.public_key() == certificate.public_key()
        )
    except (ValueError, TypeError):  # not chained: it may quote the file, which is a secret
        raise Problem(_damaged(file)) from None
    if not fits or not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Problem(_damaged(file))
    return key, certificate


def _is_due(
    certificate: "x509.Certificate",
    above: "x509.Certificate",
    key: "EllipticCurvePrivateKey",
    names: tuple[str, ...],
    now: float,
) -> bool:
    """It ends soon, has not begun, is for other names, or is not of this authority."""
    from cryptography.exceptions import InvalidSignature

    if _end(certificate) - now < RENEW_DAYS * DAY or now < _begin(certificate):
        return True
    if names_of(certificate) != frozenset(name.lower() for name in names):
        return True
    try:
        certificate.verify_directly_issued_by(above)
    except (InvalidSignature, ValueError, TypeError):
        return True
    return above.public_key() != key.public_key()


def _new_authority(
    key: "EllipticCurvePrivateKey", machine: str, now: float, name: "x509.Name | None" = None
) -> "x509.Certificate":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    if name is None:
        common = f"Nexus Tray on {machine}"[:64]  # ub-common-name, RFC 5280
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_time(now - SKEW))
        .not_valid_after(_time(now + AUTHORITY_DAYS * DAY))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _new_door(
    authority: "EllipticCurvePrivateKey",
    above: "x509.Certificate",
    names: tuple[str, ...],
    now: float,
) -> "tuple[EllipticCurvePrivateKey, x509.Certificate]":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    alternative = x509.SubjectAlternativeName([_general(name) for name in dict.fromkeys(names)])
    begin = now - SKEW
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Nexus Tray")]))
        .issuer_name(above.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_time(begin))
        .not_valid_after(_time(min(begin + DOOR_DAYS * DAY, _end(above))))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),
            critical=False,
        )
        .sign(authority, hashes.SHA256())
    )
    return key, certificate


def _usage(*, sign_certificates: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: "EllipticCurvePrivateKey", certificate: "x509.Certificate") -> bytes:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret + certificate.public_bytes(Encoding.PEM)


def _shown(certificate: "x509.Certificate") -> Shown:
    from cryptography.hazmat.primitives.serialization import Encoding

    pem = certificate.public_bytes(Encoding.PEM).decode("ascii")
    return Shown(pem, fingerprint(certificate), _end(certificate))


def _begin(certificate: "x509.Certificate") -> float:
    return certificate.not_valid_before_utc.timestamp()


def _end(certificate: "x509.Certificate") -> float:
    return certificate.not_valid_after_utc.timestamp()


def _time(at: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(at), datetime.UTC)


def _damaged(file: Path) -> Reason:
    return Reason(
        code="network-authority-damaged",
        hop=Hop.GATEWAY,
        what=f"{file} is damaged: it does not hold a key and its certificate.",
        meaning="The door for the local network stays shut.",
        cure="Put a copy of it back, or move it away: a new one is made then. A new authority "
        "has to be trusted anew by each device.",
    )
