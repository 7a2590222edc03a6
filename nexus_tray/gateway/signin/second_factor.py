"""One-time codes, judged: TOTP of an authenticator (RFC 6238), or a recovery code.

Owns which code is right at which time, and nothing of what is stored. Imports the store's second
factor; pyotp is imported when a code is first judged. Any thread; `secret` may wait for the
keyring, so not on the gateway's loop.
"""

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass

from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store.accounts import Spend
from nexus_tray.store.second_factor import SecondFactorStore

STEP = 30
"""Seconds that a code is shown; one step earlier and later is taken too (RFC 6238, 5.2)."""
_TOTP = re.compile(r"\d{6}")


@dataclass(frozen=True)
class Judged:
    """A code that may be right: `how` a session would have begun, and what uses the code up."""

    how: str
    spend: Spend


@dataclass(frozen=True)
class Factor:
    """The second factor of one attempt: with its secret, fetched before anything is judged, so
    that no answer's time tells whether it was needed. `secret` None: it cannot be had."""

    id: str
    secret: str | None


class SecondFactor:
    """What sign-in asks. `secret` is the authenticator's by the factor's id; it raises Problem
    while the keyring cannot be read. `wall` in seconds since the epoch."""

    def __init__(
        self,
        store: SecondFactorStore,
        secret: Callable[[str], str | None],
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._secret = secret
        self._wall = wall
        self._known: tuple[str, str] | None = None

    def is_on(self) -> bool:
        """Whether codes are asked for. Never asks the keyring: strangers cause this at will.
        Raises Problem when the store cannot be read."""
        return self._store.row() is not None

    def present(self) -> Factor | None:
        """The factor, or None: it is off. Raises Problem when the store cannot be read."""
        row = self._store.row()
        if row is None:
            self._known = None
            return None
        if self._known is None or self._known[0] != row.id:
            self._known = None
            try:
                secret = self._secret(row.id)
            except Problem:
                return Factor(row.id, None)
            if secret is None:
                return Factor(row.id, None)
            self._known = (row.id, secret)
        return Factor(row.id, self._known[1])

    def judge(self, factor: Factor, code: str) -> Judged | None:
        """The code, if it may be right. Raises Problem for a code of the authenticator while
        its secret cannot be had: whatever the password was."""
        digits = "".join(code.split()).replace("-", "")
        if not _TOTP.fullmatch(digits):
            return Judged("recovery", self._store.spending_code(code))
        if factor.secret is None:
            raise Problem(NO_SECRET)
        step = step_of(factor.secret, digits, self._wall())
        return None if step is None else Judged("code", self._store.spending_step(factor.id, step))


def step_of(secret: str, digits: str, now: float) -> int | None:
    """The time step whose code this is, the latest of those that are taken now, or None."""
    import pyotp

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
