"""Header fields: which are stripped, which pass, and which are ours to add.

Pure. May import `gateway.http` and `gateway.heads`. Runs on the gateway's event loop.
Names are always lower case here, and values bytes as they came.
"""

from functools import lru_cache

from nexus_tray.gateway.headers import Fields, Headers, once
from nexus_tray.gateway.http import Preview, Request
from nexus_tray.gateway.relay.heads import RequestHead, ResponseHead, write_fields

OUR_COOKIES = frozenset(
    (
        b"__host-nexus",
        b"nexus_local",
        b"__host-nexus-preview",
        b"__host-nexus-visit",
        b"__host-nexus-passkey",
    )
)
"""In lower case: a cookie that resembles ours is no business of OpenCode's either."""

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
"""RFC 9110, 7.6.1: fields for one connection only, with the obsolete ones still seen."""

FORWARDING = frozenset(
    (
        b"forwarded",
        b"via",
        b"x-real-ip",
        b"true-client-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-original-url",
        b"x-original-host",
        b"x-rewrite-url",
        b"x-http-method-override",
        b"x-method-override",
        b"cdn-loop",
    )
)
"""What a proxy before us may have said, and anybody may forge (SECURITY.md 4)."""

FORWARDING_PREFIXES = (b"cf-", b"x-forwarded-")

FRAMING = frozenset((b"content-length", b"transfer-encoding"))

_FOR_CACHES = frozenset((b"cdn-cache-control", b"surrogate-control"))
"""What tells caches between us and the browser how long to keep an answer; `cf-` too, and
Cloudflare's own, which is ours to say."""

_PERSONAL = ((b"cloudflare-cdn-cache-control", b"no-store"),)
"""By itself Cloudflare keeps every answer whose path ends as a file's (.js, .jpg, .pdf), and
gives it to strangers without asking us (web cache deception, CWE-524). It takes this field off;
the browser's own cache goes by Cache-Control as before."""

UPGRADE = ((b"connection", b"Upgrade"), (b"upgrade", b"websocket"))
"""What makes a request or a 101 a WebSocket handshake, written anew."""

_NEVER_NAMED = frozenset((b"close", b"keep-alive", b"upgrade", b"host", b"origin"))
"""Options that name no field, and fields that Connection cannot take away from our rules."""

_NOT_FORWARDED = frozenset((b"authorization", b"cookie", b"origin", b"expect"))


_NO_VALUES: tuple[bytes, ...] = ()


def values(headers: Headers, name: bytes) -> tuple[bytes, ...]:
    """The values of all fields of that name, in order."""
    if isinstance(headers, Fields):
        return headers.by_name.get(name, _NO_VALUES)
    return tuple(value for key, value in headers if key == name)


def options(headers: Headers) -> frozenset[bytes]:
    """The connection options (RFC 9110, 7.6.1), in lower case."""
    return once(headers, _options)


def _options(headers: Headers) -> frozenset[bytes]:
    joined = b",".join(values(headers, b"connection"))
    return frozenset(option.strip().lower() for option in joined.split(b",")) - {b""}


def is_websocket(headers: Headers) -> bool:
    """The fields change the protocol to exactly WebSocket."""
    upgrades = values(headers, b"upgrade")
    return (
        len(upgrades) == 1
        and upgrades[0].lower() == b"websocket"
        and b"upgrade" in options(headers)
    )


def asks_websocket(head: RequestHead) -> bool:
    """A WebSocket handshake (RFC 6455, 4.1). Any other Upgrade is dropped unread (h2c)."""
    return head.method == b"GET" and head.minor == 1 and is_websocket(head.headers)


def stays_open(minor: int, headers: Headers) -> bool:
    """The peer's connection may carry another message. HTTP/1.0 is always closed: its
    keep-alive was never specified well enough."""
    return minor == 1 and b"close" not in options(headers)


def is_event_stream(head: ResponseHead) -> bool:
    """The answer is a stream of server-sent events, which has no end."""
    return any(
        value.startswith(b"text/event-stream") for value in values(head.headers, b"content-type")
    )


@lru_cache(1024)
def _dropped(name: bytes) -> bool:
    # An underscore reads as a hyphen to CGI-like servers: a second spelling of any name here.
    return (
        name in HOP_BY_HOP
        or name in FORWARDING
        or name.startswith(FORWARDING_PREFIXES)
        or b"_" in name
    )


def end_to_end(headers: Headers) -> Headers:
    """What is left for us and OpenCode to see of a visitor's fields: without hop-by-hop
    fields, those that Connection names, and whatever proxies claim."""
    return once(headers, _end_to_end)


def _end_to_end(headers: Headers) -> Fields:
    named = options(headers) - _NEVER_NAMED
    return Fields(
        [(name, value) for name, value in headers if name not in named and not _dropped(name)]
    )


def _cookies(headers: Headers) -> list[bytes]:
    pairs = [pair.strip() for value in values(headers, b"cookie") for pair in value.split(b";")]
    return [pair for pair in pairs if pair]


