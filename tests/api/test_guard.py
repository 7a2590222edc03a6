"""The guard's rules as a table: one field changed, one refusal; and what passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.api.guard import BODY_LIMIT, Head, Pass, judge

WANTED = Pass(authority="127.0.0.1:4711", token="t" * 43)
HOST = ("host", "127.0.0.1:4711")
TOKEN = ("authorization", "Bearer " + "t" * 43)
JSON = ("content-type", "application/json")


def head(method: str, *fields: tuple[str, str]) -> Head:
    return Head(method=method, fields=fields)


PASSES = [
    head("GET", HOST, TOKEN),
    head("GET", HOST, ("authorization", "bearer " + "t" * 43)),
    head("GET", HOST, TOKEN, ("origin", "http://127.0.0.1:4711")),
    head("GET", HOST, TOKEN, ("sec-fetch-site", "same-origin")),
    head("GET", HOST, TOKEN, ("sec-fetch-site", "none")),
    head("GET", HOST, TOKEN, ("cookie", "theirs=1")),
    head("POST", HOST, TOKEN),
    head("POST", HOST, TOKEN, ("content-length", "0")),
    head("PUT", HOST, TOKEN, JSON, ("content-length", str(BODY_LIMIT))),
    head("PUT", HOST, TOKEN, ("content-type", "application/json; charset=utf-8")),
    head("DELETE", HOST, TOKEN),
]

REFUSALS = [
    ("no host", 403, "api-host", head("GET", TOKEN)),
    ("name", 403, "api-host", head("GET", ("host", "localhost:4711"), TOKEN)),
    ("no port", 403, "api-host", head("GET", ("host", "127.0.0.1"), TOKEN)),
    ("port", 403, "api-host", head("GET", ("host", "127.0.0.1:4712"), TOKEN)),
    ("rebound", 403, "api-host", head("GET", ("host", "evil.example:4711"), TOKEN)),
    ("begins alike", 403, "api-host", head("GET", ("host", "127.0.0.1:4711.evil.example"), TOKEN)),
    ("user part", 403, "api-host", head("GET", ("host", "a@127.0.0.1:4711"), TOKEN)),
    ("other spelling", 403, "api-host", head("GET", ("host", "127.1:4711"), TOKEN)),
    ("two hosts", 403, "api-host", head("GET", HOST, HOST, TOKEN)),
    ("foreign origin", 403, "api-origin", head("GET", HOST, TOKEN, ("origin", "http://evil"))),
    ("null origin", 403, "api-origin", head("POST", HOST, TOKEN, ("origin", "null"))),
    ("its port", 403, "api-origin", head("GET", HOST, TOKEN, ("origin", "http://127.0.0.1:1"))),
    ("tls", 403, "api-origin", head("GET", HOST, TOKEN, ("origin", "https://127.0.0.1:4711"))),
    ("cross-site", 403, "api-origin", head("GET", HOST, TOKEN, ("sec-fetch-site", "cross-site"))),
    ("same-site", 403, "api-origin", head("GET", HOST, TOKEN, ("sec-fetch-site", "same-site"))),
    ("chunked", 400, "api-framing", head("PUT", HOST, TOKEN, ("transfer-encoding", "chunked"))),
    ("two lengths", 400, "api-framing",
     head("PUT", HOST, TOKEN, JSON, ("content-length", "1"), ("content-length", "1"))),
    ("signed length", 400, "api-framing", head("PUT", HOST, TOKEN, ("content-length", "+1"))),
    ("list of lengths", 400, "api-framing", head("PUT", HOST, TOKEN, ("content-length", "1, 1"))),
    ("superscript", 400, "api-framing", head("PUT", HOST, TOKEN, ("content-length", "²"))),
    ("preflight", 405, "api-method", head("OPTIONS", HOST, TOKEN)),
    ("head", 405, "api-method", head("HEAD", HOST, TOKEN)),
    ("lower case", 405, "api-method", head("get", HOST, TOKEN)),
    ("form", 403, "api-form",
     head("POST", HOST, TOKEN, ("content-type", "application/x-www-form-urlencoded"))),
    ("multipart", 403, "api-form",
     head("POST", HOST, TOKEN, ("content-type", "multipart/form-data; boundary=x"))),
    ("text", 403, "api-form", head("POST", HOST, TOKEN, ("content-type", "text/plain"))),
    ("no type", 403, "api-form", head("PUT", HOST, TOKEN, ("content-length", "2"))),
    ("two types", 403, "api-form", head("PUT", HOST, TOKEN, JSON, JSON)),
    ("no token", 401, "api-token", head("GET", HOST)),
    ("wrong", 401, "api-token", head("GET", HOST, ("authorization", "Bearer " + "u" * 43))),
    ("begin of it", 401, "api-token", head("GET", HOST, ("authorization", "Bearer " + "t" * 42))),
    ("empty", 401, "api-token", head("GET", HOST, ("authorization", "Bearer "))),
    ("basic", 401, "api-token", head("GET", HOST, ("authorization", "Basic " + "t" * 43))),
    ("bare", 401, "api-token", head("GET", HOST, ("authorization", "t" * 43))),
    ("twice", 401, "api-token", head("GET", HOST, TOKEN, TOKEN)),
    ("as cookie", 401, "api-token", head("GET", HOST, ("cookie", "token=" + "t" * 43))),
    ("not latin", 401, "api-token", head("GET", HOST, ("authorization", "Bearer ü☂"))),
    ("too long", 413, "api-too-long",
     head("PUT", HOST, TOKEN, JSON, ("content-length", str(BODY_LIMIT + 1)))),
    ("body of a GET", 413, "api-too-long", head("GET", HOST, TOKEN, ("content-length", "1"))),
]  # fmt: skip


@pytest.mark.parametrize("given_head", PASSES, ids=str)
def test_what_is_ours_passes(given_head: Head) -> None:
    assert judge(given_head, WANTED) is None


@pytest.mark.parametrize(
    ("status", "code", "given_head"), [row[1:] for row in REFUSALS], ids=[r[0] for r in REFUSALS]
)
def test_what_is_not_is_refused(status: int, code: str, given_head: Head) -> None:
    refusal = judge(given_head, WANTED)
    assert refusal is not None
    assert (refusal.status, refusal.reason.code) == (status, code)
    assert refusal.reason.cure


def test_an_empty_token_opens_nothing() -> None:
    bare = head("GET", HOST, ("authorization", "Bearer "))
    refusal = judge(bare, Pass(authority="127.0.0.1:4711", token=""))
    assert refusal is not None


LATIN = st.text(st.characters(max_codepoint=255), max_size=60)
NAMES = st.sampled_from(
    ["host", "authorization", "origin", "content-type", "content-length", "transfer-encoding", "x"]
)


@given(st.text(max_size=8), st.lists(st.tuples(NAMES, LATIN), max_size=8))
def test_no_head_without_the_token_ever_passes(method: str, fields: list[tuple[str, str]]) -> None:
    assert judge(Head(method=method, fields=(HOST, *fields)), WANTED) is not None
