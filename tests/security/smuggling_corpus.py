"""Requests that two parsers may read in two ways, as whole byte strings with a name.

Each comes from a signed-in visitor, so that only its framing can be the reason to refuse it.
Collected from RFC 9112 (sections 3, 5, 6, 7 and 11.2), the published request-smuggling
families (CL.CL, CL.TE, TE.CL, TE.TE, chunk extensions and terminators, bare CR and LF,
obs-fold, HTTP/0.9, WebSocket handshakes with bodies) and the spellings that parsers have
been known to forgive.
"""

import itertools
from collections.abc import Iterator

from tests.gateway.doubles import HOST, SECRET

HOST_LINE = f"Host: {HOST}\r\n".encode()
TAIL = (
    f"Cookie: __Host-nexus=ada\r\nOrigin: https://{HOST}\r\n"
    f"CF-Connecting-IP: 203.0.113.9\r\nCf-Warp-Tag-Gw: {SECRET}\r\n\r\n"
).encode()
FIVE = b"5\r\nhello\r\n0\r\n\r\n"

LENGTHS = [
    b"", b"+5", b"-5", b"-0", b"5,", b",5", b"5,5", b"5, 5", b"5;5", b"5 5", b"0x5", b"5h", b"5.0",
    b"5e0", b"1_0", b"'5'", b'"5"', b"\x0b5", b"5\x0b", b"\xa05", b"\xef\xbc\x95", b"five",
    b"9" * 16, b"9" * 40, b"18446744073709551617", b"NaN", b"5\x00", b"5\x7f", b"%35", b"()5",
]  # fmt: skip

LENGTH_LINES = [
    b"Content-Length : 5", b"Content-Length\t: 5", b" Content-Length: 5", b"\tContent-Length: 5",
    b"Content-Length\x00: 5", b"Content-Length\x0b: 5", b"Content Length: 5", b"Content-Length 5",
    b"Content-Length", b":Content-Length: 5", b"\x00Content-Length: 5", b"Content-Length\r: 5",
    b"Content-Length:\r 5", b"Content-Length:\n 5", b"X: y\nContent-Length: 5",
    b"X: y\rContent-Length: 5", b"X: y\r\n Content-Length: 5", b"X: y\r\n\tContent-Length: 5",
    b"Content\xadLength: 5", b"(Content-Length): 5", b"Content-Length\xa0: 5",
    b"Content/Length: 5",
]  # fmt: skip

CODINGS = [
    b"", b"chunked,", b",chunked", b"chunked, chunked", b"chunked,identity", b"identity, chunked",
    b"identity", b"gzip", b"gzip, chunked", b"chunked, gzip", b"deflate", b"xchunked", b"chunkedx",
    b"chunke", b"chunk", b"chunked;q=1", b"chunked ;", b'"chunked"', b"'chunked'", b"\x0bchunked",
    b"chunked\x0b", b"\x0cchunked", b"chunked\x00", b"\x00chunked", b"chunked\x7f", b"\xa0chunked",
    b"ch\xc3\xbcnked", b"chun\\ked", b"chunked chunked", b"true", b"cow", b"[chunked]",
    b"chunked/1", b"chunked-false", b"\xefchunked", b"x, chunked", b"trailers", b"close", b"5",
]  # fmt: skip

CODING_LINES = [
    b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked",
    b" Transfer-Encoding: chunked", b"\tTransfer-Encoding: chunked",
    b"Transfer-Encoding\x00: chunked", b"Transfer\x00Encoding: chunked",
    b"Transfer Encoding: chunked", b"Transfer-Encoding chunked", b"Transfer-Encoding",
    b"Transfer-Encoding\x0b: chunked", b"\x00Transfer-Encoding: chunked",
    b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding:\r\n\tchunked",
    b"Transfer-Encoding:\n chunked", b"Transfer-Encoding:\rchunked",
    b"Transfer-Encoding\r\n: chunked", b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked", b"X: y\r\n Transfer-Encoding: chunked",
    b"X: y\x00\nTransfer-Encoding: chunked", b"Transfer\xadEncoding: chunked",
    b"Transfer-Encoding\xa0: chunked", b"Transfer-\xc4\xb0ncoding: chunked",
    b"(Transfer-Encoding): chunked",
]  # fmt: skip

SIZES = [
    b"", b"+5", b"-5", b"0x5", b"5h", b"5 ", b" 5", b"\t5", b"5\t", b"5;", b"5;a", b"5;a=b",
    b'5;a="b"', b"5 ;a", b"5;\x00", b"g", b"5,", b"5.0", b"\x0b5", b"5\x0b", b"5\x00", b"\x005",
    b"5\r", b"5\xa0", b"1000000000005", b"f" * 16, b"0" * 13 + b"5", b"-0", b"5_0", b"0X5",
    b"\xef\xbc\x95", b"h", b"0" * 70_000 + b"5", b"5;" + b"x" * 70_000, b"5;a=\"\r\n\"", b"5\r\n;a",
]  # fmt: skip

