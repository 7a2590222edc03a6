"""Is this tunnel ready, unwell, or past hope? The judgement of each reading, as a pure function.

Owns the patience of FACTS.md ("Transport decides behaviour") and the words for it. Pure: no
clock, no I/O; imports the vocabulary, `cloudflare` and the reading. The walk of
tests/services/test_cloudflared_watch.py holds its promises.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nexus_tray.cloudflare.errors import diagnose
from nexus_tray.cloudflare.log_lines import LogEntry
from nexus_tray.core.driver import Cause, Failure
from nexus_tray.model import Hop, Reason
from nexus_tray.services.cloudflared_status import Reading


@dataclass(frozen=True)
class Limits:
    """Times in seconds.

    `fallback`: QUIC gets this long to connect before HTTP/2 is tried. `moved`: after a
    change of network, how long the old connection may try to come back. `lost`: how long
    a tunnel may be away before it is given up with its address. `refusals`: turned-down
    registrations that show that a quick tunnel has expired. `grace`: what requests in
    flight get at the end; `checks`: tries of the channel check.
    """

    fallback: float = 12.0
    moved: float = 20.0
    lost: float = 600.0
    refusals: int = 2
    grace: int = 2
    checks: int = 5


@dataclass(frozen=True)
class Watch:
    """What is remembered between readings. Times as of `now`.

    `dialling_at`: when it began to connect; `ready_once`: it was connected before;
    `away_since`: not connected since, None while it is; `refused_before`: its count of
    refusals when it was last connected.
    """

    transport: str
    may_fall_back: bool
    dialling_at: float | None = None
    ready_once: bool = False
    away_since: float | None = None
    refused_before: int = 0


@dataclass(frozen=True)
class Verdict:
    """No reason: ready. `failure`: waiting cures nothing, end the run and say this."""

    reason: Reason | None = None
    blame: bool = False
    failure: Failure | None = None


Judged = tuple[Watch, Verdict]

STARTING = Reason(
    code="tunnel-starting",
    hop=Hop.CLOUDFLARED,
    what="A new address is being asked for at Cloudflare.",
)
CONNECTING = Reason(
    code="tunnel-connecting",
    hop=Hop.EDGE,
    what="The tunnel is connecting to Cloudflare's edge.",
)
DEAF = Reason(
    code="cloudflared-deaf",
    hop=Hop.CLOUDFLARED,
    what="cloudflared does not answer on its status port.",
    meaning="It hangs, or was stopped from outside.",
    cure="If this lasts it is started again.",
)
AWAY = Reason(
    code="edge-connection-lost",
    hop=Hop.EDGE,
    what="The connection to Cloudflare's edge was lost.",
    meaning="The public address does not answer until it is back.",
    cure="It keeps trying; nothing else is needed if the network comes back.",
)
UDP_BLOCKED = Failure(
    Cause.NETWORK,
    Reason(
        code="quic-blocked",
        hop=Hop.EDGE,
        what="The tunnel could not connect over QUIC.",
        meaning="This network probably blocks UDP port 7844.",
        cure="It is tried over HTTP/2 now, with a new address.",
    ),
)
EXPIRED = Failure(
    Cause.NETWORK,
    Reason(
        code="tunnel-gone",
        hop=Hop.EDGE,
        what="Cloudflare no longer knows this tunnel.",
        meaning="A quick tunnel ends so after a time without connection; its address is lost.",
        cure="A new quick tunnel is asked for, with a new address.",
    ),
)
LOST = Failure(
    Cause.NETWORK,
    Reason(
        code="tunnel-lost",
        hop=Hop.EDGE,
        what="The tunnel did not come back.",
        meaning="Its address is given up.",
        cure="A new quick tunnel is asked for, with a new address.",
    ),
)
MOVED = Failure(
    Cause.NETWORK,
    Reason(
        code="network-changed",
        hop=Hop.EDGE,
        what="The tunnel did not come back after this machine changed networks.",
        meaning="Its address is given up.",
        cure="It is started anew for this network, with a new address.",
    ),
)
FOREIGN_INGRESS = Failure(
    Cause.FATAL,
    Reason(
        code="cloudflared-config-foreign",
        hop=Hop.CLOUDFLARED,
        what="cloudflared leads somewhere else than to the gateway.",
        meaning="It was ended at once: nothing but the gateway may be public.",
        cure="Install the official cloudflared, or remove the setting cloudflared.program.",
    ),
)


def judge(
    watch: Watch,
    reading: Reading | None,
    entries: Sequence[LogEntry],
    limits: Limits,
    now: float,
    *,
    listening: bool,
    moved: bool,
) -> Judged:
    """What a reading means. `entries`: the last lines it logged; `listening`: its status port
    is open (`reading` None then: it does not answer); `moved`: on another network now.
    """
    if not listening:
        found = diagnose(None, entries)
        return watch, Verdict(found.reason if found else STARTING, blame=found is None)
    if watch.dialling_at is None:
        watch = replace(watch, dialling_at=now)
    if reading is None:
        return watch, Verdict(DEAF, blame=True)
    if reading.connections and reading.ours is False:
        return watch, Verdict(FOREIGN_INGRESS.reason, failure=FOREIGN_INGRESS)
    if reading.connections and reading.hostname is not None:
        known = reading.metrics.refusals
        return replace(watch, ready_once=True, away_since=None, refused_before=known), Verdict()
    if watch.away_since is None:
        watch = replace(watch, away_since=now)
    return watch, _away(watch, reading, entries, limits, now, moved=moved)


def _away(
    watch: Watch,
    reading: Reading,
    entries: Sequence[LogEntry],
    limits: Limits,
    now: float,
    *,
    moved: bool,
) -> Verdict:
    """It runs and answers, but is not connected."""
    found = diagnose(None, entries)
    failure = _hopeless(watch, reading, found, limits, now, moved=moved)
    if failure is not None:
        return Verdict(failure.reason, failure=failure)
    waiting = AWAY if watch.ready_once else CONNECTING
    return Verdict(found.reason if found is not None else waiting)


def _hopeless(
    watch: Watch,
    reading: Reading,
    found: Failure | None,
    limits: Limits,
    now: float,
    *,
    moved: bool,
) -> Failure | None:
    """Why this process should not be waited for any longer, if so."""
    if found is not None and (found.reason.code == "tunnel-gone" or found.cause is Cause.FATAL):
        return found
    if not watch.ready_once:
        dialling = now - (watch.dialling_at if watch.dialling_at is not None else now)
        blocked = watch.may_fall_back and watch.transport == "quic"
        return UDP_BLOCKED if blocked and dialling >= limits.fallback else None
    if reading.metrics.refusals - watch.refused_before >= limits.refusals:
        return EXPIRED
    away = now - (watch.away_since if watch.away_since is not None else now)
    if moved and away >= limits.moved:
        return MOVED
    return LOST if away >= limits.lost else None
