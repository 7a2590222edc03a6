"""What each signed-in device moved: one account per principal, one standing per connection.

Owns the counting per principal id, and which account a connection's bytes go to just now. Imports
the gateway's nouns. Runs on the gateway's event loop; per write and read it is one addition.
"""

from nexus_tray.gateway.http import Principal


class Account:
    """One principal's bytes since last taken. `holders`: connections that count in it."""

    __slots__ = ("holders", "id", "received", "sent")

    def __init__(self, principal_id: str) -> None:
        self.id = principal_id
        self.received = 0
        self.sent = 0
        self.holders = 0


class Accounts:
    """All accounts by principal id; only signed-in sessions and tokens have one."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}

    def of(self, principal_id: str) -> Account:
        """That principal's, from now on."""
        account = self._accounts.get(principal_id)
        if account is None:
            account = self._accounts[principal_id] = Account(principal_id)
        return account

    def take(self) -> dict[str, tuple[int, int]]:
        """Bytes (received, sent) since last taken, of whoever moved any. Whom no connection
        holds is forgotten."""
        taken: dict[str, tuple[int, int]] = {}
        for account in list(self._accounts.values()):
            if account.received or account.sent:
                taken[account.id] = (account.received, account.sent)
                account.received = account.sent = 0
            if not account.holders:
                del self._accounts[account.id]
        return taken

    def __len__(self) -> int:
        return len(self._accounts)


class Standing:
    """Whose a connection's bytes are: of nobody until the request is recognised, then his, those
    of the request that had come included, until its answer is over."""

    __slots__ = ("_accounts", "_nobody", "account")

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._nobody = Account("")
        self.account = self._nobody

    def claim(self, principal: Principal) -> None:
        """The request is this principal's. May be called again."""
        account = self._accounts.of(principal.id)
        if account is self.account:
            return
        self.release()
        account.holders += 1
        account.received += self._nobody.received
        self._nobody.received = 0
        self.account = account

    def release(self) -> None:
        """The request is over. May be called again."""
        if self.account is not self._nobody:
            self.account.holders -= 1
            self.account = self._nobody
            self._nobody.received = 0
