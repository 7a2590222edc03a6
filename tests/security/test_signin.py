"""SECURITY.md 7, 8, 9 (short) and 37 at the sign-in form: what guessing and posting from
elsewhere come to, and what is written down of it."""

import asyncio
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.app.step_up import StepUp
from nexus_tray.gateway.http import Request, Response
from nexus_tray.gateway.signin.passwords import Passwords
from nexus_tray.gateway.signin.signing_in import FLOOR_SECONDS
from tests.gateway.doubles import HOST as FLOOD_HOST
from tests.gateway.doubles import tunnel_request
from tests.gateway.site_world import SiteWorld, field_of, open_site, page, post, sign_in_form
from tests.gateway.worlds import (
    HOST,
    PASSWORD,
    cookie_of,
    local_visitor,
    request,
    visitor,
)
from tests.security.flood_parts import MIB
from tests.security.test_floods import Flooded, Memory, Part

RIGHT, WRONG = 303, 403


class Counting(Passwords):
    """Cheap verifications, counted."""

    def __init__(self) -> None:
        super().__init__(memory_kib=64, passes=1, lanes=1)
        self.verified = 0

    def _matches(self, hashed: str, password: str) -> bool:
        self.verified += 1
        return super()._matches(hashed, password)


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def world(tmp_path: Path, counting: Counting) -> Iterator[SiteWorld]:
    world = open_site(tmp_path, counting).with_monotonic_of_the_vault()
    yield world
    world.close()


