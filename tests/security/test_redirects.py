"""SECURITY.md 14: `next` leads to a path of this host or nowhere (CWE-601, CWE-113)."""

import urllib.parse
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.gateway.site.forms import local_path, with_next
from tests.gateway.site_world import SiteWorld, field_of, open_site, page, sign_in_form
from tests.gateway.worlds import local_visitor

EVIL = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\nSet-Cookie: a=b",
    "/x\r\nLocation: https://evil.example",
    "/x\\..\\evil",
    "https://evil.example/",
    "HTTPS:evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    ".//evil.example",
    " //evil.example",
    "\x00//evil.example",
    "/\x7f",
    "/\u2028/evil",
    "/é",
    "",
    "/" + "a" * 1001,
]
GOOD = [
    "/",
    "/x",
    "/L2hvbWU/session/ses_1?a=1&b=//c#d",
    "/a//b",
    "/.//evil",
    "/%5cevil",
    "/%2f%2fevil",
    "/:@!$&'()*+,;=~[]|^`{}\"<>",
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteWorld]:
    world = open_site(tmp_path_factory.mktemp("redirects"))
    yield world
    world.close()


@pytest.mark.parametrize("path", EVIL)
def test_evil_leads_home(path: str) -> None:
    assert local_path(path) == "/_nexus/"


@pytest.mark.parametrize("path", GOOD)
def test_local_paths_are_kept(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize("path", EVIL)
def test_evil_in_the_sign_in_form(world: SiteWorld, path: str) -> None:
    query = f"next={urllib.parse.quote(path, safe='')}"
    shown = world.get(page("/_nexus/sign-in", query=query))
    assert shown.status == 200
    assert b"evil" not in shown.body
    assert b'action="/_nexus/sign-in"' in shown.body
    answer = world.get(sign_in_form(query=query))
    assert (answer.status, field_of(answer, "location")) == (303, "/_nexus/")


@pytest.mark.parametrize(
    "query", ["next=/a&next=//evil", "next=//evil&next=/a", "next=%ff", "next"]
)
def test_an_ambiguous_next_is_none(world: SiteWorld, query: str) -> None:
    assert field_of(world.get(sign_in_form(query=query)), "location") == "/_nexus/"


@pytest.mark.parametrize("path", EVIL)
def test_evil_in_a_ticket(world: SiteWorld, path: str) -> None:
    ticket = world.vault.accounts.new_ticket(path)
    answer = world.get(page("/_nexus/enter", query=f"ticket={ticket}", who=local_visitor()))
    assert (answer.status, field_of(answer, "location")) == (303, "/")


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil", "/x"])
def test_a_strangers_target_leads_nowhere_else(world: SiteWorld, path: str) -> None:
    where = field_of(world.get(page(path)), "location")
    assert where.startswith("/_nexus/sign-in")
    assert "evil" not in where


@given(
    st.text(st.characters(max_codepoint=0x2100) | st.sampled_from("/\\:@?#. \t\r\n"), max_size=30)
)
def test_whatever_it_is_a_browser_stays_here(path: str) -> None:
    """As WHATWG URL reads it: tab, CR and LF removed, controls and spaces trimmed off the
    ends, backslash a slash; then it must begin with exactly one slash."""
    kept = local_path(path)
    read = kept.translate({9: None, 10: None, 13: None}).strip("".join(map(chr, range(33))))
    read = read.replace("\\", "/")
    assert read == kept
    assert read.startswith("/")
    assert not read.startswith("//")
    assert urllib.parse.urlsplit(urllib.parse.urljoin("https://here/p/q", kept)).netloc == "here"
    assert all(" " < character < "\x7f" for character in kept)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60))
def test_what_was_asked_for_comes_back_unchanged(path: str) -> None:
    wanted = local_path(f"/{path}")
    query = with_next("/_nexus/sign-in", wanted).partition("?")[2]
    back = urllib.parse.parse_qs(query).get("next", ["/_nexus/"])[0]
    assert back == wanted
