"""What a front end may ask for, and what comes of it.

Owns the commands and their outcome: values, told apart by their name in JSON. Imports
only the model and the settings.
"""

from enum import StrEnum
from typing import Literal

import msgspec

from nexus_tray.model import Reason, Value
from nexus_tray.settings import RouteSettings


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """Something a front end asks for. Subclasses are told apart by their name in JSON."""


class StartService(Command, frozen=True):
    """Wish a service to run, now and after the next start."""

    name: str


class StopService(Command, frozen=True):
    """Wish a service to be stopped, now and after the next start."""

    name: str


class RestartService(Command, frozen=True):
    """End the service's process and start it again. Also leaves FAILED."""

    name: str


class AnswerPermission(Command, frozen=True):
    """Reply to a permission that OpenCode asked for: `once`, `always` or `reject`."""

    question_id: str
    reply: str


class AnswerQuestion(Command, frozen=True):
    """Answer a question of OpenCode: one tuple of chosen labels per part; empty rejects."""

    question_id: str
    answers: tuple[tuple[str, ...], ...]


class SetPassword(Command, frozen=True):
    """Set the password for remote access; ends every signed-in session."""

    password: str


class ClearPassword(Command, frozen=True):
    """Remove the password: remote access ends at once."""


class OpenDoor(Command, frozen=True):
    """Make a one-time link into the gateway's local door. The outcome's value is the URL."""

    path: str = "/"


class OpenDashboard(Command, frozen=True):
    """Make a one-time link to the dashboard, at a page of it. The outcome's value is the URL."""

    page: str = "/"


class SetSecret(Command, frozen=True):
    """Store a provider key under an environment variable's name; OpenCode gets it at start."""

    name: str
    secret: str


class DeleteSecret(Command, frozen=True):
    """Forget a stored provider key."""

    name: str


class UnlockSecrets(Command, frozen=True):
    """Open (or create) the encrypted secrets file with its passphrase."""

    passphrase: str


class Autostart(StrEnum):
    """Whether the program starts by itself, read back from the system.

    SIGNED_IN: on, but the system will end it when the user signs out, and start it only
    when they sign in (systemd without lingering). STALE: on, but what would start is not
    this program: it was moved, or another copy was set up.
    """

    ON = "on"
    OFF = "off"
    SIGNED_IN = "on-signed-in"
    STALE = "stale"


class GetAutostart(Command, frozen=True):
    """Ask whether the program starts at login; the outcome's value is an `Autostart`."""


class SetAutostart(Command, frozen=True):
    """Start the program at login, or no longer; the outcome's value is the `Autostart` now."""

    enabled: bool


class EndSession(Command, frozen=True):
    """Sign out one device; its open streams end at once."""

    id: str


class EndAllSessions(Command, frozen=True):
    """Sign out every device."""


class Pause(Command, frozen=True):
    """Close remote access until `until_at` (epoch seconds; None: until Resume).

    The tunnels stop; OpenCode goes on, and what was wished of each tunnel is kept.
    """

    until_at: float | None = None


class Resume(Command, frozen=True):
    """End a pause."""


class Panic(Command, frozen=True):
    """End all access now: tunnels stopped, everybody signed out, every open link void.

    The outcome's value says what was done and how to come back.
    """


class FetchTool(Command, frozen=True):
    """Begin to fetch a program that we need (`opencode`, `cloudflared`)."""

    name: str


class CancelFetch(Command, frozen=True):
    """Stop fetching it; what is half here is removed."""

    name: str


class PassStep(Command, frozen=True):
    """Note that a step of the first start was done or skipped; `finish` ends the whole."""

    step: str


class ShowWindow(Command, frozen=True):
    """Show the dashboard's window at a page, raised; the browser where there is no window."""

    page: str = "/"


class CreateTunnel(Command, frozen=True):
    """Make a tunnel. The outcome's value is the job's id.

    `quick`: nothing else is needed. `named`: `zone_id` says with which certificate (empty: the
    only one), `routes` which host names are led to it. `token`: `token` is the token, or the whole
    line that Cloudflare shows for installing it.
    """

    name: str
    kind: Literal["quick", "named", "token"] = "quick"
    zone_id: str = ""
    token: str = ""
    routes: tuple[RouteSettings, ...] = ()


class DeleteTunnel(Command, frozen=True):
    """Delete a tunnel: here, and what we made at Cloudflare, unless `only_here`.

    The outcome's value is the job's id.
    """

    name: str
    only_here: bool = False


class SetRoutes(Command, frozen=True):
    """Give a tunnel these routes, in this order.

    Host names that are new to a named tunnel are led to it at Cloudflare; the outcome's value
    is then the job's id, else empty.
    """

    name: str
    routes: tuple[RouteSettings, ...]


class SetTunnelToken(Command, frozen=True):
    """Give a token tunnel another token of the same tunnel."""

    name: str
    token: str


class Login(Command, frozen=True):
    """Sign in at Cloudflare, to get the certificate for one zone. The outcome's value is the
    job's id; the job has the link to open."""


class ForgetZone(Command, frozen=True):
    """Delete a zone's certificate here. Tunnels go on; nothing can be made in it any more."""

    zone_id: str


class ImportTunnel(Command, frozen=True):
    """Take over what `Backend.importable` found at `path`: read, never changed. The outcome's
    value says what came of it."""

    path: str


class AnswerJob(Command, frozen=True):
    """Answer the question that a job waits with."""

    id: str
    yes: bool


class CancelJob(Command, frozen=True):
    """End a job; what it has done so far is said."""

    id: str


class RetryJob(Command, frozen=True):
    """Go on with a job that failed, where it failed."""

    id: str


class DismissJob(Command, frozen=True):
    """Show a job no more that is over."""

    id: str


class Repair(Command, frozen=True):
    """Do what `Check.repair` offers for the check of this code. The outcome's value says what
    was done."""

    code: str


class RestoreTool(Command, frozen=True):
    """Go back to the program that an update replaced (`opencode`, `cloudflared`)."""

    name: str


class Shutdown(Command, frozen=True):
    """End the program in order."""


AnyCommand = (
    StartService
    | StopService
    | RestartService
    | AnswerPermission
    | AnswerQuestion
    | SetPassword
    | ClearPassword
    | OpenDoor
    | OpenDashboard
    | SetSecret
    | DeleteSecret
    | UnlockSecrets
    | GetAutostart
    | SetAutostart
    | EndSession
    | EndAllSessions
    | Pause
    | Resume
    | Panic
    | FetchTool
    | CancelFetch
    | PassStep
    | ShowWindow
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
    | Repair
    | RestoreTool
    | Shutdown
)


class Outcome(Value, frozen=True):
    """What came of a Command. Refused: `reason` says why. `value` is the answer, if any."""

    ok: bool
    reason: Reason | None = None
    value: str = ""
