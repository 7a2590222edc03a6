"""Passkeys over the real gateway: nothing but the right answer, in time, once, from the browser
that was asked, at the very host name, signs in; and its end is the end of what it began.

The authenticator is software, so that it can lie in every part of its answer. That a real browser
and its authenticator get in is tests/e2e/test_passkeys.py.
"""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from nexus_tray.gateway.http import Door, DoorKind, Preview
from nexus_tray.gateway.routes import OPENCODE_ONLY, Lead, Place, Table, TunnelRoutes
from nexus_tray.gateway.signin import passkeys as judge
from nexus_tray.store.accounts import Accounts
from tests.gateway.authenticator import ATTESTED, PRESENT, VERIFIED, Authenticator
from tests.gateway.doubles import HOST
from tests.gateway.site_world import post
from tests.gateway.worlds import PASSWORD, visitor

from .passkey_parts import CODE, OTHER, PREVIEW, Browser, ask_local, lead_home, quick
from .test_signin_e2e import House, house

__all__ = ["house"]


@pytest.fixture
def home(house: House) -> House:
    lead_home(house)
    return house


@pytest.fixture
def key(home: House) -> Authenticator:
    """One that was added at CODE."""
    made = Authenticator()
    assert Browser(home).sign_in().add(made).status == 200
    home.world.vault.accounts.end_all_sessions()
    return made


def events(home: House, name: str) -> list[str]:
    return [outcome for event, _, _, outcome in home.world.vault.events() if event == name]


def test_it_stands_for_password_and_code(home: House, key: Authenticator) -> None:
    home.world.vault.secrets["factor"] = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    home.world.vault.factor.turn_on("factor", 0)
    browser = Browser(home)
    assert b"Use a passkey" in browser.page("/_nexus/sign-in").body
    assert not browser.is_in
    made = key.use(browser.challenge(), f"https://{CODE}")
    answer = browser.post("passkey", answer=made, next="/L2hvbWU/session")
    assert (answer.status, json.loads(answer.body)) == (200, {"to": "/L2hvbWU/session"})
    assert browser.is_in
    assert set(browser.cookies) == {"__Host-nexus"}
    [device] = home.world.vault.accounts.sessions()
    [row] = home.world.vault.passkeys.all()
    assert (device.how, device.passkey, row.used_at is None) == ("passkey", row.id, False)
    assert events(home, "passkey-added") == [f"Ada's key: at {CODE}"]
    assert events(home, "sign-in")[-1].startswith("signed in with a passkey")


