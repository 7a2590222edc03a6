"""The vocabulary: frozen values that every room shares and that cross the wire as JSON.

Owns the words of the product (service, hop, reason, snapshot, command, event) and
nothing that acts. Imports nothing of ours. All values are immutable, so any thread may
hold any of them. A `Snapshot` *is* the JSON that the local API answers: there is no
second form to keep in step.

Times named `*_at` are seconds since the Unix epoch (UTC), as floats. `None` means
unknown, and is shown as unknown, never as zero.
"""

from enum import StrEnum

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all values: immutable, compared by content, strict when decoded."""


class Desired(StrEnum):
    """What the user wants of a service. A wish; it survives restarts."""

    RUNNING = "running"
    STOPPED = "stopped"


class ServiceState(StrEnum):
    """What is observed of a service. RUNNING means ready, proved by a probe."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    FAILED = "failed"


class ServiceKind(StrEnum):
    """The three kinds of service, in the order in which they start."""

    OPENCODE = "opencode"
    GATEWAY = "gateway"
    TUNNEL = "tunnel"


class Hop(StrEnum):
    """The five stations of a request, from the phone to the agent."""

    DEVICE = "device"
    EDGE = "edge"
    CLOUDFLARED = "cloudflared"
    GATEWAY = "gateway"
    OPENCODE = "opencode"


class HopState(StrEnum):
    """The state of a hop, and of the whole path; each has a colour, a shape and a word."""

    UP = "up"
    BUSY = "busy"
    DOWN = "down"
    OFF = "off"
    UNKNOWN = "unknown"


class Reason(Value, frozen=True):
    """Why something is not as wished, in the words a person reads.

    `code` is stable and machine-readable ("tunnel-rate-limited"); `what` says what
    happened, `meaning` what follows from it, `cure` what to do (empty: nothing to do).
    """

    code: str
    hop: Hop
    what: str
    meaning: str = ""
    cure: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.meaning, self.cure) if part)


class Problem(Exception):
    """An expected failure that a person can understand: carries its `Reason`."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Metrics(Value, frozen=True):
    """What passed one service: totals since the program's start, rates over the last seconds.

    `refused` are answers of 400 to 499, `failed` of 500 and above, `unreachable` those of
    them that were given because nobody answered behind. Latencies: from the request's head to
    the first byte of the answer, over the last minute (None: no request).
    """

    requests: int = 0
    refused: int = 0
    failed: int = 0
    unreachable: int = 0
    concurrent: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    requests_per_second: float = 0.0
    bytes_in_per_second: float = 0.0
    bytes_out_per_second: float = 0.0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


class Facts(Value, frozen=True):
    """What was measured of one service. Every field is None until it is known.

    `address` is where a person reaches it (a tunnel: `https://name`; the gateway: its
    local door). `transport` is `quic` or `http2`; `locations` are Cloudflare's places.
    `hostnames`: what a remotely managed tunnel sends here. `proved_at`: when a request of our
    own last came back through the public address; `round_trip_ms`: how long that took.
    """

    pid: int | None = None
    version: str | None = None
    address: str | None = None
    directory: str | None = None
    transport: str | None = None
    connections: int | None = None
    locations: tuple[str, ...] | None = None
    latency_ms: float | None = None
    memory_bytes: int | None = None
    hostnames: tuple[str, ...] | None = None
    proved_at: float | None = None
    round_trip_ms: float | None = None
    metrics: Metrics | None = None


class Service(Value, frozen=True):
    """One supervised service as it stands. `restarts` that nobody asked for are counted.
    `notice`: what is worth knowing though it runs."""

    name: str
    kind: ServiceKind
    desired: Desired
    state: ServiceState
    since_at: float
    reason: Reason | None = None
    next_try_at: float | None = None
    restarts: int = 0
    facts: Facts = Facts()
    notice: Reason | None = None


class PathHop(Value, frozen=True):
    """One station of the path of a request: its state and one line about it."""

    hop: Hop
    state: HopState
    text: str
    reason: Reason | None = None


class SessionState(StrEnum):
    """What an OpenCode session is doing."""

    WORKING = "working"
    WAITING = "waiting"
    IDLE = "idle"
    INTERRUPTED = "interrupted"  # idle, and its last turn was broken off
    UNKNOWN = "unknown"


class OpenCodeSession(Value, frozen=True):
    """One conversation with the agent. `cost` is in US dollars, as OpenCode says it."""

    id: str
    title: str
    directory: str
    project: str
    state: SessionState
    cost: float | None = None
    updated_at: float | None = None


class QuestionKind(StrEnum):
    """What OpenCode waits for: leave to do something, or an answer to its question."""

    PERMISSION = "permission"
    QUESTION = "question"


class QuestionPart(Value, frozen=True):
    """One question with its choices (label, description); `custom` allows free text."""

    text: str
    options: tuple[tuple[str, str], ...] = ()
    multiple: bool = False
    custom: bool = True


class Question(Value, frozen=True):
    """Something OpenCode waits on a person for.

    For a permission, `title` is what it wants to do ("bash") and `detail` the command
    or file; `parts` is empty. For a question, `parts` has at least one entry.
    """

    id: str
    kind: QuestionKind
    session_id: str
    directory: str
    title: str
    detail: str = ""
    parts: tuple[QuestionPart, ...] = ()
    asked_at: float | None = None


class Activity(Value, frozen=True):
    """What OpenCode's sessions do, over all projects. None in a Snapshot: not known."""

    sessions: tuple[OpenCodeSession, ...] = ()
    questions: tuple[Question, ...] = ()


