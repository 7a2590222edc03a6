"""Who may come in, from a terminal: pause, resume, panic, and the devices signed in.

Owns how long a pause is written, and the question before a panic. Imports layer 1, the pure
parts of core and Backend; main thread.
"""

import argparse
import re
from argparse import Namespace

from nexus_tray.cli import draw
from nexus_tray.cli.console import Console, Exit
from nexus_tray.commands import EndAllSessions, EndSession, Panic, Pause, RenameDevice, Resume
from nexus_tray.core.backend import Backend
from nexus_tray.core.moments import tomorrow
from nexus_tray.inert import inert
from nexus_tray.reports import Device

TOMORROW = "tomorrow"
_HOW = {
    "password": "by password",
    "code": "by password and code",
    "recovery": "by password and recovery code",
    "passkey": "by a passkey",
    "pairing": "by pairing",
    "ticket": "by a one-time link",
}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def span(text: str) -> str:
    """A length that `pause` takes, as it was written; raises ArgumentTypeError."""
    if text != TOMORROW and not re.fullmatch(r"[0-9]{1,7}[smhd]", text):
        raise argparse.ArgumentTypeError(f"15m, 1h, 2d or {TOMORROW}, not “{inert(text)}”")
    return text


def pause(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Close remote access for a while, or until it is resumed."""
    outcome = backend.submit(Pause(until_at=_until(options.span, console.now())))
    return console.conclude(outcome, inert(outcome.value) or "Remote access is paused.")


def resume(backend: Backend, _: Namespace, console: Console) -> Exit:
    """End a pause."""
    outcome = backend.submit(Resume())
    return console.conclude(outcome, inert(outcome.value) or "Remote access is no longer paused.")


def panic(backend: Backend, options: Namespace, console: Console) -> Exit:
    """End all access, having asked on a terminal; a script has decided already."""
    if console.source.isatty() and not options.yes and not _sure(console):
        console.say("Nothing was changed.")
        return Exit.OK
    outcome = backend.submit(Panic())
    return console.conclude(outcome, inert(outcome.value) or "All access is ended.")


def devices(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Who is signed in."""
    access = backend.access()
    if console.json:
        console.show(access.devices)
        return Exit.OK
    if not access.devices:
        console.say("Nobody is signed in.")
        return Exit.OK
    for device in access.devices:
        console.say(_line(device, console.now()))
    console.say("\nTo sign one out: nexus-tray devices end ID")
    return Exit.OK


def end_device(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Sign out one device."""
    return console.conclude(backend.submit(EndSession(id=options.id)), "It is signed out.")


def rename_device(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Call one something else."""
    outcome = backend.submit(RenameDevice(id=options.id, name=options.name))
    return console.conclude(outcome, f"It is called {inert(options.name)} now.")


def end_devices(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Sign out every device."""
    return console.conclude(backend.submit(EndAllSessions()), "Everybody is signed out.")


def _until(written: str | None, now: float) -> float | None:
    if written is None:
        return None
    return tomorrow(now) if written == TOMORROW else now + int(written[:-1]) * _UNITS[written[-1]]


def _sure(console: Console) -> bool:
    console.err.write(
        "This stops every tunnel, signs out every device, and voids every API token, passkey\n"
        "and link. OpenCode goes on working. End all access now? [y/N] "
    )
    console.err.flush()
    return console.source.readline(16).strip().lower() in ("y", "yes")


def _line(device: Device, now: float) -> str:
    where = "this computer" if device.door == "local" else f"{device.address}  {device.host}"
    seen = f"seen {draw.span(now - device.seen_at)} ago"
    how = _HOW.get(device.how, device.how)
    since = f"signed in {how} {draw.span(now - device.signed_in_at)} ago"
    moved = f"{draw.size(device.received)} in, {draw.size(device.sent)} out"
    country = f"{device.country} " if device.country else ""
    parts = (f"{device.id:<16}", f"{device.name:<24}", country + where, f"{seen}, {since}", moved)
    return inert("  ".join(parts))
