"""Cookies and the sessions behind them: whose counts where, how long, and how they end."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.gateway.http import Principal, Visitor
from nexus_tray.gateway.signin.sessions import CACHED_SECONDS, SETTLED_SECONDS, browser_name
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store.accounts import (
    ABSOLUTE_SECONDS,
    IDLE_SECONDS,
    MOST_SESSIONS,
    SessionRow,
)

from .worlds import (
    HOST,
    PASSWORD,
    PHONE,
    Vault,
    cookie_of,
    local_visitor,
    open_vault,
    request,
    visitor,
)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    vault = open_vault(tmp_path / "data")
    vault.accounts.set_password(PASSWORD)
    yield vault
    vault.close()


def sign_in(vault: Vault, who: Visitor | None = None, old: Principal | None = None) -> str:
    password = vault.accounts.password()
    assert password is not None
    set_cookie = vault.sessions.begin(who or visitor(), "Pixel", password_id=password.id, old=old)
    assert set_cookie is not None
    return cookie_of(set_cookie)


def knows(vault: Vault, cookie: str, who: Visitor | None = None) -> bool:
    return vault.sessions.authenticate(request(cookie=cookie, who=who)) is not None


def test_the_cookie_over_tls(vault: Vault) -> None:
    set_cookie = vault.sessions.begin(visitor(), "Pixel", password_id=None, old=None)
    assert set_cookie is not None
    value, *attributes = set_cookie.split("; ")
    assert value.startswith("__Host-nexus=")
    assert set(attributes) == {"Path=/", "Max-Age=604800", "HttpOnly", "Secure", "SameSite=Lax"}


def test_the_cookie_at_the_local_door(vault: Vault) -> None:
    set_cookie = vault.sessions.begin(local_visitor(), "Firefox", password_id=None, old=None)
    assert set_cookie is not None
    value, *attributes = set_cookie.split("; ")
    assert value.startswith("nexus_local=")
    assert set(attributes) == {"Path=/", "Max-Age=604800", "HttpOnly", "SameSite=Lax"}


def test_the_token_is_256_bits_and_only_its_hash_is_stored(vault: Vault, tmp_path: Path) -> None:
    cookies = {sign_in(vault) for _ in range(5)}
    assert len(cookies) == 5
    stored = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir())
    for cookie in cookies:
        token = cookie.partition("=")[2]
        assert len(token) == 43
        assert token.encode() not in stored
    assert PASSWORD.encode() not in stored


def test_a_session_counts_at_its_own_door_and_host_only(vault: Vault) -> None:
    cookie = sign_in(vault)
    assert knows(vault, cookie)
    assert not knows(vault, cookie, visitor(host="other-name.trycloudflare.com"))
    local = cookie.replace("__Host-nexus", "nexus_local")
    assert not knows(vault, local, local_visitor())
    assert not knows(vault, local, local_visitor(HOST))
    assert knows(vault, cookie), "having been tried elsewhere does it no harm"


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "__Host-nexus",
        "__Host-nexus=",
        "__Host-nexus=short",
        "__Host-nexus=" + "A" * 43,
        "__Host-nexus=" + "A" * 44,
        "__host-nexus={token}",
        "nexus_local={token}",
        "x__Host-nexus={token}",
        "__Host-nexus={token}; __Host-nexus=" + "A" * 43,
        "__Host-nexus={token}; __Host-nexus={token}",
        '__Host-nexus="{token}"',
        "__Host-nexus={token}%00",
    ],
)
def test_no_such_cookie_is_a_session(vault: Vault, cookie: str) -> None:
    token = sign_in(vault).partition("=")[2]
    assert not knows(vault, cookie.format(token=token))


def test_other_cookies_beside_it_do_not_matter(vault: Vault) -> None:
    cookie = sign_in(vault)
    assert knows(vault, f"theme=dark;{cookie} ; lang=de")


def test_two_cookie_fields_with_ours_in_each_are_refused(vault: Vault) -> None:
    cookie = sign_in(vault).encode()
    fields = ((b"cookie", cookie), (b"cookie", b"__Host-nexus=" + b"B" * 43))
    assert vault.sessions.authenticate(request(headers=fields)) is None


def test_idle_for_twelve_hours_is_over(vault: Vault) -> None:
    cookie = sign_in(vault)
    vault.wall.now += IDLE_SECONDS - 1
    assert knows(vault, cookie)
    vault.wall.now += IDLE_SECONDS - 1
    assert knows(vault, cookie), "use moves the limit"
    vault.wall.now += IDLE_SECONDS
    assert not knows(vault, cookie)


def test_seven_days_are_the_end_however_busy(vault: Vault) -> None:
    cookie, end = sign_in(vault), vault.wall.now + ABSOLUTE_SECONDS
    while vault.wall.now + IDLE_SECONDS / 2 < end:
        vault.wall.now += IDLE_SECONDS / 2
        assert knows(vault, cookie)
    vault.wall.now = end
    assert not knows(vault, cookie)


def test_use_is_saved_by_the_sweep_and_survives_a_restart(vault: Vault) -> None:
    cookie = sign_in(vault)
    vault.wall.now += IDLE_SECONDS - 60
    assert knows(vault, cookie)
    vault.sessions.sweep()
    assert vault.accounts.sessions()[0].seen_at == vault.wall.now


def test_use_that_the_disk_refused_is_saved_by_the_next_sweep(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie = sign_in(vault)
    vault.wall.now += 3600
    assert knows(vault, cookie)

    def full(_: object) -> None:
        raise Problem(Reason(code="database-full", hop=Hop.GATEWAY, what="No room."))

    with monkeypatch.context() as patch:
        patch.setattr(vault.accounts, "touch", full)
        with pytest.raises(Problem):
            vault.sessions.sweep()
    vault.sessions.sweep()
    [row] = vault.accounts.sessions()
    assert row.seen_at == vault.wall.now


def test_the_sweep_ends_what_is_over_and_cuts_its_streams(vault: Vault) -> None:
    sign_in(vault)
    vault.reference.tell(vault.wall())
    row = vault.accounts.sessions()[0]
    vault.wall.now += IDLE_SECONDS
    vault.monotonic.now += IDLE_SECONDS
    vault.sessions.sweep()
    assert vault.cut == [row.id]
    assert vault.accounts.sessions() == []
    assert vault.events()[-1][:2] == ("session-ended", "nexus-tray")


@pytest.mark.parametrize("told", [True, False])
def test_a_clock_that_was_set_ahead_ends_no_session_for_good(vault: Vault, told: bool) -> None:
    """SECURITY.md 27: closed meanwhile, streams cut; and good again when the clock is right."""
    cookie = sign_in(vault)
    if told:
        vault.reference.tell(vault.wall())
    row = vault.accounts.sessions()[0]
    before = vault.events()
    vault.wall.now += 365 * 86400
    vault.sessions.sweep()
    assert vault.cut == [row.id]
    assert not knows(vault, cookie)
    vault.wall.now -= 365 * 86400
    assert knows(vault, cookie)
    vault.sessions.sweep()
    assert vault.cut == [row.id]
    assert vault.events() == before, "a row from a time to come would keep everybody out"


def test_where_nobody_tells_the_time_the_clock_is_believed_after_a_while(vault: Vault) -> None:
    sign_in(vault)
    vault.wall.now += IDLE_SECONDS
    vault.sessions.sweep()
    assert vault.accounts.sessions()
    vault.monotonic.now += SETTLED_SECONDS
    vault.sessions.sweep()
    assert not vault.accounts.sessions()


def test_a_verified_cookie_is_cached_for_thirty_seconds(vault: Vault) -> None:
    cookie = sign_in(vault)
    assert knows(vault, cookie)
    with vault.database.write() as connection:  # behind the accounts' back
        connection.execute("DELETE FROM sessions")
    vault.monotonic.now += CACHED_SECONDS - 0.1
    assert knows(vault, cookie)
    vault.monotonic.now += 0.1
    assert not knows(vault, cookie)


@pytest.mark.parametrize("way", ["sign-out", "password", "clear", "all", "revoke"])
def test_an_end_takes_effect_on_the_next_request_and_cuts(vault: Vault, way: str) -> None:
    cookie = sign_in(vault)
    principal = vault.sessions.authenticate(request(cookie=cookie))
    assert principal is not None
    match way:
        case "sign-out":
            removed = vault.sessions.end(principal, "192.0.2.1")
            assert removed.startswith("__Host-nexus=; Path=/; Max-Age=0;")
        case "password":
            vault.accounts.set_password("quite another set of words")
        case "clear":
            vault.accounts.clear_password()
        case "all":
            vault.accounts.end_all_sessions()
        case "revoke":
            vault.accounts.end_session(principal.id, "owner", "local")
    assert not knows(vault, cookie), "although it was cached a moment ago"
    assert vault.cut == [principal.id]


def test_signing_in_gives_a_new_id_and_ends_the_old(vault: Vault) -> None:
    before = sign_in(vault)
    principal = vault.sessions.authenticate(request(cookie=before))
    after = sign_in(vault, old=principal)
    assert principal is not None
    assert before != after
    assert not knows(vault, before)
    assert knows(vault, after)
    assert vault.cut == [principal.id]


def test_a_sign_in_under_way_does_not_outlive_a_password_change(vault: Vault) -> None:
    password = vault.accounts.password()
    assert password is not None
    vault.accounts.set_password("quite another set of words")
    assert vault.sessions.begin(visitor(), "x", password_id=password.id, old=None) is None
    assert vault.accounts.sessions() == []


def test_at_most_25_and_who_makes_room(vault: Vault) -> None:
    vault.sessions.begin(local_visitor(), "Firefox", password_id=None, old=None)
    phones = []
    for _ in range(MOST_SESSIONS - 1):
        vault.wall.now += 1
        phones.append(sign_in(vault))
    assert len(vault.accounts.sessions()) == MOST_SESSIONS
    vault.wall.now += 1
    phones.append(sign_in(vault))
    assert all(knows(vault, cookie) for cookie in phones), "the local one went first"
    vault.wall.now += 1
    phones.append(sign_in(vault))
    assert [knows(vault, cookie) for cookie in phones] == [False] + [True] * MOST_SESSIONS
    assert len(vault.cut) == 2


def test_a_clock_that_fell_back_closes_the_remote_doors_only(vault: Vault) -> None:
    cookie = sign_in(vault)
    set_cookie = vault.sessions.begin(local_visitor(), "Firefox", password_id=None, old=None)
    assert set_cookie is not None
    vault.wall.now -= 60
    assert vault.sessions.clock_uncertain()
    assert not knows(vault, cookie)
    again = vault.sessions.begin(local_visitor(), "Firefox", password_id=None, old=None)
    assert again is not None
    assert knows(vault, cookie_of(again), local_visitor())
    vault.wall.now += 60
    assert knows(vault, cookie)


def test_a_clock_far_from_cloudflares_closes_the_remote_doors_only(vault: Vault) -> None:
    cookie = sign_in(vault)
    vault.reference.tell(vault.wall() + 299)
    assert knows(vault, cookie), "within five minutes it is believed"
    vault.reference.tell(vault.wall() + 301)
    assert vault.sessions.clock_uncertain()
    assert not knows(vault, cookie)
    again = vault.sessions.begin(local_visitor(), "Firefox", password_id=None, old=None)
    assert again is not None
    assert knows(vault, cookie_of(again), local_visitor())


def test_a_clock_that_is_set_after_cloudflare_told_the_time(vault: Vault) -> None:
    vault.reference.tell(vault.wall())
    vault.wall.now += 3600
    vault.monotonic.now += 3600
    assert not vault.sessions.clock_uncertain(), "an hour simply passed"
    vault.wall.now += 3600
    assert vault.sessions.clock_uncertain(), "somebody put it on by an hour"


def test_setting_the_password_settles_a_clock_that_once_ran_ahead(vault: Vault) -> None:
    vault.wall.now += 400 * 86400
    sign_in(vault)
    vault.wall.now -= 400 * 86400
    assert vault.sessions.clock_uncertain()
    vault.accounts.set_password(PASSWORD)
    assert not vault.sessions.clock_uncertain()
    assert knows(vault, sign_in(vault))


def test_an_unreadable_store_lets_nobody_in(vault: Vault) -> None:
    cookie = sign_in(vault)
    vault.database.close()
    assert not knows(vault, cookie)


def test_one_that_ends_while_it_is_read_is_not_remembered(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie, read = sign_in(vault), vault.accounts.session

    def end_behind(token: str) -> SessionRow | None:
        row = read(token)
        if row is not None:
            vault.accounts.end_session(row.id, "owner", "local")
        return row

    monkeypatch.setattr(vault.accounts, "session", end_behind)
    assert not knows(vault, cookie)


def test_revocation_against_a_crowd_of_readers(vault: Vault) -> None:
    """Whatever the threads do, after `end_session` returned the cookie is dead for good."""
    for _ in range(20):
        cookie = sign_in(vault)
        principal = vault.sessions.authenticate(request(cookie=cookie))
        assert principal is not None
        stop = threading.Event()

        def read(cookie: str = cookie, stop: threading.Event = stop) -> None:
            while not stop.is_set():
                vault.monotonic.now += CACHED_SECONDS  # never served from the cache
                knows(vault, cookie)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        vault.accounts.end_session(principal.id, "owner", "local")
        alive = knows(vault, cookie)
        stop.set()
        for reader in readers:
            reader.join()
        assert not alive
        assert not knows(vault, cookie)


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (PHONE, "Chrome on Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Safari/605", "Safari on iPhone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) Firefox/140", "Firefox on macOS"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/142 Safari/537 Edg/142", "Edge on Windows"),
        ("curl/8", "A browser"),
        (None, "A browser"),
        ("<script>" * 100, "A browser"),
    ],
)
def test_names_of_browsers(agent: str | None, name: str) -> None:
    assert browser_name(agent) == name
