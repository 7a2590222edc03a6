"""Passkeys from a terminal: which there are, and the end of one.

Imports layer 1, Backend and its own room; main thread.
"""

from argparse import Namespace

from nexus_tray.cli import draw
from nexus_tray.cli.console import Console, Exit
from nexus_tray.commands import RevokePasskey
from nexus_tray.core.backend import Backend
from nexus_tray.inert import inert
from nexus_tray.reports import PasskeyEntry

NONE = (
    "There is none. To add one, sign in at a named tunnel's address on the device that is to keep "
    "it, and choose Passkeys there."
)


def passkeys(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Which there are."""
    found = backend.access().passkeys
    if console.json:
        console.show(found)
        return Exit.OK
    for one in found:
        console.say(_line(one, console.now()))
    console.say("\nTo revoke one: nexus-tray passkey revoke ID" if found else NONE)
    return Exit.OK


def revoke_passkey(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Take one away."""
    outcome = backend.submit(RevokePasskey(id=options.id))
    return console.conclude(outcome, "It is gone, and who came in with it is signed out.")


def _line(one: PasskeyEntry, now: float) -> str:
    used = "never used" if one.used_at is None else f"used {draw.span(now - one.used_at)} ago"
    made = f"added {draw.span(now - one.made_at)} ago"
    return inert("  ".join((f"{one.id:<16}", f"{one.name:<24}", one.host, f"{made}, {used}")))
