"""Which request carries which command: method, path and JSON body.

Owns the client's half of that table; the server's is `resources` and `tunnel_resources`, and the
contract suite (tests/contract/test_backend.py) sends every command through both. Pure; imports
layer 1.
"""

from urllib.parse import quote

import msgspec

from nexus_tray.commands import (
    AbortSession,
    AnswerJob,
    AnswerPermission,
    AnswerQuestion,
    AnyCommand,
    BeginSecondFactor,
    CancelFetch,
    CancelJob,
    ClearPassword,
    ConfirmSecondFactor,
    CreateSession,
    CreateToken,
    CreateTunnel,
    DeleteSecret,
    DeleteTunnel,
    DismissJob,
    EndAllSessions,
    EndPairings,
    EndSession,
    FetchTool,
    ForgetZone,
    GetAutostart,
    ImportTunnel,
    Login,
    NewPairing,
    OpenDashboard,
    OpenDoor,
    Panic,
    PassStep,
    Pause,
    PromptSession,
    RemoveSecondFactor,
    RenameDevice,
    RenewRecoveryCodes,
    Repair,
    RestartService,
    RestoreTool,
    Resume,
    RetryJob,
    RevokePasskey,
    RevokeToken,
    SetAutostart,
    SetPassword,
    SetRoutes,
    SetSecret,
    SetTunnelToken,
    ShowWindow,
    Shutdown,
    StartService,
    StopService,
    UnlockSecrets,
)
from nexus_tray.model import Desired

Request = tuple[str, str, object]


def request_for(command: AnyCommand) -> Request:
    """The request that carries a command: method, path and JSON body (None: none)."""
    match command:
        case StartService(name=name):
            return "PUT", f"/services/{_part(name)}/desired", {"desired": Desired.RUNNING}
        case StopService(name=name):
            return "PUT", f"/services/{_part(name)}/desired", {"desired": Desired.STOPPED}
        case RestartService(name=name):
            return "POST", f"/services/{_part(name)}/restarts", None
        case OpenDoor(path=path):
            return "POST", "/tickets", {"path": path}
        case OpenDashboard(page=page):
            return "POST", "/dashboard-tickets", {"page": page}
        case _:
            return _opencode_request_for(command)


def _opencode_request_for(command: AnyCommand) -> Request:
    """The commands about OpenCode's sessions and questions."""
    match command:
        case AnswerPermission(question_id=key, reply=reply):
            return "PUT", f"/permissions/{_part(key)}/reply", {"reply": reply}
        case AnswerQuestion(question_id=key, answers=answers):
            return "PUT", f"/questions/{_part(key)}/answers", {"answers": answers}
        case CreateSession(text=text, directory=directory):
            return "POST", "/opencode/sessions", {"text": text, "directory": directory}
        case PromptSession(session_id=key, text=text):
            return "POST", f"/opencode/sessions/{_part(key)}/prompts", {"text": text}
        case AbortSession(session_id=key):
            return "POST", f"/opencode/sessions/{_part(key)}/aborts", None
        case _:
            return _other_request_for(command)


def _other_request_for(command: AnyCommand) -> Request:
    """The commands that concern the program itself."""
    match command:
        case GetAutostart():
            return "GET", "/autostart", None
        case SetAutostart(enabled=enabled):
            return "PUT", "/autostart", {"enabled": enabled}
        case ShowWindow(page=page):
            return "POST", "/window", {"page": page}
        case Shutdown():
            return "POST", "/shutdown", None
        case _:
            return _setup_request_for(command)


def _setup_request_for(command: AnyCommand) -> Request:
    """The commands about programs and checks."""
    match command:
        case FetchTool(name=name):
            return "PUT", f"/tools/{_part(name)}/fetch", None
        case CancelFetch(name=name):
            return "DELETE", f"/tools/{_part(name)}/fetch", None
        case RestoreTool(name=name):
            return "POST", f"/tools/{_part(name)}/restorations", None
        case Repair(code=code):
            return "POST", f"/checks/{_part(code)}/repairs", None
        case PassStep(step=step):
            return "PUT", f"/setup/steps/{_part(step)}", None
        case _:
            return _access_request_for(command)


