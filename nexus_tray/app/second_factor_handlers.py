"""The second factor, set up and taken away: what a front end asks for.

Owns the secret between its first showing and the check that the authenticator has it: in memory,
for ten minutes. Runs on the caller's thread; the keyring may take seconds.
"""

import logging
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from nexus_tray import commands
from nexus_tray.app.step_up import StepUp
from nexus_tray.core.local_backend import Handler
from nexus_tray.gateway.signin.second_factor import step_of
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store.second_factor import SecondFactorStore
from nexus_tray.store.secrets import SecretStore

log = logging.getLogger(__name__)

PENDING_SECONDS = 600.0
ISSUER = "Nexus Tray"


@dataclass(frozen=True, repr=False)
class _Pending:
    """`password_id`: the password that it was begun with, which must still be the one."""

    secret: str
    begun_at: float
    password_id: str


class SecondFactorHandlers:
    """The commands, carried out. `store` raises Problem while sign-in is not available; `wall`
    in seconds since the epoch, `monotonic` in seconds; `machine` names the computer."""

    def __init__(
        self,
        step_up: StepUp,
        store: Callable[[], SecondFactorStore],
        keyring: SecretStore,
        machine: str,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._step_up = step_up
        self._store = store
        self._keyring = keyring
        self._machine = machine
        self._wall = wall
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._pending: _Pending | None = None

    def table(self) -> dict[type[commands.AnyCommand], Handler]:
        """Which handler is whose."""
        return {
            commands.BeginSecondFactor: self._begin,
            commands.ConfirmSecondFactor: self._confirm,
            commands.RemoveSecondFactor: self._remove,
            commands.RenewRecoveryCodes: self._renew,
        }

    def _begin(self, command: commands.BeginSecondFactor) -> str:
        import pyotp

        password_id = self._step_up.require(command.current)
        secret = pyotp.random_base32()
        with self._lock:
            self._pending = _Pending(secret, self._monotonic(), password_id)
        return pyotp.TOTP(secret).provisioning_uri(name=self._machine, issuer_name=ISSUER)

    def _confirm(self, command: commands.ConfirmSecondFactor) -> str:
        with self._lock:
            pending = self._pending
            if pending is None or self._monotonic() - pending.begun_at >= PENDING_SECONDS:
                self._pending = None
                raise Problem(NOT_BEGUN)
            digits = "".join(command.code.split())
            step = step_of(pending.secret, digits, self._wall())
            if step is None:
                raise Problem(WRONG_CODE)
            before = self._store().row()
            factor_id = secrets.token_hex(8)
            self._keyring.set_sign_in_secret(factor_id, pending.secret)
            codes = self._turned_on(factor_id, step, pending.password_id)
            self._pending = None
        if before is not None:
            self._forget(before.id)
        return "\n".join(codes)

    def _turned_on(self, factor_id: str, step: int, password_id: str) -> tuple[str, ...]:
        try:
            return self._store().turn_on(factor_id, step, password_id)
        except Problem:
            self._forget(factor_id)  # nothing rests on its secret
            raise

    def _remove(self, command: commands.RemoveSecondFactor) -> None:
        self._step_up.require(command.current)
        row = self._store().row()
        self._store().turn_off()  # first: it must work while the keyring is locked
        if row is not None:
            self._forget(row.id)

    def _forget(self, factor_id: str) -> None:
        """Let a secret go that nothing rests on any more. What was asked for is done by then, and
        its answer may be the recovery codes: a locked keyring must not take that back."""
        try:
            self._keyring.delete_sign_in_secret(factor_id)
        except Problem as problem:
            log.warning("an old second factor's secret was not removed: %s", problem.reason.what)

    def _renew(self, command: commands.RenewRecoveryCodes) -> str:
        self._step_up.require(command.current)
        codes = self._store().renew_codes()
        if codes is None:
            raise Problem(IS_OFF)
        return "\n".join(codes)


NOT_BEGUN = Reason(
    code="second-factor-not-begun",
    hop=Hop.GATEWAY,
    what="No second factor is being set up, or it took longer than ten minutes.",
    cure="Begin again: nexus-tray second-factor on",
)
WRONG_CODE = Reason(
    code="second-factor-wrong",
    hop=Hop.GATEWAY,
    what="That is not the code the authenticator should show now. Nothing was changed.",
    meaning="It may have changed meanwhile, or the clock of one of the two is wrong.",
    cure="Type the code that is shown now.",
)
IS_OFF = Reason(
    code="second-factor-off",
    hop=Hop.GATEWAY,
    what="There is no second factor, so there are no recovery codes.",
    cure="Turn it on: nexus-tray second-factor on",
)
