"""Commands about API tokens: asked for the password, the token given once, names kept plain."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.app.api_token_handlers import ApiTokenHandlers
from nexus_tray.app.step_up import StepUp
from nexus_tray.commands import CreateToken, RevokeToken
from nexus_tray.model import Problem
from tests.gateway.worlds import PASSWORD, Vault, open_vault


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    made = open_vault(tmp_path)
    made.accounts.set_password(PASSWORD)
    yield made
    made.close()


def handlers(vault: Vault) -> ApiTokenHandlers:
    step_up = StepUp(
        lambda: vault.accounts, lambda: vault.audit, lambda: vault.passwords, vault.monotonic
    )
    return ApiTokenHandlers(step_up, lambda: vault.tokens)


def test_a_token_is_given_once_and_revoked(vault: Vault) -> None:
    table = handlers(vault).table()
    command = CreateToken(current=PASSWORD, name="lap\ntop", scope="read", days=7)
    token = table[CreateToken](command)
    assert token is not None
    row = vault.tokens.find(token)
    assert row is not None
    assert (row.scope, round((row.expires_at - row.made_at) / 86400)) == ("read", 7)
    assert row.name.isprintable()
    table[RevokeToken](RevokeToken(id=row.id))
    assert vault.tokens.all() == []
    with pytest.raises(Problem) as caught:
        table[RevokeToken](RevokeToken(id=row.id))
    assert caught.value.reason.code == "no-such-token"


@pytest.mark.parametrize(("current", "code"), [("", "step-up-needed"), ("no", "step-up-wrong")])
def test_none_without_the_password(vault: Vault, current: str, code: str) -> None:
    with pytest.raises(Problem) as caught:
        handlers(vault).table()[CreateToken](CreateToken(current=current, name="laptop"))
    assert caught.value.reason.code == code
    assert vault.tokens.all() == []
