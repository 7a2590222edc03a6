"""Signing in with a one-time code: the site over real tables, the clock turned by hand."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest

from nexus_tray.gateway.http import Response
from nexus_tray.gateway.signin import signing_in
from nexus_tray.gateway.signin.second_factor import step_of

from .site_world import SiteWorld, field_of, open_site, page, post
from .worlds import PASSWORD, visitor

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SiteWorld]:
    world = open_site(tmp_path)
    world.vault.secrets["factor"] = SECRET
    yield world
    world.close()


def turn_on(world: SiteWorld) -> tuple[str, ...]:
    return world.vault.factor.turn_on("factor", int(world.vault.wall()) // 30 - 10)


def code(world: SiteWorld, steps: int = 0) -> str:
    return pyotp.TOTP(SECRET).generate_otp(int(world.vault.wall()) // 30 + steps)


def sign_in(world: SiteWorld, code: str, password: str = PASSWORD, who: str = "") -> Response:
    fields: dict[str, str | list[str]] = {"username": "owner", "password": password, "code": code}
    return world.get(post("/_nexus/sign-in", fields, visitor(who or "192.0.2.1")))


def test_without_it_the_password_is_enough_and_no_code_is_asked_for(world: SiteWorld) -> None:
    assert b'name="code"' not in world.get(page("/_nexus/sign-in")).body
    assert sign_in(world, "").status == 303
    assert [row.how for row in world.vault.accounts.sessions()] == ["password"]


def test_password_and_code_let_in(world: SiteWorld) -> None:
    turn_on(world)
    assert b'name="code"' in world.get(page("/_nexus/sign-in")).body
    assert sign_in(world, f" {code(world)[:3]} {code(world)[3:]} ").status == 303
    assert [row.how for row in world.vault.accounts.sessions()] == ["code"]
    assert world.vault.events()[-1][3] == "signed in with a one-time code"


WRONG = {
    "digits that are not ASCII": (PASSWORD, "١٢٣٤٥٦"),
    "wide digits": (PASSWORD, "１２３４５６"),
    "none": (PASSWORD, ""),
    "another": (PASSWORD, "000000"),
    "no digits": (PASSWORD, "abcdef"),
    "a recovery code that is none": (PASSWORD, "aaaa-bbbb-cccc-dddd-eeee-ffff"),
    "wrong password, right code": ("not the password", "right"),
    "both wrong": ("not the password", "000000"),
}


@pytest.mark.parametrize(("password", "typed"), WRONG.values(), ids=WRONG.keys())
def test_one_without_the_other_is_one_and_the_same_refusal(
    world: SiteWorld, password: str, typed: str
) -> None:
    """SECURITY.md 10."""
    turn_on(world)
    answer = sign_in(world, code(world) if typed == "right" else typed, password)
    usual = sign_in(world, "", "nonsense", "192.0.2.99")
    assert answer == usual
    assert answer.status == 403
    assert world.vault.accounts.sessions() == []
    if typed != "right":
        assert sign_in(world, code(world), who="192.0.2.7").status == 303


@pytest.mark.parametrize(("steps", "good"), [(-2, False), (-1, True), (0, True), (1, True),
                                             (2, False)])  # fmt: skip
def test_a_code_counts_one_step_before_and_after(world: SiteWorld, steps: int, good: bool) -> None:
    turn_on(world)
    assert (sign_in(world, code(world, steps)).status == 303) is good


def test_a_code_signs_in_once(world: SiteWorld) -> None:
    turn_on(world)
    assert sign_in(world, code(world)).status == 303
    assert sign_in(world, code(world)).status == 403
    assert sign_in(world, code(world, -1)).status == 403  # nor one from before
    assert sign_in(world, code(world, 1)).status == 303


def test_of_many_at_once_with_one_code_one_comes_in(world: SiteWorld) -> None:
    turn_on(world)
    fields: dict[str, str | list[str]] = {"password": PASSWORD, "code": code(world)}

    async def all_of_them() -> list[int]:
        asked = [
            world.ask(post("/_nexus/sign-in", fields, visitor(f"192.0.2.{n}"))) for n in range(8)
        ]
        return [answer.status for answer in await asyncio.gather(*asked)]

    assert sorted(asyncio.run(all_of_them())) == [303, *[403] * 7]
    assert len(world.vault.accounts.sessions()) == 1


def test_each_recovery_code_signs_in_once(world: SiteWorld) -> None:
    codes = turn_on(world)
    assert len(set(codes)) == 10
    assert sign_in(world, codes[3].upper().replace("-", " ")).status == 303
    assert [row.how for row in world.vault.accounts.sessions()] == ["recovery"]
    assert sign_in(world, codes[3]).status == 403
    assert sign_in(world, codes[4]).status == 303
    assert world.vault.factor.codes_left() == 8
    new = world.vault.factor.renew_codes() or ()
    assert sign_in(world, codes[5], who="192.0.2.8").status == 403
    assert sign_in(world, new[0], who="192.0.2.8").status == 303


def test_a_wrong_code_counts_as_a_failure_and_locks(world: SiteWorld) -> None:
    world.with_monotonic_of_the_vault()
    turn_on(world)
    for _ in range(5):
        assert sign_in(world, "000000").status == 403
    assert sign_in(world, code(world)).status == 403  # locked
    outcomes = [outcome for event, _, _, outcome in world.vault.events() if "failed" in event]
    assert set(outcomes) == {"right password, wrong code"}


def test_removing_the_password_removes_it_and_changing_does_not(world: SiteWorld) -> None:
    turn_on(world)
    world.vault.accounts.set_password("another password altogether")
    assert world.vault.factor.row() is not None
    world.vault.accounts.clear_password()
    assert world.vault.factor.row() is None
    assert world.vault.factor.codes_left() == 0
    assert ("second-factor-removed", "owner", "local", "password removed") in world.vault.events()


def test_neither_secret_nor_codes_are_in_the_database(world: SiteWorld, tmp_path: Path) -> None:
    codes = turn_on(world)
    sign_in(world, codes[0])
    stored = b"".join(file.read_bytes() for file in (tmp_path / "data").iterdir())
    for one in (SECRET, *codes, *(code.replace("-", "").upper() for code in codes)):
        assert one.encode() not in stored


@pytest.mark.parametrize(
    ("at", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"),
     (2000000000, "279037"), (20000000000, "353130")],
)  # fmt: skip
def test_codes_are_those_of_rfc_6238(at: int, code: str) -> None:
    """Appendix B, SHA-1, the last six digits."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert step_of(secret, code, at) == at // 30
    assert step_of(secret, "000000", at) is None


