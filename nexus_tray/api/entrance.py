"""The way in to the local API: the guard before everything, the pages, the standing fields.

Owns which rules hold for which path, and what every answer says about itself. Imports its
own room; runs in the thread of the request.
"""

from collections.abc import Callable, Iterable
from typing import Any

from nexus_tray.api.guard import Head, Pass, Refusal, judge
from nexus_tray.api.pages import FIELDS, Page, Pages, has
from nexus_tray.api.routes import JSON, fault
from nexus_tray.api.wire import HEAD, Wsgi

STANDING = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "strict-origin"),
)
"""Fields of every answer of the API. It is data, never a page, and none sets a cookie."""

Start = Callable[..., Any]


def guarded(
    app: Wsgi,
    wanted: Pass,
    pages: Pages,
    free: frozenset[tuple[str, str]],
    scraped: frozenset[tuple[str, str]] = frozenset(),
) -> Wsgi:
    """The application behind its guard, and the dashboard's `pages` beside it.

    A page needs no token, nor does what is named in `free` (method and path); every other
    rule of the guard holds for them as for all. What is in `scraped` opens to the token for the
    counters too. `pages` are looked up by the path exactly
    as it came, so there is no way to any other file.
    """

    to_scrape = wanted.to_scrape

    def wsgi(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        def start(status: str, fields: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*fields, *STANDING], exc_info)

        head: Head = environ[HEAD]
        path = environ["PATH_INFO"]
        page = pages.get(path) if head.method == "GET" else None
        needs_token = page is None and (head.method, path) not in free
        asked = to_scrape if (head.method, path) in scraped else wanted
        refusal = judge(head, asked, token=needs_token)
        if refusal is not None:
            return _refused(refusal, start)
        if page is not None:
            return _page(page, head, start_response)
        return app(environ, start)

    return wsgi


def _page(page: Page, head: Head, start: Start) -> list[bytes]:
    fields = [("ETag", page.etag), *FIELDS]
    if has(head, page):
        start("304 Not Modified", fields)
        return []
    start("200 OK", [("Content-Type", page.kind), ("Content-Length", str(len(page.body))), *fields])
    return [page.body]


def _refused(refusal: Refusal, start: Start) -> list[bytes]:
    body = fault(refusal.status, refusal.reason).body
    assert isinstance(body, bytes)  # noqa: S101 - a fault is never a stream
    fields = [("Content-Type", JSON), ("Content-Length", str(len(body)))]
    if refusal.status == 401:
        fields.append(("WWW-Authenticate", "Bearer"))
    start(f"{refusal.status} Refused", fields)
    return [body]
