"""The password, asked for once more: what is refused and why, how often, and what is written."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.app.step_up import StepUp
from nexus_tray.gateway.signin.lockout import FREE_FAILURES
from nexus_tray.model import Problem
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