@pytest.fixture(autouse=True)
def no_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about outcomes; test_timing is about the time they take."""

    async def at_once(seconds: float) -> None:
        assert seconds >= 0

    monkeypatch.setattr("nexus_tray.gateway.signin.signing_in.asyncio.sleep", at_once)


def address(number: int) -> str:
    return f"198.51.{number // 250}.{number % 250}"


def guess(world: SiteWorld, where: str, password: str = "a wrong password") -> Response:
    return world.get(sign_in_form(password, visitor(where)))


def test_500_guesses_from_100_addresses_are_at_most_100_verifications(
    world: SiteWorld, counting: Counting
) -> None:
    chance = random.Random(9)

    async def flood() -> list[Response]:
        """In waves of twenty at once, within an hour."""
        answered: list[Response] = []
        for _ in range(25):
            world.vault.monotonic.now += 60
            wave = [
                world.ask(sign_in_form("a guess", visitor(address(chance.randrange(100)))))
                for _ in range(20)
            ]
            answered += await asyncio.gather(*wave)
        return answered

    answered = asyncio.run(flood())
    assert counting.verified == 100
    refused = {answer.status for answer in answered}
    assert refused <= {WRONG, 429}
    assert len({answer.body for answer in answered if answer.status == WRONG}) == 1


def test_the_pause_stops_password_sign_in_only(world: SiteWorld) -> None:
    """Sessions, paired devices, pairing, tokens, recovery at the computer: none rests on it, and
    none of them lifts it."""
    vault = world.vault
    cookie = world.sign_in()
    for number in range(101):
        guess(world, address(number))
    vault.monotonic.now += 60
    assert guess(world, "203.0.113.1", "blue lamp over the river").status == WRONG
    assert world.get(request("/session", cookie=cookie)).body == b"opencode"
    ticket = vault.accounts.new_ticket("/")
    entering = page("/_nexus/enter", query=f"ticket={ticket}", who=local_visitor())
    assert world.get(entering).status == 303
    link = vault.pairings.make(HOST, "")
    paired = world.get(post("/_nexus/pair", {"token": link}, visitor("198.51.0.1")))  # it guessed
    assert paired.status == 303
    paired_cookie = cookie_of(field_of(paired, "set-cookie"))
    assert world.get(request("/session", cookie=paired_cookie)).body == b"opencode"
    bearer = (b"authorization", b"Bearer " + vault.tokens.make("laptop", "full", 30).encode())
    assert world.get(request("/session", headers=(bearer,))).body == b"opencode"
    asking = StepUp(
        lambda: vault.accounts, lambda: vault.audit, lambda: vault.passwords, vault.monotonic
    )
    asking.require(PASSWORD)  # the dashboard's question, on the computer
    out = post("/_nexus/sign-out", {}, cookie=paired_cookie)
    assert world.get(out).status == 303
    assert guess(world, "203.0.113.1", PASSWORD).status == WRONG, "it still stands"
    vault.monotonic.now += 3600
    assert guess(world, "203.0.113.1", PASSWORD).status == RIGHT
    assert [row for row in vault.events() if row[0] == "paused"]


def test_a_locked_address_is_not_opened_by_the_right_password(
    world: SiteWorld, counting: Counting
) -> None:
    for _ in range(5):
        guess(world, "192.0.2.1")
    locked = guess(world, "192.0.2.1", "blue lamp over the river")
    assert locked.status == WRONG
    assert counting.verified == 5
    assert guess(world, "192.0.2.2", "blue lamp over the river").status == RIGHT
    world.vault.monotonic.now += 1
    assert guess(world, "192.0.2.1", "blue lamp over the river").status == RIGHT


def test_turning_the_wall_clock_opens_no_lock(world: SiteWorld) -> None:
    for _ in range(9):
        guess(world, "192.0.2.1")
    world.vault.wall.now += 10**6
    assert guess(world, "192.0.2.1", "blue lamp over the river").status == WRONG


def test_one_households_addresses_are_one(world: SiteWorld, counting: Counting) -> None:
    for number in range(40):
        guess(world, f"2001:db8:1:2::{number:x}")
    assert counting.verified == 5


def test_ten_megabytes_of_password_are_never_hashed(world: SiteWorld, counting: Counting) -> None:
    huge = sign_in_form("x" * 10_000_000)
    assert world.get(huge).status == 413
    assert world.get(sign_in_form("x" * 1100)).status == 413
    assert counting.verified == 0


ORIGINS: list[tuple[bytes, ...]] = [
    (),
    (b"null",),
    (b"",),
    (b"https://evil.example",),
    (b"http://" + HOST.encode(),),
    (b"https://" + HOST.encode() + b".evil.example",),
    (b"https://" + HOST.encode() + b":443",),
    (b"https://" + HOST.encode() + b"/",),
    (b"HTTPS://" + HOST.encode(),),
    (b"https://x" + HOST.encode(),),
    (b"https://" + HOST.encode(), b"https://" + HOST.encode()),
]


@pytest.mark.parametrize("path", ["sign-in", "sign-out", "answer"])
@pytest.mark.parametrize("origins", ORIGINS)
def test_posts_from_elsewhere_change_nothing(
    world: SiteWorld, counting: Counting, path: str, origins: tuple[bytes, ...]
) -> None:
    cookie = world.sign_in()
    before, rows = counting.verified, world.vault.events()
    fields: dict[str, str | list[str]] = {
        "password": "blue lamp over the river", "id": "per_1", "reply": "once",
    }  # fmt: skip
    real = post(f"/_nexus/{path}", fields, cookie=cookie)
    headers = tuple(pair for pair in real.headers if pair[0] != b"origin")
    headers += tuple((b"origin", origin) for origin in origins)
    asked = Request("POST", real.path, "", headers, real.visitor, real.body)
    assert world.get(asked).status == 403
    assert (counting.verified, world.vault.events()) == (before, rows)
    assert world.commands == []
    assert world.get(request("/session", cookie=cookie)).status == 200


def test_a_cookie_set_before_sign_in_is_not_the_session_after_it(world: SiteWorld) -> None:
    planted = "__Host-nexus=" + "A" * 43
    fresh = world.sign_in(cookie=planted)
    assert fresh != planted
    assert world.get(request("/session", cookie=planted)).status == 401
    again = world.sign_in(cookie=fresh)
    assert again != fresh
    assert world.get(request("/session", cookie=fresh)).status == 401, "the older one is over"
    assert world.get(request("/session", cookie=again)).status == 200


def test_a_quick_tunnels_new_address_ends_its_browsers_sessions(world: SiteWorld) -> None:
    cookie = world.sign_in()
    elsewhere = visitor(host="new-name.trycloudflare.com")
    assert world.get(request("/session", cookie=cookie, who=elsewhere)).status == 401


def test_a_password_change_ends_sessions_and_cuts_them(world: SiteWorld) -> None:
    cookies = [world.sign_in() for _ in range(3)]
    world.vault.accounts.set_password("quite another set of words")
    for cookie in cookies:
        assert world.get(request("/session", cookie=cookie)).status == 401
    assert len(world.vault.cut) == 3
    assert guess(world, "192.0.2.1", "blue lamp over the river").status == WRONG


def test_everything_is_in_the_audit_and_nothing_secret(world: SiteWorld) -> None:
    answer = world.get(sign_in_form())
    cookie = cookie_of(field_of(answer, "set-cookie"))
    for _ in range(6):
        guess(world, "203.0.113.9", "secret guess of somebody")
    world.get(post("/_nexus/sign-out", {}, cookie=cookie))
    world.get(page("/_nexus/enter", query="ticket=secret-ticket", who=local_visitor()))
    ticket = world.vault.accounts.new_ticket("/")
    world.get(page("/_nexus/enter", query=f"ticket={ticket}", who=local_visitor()))
    world.vault.accounts.set_password("quite another set of words")
    rows = world.vault.events()
    assert [(event, who, where) for event, who, where, _ in rows] == [
        ("password-set", "owner", "local"),
        ("sign-in", "Chrome on Android", "192.0.2.1"),
        *[("sign-in-failed", "stranger", "203.0.113.9")] * 5,
        ("locked", "stranger", "203.0.113.9"),
        ("sign-in-refused", "stranger", "203.0.113.9"),
        ("sign-out", "Chrome on Android", "192.0.2.1"),
        ("ticket-refused", "stranger", "local"),
        ("ticket-used", "A browser", "local"),
        ("password-set", "owner", "local"),
        ("session-ended", "owner", "local"),
    ]
    secrets = ["secret guess", "blue lamp", "another set", ticket, "secret-ticket", cookie[-43:]]
    assert not any(secret in field for row in rows for field in row for secret in secrets)
    assert all(row.at == world.vault.wall.now for row in world.vault.audit.newest())


def test_a_sign_in_that_cannot_be_written_down_does_not_happen(world: SiteWorld) -> None:
    with world.vault.database.write() as connection:
        connection.execute("DROP TABLE audit")
    answer = world.get(sign_in_form())
    assert answer.status == 503
    assert not [name for name, _ in answer.headers if name == "set-cookie"]
    assert world.vault.accounts.sessions() == []


def test_the_floor_is_longer_than_a_verification() -> None:
    assert FLOOR_SECONDS > 0.3, "FACTS.md: Argon2id takes 124 ms"


class Guessers:
    """Strangers in the test's own process; each guess on a connection of its own."""

    def __init__(self, path: Path, guesses: int, addresses: int) -> None:
        self._path = path
        self._left = list(range(guesses))
        self._addresses = addresses
        self.answers: Counter[int] = Counter()

    async def run(self, at_once: int) -> None:
        await asyncio.gather(*(self._guess_on() for _ in range(at_once)))

    async def _guess_on(self) -> None:
        while self._left:
            number = self._left.pop()
            body = b"username=owner&password=a+wrong+password+%d" % number
            form = "Content-Type: application/x-www-form-urlencoded"
            fields = (f"Origin: https://{FLOOD_HOST}", form, f"Content-Length: {len(body)}")
            asked = tunnel_request("POST", "/_nexus/sign-in", *fields, cookie=None, body=body)
            where = address(number % self._addresses).encode()
            reader, writer = await asyncio.open_unix_connection(str(self._path))
            writer.write(asked.replace(b"203.0.113.9", where))
            head = await reader.readuntil(b"\r\n")
            self.answers[int(head.split()[1])] += 1
            writer.close()


