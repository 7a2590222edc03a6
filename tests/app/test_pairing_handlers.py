"""Commands about pairing: asked for the password, to an address of ours, and names kept plain."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from nexus_tray.app.pairing_handlers import PairingHandlers
from nexus_tray.app.step_up import StepUp
from nexus_tray.app.usage_keeper import UsageKeeper
from nexus_tray.commands import EndPairings, NewPairing, RenameDevice
from nexus_tray.model import Hop, Problem, Reason
from tests.api.doubles import first_snapshot
from tests.gateway.worlds import HOST, PASSWORD, Vault, open_vault, visitor

OURS = f"https://{HOST}"


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    made = open_vault(tmp_path)
    made.accounts.set_password(PASSWORD)
    yield made
    made.close()


def handlers(
    vault: Vault, address: str | None = OURS, more: tuple[str, ...] = ()
) -> PairingHandlers:
    step_up = StepUp(
        lambda: vault.accounts, lambda: vault.audit, lambda: vault.passwords, vault.monotonic
    )
    shown = msgspec.structs.replace(first_snapshot(), address=address, services=())
    return PairingHandlers(
        step_up, lambda: vault.accounts, lambda: vault.pairings, lambda: shown, lambda: more
    )


def refused(made: PairingHandlers, command: NewPairing | RenameDevice) -> str:
    with pytest.raises(Problem) as caught:
        made.table()[type(command)](command)
    return caught.value.reason.code


def test_a_link_leads_to_an_address_of_ours_and_is_voided(vault: Vault) -> None:
    made = handlers(vault, more=("https://nas.lan:4443",))
    link = made.table()[NewPairing](NewPairing(current=PASSWORD))
    assert link is not None
    assert link.startswith(f"{OURS}/_nexus/pair#")
    assert vault.pairings.find(link.partition("#")[2], HOST) is not None
    other = NewPairing(current=PASSWORD, address="https://nas.lan:4443/")
    assert (made.table()[NewPairing](other) or "").startswith("https://nas.lan:4443/_nexus/pair#")
    assert vault.pairings.open()[0].host in ("nas.lan:4443", HOST)
    made.table()[EndPairings](EndPairings())
    assert vault.pairings.open() == []


def test_no_link_without_password_or_address(vault: Vault) -> None:
    assert refused(handlers(vault), NewPairing(current="wrong")) == "step-up-wrong"
    assert refused(handlers(vault), NewPairing(current="")) == "step-up-needed"
    assert refused(handlers(vault, None), NewPairing(current=PASSWORD)) == "pairing-nowhere"
    foreign = NewPairing(current=PASSWORD, address="https://evil.example")
    assert refused(handlers(vault), foreign) == "pairing-address"
    assert vault.pairings.open() == []


def test_a_device_is_renamed_and_its_bytes_are_kept(vault: Vault) -> None:
    vault.sessions.begin(visitor(), "Phone", password_id=None, old=None)
    [device] = vault.accounts.sessions()
    made = handlers(vault)
    made.table()[RenameDevice](RenameDevice(id=device.id, name="  Ada's\n phone "))
    assert vault.accounts.sessions()[0].name == "Ada's phone"
    assert "device-renamed" in [event[0] for event in vault.events()]
    assert refused(made, RenameDevice(id=device.id, name=" ")) == "device-name"
    assert refused(made, RenameDevice(id="nobody", name="x")) == "no-such-device"


def test_what_could_not_be_stored_is_stored_later(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.sessions.begin(visitor(), "Phone", password_id=None, old=None)
    key = vault.accounts.sessions()[0].id
    keeper = UsageKeeper(lambda: {key: (3, 5)}, vault.accounts)

    def full(_: object) -> None:
        raise Problem(Reason(code="full", hop=Hop.GATEWAY, what="The disk is full."))

    with monkeypatch.context() as broken:
        broken.setattr(vault.accounts, "add_usage", full)
        with pytest.raises(Problem):
            keeper.save()
    keeper.save()
    row = vault.accounts.sessions()[0]
    assert (row.received, row.sent) == (6, 10)
