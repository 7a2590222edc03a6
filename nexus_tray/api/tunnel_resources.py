"""The resources of the local API that concern tunnels, and the jobs that change them.

Owns their handlers and TUNNEL_ROUTES, a part of the one table in `resources`. Like those, each
handler is one question to Backend. Imports layer 1 and Backend; runs in the request's thread.
"""

import msgspec

from nexus_tray.api.routes import Answer, Call, Route, fault, submit
from nexus_tray.api.shapes import Deletion, ImportPlace, NewTunnel, Routes, Token, Wish, YesOrNo
from nexus_tray.commands import (
    AnswerJob,
    AnyCommand,
    CancelJob,
    CreateTunnel,
    DeleteTunnel,
    DismissJob,
    ForgetZone,
    ImportTunnel,
    Login,
    RestartService,
    RetryJob,
    SetRoutes,
    SetTunnelToken,
    StartService,
    StopService,
)
from nexus_tray.model import Desired, Hop, Job, Reason, Service, ServiceKind, Value, to_json
from nexus_tray.reports import Importable, TokenFacts, TunnelReport, Tunnels


class TunnelStatus(Value, frozen=True):
    """One tunnel: as a service, and what else there is to know of it."""

    service: Service
    report: TunnelReport


def list_tunnels(call: Call) -> Answer:
    """Every tunnel, every zone, and the local network's door."""
    return Answer(to_json(call.backend.tunnels()))


def create_tunnel(call: Call) -> Answer:
    """Make a tunnel; the outcome's value is the id of the job that does it."""
    body: NewTunnel = call.body
    return submit(call, CreateTunnel(**msgspec.structs.asdict(body)))


def get_tunnel_status(call: Call) -> Answer:
    """One tunnel as it stands, with what was measured of it."""
    service = _tunnel(call)
    reports = call.backend.tunnels().tunnels
    report = next((one for one in reports if one.name == call.path["name"]), None)
    if service is None or report is None:
        return fault(404, NO_TUNNEL)
    return Answer(to_json(TunnelStatus(service=service, report=report)))


def delete_tunnel(call: Call) -> Answer:
    """Delete a tunnel; the outcome's value is the id of the job that does it."""
    return submit(call, DeleteTunnel(name=call.path["name"], only_here=call.query.only_here))


def wish_tunnel(call: Call) -> Answer:
    """Start or stop a tunnel, now and after the next start."""
    kind = StartService if call.body.desired is Desired.RUNNING else StopService
    return _submit_for_tunnel(call, kind(name=call.path["name"]))


def restart_tunnel(call: Call) -> Answer:
    """End a tunnel's cloudflared and start it again."""
    return _submit_for_tunnel(call, RestartService(name=call.path["name"]))


def set_routes(call: Call) -> Answer:
    """Give a tunnel these routes, in this order."""
    return submit(call, SetRoutes(name=call.path["name"], routes=call.body.routes))


def set_tunnel_token(call: Call) -> Answer:
    """Give a token tunnel another token. It is never given back."""
    return submit(call, SetTunnelToken(name=call.path["name"], token=call.body.token))


def inspect_token(call: Call) -> Answer:
    """What a token says, before it is used."""
    return Answer(to_json(call.backend.inspect_token(call.body.token)))


def log_in(call: Call) -> Answer:
    """Sign in at Cloudflare for one zone; the outcome's value is the job's id."""
    return submit(call, Login())


def forget_zone(call: Call) -> Answer:
    """Delete a zone's certificate here."""
    return submit(call, ForgetZone(zone_id=call.path["id"]))


def list_importable(call: Call) -> Answer:
    """What an existing cloudflared left that can be taken over."""
    return Answer(msgspec.json.encode(call.backend.importable()))


def import_tunnel(call: Call) -> Answer:
    """Take over one of these; what is there is not changed."""
    return submit(call, ImportTunnel(path=call.body.path))


def list_jobs(call: Call) -> Answer:
    """What takes long and is under way, or ended and was not dismissed."""
    return Answer(msgspec.json.encode(call.backend.snapshot().jobs))


def answer_job(call: Call) -> Answer:
    """Answer the question that a job waits with."""
    return submit(call, AnswerJob(id=call.path["id"], yes=call.body.yes))


def cancel_job(call: Call) -> Answer:
    """End a job."""
    return submit(call, CancelJob(id=call.path["id"]))


def retry_job(call: Call) -> Answer:
    """Go on with a job that failed, where it failed."""
    return submit(call, RetryJob(id=call.path["id"]))


def dismiss_job(call: Call) -> Answer:
    """Show a job no more that is over."""
    return submit(call, DismissJob(id=call.path["id"]))


NO_TUNNEL = Reason(
    code="api-no-such-resource",
    hop=Hop.CLOUDFLARED,
    what="There is no tunnel of this name.",
    cure="`nexus-tray tunnel list` lists them.",
)

TUNNEL_ROUTES: tuple[Route, ...] = (
    Route("GET", "/tunnels", list_tunnels, answers=Tunnels),
    Route("POST", "/tunnels", create_tunnel, body=NewTunnel),
    Route("GET", "/tunnels/{name}", get_tunnel_status, answers=TunnelStatus),
    Route("DELETE", "/tunnels/{name}", delete_tunnel, query=Deletion),
    Route("PUT", "/tunnels/{name}/desired", wish_tunnel, body=Wish),
    Route("POST", "/tunnels/{name}/restarts", restart_tunnel),
    Route("PUT", "/tunnels/{name}/routes", set_routes, body=Routes),
    Route("PUT", "/tunnels/{name}/token", set_tunnel_token, body=Token),
    Route("POST", "/token-inspections", inspect_token, answers=TokenFacts, body=Token),
    Route("POST", "/logins", log_in),
    Route("DELETE", "/zones/{id}", forget_zone),
    Route("GET", "/importable", list_importable, answers=tuple[Importable, ...]),
    Route("POST", "/imports", import_tunnel, body=ImportPlace),
    Route("GET", "/jobs", list_jobs, answers=tuple[Job, ...]),
    Route("PUT", "/jobs/{id}/answer", answer_job, body=YesOrNo),
    Route("POST", "/jobs/{id}/cancellations", cancel_job),
    Route("POST", "/jobs/{id}/retries", retry_job),
    Route("DELETE", "/jobs/{id}", dismiss_job),
)


def _tunnel(call: Call) -> Service | None:
    service = call.backend.snapshot().service(call.path["name"])
    return service if service is not None and service.kind is ServiceKind.TUNNEL else None


def _submit_for_tunnel(call: Call, command: AnyCommand) -> Answer:
    return submit(call, command) if _tunnel(call) is not None else fault(404, NO_TUNNEL)
