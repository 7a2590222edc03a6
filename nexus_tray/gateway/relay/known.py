"""Field lines that were read before: a browser sends the same ones with nearly every request.

Owns the memory of them, for all visitors of one gateway. Reading is a pure function of the bytes,
so a block that is equal byte for byte is not read again, and what was derived from its fields
(`gateway.http.Fields`) is still known. Nothing is judged here, and no judgement about anybody is
kept: who it is, and whether he may come in, is asked anew with each request. May import
`gateway.http` and `relay.heads`. Runs on the gateway's event loop.

cloudflared writes one field that differs with each request, Cf-Ray. Nobody behind us gets it
(`relay.fields` drops all of `cf-`) and nothing here reads it, so it is cut out before.
"""

import re

from nexus_tray.gateway.headers import Fields
from nexus_tray.gateway.relay.heads import RequestHead, parse_fields, parse_request

MOST_BLOCKS = 128
LONGEST_BLOCK = 8_192
"""Bytes; so that the whole is 1 MiB and what was read from it."""

_MARK = b"\r\nCf-Ray: "
_RAY = re.compile(rb"\r\nCf-Ray: [0-9A-Za-z-]{1,64}(?=\r\n)")


class KnownBlocks:
    """The blocks met last; the first to have come is the first to be forgotten."""

    def __init__(self, most: int = MOST_BLOCKS, longest: int = LONGEST_BLOCK) -> None:
        self._most = most
        self._longest = longest
        self._known: dict[bytes, Fields] = {}

    def parse_request(self, head: bytes) -> RequestHead:
        """As `relay.heads.parse_request`. Raises Refused."""
        return parse_request(head, self._fields)

    def _fields(self, block: bytes) -> Fields:
        if _MARK in block:
            block = _RAY.sub(b"", block, count=1)
        found = self._known.get(block)
        if found is None:
            found = parse_fields(block)
            if len(block) <= self._longest:
                self._keep(block, found)
        return found

    def _keep(self, block: bytes, found: Fields) -> None:
        if len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[block] = found

    def __len__(self) -> int:
        return len(self._known)
