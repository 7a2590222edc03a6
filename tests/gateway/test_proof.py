"""The proof that an address leads to this gateway: who gets an answer, and who learns nothing."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.gateway.http import Door, DoorKind, Request, Visitor
from nexus_tray.gateway.proof import LIFETIME, MOST, PATH, Answer, Proofs
from tests.gateway.doubles import House, SmallSite, house, tunnel_request
from tests.gateway.site_world import open_site

HOST = "quiet-river.trycloudflare.com"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def came(path: str, door: str = "work", **changes: Any) -> Request:
    way = Door(changes.pop("kind", DoorKind.TUNNEL), door)
    visitor = Visitor(way, "192.0.2.1", HOST, f"https://{HOST}")
    fields = {"method": "GET", "query": "", "headers": (), "websocket": False}
    return Request(path=path, visitor=visitor, **{**fields, **changes})


def body(proofs: Proofs, request: Request) -> bytes | None:
    answer = proofs.answer(request)
    return answer.body if answer is not None else None


def test_a_question_of_ours_is_answered_and_judged() -> None:
    proofs = Proofs(Clock())
    question = proofs.ask("work")
    said = body(proofs, came(question.path))
    assert said is not None
    assert question.judge(said) is Answer.OURS
    assert question.judge(said[:-1]) is Answer.FOREIGN
    assert question.judge(b"") is Answer.FOREIGN
    assert question.path.encode() not in said  # an echo would be no proof
    assert "proof/" not in repr(question)


def test_by_another_tunnel_it_is_astray() -> None:
    proofs = Proofs(Clock())
    question = proofs.ask("work")
    said = body(proofs, came(question.path, "home"))
    assert said is not None
    assert question.judge(said) is Answer.ASTRAY


def test_what_never_came_here_is_foreign() -> None:
    proofs = Proofs(Clock())
    asked, other = proofs.ask("work"), proofs.ask("work")
    said = body(proofs, came(other.path))
    assert said is not None
    assert asked.judge(said) is Answer.FOREIGN  # one answer does not do for another question
    body(proofs, came(asked.path))
    assert asked.judge(said) is Answer.FOREIGN


def test_the_key_is_each_gateways_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_urlsafe", lambda _: "n" * 43)
    ones, others = Proofs(Clock()), Proofs(Clock())
    question, _ = ones.ask("work"), others.ask("work")
    theirs = body(others, came(question.path))
    body(ones, came(question.path))
    assert theirs is not None
    assert question.judge(theirs) is Answer.FOREIGN


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "POST"},
        {"method": "HEAD"},
        {"query": "x"},
        {"websocket": True},
        {"kind": DoorKind.LOCAL},
    ],
    ids=str,
)
def test_only_exactly_that_request_is_answered(changes: dict[str, Any]) -> None:
    proofs = Proofs(Clock())
    question = proofs.ask("work")
    assert body(proofs, came(question.path, **changes)) is None
    assert body(proofs, came(question.path + "/")) is None
    assert body(proofs, came(question.path[:-1])) is None
    assert body(proofs, came(question.path.upper())) is None


def test_a_question_is_open_for_moments() -> None:
    clock = Clock()
    proofs = Proofs(clock)
    question = proofs.ask("work")
    clock.now += LIFETIME - 0.1
    assert body(proofs, came(question.path)) is not None
    clock.now += 0.1
    assert body(proofs, came(question.path)) is None


def test_they_do_not_pile_up() -> None:
    proofs = Proofs(Clock())
    first, *_, last = [proofs.ask("work") for _ in range(MOST + 1)]
    assert body(proofs, came(first.path)) is None
    assert body(proofs, came(last.path)) is not None


@given(st.text(max_size=60))
def test_a_guess_meets_nothing(guess: str) -> None:
    proofs = Proofs(Clock())
    asked = proofs.ask("work")
    if PATH + guess != asked.path:
        assert body(proofs, came(PATH + guess)) is None


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


def test_it_needs_no_session_and_is_nobodys_visit(home: House) -> None:
    question = home.gateway.ask_proof("quick")
    answer = home.ask(tunnel_request("GET", question.path, cookie=None))
    assert answer.status == 200
    assert answer.get("cache-control") == "no-store"
    assert question.judge(answer.body) is Answer.OURS
    signed_in = home.ask(tunnel_request("GET", home.gateway.ask_proof("quick").path))
    assert signed_in.status == 200
    assert home.gateway.visits("quick") == 0
    assert "quick" not in home.gateway.counters().doors  # nobody's device was seen
    assert home.site.seen == []
    assert home.gateway.channel_proved("quick")
    readings = home.gateway.read_meters()
    assert readings is not None
    whole = readings.whole
    assert (whole.requests, whole.received, whole.sent, sum(whole.times)) == (0, 0, 0, 0)
    home.ask(tunnel_request("GET", "/"))
    assert home.gateway.visits("quick") == 1


def test_it_is_answered_at_every_name_wherever_that_leads(home: House) -> None:
    home.gateway.set_routes({})  # nowhere at all
    assert home.ask(tunnel_request("GET", "/", host="code.example.com")).status == 404
    question = home.gateway.ask_proof("quick")
    answer = home.ask(tunnel_request("GET", question.path, cookie=None, host="code.example.com"))
    assert question.judge(answer.body) is Answer.OURS


def test_it_lacks_nothing_of_the_admission(home: House) -> None:
    question = home.gateway.ask_proof("quick")
    answer = home.ask(tunnel_request("GET", question.path, secret="x" * 43))
    assert answer.status == 403
    assert question.judge(answer.body) is Answer.FOREIGN


def test_a_guess_is_treated_like_any_path(home: House) -> None:
    home.gateway.ask_proof("quick")
    answer = home.ask(tunnel_request("GET", PATH + "x" * 43, cookie=None))
    assert answer.body == b"ours GET /_nexus/proof/" + b"x" * 43 + b" nobody 0"
    assert home.gateway.visits("quick") == 1


def test_a_stranger_cannot_tell_it_from_an_unknown_page(tmp_path: Path) -> None:
    town = open_site(tmp_path)
    try:
        small = SmallSite()
        small.respond_with = town.site.respond
        with house(tmp_path, small) as made:
            asked = made.gateway.ask_proof("quick")
            wrong = asked.path[:-1] + ("A" if asked.path[-1] != "A" else "B")
            answers = [
                made.ask(tunnel_request("GET", path, cookie=None))
                for path in (wrong, "/_nexus/proof/", "/_nexus/proof", "/_nexus/nothing-here")
            ]
            heads = [made.ask(tunnel_request("HEAD", asked.path, cookie=None), "HEAD")]
            heads += [made.ask(tunnel_request("HEAD", "/_nexus/nothing-here", cookie=None), "HEAD")]
    finally:
        town.close()
    assert answers[0].status == 404
    assert all(answer == answers[0] for answer in answers)
    assert heads[0] == heads[1]
