"""One life of a cloudflared process: spawned, connected, watched, ended.

Owns the child, its secret and its door; the judgement is `cloudflared_watch`'s. Imports the
driver vocabulary, `process` and this room. Its work is done by short-lived threads (launch
and each probe) and by the child's own; `_lock` guards what they share. The promises of the
`Driver` protocol are kept here: one `Exited`, and one answer to each probe.
"""

import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nexus_tray.cloudflare import config_file
from nexus_tray.cloudflare.errors import diagnose
from nexus_tray.cloudflare.log_lines import LogEntry, read_line
from nexus_tray.core.driver import Cause, Exited, Failure, Observed, Probed, Report
from nexus_tray.model import Facts, Level, Problem
from nexus_tray.services import cloudflared_faults as faults
from nexus_tray.services.address_watch import AddressWatch
from nexus_tray.services.cloudflared_status import Reading, StatusPort
from nexus_tray.services.cloudflared_watch import Limits, Verdict, Watch, judge
from nexus_tray.services.environment import TOOL, child_environment
from nexus_tray.services.pipes import NOTICE
from nexus_tray.services.process import ChildProcess
from nexus_tray.services.public_visit import Front, Seen
from nexus_tray.services.transport import Transports
from nexus_tray.store import files

KEPT_LINES = 60
"""Lines of output that a diagnosis looks at: what is older is not why it ended now."""

MEMORY_STEP = 8 * 1024 * 1024
"""Memory is told in steps: a new figure every five seconds would be a new snapshot each."""

_STATUS_PORT = re.compile(r"Starting metrics server on 127\.0\.0\.1:(\d{1,5})/metrics\b.*")


@dataclass(frozen=True)
class Doors:
    """What a tunnel needs of the gateway; each may be called from any thread.

    `open_door(name, secret, holds_events)` admits what carries the secret as coming by
    this tunnel; `close_door(name)` ends that; `channel_proved(name)` tells whether a
    request with the present secret has arrived.
    """

    open_door: Callable[[str, str, bool], None]
    close_door: Callable[[str], None]
    channel_proved: Callable[[str], bool]


@dataclass(frozen=True)
class LabOptions:
    """A test facility: leads cloudflared to a Cloudflare of the tests' own.

    `environment` and `arguments` are added to what the child gets, `front` replaces the
    public front. Nothing else changes: the environment is scrubbed as always.
    """

    environment: Mapping[str, str]
    arguments: tuple[str, ...]
    front: Front


@dataclass(frozen=True)
class Plan:
    """What every run of one tunnel has in common; see `TunnelDriver`."""

    name: str
    transport: str
    program: Callable[[], Path]
    environment: Callable[[], Mapping[str, str]]
    service: Callable[[str], str]
    folder: Path
    doors: Doors
    addresses: AddressWatch
    transports: Transports
    on_log: Callable[[Level, str], None]
    limits: Limits = field(default_factory=Limits)
    lab: LabOptions | None = None
    now: Callable[[], float] = time.monotonic


