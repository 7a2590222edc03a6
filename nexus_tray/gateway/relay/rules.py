"""What the gateway refuses: each refusal is one small function that names its attack.

Pure: a parsed head (or a whole Request) in, nothing or `Refused` out. May import
`gateway.http`, `gateway.heads`, `gateway.bodies`, `gateway.fields` and the standard library.
Runs on the gateway's event loop, before any credential is looked at (the Origin rules after).

A request that is refused here was not understood with certainty. Nothing of it goes
upstream, and its connection is closed, for nobody knows where the next request begins.
"""

import re
from urllib.parse import unquote_to_bytes

from nexus_tray.gateway.headers import Headers, once
from nexus_tray.gateway.http import Request
from nexus_tray.gateway.relay import fields
from nexus_tray.gateway.relay.bodies import Body, ChunkedBody, LengthBody, UntilCloseBody
from nexus_tray.gateway.relay.heads import Refused, RequestHead, ResponseHead

METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"))
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))

_LENGTH = re.compile(rb"[0-9]{1,15}")
_HOST = re.compile(
    rb"(?:[0-9A-Za-z](?:[0-9A-Za-z.-]{0,252}[0-9A-Za-z])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
)
_JUDGED = frozenset((b"content-length", b"transfer-encoding", b"expect", b"upgrade"))
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(rb"%(?:[01][0-9A-Fa-f]|7[Ff])")
_SEPARATOR = re.compile(rb"/|%2[Ff]")


_CLEAN_TARGET = re.compile(
    rb"(?:/(?:[0-9A-Za-z_~-][0-9A-Za-z._~-]*+)?+)++"
    rb"(?:\?(?:[0-9A-Za-z._-]*+(?:=[0-9A-Za-z._~%+:,/-]*+)?+(?:&|$))*+)?+"
)
"""A target that the rules of targets below have nothing against, but for what `_is_clean` looks
for besides: no segment begins with a dot, no name in the query is escaped."""


def refuse_method(head: RequestHead) -> None:
    """TRACE echoes credentials (cross-site tracing, CWE-693); CONNECT would make a proxy of us
    (RFC 9110, 9.3.6); what we do not know we cannot judge."""
    if head.method not in METHODS:
        raise Refused(405, "This method is not supported.")


def refuse_target_form(head: RequestHead) -> None:
    """Absolute, authority and asterisk forms name a host a second time, and `//host` reads as
    one: two hosts in one request are routed by one and judged by the other (RFC 9112, 3.2)."""
    if not head.target.startswith(b"/") or head.target.startswith(b"//"):
        raise Refused(400, "The request target must be a path.")
    if b"#" in head.target:
        raise Refused(400, "The request target has a fragment.")


def refuse_two_readings_of_a_path(head: RequestHead) -> None:
    """A path that a decoder or normaliser turns into another one: dot segments in any
    spelling, backslashes, control characters, broken escapes (path confusion, CWE-22, CWE-41,
    ASVS 5.1; SECURITY.md 6). What is judged must be what OpenCode acts on."""
    path = head.target.partition(b"?")[0]
    if _BAD_ESCAPE.search(path) or _CONTROL.search(path):
        raise Refused(400, "The path has a broken or a control escape.")
    if b"\\" in path or b"%5c" in path.lower():
        raise Refused(400, "The path has a backslash.")
    for segment in _SEPARATOR.split(path):
        if unquote_to_bytes(segment).partition(b";")[0] in (b".", b".."):
            raise Refused(400, "The path has a dot segment.")


def refuse_nul(head: RequestHead) -> None:
    """A NUL ends a string in C and not elsewhere (CWE-158; SECURITY.md 6)."""
    if b"%00" in head.target:
        raise Refused(400, "The request target has a NUL.")


