"""Who may come in, changed: devices signed out, access paused and resumed, all of it ended.

Owns the order of a panic: what is open is cut first, then what could open again is taken
away, and no step is left out because one before it failed. Runs on the caller's thread;
everything called here is made for any thread.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from nexus_tray import commands
from nexus_tray.app.handlers import Settle
from nexus_tray.app.pause import PauseKeeper
from nexus_tray.core.local_backend import Handler
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store.accounts import Accounts
from nexus_tray.store.audit import Audit, AuditEvent

log = logging.getLogger(__name__)

OWNER, HERE = "owner", "local"


@dataclass(frozen=True)
class Ways:
    """What access is made of. `accounts` and `audit` raise Problem while sign-in is not
    available; `cut` ends what came through these tunnels, and admits nothing more through
    them; `void_dashboards` ends every page of the dashboard."""

    accounts: Callable[[], Accounts]
    audit: Callable[[], Audit]
    settings: Settle
    pause: PauseKeeper
    cut: Callable[[Iterable[str]], None]
    void_dashboards: Callable[[], None]


class AccessHandlers:
    """The commands about access, carried out."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways

    def table(self) -> dict[type[commands.AnyCommand], Handler]:
        """Which handler is whose."""
        return {
            commands.EndSession: self._end_session,
            commands.EndAllSessions: self._end_all_sessions,
            commands.Pause: self._pause,
            commands.Resume: self._resume,
            commands.Panic: lambda _: Panic(self._ways).carry_out(),
        }

    def note_resumed(self, who: str, why: str) -> None:
        """Write into the trail that a pause ended. A trail that cannot be written does not
        keep access closed; the log says so."""
        self._note(AuditEvent.ACCESS_RESUMED, who, why)

    def close_unused(self, minutes: int) -> None:
        """Close as a pause does, for nobody has asked for anything for so long. Raises Problem
        when it holds now, but not for the next start."""
        shut, told = False, ""
        try:
            pause = self._ways.pause.close_unused(minutes)
            shut, told = pause is not None, pause.reason.what if pause else ""
        except Problem as problem:
            shut, told = True, problem.reason.what
            raise
        finally:
            if shut:
                self._ways.cut(_tunnels(self._ways.settings))
                self._note(AuditEvent.IDLE_CLOSED, "nexus-tray", told)

    def _end_session(self, command: commands.EndSession) -> None:
        accounts = self._ways.accounts()
        if all(row.id != command.id for row in accounts.sessions()):
            raise Problem(NO_SUCH_DEVICE)
        accounts.end_session(command.id, OWNER, HERE)

    def _end_all_sessions(self, _: commands.EndAllSessions) -> None:
        self._ways.accounts().end_all_sessions()

    def _pause(self, command: commands.Pause) -> str:
        try:
            pause = self._ways.pause.begin(command.until_at)
        finally:
            if self._ways.pause.holds:  # kept for the next start or not
                self._ways.cut(_tunnels(self._ways.settings))
        self._note(AuditEvent.ACCESS_PAUSED, OWNER, pause.reason.what)
        return pause.reason.what

    def _resume(self, _: commands.Resume) -> str:
        if not self._ways.pause.end():
            return "Remote access was not paused."
        self.note_resumed(OWNER, "resumed")
        return "Remote access is no longer paused."

    def _note(self, event: AuditEvent, who: str, outcome: str) -> None:
        try:
            self._ways.audit().record(event, who, HERE, outcome)
        except Problem as problem:
            log.warning("The trail lacks a row: %s", problem.reason)


class Panic:
    """One panic: what was done and what was not, in words."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self._done: list[str] = []
        self._undone: list[str] = []
        self._tunnels = _tunnels(ways.settings)
        now = ways.settings.read().settings
        self._back = [t.name for t in now.tunnels if t.enabled]
        self._network = now.network.enabled

    def carry_out(self) -> str:
        """Every step. Raises Problem when one failed, with all that was done none the less."""
        self._step(self._cut)
        self._step(self._sign_out)
        self._step(self._void_dashboards)
        if self._step(self._stop_tunnels):
            self._step(self._end_pause)
        done = " ".join(self._done)
        if self._undone:
            raise Problem(_incomplete(" ".join(self._undone), done))
        return f"{done} {self._way_back()}"

    def _step(self, step: Callable[[], str]) -> bool:
        try:
            told = step()
        except Problem as problem:
            self._undone.append(str(problem.reason))
            return False
        except Exception as error:
            # whatever it is: the steps that follow close other ways in
            log.exception("a step of the panic failed")
            self._undone.append(f"Unexpected error: {error!r}.")
            return False
        if told:
            self._done.append(told)
        return True

    def _cut(self) -> str:
        self._ways.cut(self._tunnels)
        return "Everything that was open from outside is cut."

    def _sign_out(self) -> str:
        ended = self._ways.accounts().panic()
        few = {0: "Nobody was signed in", 1: "1 device is signed out"}
        told = few.get(ended, f"{ended} devices are signed out")
        return f"{told}; one-time links, passkeys, pairing links and API tokens are void."

    def _void_dashboards(self) -> str:
        self._ways.void_dashboards()
        return "Open dashboards have ended."

    def _stop_tunnels(self) -> str:
        tunnels = [msgspec.to_builtins(t) for t in self._ways.settings.read().settings.tunnels]
        for tunnel in tunnels:
            tunnel["enabled"] = False
        try:
            self._ways.settings.update({"tunnels": tunnels, "network": {"enabled": False}})
        except Problem:
            with contextlib.suppress(Problem):  # it holds now, whether or not it is kept
                self._ways.pause.begin(None)
            raise
        door = " So is the door for the local network." if self._network else ""
        return f"The tunnels are stopped, now and after the next start.{door}"

    def _end_pause(self) -> str:
        self._ways.pause.end()
        return ""

    def _way_back(self) -> str:
        names = self._back or list(self._tunnels)
        if not names and self._network:
            return (
                "OpenCode goes on working here. To come back, switch the door for the local "
                "network on again: nexus-tray dashboard – then sign in again."
            )
        if not names:
            return "There is no tunnel; OpenCode goes on working here."
        return (
            "OpenCode goes on working here. To come back, start the tunnel again: "
            f"nexus-tray start {' '.join(names)} – then sign in again."
        )


def _tunnels(settings: Settle) -> tuple[str, ...]:
    return tuple(tunnel.name for tunnel in settings.read().settings.tunnels)


NO_SUCH_DEVICE = Reason(
    code="no-such-device",
    hop=Hop.DEVICE,
    what="No such device is signed in.",
    meaning="It may have signed out meanwhile.",
    cure="See who is: nexus-tray devices",
)


def _incomplete(undone: str, done: str) -> Reason:
    return Reason(
        code="panic-incomplete",
        hop=Hop.GATEWAY,
        what=f"Not all access could be ended. {undone}",
        meaning=f"This was done: {done}" if done else "Nothing could be done.",
        cure="End the program, which closes every way in: nexus-tray quit",
    )
