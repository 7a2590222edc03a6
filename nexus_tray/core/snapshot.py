"""From the supervisor's knowledge to one Snapshot: pure functions and the words in them.

Owns the headline, the five hops and the sentences of the journal, so that the tray, the
dashboard and the CLI say the same thing. No clock: times come as arguments.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nexus_tray.core.machine import Machine
from nexus_tray.model import (
    Activity,
    Desired,
    Facts,
    Hop,
    HopState,
    Job,
    PathHop,
    Reason,
    Service,
    ServiceKind,
    ServiceState,
    Snapshot,
)

S = ServiceState

HOP_STATE = {
    S.STOPPED: HopState.OFF,
    S.STARTING: HopState.BUSY,
    S.RUNNING: HopState.UP,
    S.DEGRADED: HopState.DOWN,
    S.STOPPING: HopState.BUSY,
    S.BACKOFF: HopState.DOWN,
    S.FAILED: HopState.DOWN,
}

TRANSPORTS = {"quic": "QUIC", "http2": "HTTP/2"}
TITLES = {ServiceKind.OPENCODE: "OpenCode", ServiceKind.GATEWAY: "The gateway"}


UNUSED = "paused-unused"
"""The reason's code where nobody paused: remote access closed by itself."""


@dataclass(frozen=True)
class Pause:
    """Remote access is paused until then (epoch seconds; None: until it is resumed)."""

    reason: Reason
    until_at: float | None = None


def service_of(
    machine: Machine,
    kind: ServiceKind,
    facts: Facts,
    now: float,
    now_at: float,
    notice: Reason | None = None,
) -> Service:
    """A machine as people see it: `now` is the machine's clock, `now_at` the calendar's."""
    next_try = machine.deadline if machine.state is S.BACKOFF else None
    return Service(
        name=machine.name,
        kind=kind,
        desired=machine.desired,
        state=machine.state,
        since_at=now_at - (now - machine.since),
        reason=machine.reason,
        next_try_at=None if next_try is None else now_at + (next_try - now),
        restarts=machine.restarts,
        facts=facts,
        notice=notice,
    )


def compose(
    *,
    boot_id: str,
    cursor: int,
    version: str,
    taken_at: float,
    services: tuple[Service, ...],
    activity: Activity | None,
    visited_at: float | None,
    pause: Pause | None = None,
    jobs: tuple[Job, ...] = (),
) -> Snapshot:
    """The whole truth from its parts."""
    hops = path(services, visited_at, taken_at)
    state, reason = overall(hops), first_reason(hops)
    if pause is not None and state is not HopState.DOWN:
        closing = any(s.kind is ServiceKind.TUNNEL and s.state is S.STOPPING for s in services)
        state, reason = HopState.BUSY if closing else HopState.OFF, pause.reason
    tunnel = best_tunnel(services)
    known = tunnel.facts.address if tunnel and tunnel.state is not S.STOPPING else None
    address = known or None  # empty: it has no name at the moment
    return Snapshot(
        boot_id=boot_id,
        cursor=cursor,
        version=version,
        taken_at=taken_at,
        state=state,
        headline=headline(state, reason, address, tunnel),
        path=hops,
        services=services,
        address=address,
        reason=None if state is HopState.UP else reason,
        activity=activity,
        paused=pause is not None,
        paused_until=pause.until_at if pause else None,
        jobs=jobs,
    )


def title(kind: ServiceKind, name: str) -> str:
    """How a sentence names a service."""
    return TITLES.get(kind, f"Tunnel “{name}”")


def hop_state(service: Service) -> HopState:
    """A service's state on the path. Held (wished to run, but may not) is off, not down."""
    return HOP_STATE[service.state]


def best_tunnel(services: Sequence[Service]) -> Service | None:
    """The tunnel that stands for the way in: a running one before a starting one."""
    order = [S.RUNNING, S.DEGRADED, S.STARTING, S.BACKOFF, S.FAILED, S.STOPPING, S.STOPPED]
    tunnels = [service for service in services if service.kind is ServiceKind.TUNNEL]
    wished = [tunnel for tunnel in tunnels if tunnel.desired is Desired.RUNNING] or tunnels
    return min(wished, key=lambda tunnel: order.index(tunnel.state), default=None)


def path(
    services: Sequence[Service], visited_at: float | None, now_at: float
) -> tuple[PathHop, ...]:
    """The five hops, from the device to OpenCode."""
    tunnel = best_tunnel(services)
    gateway = next((s for s in services if s.kind is ServiceKind.GATEWAY), None)
    opencode = next((s for s in services if s.kind is ServiceKind.OPENCODE), None)
    return (
        _device(visited_at, now_at),
        _edge(tunnel),
        _of_service(Hop.CLOUDFLARED, tunnel),
        _of_service(Hop.GATEWAY, gateway),
        _of_service(Hop.OPENCODE, opencode),
    )


