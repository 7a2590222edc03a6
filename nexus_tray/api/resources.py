"""The resources of the local API: what each route takes, asks of Backend and answers.

Owns ROUTES, the one table that server, OpenAPI document and security tests share. Every
handler is one question to Backend; what it decides is only how that looks over HTTP.
Imports layer 1 and Backend; runs in the thread of the request.
"""

from typing import Any

import msgspec

from nexus_tray.api import export, streams
from nexus_tray.api.access_resources import ACCESS_ROUTES
from nexus_tray.api.audit_resources import AUDIT_ROUTES
from nexus_tray.api.metric_resources import METRIC_ROUTES
from nexus_tray.api.openapi import document
from nexus_tray.api.opencode_resources import OPENCODE_ROUTES
from nexus_tray.api.routes import (
    Answer,
    Call,
    Route,
    fault,
    read_cursor,
    submit,
)
from nexus_tray.api.setup_resources import SETUP_ROUTES
from nexus_tray.api.shapes import (
    DashboardPlace,
    ExportQuery,
    JournalQuery,
    LogsQuery,
    Passphrase,
    Place,
    Secret,
    StreamQuery,
    Switch,
    Ticket,
    TrafficParameters,
    Wish,
)
from nexus_tray.api.tunnel_resources import TUNNEL_ROUTES
from nexus_tray.commands import (
    DeleteSecret,
    GetAutostart,
    OpenDashboard,
    OpenDoor,
    Outcome,
    RestartService,
    SetAutostart,
    SetSecret,
    ShowWindow,
    Shutdown,
    StartService,
    StopService,
    UnlockSecrets,
)
from nexus_tray.model import (
    Batch,
    Desired,
    Hop,
    LogLine,
    LogPage,
    LogQuery,
    Reason,
    Service,
    Snapshot,
    to_json,
)
from nexus_tray.reports import Traffic, TrafficQuery
from nexus_tray.settings import Configuration


def read_snapshot(call: Call) -> Answer:
    """The whole truth at this moment."""
    return Answer(to_json(call.backend.snapshot()))


def read_journal(call: Call) -> Answer:
    """Journal entries after a cursor, waiting for the first (long poll)."""
    batch = call.backend.events(read_cursor(call.query.since), call.query.timeout)
    return Answer(to_json(batch))


def follow_events(call: Call) -> Answer:
    """The journal as server-sent events; Last-Event-ID resumes, else a Snapshot comes first."""
    release = call.hold()
    if release is None:
        return _too_many_streams()
    since = read_cursor(call.head.get("last-event-id"))
    body = streams.events(call.backend, since, call.over, release)
    return Answer(body, media="text/event-stream")


def list_services(call: Call) -> Answer:
    """Every service as it stands."""
    return Answer(msgspec.json.encode(call.backend.snapshot().services))


def read_service(call: Call) -> Answer:
    """One service as it stands."""
    service = call.backend.snapshot().service(call.path["name"])
    return Answer(to_json(service)) if service else no_such_resource()


def wish_service(call: Call) -> Answer:
    """Start or stop a service, now and after the next start."""
    kind = StartService if call.body.desired is Desired.RUNNING else StopService
    return submit(call, kind(name=call.path["name"]))


def restart_service(call: Call) -> Answer:
    """End a service's process and start it again."""
    return submit(call, RestartService(name=call.path["name"]))


def make_ticket(call: Call) -> Answer:
    """Make a one-time link into the gateway's local door; the outcome's value is the URL."""
    return submit(call, OpenDoor(path=call.body.path))


def make_dashboard_ticket(call: Call) -> Answer:
    """Make a one-time link to the dashboard; the outcome's value is the URL."""
    return submit(call, OpenDashboard(page=call.body.page))


def open_dashboard_session(call: Call) -> Answer:
    """Exchange a one-time ticket for a bearer token, the outcome's value."""
    token = call.redeem(call.body.ticket)
    if token is None:
        return fault(403, TICKET_REFUSED)
    return Answer(to_json(Outcome(ok=True, value=token)))


def set_secret(call: Call) -> Answer:
    """Store a provider key under an environment variable's name. It is never given back."""
    return submit(call, SetSecret(name=call.path["name"], secret=call.body.secret))


def delete_secret(call: Call) -> Answer:
    """Forget a stored provider key."""
    return submit(call, DeleteSecret(name=call.path["name"]))


def unlock_secrets(call: Call) -> Answer:
    """Open (or create) the encrypted secrets file with its passphrase."""
    return submit(call, UnlockSecrets(passphrase=call.body.passphrase))


def read_autostart(call: Call) -> Answer:
    """Whether the program starts at login; the outcome's value says how it stands."""
    return submit(call, GetAutostart())


def set_autostart(call: Call) -> Answer:
    """Start the program at login, or no longer."""
    return submit(call, SetAutostart(enabled=call.body.enabled))


def read_traffic(call: Call) -> Answer:
    """What passed through the gateway, over time."""
    given = call.query
    query = TrafficQuery(seconds=given.seconds, points=given.points, tunnel=given.tunnel)
    return Answer(to_json(call.backend.traffic(query)))


def show_window(call: Call) -> Answer:
    """Show the dashboard's window, raised; the browser where there is no window."""
    return submit(call, ShowWindow(page=call.body.page))


