"""Pairing links: used once, for ten minutes, at one host, and never stored readable."""

import threading
from pathlib import Path

import pytest

from nexus_tray.model import Problem
from nexus_tray.store.pairings import LASTS, MOST
from tests.gateway.worlds import HOST, PASSWORD, open_vault, visitor


def test_a_link_counts_at_its_host_for_ten_minutes(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    token = vault.pairings.make(HOST, "Phone")
    assert vault.pairings.find(token, HOST) is not None
    assert vault.pairings.find(token, "other.example.com") is None
    assert vault.pairings.find("x" * 43, HOST) is None
    vault.wall.now += LASTS
    assert vault.pairings.find(token, HOST) is None
    assert vault.pairings.open() == []
    vault.close()


def test_of_fifty_at_once_one_succeeds(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    row = vault.pairings.find(vault.pairings.make(HOST, ""), HOST)
    assert row is not None
    got: list[str | None] = []
    start = threading.Barrier(50)

    def redeem() -> None:
        start.wait()
        got.append(
            vault.sessions.begin(
                visitor(), "Phone", password_id=None, old=None, how="pairing",
                spend=vault.pairings.spending(row.id),
            )
        )  # fmt: skip

    threads = [threading.Thread(target=redeem) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(got) == 50
    assert sum(cookie is not None for cookie in got) == 1
    assert len(vault.accounts.sessions()) == 1
    vault.close()


def test_the_token_is_stored_nowhere(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    token = vault.pairings.make(HOST, "")
    assert all(token not in str(event) for event in vault.events())
    vault.close()
    assert all(token.encode() not in one.read_bytes() for one in tmp_path.glob("nexus.db*"))


def test_ten_are_open_at_most_and_a_password_or_panic_ends_them(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    for end in (
        vault.pairings.end_all,
        vault.accounts.panic,
        lambda: vault.accounts.set_password(PASSWORD),
    ):
        for _ in range(MOST):
            vault.pairings.make(HOST, "")
        with pytest.raises(Problem):
            vault.pairings.make(HOST, "")
        end()
        assert vault.pairings.open() == []
        assert "pairings-ended" in [event[0] for event in vault.events()]
    vault.close()


def test_a_new_place_is_told_and_the_first_is_none(tmp_path: Path) -> None:
    vault = open_vault(tmp_path)
    for address in ("192.0.2.1", "192.0.2.77", "198.51.100.4", "198.51.100.5"):
        assert vault.sessions.begin(visitor(address), "Phone", password_id=None, old=None)
    told = [outcome for event, _, _, outcome in vault.events() if event == "sign-in"]
    new = "signed in, from a new place: 198.51.100.0/24"
    assert told == ["signed in", "signed in", new, "signed in"]
    vault.close()
