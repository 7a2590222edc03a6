"""One attempt to sign in by password: gate, verification, session, audit, and its pace.

Owns the order of these and how long an answer takes. Imports the gateway's parts and the
store. Runs on the gateway's event loop; the disk is waited for in `run`'s threads.

Pace (SECURITY.md 10): a wrong password takes an Argon2id verification, a locked address
takes none. So no failure is answered before a moment that is computed on arrival from
what both have in common: a floor of half a second, or twice the slowest of the last
verifications where that is more, and a turn for each that waited already. Right
passwords are answered at once; they are told apart anyway.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from nexus_tray.gateway.http import Principal, Visitor
from nexus_tray.gateway.signin.lockout import Gate, Lockout
from nexus_tray.gateway.signin.passwords import Passwords
from nexus_tray.gateway.signin.second_factor import Judged, SecondFactor
from nexus_tray.gateway.signin.sessions import Sessions
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store.accounts import Accounts, Password
from nexus_tray.store.audit import Audit, AuditEvent

FLOOR_SECONDS = 0.5

T = TypeVar("T")

NO_PASSWORD = Reason(
    code="no-password",
    hop=Hop.GATEWAY,
    what="No password is set, so nobody can come in from outside.",
    cure="On the computer, run: nexus-tray password set",
)
CLOCK_UNCERTAIN = Reason(
    code="clock-uncertain",
    hop=Hop.GATEWAY,
    what="The computer’s clock is wrong: earlier than the last sign-in, or far from Cloudflare’s.",
    meaning="Nobody can say then which sessions are over, so nobody comes in from outside.",
    cure="Set its clock. If it was ahead before and is right now, set the password again.",
)


class Run(Protocol):
    """Calls a function that may wait, in a thread."""

    def __call__(self, function: Callable[[], T], /) -> Awaitable[T]:
        """Its result."""


@dataclass(frozen=True)
class SignedIn:
    """The password was right: send this Set-Cookie value."""

    set_cookie: str


@dataclass(frozen=True)
class Refused:
    """Wrong, locked or paused: which, is not for the visitor."""


@dataclass(frozen=True)
class ComeBack:
    """Too many verifications wait already; this attempt counts as none."""


Answer = SignedIn | Refused | ComeBack

WRONG = "wrong password"
PASSWORD_ALONE = Judged("password", lambda _: True)
"""What is judged of the code where none is asked for."""


class SignIn:
    """Sign-in by password at the remote doors. `monotonic` in seconds."""

    def __init__(
        self,
        accounts: Accounts,
        audit: Audit,
        passwords: Passwords,
        sessions: Sessions,
        factor: SecondFactor,
        run: Run,
        monotonic: Callable[[], float],
        lockout: Lockout | None = None,
    ) -> None:
        self._accounts = accounts
        self._audit = audit
        self._passwords = passwords
        self._sessions = sessions
        self._factor = factor
        self._run = run
        self._monotonic = monotonic
        self._lockout = lockout or Lockout()

    async def asks_for_code(self) -> bool:
        """Whether the second factor is on. Raises Problem: unreadable."""
        return await self._run(self._factor.is_on)

    def closed(self) -> Reason | None:
        """Why nobody may come in from outside at all, or None. Raises Problem: unreadable."""
        if self._accounts.password() is None:
            return NO_PASSWORD
        return CLOCK_UNCERTAIN if self._sessions.clock_uncertain() else None

    async def attempt(
        self, visitor: Visitor, password: str, code: str, name: str, old: Principal | None
    ) -> Answer:
        """Try a password, and the one-time code where the second factor is on; `name` is the
        browser's, `old` its present session.

        Raises Problem when the store cannot be read or written, remote access is closed, or the
        code cannot be checked just now (the same whatever the password).
        """
        reason = self.closed()
        stored = self._accounts.password()
        if reason is not None or stored is None:
            raise Problem(reason or NO_PASSWORD)
        factor = await self._run(self._factor.present)
        if self._passwords.full:  # and nothing is waited for between this and the verification
            return ComeBack()
        judged = PASSWORD_ALONE if factor is None else self._factor.judge(factor, code)
        began = self._monotonic()
        answer_at = began + self._pace()
        gate = self._lockout.begin(visitor.address, began)
        if gate is Gate.OPEN:
            right = await self._passwords.verify(stored.hash, password)
            if right and judged is not None:
                answer = await self._welcome(visitor, stored, password, judged, name, old, began)
                if answer is not None:
                    return answer
            await self._failed(visitor.address, "right password, wrong code" if right else WRONG)
        else:
            await self._turned_away(visitor.address, gate)
        await asyncio.sleep(max(0.0, answer_at - self._monotonic()))
        return Refused()

    def _pace(self) -> float:
        slowest = self._passwords.slowest()
        return max(FLOOR_SECONDS, 2.0 * slowest) + self._passwords.waiting * slowest

    async def _welcome(
        self,
        visitor: Visitor,
        stored: Password,
        password: str,
        judged: Judged,
        name: str,
        old: Principal | None,
        began: float,
    ) -> SignedIn | None:
        """None: the password was changed while this one was verified, or the code was used."""
        set_cookie = await self._run(
            lambda: self._sessions.begin(
                visitor,
                name,
                password_id=stored.id,
                old=old,
                how=judged.how,
                spend=judged.spend,
            )
        )
        if set_cookie is None:
            return None
        self._lockout.succeeded(visitor.address, began)
        if self._passwords.needs_rehash(stored.hash):
            hashed = await self._passwords.rehashed(password)
            await self._run(lambda: self._accounts.rehash(stored.id, hashed))
        return SignedIn(set_cookie)

    async def _failed(self, address: str, why: str) -> None:
        now = self._monotonic()
        locked, paused = self._lockout.locked_for(address, now), self._lockout.paused_for(now)

        def write() -> None:
            record = self._audit.record
            record(AuditEvent.SIGN_IN_FAILED, "stranger", address, why)
            if locked:
                record(AuditEvent.LOCKED, "stranger", address, f"for {locked:.0f} s")
            if paused:
                told = f"password sign-in for {paused:.0f} s: too many failures in all"
                record(AuditEvent.PAUSED, "stranger", address, told)

        await self._run(write)

    async def _turned_away(self, address: str, gate: Gate) -> None:
        now = self._monotonic()
        event = AuditEvent.SIGN_IN_REFUSED
        await self._run(lambda: self._audit.crowd(event, address, gate.value, now))
