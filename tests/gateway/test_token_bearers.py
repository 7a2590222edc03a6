"""Who bears a token: its cache is never older than its end, and never told by one address alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.gateway.http import Principal, Request
from nexus_tray.gateway.signin import tokens as signin_tokens
from nexus_tray.gateway.signin.tokens import CACHED_SECONDS, TOUCH_SECONDS, TokenBearers
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store.api_tokens import TokenRow

from .worlds import Vault, local_visitor, open_vault, request, visitor

DAY = 86400.0
UNREADABLE = Problem(Reason(code="database-broken", hop=Hop.GATEWAY, what="It is broken."))


class Door:
    """Bearers over a real database; clocks that are turned, reads that are counted."""

    def __init__(self, vault: Vault) -> None:
        self.vault, self.reads, self.broken = vault, 0, False
        self.noted: list[str] = []
        self.uncertain = False
        find = vault.tokens.find

        def counted(token: str) -> TokenRow | None:
            self.reads += 1
            if self.broken:
                raise UNREADABLE
            return find(token)

        vault.tokens.find = counted  # type: ignore[method-assign]
        self.bearers = TokenBearers(
            vault.tokens, vault.wall, vault.monotonic, lambda: self.uncertain,
            lambda _, address, at: self.noted.append(address), lambda _: None,
        )  # fmt: skip
        vault.tokens.listen(self.bearers.forget)
        vault.accounts.listen(self.bearers.forget)

    def ask(self, token: str, address: str = "192.0.2.1") -> Principal | None:
        return self.bearers.authenticate(self.asked(address), token)

    def asked(self, address: str) -> Request:
        return request("/session", who=local_visitor() if address == "local" else visitor(address))


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    vault = open_vault(tmp_path)
    vault.accounts.set_password("blue lamp over the river")
    yield Door(vault)
    vault.close()


def test_it_is_read_once_in_a_while(door: Door) -> None:
    token = door.vault.tokens.make("laptop", "read", 30)
    for _ in range(5):
        who = door.ask(token)
        assert who is not None
        assert (who.name, who.token, who.read_only) == ("laptop", True, True)
    assert door.reads == 1
    door.vault.monotonic.now += CACHED_SECONDS
    assert door.ask(token)
    assert door.reads == 2


ENDINGS = {
    "revoked": lambda vault: vault.tokens.revoke(vault.tokens.all()[0].id),
    "a new password": lambda vault: vault.accounts.set_password("another long one"),
    "no password": lambda vault: vault.accounts.clear_password(),
    "panic": lambda vault: vault.accounts.panic(),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_the_next_request_after_its_end_is_refused(door: Door, ending: object) -> None:
    token = door.vault.tokens.make("laptop", "full", 30)
    assert door.ask(token)
    assert callable(ending)
    ending(door.vault)
    assert door.ask(token) is None


def test_over_means_over_out_of_the_cache_too(door: Door) -> None:
    """The moment counts, not the sweep; and a clock that fell back opens nothing."""
    token = door.vault.tokens.make("laptop", "full", 1)
    made = door.vault.wall()
    assert door.ask(token)
    for at, good in ((DAY - 0.001, True), (DAY, False), (10 * DAY, False), (-0.001, False),
                     (-DAY, False), (0.0, True)):  # fmt: skip
        door.vault.wall.now = made + at
        assert (door.ask(token) is not None) is good, at
    assert door.reads == 1, "all of that out of the cache"
    door.vault.wall.now = made + DAY
    door.vault.tokens.end_expired()
    door.vault.wall.now = made  # turned back: what was swept away stays away
    assert door.ask(token) is None


def test_an_uncertain_clock_shuts_it_from_outside_alone(door: Door) -> None:
    token = door.vault.tokens.make("laptop", "full", 1)
    assert door.ask(token)
    door.uncertain = True
    assert door.ask(token) is None
    assert door.ask(token, "local")


def test_what_cannot_be_read_lets_nobody_in(door: Door) -> None:
    token = door.vault.tokens.make("laptop", "full", 1)
    door.broken = True
    assert door.ask(token) is None
    door.broken = False
    assert door.ask(token)


def test_one_that_ends_while_it_is_read_does_not_enter_the_cache(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = door.vault.tokens.make("laptop", "full", 1)
    find = door.vault.tokens.find

    def ends_meanwhile(asked: str) -> TokenRow | None:
        row = find(asked)
        if row is not None:
            door.vault.tokens.revoke(row.id)
        return row

    monkeypatch.setattr(door.vault.tokens, "find", ends_meanwhile)
    assert door.ask(token) is None


def test_what_is_no_token_is_not_even_looked_up(door: Door) -> None:
    for token in (
        "",
        "nx_",
        "nx_" + "a" * 42,
        "nx_" + "a" * 44,
        "nx_" + "é" * 43,
        "NX_" + "a" * 43,
    ):
        assert door.ask(token) is None
    assert door.reads == 0


def test_unknown_ones_fill_no_memory(door: Door) -> None:
    for number in range(200):
        assert door.ask(f"nx_{number:043}") is None
    assert len(door.bearers._cache) == 0


def test_use_is_told_by_network_and_now_and_then(door: Door) -> None:
    token = door.vault.tokens.make("laptop", "full", 30)
    for number in range(200):
        assert door.ask(token, f"2001:db8:1:2::{number:x}")
    assert door.noted == ["2001:db8:1:2::0"]
    for number in range(200):
        assert door.ask(token, f"192.0.2.{number}")
    assert len(door.noted) == signin_tokens._MOST_NOTED
    door.vault.wall.now += TOUCH_SECONDS
    assert door.ask(token, "2001:db8:1:2::77")
    assert door.noted[-1] == "2001:db8:1:2::77"