CHUNKS = [
    b"5\nhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"5\r\nhello\r0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n", b"5\r\nhellox\r\n0\r\n\r\n", b"4\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n\r\n0\r\n\r\n", b"5\rhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\n\r\n",
    b"5\r\nhello\r\n0\n\n", b"5\r\nhello\r\n0\r\n\n", b"5\r\nhello\n\r\n0\r\n\r\n",
    b"5;\nx\r\nhello\r\n0\r\n\r\n", b"\n5\r\nhello\r\n0\r\n\r\n", b"0\r\nX y: z\r\n\r\n",
    b"0\r\n X: y\r\n\r\n", b"0\r\nX\r\n\r\n", b"0\r\nX: y\n\r\n", b"0\r\nX: \x00\r\n\r\n",
    b"0\r\nX : y\r\n\r\n", b"0\r\n: y\r\n\r\n", b"0\r\nX: y\rz\r\n\r\n",
    b"0\r\nX: y\r\n z\r\n\r\n", b"0\r\n" + b"X: y\r\n" * 1500 + b"\r\n",
]  # fmt: skip

LINES = [
    b"GET  / HTTP/1.1", b" GET / HTTP/1.1", b"GET /  HTTP/1.1", b"GET\t/ HTTP/1.1",
    b"GET / HTTP/1.1 ", b"GET / HTTP/1.1\t", b"GET / HTTP/01.1", b"GET / HTTP/1.01",
    b"GET / HTTP/1.", b"GET / HTTP/1", b"GET / HTTP/11", b"GET / HTTP/1.10", b"GET / HTTP/3.0",
    b"GET / HTTP/0.9", b"GET / HTTP/-1.1", b"GET / HTTPS/1.1", b"GET / http/1.1",
    b"GET / HTTP 1.1", b"GET / FOO/1.1", b"GET /", b"GET", b"/ HTTP/1.1", b"GET / x HTTP/1.1",
    b"GET /\x00 HTTP/1.1", b"GET /\x7f HTTP/1.1", b"GET /\xff HTTP/1.1", b"GET /\x0b HTTP/1.1",
    b"GET /\r HTTP/1.1", b"get / HTTP/1.1", b"G\x00T / HTTP/1.1", b"GE T / HTTP/1.1",
    b"(GET) / HTTP/1.1", b"GET http://evil.example/ HTTP/1.1",
    b"GET https://evil.example/ HTTP/1.1", b"GET evil.example HTTP/1.1", b"GET * HTTP/1.1",
    b"OPTIONS * HTTP/1.1", b"GET //evil.example/ HTTP/1.1", b"GET \\evil HTTP/1.1",
    b"GET ?x HTTP/1.1", b"GET @evil.example HTTP/1.1", b"GET /x#y HTTP/1.1", b"GET /\\x HTTP/1.1",
    b"TRACE / HTTP/1.1", b"CONNECT evil.example:443 HTTP/1.1", b"CONNECT /x HTTP/1.1",
]  # fmt: skip

CONTROLS = [bytes([byte]) for byte in (*range(0x20), 0x7F) if byte not in b"\t"]

OVERLONG = [
    b"GET /" + b"x" * 70_000 + b" HTTP/1.1", b"GET /?" + b"x" * 70_000 + b" HTTP/1.1",
    b"G" * 21 + b" / HTTP/1.1", b"G" * 70_000 + b" / HTTP/1.1", b"GET / HTTP/1." + b"1" * 70_000,
]  # fmt: skip

SECOND_HOSTS = [
    f"Host: {HOST}".encode(), b"Host:",
    b"Host: evil.example", b"Host : evil.example", b"host:evil.example", b"HOST:\tevil.example",
    b" Host: evil.example",
]  # fmt: skip

HOSTS = [
    b"", b"a b", b"a,b", b"a@b", b"a/b", b"a:", b"a:b", b"a:999999", b"[", b"a\\b", b"a#b",
    b"\xff",
]  # fmt: skip


def post(*lines: bytes, line: bytes = b"POST /x HTTP/1.1", body: bytes = b"") -> bytes:
    """A request that is whole and clear but for these lines."""
    return b"\r\n".join([line, HOST_LINE + b"".join(f + b"\r\n" for f in lines) + TAIL + body])


def chunked(body: bytes) -> bytes:
    """A chunked request with this body on the wire."""
    return post(b"Transfer-Encoding: chunked", body=body)


