"""A Backend of real parts for the tests of front ends: the product's own LocalBackend and
journal, with logs and settings kept in memory and handlers that write down what came.
"""

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from nexus_tray.commands import (
    AnyCommand,
    Command,
    OpenDashboard,
    OpenDoor,
    RestartService,
    StartService,
    StopService,
)
from nexus_tray.core.journal import Journal
from nexus_tray.core.local_backend import LocalBackend, LogReader, Reports, SettingsStore
from nexus_tray.model import (
    Desired,
    Hop,
    HopState,
    Level,
    LogLine,
    LogPage,
    LogQuery,
    OpenCodeSession,
    PathHop,
    Problem,
    Reason,
    Service,
    ServiceKind,
    ServiceState,
    SessionState,
    Snapshot,
)
from nexus_tray.paths import Paths
from nexus_tray.reports import (
    Access,
    AuditEntry,
    AuditPage,
    AuditQuery,
    Bundle,
    BundleFile,
    CertificateReport,
    Check,
    CheckState,
    CloudflaredCounters,
    Device,
    Examination,
    Figures,
    Importable,
    Measured,
    Message,
    NetworkDoor,
    PairingEntry,
    PasskeyEntry,
    RouteReport,
    RouteState,
    Setup,
    TokenEntry,
    TokenFacts,
    ToolState,
    Traffic,
    TrafficPoint,
    TrafficQuery,
    Transcript,
    TunnelReport,
    Tunnels,
    Zone,
)
from nexus_tray.settings import Configuration, Settings
from nexus_tray.store.config import ConfigStore
from nexus_tray.store.files import ensure_private_dir
from nexus_tray.store.logs import LogStore

L = TypeVar("L", bound="LogReader")

BOOT = "boot-1"
AT = 1_790_000_000.0

REFUSED = Reason(
    code="no-such-service",
    hop=Hop.GATEWAY,
    what="There is no such service.",
    cure="See nexus-tray status.",
)


class MemoryLogs:
    """LogReader over a list."""

    def __init__(self) -> None:
        self.asked = 0
        self._lines: list[LogLine] = []
        self._changed = threading.Condition()

    def add(
        self, text: str, source: str = "opencode", level: Level = Level.INFO, at: float = AT
    ) -> LogLine:
        with self._changed:
            line = LogLine(id=len(self._lines) + 1, at=at, source=source, level=level, text=text)
            self._lines.append(line)
            self._changed.notify_all()
            return line

    def query(self, query: LogQuery, timeout: float = 0.0) -> LogPage:
        self.asked += 1
        try:
            re.compile(query.pattern)
        except re.error as error:
            what = f"The pattern is no regular expression: {error}."
            raise Problem(Reason(code="log-pattern-invalid", hop=Hop.GATEWAY, what=what)) from error
        with self._changed:
            if query.after is not None and timeout:
                self._changed.wait_for(lambda: bool(self._matches(query)), timeout)
            found = self._matches(query)
            last = self._lines[-1].id if self._lines else 0
        following = query.after is not None
        kept = found[: query.limit] if following else found[-query.limit :]
        more = len(found) > len(kept)
        last = kept[-1].id if following and more else last
        return LogPage(lines=tuple(kept), last_id=last, more=more)

    def _matches(self, query: LogQuery) -> list[LogLine]:
        return [
            line
            for line in self._lines
            if (not query.sources or line.source in query.sources)
            and line.level.rank >= query.level.rank
            and all(word in line.text for word in query.words.split())
            and re.search(query.pattern, line.text)
            and (query.since_at is None or line.at >= query.since_at)
            and (query.until_at is None or line.at < query.until_at)
            and (query.before is None or line.id < query.before)
            and (query.after is None or line.id > query.after)
        ]


