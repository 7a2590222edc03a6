"""SECURITY.md 6: what is judged is, byte for byte, what is forwarded."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.doubles import House, house, tunnel_request


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("paths")) as made:
        yield made


def fate(home: House, target: str) -> str:
    """Refused, ours or forwarded; and what must hold for each. (A question mark that nothing
    follows is dropped for the judge and for OpenCode alike.)"""
    client = home.tunnel()
    before, seen = len(home.raw.received), len(home.site.seen)
    client.send(tunnel_request("GET", target))
    answer = client.answer()
    client.close()
    if target.count("?") == 1:
        target = target.removesuffix("?")
    new = home.raw.received[before:]
    asked = [request.target for request in home.site.seen[seen:]]
    if answer.status == 400:
        assert (new, asked) == (b"", [])
        return "refused"
    assert answer.status == 200
    if answer.body.startswith(b"ours"):
        assert (new, asked) == (b"", [target])
        assert answer.body.split(b" ")[2] == target.encode()
        return "ours"
    assert asked == [target]
    assert new.startswith(b"GET " + target.encode() + b" HTTP/1.1\r\n")
    return "forwarded"


FORWARDED = [
    "/", "/a", "/a/", "/a//b", "/a///", "/%2F", "/a%2Fb", "/a%2f%2fb", "/%252e%252e/a", "/a;b=c",
    "/;", "/a;", "/a?b=../..", "/a?b=%2e%2e", "/a?", "/a??", "/a?b?c", "/a?\\", "/a?%5c", "/a?%",
    "/a%20b", "/a+b", "/...", "/a/..b", "/a/b..", "/.a", "/%2e%2ea", "/a%c0%ae", "/~a", "/a:b",
    "/@a", "/a|b", "/a?b=%0a", "/_nexus", "/_nexusx/", "/_NEXUS/", "/%5Fnexus/", "/_nexus%2Fx",
    "/x/_nexus/", "/_%6Eexus/x",
]  # fmt: skip

REFUSED = [
    "/..", "/.", "/../", "/./", "/a/../b", "/a/..", "/a/.", "/%2e", "/%2E%2e", "/.%2e/", "/%2e./a",
    "/a/%2e%2e/b", "/a%2F..", "/a%2f%2e%2e%2fb", "/..;/a", "/a/..;x=y/b", "/.;", "/\\", "/a\\b",
    "/%5c", "/a%5Cb", "/..\\a", "/%00", "/a%00", "/a?b=%00", "/%0a", "/%0d%0a", "/%1f", "/%7f",
    "/%", "/%2", "/%zz", "/%u002e", "//", "//a", "//_nexus/", "/_nexus/../x", "/_nexus/./x",
    "/_nexus/%2e%2e/x", "/x/../_nexus/x", "/_nexus/..%2fx",
]  # fmt: skip


@pytest.mark.parametrize("target", FORWARDED)
def test_odd_but_clear_paths_are_forwarded_as_they_are(home: House, target: str) -> None:
    assert fate(home, target) == "forwarded"


@pytest.mark.parametrize("target", REFUSED)
def test_paths_with_two_readings_are_refused(home: House, target: str) -> None:
    assert fate(home, target) == "refused"


@pytest.mark.parametrize("target", ["/_nexus/", "/_nexus/a", "/_nexus//a", "/_nexus/a?b=/../c"])
def test_ours_begin_with_exactly_our_prefix(home: House, target: str) -> None:
    assert fate(home, target) == "ours"


PARTS = st.sampled_from(
    [
        "/",
        "//",
        ".",
        "..",
        "%2e",
        "%2F",
        "%5c",
        "\\",
        ";",
        "_nexus",
        "a",
        "%00",
        "%",
        "?",
        "&",
        "=",
        "~",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(parts=st.lists(PARTS, max_size=8))
def test_no_target_is_judged_and_forwarded_differently(home: House, parts: list[str]) -> None:
    fate(home, "/" + "".join(parts))
