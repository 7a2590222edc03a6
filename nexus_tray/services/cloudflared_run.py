"""One life of a cloudflared process: spawned, connected, watched, ended.

Owns the child, its secret and its door; the judgement is `cloudflared_watch`'s. Imports the
driver vocabulary, `process` and this room. Its work is done by short-lived threads (launch
and each probe) and by the child's own; `_lock` guards what they share. The promises of the
`Driver` protocol are kept here: one `Exited`, and one answer to each probe.
"""

import re
import secrets
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nexus_tray.cloudflare import config_file
from nexus_tray.cloudflare.errors import diagnose
from nexus_tray.cloudflare.log_lines import LogEntry, read_line
from nexus_tray.cloudflare.metrics import Metrics
from nexus_tray.core.driver import Cause, Exited, Failure, Observed, Probed, Report
from nexus_tray.model import Facts, Level, Problem
from nexus_tray.services import cloudflared_faults as faults
from nexus_tray.services import cloudflared_public as public
from nexus_tray.services.cloudflared_kinds import QUICK, UNTOLD
from nexus_tray.services.cloudflared_launch import Launch, Refusal, environment, prepare
from nexus_tray.services.cloudflared_plan import Plan
from nexus_tray.services.cloudflared_status import Reading, StatusPort
from nexus_tray.services.cloudflared_watch import DEAF, Verdict, Watch, ended, judge, strangers
from nexus_tray.services.pipes import NOTICE
from nexus_tray.services.process import ChildProcess
from nexus_tray.services.public_visit import Seen
from nexus_tray.services.transport import HTTP2, QUIC, same_network

KEPT_LINES = 60
"""Lines of output that a diagnosis looks at: what is older is not why it ended now."""

MEMORY_STEP = 8 * 1024 * 1024
"""Memory is told in steps: a new figure every five seconds would be a new snapshot each."""

_NEW_RULES = "Updated to new configuration"
"""cloudflared says so the moment that it leads requests by rules that Cloudflare sent."""

_STATUS_PORT = re.compile(r"Starting metrics server on 127\.0\.0\.1:(\d{1,5})/metrics\b.*")


