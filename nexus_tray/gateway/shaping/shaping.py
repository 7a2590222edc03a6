"""Changes OpenCode's answers on their way out: compressed, cacheable, with the bridge in.

Owns the decision (`Shaping`, a `gateway.http.Shape`) and the shaper that carries it out.
OpenCode 1.18.33 sends everything plain and without caching fields (measured: 2.7 MB of
script for each visit). Runs on the gateway's event loop; zlib takes about 2 ms for each
64 KiB that the relay feeds.

Decided on purpose:
* Event streams, partial answers (206), encoded ones and `no-transform` are left alone.
* HEAD gets the caching fields but no encoding: OpenCode answers it with a wrong length.
* No ETag is added: the status could not be changed to 304 here, and immutable assets are
  not asked for again. An ETag of OpenCode's becomes weak when its body is changed.
* Nothing is left to caches' own ideas: Cloudflare keeps `*.js` at its edge unless told
  not to, which would show it to visitors who never signed in. So all is `private`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from nexus_tray.gateway.headers import Headers
from nexus_tray.gateway.http import Request, Shaper, Upstream
from nexus_tray.gateway.shaping.compression import (
    KEPT_BYTES,
    Gzip,
    Keeping,
    Kept,
    KeptBodies,
    accepts_gzip,
)
from nexus_tray.gateway.shaping.csp import amended

SCRIPT = "/_nexus/bridge.js"
"""Where the site serves ui/gateway/bridge.js."""
SCRIPT_TAG = b'<script src="%b"></script>' % SCRIPT.encode()
IMMUTABLE = b"private, max-age=31536000, immutable"
SMALLEST = 1024
"""Shorter bodies gain nothing: they fit one packet anyway."""
HEAD_TAG = re.compile(rb"<head(?:\s[^>]*)?>", re.IGNORECASE)
HEAD_WITHIN = 16 * 1024

TEXTS = re.compile(
    r"text/(?!event-stream)[\w.+-]+|application/(javascript|json|wasm|xml|manifest\+json)"
    r"|[\w.-]+/[\w.-]+\+(json|xml)|font/(ttf|otf)"
)


class Stage(Protocol):
    """One change of the body."""

    def feed(self, data: bytes) -> bytes:
        """What these bytes become."""

    def finish(self) -> bytes:
        """What is left at the end."""


class Injection:
    """Puts the bridge's script first into the page's head, before any script of its own."""

    def __init__(self) -> None:
        self._held: bytes | None = b""

    def feed(self, data: bytes) -> bytes:
        """Hold back until the head begins; 16 KiB without one is no page for us."""
        if self._held is None:
            return data
        self._held += data
        found = HEAD_TAG.search(self._held)
        if found is None and len(self._held) < HEAD_WITHIN:
            return b""
        held, self._held = self._held, None
        if found is None:
            return held
        return (
            held[: found.end()]
            + b'<script src="%b"></script>' % SCRIPT.encode()
            + held[found.end() :]
        )

    def finish(self) -> bytes:
        """A page without a head is passed on as it is."""
        held, self._held = self._held or b"", None
        return held


@dataclass(frozen=True)
class Plan:
    """What is to be done with one response."""

    inject: bool = False
    gzip: bool = False
    keep: bool = False
    cache: bytes | None = None


NOTHING = Plan()


def plan(request: Request, status: int, headers: Headers) -> Plan:
    """Decide from the request and the response's head; see the module's text for why."""
    fields = dict(headers)
    kind, text = _kind(fields.get(b"content-type", b""))
    control = fields.get(b"cache-control", b"").lower()
    if kind == "text/event-stream" or status in (101, 204, 206, 304):
        return NOTHING
    html = kind in ("text/html", "application/xhtml+xml")
    asset = request.path.startswith("/assets/") and not html and status == 200
    cache = None if control else caching(kind, asset)
    length = fields.get(b"content-length", b"")
    plain = fields.get(b"content-encoding", b"identity").strip().lower() == b"identity"
    if request.method == "HEAD" or not plain or b"no-transform" in control:
        return _plan(cache=cache)
    size = int(length) if length.isdigit() else None
    return _plan(
        inject=kind == "text/html" and status == 200 and request.visitor.door.holds_events,
        gzip=text and (size is None or size >= SMALLEST) and accepts_gzip(request.headers),
        keep=asset and request.method == "GET" and size is not None and size <= KEPT_BYTES,
        cache=cache,
    )


@lru_cache(256)
def _kind(content_type: bytes) -> tuple[str, bool]:
    """The media type, and whether it is one that compresses well."""
    kind = content_type.split(b";")[0].strip().lower().decode("latin-1")
    return kind, TEXTS.fullmatch(kind) is not None


@lru_cache(64)
def _plan(
    *, inject: bool = False, gzip: bool = False, keep: bool = False, cache: bytes | None
) -> Plan:
    """One value for each plan there is: it is asked for with every answer."""
    made = Plan(inject, gzip, keep, cache)
    return NOTHING if made == NOTHING else made


def caching(kind: str, asset: bool) -> bytes:
    """Cache-Control for an answer that has none.

    Assets have the hash of their content in their names; a missing one answers 200 with
    the page (FACTS.md) and is no asset then. JSON holds conversations and provider keys
    and stays out of every store; pages may be kept for the back button.
    """
    if asset:
        return IMMUTABLE
    return b"no-store" if kind == "application/json" else b"private, no-cache"


class Shaping:
    """The gateway's `Shape`. Keeps compressed assets until OpenCode is started anew."""

    def __init__(self, upstream: Callable[[], Upstream | None]) -> None:
        self._upstream = upstream
        self._kept = KeptBodies()

    def __call__(self, request: Request, status: int, headers: Headers) -> Shaper | None:
        """A shaper for this response, or None to pass it on untouched."""
        decided = plan(request, status, headers)
        if decided is NOTHING:
            return None
        unchanged = not (decided.inject or decided.gzip)
        if decided.cache is not None and unchanged and request.method != "HEAD":
            return _Caching(decided.cache)  # HEAD's length may be wrong: it is left out below
        stages: list[Stage] = [Injection()] if decided.inject else []
        if decided.gzip:
            stages.append(self._gzip(request, headers, decided.keep))
        return _Shaper(decided, request.visitor.origin, stages)

    def _gzip(self, request: Request, headers: Headers, keep: bool) -> Stage:
        length = int(dict(headers).get(b"content-length", b"0"))
        where = self._upstream()
        if not keep or where is None:
            return Gzip(live=length == 0)
        # the per-start credential tells one OpenCode from the next, which may be newer
        key = (where.authorization, request.target, length)
        body = self._kept.get(key)
        return Kept(body) if body is not None else Keeping(self._kept, key)


