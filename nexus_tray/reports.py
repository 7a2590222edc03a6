"""What a front end may read besides the Snapshot: frozen values, asked for when needed.

Owns who has access, what passed through the gateway, what an examination found and how far
the first start has come. Like the model: no action, no clock, the JSON that goes out.
Imports the model only. Times named `*_at` are seconds since the Unix epoch (UTC); `None`
means unknown.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from nexus_tray.model import Reason, Value


class Device(Value, frozen=True):
    """One signed-in browser. `door` is `public` or `local`; `host` the name it came by."""

    id: str
    name: str
    address: str
    door: str
    host: str
    signed_in_at: float
    seen_at: float
    expires_at: float


class AuditEntry(Value, frozen=True):
    """One row of the audit trail: who did what, from where."""

    id: int
    at: float
    event: str
    who: str
    address: str
    text: str


class Access(Value, frozen=True):
    """Who can come in: whether a password is set, who is signed in, what happened lately.

    `trail` has the newest entries first.
    """

    password: bool
    devices: tuple[Device, ...] = ()
    trail: tuple[AuditEntry, ...] = ()


class TrafficQuery(Value, frozen=True):
    """The last `seconds` of traffic, in at most `points` steps of equal length."""

    seconds: Annotated[int, msgspec.Meta(ge=60, le=604_800)] = 3600
    points: Annotated[int, msgspec.Meta(ge=10, le=1000)] = 360


class TrafficPoint(Value, frozen=True):
    """What passed through the gateway in one step that began at `at`.

    `failures` are answers of 500 and above; `latency_ms` is the median time to the first
    byte of the answer (None: no request); `streams` the most that were open at a time.
    """

    at: float
    requests: int = 0
    failures: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    streams: int = 0
    latency_ms: float | None = None


class Traffic(Value, frozen=True):
    """Traffic over time, oldest first. A step in which nothing was measured is not there."""

    step: float
    points: tuple[TrafficPoint, ...] = ()


class CheckState(StrEnum):
    """What a check found; WARNING: it works, but something should be done."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    UNKNOWN = "unknown"


class Check(Value, frozen=True):
    """One thing examined: what was looked at, what was found, and why that is not well.

    `command` is what to type to cure it; empty where no command does.
    """

    code: str
    title: str
    state: CheckState
    text: str
    reason: Reason | None = None
    command: str = ""


class Examination(Value, frozen=True):
    """Everything that was examined, at one moment, in the order of a request's path."""

    at: float
    checks: tuple[Check, ...] = ()


class Fetch(Value, frozen=True):
    """A program on its way here. `total` is None while the size is not known."""

    done_bytes: int = 0
    total_bytes: int | None = None


class ToolState(Value, frozen=True):
    """One program that we need. `path` None: not found; `reason` says what to do about it.

    `fetchable`: we can get it ourselves; `fetch` is there while we do.
    """

    name: str
    path: str | None = None
    version: str | None = None
    fetchable: bool = False
    fetch: Fetch | None = None
    reason: Reason | None = None


class Setup(Value, frozen=True):
    """How far the first start has come. `passed` names the steps that were done or skipped;
    `finished`: the person has been through it, or had everything already."""

    finished: bool
    passed: tuple[str, ...] = ()
    tools: tuple[ToolState, ...] = ()
    directory: str = ""
    password: bool = False
