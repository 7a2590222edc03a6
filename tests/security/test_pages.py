"""SECURITY.md 14: every answer of ours, of every path, state and door, carries its guards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.gateway.http import Request, Response
from nexus_tray.gateway.relay import answers
from nexus_tray.gateway.site.site import ROUTES
from tests.gateway.site_world import SiteWorld, open_site, page, post, sign_in_form
from tests.gateway.worlds import local_visitor, request

POLICY = {
    "default-src": "'none'",
    "style-src": "'self'",
    "script-src": "'self'",
    "img-src": "'self'",
    "manifest-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SiteWorld]:
    world = open_site(tmp_path)
    yield world
    world.close()


def sent(asked: Request, answer: Response) -> dict[str, str]:
    """The fields as the relay sends them; each at most once."""
    head = answers.render(answer, method=asked.method, keep=False).split(b"\r\n\r\n")[0]
    pairs = [line.decode("latin-1").split(": ", 1) for line in head.split(b"\r\n")[1:]]
    fields = {name.lower(): value for name, value in pairs}
    assert len(fields) == len(pairs)
    return fields


def visits(world: SiteWorld) -> Iterator[Request]:
    """Every path of ours with every method it has, signed in and not, at both doors."""
    cookie = world.sign_in()
    for name, methods in {**ROUTES, "nothing": {"GET": None}}.items():
        for method in (*methods, "PUT"):
            for held in (None, cookie):
                if method == "POST":
                    yield post(f"/_nexus/{name}", {"id": "per_1", "reply": "once"}, cookie=held)
                else:
                    yield request(f"/_nexus/{name}", method, cookie=held)
            yield page(f"/_nexus/{name}", who=local_visitor())
    yield sign_in_form("a wrong password")
    yield page("/")
    yield request("/session")


def test_every_answer_of_ours(world: SiteWorld) -> None:
    pages = 0
    for asked in visits(world):
        answer = world.get(asked)
        fields = sent(asked, answer)
        where = f"{asked.method} {asked.path} {answer.status}"
        assert fields["x-frame-options"] == "DENY", where
        assert fields["x-content-type-options"] == "nosniff", where
        assert fields["cache-control"] == "no-store", where
        strict = "no-referrer" if asked.query.startswith("ticket") else "strict-origin"
        assert fields["referrer-policy"] == strict, where
        policy = dict(
            part.strip().split(" ", 1) for part in fields["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'none'", where
        assert policy["frame-ancestors"] == "'none'", where
        if fields.get("content-type", "").startswith("text/html"):
            pages += asked.path != "/_nexus/home-fragment"
            if asked.path != "/_nexus/home-fragment":
                assert policy == POLICY, where
        assert "access-control-allow-origin" not in fields
    assert pages > 10


def test_files_are_asked_about_again_but_never_framed(world: SiteWorld) -> None:
    for name in world.world.files:
        asked = request(f"/_nexus/{name}")
        fields = sent(asked, world.get(asked))
        assert fields["cache-control"] == "no-cache"
        assert fields["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in fields["content-security-policy"]


def test_no_page_says_what_was_typed_or_which_session_it_is(world: SiteWorld) -> None:
    cookie = world.sign_in()
    token = cookie.partition("=")[2]
    typed = "typed canary password"
    for asked in visits(world):
        assert token.encode() not in world.get(asked).body
    answer = world.get(sign_in_form(typed))
    assert typed.encode() not in answer.body
    rows = world.vault.events()
    assert not any(typed in field or token in field for row in rows for field in row)
