"""The password, asked for once more before something makes a new way in or changes sign-in.

Owns that question, and how often it may be answered wrongly: whoever finds the dashboard open
must not be able to let himself in for good (SECURITY.md "Sessions"; ASVS 5.0 V7.5.1). Runs on
the caller's thread, for about 0.2 s of hashing. Its failures count apart from those outside, so
that neither can lock the other out.
"""

import threading
from collections.abc import Callable

from nexus_tray.gateway.signin.lockout import Gate, Lockout
from nexus_tray.gateway.signin.passwords import Passwords
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store.accounts import Accounts
from nexus_tray.store.audit import Audit, AuditEvent


class StepUp:
    """Asks. The three parts raise Problem while sign-in is not available; `monotonic` in
    seconds."""

    def __init__(
        self,
        accounts: Callable[[], Accounts],
        audit: Callable[[], Audit],
        passwords: Callable[[], Passwords],
        monotonic: Callable[[], float],
    ) -> None:
        self._accounts = accounts
        self._audit = audit
        self._passwords = passwords
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._lockout = Lockout()

    def require(self, current: str) -> str:
        """The password's id, if that is it. Raises Problem: it is not, it was not given, there is
        none, or it was wrong too often just now."""
        stored = self._accounts().password()
        if stored is None:
            raise Problem(NO_PASSWORD)
        if not current:
            raise Problem(NEEDED)
        with self._lock:  # one at a time, so that many at once cannot slip past the count
            began = self._monotonic()
            if self._lockout.begin("owner", began) is not Gate.OPEN:
                raise Problem(TOO_OFTEN)
            if self._passwords().matches(stored.hash, current):
                self._lockout.succeeded("owner", began)
                return stored.id
        self._audit().record(AuditEvent.STEP_UP_FAILED, "owner", "local", "wrong password")
        raise Problem(WRONG)

    def require_if_set(self, current: str) -> str | None:
        """As `require`, where there is a password."""
        return self.require(current) if self._accounts().has_password() else None


NO_PASSWORD = Reason(
    code="no-password",
    hop=Hop.GATEWAY,
    what="No password is set, so nobody can come in from outside.",
    cure="Choose one first: nexus-tray password set",
)
NEEDED = Reason(
    code="step-up-needed",
    hop=Hop.GATEWAY,
    what="This changes who can come in, so it asks for the password again.",
    cure="Give the password for remote access. If it is lost, remove it, which signs everybody "
    "out, and set a new one: nexus-tray password clear",
)
WRONG = Reason(
    code="step-up-wrong",
    hop=Hop.GATEWAY,
    what="That is not the password for remote access. Nothing was changed.",
    cure="Try again. If it is lost, remove it, which signs everybody out, and set a new one: "
    "nexus-tray password clear",
)
TOO_OFTEN = Reason(
    code="step-up-locked",
    hop=Hop.GATEWAY,
    what="The password was wrong too often just now.",
    meaning="Tries are slowed down, longer each time, at most a quarter of an hour.",
    cure="Wait a while, then try again.",
)
