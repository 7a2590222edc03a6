"""Tunnels from a terminal: made, started, looked at, led to places, and deleted.

Owns the sentences of `nexus-tray tunnel …`. Every action draws a report or submits a Command;
what takes long is followed by `job_view`. Imports layer 1 and Backend; main thread.
"""

from argparse import Namespace

import msgspec

from nexus_tray.cli import job_view
from nexus_tray.cli import tunnel_lines as lines
from nexus_tray.cli.console import Console, Exit, failed, read_secret
from nexus_tray.commands import (
    CreateTunnel,
    DeleteTunnel,
    RestartService,
    SetRoutes,
    SetTunnelToken,
    StartService,
    StopService,
)
from nexus_tray.core.backend import Backend
from nexus_tray.inert import inert
from nexus_tray.model import Hop, Problem, Reason, Service, ServiceKind
from nexus_tray.reports import TunnelReport
from nexus_tray.settings import RouteSettings, TunnelSettings


def list_tunnels(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Every tunnel, in a line each."""
    report = backend.tunnels()
    if console.json:
        console.show(report)
        return Exit.OK
    snapshot = backend.snapshot()
    for tunnel in report.tunnels:
        service = snapshot.service(tunnel.name)
        console.say(lines.line(tunnel, service, console))
    if not report.tunnels:
        console.say("There is no tunnel. To make one: nexus-tray tunnel create NAME")
    for job in job_view.unfinished(snapshot.jobs):
        console.say(f"  {inert(job.kind)} {inert(job.subject)}: {job.state.value} ({job.id})")
    return Exit.OK


def status(backend: Backend, options: Namespace, console: Console) -> Exit:
    """One tunnel, with everything that is known of it."""
    service, tunnel = _find(backend, options.name)
    if console.json:
        console.show({"service": msgspec.to_builtins(service), "report": tunnel})
        return Exit.OK
    console.say(lines.line(tunnel, service, console))
    facts = service.facts
    if service.reason is not None:
        lines.tell(service.reason, console)
    if facts.connections:
        places = f" ({', '.join(facts.locations)})" if facts.locations else ""
        console.say(inert(f"  connected    {facts.connections} over {facts.transport}{places}"))
    console.say(f"  end to end   {lines.proved(facts, console)}")
    console.say(inert(f"  leads to     {tunnel.origin}"))
    for route in tunnel.routes:
        console.say(lines.route_line(route, console))
        if route.reason is not None:
            lines.tell(route.reason, console)
    for certificate in tunnel.certificates:
        console.say(lines.certificate_line(certificate, console))
        if certificate.reason is not None:
            lines.tell(certificate.reason, console)
    if tunnel.reason is not None:
        lines.tell(tunnel.reason, console)
    for number, step in enumerate(tunnel.by_hand, 1):
        console.say(inert(f"  {number}. {step}"))
    return Exit.OK


def create(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Make a tunnel, and follow that."""
    token = ""
    if options.kind == "token":
        token = read_secret(console, "Token, or the line that installs it", twice=False)
        facts = backend.inspect_token(token)
        if not console.json:
            console.say(f"It is for tunnel {facts.tunnel_id} of account {facts.account_id}.")
    command = CreateTunnel(
        name=options.name,
        kind=options.kind,
        zone_id=lines.zone_id(backend, options.zone),
        token=token,
        routes=tuple(map(_route, options.host)),
    )
    return job_view.follow_command(
        backend, command, options, console, f"Tunnel “{inert(options.name)}” is made."
    )


def delete(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Delete a tunnel, having asked on a terminal."""
    _, tunnel = _find(backend, options.name)
    if console.source.isatty() and not options.yes and not _sure(tunnel, options, console):
        console.say("Nothing was changed.")
        return Exit.OK
    command = DeleteTunnel(name=options.name, only_here=options.only_here)
    return job_view.follow_command(backend, command, options, console, "It is deleted.")


def start(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Wish it to run."""
    _find(backend, options.name)
    outcome = backend.submit(StartService(name=options.name))
    return console.conclude(outcome, "It will run, now and after the next start.")


def stop(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Wish it to be stopped."""
    _find(backend, options.name)
    outcome = backend.submit(StopService(name=options.name))
    return console.conclude(outcome, "It will be stopped, now and after the next start.")


def restart(backend: Backend, options: Namespace, console: Console) -> Exit:
    """End its cloudflared and start it again."""
    _, tunnel = _find(backend, options.name)
    quick = (
        "It is being restarted, and gets a new address: browsers have to sign in again, "
        "and paired phones to pair again."
    )
    done = quick if tunnel.kind == "quick" else "It is being restarted."
    return console.conclude(backend.submit(RestartService(name=options.name)), done)


def set_token(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Another token of the same tunnel."""
    _find(backend, options.name)
    token = read_secret(console, "New token", twice=False)
    outcome = backend.submit(SetTunnelToken(name=options.name, token=token))
    return console.conclude(outcome, inert(outcome.value) or "The token is stored.")


def route_list(backend: Backend, options: Namespace, console: Console) -> Exit:
    """The routes of a tunnel, in their order."""
    _, tunnel = _find(backend, options.name)
    if console.json:
        console.show(tunnel.routes)
    for route in () if console.json else tunnel.routes:
        console.say(lines.route_line(route, console))
    return Exit.OK


def route_add(backend: Backend, options: Namespace, console: Console) -> Exit:
    """One more host name; one that is there is changed in its place."""
    added = RouteSettings(
        hostname=options.hostname,
        service=options.service,
        host_header=options.host_header,
        verify_tls=not options.no_verify,
        ca_file=options.ca_file,
    )
    routes = list(_settings(backend, options.name).routes)
    place = next((n for n, r in enumerate(routes) if r.hostname == added.hostname), len(routes))
    routes[place : place + 1] = [added]
    command = SetRoutes(name=options.name, routes=tuple(routes))
    return job_view.follow_command(
        backend, command, options, console, f"{inert(added.hostname)} is led there."
    )


def route_remove(backend: Backend, options: Namespace, console: Console) -> Exit:
    """One host name less."""
    routes = _settings(backend, options.name).routes
    left = tuple(route for route in routes if route.hostname != options.hostname)
    if left == routes:
        raise failed(f"The tunnel has no route for {inert(options.hostname)}.")
    command = SetRoutes(name=options.name, routes=left)
    return job_view.follow_command(backend, command, options, console, "It is refused from now on.")


def route_move(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Another place in the order, the first being 1."""
    routes = list(_settings(backend, options.name).routes)
    moved = next((route for route in routes if route.hostname == options.hostname), None)
    if moved is None:
        raise failed(f"The tunnel has no route for {inert(options.hostname)}.")
    routes.remove(moved)
    routes.insert(options.place - 1, moved)
    command = SetRoutes(name=options.name, routes=tuple(routes))
    return job_view.follow_command(backend, command, options, console, "The order is changed.")


def _find(backend: Backend, name: str) -> tuple[Service, TunnelReport]:
    service = backend.snapshot().service(name)
    report = next((one for one in backend.tunnels().tunnels if one.name == name), None)
    if service is None or service.kind is not ServiceKind.TUNNEL or report is None:
        raise Problem(_none(name))
    return service, report


def _settings(backend: Backend, name: str) -> TunnelSettings:
    tunnels = backend.config().settings.tunnels
    found = next((tunnel for tunnel in tunnels if tunnel.name == name), None)
    if found is None:
        raise Problem(_none(name))
    return found


def _route(written: str) -> RouteSettings:
    """`HOST` or `HOST=SERVICE`."""
    hostname, _, service = written.partition("=")
    return RouteSettings(hostname=hostname, service=service)


def _sure(tunnel: TunnelReport, options: Namespace, console: Console) -> bool:
    there = tunnel.kind == "named" and not options.only_here
    console.err.write(f"This ends tunnel “{inert(tunnel.name)}” and forgets it here.\n")
    if there:
        hosts = ", ".join(route.hostname for route in tunnel.routes) or "none"
        console.err.write(
            f"At Cloudflare it deletes the tunnel and its DNS names: {inert(hosts)}\n"
        )
    console.err.write("Delete it? [y/N] ")
    console.err.flush()
    return console.source.readline(16).strip().lower() in ("y", "yes")


def _none(name: str) -> Reason:
    return Reason(
        code="no-such-tunnel",
        hop=Hop.CLOUDFLARED,
        what=f"There is no tunnel named “{name}”.",
        cure="`nexus-tray tunnel list` lists them.",
    )