class StoredLogs:
    """The product's own log store, with lines that are there when `add` returns."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self.query = store.query

    def add(self, text: str, source: str = "opencode", level: Level = Level.INFO) -> LogLine:
        before = self._store.query(LogQuery(limit=1)).last_id
        self._store.append(source, level, text)
        return self._store.query(LogQuery(after=before), 10.0).lines[-1]


class MemorySettings:
    """SettingsStore in memory: the same rules, no file."""

    def __init__(self) -> None:
        self._settings = Settings()
        self._lock = threading.Lock()

    def read(self) -> Configuration:
        with self._lock:
            return self._read()

    def update(self, change: Mapping[str, object], etag: str | None) -> Configuration:
        with self._lock:
            if etag is not None and etag != self._read().etag:
                what = "The settings were changed by someone else meanwhile."
                raise Problem(Reason(code="config-changed", hop=Hop.GATEWAY, what=what))
            merged = merge(msgspec.to_builtins(self._settings), change)
            try:
                self._settings = msgspec.convert(merged, Settings)
            except msgspec.ValidationError as error:
                what = f"The settings are not valid: {error}."
                raise Problem(Reason(code="config-invalid", hop=Hop.GATEWAY, what=what)) from error
            return self._read()

    def _read(self) -> Configuration:
        etag = hashlib.sha256(msgspec.json.encode(self._settings)).hexdigest()[:16]
        return Configuration(etag=etag, settings=self._settings)


def merge(target: Any, change: object) -> Any:
    """RFC 7396."""
    if not isinstance(change, Mapping):
        return change
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


ACCESS = Access(
    password=True,
    devices=(
        Device(
            id="dev-1",
            name="Safari on iPhone",
            address="203.0.113.7",
            door="public",
            host="calm-river.trycloudflare.com",
            signed_in_at=AT - 7200,
            seen_at=AT - 4,
            expires_at=AT + 500_000,
            how="code",
            received=120_000,
            sent=9_400_000,
            country="DE",
        ),
    ),
    second_factor=True,
    recovery_codes=9,
    pairings=(
        PairingEntry(
            id="pair-1", host="calm-river.trycloudflare.com", name="", made_at=AT - 60,
            expires_at=AT + 540,
        ),
    ),
    tokens=(
        TokenEntry(
            id="tok-1", name="laptop", scope="full", made_at=AT - 86_400, expires_at=AT + 2_500_000,
            seen_at=AT - 30, address="203.0.113.9", received=1000, sent=2000,
        ),
    ),
    passkeys=(
        PasskeyEntry(
            id="key-1", name="Ada's phone", host="code.example.com", made_at=AT - 86_400,
            used_at=AT - 60,
        ),
    ),
    countries=("DE",),
    trail=(
        AuditEntry(
            id=2, at=AT, event="sign-in", who="Safari on iPhone", address="203.0.113.7",
            text="signed in",
        ),
    ),
)  # fmt: skip
EXAMINATION = Examination(
    at=AT,
    checks=(Check(code="clock", title="Clock", state=CheckState.GOOD, text="right within 1 s"),),
)
SETUP = Setup(
    finished=True,
    passed=("tools",),
    tools=(ToolState(name="opencode", path="/usr/bin/opencode", version="1.18.33"),),
    directory="/home/ada/src",
    password=True,
)


ZONE, ACCOUNT, TUNNEL_ID = "a" * 32, "b" * 32, "34b8a912-7d3e-4322-9435-a8e7bdf10be4"
TUNNELS = Tunnels(
    tunnels=(
        TunnelReport(name="quick", kind="quick", origin="unix:/run/gateway.sock"),
        TunnelReport(
            name="home",
            kind="named",
            tunnel_id=TUNNEL_ID,
            account_id=ACCOUNT,
            zone_id=ZONE,
            origin="unix:/run/gateway.sock",
            configuration='{"ingress": [{"service": "unix:/run/gateway.sock"}]}',
            routes=(
                RouteReport(
                    hostname="code.example.com", service="", state=RouteState.READY, text="routed"
                ),
                RouteReport(
                    hostname="preview.example.com",
                    service="http://localhost:5173",
                    state=RouteState.CONFLICT,
                    text="leads elsewhere",
                ),
            ),
            certificates=(
                CertificateReport(
                    hostname="code.example.com",
                    trusted=True,
                    checked_at=AT,
                    issuer="Example Authority",
                    names=("example.com", "*.example.com"),
                    not_after_at=AT + 5_000_000,
                ),
            ),
        ),
    ),
    zones=(Zone(id=ZONE, account_id=ACCOUNT, name="example.com", signed_in_at=AT),),
    network=NetworkDoor(addresses=(("eth0", "192.0.2.7"),)),
)
TOKEN_FACTS = TokenFacts(account_id=ACCOUNT, tunnel_id=TUNNEL_ID, known_as="home")
IMPORTABLE = (
    Importable(path="/home/ada/.cloudflared/cert.pem", kind="zone", name="cert.pem", zone_id=ZONE),
)
BUNDLE = Bundle(at=AT, files=(BundleFile(name="status.txt", text="up\n"),))


MEASURED = Measured(
    at=AT,
    doors=(
        Figures(
            name="home", requests=12, refused=2, failed=3, unreachable=1, concurrent=1,
            bytes_in=4000, bytes_out=90_000, answered=12, seconds=0.5,
            within=((0.01, 4), (0.1, 11), (1.0, 12)),
        ),
    ),
    opencode=Figures(name="opencode", requests=9, answered=8, seconds=0.4, within=((1.0, 8),)),
    cloudflared=(
        CloudflaredCounters(
            tunnel="home", requests=14, errors=1, concurrent=0, responses=((200, 11), (502, 3)),
            registered=4, refused=(("dup_edge_conn", 1),), memory_bytes=38_000_000,
        ),
    ),
)  # fmt: skip


def inspect_token(text: str) -> TokenFacts:
    """Any text but one is a token."""
    if text == "no token":
        raise Problem(Reason(code="token-shape", hop=Hop.CLOUDFLARED, what="This is no token."))
    return TOKEN_FACTS


def traffic(query: TrafficQuery) -> Traffic:
    """Ten steps, each of one request."""
    step = query.seconds / query.points
    points = tuple(TrafficPoint(at=AT + n * step, requests=1, bytes_out=100) for n in range(10))
    return Traffic(step=step, points=points)


def audit(query: AuditQuery) -> AuditPage:
    """The one row, if a filter matches; its text says how the question arrived."""
    if "no-event" in query.events:
        raise Problem(Reason(code="audit-event-unknown", hop=Hop.GATEWAY, what="This is no event."))
    [entry] = ACCESS.trail
    wanted = not query.events or entry.event in query.events
    below = query.before is None or entry.id < query.before
    if not (wanted and below and all(word in entry.who for word in query.words.split())):
        return AuditPage()
    text = f"=cmd|\x1b {query.since_at} {query.until_at} {query.limit}"
    return AuditPage(entries=(msgspec.structs.replace(entry, text=text),))


def transcript(session_id: str) -> Transcript:
    """Any session but one has been spoken in."""
    if session_id == "none":
        raise Problem(Reason(code="session-gone", hop=Hop.OPENCODE, what="There is no session."))
    return Transcript(
        session=OpenCodeSession(
            id=session_id, title="Fix the tests", directory="/home/ada/src", project="src",
            state=SessionState.IDLE, cost=0.25, updated_at=AT,
        ),
        messages=(
            Message(id="msg_1", role="user", text="Fix the tests ☂", at=AT - 60),
            Message(
                id="msg_2", role="assistant", text="Done.", at=AT, doings=("bash: pytest -q",),
                trouble="",
            ),
        ),
    )  # fmt: skip


def reports() -> Reports:
    return Reports(
        access=lambda: ACCESS,
        audit=audit,
        traffic=traffic,
        examine=lambda: EXAMINATION,
        setup=lambda: SETUP,
        tunnels=lambda: TUNNELS,
        inspect_token=inspect_token,
        importable=lambda: IMPORTABLE,
        bundle=lambda: BUNDLE,
        measured=lambda: MEASURED,
        transcript=transcript,
    )


@dataclass
class House(Generic[L]):
    """A backend and what is behind it. `came` are the commands carried out, in order; `values`
    what those of a kind answer."""

    journal: Journal
    logs: L
    settings: SettingsStore
    came: list[Command] = field(default_factory=list)
    values: dict[type[Command], str] = field(default_factory=dict)
    reports: Reports = field(default_factory=reports)

    @property
    def backend(self) -> LocalBackend:
        handlers = dict.fromkeys(AnyCommand.__args__, self._carry_out)
        return LocalBackend(self.journal, self.logs, self.settings, handlers, self.reports)

    def say(self, **changes: Any) -> Snapshot:
        """Publish the present snapshot with these changes."""
        given = msgspec.structs.replace(
            self.journal.latest(), cursor=self.journal.next_id, **changes
        )
        self.journal.publish(given)
        return given

    def _carry_out(self, command: Any) -> str | None:
        if isinstance(command, StartService | StopService | RestartService):
            self._wish(command)
        self.came.append(command)
        if type(command) in self.values:
            return self.values[type(command)]
        if isinstance(command, OpenDashboard):
            return f"http://127.0.0.1:2/#to={command.page}"
        return f"http://127.0.0.1:1/ticket{command.path}" if isinstance(command, OpenDoor) else None

    def _wish(self, command: StartService | StopService | RestartService) -> None:
        if self.journal.latest().service(command.name) is None:
            raise Problem(REFUSED)
        if isinstance(command, RestartService):
            return
        desired = Desired.RUNNING if isinstance(command, StartService) else Desired.STOPPED
        services = tuple(
            msgspec.structs.replace(s, desired=desired) if s.name == command.name else s
            for s in self.journal.latest().services
        )
        self.say(services=services)


def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for a condition, not for a time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.01)


def service(name: str, kind: ServiceKind, **changes: Any) -> Service:
    plain = Service(
        name=name, kind=kind, desired=Desired.RUNNING, state=ServiceState.RUNNING, since_at=AT
    )
    return msgspec.structs.replace(plain, **changes)


def first_snapshot() -> Snapshot:
    return Snapshot(
        boot_id=BOOT,
        cursor=1,
        version="0.1.0",
        taken_at=AT,
        state=HopState.UP,
        headline="Reachable at https://calm-river.trycloudflare.com",
        address="https://calm-river.trycloudflare.com",
        path=tuple(PathHop(hop=hop, state=HopState.UP, text=f"{hop} is well") for hop in Hop),
        services=(
            service("opencode", ServiceKind.OPENCODE),
            service("gateway", ServiceKind.GATEWAY),
            service("quick", ServiceKind.TUNNEL),
        ),
    )


def house() -> House[MemoryLogs]:
    """A fresh backend with one snapshot and no logs."""
    return _house(MemoryLogs(), MemorySettings())


@contextmanager
def stored_house(paths: Paths) -> Iterator[House[StoredLogs]]:
    """The same over the product's own stores."""
    ensure_private_dir(paths.data)
    ensure_private_dir(paths.config)
    store = LogStore(paths.log_database, 64 * 1024 * 1024)
    try:
        yield _house(StoredLogs(store), ConfigStore(paths))
    finally:
        store.close()


def _house(logs: L, settings: SettingsStore) -> House[L]:
    journal = Journal(BOOT, lambda: AT)
    journal.publish(first_snapshot())
    return House(journal, logs, settings)