def _access_request_for(command: AnyCommand) -> Request:
    """The commands that open and close the way from outside."""
    match command:
        case EndSession(id=key):
            return "DELETE", f"/sessions/{_part(key)}", None
        case EndAllSessions():
            return "DELETE", "/sessions", None
        case RenameDevice(id=key, name=name):
            return "PUT", f"/sessions/{_part(key)}/name", {"name": name}
        case RevokeToken(id=key):
            return "DELETE", f"/tokens/{_part(key)}", None
        case RevokePasskey(id=key):
            return "DELETE", f"/passkeys/{_part(key)}", None
        case EndPairings():
            return "DELETE", "/pairings", None
        case Pause(until_at=until):
            return "PUT", "/pause", {"until_at": until}
        case Resume():
            return "DELETE", "/pause", None
        case Panic():
            return "POST", "/panic", None
        case _:
            return _tunnel_request_for(command)


def _tunnel_request_for(command: AnyCommand) -> Request:
    """The commands that make, change and delete tunnels."""
    match command:
        case CreateTunnel():
            body = {k: v for k, v in msgspec.to_builtins(command).items() if k != "type"}
            return "POST", "/tunnels", body
        case DeleteTunnel(name=name, only_here=only_here):
            return "DELETE", f"/tunnels/{_part(name)}?only_here={str(only_here).lower()}", None
        case SetRoutes(name=name, routes=routes):
            body = {"routes": msgspec.to_builtins(routes)}
            return "PUT", f"/tunnels/{_part(name)}/routes", body
        case SetTunnelToken(name=name, token=token):
            return "PUT", f"/tunnels/{_part(name)}/token", {"token": token}
        case Login():
            return "POST", "/logins", None
        case ForgetZone(zone_id=zone):
            return "DELETE", f"/zones/{_part(zone)}", None
        case ImportTunnel(path=path):
            return "POST", "/imports", {"path": path}
        case _:
            return _job_request_for(command)


def _job_request_for(command: AnyCommand) -> Request:
    """The commands about what takes long."""
    match command:
        case AnswerJob(id=key, yes=yes):
            return "PUT", f"/jobs/{_part(key)}/answer", {"yes": yes}
        case CancelJob(id=key):
            return "POST", f"/jobs/{_part(key)}/cancellations", None
        case RetryJob(id=key):
            return "POST", f"/jobs/{_part(key)}/retries", None
        case DismissJob(id=key):
            return "DELETE", f"/jobs/{_part(key)}", None
        case _:
            return _private_request_for(command)


def _private_request_for(command: AnyCommand) -> Request:
    """The commands that carry or concern something secret."""
    match command:
        case SetPassword(password=password, current=current):
            return "PUT", "/password", {"password": password, "current": current}
        case ClearPassword():
            return "DELETE", "/password", None
        case SetSecret(name=name, secret=secret):
            return "PUT", f"/secrets/{_part(name)}", {"secret": secret}
        case DeleteSecret(name=name):
            return "DELETE", f"/secrets/{_part(name)}", None
        case UnlockSecrets(passphrase=passphrase):
            return "POST", "/secrets/unlockings", {"passphrase": passphrase}
        case _:
            return _sign_in_request_for(command)


def _sign_in_request_for(command: AnyCommand) -> Request:
    """The commands that make a way in, or change how one signs in."""
    match command:
        case BeginSecondFactor(current=current):
            return "POST", "/second-factor", {"current": current}
        case ConfirmSecondFactor(code=code):
            return "PUT", "/second-factor/confirmation", {"code": code}
        case RemoveSecondFactor(current=current):
            return "POST", "/second-factor/removals", {"current": current}
        case RenewRecoveryCodes(current=current):
            return "POST", "/second-factor/recovery-codes", {"current": current}
        case NewPairing(current=current, address=address, name=name):
            body = {"current": current, "address": address, "name": name}
            return "POST", "/pairings", body
        case CreateToken(current=current, name=name, scope=scope, days=days):
            asked = {"current": current, "name": name, "scope": scope, "days": days}
            return "POST", "/tokens", asked
    raise AssertionError(type(command).__name__)  # the value itself may be secret


def _part(name: str) -> str:
    """One segment of a path."""
    return quote(name.encode("utf-8", "replace"), safe="")
