"""Passkeys taken away by a command: what they began ends, and one that is gone is said."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.app.passkey_handlers import PasskeyHandlers
from nexus_tray.commands import RevokePasskey
from nexus_tray.model import Problem
from nexus_tray.store.passkeys import MOST, NewPasskey
from tests.gateway.worlds import PASSWORD, Vault, open_vault, visitor

HOST = "code.example.com"


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    made = open_vault(tmp_path)
    made.accounts.set_password(PASSWORD)
    yield made
    made.close()


def add(vault: Vault, number: int) -> bool:
    """As somebody who is signed in."""
    password = vault.accounts.password()
    assert password is not None
    if not vault.accounts.sessions():
        vault.sessions.begin(visitor(host=HOST), "phone", password_id=password.id, old=None)
    [session] = [row for row in vault.accounts.sessions() if row.how == "password"]
    new = NewPasskey(bytes([number]) * 16, b"key", 0, HOST, f"key {number}")
    return vault.passkeys.add(
        new, "phone", "192.0.2.1", session_id=session.id, password_id=password.id
    )


def test_one_is_revoked_once_with_what_it_began(vault: Vault) -> None:
    assert add(vault, 1)
    assert add(vault, 2)
    one = next(row for row in vault.passkeys.all() if row.name == "key 1")
    begun = vault.sessions.begin(
        visitor(host=HOST), "its own", password_id=None, old=None, how="passkey",
        spend=vault.passkeys.using(one, 0), passkey=one.id,
    )  # fmt: skip
    assert begun
    revoke = PasskeyHandlers(lambda: vault.accounts).table()[RevokePasskey]
    revoke(RevokePasskey(id=one.id))
    assert [row.name for row in vault.passkeys.all()] == ["key 2"]
    assert [row.name for row in vault.accounts.sessions()] == ["phone"]
    with pytest.raises(Problem) as caught:
        revoke(RevokePasskey(id=one.id))
    assert caught.value.reason.code == "no-such-passkey"
    assert ("passkey-removed", "owner", "local", f"key 1: at {HOST}: revoked") in vault.events()


@pytest.mark.parametrize("ends", ["session", "password"])
def test_none_is_kept_for_who_has_ended_meanwhile(vault: Vault, ends: str) -> None:
    """Signed out, or the password another one, while the answer was checked."""
    password = vault.accounts.password()
    assert password is not None
    vault.sessions.begin(visitor(host=HOST), "phone", password_id=password.id, old=None)
    [session] = vault.accounts.sessions()
    stands = {"session_id": session.id, "password_id": password.id}
    new = NewPasskey(b"c" * 16, b"key", 0, HOST, "key")
    gone = {**stands, f"{ends}_id": "another"}
    assert not vault.passkeys.add(new, "phone", "192.0.2.1", **gone)
    assert vault.passkeys.all() == []
    assert vault.passkeys.add(new, "phone", "192.0.2.1", **stands)


def test_there_are_so_many_at_most(vault: Vault) -> None:
    for number in range(MOST):
        assert add(vault, number)
    with pytest.raises(Problem) as caught:
        add(vault, MOST)
    assert caught.value.reason.code == "passkeys-too-many"
    assert len(vault.passkeys.all()) == MOST


def test_the_owner_is_the_same_for_ever_and_random(vault: Vault, tmp_path: Path) -> None:
    handle = vault.passkeys.handle()
    assert len(handle) == 32
    vault.accounts.panic()
    vault.accounts.clear_password()
    assert vault.passkeys.handle() == handle
    other = open_vault(tmp_path / "other")
    assert other.passkeys.handle() != handle
    other.close()
