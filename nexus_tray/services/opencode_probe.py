"""Is this OpenCode ready, busy, or deaf? One check at a time, judged with its CPU time.

Owns the judgement. Imports the client, the versions and psutil. Runs in the probe threads
of `opencode_run`, never two at once.

SECURITY 18: a stopped or deaf server is restarted within 30 s, a busy one is left alone.
Both are silent; what tells them apart is that a busy one computes. A heartbeat would not
do: it comes from the same event loop, and in the known wedge it goes on. So silence with
CPU time is believed for `busy_patience`, silence without counts as a strike at once: three
strikes at 5 s and the pauses between them make at most 22 s (core.machine.Policy).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import psutil

from nexus_tray.core.driver import Cause, Failure
from nexus_tray.gateway.http import Upstream
from nexus_tray.model import Facts, Reason
from nexus_tray.services import opencode_faults as faults
from nexus_tray.services.opencode_client import OpenCodeClient, Trouble, Unwell
from nexus_tray.services.opencode_versions import Api, detect

MEMORY_STEP = 8 * 1024 * 1024
"""Memory is told in steps: a new figure every five seconds would be a new snapshot each."""


@dataclass(frozen=True)
class Limits:
    """Times in seconds. `busy_share`: CPU time over time, above which a silent server
    counts as busy (idle it uses 0.01, measured); `busy_patience`: how long that is believed.
    """

    probe: float = 5.0
    dispose: float = 2.0
    grace: float = 5.0
    deaf_grace: float = 1.0
    busy_share: float = 0.1
    busy_patience: float = 300.0


@dataclass(frozen=True)
class Verdict:
    """What a check found. No reason: ready. `failure`: no retry cures it, end the run. `up`: as in
    `Probed`."""

    reason: Reason | None = None
    blame: bool = True
    failure: Failure | None = None
    facts: Facts | None = None
    up: bool = False


class Prober:
    """Checks one server process, `pid`, listening at `upstream`."""

    def __init__(
        self,
        upstream: Upstream,
        pid: int,
        limits: Limits,
        cpu: Callable[[int], float | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.deaf = False
        self.api: Api | None = None
        self._client = OpenCodeClient(upstream)
        self._pid = pid
        self._limits = limits
        self._cpu = cpu or cpu_seconds
        self._clock = clock
        self._configured = False
        self._busy_since: float | None = None

    def check(self) -> Verdict:
        """Ask for health, and until it was once granted for the configuration too."""
        began, used = self._clock(), self._cpu(self._pid)
        try:
            detected = detect(self._client, self.api, self._limits.probe)
            latency = self._clock() - began
            self.api = detected.api
            if not self._configured and detected.api.config:
                self._client.get(detected.api.config, msgspec.Raw, timeout=self._limits.probe)
        except Unwell as unwell:
            return self._unwell(unwell, began, used)
        self._configured, self.deaf, self._busy_since = True, False, None
        facts = Facts(
            version=detected.version,
            latency_ms=round(latency * 1000, 1),
            memory_bytes=memory_bytes(self._pid),
        )
        return Verdict(facts=facts)

    def dispose(self) -> None:
        """Ask OpenCode to end its tools and sessions in order. Raises Unwell."""
        if self.api is not None and self.api.dispose:
            self._client.post(self.api.dispose, timeout=self._limits.dispose)

    def _unwell(self, unwell: Unwell, began: float, used: float | None) -> Verdict:
        self.deaf = unwell.trouble is Trouble.SILENT
        if unwell.trouble is Trouble.STATUS:
            self._busy_since = None
            return _refused(unwell)
        if not self.deaf or not self._computed(began, used):
            self._busy_since = None
            return Verdict(unwell.reason)
        if self._busy_since is None:
            self._busy_since = began
        if self._clock() - self._busy_since > self._limits.busy_patience:
            return Verdict(faults.wedged())
        return Verdict(faults.busy(), blame=False)

    def _computed(self, began: float, used: float | None) -> bool:
        """Whether the server used the CPU while we waited in vain."""
        now = self._cpu(self._pid)
        if used is None or now is None:
            return False
        return now - used >= self._limits.busy_share * (self._clock() - began)


def _refused(unwell: Unwell) -> Verdict:
    """It answers, but not with 2xx: a configuration file is at fault, or we do not know."""
    bad_config = faults.bad_config(unwell.body)
    if bad_config is not None:
        return Verdict(bad_config, failure=Failure(Cause.FATAL, bad_config))
    return Verdict(unwell.reason)


def cpu_seconds(pid: int) -> float | None:
    """CPU time the process has used so far, its children's not; None: it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)


def memory_bytes(pid: int) -> int | None:
    """Resident memory, in steps; None: it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss) // MEMORY_STEP * MEMORY_STEP
    except psutil.Error:
        return None
