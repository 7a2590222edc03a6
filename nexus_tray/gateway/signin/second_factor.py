"""One-time codes, judged: TOTP of an authenticator (RFC 6238), or a recovery code.

Owns which code is right at which time, and when the keyring is asked for what codes are checked
with: once for a factor, and after a failure not for a while, for strangers cause it (a locked
keyring may show its owner a window each time, and each question takes seconds). Nothing of what is
stored. Imports the store's second factor; pyotp is imported when a code is first judged. Any
thread; `fetch` and `present` may wait for the keyring, so not on the gateway's loop.
"""

import hmac
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store.accounts import Spend
from nexus_tray.store.second_factor import FactorRow, SecondFactorStore

RETRY_SECONDS = 10.0
"""After a keyring that gave nothing, it is asked again no earlier than this."""
STEP = 30
"""Seconds that a code is shown; one step earlier and later is taken too (RFC 6238, 5.2)."""
_TOTP = re.compile(r"[0-9]{6}")  # of ASCII alone: `\d` takes digits that cannot be compared


@dataclass(frozen=True)
class Judged:
    """A code that may be right: `how` a session would have begun, and what uses the code up."""

    how: str
    spend: Spend


@dataclass(frozen=True, repr=False)
class Factor:
    """The second factor of one attempt: with its secret, fetched before the password is judged,
    so that no answer's time tells of that. `secret` None: it cannot be had."""

    id: str
    secret: str | None


class SecondFactor:
    """What sign-in asks. `secret` is the authenticator's by the factor's id; it raises Problem
    while the keyring cannot be read. `wall` in seconds since the epoch, `monotonic` in seconds."""

    def __init__(
        self,
        store: SecondFactorStore,
        secret: Callable[[str], str | None],
        wall: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._secret = secret
        self._wall = wall
        self._monotonic = monotonic
        self._asking = threading.Lock()
        self._known: Factor | None = None
        self._lost: tuple[str, float] | None = None

    def row(self) -> FactorRow | None:
        """The factor as stored, or None: it is off. Never asks the keyring. Raises Problem when
        the store cannot be read."""
        row = self._store.row()
        if row is None:
            self._known = self._lost = None
        return row

    def is_on(self) -> bool:
        """Whether codes are asked for. Never asks the keyring: strangers cause this at will.
        Raises Problem when the store cannot be read."""
        return self._store.row() is not None

    def known(self, row: FactorRow) -> Factor | None:
        """The factor as far as it can be told without the keyring, which gave its secret before
        or gave nothing just now; None: the keyring is to be asked. Fast."""
        known, lost = self._known, self._lost
        if known is not None and known.id == row.id:
            return known
        recently = lost is not None and self._monotonic() - lost[1] < RETRY_SECONDS
        return Factor(row.id, None) if recently and self.lost(row) else None

    def lost(self, row: FactorRow) -> bool:
        """The keyring gave nothing when it was last asked for this factor's secret."""
        return self._lost is not None and self._lost[0] == row.id

    def fetch(self, row: FactorRow) -> Factor:
        """The factor, with its secret if the keyring gives it; one caller asks at a time."""
        with self._asking:
            found = self.known(row)
            if found is not None:
                return found
            try:
                secret = self._secret(row.id)
            except Problem:
                secret = None
            if secret is None:
                self._lost = (row.id, self._monotonic())
                return Factor(row.id, None)
            self._known, self._lost = Factor(row.id, secret), None
            return self._known

    def present(self) -> Factor | None:
        """The factor, or None: it is off. For who was counted before. Raises Problem when the
        store cannot be read."""
        row = self.row()
        return None if row is None else self.fetch(row)

    def without(self) -> Judged:
        """The password alone is enough; if codes are asked for by the time the session is
        stored, it is not."""
        return Judged("password", self._store.spending_nothing())

    def judge(self, factor: Factor, code: str) -> Judged | None:
        """The code, if it may be right. Raises Problem for a code of the authenticator while
        its secret cannot be had: whatever the password was."""
        digits = _digits(code)
        if not _TOTP.fullmatch(digits):
            return Judged("recovery", self._store.spending_code(code))
        if factor.secret is None:
            raise Problem(NO_SECRET)
        step = step_of(factor.secret, digits, self._wall())
        return None if step is None else Judged("code", self._store.spending_step(factor.id, step))


def needs_secret(code: str) -> bool:
    """It is written as the authenticator's codes are; recovery codes need no secret."""
    return _TOTP.fullmatch(_digits(code)) is not None


def _digits(code: str) -> str:
    return "".join(code.split()).replace("-", "")


def step_of(secret: str, digits: str, now: float) -> int | None:
    """The time step whose code this is, the latest of those that are taken now, or None."""
    import pyotp

    if not _TOTP.fullmatch(digits):
        return None

    totp = pyotp.TOTP(secret)
    present = int(now) // STEP
    found = None
    for step in (present - 1, present, present + 1):  # all of them: time must not tell which
        if hmac.compare_digest(totp.generate_otp(step), digits):
            found = step
    return found


NO_SECRET = Reason(
    code="second-factor-locked",
    hop=Hop.GATEWAY,
    what="Codes of the authenticator cannot be checked just now.",
    meaning="The computer’s keyring, which keeps what they are checked with, is locked.",
    cure="Sign in with a recovery code, or unlock the keyring on the computer.",
)