def _device(visited_at: float | None, now_at: float) -> PathHop:
    if visited_at is None:
        return PathHop(hop=Hop.DEVICE, state=HopState.UNKNOWN, text="no visit yet")
    return PathHop(
        hop=Hop.DEVICE, state=HopState.UP, text=f"last request {ago(now_at - visited_at)} ago"
    )


def _edge(tunnel: Service | None) -> PathHop:
    if tunnel is None or tunnel.state is S.STOPPED:
        return PathHop(hop=Hop.EDGE, state=HopState.OFF, text="no tunnel")
    facts = tunnel.facts
    blamed = tunnel.reason if tunnel.reason and tunnel.reason.hop is Hop.EDGE else None
    if blamed is not None:
        return PathHop(hop=Hop.EDGE, state=HopState.DOWN, text=blamed.what, reason=blamed)
    if tunnel.state is S.RUNNING and facts.connections:
        places = f" ({', '.join(facts.locations)})" if facts.locations else ""
        over = (
            f" over {TRANSPORTS.get(facts.transport, facts.transport)}" if facts.transport else ""
        )
        plural = "" if facts.connections == 1 else "s"
        text = f"{facts.connections} connection{plural}{over}{places}"
        return PathHop(hop=Hop.EDGE, state=HopState.UP, text=text)
    if tunnel.state is S.STARTING:
        return PathHop(hop=Hop.EDGE, state=HopState.BUSY, text="connecting")
    if tunnel.state is S.STOPPING:
        return PathHop(hop=Hop.EDGE, state=HopState.BUSY, text="disconnecting")
    return PathHop(hop=Hop.EDGE, state=HopState.UNKNOWN, text="not known")


def _of_service(hop: Hop, service: Service | None) -> PathHop:
    if service is None:
        return PathHop(hop=hop, state=HopState.OFF, text="not set up")
    text = service.state.value
    if service.state is S.BACKOFF:
        text = "waiting to try again"
    if service.state is S.STOPPED and service.reason is not None:
        text = "off"
    if service.state is S.RUNNING and service.facts.version:
        text = f"running, {service.facts.version}"
    return PathHop(hop=hop, state=hop_state(service), text=text, reason=service.reason)


def overall(hops: Sequence[PathHop]) -> HopState:
    """The state of the whole path: the worst of the hops that are ours to judge."""
    states = [hop.state for hop in hops if hop.hop is not Hop.DEVICE]
    if HopState.OFF in states and HopState.DOWN not in states:
        return (
            HopState.BUSY
            if HopState.BUSY in states and states[1] is not HopState.OFF
            else HopState.OFF
        )
    for state in (HopState.DOWN, HopState.BUSY, HopState.UNKNOWN):
        if state in states:
            return state
    return HopState.UP


def first_reason(hops: Sequence[PathHop]) -> Reason | None:
    """What to name first: the break nearest to OpenCode, for the rest follows from it."""
    broken = [hop.reason for hop in reversed(hops) if hop.reason and hop.state is HopState.DOWN]
    held = [hop.reason for hop in reversed(hops) if hop.reason]
    return next(iter(broken or held), None)


def headline(
    state: HopState, reason: Reason | None, address: str | None, tunnel: Service | None
) -> str:
    """The one line that says how things stand."""
    if state is HopState.UP:
        return f"Reachable at {address}" if address else "Reachable"
    if reason is not None:
        return reason.what
    if state is HopState.BUSY:
        ends = tunnel is not None and tunnel.state is S.STOPPING
        wished = tunnel is not None and tunnel.desired is Desired.RUNNING
        return "Remote access is being closed" if ends and not wished else "Starting"
    if state is HopState.OFF:
        return "Remote access is off"
    return "Not reachable"


def change_note(before: ServiceState, service: Service, now_at: float) -> str:
    """The journal's sentence for a change of state; empty where it is not worth one."""
    name = title(service.kind, service.name)
    why = f": {service.reason.what}" if service.reason else ""
    match service.state:
        case S.RUNNING:
            place = f" at {service.facts.address}" if service.facts.address else ""
            return f"{name} is ready{place}" if before is S.STARTING else f"{name} is well again"
        case S.STARTING:
            return f"{name} starts"
        case S.DEGRADED:
            return f"{name} does not answer as it should{why}"
        case S.BACKOFF:
            wait = max(0.0, (service.next_try_at or now_at) - now_at)
            return (
                f"{name} ended{why} Next try in {ago(wait)}."
                if why
                else (f"{name} ended unexpectedly. Next try in {ago(wait)}.")
            )
        case S.FAILED:
            return f"{name} cannot run{why}"
        case S.STOPPED:
            return f"{name} is stopped{why}"
        case S.STOPPING:
            return f"{name} is being stopped"
    return ""  # pragma: no cover - exhaustive


def ago(seconds: float) -> str:
    """A span in the largest fitting unit: "8 s", "3 min", "2 h", "5 d"."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, round(seconds))} s"
