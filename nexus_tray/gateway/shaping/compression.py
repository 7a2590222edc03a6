"""gzip for bodies on their way out, and the few that are kept compressed.

Pure but for the bounded store of kept bodies. Lives on the gateway's event loop; imports
the standard library and the gateway's values.
"""

import re
import zlib
from collections import OrderedDict

from nexus_tray.gateway.headers import Headers, once

LEVEL = 6
KEPT_BYTES = 24 * 1024 * 1024
"""OpenCode 1.18.33's assets are about 4 MB compressed."""

Key = tuple[bytes, str, int]


def accepts_gzip(headers: Headers) -> bool:
    """Whether the visitor takes gzip (RFC 9110, 12.5.3): named or `*`, and not with q=0."""
    return once(headers, _accepts_gzip)


def _accepts_gzip(headers: Headers) -> bool:
    listed = b",".join(value for name, value in headers if name == b"accept-encoding")
    weights: dict[str, float] = {}
    for item in listed.decode("latin-1").lower().split(","):
        coding, _, parameters = item.partition(";")
        found = re.search(r"(?:^|;)\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?:;|$)", parameters)
        weights[coding.strip()] = float(found[1]) if found else 1.0
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


class Gzip:
    """Compresses as it comes. `live`: nothing fed is held back (bodies of unknown length)."""

    def __init__(self, *, live: bool = False) -> None:
        self._zlib = zlib.compressobj(LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        self._live = live

    def feed(self, data: bytes) -> bytes:
        """The compressed bytes that are ready."""
        ready = self._zlib.compress(data)
        return ready + self._zlib.flush(zlib.Z_SYNC_FLUSH) if self._live else ready

    def finish(self) -> bytes:
        """The end of the gzip stream."""
        return self._zlib.flush()


class KeptBodies:
    """Compressed bodies, at most `max_bytes`; those not asked for the longest go first."""

    def __init__(self, max_bytes: int = KEPT_BYTES) -> None:
        self._max = max_bytes
        self._bodies: OrderedDict[Key, bytes] = OrderedDict()
        self.size = 0

    def get(self, key: Key) -> bytes | None:
        """The compressed body, if kept."""
        body = self._bodies.get(key)
        if body is not None:
            self._bodies.move_to_end(key)
        return body

    def put(self, key: Key, body: bytes) -> None:
        """Keep a body, in place of an older one and of those that no longer fit."""
        self.size += len(body) - len(self._bodies.pop(key, b""))
        self._bodies[key] = body
        while self.size > self._max:
            self.size -= len(self._bodies.popitem(last=False)[1])


class Keeping:
    """Compresses as it comes and keeps the whole, if it came to its announced length."""

    def __init__(self, kept: KeptBodies, key: Key) -> None:
        self._kept = kept
        self._key = key
        self._gzip = Gzip()
        self._parts: list[bytes] = []
        self._fed = 0

    def feed(self, data: bytes) -> bytes:
        """As Gzip does."""
        self._fed += len(data)
        ready = self._gzip.feed(data)
        self._parts.append(ready)
        return ready

    def finish(self) -> bytes:
        """As Gzip does; a body cut short is not kept."""
        rest = self._gzip.finish()
        self._parts.append(rest)
        if self._fed == self._key[2]:
            self._kept.put(self._key, b"".join(self._parts))
        return rest


class Kept:
    """Sends the kept body in place of what is fed."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def feed(self, data: bytes) -> bytes:
        """All at once, with the first bytes."""
        del data
        body, self._body = self._body, b""
        return body

    def finish(self) -> bytes:
        """What has not been sent, if nothing was fed."""
        return self.feed(b"")
