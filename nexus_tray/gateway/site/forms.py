"""What visitors fill in, made safe: form bodies, local paths, the Origin of a post.

Pure functions. Imports `gateway.http` only. Runs on the gateway's event loop.
"""

import re
import urllib.parse
from collections.abc import Mapping

from nexus_tray.gateway.http import PREFIX, Request

HOME = PREFIX
FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 200
_LONGEST_PATH = 1000
# Printable ASCII without the backslash, which browsers read as a slash (WHATWG URL 4.4).
_LOCAL = re.compile(r"/(?!/)[!-\[\]-~]*")


def local_path(path: str | None, otherwise: str = HOME) -> str:
    """`path` if a redirect to it stays on this host, else `otherwise` (SECURITY.md 14).

    Refused: what names another host (`//evil`, `/\\evil`, `https:`), what browsers strip
    before reading (tab, CR, LF), and what could end the header line. CWE-601, CWE-113.
    """
    if path and len(path) <= _LONGEST_PATH and _LOCAL.fullmatch(path):
        return path
    return otherwise


def with_next(page: str, path: str) -> str:
    """The address of a page of ours that leads on to `path`."""
    if path == HOME:
        return page
    return f"{page}{'&' if '?' in page else '?'}next={urllib.parse.quote(path, safe='/')}"


def query_value(request: Request, name: str) -> str | None:
    """The decoded value of a query parameter; None if absent, repeated or malformed."""
    return one(_fields(request.query), name)


def form(request: Request) -> Mapping[str, list[str]]:
    """The fields of a form's body, in order of first appearance; empty if it is none."""
    try:
        return _fields(request.body.decode("ascii"))
    except UnicodeDecodeError:
        return {}


def one(fields: Mapping[str, list[str]], name: str) -> str | None:
    """The value of a field that must be there once."""
    values = fields.get(name, [])
    return values[0] if len(values) == 1 else None


def is_form(request: Request) -> bool:
    """The body says that it is an ordinary form."""
    return (request.get(b"content-type") or "").partition(";")[0].strip().lower() == FORM


def same_origin(request: Request) -> bool:
    """The post came from a page of this very host. The relay asks too; this one is cheap."""
    return request.get(b"origin") == request.visitor.origin


def wants_page(request: Request) -> bool:
    """A person's browser asks, and would show a page."""
    return request.method in ("GET", "HEAD") and "text/html" in (request.get(b"accept") or "")


def _fields(encoded: str) -> dict[str, list[str]]:
    try:
        return urllib.parse.parse_qs(
            encoded, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except ValueError:  # too many fields, or no UTF-8 behind the percent signs
        return {}
