"""The refusals and the field rules, as tables."""

import pytest

from nexus_tray.gateway.headers import Headers
from nexus_tray.gateway.http import Door, DoorKind, Request, Visitor
from nexus_tray.gateway.relay import fields, heads, rules
from nexus_tray.gateway.relay.bodies import ChunkedBody, LengthBody, UntilCloseBody
from nexus_tray.gateway.relay.heads import Refused, RequestHead, ResponseHead

VISITOR = Visitor(Door(DoorKind.TUNNEL, "quick"), "203.0.113.9", "a.example", "https://a.example")


def head(
    method: bytes = b"GET", target: bytes = b"/", *more: tuple[bytes, bytes], minor: int = 1
) -> RequestHead:
    return RequestHead(method, target, minor, ((b"host", b"a.example"), *more))


def request(method: str = "GET", *more: tuple[bytes, bytes], websocket: bool = False) -> Request:
    return Request(method, "/x", "", ((b"host", b"a.example"), *more), VISITOR, b"", websocket)


def status(head: RequestHead) -> int:
    try:
        rules.judge_request(head)
    except Refused as refusal:
        return refusal.status
    return 200


@pytest.mark.parametrize(
    ("method", "expected"),
    [(m, 200) for m in (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")]
    + [(m, 405) for m in (b"TRACE", b"CONNECT", b"PRI", b"PROPFIND", b"DEBUG", b"TRACK")],
)
def test_methods(method: bytes, expected: int) -> None:
    assert status(head(method)) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/", 200),
        (b"/session/ses_1?directory=%2Fhome%2Fada&x=%", 200),
        (b"/a//b;c=d/%2Fetc/%25", 200),
        (b"/a.b/..c/...", 200),
        (b"*", 400),
        (b"a.example:443", 400),
        (b"http://a.example/", 400),
        (b"//evil.example/", 400),
        (b"/a#b", 400),
        (b"/a/../b", 400),
        (b"/a/..", 400),
        (b"/./a", 400),
        (b"/a/%2e%2E/b", 400),
        (b"/a/.%2e/b", 400),
        (b"/a%2F..%2fb", 400),
        (b"/a/..;x=y/b", 400),
        (b"/a\\b", 400),
        (b"/a%5cb", 400),
        (b"/a%5Cb", 400),
        (b"/a%00b", 400),
        (b"/a?b=%00", 400),
        (b"/a%0d%0ab", 400),
        (b"/a%7fb", 400),
        (b"/a%zz", 400),
        (b"/a%2", 400),
        (b"/a?b=../..", 200),
        (b"/find?pattern=auth_token", 200),
        (b"/x?auth_token=a", 400),
        (b"/x?auth_token", 400),
        (b"/x?a=b&auth_token=c", 400),
        (b"/x?a=b;auth_token=c", 400),
        (b"/x?%61uth_token=c", 400),
        (b"/x?auth%5ftoken=c", 400),
        (b"/x?auth%5Ftoken=c", 400),
        (b"/x?AUTH_TOKEN=c", 400),
        (b"/x?+auth_token=c", 400),
        (b"/x?%20auth_token%20=c", 400),
        (b"/x?a?auth_token=c", 200),
    ],
)
def test_targets(target: bytes, expected: int) -> None:
    assert status(head(target=target)) == expected


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ([b"a.example"], 200),
        ([b"A.Example:8080"], 200),
        ([b"127.0.0.1:1"], 200),
        ([b"[::1]:80"], 200),
        ([], 400),
        ([b""], 400),
        ([b"a.example", b"a.example"], 400),
        ([b"a.example", b"b.example"], 400),
        ([b"a.example, b.example"], 400),
        ([b"user@a.example"], 400),
        ([b"a.example/b"], 400),
        ([b"a.example:"], 400),
        ([b"a.example:123456"], 400),
        ([b"a b"], 400),
        ([b"-a.example"], 400),
        ([b"a_b.example"], 400),
        ([b"[::1"], 400),
        ([b"a.example?x"], 400),
    ],
)
def test_hosts(hosts: list[bytes], expected: int) -> None:
    headers: Headers = tuple((b"host", value) for value in hosts)
    assert status(RequestHead(b"GET", b"/", 1, headers)) == expected


CL, TE = b"content-length", b"transfer-encoding"