class _Caching:
    """Only the caching field is added."""

    changes_body = False

    def __init__(self, cache: bytes) -> None:
        self._field = (b"cache-control", cache)

    def head(self, status: int, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """One field more."""
        del status
        return [*headers, self._field]

    def feed(self, data: bytes) -> bytes:
        """As it is."""
        return data

    def finish(self) -> bytes:
        """Nothing."""
        return b""


class _Shaper:
    """Carries out a plan."""

    changes_body = True

    def __init__(self, decided: Plan, origin: str, stages: Sequence[Stage]) -> None:
        self._plan = decided
        self._origin = origin
        self._stages = stages

    def head(self, status: int, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The fields to send; see `plan` for what decides them."""
        del status
        decided = self._plan
        out = [self._field(name, value) for name, value in headers]
        if self._stages:
            out = [(name, value) for name, value in out if name != b"accept-ranges"]
        if decided.gzip:
            out = [(name, value) for name, value in out if name != b"content-encoding"]
            out += [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
        if decided.cache is not None:
            out.append((b"cache-control", decided.cache))
        return out

    def _field(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        if name == b"content-security-policy" and self._plan.inject:
            return name, amended(value.decode("latin-1"), self._origin).encode("latin-1")
        if name == b"etag" and self._stages and not value.startswith(b"W/"):
            return name, b"W/" + value  # RFC 9110, 8.8.1: no longer the same bytes
        return name, value

    def feed(self, data: bytes) -> bytes:
        """Through every stage in turn."""
        for stage in self._stages:
            data = stage.feed(data) if data else data
        return data

    def finish(self) -> bytes:
        """The rest of each stage through those after it."""
        rest = b""
        for stage in self._stages:
            rest = (stage.feed(rest) if rest else b"") + stage.finish()
        return rest
