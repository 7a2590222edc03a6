"""What cloudflared's status port says: readiness, address, ingress, and its counters.

Owns the reading of `/ready`, `/quicktunnel`, `/config` and `/metrics`. Pure; imports the room
only; any thread. The port has no authentication, so every answer is bounded and checked like
a stranger's. Traps (FACTS.md): `ha_connections` may read 1 while down and is not read at all;
`server_locations` stays 1 when down, so locations count only while ready; cloudflared's own
502s are request errors, not responses; so are visitors who left.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from nexus_tray.cloudflare import config_file
from nexus_tray.model import Problem

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?[ \t]+(\S+)(?:[ \t]+-?\d+)?")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)",?')
_ESCAPED = re.compile(r"\\(.)")
_API_HOST = "api.trycloudflare.com"

_TOTAL = "cloudflared_tunnel_total_requests"
_ERRORS = "cloudflared_tunnel_request_errors"
_CONCURRENT = "cloudflared_tunnel_concurrent_requests_per_tunnel"
_BY_CODE = "cloudflared_tunnel_response_by_code"
_LOCATIONS = "cloudflared_tunnel_server_locations"
_REGISTERED = "cloudflared_tunnel_tunnel_register_success"
_REFUSED = "cloudflared_tunnel_tunnel_register_fail"
_MEMORY = "process_resident_memory_bytes"
_BUILD = "build_info"


@dataclass(frozen=True)
class Metrics:
    """One reading of `/metrics`. None: not told.

    `refused` counts registrations that the edge turned down, by the word it gave: over QUIC
    this is the only trace of it (FACTS.md). Counters begin anew with each process.
    """

    total_requests: int | None = None
    request_errors: int | None = None
    concurrent_requests: int | None = None
    responses: Mapping[int, int] = field(default_factory=dict)
    registered: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    locations: tuple[str, ...] = ()
    memory_bytes: int | None = None
    version: str | None = None

    @property
    def refusals(self) -> int:
        """Registrations refused, save "already connected there", which it cures itself."""
        return sum(count for word, count in self.refused.items() if word != "dup_edge_conn")


@dataclass(frozen=True)
class _Sample:
    name: str
    labels: Mapping[str, str]
    value: float


def parse_metrics(text: str) -> Metrics:
    """Read the Prometheus text format, version 0.0.4. Lines that are not samples are passed
    over: an unknown line must not take the known figures away.
    """
    samples = list(_samples(text))
    single = {s.name: s.value for s in samples}
    return Metrics(
        total_requests=_whole(single.get(_TOTAL)),
        request_errors=_whole(single.get(_ERRORS)),
        concurrent_requests=_whole(single.get(_CONCURRENT)),
        responses={
            int(code): int(s.value)
            for s in samples
            if s.name == _BY_CODE and (code := s.labels.get("status_code", "")).isdecimal()
        },
        registered=int(sum(s.value for s in samples if s.name == _REGISTERED)),
        refused={s.labels.get("error", ""): int(s.value) for s in samples if s.name == _REFUSED},
        locations=tuple(
            sorted(
                s.labels["edge_location"]
                for s in samples
                if s.name == _LOCATIONS and s.value == 1 and s.labels.get("edge_location")
            )
        ),
        memory_bytes=_whole(single.get(_MEMORY)),
        version=next((s.labels.get("version") for s in samples if s.name == _BUILD), None),
    )


def _samples(text: str) -> Iterator[_Sample]:
    for line in text.splitlines():
        match = _SAMPLE.fullmatch(line.strip())
        if match is None:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        if not abs(value) < 1e300:  # NaN and infinities are no figures of ours
            continue
        pairs = _LABEL.findall(match[2] or "")
        labels = {name: _ESCAPED.sub(_unescape, raw) for name, raw in pairs}
        yield _Sample(match[1], labels, value)


def _unescape(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


class _Ready(msgspec.Struct):
    ready_connections: int = msgspec.field(default=0, name="readyConnections")


def parse_ready(status: int, body: bytes) -> int | None:
    """Connections to the edge that work; 0 is not ready, None no answer of cloudflared's."""
    try:
        answer = msgspec.json.decode(body, type=_Ready)
    except msgspec.DecodeError:
        return None
    if status not in (200, 503):
        return None
    return answer.ready_connections if status == 200 else 0