@pytest.mark.parametrize(
    ("more", "minor", "expected"),
    [
        ([(CL, b"0")], 1, 200),
        ([(CL, b"5")], 0, 200),
        ([(CL, b"999999999999999")], 1, 200),
        ([(TE, b"chunked")], 1, 200),
        ([(TE, b"Chunked")], 1, 200),
        ([(CL, b"9999999999999999")], 1, 400),
        ([(CL, b"")], 1, 400),
        ([(CL, b"5"), (CL, b"5")], 1, 400),
        ([(CL, b"5"), (CL, b"6")], 1, 400),
        ([(CL, b"5, 5")], 1, 400),
        ([(CL, b"+5")], 1, 400),
        ([(CL, b"-5")], 1, 400),
        ([(CL, b"5 5")], 1, 400),
        ([(CL, b"0x5")], 1, 400),
        ([(CL, b"5.0")], 1, 400),
        ([(CL, "５".encode())], 1, 400),
        ([(CL, b"1_0")], 1, 400),
        ([(CL, b"5"), (TE, b"chunked")], 1, 400),
        ([(TE, b"chunked"), (CL, b"5")], 1, 400),
        ([(TE, b"chunked"), (TE, b"chunked")], 1, 400),
        ([(TE, b"chunked, chunked")], 1, 400),
        ([(TE, b"gzip, chunked")], 1, 400),
        ([(TE, b"chunked, identity")], 1, 400),
        ([(TE, b"identity")], 1, 400),
        ([(TE, b"xchunked")], 1, 400),
        ([(TE, b"")], 1, 400),
        ([(TE, b"\x0bchunked")], 1, 400),
        ([(TE, b'"chunked"')], 1, 400),
        ([(TE, b"chunked")], 0, 400),
        ([(b"expect", b"100-continue")], 1, 200),
        ([(b"expect", b"200-ok")], 1, 417),
    ],
)
def test_lengths_and_codings(more: list[tuple[bytes, bytes]], minor: int, expected: int) -> None:
    assert status(head(b"POST", b"/", *more, minor=minor)) == expected


WS = ((b"connection", b"keep-alive, Upgrade"), (b"upgrade", b"WebSocket"))


def test_websocket_handshakes() -> None:
    assert fields.asks_websocket(head(b"GET", b"/", *WS))
    assert not fields.asks_websocket(head(b"POST", b"/", *WS))
    assert not fields.asks_websocket(head(b"GET", b"/", *WS, minor=0))
    assert not fields.asks_websocket(head(b"GET", b"/", WS[1]))
    assert not fields.asks_websocket(head(b"GET", b"/", WS[0], (b"upgrade", b"h2c")))
    assert not fields.asks_websocket(head(b"GET", b"/", *WS, (b"upgrade", b"h2c")))
    assert not fields.asks_websocket(head(b"GET", b"/", WS[0], (b"upgrade", b"h2c, websocket")))
    assert status(head(b"GET", b"/", *WS)) == 200
    assert status(head(b"GET", b"/", *WS, (CL, b"5"))) == 400
    assert status(head(b"GET", b"/", *WS, (TE, b"chunked"))) == 400


def test_every_refusal_names_its_attack() -> None:
    for refusal in (*rules.REFUSALS, rules.refuse_origin):
        text = refusal.__doc__ or ""
        assert any(mark in text for mark in ("RFC", "CWE", "ASVS", "SECURITY.md", "smuggling")), (
            refusal.__name__
        )


def response(code: int, *more: tuple[bytes, bytes], minor: int = 1) -> ResponseHead:
    return ResponseHead(code, minor, more)


def test_bodies_of_responses() -> None:
    def judge(answer: ResponseHead, method: str = "GET", websocket: bool = False) -> object:
        return rules.judge_response(answer, method, websocket=websocket)

    for code in (200, 201, 301, 401, 404, 500, 599):
        assert isinstance(judge(response(code)), UntilCloseBody)
        assert isinstance(judge(response(code, (TE, b"chunked"))), ChunkedBody)
        assert isinstance(judge(response(code, (CL, b"7"))), LengthBody)
    for answer, method in (
        (response(200, (CL, b"7")), "HEAD"),
        (response(200, (TE, b"chunked")), "HEAD"),
        (response(204), "GET"),
        (response(304, (CL, b"7")), "GET"),
    ):
        body = judge(answer, method)
        assert isinstance(body, LengthBody)
        assert body.done
    for code in (100, 102, 103):
        assert judge(response(code)) is None
    assert judge(response(101, *WS), websocket=True) is not None
    for bad in (
        response(101, *WS),
        response(200, (CL, b"7"), (CL, b"7")),
        response(200, (CL, b"7"), (TE, b"chunked")),
        response(200, (CL, b"-7")),
        response(200, (TE, b"gzip")),
        response(200, (TE, b"chunked"), (TE, b"chunked")),
        response(200, (TE, b"chunked"), minor=0),
    ):
        with pytest.raises(Refused) as caught:
            judge(bad)
        assert caught.value.status == 502
    with pytest.raises(Refused):
        judge(response(101, (b"upgrade", b"h2c"), WS[0]), websocket=True)


