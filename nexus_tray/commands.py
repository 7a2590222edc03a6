"""What a front end may ask for, and what comes of it.

Owns the commands and their outcome: values, told apart by their name in JSON. Imports
only the model.
"""

from enum import StrEnum

import msgspec

from nexus_tray.model import Reason, Value


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
    | Shutdown
)


class Outcome(Value, frozen=True):
    """What came of a Command. Refused: `reason` says why. `value` is the answer, if any."""

    ok: bool
    reason: Reason | None = None
    value: str = ""
