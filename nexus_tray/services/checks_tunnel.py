"""Is the way to Cloudflare open, and cloudflared there? And how does each tunnel stand?

Owns these looks. Imports this room and layer 1. Each may block for its time limit (name
look-ups have none of their own); `app.doctor` calls each in a thread of its own. What the
tunnels have learned themselves comes from the Snapshot and is not measured again.
"""

import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from nexus_tray.cloudflare import release
from nexus_tray.finding import Finding, bad, good, unknown, warning
from nexus_tray.model import Desired, Hop, Problem, Reason, Service, ServiceState
from nexus_tray.services.binaries import version_of

EDGE = ("region1.v2.argotunnel.com", "region2.v2.argotunnel.com")
QUICK = "api.trycloudflare.com"
PORT = 7844
"""Where cloudflared connects to, over TCP and UDP alike (Cloudflare's documentation)."""

PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
LIMIT = 4.0


def names(hosts: Iterable[str] = (*EDGE, QUICK)) -> Finding:
    """Whether Cloudflare's names can be looked up."""
    lost = []
    for host in hosts:
        try:
            socket.getaddrinfo(host, PORT, type=socket.SOCK_STREAM)
        except OSError as error:
            lost.append(f"{host} ({error.strerror or error})")
    if lost:
        what = f"Names could not be looked up: {', '.join(lost)}."
        cure = "Look whether other web pages open here, or choose another DNS server."
        return bad(_reason("dns", what, "Without them no tunnel comes up.", cure))
    return good("Cloudflare's names are found")


def edge(hosts: Iterable[str] = EDGE, port: int = PORT, limit: float = LIMIT) -> Finding:
    """Whether the edge can be reached over TCP; one of its regions is enough to work."""
    reached, lost = [], []
    for host in hosts:
        try:
            socket.create_connection((host, port), timeout=limit).close()
        except OSError as error:
            lost.append(f"{host}: {error.strerror or error}")
        else:
            reached.append(host)
    if not lost:
        return good(f"{len(reached)} of {len(reached)} regions answer on TCP port {port}")
    what = f"Cloudflare cannot be reached on TCP port {port} ({'; '.join(lost)})."
    if reached:
        return warning(
            _reason("edge-partly", what, "The other region is enough to work.", FIREWALL)
        )
    return bad(
        _reason("edge", what, "Tunnels can then come up over UDP only, if at all.", FIREWALL)
    )


def proxies(environment: Mapping[str, str]) -> Finding:
    """Whether a proxy is set, which cloudflared's connections to the edge do not use."""
    found = [n for name in PROXIES for n in (name, name.lower()) if environment.get(n)]
    if not found:
        return good("none in the environment")
    what = f"The environment names a proxy ({', '.join(found)})."
    meaning = f"A tunnel connects directly to port {PORT} and does not use it."
    cure = f"If no tunnel comes up, allow outbound TCP and UDP on port {PORT}."
    return warning(_reason("proxy", what, meaning, cure))


def program(find: Callable[[], Path]) -> Finding:
    """Whether cloudflared is there and runs; and which version."""
    try:
        path = find()
    except Problem as problem:
        return bad(problem.reason)
    version = version_of(path)
    if version is None:
        what = f"{path} does not say its version."
        meaning = "It may be damaged, or made for another kind of computer. No tunnel comes up."
        cure = "Run it in a terminal with --version, or install it again."
        return bad(_reason("program", what, meaning, cure, Hop.CLOUDFLARED))
    if version_key(version) < version_key(release.VERSION):
        what = f"cloudflared {version} is older than {release.VERSION}, which Nexus Tray knows."
        meaning = "It may lack corrections; Cloudflare supports versions of the last year."
        return warning(
            _reason("old", what, meaning, "Install the present version.", Hop.CLOUDFLARED)
        )
    return good(f"{version}, {path}")


def tunnel(service: Service) -> Finding:
    """How a tunnel stands, as the Snapshot says it."""
    facts, state = service.facts, service.state
    if state is ServiceState.RUNNING:
        how = facts.transport.upper().replace("HTTP2", "HTTP/2") if facts.transport else "connected"
        plural = "" if facts.connections == 1 else "s"
        count = f"{facts.connections} connection{plural} over {how}" if facts.connections else how
        places = f" ({', '.join(facts.locations)})" if facts.locations else ""
        proved = "proved" if facts.proved_at is not None else "not yet proved"
        return good(f"{count}{places}, {proved} end to end")
    if service.reason is not None:
        if state in (ServiceState.FAILED, ServiceState.BACKOFF, ServiceState.DEGRADED):
            return bad(service.reason)
        return warning(service.reason)
    if state is ServiceState.STOPPED and service.desired is Desired.STOPPED:
        return good("stopped, as wished")
    return unknown(f"{state.value}: look again in a moment")


def version_key(version: str) -> tuple[int, ...]:
    """A version's numbers, for comparing."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


FIREWALL = f"Allow outbound TCP and UDP on port {PORT}, or move to another network."


def _reason(code: str, what: str, meaning: str, cure: str, hop: Hop = Hop.EDGE) -> Reason:
    return Reason(code=f"doctor-{code}", hop=hop, what=what, meaning=meaning, cure=cure)
