"""API tokens in the database: for so many days, so many at most, and never stored readable."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.model import Problem
from nexus_tray.store.api_tokens import MOST
from tests.gateway.worlds import Vault, open_vault

DAY = 86400.0


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    made = open_vault(tmp_path)
    yield made
    made.close()


def test_a_token_is_found_by_itself_alone_and_is_over_in_its_time(vault: Vault) -> None:
    token = vault.tokens.make("laptop", "full", 30)
    row = vault.tokens.find(token)
    assert row is not None
    assert (row.name, row.scope, row.seen_at) == ("laptop", "full", None)
    assert vault.tokens.find(token[:-1]) is None
    assert vault.tokens.find(token.upper()) is None
    now = vault.wall()
    moments = {-1.0: False, 0.0: True, 30 * DAY - 1: True, 30 * DAY: False}
    assert {at: row.valid_at(now + at) for at in moments} == moments


def test_its_end_is_told_once_and_written_down(vault: Vault) -> None:
    ended: list[tuple[str, ...]] = []
    vault.tokens.listen(ended.append)
    short, _ = vault.tokens.make("short", "read", 1), vault.tokens.make("long", "full", 2)
    [long_row, short_row] = sorted(vault.tokens.all(), key=lambda row: row.name)
    vault.tokens.end_expired()
    assert ended == []
    vault.wall.now += DAY
    vault.tokens.end_expired()
    assert ended == [(short_row.id,)]
    assert vault.tokens.find(short) is None
    assert vault.tokens.revoke(long_row.id)
    assert not vault.tokens.revoke(long_row.id)
    assert ended == [(short_row.id,), (long_row.id,)]
    told = [(who, outcome) for event, who, _, outcome in vault.events() if event == "token-ended"]
    assert told == [("nexus-tray", "short: expired"), ("owner", "long: revoked")]


def test_use_is_noted_by_place_and_never_backwards(vault: Vault) -> None:
    vault.tokens.make("laptop", "full", 30)
    [row] = vault.tokens.all()
    now = vault.wall()
    for address, at in (("192.0.2.1", now + 5), ("192.0.2.1", now + 3), ("192.0.2.2", now + 9)):
        vault.tokens.note_use(row.id, address, at)
    vault.tokens.note_use("gone", "192.0.2.3", now)
    [row] = vault.tokens.all()
    assert (row.address, row.seen_at) == ("192.0.2.2", now + 9)
    told = [(where, why) for event, _, where, why in vault.events() if event == "token-used"]
    assert told == [
        ("192.0.2.1", "for the first time"),
        ("192.0.2.2", "before from 192.0.2.1"),
    ]


USES = {
    "a household's IPv6 address changes": ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", 1),
    "another household": ("2001:db8:1:2::1", "2001:db8:1:3::1", 2),
    "IPv4 written as IPv6": ("192.0.2.1", "::ffff:192.0.2.1", 1),
    "another IPv4": ("192.0.2.1", "192.0.2.2", 2),
    "the local door": ("local", "192.0.2.2", 2),
}


@pytest.mark.parametrize(("first", "then", "told"), USES.values(), ids=USES.keys())
def test_use_is_told_by_network(vault: Vault, first: str, then: str, told: int) -> None:
    vault.tokens.make("laptop", "full", 30)
    [row] = vault.tokens.all()
    for address in (first, then, then):
        vault.tokens.note_use(row.id, address, vault.wall())
    assert [event for event, *_ in vault.events()].count("token-used") == told
    [row] = vault.tokens.all()
    assert row.address == then


def test_there_are_so_many_at_most(vault: Vault) -> None:
    for number in range(MOST):
        vault.tokens.make(f"n{number}", "read", 1)
    with pytest.raises(Problem) as caught:
        vault.tokens.make("one more", "read", 1)
    assert caught.value.reason.code == "tokens-too-many"
    assert len(vault.tokens.all()) == MOST


def test_no_file_has_it(vault: Vault, tmp_path: Path) -> None:
    token = vault.tokens.make("laptop", "full", 30)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or token[3:].encode() not in path.read_bytes()
