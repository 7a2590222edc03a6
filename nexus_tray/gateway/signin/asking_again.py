"""Asked once more: the password, and the code where one is asked for, of who is signed in already.

Owns that question at the gateway's own pages, and how often it may be answered wrongly: whoever
finds a device signed in, or takes its session, must not be able to let himself in for good
(SECURITY.md "Sessions"; ASVS 5.0 V7.5.1). `app.step_up` is the same for this computer's own front
ends. Imports the gateway's parts and the store. Runs on the gateway's loop.

Wrong answers count by session and in total, apart from those at the sign-in page, so that neither
can shut the other. The code is asked for too, for what is made here stands for both.
"""

from collections.abc import Callable
from typing import NoReturn

from nexus_tray.gateway.http import Principal
from nexus_tray.gateway.signin.lockout import Gate, Lockout
from nexus_tray.gateway.signin.passwords import Passwords
from nexus_tray.gateway.signin.second_factor import Judged, SecondFactor
from nexus_tray.gateway.signin.signing_in import NO_PASSWORD, Run
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store.accounts import Accounts
from nexus_tray.store.audit import Audit, AuditEvent
from nexus_tray.store.passkeys import Passkeys


class AskingAgain:
    """Asks. `run` does in a thread what waits for the disk; `monotonic` in seconds."""

    def __init__(
        self,
        accounts: Accounts,
        audit: Audit,
        passwords: Passwords,
        factor: SecondFactor,
        passkeys: Passkeys,
        run: Run,
        monotonic: Callable[[], float],
    ) -> None:
        self._accounts = accounts
        self._audit = audit
        self._passwords = passwords
        self._factor = factor
        self._passkeys = passkeys
        self._run = run
        self._monotonic = monotonic
        self._lockout = Lockout()

    async def asks_for_code(self) -> bool:
        """Whether the code is asked for too. Raises Problem: unreadable."""
        return await self._run(self._factor.is_on)

    async def require(self, who: Principal, address: str, password: str, code: str) -> str:
        """The id of the password, if both are right. Raises Problem: they are not, were wrong too
        often just now, or cannot be checked just now."""
        stored = self._accounts.password()
        if stored is None:
            raise Problem(NO_PASSWORD)
        began = self._monotonic()
        if self._lockout.begin(who.id, began) is not Gate.OPEN:
            raise Problem(TOO_OFTEN)
        factor = await self._run(self._factor.present)
        judged = None if factor is None else self._factor.judge(factor, code)
        if self._passwords.full:  # and nothing is waited for between this and the verification
            raise Problem(CROWDED)
        if not await self._passwords.verify(stored.hash, password):
            await self._failed(who, address, "wrong password")
        elif factor is not None and not await self._spent(judged):
            await self._failed(who, address, "right password, wrong code")
        self._lockout.succeeded(who.id, began)
        return stored.id

    async def _spent(self, judged: Judged | None) -> bool:
        if judged is None:
            return False
        return await self._run(lambda: self._passkeys.spent(judged.spend))

    async def _failed(self, who: Principal, address: str, told: str) -> NoReturn:
        event = AuditEvent.STEP_UP_FAILED
        await self._run(lambda: self._audit.record(event, who.name, address, told))
        raise Problem(WRONG)


WRONG = Reason(
    code="asked-again-wrong",
    hop=Hop.GATEWAY,
    what="That is not right. Nothing was changed.",
    meaning="The password or the code was not the right one. Each code works once.",
    cure="Try again.",
)
TOO_OFTEN = Reason(
    code="asked-again-locked",
    hop=Hop.GATEWAY,
    what="That was wrong too often just now. Nothing was changed.",
    meaning="Tries are slowed down, longer each time, at most a quarter of an hour.",
    cure="Wait a while, then try again.",
)
CROWDED = Reason(
    code="asked-again-crowded",
    hop=Hop.GATEWAY,
    what="Many sign-ins are being checked just now. Nothing was changed.",
    cure="Try again in a moment.",
)