class Run:
    """One run, begun at once. All methods return at once; any thread may call them."""

    def __init__(self, number: int, plan: Plan, report: Report) -> None:
        self._number = number
        self._plan = plan
        self._report = report
        self._lock = threading.RLock()
        self._entries: deque[LogEntry] = deque(maxlen=KEPT_LINES)
        self._network: str | None = None
        self._service = ""
        self._watch = Watch(plan.transport, may_fall_back=False)
        self._child: ChildProcess | None = None
        self._status: StatusPort | None = None
        self._failure: Failure | None = None
        self._checks_left = plan.limits.checks
        self._door_open = False
        self._stopping = False
        self.over = False
        _thread("start", self._launch)

    def probe(self) -> None:
        """Find out whether the tunnel is connected; answered from a thread."""
        _thread("probe", self._probe)

    def stop(self) -> None:
        """End it in order: what is in flight gets its grace."""
        self._stop(self._plan.limits.grace + 2.0)

    def kill(self) -> None:
        """End it at once."""
        self._stop(0.0)

    def _stop(self, grace: float) -> None:
        with self._lock:
            self._stopping = True
            child = self._child
        if child is not None:
            child.stop(grace)

    # starting

    def _launch(self) -> None:
        failure: Failure | None = Failure(Cause.CRASH, faults.unforeseen())
        try:
            failure = self._spawn(self._plan.program())
        except Problem as problem:
            failure = Failure(Cause.FATAL, problem.reason)
        finally:  # whatever is raised goes on to the thread's hook, but the run has an end
            if self._child is None:
                self._end(failure)

    def _spawn(self, program: Path) -> Failure | None:
        """Start the child, unless told to end meanwhile. The secret is new for each start."""
        plan = self._plan
        self._network = plan.transports.network()
        transport = plan.transports.choose(plan.transport, self._network)
        self._service = plan.service(transport)
        with self._lock:
            self._watch = Watch(transport, may_fall_back=plan.transport == "auto")
        config = self._write_config()
        secret = secrets.token_urlsafe(32)
        environment = self._environment(secret)
        extra = plan.lab.arguments if plan.lab else ()
        arguments = config_file.quick_arguments(
            config, transport, grace=plan.limits.grace, extra=extra
        )
        # not under the lock, for which the supervisor must never wait long
        self._door_open = True
        plan.doors.open_door(plan.name, secret, True)
        with self._lock:
            if self._stopping:
                return None
            try:
                self._child = ChildProcess(
                    [str(program), *arguments],
                    environment,
                    plan.folder,
                    on_line=self._line,
                    on_exit=self._exited,
                )
            except OSError as error:
                return faults.not_spawned(program, error)
        facts = Facts(pid=self._child.pid, transport=transport)
        self._report(Observed(self._number, facts))
        return None

    def _write_config(self) -> Path:
        folder = self._plan.folder
        files.ensure_private_dir(folder)
        path = folder / "cloudflared.json"
        files.write_atomic(path, config_file.configuration(self._service))
        return path

    def _environment(self, secret: str) -> dict[str, str]:
        """Nothing of the user's own cloudflared: no TUNNEL_* and another home (SECURITY 25)."""
        lab = self._plan.lab.environment if self._plan.lab else {}
        return child_environment(
            self._plan.environment(),
            # With HTTP_PROXY set, Go's client speaks to our socket as to a proxy: in absolute
            # targets, which the gateway refuses. The quick service is https (HTTPS_PROXY).
            [name for name in TOOL if name.lower() != "http_proxy"],
            additions={
                **lab,
                **config_file.tag_environment(secret),
                "HOME": str(self._plan.folder),
                # ours is the better check, and these wait for DNS; older versions know none
                "TUNNEL_NO_PRECHECKS": "true",
            },
        )

    # watching

    def _line(self, stream: str, text: str) -> None:
        """One line of output, from the child's thread."""
        if stream == NOTICE:
            self._plan.on_log(Level.WARNING, text)
            return
        entry = read_line(text)
        port = _STATUS_PORT.fullmatch(entry.text) if stream == "stderr" and not entry.bare else None
        with self._lock:
            self._entries.append(entry)
            if port is not None and self._status is None:
                self._status = StatusPort(int(port[1]), self._service)
        if entry.text:
            bare = Level.ERROR if stream == "stderr" else Level.INFO
            self._plan.on_log(entry.level or bare, entry.text)

    def _probe(self) -> None:
        verdict = Verdict(faults.unforeseen(), blame=True)
        try:
            verdict = self._check()
        finally:
            self._report(Probed(self._number, verdict.reason, blame=verdict.blame))
        if verdict.failure is not None:
            self._give_up(verdict.failure)

    def _check(self) -> Verdict:
        with self._lock:
            status, watch = self._status, self._watch
        reading = status.read() if status is not None else None
        with self._lock:
            entries = tuple(self._entries)
        watch, verdict = judge(
            watch,
            reading,
            entries,
            self._plan.limits,
            self._plan.now(),
            listening=status is not None,
            moved=watch.away_since is not None and self._moved(),
        )
        with self._lock:
            first, self._watch = not self._watch.ready_once, watch
        if verdict.reason is None and reading is not None:
            if first:
                self._plan.transports.worked(watch.transport, self._network)
            verdict = self._proved(reading) or self._reached(reading) or verdict
        if reading is not None:
            self._tell(reading)
        return verdict

    def _moved(self) -> bool:
        now = self._plan.transports.network()
        return now is not None and now != self._network

    def _proved(self, reading: Reading) -> Verdict | None:
        """Visit ourselves until the secret has arrived once; None: nothing speaks against it."""
        plan = self._plan
        if self._checks_left <= 0 or reading.hostname is None:
            return None
        if plan.doors.channel_proved(plan.name):
            self._checks_left = 0
            return None
        self._checks_left -= 1
        found = plan.addresses.first(self._number, reading.hostname)
        if found.seen is Seen.REFUSED and not plan.doors.channel_proved(plan.name):
            failure = Failure(Cause.FATAL, faults.no_tag())
            return Verdict(failure.reason, failure=failure)
        return None

    def _reached(self, reading: Reading) -> Verdict | None:
        """What visits of our own through the public address found; None: nothing against it."""
        names = (reading.hostname,) if reading.hostname is not None else ()
        outlook = self._plan.addresses.look(self._number, names)
        if outlook.facts != Facts():
            self._report(Observed(self._number, outlook.facts))
        if outlook.reason is None:
            return None
        failure = Failure(Cause.NETWORK, outlook.reason) if outlook.restart else None
        return Verdict(outlook.reason, failure=failure)

    def _tell(self, reading: Reading) -> None:
        """Report what was measured. Locations are stale while away, and so left out."""
        metrics, memory = reading.metrics, reading.metrics.memory_bytes
        address = f"https://{reading.hostname}" if reading.hostname else None
        facts = Facts(
            version=metrics.version,
            address=address if reading.connections else None,
            transport=self._watch.transport,
            connections=reading.connections,
            locations=metrics.locations if reading.connections else (),
            memory_bytes=memory // MEMORY_STEP * MEMORY_STEP if memory else None,
        )
        self._report(Observed(self._number, facts))

    # ending

    def _give_up(self, failure: Failure) -> None:
        with self._lock:
            if self._failure is None:
                self._failure = failure
            child = self._child
        if child is not None:
            child.stop(self._plan.limits.grace + 2.0)

    def _exited(self, code: int | None) -> None:
        """The child and all its descendants are gone; from the child's thread."""
        with self._lock:
            asked, failure, watch = self._stopping, self._failure, self._watch
            entries: Sequence[LogEntry] = tuple(self._entries)
        if watch.dialling_at is not None and not watch.ready_once and watch.may_fall_back:
            self._plan.transports.failed(watch.transport, self._network)
        if asked:
            self._end(None)
        else:
            self._end(failure or diagnose(-9 if code is None else code, entries))

    def _end(self, failure: Failure | None) -> None:
        with self._lock:
            if self.over:
                return
            self.over = True
            door_open, self._door_open = self._door_open, False
        try:
            if door_open:
                self._plan.doors.close_door(self._plan.name)
        finally:
            self._report(Exited(self._number, failure))


def _thread(what: str, work: Callable[[], None]) -> None:
    threading.Thread(target=work, name=f"cloudflared {what}", daemon=True).start()
