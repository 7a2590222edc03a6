"""SECURITY.md 4: of everything a visitor can send, OpenCode sees only our credential."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.gateway.http import DoorKind, Principal
from tests.gateway.doubles import CREDENTIAL, HOST, SECRET, House, house, tunnel_request

FORGED = "forged-by-the-visitor"
ORIGIN = f"Origin: https://{HOST}"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


def upstream_fields(home: House) -> list[tuple[str, str]]:
    head = home.raw.received.partition(b"\r\n\r\n")[0].decode("latin-1")
    return [(n.lower(), v) for n, _, v in (ln.partition(": ") for ln in head.split("\r\n")[1:])]


STRIPPED = [
    f"Authorization: Basic {FORGED}",
    f"Authorization: Bearer {FORGED}",
    f"authorization:Basic {FORGED}",
    f"Proxy-Authorization: Basic {FORGED}",
    f"Cookie: __Host-nexus={FORGED}",
    f"Cookie: nexus_local={FORGED}",
    f"Cookie: __host-NEXUS={FORGED}",
    f"Cookie:  __Host-nexus = {FORGED}",
    f"CF-Ray: {FORGED}",
    f"CF-Access-Jwt-Assertion: {FORGED}",
    f"Cf-Warp-Tag-Gw: {FORGED}",
    f"Cf-Warp-Tag-Other: {FORGED}",
    f"Cf-Anything-New: {FORGED}",
    f"Cdn-Loop: {FORGED}",
    f"X-Forwarded-For: {FORGED}",
    f"X-Forwarded-Host: {FORGED}",
    f"X-Forwarded-Proto: {FORGED}",
    f"X-Forwarded-User: {FORGED}",
    f"Forwarded: for={FORGED}",
    f"X-Real-IP: {FORGED}",
    f"True-Client-IP: {FORGED}",
    f"Via: 1.1 {FORGED}",
    f"X-Original-URL: /{FORGED}",
    f"X-Rewrite-URL: /{FORGED}",
    f"X-HTTP-Method-Override: {FORGED}",
    f"X_Forwarded_For: {FORGED}",
    f"Content_Length: {FORGED}",
    f"AUTHORIZATION_X: {FORGED}",
    f"Keep-Alive: {FORGED}",
    f"Proxy-Connection: {FORGED}",
    f"TE: {FORGED}",
    f"Trailer: {FORGED}",
    f"Upgrade: {FORGED}",
    f"HTTP2-Settings: {FORGED}",
]


@pytest.mark.parametrize("line", STRIPPED)
def test_what_a_visitor_forges_goes_no_further(home: House, line: str) -> None:
    assert home.ask(tunnel_request("GET", "/x", line)).status == 200
    assert FORGED.encode() not in home.raw.received
    credentials = [value for name, value in upstream_fields(home) if name == "authorization"]
    assert credentials == [CREDENTIAL.decode()]


@pytest.mark.parametrize("line", [*STRIPPED, f"X-Own: {FORGED}"])
def test_what_connection_names_goes_no_further(home: House, line: str) -> None:
    name = line.partition(":")[0]
    request = tunnel_request("GET", "/x", f"Connection: keep-alive, {name}", line)
    assert home.ask(request).status in (200, 401)  # 401: he named his own session away
    assert FORGED.encode() not in home.raw.received


def test_naming_the_cookie_is_signing_out_of_this_request(home: House) -> None:
    assert home.ask(tunnel_request("GET", "/x", "Connection: cookie")).status == 401
    assert home.raw.received == b""


@pytest.mark.parametrize(
    "name", ["authorization", "host", "origin", "content-length", "cf-connecting-ip", "close"]
)
def test_connection_cannot_take_ours_away(home: House, name: str) -> None:
    lines = (f"Connection: {name}", ORIGIN, "Content-Length: 0")
    assert home.ask(tunnel_request("POST", "/x", *lines)).status == 200
    fields = upstream_fields(home)
    assert ("authorization", CREDENTIAL.decode()) in fields
    assert [value for field, value in fields if field == "host"] == [HOST]
    assert [value for field, value in fields if field == "content-length"] == ["0"]


SPELLINGS = [
    "auth_token", "%61uth_token", "auth%5Ftoken", "auth%5ftoken", "AUTH_TOKEN", "%41UTH%5FTOKEN",
    "auth_toke%6e", "+auth_token", "auth_token+", "%20auth_token",
    "%61%75%74%68%5f%74%6f%6b%65%6e",
]  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("query", ["{}=x", "a=b&{}=x", "{}", "a=b;{}=x", "&&{}=x&c=d", "{}=x=y"])
def test_a_token_in_the_query_is_refused_in_every_spelling(
    home: House, name: str, query: str
) -> None:
    assert home.ask(tunnel_request("GET", f"/x?{query.format(name)}")).status == 400
    assert home.raw.received == b""


def test_our_secrets_are_ours_alone(home: House) -> None:
    """Nothing of the channel, the session or the visitor's address reaches OpenCode."""
    request = tunnel_request("GET", "/x", "CF-IPCountry: AT", "Cookie: theme=dark; b=c")
    assert home.ask(request).status == 200
    received = home.raw.received.decode().lower()
    for ours in (SECRET, "__host-nexus", "ada", "203.0.113.9", "cf-", "at\r\n"):
        assert ours.lower() not in received
    assert ("cookie", "theme=dark; b=c") in upstream_fields(home)
    visitor = home.site.seen[-1].visitor
    assert (visitor.address, visitor.country) == ("203.0.113.9", "AT")


def test_origin_goes_no_further_and_host_stays(home: House) -> None:
    """OpenCode refuses the terminal's token when Origin and Host differ (FACTS.md)."""
    request = tunnel_request("POST", "/pty/1/connect-token", ORIGIN, "Content-Length: 0")
    assert home.ask(request).status == 200
    names = [name for name, _ in upstream_fields(home)]
    assert "origin" not in names
    assert ("host", HOST) in upstream_fields(home)


def test_a_bearer_token_is_read_by_the_site_and_replaced(home: House) -> None:
    home.site.sessions["nx"] = Principal("id-nx", "phone", DoorKind.TUNNEL)
    request = tunnel_request("POST", "/x", "Authorization: Bearer nx_nx", cookie=None)
    assert home.ask(request).status == 200
    assert b"nx_nx" not in home.raw.received


def test_the_site_sees_nothing_forged_either(home: House) -> None:
    home.ask(tunnel_request("GET", "/_nexus/x", *STRIPPED[6:]))
    seen = home.site.seen[-1]
    names = {name for name, _ in seen.headers}
    assert not any(re.match(rb"cf-|x-forwarded-|forwarded|via|x-real|.*_", name) for name in names)
