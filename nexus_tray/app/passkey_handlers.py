"""Passkeys, taken away: what a front end of this computer asks for.

They are added on the gateway's own page alone, for only a browser at the very host name can. Runs
on the caller's thread; `Accounts` is made for any thread.
"""

from collections.abc import Callable

from nexus_tray import commands
from nexus_tray.core.local_backend import Handler
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store.accounts import Accounts


class PasskeyHandlers:
    """The commands, carried out. `accounts` raises Problem while sign-in is not available."""

    def __init__(self, accounts: Callable[[], Accounts]) -> None:
        self._accounts = accounts

    def table(self) -> dict[type[commands.AnyCommand], Handler]:
        """Which handler is whose."""
        return {commands.RevokePasskey: self._revoke}

    def _revoke(self, command: commands.RevokePasskey) -> None:
        if not self._accounts().end_passkey(command.id, "owner", "local"):
            raise Problem(NO_SUCH_PASSKEY)


NO_SUCH_PASSKEY = Reason(
    code="no-such-passkey",
    hop=Hop.GATEWAY,
    what="There is no such passkey.",
    meaning="It may have been revoked meanwhile, or ended with a change of the password.",
    cure="See which there are: nexus-tray passkey list",
)
