"""API tokens, made and revoked: what a front end asks for.

Runs on the caller's thread; everything called here is made for any thread.
"""

from collections.abc import Callable

from nexus_tray import commands
from nexus_tray.app.pairing_handlers import plain
from nexus_tray.app.step_up import StepUp
from nexus_tray.core.local_backend import Handler
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store.api_tokens import ApiTokens


class ApiTokenHandlers:
    """The commands, carried out. `tokens` raises Problem while sign-in is not available."""

    def __init__(self, step_up: StepUp, tokens: Callable[[], ApiTokens]) -> None:
        self._step_up = step_up
        self._tokens = tokens

    def table(self) -> dict[type[commands.AnyCommand], Handler]:
        """Which handler is whose."""
        return {commands.CreateToken: self._create, commands.RevokeToken: self._revoke}

    def _create(self, command: commands.CreateToken) -> str:
        name = plain(command.name)
        password_id = self._step_up.require(command.current)
        return self._tokens().make(name, command.scope, command.days, password_id)

    def _revoke(self, command: commands.RevokeToken) -> None:
        if not self._tokens().revoke(command.id):
            raise Problem(NO_SUCH_TOKEN)


NO_SUCH_TOKEN = Reason(
    code="no-such-token",
    hop=Hop.GATEWAY,
    what="There is no such API token.",
    meaning="It may have been revoked, or have run out meanwhile.",
    cure="See which there are: nexus-tray token list",
)