WRONG: dict[str, dict[str, Any]] = {
    "origin of another site": {"origin": "https://evil.example"},
    "origin of a page below the name": {"origin": f"https://{PREVIEW}"},
    "origin without TLS": {"origin": f"http://{CODE}"},
    "origin with a port": {"origin": f"https://{CODE}:8443"},
    "RP ID of another site": {"rp": "evil.example"},
    "RP ID of the parent": {"rp": "example.com"},
    "RP ID of a sibling": {"rp": OTHER},
    "user not verified": {"flags": PRESENT},
    "user not present": {"flags": VERIFIED},
    "answer to another question": {"challenge": "A" * 43},
    "made for adding": {"type": "webauthn.create"},
    "in a frame of another site": {"cross": True},
    "another key": {"key": ec.generate_private_key(ec.SECP256R1())},
    "for another user": {"handle": b"somebody else altogether"},
    "for nobody": {"nobody": True},
    "backed up, but not fit for it": {"flags": PRESENT | VERIFIED | 0x10},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_in_one_part_signs_in_nobody(
    home: House, key: Authenticator, wrong: dict[str, Any]
) -> None:
    browser = Browser(home)
    refused = browser.use(key, wrong)
    usual = Browser(home, address="198.51.100.7").post("passkey", answer="{}")
    assert (refused.status, refused.body) == (usual.status, usual.body)
    assert refused.status == 403
    assert not browser.is_in
    assert home.world.vault.accounts.sessions() == []
    assert len(events(home, "passkey-refused")) == 2
    assert browser.use(key).status == 200, "the right answer gets in, so it was that"


@pytest.mark.parametrize(
    "answer",
    ["", "{}", "[]", "null", "{" * 2000, '{"id": 7}', '{"id": "AAAA"}', '{"id": ""}', "\x00"],
)
def test_what_is_no_answer_is_refused(home: House, key: Authenticator, answer: str) -> None:
    browser = Browser(home)
    browser.challenge()
    assert browser.post("passkey", answer=answer).status == 403


GARBAGE: tuple[object, ...] = ("", "AA", "!", 7, None, {}, "A" * 2000)


def test_garbage_in_every_place_is_refused(home: House, key: Authenticator) -> None:
    """Also where a parser of the library would raise what it pleases."""
    for place in ("clientDataJSON", "authenticatorData", "signature", "userHandle"):
        for garbage in GARBAGE:
            browser = Browser(home, address=f"198.51.100.{len(events(home, 'passkey-refused'))}")
            said = json.loads(key.use(browser.challenge(), f"https://{CODE}"))
            said["response"][place] = garbage
            assert browser.post("passkey", answer=json.dumps(said)).status == 403
    assert home.world.vault.accounts.sessions() == []


def test_an_answer_works_once_in_its_browser_and_in_time(home: House, key: Authenticator) -> None:
    browser = Browser(home)
    made = key.use(browser.challenge(), f"https://{CODE}")
    kept = dict(browser.cookies)
    assert Browser(home).post("passkey", answer=made).status == 403, "not without its cookie"
    assert browser.post("passkey", answer=made).status == 200
    for cookies in ({}, kept, browser.cookies):
        again = Browser(home, cookies=dict(cookies))
        assert again.post("passkey", answer=made).status == 403
    key.counter = 9

    thief, asked = Browser(home), Browser(home)
    stolen = key.use(asked.challenge(), f"https://{CODE}")
    thief.challenge()
    assert thief.post("passkey", answer=stolen).status == 403
    assert not thief.is_in
    assert asked.post("passkey", answer=stolen).status == 200

    new = Browser(home)
    first = new.challenge()
    new.challenge()
    assert new.post("passkey", answer=key.use(first, f"https://{CODE}")).status == 403


def test_a_failed_answer_uses_its_question_up(home: House, key: Authenticator) -> None:
    browser = Browser(home)
    options = browser.challenge()
    kept = dict(browser.cookies)
    wrong = key.use(options, f"https://{CODE}", {"origin": "https://evil.example"})
    assert browser.post("passkey", answer=wrong).status == 403
    right = key.use(options, f"https://{CODE}")
    assert Browser(home, cookies=kept).post("passkey", answer=right).status == 403


def test_of_fifty_redemptions_of_one_challenge_one_succeeds(
    home: House, key: Authenticator
) -> None:
    asked = Browser(home)
    made = key.use(asked.challenge(), f"https://{CODE}")
    start, got = threading.Barrier(50), list[int]()

    def knock(number: int) -> None:
        browser = Browser(home, cookies=dict(asked.cookies), address=f"198.51.100.{number}")
        start.wait()
        got.append(browser.post("passkey", answer=made).status)

    threads = [threading.Thread(target=knock, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(got) == [200, *[403] * 49]
    assert len(home.world.vault.accounts.sessions()) == 1


def test_a_counter_that_falls_is_refused_and_said(home: House, key: Authenticator) -> None:
    """WebAuthn 6.1.1: somebody may have copied it."""
    key.counter = 7
    assert Browser(home).use(key).status == 200
    for falls in (7, 6, 0):
        key.counter = falls
        assert Browser(home).use(key).status == 403
        assert f"counter {falls} after 7" in events(home, "passkey-copied")[-1]
    key.counter = 8
    assert Browser(home).use(key).status == 200
    assert len(events(home, "passkey-copied")) == 3


def test_an_authenticator_without_a_counter_gets_in_each_time(home: House) -> None:
    key = Authenticator(counter=None)
    assert Browser(home).sign_in().add(key).status == 200
    for _ in range(3):
        assert Browser(home).use(key).status == 200


def test_of_two_at_once_with_one_counter_one_comes_in(home: House, key: Authenticator) -> None:
    """Two questions, both answered with the same counter: the store judges, once."""
    key.counter = 5
    browsers = [Browser(home, address=f"198.51.100.{number}") for number in range(8)]
    made = []
    for browser in browsers:
        key.counter = 5
        made.append(key.use(browser.challenge(), f"https://{CODE}"))
    start, got = threading.Barrier(8), list[int]()

    def knock(browser: Browser, answer: str) -> None:
        start.wait()
        got.append(browser.post("passkey", answer=answer).status)

    threads = [
        threading.Thread(target=knock, args=pair) for pair in zip(browsers, made, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(got) == [200, *[403] * 7]


def test_it_counts_at_its_host_name_alone(home: House, key: Authenticator) -> None:
    other = Browser(home, OTHER)
    assert b"Use a passkey" not in other.page("/_nexus/sign-in").body
    assert other.use(key).status == 403
    made = key.use(Browser(home).challenge(), f"https://{CODE}")
    assert other.post("passkey", answer=made).status == 403
    # a question of one host is not answered at the other, even with its cookie
    asked = Browser(home)
    made = key.use(asked.challenge(), f"https://{CODE}")
    assert Browser(home, OTHER, cookies=dict(asked.cookies)).post("passkey", answer=made).status
    assert home.world.vault.accounts.sessions() == []


ENDS: dict[str, Callable[[Accounts, str], object]] = {
    "revoked": lambda accounts, key: accounts.end_passkey(key, "owner", "local"),
    "password set": lambda accounts, _: accounts.set_password("another password altogether"),
    "password removed": lambda accounts, _: accounts.clear_password(),
    "panic": lambda accounts, _: accounts.panic(),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_its_end_is_the_end_of_what_it_began(
    home: House, key: Authenticator, end: Callable[[Accounts, str], object]
) -> None:
    vault = home.world.vault
    browser, other = Browser(home), Browser(home, address="198.51.100.7").sign_in()
    assert browser.use(key).status == 200
    [row] = vault.passkeys.all()
    device = next(one for one in vault.accounts.sessions() if one.how == "passkey")
    waiting = Browser(home, address="198.51.100.8")
    made = key.use(waiting.challenge(), f"https://{CODE}")
    end(vault.accounts, row.id)
    assert not browser.is_in
    assert device.id in vault.cut, "what it had open is cut"
    assert vault.passkeys.all() == []
    assert waiting.post("passkey", answer=made).status in (403, 503)
    assert Browser(home, address="198.51.100.9").page("/_nexus/sign-in").body.count(b"passkey") == 0
    assert len(events(home, "passkey-removed")) == 1
    if end is ENDS["revoked"]:
        assert other.is_in, "who came in otherwise stays"
        assert not vault.accounts.end_passkey(row.id, "owner", "local")


def test_a_foreign_page_can_neither_ask_nor_answer_nor_add(home: House, key: Authenticator) -> None:
    for origin in ("https://evil.example", "null", f"https://{PREVIEW}", f"http://{CODE}"):
        foreign = Browser(home, origin=origin)
        assert foreign.post("passkey-challenge").status == 403
        assert foreign.cookies == {}
        asked = Browser(home)
        made = key.use(asked.challenge(), f"https://{CODE}")
        asked.origin = origin
        assert asked.post("passkey", answer=made).status == 403
        assert not asked.is_in
        inside = Browser(home).sign_in()
        inside.origin = origin
        assert inside.post("passkey-begin", password=PASSWORD).status == 403
        [row] = home.world.vault.passkeys.all()
        assert inside.post("passkey-remove", id=row.id, password=PASSWORD).status == 403
    assert len(home.world.vault.passkeys.all()) == 1


def test_at_a_quick_tunnel_and_the_local_door_there_are_none(
    home: House, key: Authenticator
) -> None:
    stranger = quick(home)
    assert b"passkey" not in stranger.page("/_nexus/sign-in").body
    assert stranger.post("passkey-challenge").status == 404
    made = key.use({"challenge": "A" * 43, "rpId": HOST}, f"https://{HOST}")
    assert stranger.post("passkey", answer=made).status == 404
    inside = quick(home).sign_in()
    assert b"Passkeys</a>" not in inside.page("/_nexus/").body
    assert inside.post("passkey-begin", password=PASSWORD).status == 404
    assert inside.post("passkey-add", answer="{}").status == 404
    body = inside.page("/_nexus/passkeys").body
    assert b"None can be added here" in body
    assert b"passkey.js" not in body

    ticket = home.world.vault.accounts.new_ticket("/")
    entered = ask_local(home, "GET", f"/_nexus/enter?ticket={ticket}")
    cookie = (entered.get("set-cookie") or "").partition(";")[0]
    assert cookie.startswith("nexus_local=")
    for name in ("passkey-challenge", "passkey", "passkey-begin", "passkey-add"):
        answer = ask_local(home, "POST", f"/_nexus/{name}", cookie, b"password=x")
        assert answer.status in (403, 404), name
    assert b"None can be added here" in ask_local(home, "GET", "/_nexus/passkeys", cookie).body
    assert len(home.world.vault.passkeys.all()) == 1


NAMED, QUICK = Door(DoorKind.TUNNEL, "home"), Door(DoorKind.TUNNEL, "home", holds_events=True)
NO_TABLE: Table = {}
OWN: Table = {"home": TunnelRoutes({CODE: Lead.OPENCODE})}
A_PREVIEW = Preview("http://127.0.0.1:9", "127.0.0.1", 9, False, "127.0.0.1:9")


def led(host: str, to: Place = Lead.OPENCODE) -> Table:
    return {"home": TunnelRoutes({host: to})}


@pytest.mark.parametrize(
    ("host", "door", "table", "good"),
    [
        (CODE, NAMED, OWN, True),
        (CODE, QUICK, OWN, False),
        (CODE, Door(DoorKind.NETWORK, "home"), OWN, False),
        (CODE, Door(DoorKind.LOCAL, "home", secure=False), OWN, False),
        (CODE, NAMED, NO_TABLE, False),
        (CODE, NAMED, {"other": OWN["home"]}, False),
        (OTHER, NAMED, OWN, False),
        (OTHER, NAMED, {"home": OPENCODE_ONLY}, False),
        (CODE, NAMED, led(CODE, A_PREVIEW), False),
        (CODE, NAMED, led(CODE, Lead.NOWHERE), False),
        *((host, NAMED, led(host), False) for host in (
            "192.0.2.7", "[2001:db8::1]", "localhost", "code.example.com:8443", "a.b.1",
            "-a.example.com", "code..com", "", "code.example.com.",
        )),
        *((host, NAMED, led(host), True) for host in ("a.bc", "xn--bcher-kva.example", "1.2.io")),
    ],
)  # fmt: skip
def test_where_a_passkey_may_count(host: str, door: Door, table: Table, good: bool) -> None:
    """Each condition decides alone."""
    who = visitor(host=host, door=door)
    assert judge.stable_host(who, table) == (host if good else None)
    assert judge.stable_host(replace(who, preview=A_PREVIEW), table) is None


def test_what_is_kept_in_its_browser_goes_no_further(home: House, key: Authenticator) -> None:
    """Neither to OpenCode, nor may OpenCode set it."""
    browser = Browser(home).sign_in()
    browser.challenge()
    secret = browser.cookies["__Host-nexus-passkey"]
    assert browser.is_in
    assert b"GET /session" in home.upstream.received
    assert secret.encode() not in home.upstream.received
    assert b"nexus-passkey" not in home.upstream.received


def test_a_preview_host_has_no_part_in_it(home: House, key: Authenticator) -> None:
    preview = Browser(home, PREVIEW)
    for name in ("passkey-challenge", "passkey", "passkey-begin", "passkey-add"):
        assert preview.post(name).status in (404, 413), name


def test_adding_asks_for_the_password_and_the_code_again(home: House) -> None:
    inside, vault = Browser(home).sign_in(), home.world.vault
    assert inside.post("passkey-begin").status == 403
    refused = inside.post("passkey-begin", password="not the password")
    assert (refused.status, json.loads(refused.body)["error"]) == (403, "asked-again-wrong")
    assert inside.post("passkey-add", answer="{}").status == 403
    codes = vault.factor.turn_on("factor", 0)
    assert inside.post("passkey-begin", password=PASSWORD).status == 403
    begun = inside.post("passkey-begin", password=PASSWORD, code=codes[0])
    assert begun.status == 200
    assert vault.factor.codes_left() == 9
    made = Authenticator().make(json.loads(begun.body), f"https://{CODE}")
    assert inside.post("passkey-add", answer=made).status == 200
    assert events(home, "step-up-failed") == [
        "wrong password", "wrong password", "right password, wrong code",
    ]  # fmt: skip
    stranger = Browser(home)
    assert stranger.post("passkey-begin", password=PASSWORD).status in (303, 413)
    assert stranger.post("passkey-add", answer=made).status in (303, 413)
    assert stranger.page("/_nexus/passkeys").status == 303


def test_asking_again_is_locked_after_some_failures(home: House) -> None:
    inside = Browser(home).sign_in()
    for _ in range(5):
        inside.post("passkey-begin", password="not the password")
    refused = inside.post("passkey-begin", password=PASSWORD)
    assert (refused.status, json.loads(refused.body)["error"]) == (403, "asked-again-locked")
    page = inside.post("passkey-remove", id="x", password=PASSWORD)
    assert (page.status, b"too often" in page.body) == (403, True)
    # nor does it shut the sign-in page, nor somebody else's session
    assert Browser(home).sign_in().post("passkey-begin", password=PASSWORD).status == 200


def test_asking_again_waits_for_no_crowd(home: House) -> None:
    """Where the verifications of a flood fill the queue, nothing is added to it."""
    inside, passwords = Browser(home).sign_in(), home.world.vault.passwords
    waiting, passwords.waiting = passwords.waiting, 99
    try:
        refused = inside.post("passkey-begin", password=PASSWORD)
    finally:
        passwords.waiting = waiting
    assert (refused.status, json.loads(refused.body)["error"]) == (403, "asked-again-crowded")
    assert inside.post("passkey-begin", password=PASSWORD).status == 200


def test_one_is_removed_with_the_password(home: House, key: Authenticator) -> None:
    inside = Browser(home).sign_in()
    [row] = home.world.vault.passkeys.all()
    assert inside.post("passkey-remove", id=row.id, password="not the password").status == 403
    assert len(home.world.vault.passkeys.all()) == 1
    for note in ("removed", "gone"):
        answer = inside.post("passkey-remove", id=row.id, password=PASSWORD)
        assert (answer.status, answer.get("location")) == (303, f"/_nexus/passkeys?note={note}")
    assert home.world.vault.passkeys.all() == []
    assert inside.is_in


WRONG_NEW: dict[str, dict[str, Any]] = {
    "origin": {"origin": "https://evil.example"},
    "RP ID": {"rp": "example.com"},
    "user not verified": {"flags": PRESENT | ATTESTED},
    "another question": {"challenge": "A" * 43},
    "made for signing in": {"type": "webauthn.get"},
    "frame": {"cross": True},
}


@pytest.mark.parametrize("wrong", WRONG_NEW.values(), ids=WRONG_NEW.keys())
def test_what_is_wrong_in_one_part_is_not_added(home: House, wrong: dict[str, Any]) -> None:
    inside = Browser(home).sign_in()
    assert inside.add(Authenticator(), wrong=wrong).status == 403
    assert home.world.vault.passkeys.all() == []
    event, who, _, told = home.world.vault.events()[-1]
    assert (event, who) == ("passkey-refused", "A browser")
    assert told.startswith("not added: ")


def test_what_is_added_belongs_to_who_asked(home: House) -> None:
    """Neither another session's question, nor one whose password has changed, nor a key twice."""
    one, other = Browser(home).sign_in(), Browser(home).sign_in()
    key = Authenticator()
    begun = json.loads(one.post("passkey-begin", password=PASSWORD).body)
    made = key.make(begun, f"https://{CODE}")
    assert other.post("passkey-add", answer=made).status == 403
    other.post("passkey-begin", password=PASSWORD)
    assert other.post("passkey-add", answer=made).status == 403
    assert one.post("passkey-add", answer=made).status == 200
    assert one.post("passkey-add", answer=made).status == 403
    assert one.add(key).status == 409
    [row] = home.world.vault.passkeys.all()
    begun = json.loads(one.post("passkey-begin", password=PASSWORD).body)
    made = Authenticator().make(begun, f"https://{CODE}")
    home.world.vault.accounts.set_password("another password altogether")
    assert one.post("passkey-add", answer=made).status in (303, 413)
    assert home.world.vault.passkeys.all() == []
    assert row.name == "A browser", "it is called after who asked, where no name is given"


def test_wrong_answers_lock_their_address_and_no_other(home: House, key: Authenticator) -> None:
    """Failures count by address, as elsewhere; the right answer waits there then."""
    clock = home.world.vault.monotonic
    home.world.with_monotonic_of_the_vault()
    site = home.world.site
    door = Door(DoorKind.TUNNEL, "home")

    def knock(answer: str, cookie: str, address: str) -> int:
        who = visitor(address, CODE, door)
        return asyncio.run(
            site.respond(post("/_nexus/passkey", {"answer": answer}, who, cookie), None)
        ).status

    def challenge(address: str) -> tuple[dict[str, Any], str]:
        asked = post("/_nexus/passkey-challenge", {}, visitor(address, CODE, door))
        answer = asyncio.run(site.respond(asked, None))
        cookie = dict(answer.headers)["set-cookie"].partition(";")[0]
        return json.loads(answer.body), cookie

    for _ in range(5):
        assert knock("{}", "", "192.0.2.1") == 403
    options, cookie = challenge("192.0.2.1")
    assert knock(key.use(options, f"https://{CODE}"), cookie, "192.0.2.1") == 403
    assert any("passkeys, for" in told for told in events(home, "locked"))
    clock.now += 1.5
    options, cookie = challenge("192.0.2.1")
    assert knock(key.use(options, f"https://{CODE}"), cookie, "192.0.2.1") == 200
    # 200 failures of 50 addresses stop nobody else
    for number in range(50):
        for _ in range(4):
            knock("{}", "", f"198.51.100.{number}")
    options, cookie = challenge("192.0.2.2")
    assert knock(key.use(options, f"https://{CODE}"), cookie, "192.0.2.2") == 200


def test_the_passwords_pause_does_not_stop_it(home: House, key: Authenticator) -> None:
    lockout = home.world.site._sign_in._lockout
    for number in range(100):
        lockout.begin(f"198.51.100.{number}", home.world.world.monotonic())
    assert Browser(home).post("sign-in", username="owner", password=PASSWORD).status == 403
    assert Browser(home).use(key).status == 200


def test_a_flood_of_questions_is_bounded_and_costs_the_owner_nothing() -> None:
    now = [0.0]
    challenges = judge.Challenges(lambda: now[0])
    mine = challenges.ask("me", CODE, "203.0.113.1")
    for number in range(10_000):
        challenges.ask(f"one {number}", CODE, "192.0.2.1")
    assert len(challenges) == judge.MOST_OF_ONE + 1
    found = challenges.take("me", CODE)
    assert found is not None
    assert found.challenge == mine
    for number in range(3 * judge.MOST):
        challenges.ask(f"many {number}", CODE, f"2001:db8:{number >> 8:x}:{number & 255:x}::1")
    assert len(challenges) == judge.MOST
    now[0] += judge.LASTS
    challenges.ask("late", CODE, "192.0.2.2")
    assert len(challenges) == 1
    now[0] += judge.LASTS
    assert challenges.take("late", CODE) is None


def test_the_library_is_loaded_by_nothing_that_uses_no_passkey(home: House) -> None:
    """14 MB: not at start, not by a visit, not by a stranger who only knocks."""
    code = """
import sys
import nexus_tray.app.program, nexus_tray.gateway.site.site
heavy = [name for name in sys.modules if name.partition(".")[0] in ("webauthn", "cbor2", "OpenSSL")]
assert not heavy, heavy
from nexus_tray.gateway.signin import passkeys
passkeys.request_options(b"x" * 32, "code.example.com")
passkeys.named('{"id": "AAAA"}')
assert "webauthn" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