AT_ONCE = 12
"""Once password sign-in is paused each guess waits half a second: 10,000 take seven minutes. In
the seconds in which the hundred are verified, Argon2id with its four lanes has all of a machine
of two cores, and live sessions feel it: in floods that ended within those seconds, p95 was 17 to
35 ms instead of 2 to 4 (measured). What is promised is for the whole of the flood."""


def p95(took: list[float]) -> float:
    return statistics.quantiles(took, n=20)[-1]


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.skipif(sys.platform == "win32", reason="there is no Unix socket")
def test_10000_guesses_from_1000_addresses(tmp_path: Path) -> None:
    """SECURITY.md 9 in full, with the real Argon2id, over the gateway in a process of its own;
    the hundred let through stand at the beginning."""
    flooded = Flooded(tmp_path)
    try:
        cookie = flooded.cookie()
        before = flooded.gateway.ask("how many")["verified"]
        calm = Part("probe", str(flooded.path), cookie, "0.02")
        time.sleep(10)  # the baseline is what is measured meanwhile
        baseline = calm.last_words()["took"]
        calm.close()
        live = Part("probe", str(flooded.path), cookie, "0.02")
        memory = Memory(flooded.gateway.child.pid)
        began = time.monotonic()
        guessers = Guessers(flooded.path, 10_000, 1_000)
        asyncio.run(guessers.run(AT_ONCE))
        lasted = time.monotonic() - began
        memory.close()
        meanwhile = live.last_words()["took"]
        live.close()
        verified = flooded.gateway.ask("how many")["verified"] - before
    finally:
        flooded.close()
    grown = memory.most - memory.first
    print(
        f"{dict(guessers.answers)} in {lasted:.0f} s, {verified} verified, "
        f"memory +{grown / MIB:.0f} MiB, p95 {p95(baseline) * 1000:.2f} ms before, "
        f"{p95(meanwhile) * 1000:.2f} ms meanwhile (the slowest {max(meanwhile) * 1000:.0f} ms "
        f"of {len(meanwhile)} requests)"
    )
    assert sum(guessers.answers.values()) == 10_000
    assert set(guessers.answers) <= {WRONG, 429}
    assert verified <= 100
    assert grown <= 200 * MIB
    assert p95(meanwhile) <= 2 * p95(baseline)
