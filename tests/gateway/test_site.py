"""The site asked directly: every path of ours, signed in and not, at both doors."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.commands import AnswerPermission, AnswerQuestion, Outcome
from nexus_tray.gateway.http import Request, Response
from nexus_tray.gateway.signin.passwords import Passwords
from nexus_tray.gateway.site.site import ROUTES
from nexus_tray.model import Activity, Hop, Reason

from .site_world import (
    SiteWorld,
    field_of,
    open_site,
    page,
    post,
    sign_in_form,
)
from .worlds import cookie_of, local_visitor, open_vault, request


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SiteWorld]:
    world = open_site(tmp_path)
    yield world
    world.close()


def error(answer: Response) -> str:
    return str(json.loads(answer.body)["error"])


# strangers


def test_a_stranger_is_led_to_sign_in_and_back(world: SiteWorld) -> None:
    answer = world.get(page("/L2hvbWU/session/ses_1", query="a=1&b=%2f"))
    assert answer.status == 303
    where = field_of(answer, "location")
    assert where == "/_nexus/sign-in?next=/L2hvbWU/session/ses_1%3Fa%3D1%26b%3D%252f"
    path, _, query = where.partition("?")
    shown = world.get(page(path, query=query))
    assert b'action="/_nexus/sign-in?next=/L2hvbWU/session/ses_1%3Fa%3D1%26b%3D%252f"' in shown.body
    signed_in = world.get(sign_in_form(query=query))
    assert field_of(signed_in, "location") == "/L2hvbWU/session/ses_1?a=1&b=%2f"


def test_the_front_page_leads_to_ours(world: SiteWorld) -> None:
    assert field_of(world.get(page("/")), "location") == "/_nexus/sign-in"
    assert field_of(world.get(sign_in_form()), "location") == "/_nexus/"


@pytest.mark.parametrize(
    "asked",
    [
        request("/session"),
        request("/session", "POST"),
        request("/session", headers=((b"accept", b"application/json"),)),
        request("/global/event", headers=((b"accept", b"text/event-stream"),)),
        request("/session", "OPTIONS", headers=((b"accept", b"text/html"),)),
        request("/_nexus/home-fragment", headers=((b"accept", b"text/html"),)),
    ],
)
def test_a_strangers_program_is_told_shortly(world: SiteWorld, asked: Request) -> None:
    answer = world.get(asked)
    assert answer.status == 401
    assert error(answer) == "sign-in"
    assert len(answer.body) < 200


def test_strangers_see_nothing_of_home(world: SiteWorld) -> None:
    answer = world.get(page("/_nexus/"))
    assert answer.status == 303
    assert field_of(answer, "location") == "/_nexus/sign-in"
    for path in ("answer", "sign-out"):
        answer = world.get(request(f"/_nexus/{path}", "POST"))
        assert (answer.status, field_of(answer, "location")) == (303, "/_nexus/sign-in")
    assert world.commands == []


def test_no_password_no_remote_access(world: SiteWorld) -> None:
    cookie = world.sign_in()
    world.vault.accounts.clear_password()
    for asked in (
        page("/"),
        page("/_nexus/", cookie=cookie),
        page("/_nexus/sign-in"),
        sign_in_form(),
        request("/session", cookie=cookie),
    ):
        answer = world.get(asked)
        assert answer.status == 403, asked.path
        assert b"assword is set" in answer.body
    assert b"nexus-tray password set" in world.get(page("/")).body


def test_a_clock_that_fell_back_closes_and_says_so(world: SiteWorld) -> None:
    world.vault.wall.now -= 3600
    answer = world.get(sign_in_form())
    assert answer.status == 503
    assert "clock" in answer.body.decode()
    assert world.vault.accounts.sessions() == []


def test_an_unreadable_store_closes_and_says_so(world: SiteWorld) -> None:
    cookie = world.sign_in()
    world.vault.database.close()
    for asked in (page("/", cookie=cookie), page("/_nexus/sign-in"), sign_in_form()):
        answer = world.get(asked)
        assert answer.status == 503, asked.path
        assert b"cannot be used" in answer.body


# sign-in and sign-out


def test_sign_in_and_out(world: SiteWorld) -> None:
    answer = world.get(sign_in_form())
    cookie = cookie_of(field_of(answer, "set-cookie"))
    assert world.get(request("/session", cookie=cookie)).body == b"opencode"
    assert b"Chrome on Android" in world.get(page("/_nexus/", cookie=cookie)).body
    again = world.get(page("/_nexus/sign-in", cookie=cookie, query="next=/x"))
    assert (again.status, field_of(again, "location")) == (303, "/x")
    out = world.get(post("/_nexus/sign-out", {}, cookie=cookie))
    assert (out.status, field_of(out, "location")) == (303, "/_nexus/sign-in")
    assert "Max-Age=0" in field_of(out, "set-cookie")
    assert world.get(request("/session", cookie=cookie)).status == 401


def test_a_wrong_password_is_told_and_the_way_kept(world: SiteWorld) -> None:
    answer = world.get(sign_in_form("wrong horse staple", query="next=/x"))
    assert answer.status == 403
    assert b"That did not work" in answer.body
    assert b"wrong horse" not in answer.body
    assert b"next=/x" in answer.body
    assert world.get(sign_in_form()).status == 303, "one mistake is no lock"


@pytest.mark.parametrize("body", [b"", b"password=", b"password=a&password=b", b"\xff\xfe", b"=&;"])
def test_odd_forms_are_failures_not_errors(world: SiteWorld, body: bytes) -> None:
    assert world.get(request("/_nexus/sign-in", "POST", body=body)).status == 403


def test_newer_parameters_are_taken_over_at_sign_in(tmp_path: Path) -> None:
    old = open_site(tmp_path)
    before = old.vault.accounts.password()
    old.close()
    newer = SiteWorld(open_vault(tmp_path / "data", Passwords(memory_kib=128, passes=2, lanes=1)))
    try:
        newer.sign_in()
        after = newer.vault.accounts.password()
        newer.sign_in()
    finally:
        newer.close()
    assert before is not None
    assert after is not None
    assert before.id == after.id, "it is the same password"
    assert "m=128,t=2" in after.hash
    assert "m=128,t=2" not in before.hash


# the local door


def test_the_local_door_is_entered_by_a_ticket_once(world: SiteWorld) -> None:
    who = local_visitor()
    ticket = world.vault.accounts.new_ticket("/L2hvbWU/session")
    entered = world.get(page("/_nexus/enter", query=f"ticket={ticket}", who=who))
    assert (entered.status, field_of(entered, "location")) == (303, "/L2hvbWU/session")
    assert field_of(entered, "referrer-policy") == "no-referrer"
    cookie = cookie_of(field_of(entered, "set-cookie"))
    assert cookie.startswith("nexus_local=")
    assert world.get(request("/session", cookie=cookie, who=who)).body == b"opencode"
    used = world.get(page("/_nexus/enter", query=f"ticket={ticket}", who=who))
    assert used.status == 403
    assert b"has been used" in used.body
    back = world.get(page("/_nexus/enter", query=f"ticket={ticket}", who=who, cookie=cookie))
    assert (back.status, field_of(back, "location")) == (303, "/_nexus/"), "reloading does no harm"


def test_entering_again_replaces_the_session_of_that_browser(world: SiteWorld) -> None:
    who, cookies = local_visitor(), [""]
    for _ in range(3):
        ticket = world.vault.accounts.new_ticket("/")
        asked = page("/_nexus/enter", query=f"ticket={ticket}", who=who, cookie=cookies[-1])
        cookies.append(cookie_of(field_of(world.get(asked), "set-cookie")))
    assert len(set(cookies)) == 4
    assert len(world.vault.accounts.sessions()) == 1


def test_fifty_at_once_one_enters(world: SiteWorld) -> None:
    ticket = world.vault.accounts.new_ticket("/")
    asked = page("/_nexus/enter", query=f"ticket={ticket}", who=local_visitor())

    async def all_at_once() -> list[Response]:
        return list(await asyncio.gather(*(world.ask(asked) for _ in range(50))))

    assert sorted(answer.status for answer in asyncio.run(all_at_once())) == [303] + [403] * 49
    assert len(world.vault.accounts.sessions()) == 1


def test_a_ticket_lasts_a_minute(world: SiteWorld) -> None:
    ticket = world.vault.accounts.new_ticket("/")
    world.vault.wall.now += 60
    asked = page("/_nexus/enter", query=f"ticket={ticket}", who=local_visitor())
    assert world.get(asked).status == 403


def test_a_ticket_counts_at_the_local_door_only(world: SiteWorld) -> None:
    ticket = world.vault.accounts.new_ticket("/")
    assert world.get(page("/_nexus/enter", query=f"ticket={ticket}")).status == 404
    asked = page("/_nexus/enter", query=f"ticket={ticket}", who=local_visitor())
    assert world.get(asked).status == 303, "having been shown elsewhere did not use it up"


def test_prefetching_does_not_use_a_ticket_up(world: SiteWorld) -> None:
    ticket = world.vault.accounts.new_ticket("/")
    for field in ((b"sec-purpose", b"prefetch;prerender"),):
        asked = request(
            "/_nexus/enter", query=f"ticket={ticket}", who=local_visitor(), headers=(field,)
        )
        assert world.get(asked).status == 503
    head = request("/_nexus/enter", "HEAD", query=f"ticket={ticket}", who=local_visitor())
    assert world.get(head).status == 503
    asked = page("/_nexus/enter", query=f"ticket={ticket}", who=local_visitor())
    assert world.get(asked).status == 303


def test_the_local_door_takes_no_password(world: SiteWorld) -> None:
    who = local_visitor()
    assert b"nexus-tray open" in world.get(page("/_nexus/sign-in", who=who)).body
    assert world.get(sign_in_form(who=who)).status == 403
    assert world.vault.accounts.sessions() == []


def test_the_local_door_works_without_a_password_set(world: SiteWorld) -> None:
    world.vault.accounts.clear_password()
    who, ticket = local_visitor(), world.vault.accounts.new_ticket("/")
    assert world.get(page("/_nexus/enter", query=f"ticket={ticket}", who=who)).status == 303
    stranger = world.get(page("/", who=who))
    assert field_of(stranger, "location") == "/_nexus/sign-in"


# home


def test_home_lists_sessions_and_questions(world: SiteWorld) -> None:
    text = world.get(page("/_nexus/", cookie=world.sign_in())).body.decode()
    assert text.index("Colour the icons</b>") < text.index("Fix the test</b>")
    assert 'href="/_nexus/session?id=ses_1"' in text
    assert "trays · $0.42 · just now" in text
    assert "lab · $ — · 5 min ago" in text, "an unknown cost is not zero"
    assert "trays · &lt; $0.01" in text
    assert "git push origin main" in text
    assert "OpenCode runs" in text


def test_what_is_not_known_is_said_to_be_unknown(world: SiteWorld) -> None:
    world.change(activity=None, path=())
    text = world.get(page("/_nexus/", cookie=world.sign_in())).body.decode()
    assert "What OpenCode is doing is not known just now." in text
    assert "OpenCode: not known" in text


def test_an_unchanged_fragment_is_a_304(world: SiteWorld) -> None:
    cookie = world.sign_in()
    first = world.get(request("/_nexus/home-fragment", cookie=cookie))
    tag = field_of(first, "etag")
    for held in (tag, f"W/{tag}", f'"other", W/{tag}'):  # Cloudflare weakens tags
        asked = request(
            "/_nexus/home-fragment", cookie=cookie, headers=((b"if-none-match", held.encode()),)
        )
        assert world.get(asked).status == 304
    world.change(activity=Activity())
    assert world.get(asked).status == 200


# answers


@pytest.mark.parametrize(
    ("reply", "note"), [("once", "answered"), ("always", "answered"), ("reject", "rejected")]
)
def test_a_permission_is_answered(world: SiteWorld, reply: str, note: str) -> None:
    form = post("/_nexus/answer", {"id": "per_1", "reply": reply}, cookie=world.sign_in())
    answer = world.get(form)
    assert (answer.status, field_of(answer, "location")) == (303, f"/_nexus/?note={note}")
    assert world.commands == [AnswerPermission(question_id="per_1", reply=reply)]


@pytest.mark.parametrize(
    ("fields", "answers"),
    [
        ({"choice0": "0", "choice1": ["0", "1"]}, (("Blue",), ("a.py", "b.py"))),
        ({"choice0": ["1", "0"], "choice1": ["1", "1"]}, (("Red",), ("b.py",))),
        ({"choice0": "0", "own0": " Green ", "choice1": "0"}, (("Green",), ("a.py",))),
        ({"own0": "Green", "choice1": "1", "own1": "c.py"}, (("Green",), ("b.py", "c.py"))),
    ],
)
def test_a_question_is_answered(
    world: SiteWorld, fields: dict[str, str | list[str]], answers: tuple[tuple[str, ...], ...]
) -> None:
    form = {"id": "que_1", "reply": "send", **fields}
    world.get(post("/_nexus/answer", form, cookie=world.sign_in()))
    assert world.commands == [AnswerQuestion(question_id="que_1", answers=answers)]


def test_a_question_is_dismissed(world: SiteWorld) -> None:
    form = post("/_nexus/answer", {"id": "que_1", "reply": "dismiss"}, cookie=world.sign_in())
    world.get(form)
    assert world.commands == [AnswerQuestion(question_id="que_1", answers=())]


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"id": "per_9", "reply": "once"}, "gone"),
        ({"reply": "once"}, "gone"),
        ({"id": "per_1"}, "empty"),
        ({"id": "per_1", "reply": "ALWAYS"}, "empty"),
        ({"id": "per_1", "reply": ["once", "always"]}, "empty"),
        ({"id": "que_1", "reply": "send"}, "empty"),
        ({"id": "que_1", "reply": "send", "choice0": "0"}, "empty"),
        ({"id": "que_1", "reply": "send", "choice0": "7", "choice1": "-1"}, "empty"),
    ],
)
def test_what_answers_nothing_is_said(
    world: SiteWorld, fields: dict[str, str | list[str]], note: str
) -> None:
    cookie = world.sign_in()
    answer = world.get(post("/_nexus/answer", fields, cookie=cookie))
    assert field_of(answer, "location") == f"/_nexus/?note={note}"
    assert world.commands == []
    shown = world.get(page("/_nexus/", query=f"note={note}", cookie=cookie)).body
    assert b'<p class="note down" role="status">' in shown


def test_a_refused_answer_says_why(world: SiteWorld) -> None:
    reason = Reason(code="gone", hop=Hop.OPENCODE, what="OpenCode ended it.", cure="Ask again.")
    world.outcome = Outcome(ok=False, reason=reason)
    form = post("/_nexus/answer", {"id": "per_1", "reply": "once"}, cookie=world.sign_in())
    answer = world.get(form)
    assert answer.status == 409
    assert b"OpenCode ended it." in answer.body
    assert b"Ask again." in answer.body


# paths, methods, files


@pytest.mark.parametrize("path", ["nothing", "sign-in/", "../style.css", "style.css/", "Sign-In"])
def test_unknown_paths(world: SiteWorld, path: str) -> None:
    assert world.get(page(f"/_nexus/{path}")).status == 404


@pytest.mark.parametrize("name", [*ROUTES, "style.css"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_methods(world: SiteWorld, name: str, method: str) -> None:
    allowed = set(ROUTES.get(name, {"GET": None}))
    allowed |= {"HEAD"} if "GET" in allowed else set()
    answer = world.get(request(f"/_nexus/{name}", method))
    assert (answer.status == 405) == (method not in allowed)
    if answer.status == 405:
        assert set(field_of(answer, "allow").split(", ")) == allowed


@pytest.mark.parametrize(
    ("name", "kind"),
    [("style.css", "text/css"), ("live.js", "text/javascript"), ("icon.svg", "image/svg+xml")],
)
def test_files(world: SiteWorld, name: str, kind: str) -> None:
    answer = world.get(request(f"/_nexus/{name}"))
    assert answer.status == 200
    assert field_of(answer, "content-type").startswith(kind)
    assert answer.body
    held = ((b"if-none-match", field_of(answer, "etag").encode()),)
    again = world.get(request(f"/_nexus/{name}", headers=held))
    assert (again.status, again.body) == (304, b"")


def test_bodies_are_bounded_before_they_are_read(world: SiteWorld) -> None:
    cookie = world.sign_in()
    limit = world.site.body_limit
    assert limit(request("/_nexus/sign-in", "POST")) == 1024
    assert limit(request("/_nexus/answer", "POST")) == 0
    assert limit(request("/_nexus/answer", "POST", cookie=cookie)) == 64 * 1024


def test_the_longest_password_fits_the_form(world: SiteWorld) -> None:
    emoji = "".join(chr(0x1F400 + number) for number in range(75))
    for password in ("".join(map(chr, range(0x20, 0x7F))) * 4, emoji):
        world.vault.accounts.set_password(password)
        assert world.get(sign_in_form(password)).status == 303


def test_websockets(world: SiteWorld) -> None:
    cookie = world.sign_in()
    principal = world.site.authenticate(request(cookie=cookie))
    events = request("/_nexus/events", cookie=cookie)
    refused = world.site.websocket(events, None)
    assert isinstance(refused, Response)
    assert refused.status == 401
    elsewhere = world.site.websocket(request("/_nexus/other"), principal)
    assert isinstance(elsewhere, Response)
    assert elsewhere.status == 404
    handed_on = world.site.websocket(events, principal)
    assert isinstance(handed_on, Response)
    assert handed_on.status == 426, "the bridge answers"


def test_a_post_that_is_no_form(world: SiteWorld) -> None:
    asked = request(
        "/_nexus/sign-in", "POST", body=b"{}", headers=((b"content-type", b"application/json"),)
    )
    assert world.get(asked).status == 415
