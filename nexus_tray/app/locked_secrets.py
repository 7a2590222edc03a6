"""Secrets that are locked when the program starts: remote access stays off, and that is said.

SECURITY.md, Secrets: who starts with what he needs to check a visitor, or to give to OpenCode,
out of reach, lets nobody in from outside until it is opened. Owns the look (a thread of its own,
for a keyring may hang) and what became of it; what holds, a notice tells and the fleet obeys. It
is about the login: a keyring that is locked later takes nothing back.
"""

import logging
import threading
from collections.abc import Callable

import msgspec

from nexus_tray.app.fleet import GATEWAY, OPENCODE
from nexus_tray.core.driver import Restart
from nexus_tray.core.journal import Journal
from nexus_tray.core.supervisor import Supervisor
from nexus_tray.model import Hop, Problem, Reason, ServiceState, SessionState, Snapshot
from nexus_tray.store.secrets import SecretStore

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""Between two looks while they are locked. None of them opens a window."""

FIRST_SECONDS = 1.0
"""The start waits at most so long for the first look. A keyring answers in a tenth of that."""

STAYS_OFF = "Remote access stays off until it is open, and OpenCode runs without the stored keys."


class LockedSecrets:
    """`look`: why what is stored is out of reach (None: it is not); may wait for seconds. `tell`
    gets the notice for people, or None; `reapply` has holds looked at again; `opened` hears that
    they were locked and are not any more."""

    def __init__(
        self,
        look: Callable[[], Reason | None],
        tell: Callable[[Reason | None], None],
        reapply: Callable[[], None],
        opened: Callable[[], None],
        every: float = LOOK_SECONDS,
    ) -> None:
        self._look, self._tell, self._reapply, self._opened = look, tell, reapply, opened
        self._every = every
        self._held: Reason | None = _UNANSWERED
        self._in_time = True
        self._known = threading.Event()
        self._begun = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="locked secrets", daemon=True)
        self._thread.start()

    def await_first(self) -> None:
        """Before anything is started: wait a moment for the answer. Until there is one, it is as
        if they were locked."""
        self._in_time = self._known.wait(FIRST_SECONDS)

    def begin(self) -> None:
        """What there is to tell is told, from now on."""
        self._begun.set()

    def hold(self) -> Reason | None:
        """Why no tunnel may run now; None: one may."""
        return self._held

    def close(self) -> None:
        """Look no more. A look that hangs is left to itself: its thread ends with the program."""
        self._over.set()
        self._begun.set()
        self._thread.join(0.1)

    def _watch(self) -> None:
        found = self._look()
        self._held = _held(found)
        self._known.set()
        self._begun.wait()
        if found is not None:
            self._tell(self._held)
        if not self._in_time:
            self._reapply()
        while found is not None:
            if self._over.wait(self._every):
                return
            before, found = found, self._look()
            if found != before:
                self._held = _held(found)
                self._tell(self._held)
                self._reapply()
                if found is None:
                    self._opened()


def _held(why: Reason | None) -> Reason | None:
    """As the store of secrets says it, and what it means for who is outside."""
    return None if why is None else msgspec.structs.replace(why, meaning=STAYS_OFF)


def kept(
    secrets: SecretStore, supervisor: Supervisor, journal: Journal, reapply: Callable[[], None]
) -> LockedSecrets:
    """For this program: the notice stands at the gateway, and OpenCode gets its keys at last."""

    def opened() -> None:
        try:
            missed = bool(secrets.names())
        except Problem as problem:
            log.warning("%s", problem.reason)
            return
        if missed and _is_busy(journal.latest()):
            supervisor.note(BUSY, OPENCODE)
        elif missed:
            supervisor.post(OPENCODE, Restart())

    return LockedSecrets(
        secrets.out_of_reach, lambda reason: supervisor.set_notice(GATEWAY, reason), reapply, opened
    )


def _is_busy(snapshot: Snapshot) -> bool:
    """Whether a restart would break something off; not known is busy."""
    opencode = snapshot.service(OPENCODE)
    if opencode is None or opencode.state is not ServiceState.RUNNING:
        return False
    activity = snapshot.activity
    return activity is None or any(s.state is SessionState.WORKING for s in activity.sessions)


BUSY = (
    "The stored keys can be read again. OpenCode works, and gets them when it is next started: "
    "nexus-tray restart opencode"
)
_UNANSWERED = Reason(
    code="secrets-asked",
    hop=Hop.GATEWAY,
    what="The system's keyring was asked, and has not answered yet.",
    meaning="Until it is known whether it is open, remote access stays off.",
)
