"""One attempt to sign in by password: gate, verification, session, audit, and its pace.

Owns the order of these and how long an answer takes. Imports the gateway's parts and the
store. Runs on the gateway's event loop; the disk is waited for in `run`'s threads.

Pace (SECURITY.md 10): a wrong password takes an Argon2id verification, a locked address
takes none. So no failure is answered before a moment that is computed on arrival from
what both have in common: a floor of half a second, or twice the slowest of the last
verifications where that is more, and a turn for each that waited already. Right
passwords are answered at once; they are told apart anyway.

The keyring, which has what codes are checked with, is asked after the gate only, by attempts
that are counted, once for all who wait for it and never for long (`FETCH_SECONDS`). While it
gives nothing, codes of the authenticator meet one answer, whatever the password and the gate.

Whoever has the password may not try codes from many addresses for long: three of a million are
good at any moment, so with a hundred tries an hour one would be found within months. Wrong ones
after the right password are slowed down for everybody together, as an address's are; recovery
codes, which cannot be guessed, and all other ways in stay open (ASVS 5.0 V6.3.1; NIST SP 800-63B
5.2.2).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from nexus_tray.gateway.http import Principal, Visitor
from nexus_tray.gateway.signin.lockout import Gate, Lockout
from nexus_tray.gateway.signin.passwords import Passwords
from nexus_tray.gateway.signin.second_factor import (
    NO_SECRET,
    Factor,
    Judged,
    SecondFactor,
    needs_secret,
)
from nexus_tray.gateway.signin.sessions import Sessions
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store.accounts import Accounts, Password, Spend
from nexus_tray.store.audit import Audit, AuditEvent
from nexus_tray.store.second_factor import FactorRow

FLOOR_SECONDS = 0.5
FETCH_SECONDS = 4.0
"""The keyring is waited for no longer than this; it answers within 2.5 s, said or not."""

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
WRONG_CODE = "right password, wrong code"
CODES_LOCKED = "right password, but too many wrong codes before"
EVERYBODY = "codes"
"""Wrong codes count as one address's, whoever sends them."""
CHANGED = "the password or the second factor was changed meanwhile"
UNCHECKED = "the code could not be checked: its secret cannot be read"


@dataclass(frozen=True, repr=False)
class _Tried:
    """One attempt that the gate let through."""

    visitor: Visitor
    stored: Password
    password: str
    name: str
    old: Principal | None
    began: float


class _Spending:
    """Whether it came to using the code up, and to what: a session is refused before it where the
    password is no longer the one that was verified."""

    def __init__(self, judged: Judged) -> None:
        self.refused = False
        self.spend: Spend = lambda connection: self._note(judged.spend(connection))

    def _note(self, good: bool) -> bool:
        self.refused = not good
        return good


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
        self._codes = Lockout(window=0.0)  # of one-time codes after the right password
        self._fetching: asyncio.Future[Factor] | None = None

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
        row = await self._run(self._factor.row)
        if self._passwords.full:
            return ComeBack()
        began = self._monotonic()
        answer_at = began + self._pace()
        gate = self._lockout.begin(visitor.address, began)
        unchecked = row is not None and needs_secret(code) and self._factor.lost(row)
        if gate is Gate.OPEN:
            known = await self._fetched(row, code)
            unchecked = known is not None and known.secret is None and needs_secret(code)
            if self._passwords.full:  # nothing is waited for between this and the verification
                return ComeBack()
            why = UNCHECKED
            if not unchecked:
                tried = _Tried(visitor, stored, password, name, old, began)
                answer = await self._verify(tried, known, code)
                if isinstance(answer, SignedIn):
                    return answer
                why = answer
            await self._failed(visitor.address, why)
        else:
            await self._turned_away(visitor.address, gate)
        await asyncio.sleep(max(0.0, answer_at - self._monotonic()))
        if unchecked:
            raise Problem(NO_SECRET)
        return Refused()

    async def _fetched(self, row: FactorRow | None, code: str) -> Factor | None:
        """The factor, with its secret where the code needs it and it can be had in time."""
        if row is None:
            return None
        known = self._factor.known(row) if needs_secret(code) else Factor(row.id, None)
        if known is None:
            if self._fetching is None or self._fetching.done():
                self._fetching = asyncio.ensure_future(self._run(lambda: self._factor.fetch(row)))
            fetching = self._fetching
            done, _ = await asyncio.wait((fetching,), timeout=FETCH_SECONDS)
            known = fetching.result() if done else None
        return known if known is not None and known.id == row.id else Factor(row.id, None)

    async def _verify(self, tried: "_Tried", factor: Factor | None, code: str) -> SignedIn | str:
        """Signed in, or why not, for the owner's trail."""
        judged = self._factor.without() if factor is None else self._factor.judge(factor, code)
        if not await self._passwords.verify(tried.stored.hash, tried.password):
            return WRONG
        if factor is None or not needs_secret(code):
            return WRONG_CODE if judged is None else await self._welcome(tried, judged)
        began = self._monotonic()
        if self._codes.begin(EVERYBODY, began) is not Gate.OPEN:
            return CODES_LOCKED
        if judged is None:
            return WRONG_CODE
        answer = await self._welcome(tried, judged)
        if isinstance(answer, SignedIn):
            self._codes.succeeded(EVERYBODY, began)
        return answer

    def _pace(self) -> float:
        slowest = self._passwords.slowest()
        return max(FLOOR_SECONDS, 2.0 * slowest) + self._passwords.waiting * slowest

    async def _welcome(self, tried: "_Tried", judged: Judged) -> SignedIn | str:
        """Signed in, or why the session was not stored: see `_Spending`."""
        stored, spending = tried.stored, _Spending(judged)
        set_cookie = await self._run(
            lambda: self._sessions.begin(
                tried.visitor,
                tried.name,
                password_id=stored.id,
                old=tried.old,
                how=judged.how,
                spend=spending.spend,
            )
        )
        if set_cookie is None:
            return WRONG_CODE if spending.refused and judged.how != "password" else CHANGED
        self._lockout.succeeded(tried.visitor.address, tried.began)
        if self._passwords.needs_rehash(stored.hash):
            hashed = await self._passwords.rehashed(tried.password)
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
