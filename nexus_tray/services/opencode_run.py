"""One life of an OpenCode process: spawned, proved ready, watched, ended.

Owns the child, its port and its password; imports the driver vocabulary, `process` and
this room. Its work is done by short-lived threads (launch, each probe, the stop) and by
the child's own; `_lock` guards what they share. The promises of the `Driver` protocol are
kept here: one `Exited`, and one answer to each probe.
"""

import base64
import re
import secrets
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus_tray.core.driver import Cause, Exited, Failure, Observed, Probed, Report
from nexus_tray.gateway.http import Upstream
from nexus_tray.model import Facts, Level, Problem
from nexus_tray.services import opencode_faults as faults
from nexus_tray.services import opencode_log
from nexus_tray.services.opencode_client import Unwell
from nexus_tray.services.opencode_probe import Limits, Prober, Verdict
from nexus_tray.services.ports import HOST, free_port, somebody_listens
from nexus_tray.services.process import ChildProcess

USER = "opencode"
PORT_TRIES = 3
TAIL_LINES = 12


@dataclass(frozen=True)
class Plan:
    """What every run of this service has in common; see `OpenCodeDriver`."""

    program: Callable[[], Path]
    directory: Callable[[], Path]
    environment: Callable[[], Mapping[str, str]]
    on_upstream: Callable[[Upstream | None], None]
    on_log: Callable[[Level, str], None]
    limits: Limits