class JobState(StrEnum):
    """How a job stands. WAITING: a person has to do or say something."""

    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepState(StrEnum):
    """How one step of a job stands."""

    TODO = "todo"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class JobStep(Value, frozen=True):
    """One step: what is done, and what came of it."""

    title: str
    state: StepState = StepState.TODO
    text: str = ""


class Job(Value, frozen=True):
    """Something that takes long: signing in at Cloudflare, making or deleting a tunnel.

    `kind`: `login`, `create`, `routes` or `delete`; `subject`: the tunnel's name, or empty.
    `link`: a page to open for it, until `expires_at`. `question`: what has to be answered
    with yes or no before it goes on. `by_hand`: what has to be done by hand, in order; the
    job notices when it is done. A FAILED job can be tried again and goes on where it failed.
    """

    id: str
    kind: str
    subject: str
    state: JobState
    began_at: float
    steps: tuple[JobStep, ...] = ()
    link: str | None = None
    expires_at: float | None = None
    question: Reason | None = None
    by_hand: tuple[str, ...] = ()
    reason: Reason | None = None


class Snapshot(Value, frozen=True):
    """The whole truth at one moment: frozen, small, and the JSON that goes out.

    `cursor` is the id of the journal entry that this snapshot reflects; `boot_id` changes
    when the program restarts, which makes older cursors meaningless. `paused`: remote access
    is closed until `paused_until` (None: until somebody resumes it). `jobs`: what takes long and
    is under way, or ended and was not yet dismissed.
    """

    boot_id: str
    cursor: int
    version: str
    taken_at: float
    state: HopState
    headline: str
    path: tuple[PathHop, ...]
    services: tuple[Service, ...]
    address: str | None = None
    reason: Reason | None = None
    activity: Activity | None = None
    paused: bool = False
    paused_until: float | None = None
    jobs: tuple[Job, ...] = ()

    def service(self, name: str) -> Service | None:
        """The service of that name, or None."""
        return next((service for service in self.services if service.name == name), None)


class Cursor(Value, frozen=True):
    """A reader's place in the journal."""

    boot_id: str
    id: int


class EventKind(StrEnum):
    """What a journal entry tells."""

    RESET = "reset"
    SNAPSHOT = "snapshot"
    NOTE = "note"


class Event(Value, frozen=True):
    """One journal entry. RESET and SNAPSHOT carry the whole Snapshot, NOTE a sentence.

    RESET means: what came before is gone, begin again from this Snapshot.
    """

    id: int
    at: float
    kind: EventKind
    snapshot: Snapshot | None = None
    note: str = ""
    service: str = ""
    reason: Reason | None = None


class Batch(Value, frozen=True):
    """Journal entries after a cursor, in order, and the cursor to ask with next."""

    cursor: Cursor
    events: tuple[Event, ...] = ()


class Level(StrEnum):
    """How grave a log line is, from least to most."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """Position from least (0) to most grave (3)."""
        return list(Level).index(self)


class LogLine(Value, frozen=True):
    """One line of a log. `source` is a service's name, or "nexus-tray"."""

    id: int
    at: float
    source: str
    level: Level
    text: str


class LogQuery(Value, frozen=True):
    """Which log lines are wanted; every filter left out matches all.

    `words` must all occur; `pattern` is a regular expression (Python `re`). The newest
    `limit` matches are answered, oldest first. `before` pages backwards: only ids below.
    `after` follows: only ids above, oldest matches first.
    """

    sources: tuple[str, ...] = ()
    level: Level = Level.DEBUG
    words: str = ""
    pattern: str = ""
    since_at: float | None = None
    until_at: float | None = None
    before: int | None = None
    after: int | None = None
    limit: int = 200


class LogPage(Value, frozen=True):
    """The answer to a LogQuery. `last_id` is the newest id seen: follow with `after`. `trouble`:
    why lines are being lost just now."""

    lines: tuple[LogLine, ...]
    last_id: int
    more: bool = False
    trouble: Reason | None = None


def to_json(value: msgspec.Struct) -> bytes:
    """A value as compact UTF-8 JSON."""
    return msgspec.json.encode(value)
