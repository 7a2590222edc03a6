"""A house with tunnels of each kind in several states, and jobs in every one."""

import dataclasses
import time
from typing import Any

import msgspec

from nexus_tray.model import (
    Desired,
    Facts,
    Hop,
    Job,
    JobState,
    JobStep,
    Metrics,
    Problem,
    Reason,
    Service,
    ServiceKind,
    ServiceState,
    Snapshot,
    StepState,
)
from nexus_tray.reports import (
    CertificateReport,
    Importable,
    RouteReport,
    RouteState,
    TokenFacts,
    TunnelReport,
    Tunnels,
    Zone,
)
from nexus_tray.settings import RouteSettings, TunnelSettings
from tests.api.doubles import House
from tests.dashboard.house import ADDRESS, services, well

ZONE, ACCOUNT = "a1" * 16, "b2" * 16
HOME_ID = "34b8a912-7d3e-4322-9435-a8e7bdf10be4"
OFFICE_ID = "5c0f6e04-1f0e-4cf1-8f39-6f2f2a1d9b77"
ORIGIN = "unix:/run/user/1000/nexus-tray/gateway.sock"

TOKEN_REFUSED = Reason(
    code="tunnel-token-refused",
    hop=Hop.CLOUDFLARED,
    what="The tunnel's token was refused.",
    meaning="It may have been revoked in Cloudflare's dashboard.",
    cure="Enter a new token.",
)
CONFLICT = Reason(
    code="record-there",
    hop=Hop.EDGE,
    what="preview.example.dev has a DNS record already, which leads elsewhere.",
    meaning="It is an A record to 192.0.2.10. Overwritten, it leads to this tunnel.",
    cure="Look at it in Cloudflare's dashboard before you answer.",
)
BY_HAND = (
    "Open Zero Trust, Networks, Tunnels in Cloudflare's dashboard, and there your tunnel.",
    f"Give it a public host name whose service is {ORIGIN}.",
)

MEASURED = Metrics(
    requests=48_211, refused=12, failed=3, concurrent=2, bytes_in=41_000_000,
    bytes_out=912_000_000, requests_per_second=0.7, bytes_out_per_second=31_000.0,
    p50_ms=9.2, p95_ms=61.0, p99_ms=420.0,
)  # fmt: skip
PLANS = (
    TunnelSettings(
        name="home", kind="named", tunnel_id=HOME_ID, account_id=ACCOUNT, zone_id=ZONE,
        routes=(
            RouteSettings(hostname="code.example.dev"),
            RouteSettings(
                hostname="preview.example.dev", service="http://localhost:5173",
                host_header="localhost",
            ),
            RouteSettings(hostname="docs.example.dev", service="https://localhost:8443"),
        ),
    ),
    TunnelSettings(name="quick"),
    TunnelSettings(name="office", kind="token", tunnel_id=OFFICE_ID, account_id=ACCOUNT),
    TunnelSettings(name="spare", kind="quick", enabled=False),
)  # fmt: skip


def tunnel_services(now: float) -> tuple[Service, ...]:
    """OpenCode, the gateway, and the tunnels of PLANS."""

    def one(name: str, state: ServiceState, since: float, **more: Any) -> Service:
        given: dict[str, Any] = {"desired": Desired.RUNNING, **more}
        return Service(
            name=name, kind=ServiceKind.TUNNEL, state=state, since_at=now - since, **given
        )

    known: dict[str, Any] = {"version": "2026.8.2", "memory_bytes": 38_000_000}
    return (
        *services(now)[:2],
        one("home", ServiceState.RUNNING, 90_000, facts=Facts(
            connections=4, locations=("fra08", "ams13"), transport="quic",
            hostnames=("code.example.dev", "preview.example.dev"), proved_at=now - 12,
            round_trip_ms=84.0, latency_ms=31.0, metrics=MEASURED, **known,
        )),
        one("quick", ServiceState.RUNNING, 11_500, restarts=4, facts=Facts(
            address=ADDRESS, connections=1, locations=("fra11",), transport="http2", **known,
        )),
        one("office", ServiceState.FAILED, 40, reason=TOKEN_REFUSED,
            facts=Facts(hostnames=("agent.example.org",))),
        one("spare", ServiceState.STOPPED, 5000, desired=Desired.STOPPED),
    )  # fmt: skip


