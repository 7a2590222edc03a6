"""Is this tunnel ready, unwell, or past hope? The judgement of each reading, as a pure function.

Owns the patience of FACTS.md ("Transport decides behaviour") and the words for it. Pure: no
clock, no I/O; imports the vocabulary, `cloudflare` and the reading. The walk of
tests/services/test_cloudflared_watch.py holds its promises.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from nexus_tray.cloudflare.errors import diagnose
from nexus_tray.cloudflare.log_lines import LogEntry
from nexus_tray.core.driver import Cause, Failure
from nexus_tray.model import Hop, Reason
from nexus_tray.services import cloudflared_public as public
from nexus_tray.services.cloudflared_kinds import KINDS, ONLY_QUIC, QUICK, REFUSALS, UNTOLD, Words
from nexus_tray.services.cloudflared_public import Way
from nexus_tray.services.cloudflared_status import Reading
from nexus_tray.services.transport import QUIC


@dataclass(frozen=True)
class Limits:
    """Times in seconds.

    `fallback`: QUIC gets this long to connect before HTTP/2 is tried. `moved`: after a
    change of network, how long the old connection may try to come back. `lost`: how long
    a tunnel may be away before it is given up with its address; `dark`: before it is started
    anew where that costs no address, and may cure it: UDP may be blocked now, and cloudflared
    tries again ever more seldom, up to a minute apart. `refusals`: turned-down
    registrations that show that a quick tunnel has expired. `grace`: what requests in
    flight get at the end; `checks`: tries of the channel check.
    """

    fallback: float = 12.0
    moved: float = 20.0
    lost: float = 600.0
    dark: float = 120.0
    refusals: int = 2
    grace: int = 2
    checks: int = 5


@dataclass(frozen=True)
class Watch:
    """What is remembered between readings. Times as of `now`.

    `kind` is the tunnel's, as in its settings; `way`: where its rules may lead.
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
    kind: str = QUICK
    way: Way = field(default_factory=Way)

    @property
    def quick(self) -> bool:
        """It has a name only as long as it lives."""
        return self.kind == QUICK

    @property
    def words(self) -> Words:
        """What is said of a tunnel of this kind."""
        return KINDS[self.kind]


@dataclass(frozen=True)
class Verdict:
    """No reason: ready. `failure`: waiting cures nothing, end the run and say this; `at_once`:
    without the grace that requests in flight get. `up`: as in `Probed`."""

    reason: Reason | None = None
    blame: bool = False
    failure: Failure | None = None
    at_once: bool = False
    up: bool = False


Judged = tuple[Watch, Verdict]

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
        starting = watch.words.starting
        return watch, Verdict(found.reason if found else starting, blame=found is None)
    if watch.dialling_at is None:
        watch = replace(watch, dialling_at=now)
    if reading is None:
        return watch, Verdict(DEAF, blame=True)
    strange = strangers(watch, reading)
    if strange is not None:
        return watch, Verdict(strange.reason, failure=strange, at_once=True)
    if reading.connections and (reading.hostname is not None or not watch.quick):
        known = reading.metrics.refusals
        return replace(watch, ready_once=True, away_since=None, refused_before=known), Verdict()
    if watch.away_since is None:
        watch = replace(watch, away_since=now)
    return watch, _away(watch, reading, entries, limits, now, moved=moved)


def strangers(watch: Watch, reading: Reading) -> Failure | None:
    """Why the rules in force may not stay public, if they lead elsewhere."""
    if reading.ours is not False or (watch.quick and not reading.connections):
        return None
    ingress = reading.ingress
    if ingress is not None and ingress.remote:
        return public.foreign(ingress.stranger(watch.way.services), watch.way)
    return FOREIGN_INGRESS


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
    if found is not None and not watch.quick and found.reason.code in REFUSALS:
        found = ended(watch.kind, found)
    failure = _hopeless(watch, reading, found, limits, now, moved=moved)
    if failure is not None:
        return Verdict(failure.reason, failure=failure)
    said = found is not None and found.reason.code in REFUSALS
    mute = watch.transport == QUIC and not watch.quick and not said
    if mute and _turned_down(watch, reading, limits):
        return Verdict(ONLY_QUIC.reason)
    if not watch.ready_once and (found is None or found.reason.code == AWAY.code):
        return Verdict(CONNECTING)  # what never was cannot be lost
    return Verdict(found.reason if found is not None else AWAY)


def _turned_down(watch: Watch, reading: Reading, limits: Limits) -> bool:
    return reading.metrics.refusals - watch.refused_before >= limits.refusals


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
    refused = _turned_down(watch, reading, limits)
    if found is not None and (found.reason.code in REFUSALS or found.cause is Cause.FATAL):
        return _refused(watch, found, sure=refused)
    if refused and watch.quick and watch.ready_once:
        return watch.words.gone
    if refused and not watch.quick and watch.may_fall_back and watch.transport == QUIC:
        return UNTOLD
    if not watch.ready_once:
        dialling = now - (watch.dialling_at if watch.dialling_at is not None else now)
        blocked = watch.may_fall_back and watch.transport == QUIC
        return watch.words.blocked if blocked and dialling >= limits.fallback else None
    away = now - (watch.away_since if watch.away_since is not None else now)
    if moved and away >= limits.moved:
        return watch.words.moved
    patience = limits.lost if watch.quick else min(limits.lost, limits.dark)
    return watch.words.lost if away >= patience else None


def _refused(watch: Watch, found: Failure, *, sure: bool) -> Failure | None:
    """Cloudflare said why it refuses, or cloudflared why it cannot. A tunnel that has an
    address to keep is given up only when it was refused more than once."""
    if watch.quick or found.reason.code not in REFUSALS:
        return found
    return ended(watch.kind, found) if sure else None


def ended(kind: str, found: Failure) -> Failure:
    """What `diagnose` found, as it is meant for a tunnel of this kind."""
    words = KINDS[kind]
    return {"tunnel-gone": words.gone, "tunnel-secret-refused": words.secret or found}.get(
        found.reason.code, found
    )
