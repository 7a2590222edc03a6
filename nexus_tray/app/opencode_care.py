"""What looks after OpenCode besides its driver: its sessions are followed and remembered, and it
is started anew where it holds more memory than a person allows it and nobody needs it.

Owns that second watch and its thread, and what both are put together of; what is decided is
`services.memory_cap`'s. `set_upstream` and `close` may be called from any thread.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from nexus_tray.core.driver import Input, Restart
from nexus_tray.gateway.http import Upstream
from nexus_tray.model import Activity, Reason, Service, ServiceKind, ServiceState, Snapshot
from nexus_tray.paths import Paths
from nexus_tray.services import memory_cap
from nexus_tray.services.activity import ActivityWatch
from nexus_tray.services.memory_cap import MEGABYTE, Look, State, Times, Verdict
from nexus_tray.services.opencode_client import OpenCodeClient, Unwell
from nexus_tray.services.opencode_versions import V1
from nexus_tray.settings import Settings
from nexus_tray.store.unfinished import UnfinishedFile

log = logging.getLogger(__name__)

LOOK_EVERY = 5.0
"""Seconds: as often as OpenCode's memory is measured (core.machine.Policy.probe_running)."""
SAID_FOR = 3600.0
"""Seconds for which it is shown that OpenCode was started anew."""
MOST_FOLDERS = 50


class Hands(Protocol):
    """What this does to the services; the supervisor's part of it."""

    def post(self, name: str, item: Input) -> None:
        """Give a service one input."""

    def set_activity(self, activity: Activity | None) -> None:
        """What OpenCode does now."""

    def set_notice(self, name: str, notice: Reason | None) -> None:
        """What is worth knowing of a service though it runs."""

    def note(self, text: str, service: str = "", reason: Reason | None = None) -> None:
        """Write a sentence into the journal."""


class OpenCodeCare:
    """Both watches, begun at once. `settings` answers those that count now."""

    def __init__(
        self,
        paths: Paths,
        hands: Hands,
        latest: Callable[[], Snapshot],
        settings: Callable[[], Settings],
        times: Times | None = None,
        every: float = LOOK_EVERY,
    ) -> None:
        file = UnfinishedFile(paths.unfinished_file)
        self.activity = ActivityWatch(hands.set_activity, unfinished=file.recall(), keep=file.keep)
        cap = lambda: settings().opencode.memory_megabytes * MEGABYTE  # noqa: E731
        self._memory = MemoryWatch(hands, latest, cap, times or Times(), every)

    def set_upstream(self, upstream: Upstream | None) -> None:
        """OpenCode answers there from now on; None: it is down."""
        self.activity.set_upstream(upstream)
        self._memory.upstream = upstream

    def close(self) -> None:
        """End both threads."""
        self._memory.close()
        self.activity.close()


class MemoryWatch:
    """Looks now and then, and acts. One thread. `cap`: bytes (0: any)."""

    def __init__(
        self,
        hands: Hands,
        latest: Callable[[], Snapshot],
        cap: Callable[[], int],
        times: Times,
        every: float,
    ) -> None:
        self.upstream: Upstream | None = None
        self._hands = hands
        self._latest = latest
        self._cap = cap
        self._times = times
        self._every = every
        self._state = State()
        self._said: tuple[Reason, float] | None = None  # what was done, until when it is shown
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="opencode memory", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            try:
                self._look(time.monotonic())
            except Exception:  # a watch that dies unseen is worse than one that errs
                log.exception("OpenCode's memory could not be judged")

    def _look(self, now: float) -> None:
        snapshot = self._latest()
        service = next((s for s in snapshot.services if s.kind is ServiceKind.OPENCODE), None)
        if service is None:
            return
        cap = self._cap()
        seen = self._seen(service, cap, snapshot.activity)
        self._state, verdict = memory_cap.decide(self._state, seen, now, self._times)
        held = seen.memory or 0
        if verdict is Verdict.RECYCLE and self._terminals(snapshot.activity):
            self._state, verdict = memory_cap.disturbed(self._state), Verdict.WAITS
        if verdict is Verdict.RECYCLE:
            self._recycle(service.name, memory_cap.recycled(held, cap), now)
        elif verdict is Verdict.WAITS:
            self._hands.set_notice(service.name, memory_cap.waits(held, cap))
        elif verdict is Verdict.TOO_SMALL:
            self._hands.set_notice(service.name, memory_cap.too_small(held, cap))
        else:
            past = self._said is None or now >= self._said[1]
            self._hands.set_notice(service.name, None if past or not self._said else self._said[0])

    def _seen(self, service: Service, cap: int, activity: Activity | None) -> Look:
        """One that does not answer for a moment is the same process, and not to be disturbed."""
        runs = service.state is ServiceState.RUNNING
        busy = memory_cap.busy(activity) if runs else None
        return Look(service.facts.pid, service.facts.memory_bytes, cap, busy)

    def _recycle(self, name: str, said: Reason, now: float) -> None:
        self._said = (said, now + SAID_FOR)
        self._hands.note(said.what, name, said)
        self._hands.set_notice(name, said)
        self._hands.post(name, Restart())

    def _terminals(self, activity: Activity | None) -> bool:
        """Whether a terminal runs in any folder that OpenCode knows sessions of. Where that cannot
        be learnt, it counts as one."""
        upstream = self.upstream
        if upstream is None or activity is None:
            return True
        client = OpenCodeClient(upstream)
        folders = dict.fromkeys(session.directory for session in activity.sessions)
        with contextlib.suppress(Unwell):  # it ends, or is not well: nothing is done now
            return any(
                terminal.status != "exited"
                for folder in ["", *list(folders)[:MOST_FOLDERS]]
                for terminal in client.get(V1.terminals, list[Terminal], directory=folder)
            )
        return True


class Terminal(msgspec.Struct, frozen=True):
    """One of OpenCode's terminals; `running` or `exited` (1.18.33)."""

    status: str = "running"
