"""SECURITY.md 10: a wrong password and a locked address answer the same, and as fast.

With the real Argon2id numbers and the real clock. The medians are compared over attempts
that take turns, so that a busy machine is as busy for the one as for the other.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.gateway.http import Response
from nexus_tray.gateway.signin.passwords import Passwords
from tests.gateway.site_world import SiteWorld, open_site, sign_in_form
from tests.gateway.worlds import visitor


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SiteWorld]:
    # the first lock outlasts the test; which one it is makes no difference to the answer
    monkeypatch.setattr("nexus_tray.gateway.signin.lockout.FIRST_LOCK", 600.0)
    world = open_site(tmp_path, Passwords())
    yield world
    world.close()


async def timed(world: SiteWorld, address: str, password: str) -> tuple[float, Response]:
    began = time.perf_counter()
    answer = await world.ask(sign_in_form(password, visitor(address)))
    return time.perf_counter() - began, answer


async def compare(world: SiteWorld, rounds: int) -> tuple[list[float], list[float], set[object]]:
    """Wrong passwords from fresh addresses, and any password from a locked one, by turns."""
    locked_address = "203.0.113.1"
    lock_out = [timed(world, locked_address, "a wrong password") for _ in range(5)]
    answers: set[object] = {
        (answer.status, answer.headers, answer.body)
        for _, answer in await asyncio.gather(*lock_out)
    }
    wrong, locked = [], []
    for number in range(rounds):
        seconds, answer = await timed(world, f"198.51.100.{number}", "a wrong password")
        wrong.append(seconds)
        answers.add((answer.status, answer.headers, answer.body))
        right = "blue lamp over the river"
        seconds, answer = await timed(world, locked_address, right)
        locked.append(seconds)
        answers.add((answer.status, answer.headers, answer.body))
    return wrong, locked, answers


def test_wrong_and_locked_are_one(world: SiteWorld) -> None:
    wrong, locked, answers = asyncio.run(compare(world, 7))
    assert len(answers) == 1, "same status, same fields, same body"
    apart = abs(statistics.median(wrong) - statistics.median(locked))
    assert apart < 0.005, (wrong, locked)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_wrong_and_locked_are_one_over_many(world: SiteWorld) -> None:
    wrong, locked, answers = asyncio.run(compare(world, 90))
    assert len(answers) == 1
    assert abs(statistics.median(wrong) - statistics.median(locked)) < 0.005
