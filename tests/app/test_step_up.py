"""The password, asked for once more: what is refused and why, how often, and what is written."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest

from nexus_tray import commands
from nexus_tray.app.api_token_handlers import ApiTokenHandlers
from nexus_tray.app.pairing_handlers import PairingHandlers
from nexus_tray.app.second_factor_handlers import SecondFactorHandlers
from nexus_tray.app.step_up import StepUp
from nexus_tray.gateway.signin.lockout import FREE_FAILURES
from nexus_tray.model import Problem
from nexus_tray.paths import Paths
from nexus_tray.store.secrets import SecretStore
from tests.api.doubles import first_snapshot
from tests.gateway.worlds import PASSWORD, Vault, open_vault

DAY = 86_400.0


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    vault = open_vault(tmp_path / "data")
    yield vault
    vault.close()


def asking(vault: Vault) -> StepUp:
    return StepUp(
        lambda: vault.accounts, lambda: vault.audit, lambda: vault.passwords, vault.monotonic
    )


def refusal(step_up: StepUp, current: str) -> str:
    """The code of the reason why not; empty: it was let through."""
    try:
        step_up.require(current)
    except Problem as problem:
        return problem.reason.code
    return ""


@pytest.mark.parametrize(
    ("is_set", "current", "code"),
    [
        (False, "", "no-password"),
        (False, PASSWORD, "no-password"),
        (True, "", "step-up-needed"),
        (True, "another one", "step-up-wrong"),
        (True, PASSWORD + " ", "step-up-wrong"),
        (True, PASSWORD, ""),
    ],
)
def test_what_is_let_through(vault: Vault, is_set: bool, current: str, code: str) -> None:
    if is_set:
        vault.accounts.set_password(PASSWORD)
    assert refusal(asking(vault), current) == code


def test_the_first_password_needs_none(vault: Vault) -> None:
    step_up = asking(vault)
    step_up.require_if_set("")
    vault.accounts.set_password(PASSWORD)
    with pytest.raises(Problem) as caught:
        step_up.require_if_set("")
    assert caught.value.reason.code == "step-up-needed"


def test_a_wrong_one_has_a_row_without_what_was_typed(vault: Vault) -> None:
    vault.accounts.set_password(PASSWORD)
    step_up = asking(vault)
    assert refusal(step_up, "typed by mistake") == "step-up-wrong"
    step_up.require(PASSWORD)
    rows = [row for row in vault.events() if row[0] == "step-up-failed"]
    assert rows == [("step-up-failed", "owner", "local", "wrong password")]


def test_too_many_wrong_ones_lock_out_the_right_one_until_time_has_passed(vault: Vault) -> None:
    vault.accounts.set_password(PASSWORD)
    step_up = asking(vault)
    for _ in range(FREE_FAILURES):
        assert refusal(step_up, "wrong") == "step-up-wrong"
    assert refusal(step_up, PASSWORD) == "step-up-locked"
    vault.monotonic.now += DAY
    assert refusal(step_up, PASSWORD) == ""


class Overtaken(StepUp):
    """The owner sets another password just after the present one was shown."""

    def __init__(self, vault: Vault) -> None:
        super().__init__(
            lambda: vault.accounts, lambda: vault.audit, lambda: vault.passwords, vault.monotonic
        )
        self._vault = vault

    def require(self, current: str) -> str:
        shown = super().require(current)
        self._vault.accounts.set_password("another password altogether")
        return shown


def test_what_a_password_allowed_does_not_outlive_it(vault: Vault, tmp_path: Path) -> None:
    """Whoever has the old one, with the command under way while it is changed, makes nothing."""
    vault.accounts.set_password(PASSWORD)
    keyring = Kept(Paths(*(tmp_path / name for name in ("config", "data", "run", "tools"))))
    step_up, snapshot = Overtaken(vault), first_snapshot()
    pairing = PairingHandlers(
        step_up, lambda: vault.accounts, lambda: vault.pairings, lambda: snapshot, lambda: ()
    )
    factor = SecondFactorHandlers(
        step_up, lambda: vault.factor, keyring, "pc", vault.wall, vault.monotonic
    )
    table = {
        **pairing.table(),
        **ApiTokenHandlers(step_up, lambda: vault.tokens).table(),
        **factor.table(),
    }

    def refused(command: commands.AnyCommand) -> str:
        with pytest.raises(Problem) as caught:
            table[type(command)](command)
        return caught.value.reason.code

    for command in (
        commands.NewPairing(current=PASSWORD),
        commands.CreateToken(current=PASSWORD, name="x"),
    ):
        vault.accounts.set_password(PASSWORD)
        assert refused(command) == "password-changed-meanwhile"
    vault.accounts.set_password(PASSWORD)
    begun = table[commands.BeginSecondFactor](commands.BeginSecondFactor(current=PASSWORD))
    secret = parse_qs(urlsplit(str(begun)).query)["secret"][0]
    confirm = commands.ConfirmSecondFactor(code=pyotp.TOTP(secret).at(int(vault.wall())))
    assert refused(confirm) == "password-changed-meanwhile"
    assert (vault.factor.row(), keyring.kept) == (None, {})
    assert (vault.pairings.open(), vault.tokens.all()) == ([], [])
    assert not {"pairing-made", "token-made"} & {row[0] for row in vault.events()}


def test_of_two_who_change_it_at_once_the_first_does(vault: Vault) -> None:
    vault.accounts.set_password(PASSWORD)
    step_up = asking(vault)
    shown = [step_up.require_if_set(PASSWORD) for _ in range(2)]
    vault.accounts.set_password("the owner's own new one", shown[0])
    with pytest.raises(Problem) as caught:
        vault.accounts.set_password("an intruder's new one", shown[1])
    assert caught.value.reason.code == "password-changed-meanwhile"
    assert refusal(step_up, "the owner's own new one") == ""


class Kept(SecretStore):
    """A keyring in memory."""

    def __init__(self, paths: Paths) -> None:
        super().__init__(paths)
        self.kept: dict[str, str] = {}

    def set_sign_in_secret(self, factor_id: str, secret: str) -> None:
        self.kept[factor_id] = secret

    def delete_sign_in_secret(self, factor_id: str) -> None:
        self.kept.pop(factor_id, None)