OURS = (b"cookie", b"a=b; __Host-nexus=x")
SAME = (b"origin", b"https://a.example")


@pytest.mark.parametrize(
    ("made", "ours", "passes"),
    [
        (request(), False, True),
        (request("GET", OURS), False, True),
        (request("GET", OURS, SAME), False, True),
        (request("POST", OURS, SAME), False, True),
        (request("POST", SAME), True, True),
        (request("POST"), False, True),  # a bearer token, nothing a browser adds by itself
        (request("GET"), True, True),
        (request("POST", OURS), False, False),
        (request("DELETE", OURS), False, False),
        (request("POST"), True, False),
        (request("GET", OURS, websocket=True), False, False),
        (request("GET", websocket=True), True, False),
        (request("GET", websocket=True), False, True),
        (request("GET", OURS, SAME, websocket=True), False, True),
        (request("GET", (b"origin", b"https://evil.example")), False, False),
        (request("POST", (b"origin", b"https://evil.example")), False, False),
        (request("OPTIONS", (b"origin", b"https://evil.example")), True, False),
        (request("GET", OURS, (b"origin", b"null")), False, False),
        (request("POST", OURS, SAME, SAME), False, False),
        (request("POST", OURS, SAME, (b"origin", b"https://evil.example")), False, False),
        (request("POST", OURS, (b"origin", b"http://a.example")), False, False),
        (request("POST", OURS, (b"origin", b"https://a.example:443")), False, False),
        (request("POST", OURS, (b"origin", b"https://a.example.evil.example")), False, False),
        (request("POST", OURS, (b"origin", b"https://A.example")), False, False),
        (request("POST", OURS, (b"origin", b"")), False, False),
    ],
)
def test_origins(made: Request, ours: bool, passes: bool) -> None:
    if passes:
        rules.refuse_origin(made, ours=ours)
    else:
        with pytest.raises(Refused) as caught:
            rules.refuse_origin(made, ours=ours)
        assert caught.value.status == 403


def test_what_is_left_of_a_visitors_fields() -> None:
    headers: Headers = (
        (b"host", b"a"),
        (b"connection", b"close, X-Named , cookie, host, origin"),
        (b"x-named", b"1"),
        (b"cookie", b"a=b"),
        (b"origin", b"o"),
        (b"te", b"trailers"),
        (b"cf-ray", b"1"),
        (b"x-forwarded-for", b"1"),
        (b"x-forwarded-anything", b"1"),
        (b"forwarded", b"1"),
        (b"x_forwarded_for", b"1"),
        (b"accept", b"*/*"),
    )
    assert fields.end_to_end(headers) == ((b"host", b"a"), (b"origin", b"o"), (b"accept", b"*/*"))


def test_cookies_of_ours_stay_here_and_others_pass() -> None:
    made = request(
        "GET",
        (b"cookie", b"a=1; __Host-nexus=x; b=2;; nexus_local=y"),
        (b"cookie", b"__HOST-NEXUS=z; c=3"),
        (b"authorization", b"Bearer visitor"),
    )
    sent = heads.parse_fields(fields.to_upstream(made, b"Basic ours"))
    assert fields.values(sent, b"cookie") == (b"a=1; b=2; c=3",)
    assert fields.values(sent, b"authorization") == (b"Basic ours",)
    assert fields.bears_our_cookie(made.headers)
    assert not fields.bears_our_cookie(((b"cookie", b"x__Host-nexus=x; a=__Host-nexus"),))


def test_what_passes_of_an_answer() -> None:
    headers: Headers = (
        (b"content-length", b"5"),
        (b"connection", b"x-hop"),
        (b"x-hop", b"1"),
        (b"keep-alive", b"timeout=5"),
        (b"set-cookie", b"__Host-nexus=evil; Path=/"),
        (b"set-cookie", b"Nexus_Local=evil"),
        (b"set-cookie", b"theme=dark"),
        (b"www-authenticate", b"Basic"),
        (b"content-type", b"text/html"),
    )
    assert fields.to_visitor(headers) == [
        (b"set-cookie", b"theme=dark"),
        (b"content-type", b"text/html"),
    ]
