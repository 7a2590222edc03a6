"""Who may come in from outside, and how. What makes a new way in, or changes sign-in, asks
for the password again (SECURITY.md "Sessions")."""

from typing import Annotated, Literal

import msgspec

from nexus_tray.commands.base import Command


class SetPassword(Command, frozen=True):
    """Set the password for remote access; ends everything that was let in with the one before.

    `current` is that one; needed where one is set.
    """

    password: str
    current: str = ""


class ClearPassword(Command, frozen=True):
    """Remove the password: remote access ends at once."""


class BeginSecondFactor(Command, frozen=True):
    """Begin to set up one-time codes. The outcome's value is the `otpauth:` address for the
    authenticator; nothing changes before `ConfirmSecondFactor`. `current`: the password."""

    current: str


class ConfirmSecondFactor(Command, frozen=True):
    """Show that the authenticator works: from now on signing in asks for a code. The outcome's
    value is the recovery codes, one in a line, which are never shown again."""

    code: str


class RemoveSecondFactor(Command, frozen=True):
    """Sign in by password alone again; the recovery codes are void. `current`: the password."""

    current: str


class RenewRecoveryCodes(Command, frozen=True):
    """Make new recovery codes; the old ones are void. The outcome's value as at
    `ConfirmSecondFactor`. `current`: the password."""

    current: str


class NewPairing(Command, frozen=True):
    """Make a one-time link that signs in one phone. The outcome's value is the link.

    `current`: the password, asked for again. `address`: by which of our addresses it comes in
    (empty: the public one). `name`: what the device is to be called (empty: after its browser).
    """

    current: str
    address: str = ""
    name: str = ""


class EndPairings(Command, frozen=True):
    """Void every pairing link that was not used yet."""


class CreateToken(Command, frozen=True):
    """Make an API token for programs that speak to OpenCode. The outcome's value is the token,
    which is never shown again. `days`: how long it is good. `current`: the password."""

    current: str
    name: str
    scope: Literal["full", "read"] = "full"
    days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 30


class RevokeToken(Command, frozen=True):
    """Void an API token; what is open with it ends at once."""

    id: str


class RevokePasskey(Command, frozen=True):
    """Take a passkey away; whoever came in with it is signed out at once."""

    id: str


class RenameDevice(Command, frozen=True):
    """Call a signed-in device something else."""

    id: str
    name: str


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