class Run:
    """One run, begun at once. All methods return at once; any thread may call them."""

    def __init__(self, number: int, plan: Plan, report: Report) -> None:
        self._number = number
        self._plan = plan
        self._report = report
        self._lock = threading.RLock()
        self._entries: deque[LogEntry] = deque(maxlen=KEPT_LINES)
        self._network: str | None = None
        self._elsewhere_since: float | None = None
        self._service = ""
        self._watch = Watch(plan.transport, may_fall_back=False, kind=plan.identity.kind)
        self._asking_why = False
        self._child: ChildProcess | None = None
        self._status: StatusPort | None = None
        self._failure: Failure | None = None
        self._checks_left = plan.limits.checks
        self._door_open = False
        self._stopping = False
        self.over = False
        self.counters: Metrics | None = None  # cloudflared's own, as last read
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
        except Refusal as refusal:
            failure = refusal.failure
        finally:  # whatever is raised goes on to the thread's hook, but the run has an end
            if self._child is None:
                self._end(failure)

    def _spawn(self, program: Path) -> Failure | None:
        """Start the child, unless told to end meanwhile. The secret is new for each start."""
        plan = self._plan
        transport = self._choose()
        launch = self._prepare(transport)
        secret = secrets.token_urlsafe(32)
        tag = config_file.tag_environment(secret)
        env = self._environment({**launch.environment, **tag, **config_file.CONTROL})
        if plan.identity.kind != QUICK:
            bare = self._environment({})  # the check needs no secret
            failure = plan.checker.check(program, launch.config, bare)
            if failure is not None:
                return failure
        # not under the lock, for which the supervisor must never wait long
        self._door_open = True
        plan.doors.open_door(plan.name, secret, plan.identity.kind == QUICK)
        with self._lock:
            if self._stopping:
                return None
            try:
                self._child = ChildProcess(
                    [str(program), *launch.arguments],
                    env,
                    plan.folder,
                    on_line=self._line,
                    on_exit=self._exited,
                    feed=True,
                )
            except OSError as error:
                return faults.not_spawned(program, error)
        facts = Facts(pid=self._child.pid, transport=transport)
        self._report(Observed(self._number, facts))
        return None

    def _choose(self) -> str:
        """The transport. HTTP/2 once, to be told why Cloudflare refuses (FACTS.md)."""
        plan = self._plan
        self._network = plan.transports.network()
        self._asking_why = plan.untold.is_set() and plan.transport == "auto"
        plan.untold.clear()
        if self._asking_why:
            return HTTP2
        return plan.transports.choose(plan.transport, self._network)

    def _prepare(self, transport: str) -> Launch:
        plan, kind = self._plan, self._plan.identity.kind
        self._service = plan.service(transport)
        watch = Watch(
            transport,
            may_fall_back=plan.transport == "auto" and not self._asking_why,
            kind=kind,
            way=plan.way(transport),
        )
        with self._lock:
            self._watch = watch
        return prepare(
            plan.identity,
            plan.folder,
            self._service,
            transport,
            grace=plan.limits.grace,
            extra=plan.lab.arguments if plan.lab else (),
        )

    def _environment(self, additions: Mapping[str, str]) -> dict[str, str]:
        plan = self._plan
        lab = plan.lab.environment if plan.lab else {}
        return environment(plan.environment(), plan.folder, {**lab, **additions})

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
                way = None if self._watch.quick else self._watch.way
                self._status = StatusPort(int(port[1]), self._service, way)
        if entry.text.startswith(_NEW_RULES):
            _thread("rules", self._recheck)
        if entry.text:
            bare = Level.ERROR if stream == "stderr" else Level.INFO
            self._plan.on_log(entry.level or bare, entry.text)

    def _probe(self) -> None:
        verdict = Verdict(faults.unforeseen(), blame=True)
        try:
            verdict = self._check()
        finally:
            self._report(Probed(self._number, verdict.reason, blame=verdict.blame, up=verdict.up))
        if verdict.failure is not None:
            self._give_up(verdict.failure, at_once=verdict.at_once)

    def _recheck(self) -> None:
        """Cloudflare sent other rules: look now, not with the next probe, whether they may be."""
        with self._lock:
            status, watch = self._status, self._watch
        found = status.rules() if status is not None else None
        if found is None or watch.quick:
            return
        strange = strangers(watch, Reading(0, None, found[0], Metrics(), found[1]))
        if strange is not None:
            self._give_up(strange, at_once=True)

    def _check(self) -> Verdict:
        with self._lock:
            status, watch = self._status, self._watch
        reading = status.read() if status is not None else None
        with self._lock:
            entries, child = tuple(self._entries), self._child
        if reading is None and child is not None and child.stopped:
            return Verdict(DEAF, blame=True, up=True)  # nor is it starting, however long that takes
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
            # HTTP/2 that was wished, or used to be told why, says nothing of UDP here
            if first and (watch.transport == QUIC or watch.may_fall_back):
                self._plan.transports.worked(watch.transport, self._network)
            self._arrived()
            verdict = self._connected(watch, reading)
        if reading is not None:
            self._tell(reading)
        return verdict

    def _connected(self, watch: Watch, reading: Reading) -> Verdict:
        """It is; whether it is of use."""
        names = self._names(reading)
        if not watch.quick:
            routes = self._plan.routes()
            reason = public.amiss(reading.ingress, routes, watch.way, watch.transport)
            if reason is not None:
                return Verdict(reason, up=True)
        return self._proved(names) or self._reached(names, reading) or Verdict()

    def _names(self, reading: Reading) -> tuple[str, ...]:
        """The host names that should answer, the most useful first."""
        if self._watch.quick:
            return (reading.hostname,) if reading.hostname is not None else ()
        return public.answering(reading.ingress, tuple(self._plan.routes()))

    def _arrived(self) -> None:
        """It is connected: after some time the network we are on is the one it belongs to."""
        now, at = self._plan.transports.network(), self._plan.now()
        if now is None or same_network(now, self._network):
            self._elsewhere_since = None
        elif self._elsewhere_since is None:
            self._elsewhere_since = at
        elif at - self._elsewhere_since >= self._plan.limits.moved:
            self._network = now

    def _moved(self) -> bool:
        now = self._plan.transports.network()
        return now is not None and not same_network(now, self._network)

    def _proved(self, names: Sequence[str]) -> Verdict | None:
        """Visit ourselves until the secret has arrived once; None: nothing speaks against it."""
        plan = self._plan
        if self._checks_left <= 0 or not names:
            return None
        if plan.doors.channel_proved(plan.name):
            self._checks_left = 0
            return None
        self._checks_left -= 1
        found = plan.addresses.first(self._number, names[0])
        if found.seen is Seen.REFUSED and not plan.doors.channel_proved(plan.name):
            failure = Failure(Cause.FATAL, faults.no_tag())
            return Verdict(failure.reason, failure=failure)
        return None

    def _reached(self, names: tuple[str, ...], reading: Reading) -> Verdict | None:
        """What visits of our own through the public address found; None: nothing against it."""
        outlook = self._plan.addresses.look(
            self._number, names, lambda: self._reconnect(reading.connections)
        )
        if outlook.facts != Facts():
            self._report(Observed(self._number, outlook.facts))
        if outlook.reason is None:
            return None
        failure = Failure(Cause.NETWORK, outlook.reason) if outlook.restart else None
        return Verdict(outlook.reason, failure=failure, up=True)

    def _reconnect(self, connections: int) -> None:
        """Have cloudflared give up its connections, which seem dead, and make them anew."""
        with self._lock:
            child = self._child
        if child is not None and child.tell(config_file.reconnect(connections)):
            self._plan.on_log(Level.INFO, "Its connection seems dead: it is made anew.")

    def _tell(self, reading: Reading) -> None:
        """Report what was measured. Locations are stale while away, and so left out."""
        metrics, memory = reading.metrics, reading.metrics.memory_bytes
        self.counters = metrics
        names, quick = self._names(reading), self._watch.quick
        # empty, not unknown: the routes of a tunnel that runs may all be taken away
        address = f"https://{names[0]}" if names else None if quick else ""
        facts = Facts(
            version=metrics.version,
            address=address if reading.connections else None,
            hostnames=public.hostnames(reading.ingress),
            transport=self._watch.transport,
            connections=reading.connections,
            locations=metrics.locations if reading.connections else (),
            memory_bytes=memory // MEMORY_STEP * MEMORY_STEP if memory else None,
        )
        self._report(Observed(self._number, facts))

    # ending

    def _give_up(self, failure: Failure, *, at_once: bool = False) -> None:
        if failure == UNTOLD:
            self._plan.untold.set()
        with self._lock:
            if self._failure is None:
                self._failure = failure
            child = self._child
        if child is not None:
            child.stop(0.0 if at_once else self._plan.limits.grace + 2.0)

    def _exited(self, code: int | None) -> None:
        """The child and all its descendants are gone; from the child's thread."""
        with self._lock:
            asked, failure, watch = self._stopping, self._failure, self._watch
            entries: Sequence[LogEntry] = tuple(self._entries)
        dialled = watch.dialling_at is not None and not watch.ready_once
        if dialled and watch.may_fall_back and failure != UNTOLD:
            self._plan.transports.failed(watch.transport, self._network)
        if asked:
            self._end(None)
        else:
            found = diagnose(-9 if code is None else code, entries)
            self._end(failure or (ended(watch.kind, found) if found else None))

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
