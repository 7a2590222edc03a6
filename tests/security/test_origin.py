"""SECURITY.md 7: a cookie-bearing WebSocket, POST or sign-in from anywhere else: 403."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from nexus_tray.gateway.site.site import ROUTES
from tests.gateway.doubles import HOST, House, house, tunnel_request
from tests.gateway.worlds import PASSWORD
from tests.security.test_signin_e2e import House as SignedIn
from tests.security.test_signin_e2e import house as signed_in

__all__ = ["signed_in"]

FOREIGN = {
    "missing": (),
    "foreign": ("Origin: https://evil.example",),
    "null": ("Origin: null",),
    "empty": ("Origin:",),
    "http": (f"Origin: http://{HOST}",),
    "port": (f"Origin: https://{HOST}:443",),
    "other port": (f"Origin: https://{HOST}:8443",),
    "path": (f"Origin: https://{HOST}/",),
    "suffix": (f"Origin: https://{HOST}.evil.example",),
    "prefix": (f"Origin: https://evil-{HOST}",),
    "sibling": ("Origin: https://loud-river.trycloudflare.com",),
    "parent": ("Origin: https://trycloudflare.com",),
    "subdomain": (f"Origin: https://a.{HOST}",),
    "user": (f"Origin: https://{HOST}@evil.example",),
    "upper case": (f"Origin: https://{HOST.upper()}",),
    "trailing dot": (f"Origin: https://{HOST}.",),
    "homograph": ("Origin: https://quiet-rіver.trycloudflare.com".encode().decode("latin-1"),),
    "two": (f"Origin: https://{HOST}", "Origin: https://evil.example"),
    "twice": (f"Origin: https://{HOST}", f"Origin: https://{HOST}"),
    "list": (f"Origin: https://{HOST}, https://evil.example",),
    "loopback": ("Origin: http://127.0.0.1:4096",),
    "opencode": ("Origin: https://app.opencode.ai",),
    "underscore": (f"O_rigin: https://{HOST}",),
    "named away": ("Origin: https://evil.example", "Connection: origin"),
}
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("origin")) as made:
        yield made


@pytest.mark.parametrize("lines", FOREIGN.values(), ids=FOREIGN.keys())
@pytest.mark.parametrize(
    ("method", "target", "more"),
    [
        ("POST", "/session", ()),
        ("PUT", "/x", ()),
        ("PATCH", "/x", ()),
        ("DELETE", "/session/1", ()),
        ("GET", "/pty/1/connect", UPGRADE),
        ("GET", "/_nexus/events", UPGRADE),
        ("POST", "/_nexus/sign-out", ()),
    ],
)
def test_a_cookie_is_not_enough(
    home: House, method: str, target: str, more: tuple[str, ...], lines: tuple[str, ...]
) -> None:
    answer = home.ask(tunnel_request(method, target, *lines, *more))
    assert (answer.status, answer.get("connection")) == (403, "close")
    assert home.raw.received == b""


@pytest.mark.parametrize("lines", FOREIGN.values(), ids=FOREIGN.keys())
def test_signing_in_needs_our_origin(home: House, lines: tuple[str, ...]) -> None:
    request = tunnel_request("POST", "/_nexus/sign-in", *lines, "Content-Length: 4", cookie=None)
    assert home.ask(request + b"a=bc").status == 403


@pytest.mark.parametrize("target", ["/x", "/_nexus/x"])
@pytest.mark.parametrize("how", ["foreign", "null", "sibling", "twice", "opencode"])
def test_a_foreign_one_is_refused_even_for_reading(home: House, target: str, how: str) -> None:
    assert home.ask(tunnel_request("GET", target, *FOREIGN[how])).status == 403
    assert home.raw.received == b""


def test_ours_is_taken(tmp_path: Path) -> None:
    ours = f"Origin: https://{HOST}"
    with house(tmp_path) as home:
        assert home.ask(tunnel_request("GET", "/x")).status == 200
        for method in ("GET", "POST", "DELETE"):
            assert home.ask(tunnel_request(method, "/x", ours)).status == 200
        assert home.ask(tunnel_request("POST", "/_nexus/x", ours, cookie=None)).status == 200


def test_a_bearer_token_may_omit_it_but_not_lie(tmp_path: Path) -> None:
    """`opencode attach` sends none; a page elsewhere cannot send a bearer token unasked."""
    with house(tmp_path) as home:
        bearer = "Authorization: Bearer nx_ada"
        assert home.ask(tunnel_request("POST", "/x", bearer, cookie=None)).status == 200
        evil = tunnel_request("POST", "/x", bearer, *FOREIGN["foreign"], cookie=None)
        assert home.ask(evil).status == 403
        # with a cookie beside it, it is a browser's again
        assert home.ask(tunnel_request("POST", "/x", bearer, cookie="old")).status == 403


def test_at_the_local_door_another_local_port_is_foreign(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        port = home.gateway.local_port
        for origin, status in (
            (f"http://127.0.0.1:{port}", 200),
            (f"http://127.0.0.1:{port ^ 1}", 403),
            (f"http://localhost:{port}", 403),
            (f"https://127.0.0.1:{port}", 403),
        ):
            client = home.local()
            client.send(
                f"POST /x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {origin}\r\n"
                "Cookie: nexus_local=ada\r\n\r\n".encode()
            )
            assert client.answer().status == status


POSTS = sorted(name for name, methods in ROUTES.items() if "POST" in methods)


@pytest.mark.parametrize("path", POSTS)
def test_no_post_of_ours_is_taken_from_elsewhere(signed_in: SignedIn, path: str) -> None:
    """Every one that the site has, of the signed-in and of strangers (CWE-352); nor is one that a
    page elsewhere could send without a preflight, or that is no form."""
    world, cookie = signed_in.world, signed_in.cookie()
    token = world.vault.pairings.make(HOST, "")
    before = world.vault.events()
    body = urlencode({"password": PASSWORD, "token": token, "text": "x", "id": "ses_1"}).encode()
    length = f"Content-Length: {len(body)}"
    form = "Content-Type: application/x-www-form-urlencoded"
    plain = "Content-Type: text/plain"
    ours = f"Origin: https://{HOST}"
    for held in (cookie, None):
        for lines in FOREIGN.values():
            asked = tunnel_request("POST", f"/_nexus/{path}", *lines, form, length, cookie=held,
                                   body=body)  # fmt: skip
            assert signed_in.ask(asked, "POST").status in (400, 403)
        asked = tunnel_request("POST", f"/_nexus/{path}", ours, plain, length, cookie=held,
                               body=body)  # fmt: skip
        assert signed_in.ask(asked, "POST").status in (413, 415)
    assert world.commands == []
    assert len(world.vault.accounts.sessions()) == len(world.vault.pairings.open()) == 1
    assert world.vault.events() == before
    assert signed_in.upstream.received == b""


def test_no_post_of_ours_answers_a_get(signed_in: SignedIn) -> None:
    cookie = signed_in.cookie()
    before = signed_in.world.vault.events()
    for path in POSTS:
        if "GET" not in ROUTES[path]:
            for method in ("GET", "HEAD"):
                asked = tunnel_request(method, f"/_nexus/{path}?text=x&id=ses_1", cookie=cookie)
                assert signed_in.ask(asked, method).status == 405
    assert signed_in.world.commands == []
    assert signed_in.world.vault.events() == before
