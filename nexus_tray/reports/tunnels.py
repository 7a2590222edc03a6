"""What there is to know of the tunnels beside their services."""

from enum import StrEnum

from nexus_tray.model import Reason, Value
from nexus_tray.reports.traffic import CloudflaredCounters


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
