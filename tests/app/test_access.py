"""The report of who can come in, over sign-in's real tables."""

import time

import pytest

from nexus_tray.app import access
from nexus_tray.app.door import Vault
from nexus_tray.gateway.http import DoorKind
from nexus_tray.gateway.signin.passwords import Passwords
from nexus_tray.paths import Paths
from nexus_tray.store.accounts import Accounts, SessionRow
from nexus_tray.store.api_tokens import ApiTokens
from nexus_tray.store.audit import Audit
from nexus_tray.store.database import open_database
from nexus_tray.store.files import ensure_private_dir
from nexus_tray.store.pairings import Pairings
from nexus_tray.store.passkeys import Passkeys
from nexus_tray.store.second_factor import SecondFactorStore


@pytest.mark.parametrize(("door", "said"), [(DoorKind.TUNNEL, "public"), (DoorKind.LOCAL, "local")])
def test_a_device_is_named_with_its_door(paths: Paths, door: DoorKind, said: str) -> None:
    ensure_private_dir(paths.data)
    database = open_database(paths.database, time.time())
    passwords = Passwords(memory_kib=64, passes=1, lanes=1)
    try:
        audit = Audit(database, time.time)
        accounts = Accounts(database, audit, passwords.make_hash, time.time)
        pairings = Pairings(database, audit, time.time)
        factor = SecondFactorStore(database, audit, time.time)
        tokens = ApiTokens(database, audit, time.time)
        passkeys = Passkeys(database, audit, time.time)
        vault = Vault(accounts, audit, passwords, pairings, factor, tokens, passkeys)
        assert access.read(vault).devices == ()
        accounts.add_session(
            SessionRow(
                id="s1", door=door, host="h", name="Safari on iPhone", address="203.0.113.7",
                created_at=1.0, seen_at=2.0, expires_at=3.0, how="ticket",
            ),
            "token", password_id=None, old=None,
        )  # fmt: skip
        report = access.read(vault)
    finally:
        passwords.close()
        database.close()
    [device] = report.devices
    assert (device.id, device.name, device.door) == ("s1", "Safari on iPhone", said)
    assert (device.signed_in_at, device.seen_at, device.expires_at) == (1.0, 2.0, 3.0)
    assert report.trail[0].event == "ticket-used"
    assert not report.password
