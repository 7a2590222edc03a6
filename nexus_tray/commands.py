"""What a front end may ask for, and what comes of it.

Owns the commands and their outcome: values, told apart by their name in JSON. Imports
only the model.
"""

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
    | SetSecret
    | DeleteSecret
    | UnlockSecrets
    | Shutdown
)


class Outcome(Value, frozen=True):
    """What came of a Command. Refused: `reason` says why. `value` is the answer, if any."""

    ok: bool
    reason: Reason | None = None
    value: str = ""