def _is_our_cookie(pair: bytes) -> bool:
    """A cookie without a name (`=nexus_local=x`) comes back as one with it (RFC 6265bis, 5.7)."""
    return pair.strip(b"= \t").partition(b"=")[0].strip().lower() in OUR_COOKIES


def bears_our_cookie(headers: Headers) -> bool:
    """A cookie of ours is among the fields, valid or not."""
    return once(headers, _bears_our_cookie)


def _bears_our_cookie(headers: Headers) -> bool:
    return any(_is_our_cookie(pair) for pair in _cookies(headers))


def to_upstream(request: Request, authorization: bytes) -> bytes:
    """The fields OpenCode gets (SECURITY.md 4): no credential of the visitor's, only ours.

    Host stays as it came, for OpenCode may build addresses from it; Origin has been judged
    and goes no further, so that OpenCode never compares the two (FACTS.md: the terminal's
    token request was refused when they differed).
    """
    block = b"%bauthorization: %b\r\n" % (once(request.headers, _forwarded_block), authorization)
    return block + write_fields(UPGRADE) if request.websocket else block


def _forwarded_block(headers: Headers) -> bytes:
    return write_fields(_forwarded(headers))


def _forwarded(headers: Headers) -> Headers:
    """What any service gets of a visitor's fields: no credential, no cookie of ours."""
    kept = [
        (name, value)
        for name, value in headers
        if name not in _NOT_FORWARDED and name not in FRAMING and name not in HOP_BY_HOP
    ]
    cookies = [pair for pair in _cookies(headers) if not _is_our_cookie(pair)]
    if cookies:
        kept.append((b"cookie", b"; ".join(cookies)))
    return tuple(kept)


def to_preview(request: Request, preview: Preview) -> bytes:
    """The fields another service gets: no credential at all.

    Development servers answer only to a Host they know, and compare Origin with it (Vite does
    so for its WebSocket). So Host is the service's own, or as its owner set it, and what is of
    this address in Origin and Referer follows it; a Referer of any other page is nothing that
    the service should learn.
    """
    public = request.visitor.origin.encode("latin-1")
    same = preview.authority == request.visitor.host
    seen = public if same else preview.origin.encode("ascii")
    kept = [
        (name, value)
        for name, value in _forwarded(request.headers)
        if name not in (b"host", b"referer")
    ]
    kept.insert(0, (b"host", preview.authority.encode("ascii")))
    if values(request.headers, b"origin"):  # judged: it is this address's own
        kept.append((b"origin", seen))
    referer = b"".join(values(request.headers, b"referer")[:1])
    if referer == public or referer.startswith(public + b"/"):
        kept.append((b"referer", seen + referer[len(public) :]))
    if request.websocket:
        kept += UPGRADE
    return write_fields(kept)


def personal(lines: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The same answer, for the signed-in person and no shared cache."""
    return [*(line for line in lines if not _is_for_caches(line[0])), *_PERSONAL]


@lru_cache(1024)
def _is_for_caches(name: bytes) -> bool:
    return name in _FOR_CACHES or name.startswith((b"cf-", b"cloudflare-"))


def to_visitor(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The fields of OpenCode's answer that pass: not framing, not hop-by-hop, no session cookie
    of ours (a page of an agent's making must not sign anybody in or out, nor clear the cookies of
    the whole domain), and no challenge, for a browser would ask its user for OpenCode's password.
    """
    told = [
        line
        for line in headers
        if _is_told(line[0]) and not (line[0] == b"set-cookie" and _is_our_cookie(line[1]))
    ]
    named = options(headers) - _NEVER_NAMED if values(headers, b"connection") else ()
    return [line for line in told if line[0] not in named] if named else told


@lru_cache(1024)
def _is_told(name: bytes) -> bool:
    return (
        name not in HOP_BY_HOP
        and name not in FRAMING
        and name not in (b"www-authenticate", b"clear-site-data")
    )


def from_preview(request: Request, preview: Preview, headers: Headers) -> list[tuple[bytes, bytes]]:
    """The fields of another service's answer that pass: as `to_visitor`, and two more are
    changed. A cookie for the parent domain would be sent to OpenCode's host name as well, and
    enough of them would close it (cookie tossing, CWE-565), so each is for this host alone.
    A redirect to the address by which only we know the service leads to its public one.
    """
    seen, public = preview.origin.encode("ascii"), request.visitor.origin.encode("latin-1")
    told = []
    for name, value in to_visitor(headers):
        if name == b"set-cookie":
            told.append((name, _host_only(value)))
        elif name == b"location" and (value == seen or value.startswith(seen + b"/")):
            told.append((name, public + value[len(seen) :]))
        else:
            told.append((name, value))
    return told


def _host_only(cookie: bytes) -> bytes:
    first, *attributes = cookie.split(b";")
    kept = [one for one in attributes if one.partition(b"=")[0].strip().lower() != b"domain"]
    return b";".join([first, *kept])