def test_the_form_stays_small(world: SiteWorld) -> None:
    turn_on(world)
    fields: dict[str, str | list[str]] = {"password": "x" * 1010, "code": "123456"}
    assert world.get(post("/_nexus/sign-in", fields)).status == 413
    assert field_of(sign_in(world, code(world)), "location") == "/_nexus/"


def test_what_was_changed_meanwhile_is_not_told_as_a_wrong_code(
    world: SiteWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """37: the owner reads of an attack only where there may have been one."""
    vault = world.vault
    begin = vault.sessions.begin

    def changed_first(*args: object, **more: object) -> str | None:
        vault.accounts.set_password("another password altogether")
        return begin(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(vault.sessions, "begin", changed_first)
    for on in (False, True):
        if on:
            turn_on(world)
        assert sign_in(world, code(world)).status == 403
        assert vault.accounts.sessions() == []
        event, _, _, told = vault.events()[-1]
        assert (event, told) == (
            "sign-in-failed", "the password or the second factor was changed meanwhile",
        )  # fmt: skip
        vault.accounts.set_password(PASSWORD)


def test_who_turns_it_on_is_not_outrun_by_a_password_alone(
    world: SiteWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = world.vault.sessions.begin

    def turned_on_first(*args: object, **more: object) -> str | None:
        turn_on(world)
        return begin(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(world.vault.sessions, "begin", turned_on_first)
    assert sign_in(world, "").status == 403
    assert world.vault.accounts.sessions() == []
    assert "changed meanwhile" in world.vault.events()[-1][3]


def test_a_used_code_is_told_as_a_wrong_one(world: SiteWorld) -> None:
    turn_on(world)
    assert sign_in(world, code(world)).status == 303
    assert sign_in(world, code(world)).status == 403
    assert world.vault.events()[-1][3] == "right password, wrong code"


def test_who_has_the_password_cannot_try_codes_from_many_addresses(
    world: SiteWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And shuts no other way in: recovery codes, sessions and pairing do not rest on it."""
    monkeypatch.setattr(signing_in, "FLOOR_SECONDS", 0.0)
    world.with_monotonic_of_the_vault()
    monotonic = world.vault.monotonic
    codes = turn_on(world)
    let_through = 0
    for number in range(90):  # within an hour
        monotonic.now += 40
        assert sign_in(world, "000000", who=f"198.51.100.{number}").status == 403
        let_through += world.vault.events()[-1][3] == "right password, wrong code"
    assert let_through < 20
    assert sign_in(world, code(world), who="192.0.2.7").status == 403
    told = "right password, but too many wrong codes before"
    assert world.vault.events()[-1][3] == told
    assert sign_in(world, codes[0], who="192.0.2.7").status == 303
    monotonic.now += 900
    assert sign_in(world, code(world), who="192.0.2.8").status == 303
    assert sign_in(world, code(world, 1), who="192.0.2.8").status == 303  # forgotten with it


def test_a_used_code_stays_used_after_a_restart_and_a_clock_that_fell_back(tmp_path: Path) -> None:
    """RFC 6238, 5.2, across what a program may live through."""
    world = open_site(tmp_path)
    world.vault.secrets["factor"] = SECRET
    turn_on(world)
    used, earlier = code(world), code(world, -1)
    assert sign_in(world, used).status == 303
    at = world.vault.wall()
    world.close()
    for back in (0, 30, 90):
        world = open_site(tmp_path, now=at)  # sets the password, which takes the clock as it is
        world.vault.secrets["factor"] = SECRET
        world.vault.wall.now = at - back
        world.vault.accounts.set_password(PASSWORD)
        for number, replayed in enumerate((used, earlier, code(world))):
            answer = sign_in(world, replayed, who=f"198.51.100.{number}")
            assert answer.status == 403, (back, number)
        assert world.vault.accounts.sessions() == []
        world.close()
