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
    """One signed-in browser. `door`: `public`, `local` or `network`; `host`: its name there."""

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


class AuditQuery(Value, frozen=True):
    """Which rows of the audit trail are wanted; every filter left out matches all.

    `words` must all occur, in whichever part of a row; `events` are the events' names. The
    newest `limit` matches are answered. `before` pages backwards: only ids below.
    """

    words: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    events: tuple[str, ...] = ()
    since_at: float | None = None
    until_at: float | None = None
    before: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200


class AuditPage(Value, frozen=True):
    """The answer to an AuditQuery, newest first. `more`: older ones match too."""

    entries: tuple[AuditEntry, ...] = ()
    more: bool = False


class Access(Value, frozen=True):
    """Who can come in: whether a password is set, who is signed in, what happened lately.

    `trail` has the newest entries first.
    """

    password: bool
    devices: tuple[Device, ...] = ()
    trail: tuple[AuditEntry, ...] = ()


class TrafficQuery(Value, frozen=True):
    """The last `seconds` of traffic, in at most `points` steps of equal length; of one `tunnel`
    (empty: of all ways in together)."""

    seconds: Annotated[int, msgspec.Meta(ge=60, le=604_800)] = 3600
    points: Annotated[int, msgspec.Meta(ge=10, le=1000)] = 360
    tunnel: str = ""


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

    `command` is what to type to cure it; `repair` is the label of the button that cures it
    (`commands.Repair` with this code). Each is empty where there is none.
    """

    code: str
    title: str
    state: CheckState
    text: str
    reason: Reason | None = None
    command: str = ""
    repair: str = ""


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

    `fetchable`: we can get it ourselves; `fetch` is there while we do. `restorable`: the version
    that an update of ours replaced, to which one can go back.
    """

    name: str
    path: str | None = None
    version: str | None = None
    fetchable: bool = False
    fetch: Fetch | None = None
    restorable: str | None = None
    reason: Reason | None = None


class Setup(Value, frozen=True):
    """How far the first start has come. `passed` names the steps that were done or skipped;
    `finished`: the person has been through it, or had everything already."""

    finished: bool
    passed: tuple[str, ...] = ()
    tools: tuple[ToolState, ...] = ()
    directory: str = ""
    password: bool = False


class Figures(Value, frozen=True):
    """What was counted at one place since this program started: a door of the gateway (a tunnel's
    name, `local`, `network`), or what lies behind it.

    Words as in `model.Metrics`. `answered` counts the answers whose first byte was timed, `seconds`
    is the sum of those times; `within`: (seconds, answers that began within them), rising.
    """

    name: str
    requests: int = 0
    refused: int = 0
    failed: int = 0
    unreachable: int = 0
    concurrent: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    answered: int = 0
    seconds: float = 0.0
    within: tuple[tuple[float, int], ...] = ()


class CloudflaredCounters(Value, frozen=True):
    """What a tunnel's cloudflared counts itself, since its process started; None: not told.

    `errors`: requests that it could not pass on, or whose visitor left. `responses`: (status,
    count); `refused`: (the edge's word, registrations that it turned down so).
    """

    tunnel: str
    requests: int | None = None
    errors: int | None = None
    concurrent: int | None = None
    responses: tuple[tuple[int, int], ...] = ()
    registered: int = 0
    refused: tuple[tuple[str, int], ...] = ()
    memory_bytes: int | None = None


class Measured(Value, frozen=True):
    """Every counter there is, at one moment. `opencode` None: nothing was measured yet."""

    at: float
    doors: tuple[Figures, ...] = ()
    opencode: Figures | None = None
    cloudflared: tuple[CloudflaredCounters, ...] = ()


class RouteState(StrEnum):
    """Whether a host name leads to its tunnel. UNKNOWN: it cannot be seen from here."""

    READY = "ready"
    MISSING = "missing"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"


class RouteReport(Value, frozen=True):
    """One route of a tunnel, as Cloudflare's DNS has it."""

    hostname: str
    service: str
    state: RouteState
    text: str = ""
    reason: Reason | None = None


class CertificateReport(Value, frozen=True):
    """The certificate that a browser meets at a public address, and what it would say to it.

    `names` are those it is for; `chain` the subjects from the certificate to the authority, as
    far as known. `reason`: why a browser would refuse it, or that it ends soon.
    """

    hostname: str
    trusted: bool
    checked_at: float
    issuer: str = ""
    names: tuple[str, ...] = ()
    not_before_at: float | None = None
    not_after_at: float | None = None
    chain: tuple[str, ...] = ()
    reason: Reason | None = None


class TunnelReport(Value, frozen=True):
    """What there is to know of one tunnel besides its `Service` in the Snapshot.

    `origin`: where cloudflared has to lead, for pasting into Cloudflare. `configuration`: the file
    that cloudflared is given, as generated. `by_hand`: what has to be done by hand, in order.
    `changes`: how often its address changed within a day without anybody asking for it.
    `counters`: cloudflared's own (None: it does not run, or has not told them).
    """

    name: str
    kind: str
    tunnel_id: str = ""
    account_id: str = ""
    zone_id: str = ""
    origin: str = ""
    configuration: str = ""
    routes: tuple[RouteReport, ...] = ()
    certificates: tuple[CertificateReport, ...] = ()
    by_hand: tuple[str, ...] = ()
    changes: int = 0
    counters: CloudflaredCounters | None = None
    reason: Reason | None = None


class Zone(Value, frozen=True):
    """A zone for which there is a certificate here. `name` None: Cloudflare did not say it."""

    id: str
    account_id: str
    name: str | None = None
    signed_in_at: float | None = None
    reason: Reason | None = None


class NetworkDoor(Value, frozen=True):
    """The door for the local network, and its certificate.

    `addresses` are this machine's, as (interface, address). `authority`: PEM of the authority made
    here, for the devices that shall trust it; `fingerprint`: its SHA-256, as browsers show it
    (of the certificate itself, where it is the person's own). `trust`: how to trust it, by system.
    """

    url: str | None = None
    addresses: tuple[tuple[str, str], ...] = ()
    authority: str = ""
    fingerprint: str = ""
    not_after_at: float | None = None
    trust: tuple[tuple[str, str], ...] = ()
    reason: Reason | None = None


class Tunnels(Value, frozen=True):
    """Every tunnel in the order of the settings, every zone, and the local network's door."""

    tunnels: tuple[TunnelReport, ...] = ()
    zones: tuple[Zone, ...] = ()
    network: NetworkDoor = NetworkDoor()


class TokenFacts(Value, frozen=True):
    """What a tunnel's token says. `known_as`: the tunnel here that has this id already."""

    account_id: str
    tunnel_id: str
    known_as: str = ""


class Importable(Value, frozen=True):
    """Something of an existing cloudflared that can be taken over.

    `kind`: `zone` (a certificate), `named` (credentials) or `token`. `reason`: why it cannot.
    """

    path: str
    kind: str
    name: str = ""
    tunnel_id: str = ""
    zone_id: str = ""
    hostnames: tuple[str, ...] = ()
    reason: Reason | None = None


class BundleFile(Value, frozen=True):
    """One file of a support bundle: exactly what it will hold."""

    name: str
    text: str


class Bundle(Value, frozen=True):
    """What whoever helps needs to know, without secrets."""

    at: float
    files: tuple[BundleFile, ...] = ()
