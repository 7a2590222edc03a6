"""Sign-in while the keyring, which has what codes are checked with, is locked, slow or hanging.

Strangers cause its questions, and each may show the owner a window: so only attempts that were let
through and counted ask, seldom, once for all who wait, and nobody waits for long. The site over
real tables; the keyring is a double that counts, for what it does is what is turned here.
"""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyotp
import pytest

from nexus_tray.gateway.http import Response
from nexus_tray.gateway.signin import signing_in
from nexus_tray.gateway.signin.second_factor import RETRY_SECONDS, SecondFactor
from nexus_tray.gateway.site.site import GatewaySite
from nexus_tray.model import Hop, Problem, Reason

from .site_world import SiteWorld, open_site, post
from .worlds import PASSWORD, visitor

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
HOME, ELSEWHERE = "192.0.2.1", "192.0.2.7"


class Keyring:
    """Gives the secret, says that it is locked, or hangs until it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.locked = True
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, _: str) -> str:
        self.asked += 1
        assert self.go_on.wait(20)
        if self.locked:
            raise Problem(Reason(code="secrets-locked", hop=Hop.GATEWAY, what="It is locked."))
        return SECRET


class Locked:
    """A site whose second factor is on, and its keyring."""

    def __init__(self, site: SiteWorld) -> None:
        site.with_monotonic_of_the_vault().site.close()
        self.keyring, vault = Keyring(), site.vault
        factor = SecondFactor(vault.factor, self.keyring, vault.wall, vault.monotonic)
        site.world = replace(site.world, second_factor=factor)
        site.site = GatewaySite(site.world)
        self.site, self.vault = site, vault
        self.codes = vault.factor.turn_on("factor", int(vault.wall()) // 30 - 10)

    def code(self) -> str:
        return pyotp.TOTP(SECRET).generate_otp(int(self.vault.wall()) // 30)

    async def tried(self, code: str, password: str = PASSWORD, who: str = HOME) -> Response:
        fields: dict[str, str | list[str]] = {"password": password, "code": code}
        return await self.site.ask(post("/_nexus/sign-in", fields, visitor(who)))

    def sign_in(self, code: str, password: str = PASSWORD, who: str = HOME) -> Response:
        return asyncio.run(self.tried(code, password, who))

    def later(self, seconds: float = RETRY_SECONDS) -> None:
        self.vault.monotonic.now += seconds


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Locked]:
    locked = Locked(open_site(tmp_path))
    yield locked
    locked.keyring.go_on.set()
    locked.site.close()


@pytest.fixture(autouse=True)
def no_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_in, "FLOOR_SECONDS", 0.0)


def test_recovery_codes_let_in_and_nothing_is_said_of_the_password(locked: Locked) -> None:
    right, wrong = locked.sign_in(locked.code()), locked.sign_in(locked.code(), "nonsense")
    assert right == wrong
    assert right.status == 503
    assert b"cannot be checked just now" in right.body
    assert locked.sign_in(locked.codes[0]).status == 303
    assert locked.keyring.asked == 1
    locked.keyring.locked = False
    locked.later()
    assert locked.sign_in(locked.code()).status == 303


def test_an_attempt_counts_and_is_written_down(locked: Locked) -> None:
    for _ in range(5):
        assert locked.sign_in(locked.code()).status == 503
    told = [row for row in locked.vault.events() if row[0] == "sign-in-failed"]
    unchecked = "the code could not be checked: its secret cannot be read"
    assert told == [("sign-in-failed", "stranger", HOME, unchecked)] * 5
    assert locked.sign_in(locked.codes[0]).status == 403  # locked, as after wrong ones


def test_a_locked_address_asks_nothing_and_reads_the_same(locked: Locked) -> None:
    answers = []
    for _ in range(9):
        locked.later(0.0)
        answers.append(locked.sign_in(locked.code()))
    assert locked.keyring.asked == 1
    assert all(answer == answers[0] for answer in answers)
    assert "sign-in-refused" in [row[0] for row in locked.vault.events()]


def test_it_is_asked_seldom_however_many_try(locked: Locked) -> None:
    for number in range(60):
        assert locked.sign_in(locked.code(), who=f"198.51.100.{number}").status == 503
        locked.later(RETRY_SECONDS / 20)
    assert locked.keyring.asked == 3


def test_codes_that_need_no_secret_ask_nothing(locked: Locked) -> None:
    for code in ("", "abcdef", "12345", "aaaa-bbbb-cccc-dddd-eeee-ffff", "١٢٣٤٥٦"):
        locked.later(3600.0)
        assert locked.sign_in(code).status == 403
    assert locked.keyring.asked == 0


def test_who_waits_for_a_slow_one_waits_together(locked: Locked) -> None:
    locked.keyring.locked = False
    locked.keyring.go_on.clear()

    async def all_of_them() -> list[int]:
        tries = [
            asyncio.ensure_future(locked.tried(locked.code(), who=f"198.51.100.{number}"))
            for number in range(6)
        ]
        async with asyncio.timeout(10):
            while not locked.keyring.asked:
                await asyncio.sleep(0.01)
            # the site's threads are free meanwhile: another way in waits for nobody
            assert (await locked.tried(locked.codes[0], who=ELSEWHERE)).status == 303
        locked.keyring.go_on.set()
        return [answer.status for answer in await asyncio.gather(*tries)]

    assert sorted(asyncio.run(all_of_them())) == [303, *[403] * 5]
    assert locked.keyring.asked == 1


def test_nobody_waits_for_one_that_hangs(locked: Locked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_in, "FETCH_SECONDS", 0.05)
    locked.keyring.go_on.clear()

    async def both() -> list[int]:
        async with asyncio.timeout(10):
            answers = [await locked.tried(locked.code()), await locked.tried(locked.codes[1])]
        locked.keyring.go_on.set()
        return [answer.status for answer in answers]

    assert asyncio.run(both()) == [503, 303]