def refuse_credential_in_query(head: RequestHead) -> None:
    """OpenCode takes `auth_token` in the query and prefers it to the header (FACTS.md): a
    visitor must not bring a credential of his own, in no spelling (SECURITY.md 4)."""
    query = head.target.partition(b"?")[2]
    for part in re.split(rb"[&;]", query):
        name = unquote_to_bytes(part.partition(b"=")[0].replace(b"+", b" "))
        if name.strip().lower() == b"auth_token":
            raise Refused(400, "The query has an auth_token; sign in instead.")


def refuse_host(head: RequestHead) -> None:
    """No Host, two Hosts, or one that is more than a name and a port: routed by one, judged by
    the other (RFC 9112, 3.2; cache poisoning, CWE-444)."""
    hosts = fields.values(head.headers, b"host")
    if len(hosts) != 1 or _HOST.fullmatch(hosts[0]) is None:
        raise Refused(400, "There must be exactly one valid Host.")


def refuse_unclear_length(head: RequestHead) -> None:
    """Two lengths, a list, a sign, blanks or other digits: CL.CL smuggling (RFC 9112, 6.3)."""
    lengths = fields.values(head.headers, b"content-length")
    if len(lengths) > 1 or (lengths and _LENGTH.fullmatch(lengths[0]) is None):
        raise Refused(400, "The Content-Length is not one plain number.")


def refuse_unclear_coding(head: RequestHead) -> None:
    """Length *and* coding, a coding other than exactly `chunked`, or one in HTTP/1.0: CL.TE,
    TE.CL and TE.TE smuggling (RFC 9112, 6.1; CWE-444)."""
    codings = fields.values(head.headers, b"transfer-encoding")
    if not codings:
        return
    if fields.values(head.headers, b"content-length"):
        raise Refused(400, "There is a Content-Length beside a Transfer-Encoding.")
    if len(codings) > 1 or codings[0].lower() != b"chunked" or head.minor != 1:
        raise Refused(400, "The Transfer-Encoding is not exactly chunked.")


def refuse_expectation(head: RequestHead) -> None:
    """An expectation we would have to honour without knowing it (RFC 9110, 10.1.1)."""
    for value in fields.values(head.headers, b"expect"):
        if value.lower() != b"100-continue":
            raise Refused(417, "This expectation is not supported.")


def refuse_upgrade_with_body(head: RequestHead) -> None:
    """A WebSocket handshake with a body leaves it open where the frames begin (WebSocket
    smuggling)."""
    if fields.asks_websocket(head) and declared_length(head) != 0:
        raise Refused(400, "A WebSocket handshake must not have a body.")


OF_TARGETS = (
    refuse_target_form,
    refuse_two_readings_of_a_path,
    refuse_nul,
    refuse_credential_in_query,
)
OF_FIELDS = (
    refuse_host,
    refuse_unclear_length,
    refuse_unclear_coding,
    refuse_expectation,
    refuse_upgrade_with_body,
)
REFUSALS = (refuse_method, *OF_TARGETS, *OF_FIELDS)


def _is_clean(target: bytes) -> bool:
    """None of OF_TARGETS refuses it, seen at one glance; False: they must be asked."""
    return (
        _CLEAN_TARGET.fullmatch(target) is not None
        and b"//" not in target
        and b"%00" not in target
        and b"auth_token" not in target.lower()
    )


def _are_plain(headers: Headers) -> bool:
    """None of OF_FIELDS refuses them with any request line, for there is one good Host and
    nothing else that they look at; False: they must be asked."""
    hosts = fields.values(headers, b"host")
    plain = len(hosts) == 1 and _HOST.fullmatch(hosts[0]) is not None
    return plain and _JUDGED.isdisjoint(name for name, _ in headers)


def declared_length(head: RequestHead) -> int | None:
    """The length of a request's body, after the refusals; None: chunked (RFC 9112, 6.3)."""
    if fields.values(head.headers, b"transfer-encoding"):
        return None
    lengths = fields.values(head.headers, b"content-length")
    return int(lengths[0]) if lengths else 0