def tunnel_reports(now: float) -> Tunnels:
    """What is known of them besides."""
    certificate = CertificateReport(
        hostname="code.example.dev", trusted=True, checked_at=now - 300,
        issuer="WE1, Google Trust Services", names=("example.dev", "*.example.dev"),
        not_after_at=now + 40 * 86_400, chain=("code.example.dev", "WE1", "GTS Root R4"),
    )  # fmt: skip
    return Tunnels(
        tunnels=(
            TunnelReport(
                name="home", kind="named", tunnel_id=HOME_ID, account_id=ACCOUNT, zone_id=ZONE,
                origin=ORIGIN, configuration=f'{{"ingress": [{{"service": "{ORIGIN}"}}]}}',
                routes=(
                    RouteReport(hostname="code.example.dev", service="", state=RouteState.READY),
                    RouteReport(
                        hostname="preview.example.dev", service="http://localhost:5173",
                        state=RouteState.CONFLICT, text="an A record leads to 192.0.2.10",
                    ),
                    RouteReport(
                        hostname="docs.example.dev", service="https://localhost:8443",
                        state=RouteState.MISSING, text="there is no DNS record",
                    ),
                ),
                certificates=(certificate,),
            ),
            TunnelReport(name="quick", kind="quick", origin=ORIGIN, changes=4),
            TunnelReport(name="office", kind="token", origin=ORIGIN, by_hand=BY_HAND),
            TunnelReport(name="spare", kind="quick", origin=ORIGIN),
        ),
        zones=(Zone(id=ZONE, account_id=ACCOUNT, name="example.dev", signed_in_at=now - 90_000),),
    )  # fmt: skip


LOGIN_LINK = "https://dash.cloudflare.com/argotunnel?aud=&callback=https%3A%2F%2Flogin.example"


def job(kind: str, state: JobState, now: float, **more: Any) -> Job:
    """One job, begun half a minute ago; its id is its kind and state."""
    given: dict[str, Any] = {"subject": "" if kind == "login" else "home", **more}
    return Job(id=f"{kind}-{state}", kind=kind, state=state, began_at=now - 30, **given)


def steps(*states: StepState) -> tuple[JobStep, ...]:
    """The steps of making a tunnel, as far as there are states."""
    titles = (
        ("make the tunnel at Cloudflare", "5c0f6e04…"),
        ("keep its credentials", ""),
        ("lead the host names to it", "preview.example.dev"),
    )
    return tuple(
        JobStep(title=title, state=state, text=text)
        for (title, text), state in zip(titles, states, strict=False)
    )


def login(now: float) -> Job:
    return job(
        "login", JobState.WAITING, now, link=LOGIN_LINK, expires_at=now + 280,
        steps=(JobStep(title="Choose the domain on Cloudflare's page", state=StepState.RUNNING),),
    )  # fmt: skip


def question(now: float) -> Job:
    return job(
        "routes", JobState.WAITING, now, question=CONFLICT,
        steps=(JobStep(title="Lead preview.example.dev to it", state=StepState.RUNNING),),
    )  # fmt: skip


def jobs(now: float) -> tuple[Job, ...]:
    """A job in every state."""
    done, failed = StepState.DONE, StepState.FAILED
    reason = Reason(
        code="cloudflare-api", hop=Hop.EDGE, what="Cloudflare's API did not answer.",
        meaning="The tunnel is made; no host name leads to it yet.", cure="Try again.",
    )  # fmt: skip
    making = steps(done, StepState.RUNNING, StepState.TODO)
    return (
        login(now),
        question(now),
        job("create", JobState.RUNNING, now, subject="lab", steps=making),
        job("create", JobState.FAILED, now, subject="desk", steps=steps(done, done, failed),
            reason=reason),
        job("delete", JobState.DONE, now, subject="old", steps=steps(done, StepState.SKIPPED),
            by_hand=("Remove the DNS record of old.example.dev.",)),
        job("delete", JobState.CANCELLED, now, subject="older", steps=steps(done)),
    )  # fmt: skip


IMPORTABLE = (
    Importable(path="/home/ada/.cloudflared/cert.pem", kind="zone", name="cert.pem", zone_id=ZONE),
    Importable(
        path="/home/ada/.cloudflared/config.yml", kind="named", name="desk", tunnel_id=OFFICE_ID,
        hostnames=("desk.example.dev",),
        reason=Reason(code="import-known", hop=Hop.CLOUDFLARED, what="It is here already."),
    ),
)  # fmt: skip
TOKEN_FACTS = TokenFacts(account_id=ACCOUNT, tunnel_id=HOME_ID.replace("34b8", "77aa"))


class Told:
    """What the house tells of its tunnels; changed by a test while the page is open."""

    def __init__(self, report: Tunnels) -> None:
        self.report = report
        self.token: TokenFacts | Problem = TOKEN_FACTS

    def inspect(self, text: str) -> TokenFacts:
        if isinstance(self.token, Problem):
            raise self.token
        return self.token


def settle(house: House[Any]) -> Told:
    """Give the house these tunnels in its settings, and what it tells of them."""
    house.settings.update({"tunnels": msgspec.to_builtins(PLANS)}, None)
    told = Told(tunnel_reports(time.time()))
    house.reports = dataclasses.replace(
        house.reports, tunnels=lambda: told.report, importable=lambda: IMPORTABLE,
        inspect_token=told.inspect,
    )  # fmt: skip
    return told


def tunnels(house: House[Any], now: float, *under_way: Job, **changes: Any) -> Snapshot:
    """The Snapshot of such a house."""
    return well(house, now, services=tunnel_services(now), jobs=under_way, **changes)
