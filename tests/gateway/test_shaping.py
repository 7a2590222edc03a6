"""What is changed in OpenCode's answers, and above all what is not."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.gateway.headers import Headers
from nexus_tray.gateway.http import Door, DoorKind, Request, Upstream, Visitor
from nexus_tray.gateway.shaping.compression import KeptBodies, accepts_gzip
from nexus_tray.gateway.shaping.csp import amended
from nexus_tray.gateway.shaping.shaping import IMMUTABLE, SCRIPT_TAG, Injection, Shaping

QUICK = Visitor(Door(DoorKind.TUNNEL, "quick", True), "192.0.2.1", "x.test", "https://x.test")
NAMED = Visitor(Door(DoorKind.TUNNEL, "named"), "192.0.2.1", "x.test", "https://x.test")
OPENCODE_CSP = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' 'sha256-abc='; "
    "style-src 'self' 'unsafe-inline'; connect-src * data: blob:"
)
PAGE = b"<!doctype html>\n<html><head>\n<script>1</script></head><body></body></html>"
SCRIPT_BODY = b"export const x = 1;\n" * 400


def asked(
    path: str = "/", visitor: Visitor = QUICK, method: str = "GET", encodings: bytes = b"gzip, br"
) -> Request:
    headers = ((b"accept-encoding", encodings),) if encodings else ()
    return Request(method, path, "", headers, visitor)


def answer(kind: str, length: int | None = 5000, **more: str) -> Headers:
    fields = [(b"content-type", kind.encode())]
    if length is not None:
        fields.append((b"content-length", str(length).encode()))
    fields += [(name.replace("_", "-").encode(), value.encode()) for name, value in more.items()]
    return tuple(fields)


class Start:
    """An OpenCode that can be started anew."""

    def __init__(self) -> None:
        self.upstream: Upstream | None = Upstream("127.0.0.1", 1, b"first")

    def __call__(self) -> Upstream | None:
        return self.upstream


def shape(
    request: Request,
    headers: Headers,
    body: bytes = b"",
    *,
    status: int = 200,
    shaping: Shaping | None = None,
    cut: int = 1000,
) -> tuple[dict[bytes, list[bytes]], bytes]:
    """What the visitor gets: fields by name, and the body as it is on the wire."""
    shaper = (shaping or Shaping(Start()))(request, status, headers)
    sent = [(name, value) for name, value in headers if name != b"content-length"]
    if shaper is not None:
        sent = shaper.head(status, sent)
        parts = [shaper.feed(body[at : at + cut]) for at in range(0, len(body), cut)]
        body = b"".join(parts) + shaper.finish()
    fields: dict[bytes, list[bytes]] = {}
    for name, value in sent:
        fields.setdefault(name, []).append(value)
    return fields, body


# --- the script in the page ------------------------------------------------------------


@given(st.integers(1, 200))
def test_the_bridge_comes_first_in_the_head(cut: int) -> None:
    fields, body = shape(
        asked(encodings=b""),
        answer("text/html", len(PAGE), content_security_policy=OPENCODE_CSP),
        PAGE,
        cut=cut,
    )
    assert body == PAGE.replace(b"<head>", b"<head>" + SCRIPT_TAG)
    assert b"content-length" not in fields


def test_where_streams_are_not_held_back_the_page_is_untouched() -> None:
    _, body = shape(asked(visitor=NAMED, encodings=b""), answer("text/html", len(PAGE)), PAGE)
    assert body == PAGE


@pytest.mark.parametrize(
    "page", [b"", b"no head at all", b"<header>x</header>" * 2000, b"<HEAD\nlang=en>" + b"x" * 50]
)
def test_any_text_survives_injection(page: bytes) -> None:
    for cut in (1, 7, 100_000):
        injection = Injection()
        parts = [injection.feed(page[at : at + cut]) for at in range(0, len(page), cut)]
        whole = b"".join(parts) + injection.finish()
        assert whole.replace(SCRIPT_TAG, b"") == page
        assert whole.count(SCRIPT_TAG) == (b"<HEAD" in page)


def test_opencodes_own_policy_already_allows_the_bridge() -> None:
    assert amended(OPENCODE_CSP, "https://x.test") == OPENCODE_CSP


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        ("script-src 'none'", "script-src 'self'"),
        (
            "default-src 'none'",
            "default-src 'none'; script-src 'self'; connect-src wss://x.test",
        ),
        ("script-src 'self'; connect-src 'self'",
         "script-src 'self'; connect-src 'self' wss://x.test"),
        ("script-src 'sha256-a='; script-src-elem https://a.test",
         "script-src 'sha256-a='; script-src-elem https://a.test 'self'"),
        ("img-src *", "img-src *"),
        ("SCRIPT-SRC https://a.test; script-src *", "script-src https://a.test 'self'"),
        ("script-src 'none', script-src 'self'", "script-src 'self', script-src 'self'"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_policy_is_amended_as_little_as_needed(policy: str, wanted: str) -> None:
    assert amended(policy, "https://x.test") == wanted


# --- compression -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "takes"),
    [
        (b"gzip", True),
        (b"gzip, deflate, br, zstd", True),
        (b"br;q=1.0, GZIP;q=0.8", True),
        (b"*", True),
        (b"x-gzip", True),
        (b"gzip;q=0", False),
        (b"gzip; q=0.000, *", False),
        (b"*;q=0", False),
        (b"identity", False),
        (b"br", False),
        (b"", False),
    ],
)
def test_who_takes_gzip(field: bytes, takes: bool) -> None:
    assert accepts_gzip(((b"accept-encoding", field),)) is takes


@pytest.mark.parametrize(
    "kind",
    ["text/javascript", "text/css; charset=utf-8", "application/json", "image/svg+xml", "text/html",
     "application/wasm", "application/manifest+json"],
)  # fmt: skip
def test_text_is_compressed(kind: str) -> None:
    fields, body = shape(asked("/x", NAMED), answer(kind, len(SCRIPT_BODY)), SCRIPT_BODY)
    assert fields[b"content-encoding"] == [b"gzip"]
    assert b"accept-encoding" in fields[b"vary"]
    assert gzip.decompress(body) == SCRIPT_BODY
    assert len(body) < len(SCRIPT_BODY) / 10


@pytest.mark.parametrize(
    ("request_", "headers", "status"),
    [
        (asked(), answer("text/event-stream", None), 200),
        (asked(), answer("text/event-stream; charset=utf-8", None), 200),
        (asked(), answer("image/png"), 200),
        (asked(), answer("font/woff2"), 200),
        (asked(), answer("application/json", 1023), 200),
        (asked(), answer("application/json", content_encoding="br"), 200),
        (asked(), answer("application/json", cache_control="no-transform"), 200),
        (asked(), answer("text/html", cache_control="no-cache, no-transform"), 200),
        (asked(), answer("application/json"), 206),
        (asked(), answer("application/json"), 304),
        (asked(encodings=b"br"), answer("application/json"), 200),
        (asked(encodings=b""), answer("application/json"), 200),
        (asked(method="HEAD"), answer("text/html"), 200),
    ],
    ids=str,
)
def test_what_keeps_its_bytes(request_: Request, headers: Headers, status: int) -> None:
    fields, body = shape(request_, headers, b"data: x\n\n", status=status)
    assert body == b"data: x\n\n"
    given_encoding = dict(headers).get(b"content-encoding")
    assert fields.get(b"content-encoding") == ([given_encoding] if given_encoding else None)


def test_event_streams_are_not_touched_at_all() -> None:
    assert Shaping(Start())(asked(), 200, answer("text/event-stream", None)) is None


def test_a_body_of_unknown_length_is_never_held_back() -> None:
    shaper = Shaping(Start())(asked("/x"), 200, answer("application/json", None))
    assert shaper is not None
    unzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
    assert unzip.decompress(shaper.feed(b'{"so far": 1}')) == b'{"so far": 1}'
    assert unzip.decompress(shaper.feed(b"more") + shaper.finish()) == b"more"


def test_an_etag_of_other_bytes_becomes_weak() -> None:
    fields, _ = shape(asked("/x"), answer("text/css", etag='"a"'), SCRIPT_BODY)
    assert fields[b"etag"] == [b'W/"a"']
    fields, _ = shape(asked("/x"), answer("text/css", etag='W/"a"'), SCRIPT_BODY)
    assert fields[b"etag"] == [b'W/"a"']
    fields, _ = shape(asked("/x"), answer("image/png", etag='"a"'))
    assert fields[b"etag"] == [b'"a"']


def test_ranges_of_changed_bytes_are_not_offered() -> None:
    fields, _ = shape(asked("/x"), answer("text/css", accept_ranges="bytes"), SCRIPT_BODY)
    assert b"accept-ranges" not in fields
    fields, _ = shape(asked("/x"), answer("image/png", accept_ranges="bytes"))
    assert fields[b"accept-ranges"] == [b"bytes"]


def test_other_fields_stay() -> None:
    fields, _ = shape(asked("/x"), answer("text/css", vary="Origin", x_y="z"), SCRIPT_BODY)
    assert fields[b"vary"] == [b"Origin", b"accept-encoding"]
    assert fields[b"x-y"] == [b"z"]


# --- caching ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind", "status", "wanted"),
    [
        ("/assets/index-jmcwmLQ6.js", "text/javascript", 200, IMMUTABLE),
        ("/assets/inter-BCHHwLbS.woff2", "font/woff2", 200, IMMUTABLE),
        ("/assets/gone.js", "text/html", 200, b"private, no-cache"),
        ("/assets/gone.js", "text/html;charset=utf-8", 200, b"private, no-cache"),
        ("/assets/x.js", "text/javascript", 500, b"private, no-cache"),
        ("/", "text/html", 200, b"private, no-cache"),
        ("/config", "application/json", 200, b"no-store"),
        ("/favicon-v3.svg", "image/svg+xml", 200, b"private, no-cache"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_how_long_an_answer_may_be_kept(
    path: str, kind: str, status: int, wanted: bytes, method: str
) -> None:
    fields, _ = shape(asked(path, method=method), answer(kind), status=status)
    assert fields[b"cache-control"] == [wanted]


def test_what_opencode_says_about_caching_stands() -> None:
    fields, _ = shape(asked("/assets/x.js"), answer("text/javascript", cache_control="no-cache"))
    assert fields[b"cache-control"] == [b"no-cache"]


# --- compressed once -------------------------------------------------------------------


def test_an_asset_is_compressed_once_and_anew_after_a_restart() -> None:
    start = Start()
    shaping = Shaping(start)
    request, headers = asked("/assets/x.js"), answer("text/javascript", len(SCRIPT_BODY))
    _, first = shape(request, headers, SCRIPT_BODY, shaping=shaping)
    changed = SCRIPT_BODY.swapcase()
    _, second = shape(request, headers, changed, shaping=shaping)
    assert second == first  # from the store: what was fed did not matter
    start.upstream = Upstream("127.0.0.1", 1, b"second")
    _, third = shape(request, headers, changed, shaping=shaping)
    assert gzip.decompress(third) == changed


def test_a_body_cut_short_is_not_kept() -> None:
    shaping = Shaping(Start())
    request, headers = asked("/assets/x.js"), answer("text/javascript", len(SCRIPT_BODY))
    shape(request, headers, SCRIPT_BODY[:-1], shaping=shaping)
    _, body = shape(request, headers, SCRIPT_BODY, shaping=shaping)
    assert gzip.decompress(body) == SCRIPT_BODY


def test_only_assets_are_kept() -> None:
    shaping = Shaping(Start())
    request, headers = asked("/session"), answer("application/json", len(SCRIPT_BODY))
    shape(request, headers, SCRIPT_BODY, shaping=shaping)
    _, body = shape(request, headers, SCRIPT_BODY.swapcase(), shaping=shaping)
    assert gzip.decompress(body) == SCRIPT_BODY.swapcase()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), max_size=40))
def test_kept_bodies_are_bounded(puts: list[tuple[int, int]]) -> None:
    kept = KeptBodies(max_bytes=100)
    for name, size in puts:
        kept.put((b"", str(name), 0), b"x" * size)
        found = [kept.get((b"", str(other), 0)) for other in range(6)]
        assert kept.size == sum(len(body) for body in found if body is not None) <= 100
        assert kept.get((b"", str(name), 0)) == b"x" * size
