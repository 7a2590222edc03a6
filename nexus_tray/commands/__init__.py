"""What a front end may ask for, and what comes of it.

Owns the commands and their outcome: values, told apart by their name in JSON; a module for each
subject. Imports only the model and the settings.
"""

from nexus_tray.commands.access import (
    BeginSecondFactor,
    ClearPassword,
    ConfirmSecondFactor,
    CreateToken,
    EndAllSessions,
    EndPairings,
    EndSession,
    NewPairing,
    Panic,
    Pause,
    RemoveSecondFactor,
    RenameDevice,
    RenewRecoveryCodes,
    Resume,
    RevokePasskey,
    RevokeToken,
    SetPassword,
)
from nexus_tray.commands.base import Command
from nexus_tray.commands.opencode import (
    AbortSession,
    AnswerPermission,
    AnswerQuestion,
    CreateSession,
    PromptSession,
)
from nexus_tray.commands.services import (
    Autostart,
    GetAutostart,
    OpenDashboard,
    OpenDoor,
    RestartService,
    SetAutostart,
    ShowWindow,
    Shutdown,
    StartService,
    StopService,
)
from nexus_tray.commands.setup import (
    CancelFetch,
    DeleteSecret,
    FetchTool,
    PassStep,
    Repair,
    RestoreTool,
    SetSecret,
    UnlockSecrets,
)
from nexus_tray.commands.tunnels import (
    AnswerJob,
    CancelJob,
    CreateTunnel,
    DeleteTunnel,
    DismissJob,
    ForgetZone,
    ImportTunnel,
    Login,
    RetryJob,
    SetRoutes,
    SetTunnelToken,
)
from nexus_tray.model import Reason, Value

__all__ = [
    "AbortSession",
    "AnswerJob",
    "AnswerPermission",
    "AnswerQuestion",
    "AnyCommand",
    "Autostart",
    "BeginSecondFactor",
    "CancelFetch",
    "CancelJob",
    "ClearPassword",
    "Command",
    "ConfirmSecondFactor",
    "CreateSession",
    "CreateToken",
    "CreateTunnel",
    "DeleteSecret",
    "DeleteTunnel",
    "DismissJob",
    "EndAllSessions",
    "EndPairings",
    "EndSession",
    "FetchTool",
    "ForgetZone",
    "GetAutostart",
    "ImportTunnel",
    "Login",
    "NewPairing",
    "OpenDashboard",
    "OpenDoor",
    "Outcome",
    "Panic",
    "PassStep",
    "Pause",
    "PromptSession",
    "RemoveSecondFactor",
    "RenameDevice",
    "RenewRecoveryCodes",
    "Repair",
    "RestartService",
    "RestoreTool",
    "Resume",
    "RetryJob",
    "RevokePasskey",
    "RevokeToken",
    "SetAutostart",
    "SetPassword",
    "SetRoutes",
    "SetSecret",
    "SetTunnelToken",
    "ShowWindow",
    "Shutdown",
    "StartService",
    "StopService",
    "UnlockSecrets",
]

AnyCommand = (
    StartService
    | StopService
    | RestartService
    | OpenDoor
    | OpenDashboard
    | ShowWindow
    | GetAutostart
    | SetAutostart
    | Shutdown
    | AnswerPermission
    | AnswerQuestion
    | CreateSession
    | PromptSession
    | AbortSession
    | SetPassword
    | ClearPassword
    | BeginSecondFactor
    | ConfirmSecondFactor
    | RemoveSecondFactor
    | RenewRecoveryCodes
    | NewPairing
    | EndPairings
    | CreateToken
    | RevokeToken
    | RevokePasskey
    | RenameDevice
    | EndSession
    | EndAllSessions
    | Pause
    | Resume
    | Panic
    | SetSecret
    | DeleteSecret
    | UnlockSecrets
    | FetchTool
    | CancelFetch
    | RestoreTool
    | PassStep
    | Repair
    | CreateTunnel
    | DeleteTunnel
    | SetRoutes
    | SetTunnelToken
    | Login
    | ForgetZone
    | ImportTunnel
    | AnswerJob
    | CancelJob
    | RetryJob
    | DismissJob
)


class Outcome(Value, frozen=True):
    """What came of a Command. Refused: `reason` says why. `value` is the answer, if any."""

    ok: bool
    reason: Reason | None = None
    value: str = ""
