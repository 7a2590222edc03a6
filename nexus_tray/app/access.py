"""Who can come in, read from sign-in's tables for the front ends.

Owns the translation of rows into the report. Any thread.
"""

import logging

import msgspec

from nexus_tray.app.door import Vault
from nexus_tray.gateway.http import DoorKind
from nexus_tray.model import Problem
from nexus_tray.reports import (
    Access,
    AuditEntry,
    Device,
    PairingEntry,
    PasskeyEntry,
    TokenEntry,
)
from nexus_tray.store.accounts import SessionRow
from nexus_tray.store.api_tokens import TokenRow
from nexus_tray.store.audit import AuditRow
from nexus_tray.store.pairings import PairingRow
from nexus_tray.store.passkeys import PasskeyRow

log = logging.getLogger(__name__)

_DOORS = {str(DoorKind.LOCAL): "local", str(DoorKind.NETWORK): "network"}
SHOWN = 100
"""Rows of the trail that a page shows at once."""


def read(vault: Vault) -> Access:
    """How it stands now. Raises Problem when the database cannot be read."""
    if vault.usage is not None:
        try:
            vault.usage.save()
        except Problem as problem:  # who is in must be seen even on a full disk
            log.warning("What devices moved is not up to date: %s", problem.reason)
    return Access(
        password=vault.accounts.has_password(),
        second_factor=vault.second_factor.row() is not None,
        recovery_codes=vault.second_factor.codes_left(),
        devices=tuple(_device(row) for row in vault.accounts.sessions()),
        pairings=tuple(_pairing(row) for row in vault.pairings.open()),
        tokens=tuple(_token(row) for row in vault.tokens.all()),
        passkeys=tuple(_passkey(row) for row in vault.passkeys.all()),
        trail=tuple(_entry(row) for row in vault.audit.newest(SHOWN)),
    )


def _device(row: SessionRow) -> Device:
    return Device(
        id=row.id,
        name=row.name,
        address=row.address,
        door=_DOORS.get(row.door, "public"),
        host=row.host,
        signed_in_at=row.created_at,
        seen_at=row.seen_at,
        expires_at=row.expires_at,
        how=row.how,
        received=row.received,
        sent=row.sent,
        country=row.country or None,
    )


def _pairing(row: PairingRow) -> PairingEntry:
    return PairingEntry(**msgspec.structs.asdict(row))


def _token(row: TokenRow) -> TokenEntry:
    return TokenEntry(**msgspec.structs.asdict(row))


def _passkey(row: PasskeyRow) -> PasskeyEntry:
    return PasskeyEntry(
        id=row.id, name=row.name, host=row.host, made_at=row.made_at, used_at=row.used_at
    )


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        id=row.id, at=row.at, event=str(row.event), who=row.who, address=row.address,
        text=row.outcome,
    )  # fmt: skip
