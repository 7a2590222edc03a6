"""SECURITY 8 and 11 for pairing, over real sockets: one link lets one device in, and its end is
at once; nobody else's page can spend it in somebody's browser."""

import re
import threading
import urllib.parse

import pytest

from tests.gateway.doubles import HOST, Answer, tunnel_request
from tests.gateway.worlds import PASSWORD

from .test_previews import APP, CODE, UPGRADE, Place, cookies, place
from .test_signin_e2e import House, house

__all__ = ["house", "place"]


def redeem(house: House, token: str, origin: str = f"https://{HOST}") -> Answer:
    body = urllib.parse.urlencode({"token": token}).encode()
    fields = [
        f"Origin: {origin}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
    ]
    return house.ask(tunnel_request("POST", "/_nexus/pair", *fields, body=body), "POST")


def test_of_fifty_redemptions_over_sockets_one_succeeds(house: House) -> None:
    token = house.world.vault.pairings.make(HOST, "")
    start, got = threading.Barrier(50), list[int]()

    def knock() -> None:
        start.wait()
        got.append(redeem(house, token).status)

    threads = [threading.Thread(target=knock) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(got).count(303) == 1, got
    assert set(got) <= {303, 403, 429, 503}
    assert len(got) == 50
    assert len(house.world.vault.accounts.sessions()) == 1


def test_a_foreign_page_cannot_spend_a_link(house: House) -> None:
    token = house.world.vault.pairings.make(HOST, "")
    for origin in ("https://evil.example", "null"):
        answer = redeem(house, token, origin)
        assert answer.status == 403
        assert answer.get("set-cookie") is None
    assert len(house.world.vault.pairings.open()) == 1


def test_a_paired_device_is_out_at_once(house: House) -> None:
    set_cookie = redeem(house, house.world.vault.pairings.make(HOST, "")).get("set-cookie") or ""
    found = re.match(r"__Host-nexus=([\w-]{43});", set_cookie)
    assert found
    assert house.get(cookie=found[1]).status == 200
    [device] = house.world.vault.accounts.sessions()
    house.world.vault.accounts.end_session(device.id, "owner", "local")
    assert house.world.vault.cut == [device.id]
    assert house.get(cookie=found[1]).status == 303


@pytest.mark.parametrize("path", ["pair", "sign-in", "passkey", "passkey-challenge", "pair.js"])
def test_no_way_in_answers_at_a_previews_address(place: Place, path: str) -> None:
    """Its pages are a stranger's: what they could ask for, or post, finds nothing, and uses up
    nothing; a link that counts elsewhere does not count there."""
    tokens = [place.world.vault.pairings.make(host, "") for host in (CODE, APP)]
    cookie = place.come_in(place.sign_in())
    before = place.world.vault.events()
    for sent in ("", cookie):
        for token in tokens:
            body = urllib.parse.urlencode({"token": token, "password": PASSWORD}).encode()
            fields = (
                f"Origin: https://{APP}",
                "Content-Type: application/x-www-form-urlencoded",
                f"Content-Length: {len(body)}",
            )
            answer = place.ask(APP, f"/_nexus/{path}", *fields, method="POST", cookie=sent,
                               body=body)  # fmt: skip
            assert answer.status in (404, 413)
            assert cookies(answer) == []
        for more in ((), (f"Origin: https://{APP}", *UPGRADE)):
            assert place.ask(APP, f"/_nexus/{path}", *more, cookie=sent).status in (401, 404)
    assert len(place.world.vault.pairings.open()) == 2
    assert place.world.vault.events() == before
    assert place.preview.received == place.opencode.received == b""
