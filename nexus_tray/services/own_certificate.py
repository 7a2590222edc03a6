"""A certificate of the person's own for the local network's door: whether it would do.

Owns that judgement and its words. Imports `cryptography` when needed; reads the two files and
writes nothing. Any thread. Time is an argument, in epoch seconds.
"""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.services.authority import DAY, fingerprint, names_of

if TYPE_CHECKING:
    from cryptography import x509

SOON = 30 * DAY
"""From then on its end is warned of: nobody renews it but its owner."""

_SIZE_LIMIT = 1024 * 1024


@dataclass(frozen=True)
class Own:
    """One that will do. `warning`: what should be done about it all the same."""

    fingerprint: str
    not_after_at: float
    warning: Reason | None


def judge(certificate: Path, key: Path, address: str, names: tuple[str, ...], now: float) -> Own:
    """Read both and see that they do for that address or one of these names.

    Raises Problem: unreadable, no match, out of date, or for other names altogether.
    """
    from cryptography import x509

    chain, secret = _read(certificate), _key(key)
    try:
        found = x509.load_pem_x509_certificates(chain)[0]
    except (ValueError, IndexError) as error:
        raise Problem(
            _reason("unreadable", f"{certificate} holds no certificate in PEM form.", _PATHS)
        ) from error
    if found.public_key() != secret.public_key():
        what = f"The key {key} does not belong to the certificate {certificate}."
        raise Problem(_reason("no-match", what, _PATHS))
    begin, end = found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()
    if not begin <= now < end:
        when = "has expired" if now >= end else "is not valid yet"
        what = f"The certificate {certificate} {when}."
        raise Problem(_reason("dates", what, "Look at this computer's date, then renew it."))
    missing = [name for name in (address, *names) if not _is_for(found, name)]
    if len(missing) == 1 + len(names):
        what = f"The certificate {certificate} is for other names than {', '.join(missing)}."
        cure = "Name here what it is for, or take one that is for these."
        raise Problem(_reason("names", what, cure))
    return Own(fingerprint(found), end, _warning(end - now, certificate))


def _warning(left: float, certificate: Path) -> Reason | None:
    if left >= SOON:
        return None
    days = int(left // DAY)
    when = {0: "within a day", 1: "in a day"}.get(days, f"in {days} days")
    return Reason(
        code="network-certificate-ends-soon",
        hop=Hop.GATEWAY,
        what=f"The certificate {certificate} ends {when}.",
        meaning="The door for the local network shuts then.",
        cure="Renew it in place: the new one is taken by itself.",
    )


def _is_for(certificate: "x509.Certificate", name: str) -> bool:
    known = names_of(certificate)
    try:
        return str(ipaddress.ip_address(name)) in known
    except ValueError:
        parent = name.partition(".")[2]
        return name in known or f"*.{parent}" in known


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_SIZE_LIMIT)
    except OSError as error:
        what = f"{file} could not be read ({error.strerror})."
        raise Problem(_reason("unreadable", what, _PATHS)) from error


def _key(file: Path) -> Any:
    """What `cryptography` makes of the key: it has many kinds of them."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read(file)
    try:
        return load_pem_private_key(data, None)
    except TypeError:  # none of these is chained: they may quote a secret
        what = f"The key {file} is locked with a passphrase, which nobody could type here."
        cure = "Take one without: openssl pkey -in KEY -out NEWKEY"
        raise Problem(_reason("locked", what, cure)) from None
    except (ValueError, UnsupportedAlgorithm):
        what = f"{file} holds no private key in PEM form."
        raise Problem(_reason("unreadable", what, _PATHS)) from None


_PATHS = "Correct the two paths, or leave both empty: a certificate is made here then."


def _reason(code: str, what: str, cure: str) -> Reason:
    return Reason(
        code=f"network-certificate-{code}",
        hop=Hop.GATEWAY,
        what=what,
        meaning="The door for the local network stays shut.",
        cure=cure,
    )