def shut_down(call: Call) -> Answer:
    """End the program in order."""
    return submit(call, Shutdown())


def query_logs(call: Call) -> Answer:
    """Stored log lines; with `after` and `timeout`, waits for the first new one."""
    return Answer(to_json(call.backend.logs(_filters(call.query), call.query.timeout)))


def follow_logs(call: Call) -> Answer:
    """Log lines as they come, one JSON object a line; an empty line is a heartbeat."""
    query = _filters(call.query)
    page = call.backend.logs(query)
    release = call.hold()
    if release is None:
        return _too_many_streams()
    body = streams.log_lines(call.backend, query, page, call.over, release)
    return Answer(body, media="application/x-ndjson")


def export_logs(call: Call) -> Answer:
    """Every matching log line as a file, oldest first; a field says how many lines at most."""
    query, form = _filters(call.query), call.query.format
    page, newest = export.first_page(call.backend, query)
    release = call.hold()
    if release is None:
        return _too_many_streams()
    found = export.lines(call.backend, query, page, newest)
    name = f'attachment; filename="nexus-tray-logs.{export.SUFFIX[form]}"'
    told = (("Content-Disposition", name), (export.TOTAL, str(export.at_most(page, newest))))
    body = streams.released(export.written(found, form), release)
    return Answer(body, media=export.MEDIA[form], headers=told)


def read_config(call: Call) -> Answer:
    """The settings; ETag names their version."""
    return _configuration(call.backend.config())


def update_config(call: Call) -> Answer:
    """Merge a JSON merge patch (RFC 7396) into the settings; If-Match guards another's change."""
    given = call.head.get("if-match")
    etag = None if given in (None, "*") else given.strip('"')
    return _configuration(call.backend.update_config(call.body, etag))


def describe(_: Call) -> Answer:
    """This document."""
    return Answer(msgspec.json.encode(document(ROUTES)))


def no_such_resource() -> Answer:
    """404, as every unknown path and name is answered."""
    return fault(404, _reason("api-no-such-resource", "There is no such resource."))


TICKET_REFUSED = Reason(
    code="dashboard-ticket",
    hop=Hop.GATEWAY,
    what="This link to the dashboard has been used, or is older than a minute.",
    cure="Open the dashboard anew: from the tray, or with `nexus-tray dashboard`.",
)

ROUTES: tuple[Route, ...] = (
    Route("GET", "/snapshot", read_snapshot, answers=Snapshot),
    Route("GET", "/journal", read_journal, answers=Batch, query=JournalQuery),
    Route("GET", "/events", follow_events, answers=str, media=("text/event-stream",),
          headers=("Last-Event-ID",), stream=True),
    Route("GET", "/services", list_services, answers=tuple[Service, ...]),
    Route("GET", "/services/{name}", read_service, answers=Service),
    Route("PUT", "/services/{name}/desired", wish_service, body=Wish),
    Route("POST", "/services/{name}/restarts", restart_service),
    Route("POST", "/tickets", make_ticket, body=Place),
    Route("POST", "/dashboard-tickets", make_dashboard_ticket, body=DashboardPlace),
    Route("POST", "/dashboard-sessions", open_dashboard_session, body=Ticket, open=True),
    Route("PUT", "/secrets/{name}", set_secret, body=Secret),
    Route("DELETE", "/secrets/{name}", delete_secret),
    Route("POST", "/secrets/unlockings", unlock_secrets, body=Passphrase),
    Route("GET", "/logs", query_logs, answers=LogPage, query=LogsQuery),
    Route("GET", "/logs/stream", follow_logs, answers=LogLine, query=StreamQuery,
          media=("application/x-ndjson",), stream=True),
    Route("GET", "/logs/export", export_logs, answers=str, query=ExportQuery,
          media=tuple(export.MEDIA.values())),
    Route("GET", "/config", read_config, answers=Configuration),
    Route("PATCH", "/config", update_config, answers=Configuration, body=dict[str, Any],
          headers=("If-Match",)),
    Route("GET", "/autostart", read_autostart),
    Route("PUT", "/autostart", set_autostart, body=Switch),
    Route("GET", "/traffic", read_traffic, answers=Traffic, query=TrafficParameters),
    Route("POST", "/window", show_window, body=DashboardPlace),
    Route("POST", "/shutdown", shut_down),
    Route("GET", "/openapi.json", describe, answers=dict[str, Any]),
    *ACCESS_ROUTES,
    *AUDIT_ROUTES,
    *METRIC_ROUTES,
    *OPENCODE_ROUTES,
    *TUNNEL_ROUTES,
    *SETUP_ROUTES,
)  # fmt: skip


def _filters(query: LogQuery) -> LogQuery:
    """The plain LogQuery in a route's query: Backend knows no other parameters."""
    names = LogQuery.__struct_fields__
    return LogQuery(**{name: getattr(query, name) for name in names})


def _configuration(configuration: Configuration) -> Answer:
    etag = (("ETag", f'"{configuration.etag}"'),)
    return Answer(msgspec.json.encode(configuration), headers=etag)


def _too_many_streams() -> Answer:
    what = "As many streams are open as this program allows at a time."
    return fault(429, _reason("api-streams", what, "Close another window or command first."))


def _reason(code: str, what: str, cure: str = "") -> Reason:
    return Reason(code=code, hop=Hop.GATEWAY, what=what, cure=cure)
