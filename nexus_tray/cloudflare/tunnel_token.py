"""A tunnel's token, as Cloudflare shows it: found in what was pasted, and read.

Owns its shape. Pure; imports the model only; any thread. A token is base64 of a JSON object with
the account (`a`), the tunnel (`t`) and the secret (`s`, base64). Whoever has it can serve the
tunnel's names, so nothing of what was given is ever repeated: not in a Reason, not in a repr.
"""

import base64
import binascii
import re
import uuid
from dataclasses import dataclass, field

import msgspec

from nexus_tray.model import Hop, Problem, Reason

MOST = 4096
"""Characters that are looked at; a whole install line has about 300."""

_WORD = re.compile(r"[A-Za-z0-9+/_-]{40,2048}={0,2}")
_ACCOUNT = re.compile(r"[0-9a-f]{32}")
_BEGINS = "eyJ"  # base64 of `{"`


@dataclass(frozen=True)
class TunnelToken:
    """What a token says. `text`: the token itself, in the alphabet that cloudflared reads."""

    account_id: str
    tunnel_id: str
    text: str = field(repr=False)


class _Inside(msgspec.Struct):
    a: str
    t: str
    s: str


def parse(pasted: str) -> TunnelToken:
    """The token in `pasted`: itself, or a line that installs or runs cloudflared with it.

    Raises Problem ("tunnel-token-missing", "tunnel-token-many", "tunnel-token-broken").
    """
    if len(pasted) > MOST:
        raise Problem(_MISSING)
    words = [word for word in _WORD.findall(pasted) if word.startswith(_BEGINS)]
    found = dict.fromkeys(words)
    if not found:
        raise Problem(_BROKEN if _BEGINS in pasted else _MISSING)
    if len(found) > 1:
        raise Problem(_MANY)
    return _read(words[0])


def _read(word: str) -> TunnelToken:
    plain = word.rstrip("=").replace("-", "+").replace("_", "/")
    padded = plain + "=" * (-len(plain) % 4)
    try:
        inside = msgspec.json.decode(base64.b64decode(padded, validate=True), type=_Inside)
        tunnel = uuid.UUID(inside.t)
        secret = base64.b64decode(inside.s, validate=True)
    except (binascii.Error, msgspec.DecodeError, ValueError):
        # without the cause: it quotes what it could not read
        raise Problem(_BROKEN) from None
    account = inside.a.lower()
    if not _ACCOUNT.fullmatch(account) or str(tunnel) != inside.t.lower() or len(secret) < 16:
        raise Problem(_BROKEN)
    return TunnelToken(account, str(tunnel), padded)


_CURE = (
    "In Cloudflare's dashboard, open the tunnel (Networks > Tunnels) and copy the whole line that "
    "installs cloudflared; paste it here as it is."
)
_MISSING = Reason(
    code="tunnel-token-missing",
    hop=Hop.CLOUDFLARED,
    what="There is no tunnel token in what was given.",
    meaning="A token is one long word that begins with eyJ. Nothing was changed.",
    cure=_CURE,
)
_MANY = Reason(
    code="tunnel-token-many",
    hop=Hop.CLOUDFLARED,
    what="There is more than one tunnel token in what was given.",
    meaning="Nothing was changed.",
    cure="Paste the line of one tunnel only.",
)
_BROKEN = Reason(
    code="tunnel-token-broken",
    hop=Hop.CLOUDFLARED,
    what="This is no whole tunnel token.",
    meaning="A part of it is missing, or it is a token of another kind. Nothing was changed.",
    cure=_CURE,
)
