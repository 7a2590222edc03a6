"""The web manifest and its icons, served from a copy of ours.

Browsers fetch a manifest without cookies, so it must be answered without a session; and
no request without a session may reach OpenCode. So the gateway itself fetches the three
paths, with its own credential, when OpenCode has started (`refresh`), and answers from
memory. Nothing that a visitor does makes it fetch. `local_copy` is called on the gateway's
event loop; refreshing may run beside it, for the copies are replaced in one step.
"""

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from nexus_tray.gateway.events.source import Refused, fetch
from nexus_tray.gateway.http import Request, Response, Upstream

PATHS = ("/site.webmanifest", "/web-app-manifest-192x192.png", "/web-app-manifest-512x512.png")
"""As OpenCode 1.18.33 names them (measured)."""
MAX_BYTES = 512 * 1024
FETCH_SECONDS = 10.0
MAX_AGE = "max-age=3600"


class _Manifest(msgspec.Struct):
    icons: list[dict[str, str]] = []


@dataclass(frozen=True)
class Copy:
    """One file as it is served."""

    kind: str
    body: bytes
    etag: str


class ManifestCopy:
    """The copy. Survives OpenCode's restarts; replaced file by file by what is newer."""

    def __init__(self, paths: Iterable[str] = PATHS) -> None:
        self._paths = tuple(paths)
        self._copies: dict[str, Copy] = {}

    async def refresh(self, upstream: Upstream) -> bool:
        """Fetch all files anew; False if one could not be had (its older copy stays).

        For whoever tells the gateway where OpenCode is: call it each time that is known.
        """
        copies = await asyncio.gather(*(self._fetch(upstream, path) for path in self._paths))
        newer = {
            path: copy for path, copy in zip(self._paths, copies, strict=True) if copy is not None
        }
        self._copies = self._copies | newer
        return None not in copies

    def local_copy(self, request: Request) -> Response | None:
        """The answer to a request for one of the files; None: not ours, or not fetched yet.

        Only GET and HEAD (the relay leaves out its body); the query is ignored.
        """
        copy = self._copies.get(request.path)
        if copy is None or request.method not in ("GET", "HEAD"):
            return None
        fields = (("etag", copy.etag), ("cache-control", MAX_AGE))
        if known(request.get(b"if-none-match"), copy.etag):
            return Response(304, fields)
        return Response(200, (("content-type", copy.kind), *fields), copy.body)

    async def _fetch(self, upstream: Upstream, path: str) -> Copy | None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                kind, body = await fetch(upstream, path, MAX_BYTES)
        except (OSError, TimeoutError, Refused):
            return None
        if kind == "text/html" or not body:
            return None  # OpenCode answers unknown paths with its page and 200
        if path.endswith(".webmanifest"):
            try:
                body = installable(body)
            except msgspec.DecodeError:
                return None
            kind = "application/manifest+json"
        return Copy(kind, body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def installable(manifest: bytes) -> bytes:
    """The manifest with its icons fit for any use. Raises DecodeError for what is none.

    Chromium installs a page as an app only with an icon for purpose "any"; OpenCode 1.18.33
    calls its icons "maskable" alone (measured: `manifest-missing-suitable-icon`).
    """
    content = msgspec.json.decode(manifest, type=_Manifest)
    purposes = [icon.get("purpose", "any").split() for icon in content.icons]
    if not purposes or any("any" in one for one in purposes):
        return manifest
    whole = msgspec.json.decode(manifest, type=dict[str, object])
    whole["icons"] = [icon | {"purpose": f"any {icon['purpose']}"} for icon in content.icons]
    return msgspec.json.encode(whole)


def known(if_none_match: str | None, etag: str) -> bool:
    """Whether the visitor has this very file (RFC 9110, 13.1.2: weak comparison)."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in tags or "*" in tags
