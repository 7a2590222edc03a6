"""What a named or token tunnel makes public: which names, whether they lead here, what is missing.

Owns the judgement of the ingress rules in force and the words for it, and what a person has to do
in Cloudflare's dashboard. Pure; imports the model, the settings and `cloudflare`; any thread.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from nexus_tray.cloudflare.metrics import Ingress, IngressRule
from nexus_tray.core.driver import Cause, Failure
from nexus_tray.inert import inert
from nexus_tray.model import Facts, Hop, Reason
from nexus_tray.services.transport import HTTP2

DASHBOARD = "https://one.dash.cloudflare.com"
FOREIGN = "tunnel-ingress-foreign"
"""The code of the reason to end a tunnel whose rules lead past the gateway."""
_MOST_SAID = 100


@dataclass(frozen=True)
class Way:
    """Where cloudflared may lead: what is pasted into Cloudflare. `socket`: the gateway's, as an
    ingress service (None: it has none, as on Windows); `port`: its stable loopback port, 0 as
    long as it has none."""

    socket: str | None = None
    port: int = 0

    @property
    def shown(self) -> str:
        """What to paste."""
        return self.socket or self.over_port

    @property
    def over_port(self) -> str:
        """The same, by the loopback port."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def services(self) -> frozenset[str]:
        """Every way to write an ingress rule that leads to the gateway."""
        ports = {self.over_port, f"http://localhost:{self.port}"} if self.port else set()
        return frozenset(ports | ({self.socket} if self.socket else set()))


def foreign(rule: IngressRule | None, way: Way) -> Failure:
    """The rules lead somewhere else than to the gateway. None: they could not be read.

    FATAL: it is not tried again by itself, for only a running cloudflared is told its rules, and
    while it runs they are public. `app.ingress_watch` notices where it can.
    """
    where = "Cloudflare's configuration of this tunnel could not be understood."
    if rule is not None:
        name = f"“{_said(rule.hostname)}”" if rule.hostname else "everything else"
        where = f"Cloudflare's configuration leads {name} to “{_said(rule.service)}”."
    return Failure(
        Cause.FATAL,
        Reason(
            code=FOREIGN,
            hop=Hop.CLOUDFLARED,
            what=where,
            meaning="Nothing but the gateway may be public, so the tunnel was ended at once.",
            cure=f"In Cloudflare's dashboard (Networks > Tunnels), let every public hostname of "
            f"this tunnel lead to {_pasted(way.shown)}, then start the tunnel again.",
        ),
    )


def amiss(
    ingress: Ingress | None, routes: Collection[str], way: Way, transport: str
) -> Reason | None:
    """What keeps a connected tunnel from being of use. `routes`: the names that the gateway
    leads somewhere."""
    remote = ingress if ingress is not None and ingress.remote else None
    if remote is not None and not any(not rule.answers_alone for rule in remote.rules):
        return Reason(
            code="tunnel-no-hostnames",
            hop=Hop.EDGE,
            what="At Cloudflare, no public hostname leads to this tunnel yet.",
            meaning="It is connected, but nobody can ask for it.",
            cure="In Cloudflare's dashboard (Networks > Tunnels), add a public hostname that "
            f"leads to {_pasted(way.shown)}. It is noticed here by itself.",
        )
    led = [name for name in routes if remote is None or remote.takes(name)]
    if not led:
        return _no_routes(remote, routes)
    services = {rule.service for rule in remote.rules} if remote is not None else set()
    if transport == HTTP2 and way.socket in services and way.port:
        return Reason(
            code="tunnel-no-websockets",
            hop=Hop.CLOUDFLARED,
            what="Over HTTP/2, cloudflared carries no WebSockets to a Unix socket.",
            meaning="The terminal and live updates do not work through this tunnel.",
            cure="In Cloudflare's dashboard, let its public hostnames lead to "
            f"{_pasted(way.over_port)}, or use a network that lets UDP port 7844 through.",
        )
    return None


def _no_routes(remote: Ingress | None, routes: Collection[str]) -> Reason:
    arriving = remote.hostnames() if remote is not None else ()
    what = "No host name of this tunnel leads anywhere."
    if arriving:
        what = f"Requests for {_said(arriving[0])} come here, but there is no route for them."
    elif routes:
        what = "At Cloudflare, none of this tunnel's host names leads to it."
    return Reason(
        code="tunnel-no-routes",
        hop=Hop.GATEWAY,
        what=what,
        meaning="The gateway refuses what has no route.",
        cure="Add a route for that host name to the tunnel. It counts at once."
        if arriving or not routes
        else "In Cloudflare's dashboard (Networks > Tunnels), add its public hostnames.",
    )


def answering(ingress: Ingress | None, routes: Sequence[str]) -> tuple[str, ...]:
    """The names that should answer, in the order of the routes."""
    if ingress is None or not ingress.remote:
        return tuple(routes)
    return tuple(name for name in routes if ingress.takes(name))


def hostnames(ingress: Ingress | None) -> tuple[str, ...] | None:
    """The names that a remote configuration sends here; None: there is none."""
    return ingress.hostnames() if ingress is not None and ingress.remote else None


def token_steps(
    name: str, routes: Sequence[str], facts: Facts, reason: Reason | None, way: Way
) -> tuple[str, ...]:
    """What is left to do by hand for a token tunnel, in order; nothing once all is well."""
    code = reason.code if reason is not None else ""
    arriving = facts.hostnames or ()
    wished = routes[0] if routes else "the name that you want"
    route = f"Add a route for %s to the tunnel here: nexus-tray tunnel route add {name} %s"
    if code == "tunnel-no-routes" and arriving:
        return (route % (arriving[0], arriving[0]),)
    if code not in _AT_CLOUDFLARE:
        return ()
    value = way.over_port if code == "tunnel-no-websockets" else way.shown
    steps = [
        f"Open {DASHBOARD}, then Networks > Tunnels, and there this tunnel's public hostnames.",
        f"Add {wished}, or open each that is there.",
        f"Service: {_pasted(value)}. Save it.",
    ]
    if code == FOREIGN:
        steps.append(f"Start the tunnel again: nexus-tray tunnel restart {name}")
    elif not routes:
        steps.append(f"Add a route for it here: nexus-tray tunnel route add {name} HOSTNAME")
    return tuple(steps)


_AT_CLOUDFLARE = frozenset(
    (FOREIGN, "tunnel-no-hostnames", "tunnel-no-routes", "tunnel-no-websockets")
)


def _pasted(service: str) -> str:
    """As Cloudflare's form asks for it: a type and an address."""
    kind, _, rest = service.partition(":")
    return f"type {kind.upper()}, URL {rest.removeprefix('//')}"


def _said(text: str) -> str:
    return inert(text)[:_MOST_SAID]
