"""What each signed-in device moved: one account per principal, one standing per connection.

Owns the counting per principal id, and which account a connection's bytes go to just now. Imports
the gateway's nouns. Runs on the gateway's event loop; per write and read it is one addition.
"""

from nexus_tray.gateway.http import Principal
from nexus_tray.gateway.limits.buckets import Bucket
from nexus_tray.gateway.limits.pacing import Lane, Pacers


class Account:
    """One principal's bytes since last taken, and what of his is limited. `holders`: connections
    that count in it; `streams`: those whose exchange or stream is open."""

    __slots__ = ("holders", "id", "paces", "received", "requests", "sent", "streams")

    def __init__(self, principal_id: str) -> None:
        self.id = principal_id
        self.received = 0
        self.sent = 0
        self.holders = 0
        self.streams = 0
        self.requests: Bucket | None = None
        self.paces = Pacers()


class Accounts:
    """All accounts by principal id; only signed-in sessions and tokens have one. `streams`: the
    open ones of all together."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self.streams = 0

    def of(self, principal_id: str) -> Account:
        """That principal's, from now on."""
        account = self._accounts.get(principal_id)
        if account is None:
            account = self._accounts[principal_id] = Account(principal_id)
        return account

    def take(self, now: float) -> dict[str, tuple[int, int]]:
        """Bytes (received, sent) since last taken, of whoever moved any. Whom no connection
        holds and no limit remembers is forgotten."""
        taken: dict[str, tuple[int, int]] = {}
        for account in list(self._accounts.values()):
            if account.received or account.sent:
                taken[account.id] = (account.received, account.sent)
                account.received = account.sent = 0
            requests = account.requests
            full = requests is None or requests.level(now) >= requests.burst
            if full and not account.holders:
                del self._accounts[account.id]
        return taken

    def all(self) -> list[Account]:
        """Everybody's."""
        return list(self._accounts.values())

    def forget_requests(self) -> None:
        """Another rate is in force: every device begins anew."""
        for account in self._accounts.values():
            account.requests = None

    def __len__(self) -> int:
        return len(self._accounts)


class Standing:
    """Whose a connection's bytes are: of nobody until the request is recognised, then his, those
    of the request that had come included, until its answer is over."""

    __slots__ = ("_accounts", "_early", "_nobody", "_streaming", "account", "inward", "outward")

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._nobody = Account("")
        self._streaming = False
        self._early = 0
        self.inward: Lane | None = None
        self.outward: Lane | None = None
        self.account = self._nobody

    def claim(self, principal: Principal) -> None:
        """The request is this principal's. May be called again."""
        account = self._accounts.of(principal.id)
        if account is self.account:
            return
        self.release()
        account.holders += 1
        self._early = self._nobody.received
        account.received += self._early
        self._nobody.received = 0
        self.account = account

    def stream(self) -> None:
        """An exchange or stream of his is open from now on, until `release`."""
        if not self._streaming:
            self._streaming = True
            self.account.streams += 1
            self._accounts.streams += 1

    def begin(self) -> None:
        """An exchange begins; what of it came before it was known whose it is, is paid too."""
        early, self._early = self._early, 0
        if self.inward is not None:
            self.inward.passed(early)
        if self.outward is not None:
            self.outward.begin()

    def end_stream(self) -> None:
        """It is over; what still comes of the request is his. May be called again."""
        if self._streaming:
            self._streaming = False
            self.account.streams -= 1
            self._accounts.streams -= 1
        self.pace(None, None)

    def pace(self, inward: Lane | None, outward: Lane | None) -> None:
        """Through these lanes from now on; None: no limit. Who waited in others goes on."""
        before = (self.inward, self.outward)
        self.inward, self.outward = inward, outward
        for lane in before:
            if lane is not None:
                lane.close()

    def release(self) -> None:
        """The request is over. May be called again."""
        self.end_stream()
        if self.account is not self._nobody:
            self.account.holders -= 1
            self.account = self._nobody
            self._nobody.received = 0
