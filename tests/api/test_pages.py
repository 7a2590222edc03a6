"""The dashboard's files and the way into it, over the real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from nexus_tray.api import pages
from nexus_tray.api.routes import PREFIX
from nexus_tray.api.server import ApiServer
from tests.api.doubles import House
from tests.api.doubles import house as build
from tests.api.wires import TOKEN, ask, authority, served


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ui = tmp_path / "ui"
    (ui / "vendor").mkdir(parents=True)
    (ui / "index.html").write_text("<!doctype html><title>page</title>")
    (ui / "page.js").write_text("export const a = 1;")
    (ui / "vendor" / "LICENSE-x").write_text("not served")
    (tmp_path / "secret.js").write_text("outside")
    return ui


@pytest.fixture
def house() -> House[Any]:
    return build()


@pytest.fixture
def server(house: House[Any], folder: Path) -> Iterator[ApiServer]:
    with served(house.backend, pages=pages.load(folder)) as server:
        yield server


def bare(server: ApiServer, **more: str) -> dict[str, str]:
    return {"Host": authority(server), **{k.replace("_", "-"): v for k, v in more.items()}}


def test_a_page_needs_no_token_and_comes_under_a_strict_policy(server: ApiServer) -> None:
    reply = ask(server, "GET", "/", headers=bare(server))
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = reply.headers.get_all("Content-Security-Policy")
    assert policy == [pages.POLICY]
    assert "unsafe" not in pages.POLICY
    assert "default-src 'none'" in pages.POLICY
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Set-Cookie"] is None
    script = ask(server, "GET", "/page.js", headers=bare(server))
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"


def test_a_browser_that_has_a_page_does_not_get_it_again(server: ApiServer) -> None:
    tag = ask(server, "GET", "/", headers=bare(server)).headers["ETag"]
    again = ask(server, "GET", "/", headers=bare(server, If_None_Match=f'"x", W/{tag}'))
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    assert ask(server, "GET", "/", headers=bare(server, If_None_Match='"x"')).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:1"}, 403),
        ({"Host": "evil.example"}, 403),
        ({}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_the_guard_stands_before_pages_too(
    server: ApiServer, headers: dict[str, str], status: int
) -> None:
    given = headers if "Host" in headers or not headers else {**bare(server), **headers}
    for path in ("/", "/page.js"):
        assert ask(server, "GET", path, headers=given).status == status


@pytest.mark.parametrize(
    "path",
    ["/index.html", "/page.js//", "/page.js/", "/vendor/LICENSE-x", "/../secret.js",
     "/%2e%2e/secret.js", "/vendor/../page.js", "/PAGE.JS", "/page.js%00", "\\page.js"],
)  # fmt: skip
def test_nothing_else_is_a_page(server: ApiServer, path: str) -> None:
    assert ask(server, "GET", path, headers=bare(server)).status == 401
    assert ask(server, "GET", path).status == 404


def test_a_page_is_only_read(server: ApiServer) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert ask(server, method, "/", headers=bare(server)).status == 401


def test_the_way_in(server: ApiServer) -> None:
    """Invitation, exchange, use; and every wrong turn on it."""
    link = urlsplit(server.invite("/logs?source=quick&x=#y"))
    assert (link.netloc, link.path, link.query) == (authority(server), "/", "")
    given = parse_qs(link.fragment)
    assert given["to"] == ["/logs?source=quick&x=#y"]
    ticket = given["ticket"][0]

    exchange, body = f"{PREFIX}/dashboard-sessions", {"ticket": ticket}
    own = f"http://{authority(server)}"
    assert ask(server, "POST", exchange, body, {**bare(server), "Host": "evil"}).status == 403
    foreign = bare(server, Origin="http://127.0.0.1:1")
    assert ask(server, "POST", exchange, body, foreign).status == 403
    form = bare(server, Content_Type="text/plain")
    assert ask(server, "POST", exchange, body, form).status == 403

    reply = ask(server, "POST", exchange, body, bare(server, Origin=own))
    assert reply.status == 200
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["Set-Cookie"] is None
    token = reply.json["value"]
    assert TOKEN not in reply.body.decode()

    good = bare(server, Origin=own, Authorization=f"Bearer {token}")
    assert ask(server, "GET", f"{PREFIX}/snapshot", headers=good).status == 200
    assert ask(server, "GET", f"{PREFIX}/snapshot", headers=bare(server)).status == 401
    again = ask(server, "POST", exchange, body, bare(server))
    assert (again.status, again.json["reason"]["code"]) == (403, "dashboard-ticket")
    as_token = bare(server, Authorization=f"Bearer {ticket}")
    assert ask(server, "GET", f"{PREFIX}/snapshot", headers=as_token).status == 401


def test_a_session_ends_with_the_program(house: House[Any], folder: Path) -> None:
    with served(house.backend, pages=pages.load(folder)) as first:
        ticket = parse_qs(urlsplit(first.invite()).fragment)["ticket"][0]
        exchange = f"{PREFIX}/dashboard-sessions"
        token = ask(first, "POST", exchange, {"ticket": ticket}, bare(first)).json["value"]
    with served(house.backend, pages=pages.load(folder)) as second:
        headers = bare(second, Authorization=f"Bearer {token}")
        assert ask(second, "GET", f"{PREFIX}/snapshot", headers=headers).status == 401


def test_the_dashboards_own_folder_is_whole_and_small() -> None:
    """What is served is named with its path; all of it under 150 kB compressed."""
    import gzip

    folder = Path(__file__).parent.parent.parent / "ui" / "dashboard"
    found = pages.load(folder)
    assert "/" in found
    assert sum(len(gzip.compress(page.body)) for page in found.values()) < 150_000