def request_body(head: RequestHead) -> Body:
    """The decoder for a request's body, after the refusals."""
    length = declared_length(head)
    return ChunkedBody() if length is None else LengthBody(length)


def judge_request(head: RequestHead) -> Body:
    """All refusals in order, then the body's decoder. Raises Refused.

    Nearly all requests have a clean target and plain fields, which is seen sooner than ten rules
    are asked; the answer is the same (tests/gateway/test_glances.py)."""
    plain = once(head.headers, _are_plain)
    refuse_method(head)
    if not _is_clean(head.target):
        for refuse in OF_TARGETS:
            refuse(head)
    if plain:
        return LengthBody(0)
    for refuse in OF_FIELDS:
        refuse(head)
    return request_body(head)


def judge_response(head: ResponseHead, method: str, *, websocket: bool) -> Body | None:
    """The decoder for a response's body; None for an interim response, which is dropped.

    As strict as for requests, for OpenCode runs what an agent wrote: a hostile or broken
    upstream must not be able to poison the next answer on the connection (response
    splitting and desync, CWE-444). Raises Refused with status 502. Interim responses (100,
    102, 103) are not passed on: the Expect is ours, and hints would escape the shapers.
    """
    if head.status == 101:
        if not websocket or not fields.is_websocket(head.headers):
            raise Refused(502, "OpenCode changed the protocol without being asked.")
        return LengthBody(0)
    if head.status < 200:
        return None
    lengths = fields.values(head.headers, b"content-length")
    codings = fields.values(head.headers, b"transfer-encoding")
    if len(lengths) > 1 or (lengths and _LENGTH.fullmatch(lengths[0]) is None):
        raise Refused(502, "OpenCode's answer has no clear length.")
    if codings and (
        lengths or len(codings) > 1 or codings[0].lower() != b"chunked" or head.minor != 1
    ):
        raise Refused(502, "OpenCode's answer has no clear coding.")
    if method == "HEAD" or head.status in (204, 304):
        return LengthBody(0)
    if codings:
        return ChunkedBody()
    return LengthBody(int(lengths[0])) if lengths else UntilCloseBody()


def refuse_origin(request: Request, *, ours: bool) -> None:
    """Cross-site request forgery and cross-site WebSocket hijacking (CWE-352, CWE-1385;
    SECURITY.md "Origin", 7): an Origin that is present must be ours, byte for byte; it must be
    present on what changes something or opens a WebSocket, if a cookie of ours came with it or
    the path is one of ours. A bearer token alone may omit it (`opencode attach` does)."""
    origins = fields.values(request.headers, b"origin")
    if origins:
        if len(origins) != 1 or origins[0] != request.visitor.origin.encode("latin-1"):
            raise Refused(403, "This request comes from another site.")
        return
    unsafe = request.websocket or request.method not in SAFE_METHODS
    if unsafe and (ours or fields.bears_our_cookie(request.headers)):
        raise Refused(403, "This request does not say which site it comes from.")


def refuse_embedding(request: Request) -> None:
    """Pages of other ports of this machine are "same-site" to a browser: SameSite lets our cookie
    go with their frames, images and scripts, and a frame of OpenCode's page can be made to be
    clicked (CWE-1021, CWE-352). What a browser says it fetches for another origin's page is
    refused, but for a visit to the address itself (Fetch Metadata, W3C); what is fetched ahead
    (speculation rules) is none."""
    sites = fields.values(request.headers, b"sec-fetch-site")
    if all(site in (b"same-origin", b"none") for site in sites):
        return
    dest = fields.values(request.headers, b"sec-fetch-dest")
    visit = dest == (b"document",) and not fields.values(request.headers, b"sec-purpose")
    if request.method not in ("GET", "HEAD") or request.websocket or not visit:
        raise Refused(403, "This request comes from a page of another site.")
