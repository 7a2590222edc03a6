"""The pairing page: only its button's POST uses a link up."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from .site_world import SiteWorld, field_of, open_site, page, post
from .worlds import HOST, cookie_of, local_visitor, request, visitor

PAIR = "/_nexus/pair"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SiteWorld]:
    made = open_site(tmp_path)
    yield made
    made.close()


def test_looking_uses_nothing_up_and_the_button_does_once(world: SiteWorld) -> None:
    token = world.vault.pairings.make(HOST, "")
    shown = world.get(page(PAIR))
    assert shown.status == 200
    assert b"studio-pc" in shown.body
    assert world.get(request(PAIR, "HEAD")).status == 200
    assert len(world.vault.pairings.open()) == 1
    done = world.get(post(PAIR, {"token": token, "name": "Ada's\nphone"}))
    assert (done.status, field_of(done, "location")) == (303, "/_nexus/")
    cookie = cookie_of(field_of(done, "set-cookie"))
    [device] = world.vault.accounts.sessions()
    assert (device.how, device.name) == ("pairing", "Ada's phone")
    assert device.expires_at - device.created_at == 30 * 86400
    assert world.get(request(cookie=cookie)).body == b"opencode"
    assert world.get(post(PAIR, {"token": token})).status == 403
    assert "pairing-refused" in [event[0] for event in world.vault.events()]


def test_all_that_is_wrong_gets_one_answer(world: SiteWorld) -> None:
    elsewhere = world.vault.pairings.make("other.example.com", "")
    answers = [
        world.get(post(PAIR, {"token": token}, visitor(f"192.0.2.{number}")))
        for number, token in enumerate(("", "x", "x" * 43, elsewhere))
    ]
    assert {(one.status, one.body) for one in answers} == {(403, answers[0].body)}


def test_tries_are_limited_apart_from_passwords(world: SiteWorld) -> None:
    token = world.vault.pairings.make(HOST, "")
    world.with_monotonic_of_the_vault()
    for _ in range(5):
        assert world.get(post(PAIR, {"token": "x" * 43})).status == 403
    assert world.get(post(PAIR, {"token": token})).status == 403
    assert len(world.vault.pairings.open()) == 1
    assert world.sign_in()
    world.vault.monotonic.now += 10
    assert world.get(post(PAIR, {"token": token})).status == 303


def test_strangers_shut_pairing_for_nobody_else(world: SiteWorld) -> None:
    """SECURITY.md "Lockout": in total, failures pause passwords alone."""
    token = world.vault.pairings.make(HOST, "")
    for number in range(120):
        bad: dict[str, str | list[str]] = {"token": "x" * 43 if number % 2 else ""}
        assert world.get(post(PAIR, bad, visitor(f"198.51.100.{number}"))).status == 403
    assert world.get(post(PAIR, {"token": token})).status == 303


def test_it_stays_shut_where_nobody_may_come_in(world: SiteWorld) -> None:
    token = world.vault.pairings.make(HOST, "")
    assert world.get(post(PAIR, {"token": token}, local_visitor())).status == 403
    sent = post(PAIR, {"token": token})
    kept = tuple(field for field in sent.headers if field[0] != b"origin")
    foreign = replace(sent, headers=(*kept, (b"origin", b"https://evil.example")))
    assert world.get(replace(sent, headers=kept)).status == 403
    assert world.get(foreign).status == 403
    assert world.get(post(PAIR, {"token": "x" * 1100})).status == 413
    world.vault.wall.now -= 3600
    assert world.get(post(PAIR, {"token": token})).status == 503
    assert world.vault.accounts.sessions() == []


def test_the_owners_name_goes_before_the_one_the_page_proposes(world: SiteWorld) -> None:
    for typed, called in (("Chrome on Android", "Ada"), ("", "Ada"), ("Mine", "Mine")):
        token = world.vault.pairings.make(HOST, "Ada")
        assert world.get(post(PAIR, {"token": token, "name": typed})).status == 303
        assert world.vault.accounts.sessions()[0].name == called
        world.vault.accounts.end_all_sessions()