class _Quick(msgspec.Struct):
    hostname: str = ""


def parse_quicktunnel(body: bytes) -> str | None:
    """The quick tunnel's host name; None as long as there is none.

    Never the API's own name, which failing requests print (FACTS.md): sending a person there
    would be wrong in the most confusing way.
    """
    try:
        name = msgspec.json.decode(body, type=_Quick).hostname
        name = config_file.hostname(name.removeprefix("https://").lower())
    except (msgspec.DecodeError, Problem):
        return None
    return None if name == _API_HOST else name


class _Origin(msgspec.Struct, rename="camel"):
    bastion_mode: bool = False


class _Rule(msgspec.Struct):
    service: str
    hostname: str = ""
    path: object = None
    origin: _Origin = msgspec.field(default_factory=_Origin, name="originRequest")


class _Ingress(msgspec.Struct):
    ingress: list[_Rule]
    origin: _Origin | None = msgspec.field(default=None, name="originRequest")


class _Config(msgspec.Struct):
    version: int
    config: _Ingress


@dataclass(frozen=True)
class IngressRule:
    """One rule in force: who asks for `hostname` (empty: for any) is led to `service`."""

    hostname: str
    service: str

    @property
    def answers_alone(self) -> bool:
        """cloudflared itself answers with a status; the request leads nowhere."""
        return self.service.startswith("http_status:")


@dataclass(frozen=True)
class Ingress:
    """The rules in force. `remote`: they came from Cloudflare, not from our file."""

    remote: bool
    rules: tuple[IngressRule, ...]

    def stranger(self, ours: Collection[str]) -> IngressRule | None:
        """The first rule that leads anywhere else than to one of `ours`, if any."""
        leading = (rule for rule in self.rules if not rule.answers_alone)
        return next((rule for rule in leading if rule.service not in ours), None)

    def hostnames(self) -> tuple[str, ...]:
        """The names that are led somewhere, in their order; patterns among them."""
        names = (r.hostname.lower() for r in self.rules if r.hostname and not r.answers_alone)
        return tuple(dict.fromkeys(names))

    def takes(self, name: str) -> bool:
        """Whether a request for `name` is led somewhere."""
        for rule in self.rules:  # the first that fits counts
            if _fits(rule.hostname.lower(), name):
                return not rule.answers_alone
        return False


def _fits(pattern: str, name: str) -> bool:
    """cloudflared's rule: nothing is every name, and `*.` stands for any beginning."""
    if pattern in ("", "*"):
        return True
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern


def parse_config(body: bytes) -> Ingress | None:
    """The rules of `/config`; None when it is no such answer. A bastion, which leads wherever a
    visitor says, counts as that whatever else its rule names."""
    try:
        told = msgspec.json.decode(body, type=_Config)
    except msgspec.DecodeError:
        return None
    origin = told.config.origin  # the API tells it beside the rules, not in each
    every = origin is not None and origin.bastion_mode
    rules = (
        IngressRule(r.hostname, "bastion" if every or r.origin.bastion_mode else r.service)
        for r in told.config.ingress
    )
    return Ingress(told.version >= 0, tuple(rules))


def leads_only_to(service: str, body: bytes) -> bool:
    """Whether `/config` shows one rule, ours (SECURITY.md 25): everything to `service`."""
    try:
        rules = msgspec.json.decode(body, type=_Config).config.ingress
    except msgspec.DecodeError:
        return False
    return rules == [_Rule(service=service)]
