"""The second factor from the front ends' side: set up, taken away, and a keyring that is locked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest

from nexus_tray import commands
from nexus_tray.app.second_factor_handlers import PENDING_SECONDS, SecondFactorHandlers
from nexus_tray.app.step_up import StepUp
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.paths import Paths
from nexus_tray.store.secrets import SecretStore
from tests.gateway.worlds import PASSWORD, Vault, open_vault

LOCKED = Problem(Reason(code="keyring-locked", hop=Hop.GATEWAY, what="The keyring is locked."))


class Keyring(SecretStore):
    """A store of secrets in memory, which can be locked."""

    def __init__(self, paths: Paths) -> None:
        super().__init__(paths)
        self.held: dict[str, str] = {}
        self.locked = False

    def set_sign_in_secret(self, factor_id: str, secret: str) -> None:
        self._look()
        self.held[factor_id] = secret

    def delete_sign_in_secret(self, factor_id: str) -> None:
        self._look()
        self.held.pop(factor_id, None)

    def _look(self) -> None:
        if self.locked:
            raise LOCKED


@dataclass
class Desk:
    """The handlers over a real database."""

    vault: Vault
    keyring: Keyring
    handlers: SecondFactorHandlers = field(init=False)

    def __post_init__(self) -> None:
        vault = self.vault
        step_up = StepUp(
            lambda: vault.accounts, lambda: vault.audit, lambda: vault.passwords, vault.monotonic
        )
        self.handlers = SecondFactorHandlers(
            step_up, lambda: vault.factor, self.keyring, "studio pc", vault.wall, vault.monotonic
        )

    def do(self, command: commands.AnyCommand) -> str:
        return str(self.handlers.table()[type(command)](command) or "")

    def begin(self) -> str:
        """The secret that the authenticator is shown."""
        uri = self.do(commands.BeginSecondFactor(current=PASSWORD))
        return parse_qs(urlsplit(uri).query)["secret"][0]

    def code(self, secret: str) -> str:
        return pyotp.TOTP(secret).at(int(self.vault.wall()))

    def set_up(self) -> list[str]:
        """The recovery codes."""
        return self.do(commands.ConfirmSecondFactor(code=self.code(self.begin()))).splitlines()

    def events(self) -> list[str]:
        return [row[0] for row in self.vault.events()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    vault = open_vault(tmp_path / "data")
    vault.accounts.set_password(PASSWORD)
    paths = Paths(*(tmp_path / name for name in ("config", "secrets", "run", "tools")))
    yield Desk(vault, Keyring(paths))
    vault.close()


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(Problem) as caught:
        act()
    return caught.value.reason.code


def test_the_link_names_the_program_and_the_computer(desk: Desk) -> None:
    uri = urlsplit(desk.do(commands.BeginSecondFactor(current=PASSWORD)))
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert unquote(uri.path) == "/Nexus Tray:studio pc"
    assert parse_qs(uri.query)["issuer"] == ["Nexus Tray"]
    assert desk.vault.factor.row() is None, "nothing is asked for before it is confirmed"


@pytest.mark.parametrize(
    "command",
    [commands.BeginSecondFactor, commands.RemoveSecondFactor, commands.RenewRecoveryCodes],
)
def test_the_password_is_asked_for_again(
    desk: Desk, command: Callable[..., commands.AnyCommand]
) -> None:
    desk.set_up()
    before = desk.vault.factor.row()
    assert refused(lambda: desk.do(command(current="wrong"))) == "step-up-wrong"
    assert (desk.vault.factor.row(), desk.vault.factor.codes_left()) == (before, 10)


def test_it_is_on_once_the_authenticator_was_seen_to_work(desk: Desk) -> None:
    secret = desk.begin()
    right = desk.code(secret)
    wrong = f"{(int(right) + 1) % 10**6:06}"
    assert refused(lambda: desk.do(commands.ConfirmSecondFactor(code=wrong))) == (
        "second-factor-wrong"
    )
    codes = desk.do(commands.ConfirmSecondFactor(code=f"{right[:3]} {right[3:]}")).splitlines()
    row = desk.vault.factor.row()
    assert row is not None
    assert desk.keyring.held == {row.id: secret}
    assert len(set(codes)) == desk.vault.factor.codes_left() == 10
    assert refused(lambda: desk.do(commands.ConfirmSecondFactor(code=right))) == (
        "second-factor-not-begun"
    )


def test_what_was_begun_is_forgotten_after_ten_minutes(desk: Desk) -> None:
    secret = desk.begin()
    desk.vault.monotonic.now += PENDING_SECONDS
    assert refused(lambda: desk.do(commands.ConfirmSecondFactor(code=desk.code(secret)))) == (
        "second-factor-not-begun"
    )
    assert desk.vault.factor.row() is None


def test_new_codes_void_the_old_ones(desk: Desk) -> None:
    old = desk.set_up()
    new = desk.do(commands.RenewRecoveryCodes(current=PASSWORD)).splitlines()
    assert not set(old) & set(new)
    with desk.vault.database.write() as connection:
        assert not desk.vault.factor.spending_code(old[0])(connection)
        assert desk.vault.factor.spending_code(new[0].upper())(connection)
    assert desk.vault.factor.codes_left() == 9


def test_there_are_no_codes_to_renew_while_it_is_off(desk: Desk) -> None:
    renew = commands.RenewRecoveryCodes(current=PASSWORD)
    assert refused(lambda: desk.do(renew)) == "second-factor-off"


def test_it_is_removed_with_its_secret_and_its_codes(desk: Desk) -> None:
    desk.set_up()
    desk.do(commands.RemoveSecondFactor(current=PASSWORD))
    assert desk.vault.factor.row() is None
    assert desk.vault.factor.codes_left() == 0
    assert desk.keyring.held == {}
    assert desk.events()[-2:] == ["second-factor-set", "second-factor-removed"]


def test_a_locked_keyring_does_not_keep_it_on(desk: Desk) -> None:
    desk.set_up()
    desk.keyring.locked = True
    desk.do(commands.RemoveSecondFactor(current=PASSWORD))
    assert desk.vault.factor.row() is None


def test_a_locked_keyring_turns_nothing_on(desk: Desk) -> None:
    secret = desk.begin()
    desk.keyring.locked = True
    confirm = commands.ConfirmSecondFactor(code=desk.code(secret))
    assert refused(lambda: desk.do(confirm)) == "keyring-locked"
    assert desk.vault.factor.row() is None


def test_an_old_secret_that_cannot_be_forgotten_costs_no_recovery_codes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.set_up()

    def fail(_: str) -> None:
        raise LOCKED

    monkeypatch.setattr(desk.keyring, "delete_sign_in_secret", fail)
    assert len(desk.set_up()) == desk.vault.factor.codes_left() == 10


def test_clearing_the_password_is_the_way_out(desk: Desk) -> None:
    desk.set_up()
    desk.vault.accounts.clear_password()
    assert desk.vault.factor.row() is None
    assert desk.vault.factor.codes_left() == 0
    assert desk.events()[-2:] == ["second-factor-removed", "password-cleared"]


def test_no_row_and_no_file_of_the_database_holds_a_secret(desk: Desk, tmp_path: Path) -> None:
    secret = desk.begin()
    code = desk.code(secret)
    codes = desk.do(commands.ConfirmSecondFactor(code=code)).splitlines()
    kept = b"".join(one.read_bytes() for one in (tmp_path / "data").iterdir() if one.is_file())
    for canary in (secret, *codes, *(one.replace("-", "").upper() for one in codes)):
        assert canary.encode() not in kept
        assert canary not in repr(desk.vault.events())
    assert code not in repr(desk.vault.events())
    assert secret not in repr(vars(desk.handlers))
