"""Who moved how much, and how much who may: accounts, lists, buckets. Tables and walks."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.gateway.http import DoorKind
from nexus_tray.gateway.limits.buckets import BURST_SECONDS, Bucket, Crowd
from nexus_tray.gateway.limits.rules import compile_rules
from nexus_tray.settings import AccessSettings

from .doubles import eventually, house, tunnel_request


def test_usage_is_counted_for_who_moved_it_and_taken_once(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.site.sign_in("bob")
        asked = tunnel_request("GET", "/x")
        client = home.tunnel()
        for _ in range(3):
            client.send(asked)
            answer = client.answer()
            assert answer.status == 200
        bob = tunnel_request("GET", "/x", cookie="bob")
        client.send(bob)
        client.answer()
        stranger = tunnel_request("GET", "/x", cookie=None)
        home.ask(stranger)
        taken = home.gateway.take_usage()
        assert taken["id-ada"][0] == 3 * len(asked)
        assert taken["id-bob"][0] == len(bob)
        assert taken["id-ada"][1] == 3 * taken["id-bob"][1] > 0
        assert set(taken) == {"id-ada", "id-bob"}
        assert home.gateway.take_usage() == {}


def test_what_passes_after_taking_is_not_lost(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        client = home.tunnel()
        asked = tunnel_request(
            "POST", "/x", "Content-Length: 1000", "Origin: https://quiet-river.trycloudflare.com"
        )
        client.send(asked)
        total = [0]

        def counted(wanted: int) -> bool:
            total[0] += home.gateway.take_usage().get("id-ada", (0, 0))[0]
            return total[0] == wanted

        eventually(lambda: counted(len(asked)))
        client.send(b"x" * 1000)
        eventually(lambda: counted(len(asked) + 1000))


@given(
    rate=st.integers(1, 5),
    asks=st.lists(st.floats(0.0, 1.5, allow_nan=False), min_size=30, max_size=100),
)
def test_a_bucket_never_lets_more_through_than_rate_and_burst(rate: int, asks: list[float]) -> None:
    bucket = Bucket(rate, rate * BURST_SECONDS, 0.0)
    now, passed = 0.0, 0
    for gap in asks:
        now += gap / rate
        passed += bucket.take(now)
        assert passed <= rate * now + rate * BURST_SECONDS + 1e-6


def test_strangers_cannot_fill_the_memory_and_a_household_is_one() -> None:
    crowd = Crowd(1.0, most=10)
    for number in range(50):
        assert crowd.take(f"203.0.113.{number}", 0.0)
    assert len(crowd) == 10
    assert [crowd.take(f"2001:db8::{number}", 0.0) for number in range(1, 4)] == [
        True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3"])
@pytest.mark.parametrize("listed", ["10.0.0.0/8", "::ffff:10.0.0.0/104", "10.1.2.3"])
def test_an_address_is_the_same_in_both_spellings(address: str, listed: str) -> None:
    rules = compile_rules(AccessSettings(deny_addresses=(listed,), deny_countries=("DE",)))
    for door in (DoorKind.TUNNEL, DoorKind.NETWORK):
        assert rules.judge(address, "FR", door) is not None
        assert rules.judge("192.0.2.1", "FR", door) is None
    assert rules.judge("192.0.2.1", None, DoorKind.NETWORK) is None
    assert rules.judge("192.0.2.1", None, DoorKind.TUNNEL) is not None
    assert rules.judge("local", None, DoorKind.LOCAL) is None
