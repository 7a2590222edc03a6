"""The certificate that signing in at Cloudflare gives: what it says, for which zone.

Owns the reading of `cert.pem` (recordings of the lab; cloudflared's `credentials` package). Its
API token is secret: it stands in no repr and in no error. Pure; any thread.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field

import msgspec

from nexus_tray.model import Hop, Problem, Reason

_BLOCK = re.compile(
    rb"-----BEGIN ARGO TUNNEL TOKEN-----\s+([A-Za-z0-9+/=\s]+?)-----END ARGO TUNNEL TOKEN-----"
)
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class OriginCertificate:
    """What may be done in one zone of one account."""

    zone_id: str
    account_id: str
    api_token: str = field(repr=False)


class _Content(msgspec.Struct):
    zoneID: str = ""  # noqa: N815 - Cloudflare's spelling
    accountID: str = ""  # noqa: N815
    apiToken: str = ""  # noqa: N815


def parse(data: bytes) -> OriginCertificate:
    """What the file says. Raises Problem when it is no such certificate, or not whole."""
    found = _BLOCK.search(data)
    try:
        content = msgspec.json.decode(base64.b64decode(found[1] if found else b""), type=_Content)
    except (binascii.Error, msgspec.MsgspecError) as error:
        raise Problem(NOT_ONE) from error
    if not (_ID.fullmatch(content.zoneID) and _ID.fullmatch(content.accountID)):
        raise Problem(NOT_ONE)
    if not content.apiToken or not content.apiToken.isprintable() or " " in content.apiToken:
        raise Problem(NOT_ONE)
    return OriginCertificate(content.zoneID, content.accountID, content.apiToken)


NOT_ONE = Reason(
    code="origin-certificate",
    hop=Hop.CLOUDFLARED,
    what="This file is no certificate of Cloudflare's for a zone, or it is not whole.",
    meaning="Nothing can be made with it.",
    cure="Sign in at Cloudflare again: nexus-tray tunnel login",
)
