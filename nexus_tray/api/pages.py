"""The dashboard's files: read once, served from memory, never by a visitor's path.

Owns their types, their caching and the strict policy they run under. They are the same on
every machine and hold nothing secret, so they need no token; the guard's other rules
(exact Host, Origin) hold for them too. Standard library only. `load` reads the folder when
the program is put together; the rest runs in the thread of a request.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus_tray.api.guard import Head

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # What a log line says can not become markup even by a mistake of ours.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

FIELDS = (
    ("Cache-Control", "no-cache"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
)
"""`no-cache`: kept by the browser and asked about, so an update shows at once."""


@dataclass(frozen=True)
class Page:
    """One file as it is served."""

    kind: str
    body: bytes
    etag: str


Pages = Mapping[str, Page]
"""By path of the request; `/` is index.html."""


def load(folder: Path) -> Pages:
    """Every file of a known type below `folder`. Raises OSError."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in TYPES and path.is_file():
            name = "/" + path.relative_to(folder).as_posix()
            body = path.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
            found["/" if name == "/index.html" else name] = Page(TYPES[path.suffix], body, etag)
    return found


def has(head: Head, page: Page) -> bool:
    """Whether the browser has this very file (RFC 9110 13.1.2, weak comparison)."""
    held = ",".join(head.all("if-none-match"))
    return page.etag in [one.strip().removeprefix("W/") for one in held.split(",")]
