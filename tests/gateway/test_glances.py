"""What is seen at one glance, or known from before, must be what the rules and the grammar say."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nexus_tray.gateway.headers import Fields, Headers, once
from nexus_tray.gateway.relay import heads, rules
from nexus_tray.gateway.relay.bodies import LengthBody
from nexus_tray.gateway.relay.heads import Refused, RequestHead
from nexus_tray.gateway.relay.known import KnownBlocks

PIECES = (
    *(
        "/",
        "//",
        ".",
        "..",
        "/.",
        "/..",
        "/a",
        "a.b",
        "~",
        "-",
        "_",
        ";",
        "\\",
        "%5c",
        "%2e",
        "%2F",
    ),
    *("%00", "%0a", "%", "%zz", "#", "?", "&", "=", ",", ":", "+", "auth_token", "AUTH_token", "*"),
    *("auth%5ftoken", "%61uth_token", "auth_token=x", "x=auth_token", "directory=%2Fhome%2Fme"),
)
FIELDS = (
    *(b"Host: a.example", b"host: b.example", b"Host: a b", b"Accept: */*", b"Content-Length: 0"),
    *(b"Content-Length: 5", b"Content-Length: +5", b"Transfer-Encoding: chunked", b"Expect: x"),
    *(b"Expect: 100-continue", b"Upgrade: websocket", b"Connection: Upgrade", b"Connection: close"),
    *(b"Transfer-Encoding: gzip", b"X: y", b"Bad Name: x", b"No-Colon", b" folded: x", b"A: \x00"),
    *(b"Cf-Ray: 8f0a-ZRH", b"Cf-Ray: 8f0b-FRA", b"cf-ray: low", b"Cf-Ray: a b", b"Cf-Ray: x\n y"),
)


def verdict(head: RequestHead, *, glance: bool) -> tuple[int, object]:
    """The refusal's status, or 0 and what body is expected."""
    try:
        if glance:
            body = rules.judge_request(head)
        else:
            for refuse in rules.REFUSALS:
                refuse(head)
            body = rules.request_body(head)
    except Refused as refusal:
        return refusal.status, refusal.why
    return 0, body.left if isinstance(body, LengthBody) else type(body)


targets = st.lists(st.sampled_from(PIECES), max_size=6).map(lambda found: "/" + "".join(found))
lines = st.lists(st.sampled_from(FIELDS), max_size=5)


@given(targets, st.sampled_from((b"GET", b"POST", b"TRACE")), st.sampled_from((0, 1)), lines)
@example("/x?auth_token=1", b"GET", 1, [b"Host: a.example"])
@example("/x?a=%00", b"GET", 1, [b"Host: a.example"])
@example("/x//y", b"GET", 1, [b"Host: a.example"])
@example("//y", b"GET", 1, [b"Host: a.example"])
def test_a_glance_sees_what_the_rules_say(
    target: str, method: bytes, minor: int, found: list[bytes]
) -> None:
    block = b"".join(line + b"\r\n" for line in found)
    try:
        headers = heads.parse_fields(block)
    except Refused:
        return
    head = RequestHead(method, target.encode(), minor, headers)
    plain = RequestHead(method, target.encode(), minor, tuple(headers))
    told = verdict(head, glance=True)
    assert told == verdict(head, glance=True) == verdict(plain, glance=False)


def test_every_target_of_two_pieces_is_seen_rightly() -> None:
    host = ((b"host", b"a.example"),)
    refused = 0
    for pieces in itertools.product(PIECES, repeat=2):
        head = RequestHead(b"GET", ("/" + "".join(pieces)).encode(), 1, host)
        told = verdict(head, glance=False)
        assert verdict(head, glance=True) == told
        refused += bool(told[0])
    assert 0 < refused < len(PIECES) ** 2


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("minor", [0, 1])
def test_every_two_fields_are_seen_rightly(method: bytes, minor: int) -> None:
    refused = 0
    for pair in itertools.permutations((b"X: z", *FIELDS), 2):
        try:
            headers = heads.parse_fields(b"".join(line + b"\r\n" for line in (FIELDS[0], *pair)))
        except Refused:
            continue
        head = RequestHead(method, b"/x", minor, headers)
        told = verdict(head, glance=False)
        assert verdict(head, glance=True) == told
        refused += bool(told[0])
    assert refused > 10


def without_ray(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name != b"cf-ray"]


@given(st.lists(lines, min_size=1, max_size=8))
def test_known_blocks_are_read_as_unknown_ones(blocks: list[list[bytes]]) -> None:
    known = KnownBlocks(most=3)
    for found in blocks:
        head = b"".join(line + b"\r\n" for line in (b"GET / HTTP/1.1", *found))
        try:
            told = heads.parse_request(head)
        except Refused:
            for _ in range(2):
                with pytest.raises(Refused):
                    known.parse_request(head)
            continue
        for _ in range(2):
            assert without_ray(known.parse_request(head).headers) == without_ray(told.headers)
    assert len(known) <= 3


def test_only_the_ray_may_differ_in_a_known_block() -> None:
    known = KnownBlocks()
    head = b"GET /%d HTTP/1.1\r\nHost: a.example\r\nCf-Ray: %b\r\nCookie: a=%d\r\n"
    first = known.parse_request(head % (1, b"8f0a-ZRH", 1))
    again = known.parse_request(head % (2, b"8f0b-FRA", 1))
    other = known.parse_request(head % (3, b"8f0b-FRA", 2))
    assert again.headers is first.headers
    assert again.target == b"/2"
    assert other.headers == ((b"host", b"a.example"), (b"cookie", b"a=2"))
    assert len(known) == 2


def test_long_blocks_are_not_kept() -> None:
    known = KnownBlocks(longest=100)
    known.parse_request(b"GET / HTTP/1.1\r\nHost: a.example\r\nX: " + b"x" * 100 + b"\r\n")
    assert len(known) == 0


def test_what_follows_from_fields_is_found_out_once() -> None:
    asked = []

    def names(headers: Headers) -> list[bytes]:
        asked.append(headers)
        return [name for name, _ in headers]

    headers = Fields([(b"a", b"1"), (b"a", b"2")])
    assert once(headers, names) == once(headers, names) == [b"a", b"a"]
    assert len(asked) == 1
    assert once(tuple(headers), names) == [b"a", b"a"]
    assert len(asked) == 2
    assert headers.by_name == {b"a": (b"1", b"2")}
