"""Tunnels as lines of a terminal, and what is typed of them.

Pure but for `tell`, which says a reason. Imports layer 1 and the pure parts of core.
"""

import time

from nexus_tray.cli import draw
from nexus_tray.cli.console import Console
from nexus_tray.core.backend import Backend
from nexus_tray.inert import inert
from nexus_tray.model import Facts, HopState, Reason, Service
from nexus_tray.reports import CertificateReport, RouteReport, RouteState, TunnelReport

ROUTE_MARKS = {
    RouteState.READY: HopState.UP,
    RouteState.MISSING: HopState.DOWN,
    RouteState.CONFLICT: HopState.DOWN,
    RouteState.UNKNOWN: HopState.UNKNOWN,
}


def zone_id(backend: Backend, given: str) -> str:
    """A zone's id, of its id or its name; empty for none."""
    if not given:
        return ""
    known = backend.tunnels().zones
    return next((zone.id for zone in known if given in (zone.id, zone.name)), given)


def line(tunnel: TunnelReport, service: Service | None, console: Console) -> str:
    """A tunnel in one line: state, name, kind, address."""
    paint = console.paint
    if service is None:
        return inert(f"  {tunnel.name}  {tunnel.kind}")
    state = draw.STATE[service.state]
    word = paint.word(state, f"{service.state.value:<8}")
    address = inert(service.facts.address or "no address")
    return f"  {paint.mark(state)} {inert(tunnel.name):<16} {tunnel.kind:<6} {word} {address}"


def route_line(route: RouteReport, console: Console) -> str:
    """A route in one line, with what DNS says of it."""
    mark = console.paint.mark(ROUTE_MARKS[route.state])
    target = route.service or "OpenCode"
    text = f"  {route.text}" if route.text else ""
    return f"  {mark} {inert(route.hostname) or 'any name':<32} {inert(target)}{inert(text)}"


def certificate_line(certificate: CertificateReport, console: Console) -> str:
    """What a browser meets at an address, in one line."""
    mark = console.paint.mark(HopState.UP if certificate.trusted else HopState.DOWN)
    ends = certificate.not_after_at
    until = "unknown" if ends is None else time.strftime("%d %b %Y", time.localtime(ends))
    issuer = certificate.issuer or "unknown"
    return f"  {mark} {inert(certificate.hostname)}: issued by {inert(issuer)}, until {until}"


def proved(facts: Facts, console: Console) -> str:
    """When a request of ours last came back through the public address."""
    at = facts.proved_at
    return "not known" if at is None else f"{draw.span(console.now() - at)} ago"


def tell(reason: Reason, console: Console) -> None:
    """A reason, below what it is about."""
    for part in (reason.what, reason.meaning, reason.cure):
        if part:
            console.say(f"      {inert(part)}")
