"""The certificate that a browser meets at a public address: its facts, and what is wrong with it.

Owns the reading of a certificate and the words about it. Pure, but for `unverified`, which
connects once more where the certificate was refused, to tell why. Imports the reports and the
standard library; `cryptography` only for a certificate that was refused. Any thread.
"""

import socket
import ssl
from dataclasses import dataclass
from typing import Any

from nexus_tray.model import Hop, Reason
from nexus_tray.reports import CertificateReport

SOON = 14 * 86400.0
"""Seconds before its end from which a certificate is warned about."""

_NOT_YET, _EXPIRED, _WRONG_NAME = 9, 10, 62  # X509_V_ERR_* of OpenSSL


@dataclass(frozen=True)
class Certificate:
    """What a certificate says. Times in epoch seconds; `chain`: subjects, from it upwards."""

    issuer: str = ""
    names: tuple[str, ...] = ()
    not_before_at: float | None = None
    not_after_at: float | None = None
    chain: tuple[str, ...] = ()


def as_a_browser(trust: str | None = None) -> ssl.SSLContext:
    """What a browser demands of a certificate. Python 3.13 would demand more (RFC 5280 to the
    letter), and refuse authorities that browsers believe. `trust`: a PEM file of the only
    authority believed, or None for the system's."""
    context = ssl.create_default_context(cafile=trust)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def verified(secure: ssl.SSLSocket) -> Certificate:
    """What a certificate that was believed says."""
    said: dict[str, Any] = dict(secure.getpeercert() or {})
    subject, issuer = _common(said.get("subject", ())), _common(said.get("issuer", ()))
    return Certificate(
        issuer=issuer,
        names=tuple(str(name) for _, name in said.get("subjectAltName", ())),
        not_before_at=_seconds(said.get("notBefore")),
        not_after_at=_seconds(said.get("notAfter")),
        chain=_chain(secure) or tuple(name for name in (subject, issuer) if name),
    )


def unverified(hostname: str, address: tuple[str, int], limit: float) -> Certificate | None:
    """What a certificate that was refused says, by a connection that sends nothing; None: it
    could not be had."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(address, timeout=limit) as plain,
            context.wrap_socket(plain, server_hostname=hostname) as secure,
        ):
            raw = secure.getpeercert(binary_form=True)
        return _parsed(raw) if raw else None
    except (OSError, ValueError):
        return None


def judged(
    hostname: str,
    certificate: Certificate | None,
    trouble: Reason | None,
    at: float,
    *,
    trusted: bool,
) -> CertificateReport:
    """The report, with a warning where it ends soon. `at`: when it was looked at (epoch)."""
    known = certificate or Certificate()
    reason = trouble
    if reason is None and known.not_after_at is not None and known.not_after_at - at < SOON:
        reason = ends_soon(hostname, int((known.not_after_at - at) // 86400))
    return CertificateReport(
        hostname=hostname,
        trusted=trusted,
        checked_at=at,
        issuer=known.issuer,
        names=known.names,
        not_before_at=known.not_before_at,
        not_after_at=known.not_after_at,
        chain=known.chain,
        reason=reason,
    )


def refused(hostname: str, error: ssl.SSLError) -> Reason:
    """Why a browser would not believe it."""
    code = getattr(error, "verify_code", None)
    if code in (_EXPIRED, _NOT_YET):
        when = "has expired" if code == _EXPIRED else "is not valid yet"
        return _reason(
            "expired",
            f"The certificate of {hostname} {when}.",
            "Look at this computer's date first. If that is right, look at the zone's"
            " edge certificates in Cloudflare's dashboard.",
        )
    if code == _WRONG_NAME:
        return _reason(
            "wrong-name",
            f"The certificate that {hostname} shows is for other names.",
            "A name with several labels before the domain needs a certificate of its own at"
            " Cloudflare; take a name directly below the domain, or order one.",
        )
    if code is not None:
        return _reason(
            "untrusted",
            f"This computer does not trust who signed the certificate of {hostname}.",
            "Something between here and Cloudflare may be reading along (a company's proxy,"
            " an antivirus program). Try another network.",
        )
    return _reason(
        "missing",
        f"{hostname} offers no certificate for this name.",
        "A new domain's certificate takes up to a day at Cloudflare; a name with several"
        " labels before the domain needs one of its own.",
    )


def ends_soon(hostname: str, days: int) -> Reason:
    """It is still good, and not for long."""
    when = {0: "within a day", 1: "in a day"}.get(days, f"in {days} days")
    return Reason(
        code="certificate-ends-soon",
        hop=Hop.EDGE,
        what=f"The certificate of {hostname} ends {when}.",
        meaning="Cloudflare renews its own in time; one that was uploaded there it does not.",
        cure="Look at the zone's edge certificates in Cloudflare's dashboard.",
    )


def _reason(code: str, what: str, cure: str) -> Reason:
    meaning = "Browsers warn and do not open the page."
    return Reason(code=f"certificate-{code}", hop=Hop.EDGE, what=what, meaning=meaning, cure=cure)


def _common(name: Any) -> str:
    """The common name, or else the organisation, of a name as `ssl` tells it."""
    parts = {str(key): str(value) for group in name for key, value in group}
    return parts.get("commonName") or parts.get("organizationName", "")


def _seconds(text: object) -> float | None:
    return float(ssl.cert_time_to_seconds(text)) if isinstance(text, str) else None


def _chain(secure: ssl.SSLSocket) -> tuple[str, ...]:
    """The subjects of the chain that was believed; empty before Python 3.13, which tells it."""
    tell = getattr(secure, "get_verified_chain", None)
    if tell is None:
        return ()
    from cryptography import x509

    return tuple(_short(x509.load_der_x509_certificate(one).subject) for one in tell())


def _parsed(raw: bytes) -> Certificate:
    from cryptography import x509

    read = x509.load_der_x509_certificate(raw)
    try:
        alternative = read.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = tuple(str(name.value) for name in alternative.value)
    except (x509.ExtensionNotFound, ValueError):
        names = ()
    subject, issuer = _short(read.subject), _short(read.issuer)
    return Certificate(
        issuer=issuer,
        names=names,
        not_before_at=read.not_valid_before_utc.timestamp(),
        not_after_at=read.not_valid_after_utc.timestamp(),
        chain=tuple(dict.fromkeys(name for name in (subject, issuer) if name)),
    )


def _short(name: Any) -> str:
    """As `_common`, of a name as `cryptography` tells it."""
    from cryptography.x509.oid import NameOID

    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        found = name.get_attributes_for_oid(kind)
        if found:
            return str(found[0].value)
    return ""
