"""Which passwords are accepted, how they are hashed, and the queue before the hashing."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.gateway.signin.passwords import QUEUE, Crowded, Passwords, judge, normal, strength
from nexus_tray.model import Problem

GOOD = [
    "blue lamp over the river",
    "x7$kPq9!vmR2",
    "kirsche-lampe-und-wolke",
    "tr0ub4dor&3xyz",
    "aller guten dinge sind drei" * 4,
    "水曜日の朝は静かな庭で猫が眠る",
    "⚓🌊🐙🎈🍋🚲🌵🧭🪁🎷🦔🍒",
]
BAD = [
    "",
    "short",
    "elevenchars",
    "aaaaaaaaaaaaaaaa",
    "abcabcabcabcabc",
    "123456789012",
    "abcdefghijklmnop",
    "qwertyuiop12345",
    "poiuytrewq54321",
    "Password1234",
    "P@ssw0rd2024!!",
    "nexus-tray-2026",
    "opencode opencode",
    "Admin Password 99",
    "correct horse battery staple",
    "control\x00inside it",
    "two lines\nof words",
    "é" * 12,
    "words and " * 100,
]


@pytest.mark.parametrize("password", GOOD)
def test_accepted(password: str) -> None:
    assert judge(password) is None
    assert strength(password).score > 0


@pytest.mark.parametrize("password", BAD)
def test_refused_with_what_to_do(password: str) -> None:
    reason = judge(password)
    assert reason is not None
    assert reason.code == "password-weak"
    assert reason.cure
    assert password == "" or password not in str(reason)
    assert strength(password).score == 0


def test_no_composition_rules() -> None:
    assert judge("only small letters here") is None
    assert judge("98312 07746 55091") is None


@given(st.text(min_size=64, max_size=70))
def test_length_alone_refuses_nothing_up_to_seventy(password: str) -> None:
    reason = judge(password)
    assert reason is None or "at least" not in reason.what


def test_the_same_words_in_another_normal_form_are_the_same() -> None:
    assert normal("Cafe\u0301 am Fluss") == normal("Café am Fluss")
    assert normal("\uff43\uff41fe") == "cafe"


@pytest.fixture
def cheap() -> Iterator[Passwords]:
    passwords = Passwords(memory_kib=64, passes=1, lanes=1)
    yield passwords
    passwords.close()


def test_the_numbers_of_the_policy() -> None:
    passwords = Passwords()
    try:
        assert passwords.make_hash(GOOD[0]).startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    finally:
        passwords.close()


def test_verify(cheap: Passwords) -> None:
    hashed = cheap.make_hash("Café am Fluss heute")

    async def walk() -> None:
        assert await cheap.verify(hashed, "Café am Fluss heute")
        assert await cheap.verify(hashed, "Cafe\u0301 am Fluss heute")
        assert not await cheap.verify(hashed, "Café am Fluss morgen")
        assert not await cheap.verify(hashed, "")

    asyncio.run(walk())


def test_a_weak_password_is_not_hashed(cheap: Passwords) -> None:
    with pytest.raises(Problem, match="at least 12"):
        cheap.make_hash("short")


def test_a_damaged_hash_is_a_problem_not_a_mismatch(cheap: Passwords) -> None:
    with pytest.raises(Problem, match="Set the password again"):
        asyncio.run(cheap.verify("$argon2id$v=19$nonsense", "blue lamp over the river"))


def test_other_parameters_are_noticed_and_replaced(cheap: Passwords) -> None:
    old = Passwords(memory_kib=128, passes=2, lanes=1)
    try:
        hashed = old.make_hash(GOOD[0])
    finally:
        old.close()
    assert cheap.needs_rehash(hashed)
    again = asyncio.run(cheap.rehashed(GOOD[0]))
    assert not cheap.needs_rehash(again)
    assert asyncio.run(cheap.verify(again, GOOD[0]))


class Held(Passwords):
    """Verifications that wait until told, and count how many run at the same time."""

    def __init__(self) -> None:
        super().__init__(memory_kib=64, passes=1, lanes=1)
        self.go = threading.Event()
        self.now = self.most = self.done = 0

    def _matches(self, hashed: str, password: str) -> bool:
        self.now += 1
        self.most = max(self.most, self.now)
        assert self.go.wait(10)
        self.now -= 1
        self.done += 1
        return super()._matches(hashed, password)


def test_one_at_a_time_eight_waiting_the_rest_turned_away() -> None:
    held = Held()
    hashed = held.make_hash(GOOD[0])

    async def walk() -> list[bool | BaseException]:
        crowd = [asyncio.ensure_future(held.verify(hashed, GOOD[0])) for _ in range(40)]
        while sum(task.done() for task in crowd) < 40 - QUEUE - 1:
            await asyncio.sleep(0)
        crowd[1].cancel()
        await asyncio.sleep(0)
        with pytest.raises(Crowded):  # leaving early frees no place
            await held.verify(hashed, GOOD[0])
        held.go.set()
        return await asyncio.gather(*crowd, return_exceptions=True)

    try:
        answers = asyncio.run(walk())
    finally:
        held.close()
    assert answers.count(True) == QUEUE
    assert sum(isinstance(answer, Crowded) for answer in answers) == 40 - QUEUE - 1
    assert held.most == 1
    assert held.done == QUEUE + 1