def lengths() -> Iterator[tuple[str, bytes]]:
    for value in LENGTHS:
        yield f"CL {value!r}", post(b"Content-Length: " + value, body=b"hello")
    for line in LENGTH_LINES:
        yield f"CL line {line!r}", post(line, body=b"hello")
    for pair in itertools.product((b"0", b"5", b"6"), repeat=2):
        lines = [b"Content-Length: " + value for value in pair]
        yield f"CL.CL {pair!r}", post(*lines, body=b"hello")


def codings() -> Iterator[tuple[str, bytes]]:
    for value in CODINGS:
        yield f"TE {value!r}", post(b"Transfer-Encoding: " + value, body=FIVE)
    for line in CODING_LINES:
        yield f"TE line {line!r}", post(line, body=FIVE)
    length, plain = b"Content-Length: 5", b"Transfer-Encoding: chunked"
    for coding in (b"chunked", b"Chunked", b"identity", b"gzip, chunked", b" chunked"):
        field = b"Transfer-Encoding: " + coding
        yield f"CL.TE {coding!r}", post(length, field, body=FIVE)
        yield f"TE.CL {coding!r}", post(field, length, body=FIVE)
        yield f"TE.TE {coding!r}", post(field, field, body=FIVE)
        yield f"TE.TE x {coding!r}", post(field, b"Transfer-Encoding: x", body=FIVE)
    old = b"POST /x HTTP/1.0"
    yield "TE in 1.0", post(plain, line=old, body=FIVE)
    yield "TE and CL in 1.0", post(plain, length, line=old, body=FIVE)
    for kept in (b"Connection: keep-alive", b"Connection: keep-alive, close"):
        yield f"TE in 1.0 {kept!r}", post(kept, plain, line=old, body=FIVE)
        yield (
            f"CL.CL in 1.0 {kept!r}",
            post(kept, length, b"Content-Length: 6", line=old, body=b"6"),
        )
    for field in (b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: evil.example"):
        for end in (b"\n\r\n", b"\r\r\n", b" \x00\r\n\r\n"):
            yield f"trailer {field!r} {end!r}", chunked(b"0\r\n" + field + end)


def chunks() -> Iterator[tuple[str, bytes]]:
    for size in SIZES:
        yield f"chunk size {size!r}", chunked(size + b"\r\nhello\r\n0\r\n\r\n")
    for body in CHUNKS:
        yield f"chunks {body[:30]!r}", chunked(body)


def heads() -> Iterator[tuple[str, bytes]]:
    for line in LINES:
        yield f"line {line!r}", post(line=line)
    for line in OVERLONG:
        yield f"overlong {line[:6]!r} {line[-6:]!r}", post(line=line)
    yield "overlong name", post(b"X" * 70_000 + b": y")
    for byte in CONTROLS:
        yield f"control in a value {byte!r}", post(b"X: a" + byte + b"b")
        yield f"control in a name {byte!r}", post(b"X" + byte + b"Y: b")
    own = f"http://{HOST}".encode()
    for form in (own + b"/", own, own.replace(b"http", b"ws") + b"/", HOST.encode() + b":443"):
        yield f"own host in the target {form[:8]!r}", post(line=b"GET " + form + b" HTTP/1.1")
    for host in SECOND_HOSTS:
        yield f"two hosts {host!r}", post(host)
    for host in HOSTS:
        yield f"host {host!r}", b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n" + TAIL
    yield "no host", b"GET / HTTP/1.1\r\n" + TAIL
    yield "no host in 1.0", b"GET / HTTP/1.0\r\n" + TAIL
    yield "leading CRLF", b"\r\n" + post()
    yield "leading LF", b"\n" + post()
    yield "bare LF head", post().replace(b"\r\n", b"\n")
    yield "bare CR head", post().replace(b"\r\n", b"\r") + b"\r\n\r\n"
    yield "LF CR", post(b"X: y\n\r")
    yield "LF LF in the head", post(b"X: y\n\nGET /smuggled HTTP/1.1")
    yield "CR CR LF", post(b"X: y\r")
    yield "expect", post(b"Expect: 100-continued", b"Content-Length: 5", body=b"hello")
    yield "HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield "129 fields", post(*[b"X: y"] * 129)
    yield "too large a head", post(b"X: " + b"y" * 65536)
    upgrade, line = (b"Connection: Upgrade", b"Upgrade: websocket"), b"GET /pty HTTP/1.1"
    yield "WS with CL", post(*upgrade, b"Content-Length: 5", line=line, body=b"hello")
    yield "WS with TE", post(*upgrade, b"Transfer-Encoding: chunked", line=line, body=FIVE)


CASES = [*lengths(), *codings(), *chunks(), *heads()]
