"""Answers of our own as bytes: framing, the standing security fields, and plain short pages.

Pure. May import `gateway.http`, `gateway.heads`, `gateway.fields` and the standard library.
Runs on the gateway's event loop.
"""

import html
import json
from http import HTTPStatus

from nexus_tray.gateway.http import Preview, Request, Response
from nexus_tray.gateway.relay import heads

POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

STANDING = (
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "strict-origin"),
    ("cache-control", "no-store"),
    ("content-security-policy", POLICY),
)
"""On every answer of ours, unless it brings its own (SECURITY.md 14). `strict-origin`, not
`no-referrer`: with that a form without script posts `Origin: null`."""

_RELAYS_OWN = frozenset(("content-length", "transfer-encoding", "connection"))


def phrase(status: int) -> str:
    """The usual reason phrase; nothing reads it."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def render(response: Response, *, method: str, keep: bool) -> bytes:
    """The whole answer. ValueError if a field would become something else (CWE-113)."""
    own = {name.lower() for name, _ in response.headers}
    fields = [(name.lower(), value) for name, value in response.headers]
    fields += [(name, value) for name, value in STANDING if name not in own]
    lines = [
        (name.encode("ascii"), value.encode("latin-1"))
        for name, value in fields
        if name not in _RELAYS_OWN
    ]
    for name, value in lines:
        if not heads.is_field(b"%b: %b" % (name, value)):
            raise ValueError(f"the field {name!r} cannot be sent")
    if response.status not in (204, 304):
        lines.append((b"content-length", b"%d" % len(response.body)))
    if not keep:
        lines.append((b"connection", b"close"))
    head = heads.write_response(response.status, phrase(response.status), lines)
    return head if method == "HEAD" or response.status in (204, 304) else head + response.body


def plain(status: int, why: str) -> Response:
    """A refusal in one sentence. Plain text: whoever sent a broken request reads no pages."""
    body = (why + "\n").encode()
    return Response(status, (("content-type", "text/plain; charset=utf-8"),), body, close=True)


def for_api(status: int, why: str) -> Response:
    """A refusal as OpenCode's own clients read one: `name`, and `data` with a `message` (measured
    on 1.18.33), for whoever bears an API token."""
    body = json.dumps({"name": "Refused", "data": {"message": why}, "message": why}).encode()
    return Response(status, (("content-type", "application/json"),), body, close=True)


def page(request: Request, status: int, title: str, text: str, retry: int) -> Response:
    """A short page about OpenCode's absence, which looks again by itself after `retry` s."""
    fields = (("retry-after", str(retry)),)
    if "text/html" not in (request.get(b"accept") or ""):
        kind = ("content-type", "text/plain; charset=utf-8")
        return Response(status, (*fields, kind), f"{title} {text}\n".encode())
    again = f'<meta http-equiv="refresh" content="{retry}">' if request.method == "GET" else ""
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'{again}<link rel="stylesheet" href="/_nexus/style.css">'
        f"<title>{html.escape(title)}</title></head><body><main>"
        f"<h1>{html.escape(title)}</h1><p>{html.escape(text)}</p></main></body></html>\n"
    )
    return Response(status, (*fields, ("content-type", "text/html; charset=utf-8")), body.encode())


def not_now(request: Request) -> Response:
    """It cannot be forwarded just now: OpenCode is off, or too much is under way to previews."""
    if request.visitor.preview is None:
        return opencode_is_off(request)
    text = "Too many requests to previews are waiting for their answers just now."
    return page(request, 503, "One moment.", text, 5)


def failed(request: Request, why: str) -> Response:
    """Whom it was forwarded to did not answer; `why`, for a preview's owner."""
    preview = request.visitor.preview
    if preview is None:
        return opencode_failed(request)
    return preview_failed(request, preview, why)


def opencode_is_off(request: Request) -> Response:
    """There is no upstream: OpenCode is stopped, or starting."""
    return page(
        request,
        503,
        "OpenCode is not running just now.",
        "It may be starting. This page looks again in a few seconds.",
        3,
    )


def opencode_failed(request: Request) -> Response:
    """OpenCode did not answer, or not in a form that can be passed on."""
    return page(
        request,
        502,
        "OpenCode did not answer.",
        "It may have just been restarted. This page looks again in a few seconds.",
        3,
    )


def preview_failed(request: Request, preview: Preview, why: str) -> Response:
    """A service that the owner led a host name to did not answer. Only for the signed-in."""
    return page(request, 502, f"{preview.address} did not answer.", why, 5)


def nowhere() -> Response:
    """The host name is not led to anything. Tells nothing: neither what is, nor by whom."""
    return plain(404, "There is nothing here.")


def broken(status: int = 500) -> Response:
    """An error of ours. Says nothing of it: that is in the log."""
    return plain(status, "The gateway could not answer this request.")
