"""What the program needs: programs, provider keys, the first start, repairs."""

from nexus_tray.commands.base import Command


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


class FetchTool(Command, frozen=True):
    """Begin to fetch a program that we need (`opencode`, `cloudflared`)."""

    name: str


class CancelFetch(Command, frozen=True):
    """Stop fetching it; what is half here is removed."""

    name: str


class RestoreTool(Command, frozen=True):
    """Go back to the program that an update replaced (`opencode`, `cloudflared`)."""

    name: str


class PassStep(Command, frozen=True):
    """Note that a step of the first start was done or skipped; `finish` ends the whole."""

    step: str


class Repair(Command, frozen=True):
    """Do what `Check.repair` offers for the check of this code. The outcome's value says what
    was done."""

    code: str
