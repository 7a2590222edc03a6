"""The gateway's own static files: read once, served from memory, never by a visitor's path.

Owns the list of file types and the ETag rules. Imports `gateway.http`. `load` reads the
folder while the program is put together; the rest runs on the gateway's event loop.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus_tray.gateway.http import Request, Response

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


@dataclass(frozen=True)
class StaticFile:
    """One file as it is served."""

    kind: str
    body: bytes
    etag: str


def load(folder: Path) -> Mapping[str, StaticFile]:
    """The files of `ui/gateway` by name. Raises OSError: without them there are no pages."""
    return {
        path.name: StaticFile(TYPES[path.suffix], body, etag_of(body))
        for path in sorted(folder.iterdir())
        if path.suffix in TYPES
        for body in [path.read_bytes()]
    }


def etag_of(body: bytes) -> str:
    """A tag that changes with the content."""
    return f'"{hashlib.sha256(body).hexdigest()[:24]}"'


def tagged(request: Request, kind: str, body: bytes, etag: str, caching: str) -> Response:
    """The body with its tag, or 304 if the visitor has it."""
    fields = (("etag", etag), ("cache-control", caching))
    if _has(request, etag):
        return Response(304, fields)
    return Response(200, (("content-type", kind), *fields), body)


def serve(request: Request, file: StaticFile) -> Response:
    """`no-cache`: kept by the browser and asked about, so an update shows at once."""
    return tagged(request, file.kind, file.body, file.etag, "no-cache")


def _has(request: Request, etag: str) -> bool:
    """RFC 9110 13.1.2, weak comparison: Cloudflare weakens our tags when it compresses."""
    held = request.get(b"if-none-match") or ""
    return etag in [one.strip().removeprefix("W/") for one in held.split(",")]
