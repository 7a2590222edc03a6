"""SECURITY.md 10 with the second factor on: a wrong password, a wrong code of either kind and a
locked address answer the same, and as fast; and strangers never make us ask the keyring.

With the real Argon2id numbers and the real clock, the kinds by turns, as in test_timing.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest

from nexus_tray.gateway.http import Response
from nexus_tray.gateway.signin.passwords import Passwords
from nexus_tray.gateway.signin.second_factor import SecondFactor
from tests.gateway.site_world import SiteWorld, open_site, post
from tests.gateway.worlds import PASSWORD, visitor

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
LOCKED = "203.0.113.1"
ROUNDS = 5
CLOSE = 0.005


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SiteWorld]:
    monkeypatch.setattr("nexus_tray.gateway.signin.lockout.FIRST_LOCK", 600.0)
    world = open_site(tmp_path, Passwords())
    world.vault.secrets["factor"] = SECRET
    world.vault.factor.turn_on("factor", 0)
    yield world
    world.close()


async def timed(world: SiteWorld, address: str, password: str, code: str) -> tuple[float, Response]:
    fields: dict[str, str | list[str]] = {"username": "owner", "password": password, "code": code}
    began = time.perf_counter()
    answer = await world.ask(post("/_nexus/sign-in", fields, visitor(address)))
    return time.perf_counter() - began, answer


async def compare(world: SiteWorld) -> tuple[dict[str, float], set[object]]:
    """The median of each kind of failure, and the different answers."""
    right = pyotp.TOTP(SECRET).generate_otp(int(world.vault.wall()) // 30)
    kinds = {
        "wrong password": ("a wrong password", right),
        "wrong code": (PASSWORD, f"{(int(right) + 1) % 10**6:06}"),
        "wrong recovery code": (PASSWORD, "aaaa-bbbb-cccc-dddd-eeee-ffff"),
        "locked": (PASSWORD, right),
    }
    await asyncio.gather(*(timed(world, LOCKED, "a wrong password", right) for _ in range(5)))
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    answers: set[object] = set()
    for number in range(ROUNDS):
        for at, (kind, (password, code)) in enumerate(kinds.items()):
            address = LOCKED if kind == "locked" else f"198.51.100.{number * 8 + at}"
            seconds, answer = await timed(world, address, password, code)
            took[kind].append(seconds)
            answers.add((answer.status, answer.headers, answer.body))
    return {kind: statistics.median(all_) for kind, all_ in took.items()}, answers


def test_all_that_is_wrong_is_one(world: SiteWorld) -> None:
    medians, answers = asyncio.run(compare(world))
    assert len(answers) == 1, "same status, same fields, same body"
    assert max(medians.values()) - min(medians.values()) < CLOSE, medians


def test_whether_codes_are_asked_for_is_told_without_the_keyring(world: SiteWorld) -> None:
    asked: list[str] = []

    def secret(factor_id: str) -> str | None:
        asked.append(factor_id)
        return None

    factor = SecondFactor(world.vault.factor, secret, world.vault.wall)
    assert factor.is_on()
    assert asked == []