class Run:
    """One run, begun at once. All methods return at once; any thread may call them."""

    def __init__(self, number: int, plan: Plan, report: Report) -> None:
        self._number = number
        self._plan = plan
        self._report = report
        self._lock = threading.RLock()
        # 256 bits, new for each start: only this process and OpenCode's own tree know it
        self._password = secrets.token_urlsafe(32)
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._port = 0
        self._port_tries = 0
        self._child: ChildProcess | None = None
        self._prober: Prober | None = None  # there once the child says that it listens
        self._failure: Failure | None = None
        self._stopping = False
        self._published = False
        self._deserted = False  # the child has ended: its port may be anybody's
        self.over = False
        _thread("start", self._launch)

    def probe(self) -> None:
        """Find out whether it is ready; answered from a thread."""
        _thread("probe", self._probe)

    def stop(self) -> None:
        """End it in order: dispose, TERM, grace, then the descendant set."""
        with self._lock:
            first, self._stopping = not self._stopping, True
            self._publish(None)
        if first:
            _thread("stop", self._stop)

    def kill(self) -> None:
        """End it at once."""
        with self._lock:
            self._stopping = True
            self._publish(None)
            child = self._child
        if child is not None:
            child.kill()

    # starting

    def _launch(self) -> None:
        failure: Failure | None = Failure(Cause.CRASH, faults.unforeseen())
        try:
            self._spawn(self._plan.program())
            failure = None
        except Problem as problem:
            failure = Failure(Cause.FATAL, problem.reason)
        finally:  # whatever is raised goes on to the thread's hook, but the run has an end
            if failure is not None:
                self._end(failure)

    def _spawn(self, program: Path) -> None:
        directory = self._plan.directory()
        if not directory.is_dir():
            self._end(Failure(Cause.FATAL, faults.no_directory(directory)))
            return
        environment = self._environment()
        note = opencode_log.oversize(opencode_log.file_of(environment))
        if note:
            self._plan.on_log(Level.WARNING, note)
        # not `--port 0`, which tries 4096 first
        self._port, self._port_tries = free_port(), self._port_tries + 1
        argv = [str(program), "serve", "--hostname", HOST, "--port", str(self._port)]
        with self._lock:
            if self._stopping:
                self._end(None)
                return
            self._deserted = False
            try:
                self._child = ChildProcess(
                    [*argv, "--print-logs"],
                    environment,
                    directory,
                    on_line=self._line,
                    on_exit=lambda code: self._exited(program, code),
                    on_ended=self._desert,
                )
            except OSError as error:
                self._end(faults.not_spawned(program, error))
                return
        facts = Facts(pid=self._child.pid, directory=str(directory))
        self._report(Observed(self._number, facts))

    def _environment(self) -> dict[str, str]:
        return {
            **self._plan.environment(),
            "OPENCODE_SERVER_USERNAME": USER,
            "OPENCODE_SERVER_PASSWORD": self._password,
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        }

    def _line(self, stream: str, text: str) -> None:
        """One line of output, from the child's thread."""
        text = text.replace(self._password, "•••")
        level, said = opencode_log.parse(stream, text)
        if self._prober is None and listens_at(text, self._port):
            self._listens()
        if level is Level.ERROR or stream == "stdout":
            self._tail.append(said)
        if said:
            self._plan.on_log(level, said)

    def _listens(self) -> None:
        """Only now is the port surely OpenCode's: our credential goes to nobody before."""
        with self._lock:
            if self._child is not None:
                self._prober = Prober(self._upstream(), self._child.pid, self._plan.limits)

    def _upstream(self) -> Upstream:
        credential = base64.b64encode(f"{USER}:{self._password}".encode())
        return Upstream(host=HOST, port=self._port, authorization=b"Basic " + credential)

    # watching

    def _probe(self) -> None:
        prober = None if self._deserted else self._prober
        verdict = Verdict(faults.unforeseen())
        try:
            verdict = prober.check() if prober is not None else self._not_up()
        finally:  # an answer is promised, whatever is raised
            self._judged(verdict)

    def _not_up(self) -> Verdict:
        """It does not listen yet; who is stopped is not starting, however long that may take."""
        child = self._child
        if child is not None and child.stopped:
            return Verdict(faults.stopped(), up=True)
        return Verdict(faults.starting())

    def _judged(self, verdict: Verdict) -> None:
        if verdict.facts is not None:
            self._report(Observed(self._number, verdict.facts))
        if verdict.reason is None:
            with self._lock:
                if not (self._stopping or self._deserted or self.over):
                    self._publish(self._upstream())
        self._report(Probed(self._number, verdict.reason, blame=verdict.blame, up=verdict.up))
        if verdict.failure is not None:
            with self._lock:
                self._failure = verdict.failure
                child = self._child
            if child is not None:
                child.stop(self._plan.limits.grace)

    def _publish(self, upstream: Upstream | None) -> None:
        """Tell where OpenCode listens, when that changed; under the lock, so in order."""
        if self._published != (upstream is not None):
            self._published = upstream is not None
            self._plan.on_upstream(upstream)

    # ending

    def _desert(self) -> None:
        """At once, not when its last descendant is gone: another user of the machine could
        listen on the port meanwhile, and be sent our credential and the visitors."""
        with self._lock:
            self._deserted = True
            self._publish(None)

    def _stop(self) -> None:
        with self._lock:
            child, prober = self._child, self._prober
        if child is None:
            return  # `_spawn` sees `_stopping` and ends the run
        limits = self._plan.limits
        if prober is None or prober.deaf:
            child.stop(limits.deaf_grace if prober is not None else limits.grace)
            return
        try:
            prober.dispose()
        except Unwell as unwell:
            self._plan.on_log(Level.WARNING, f"OpenCode's tools are ended by force. {unwell}")
        child.stop(limits.grace)

    def _exited(self, program: Path, code: int | None) -> None:
        """The child and all its descendants are gone; from the child's thread."""
        with self._lock:
            asked, failure = self._stopping, self._failure
            self._publish(None)
            listened, self._prober, self._child = self._prober is not None, None, None
        if asked:
            self._end(None)
        elif failure is not None:
            self._end(failure)
        elif not listened and somebody_listens(self._port):
            # a busy port ends it without a reason (FACTS.md): ours by proof of who is there
            if self._port_tries < PORT_TRIES:
                self._spawn(program)
            else:
                self._end(Failure(Cause.CRASH, faults.port_taken(self._port)))
        else:
            self._end(faults.ended(code, self._tail))

    def _end(self, failure: Failure | None) -> None:
        with self._lock:
            if self.over:
                return
            self.over = True
        self._report(Exited(self._number, failure))


def _thread(what: str, work: Callable[[], None]) -> None:
    threading.Thread(target=work, name=f"opencode {what}", daemon=True).start()


def listens_at(line: str, port: int) -> bool:
    """Whether the line says that the server listens: both generations print its URL."""
    return re.search(rf"listening on http://{re.escape(HOST)}:{port}\b", line) is not None
