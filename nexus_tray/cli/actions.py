"""What each command does: one function per verb, from options to an exit code.

Owns the sentences that a command prints. Every action draws what Backend says or submits
a Command; nothing else is decided here. Imports layer 1 and Backend only; main thread.
"""

import time
from argparse import Namespace

import msgspec

from nexus_tray.cli import draw, settings_keys
from nexus_tray.cli.console import Console, Exit, read_secret
from nexus_tray.commands import (
    Autostart,
    ClearPassword,
    DeleteSecret,
    GetAutostart,
    OpenDashboard,
    OpenDoor,
    Outcome,
    RestartService,
    SetAutostart,
    SetPassword,
    SetSecret,
    ShowWindow,
    Shutdown,
    StartService,
    StopService,
    UnlockSecrets,
)
from nexus_tray.core.backend import Backend
from nexus_tray.inert import inert
from nexus_tray.model import Hop, Problem, Reason, ServiceKind

END_SECONDS = 25.0
"""How long `quit` waits; an orderly end is bounded by 15 s."""


def status(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Draw the Snapshot."""
    snapshot = backend.snapshot()
    if console.json:
        console.show(snapshot)
    else:
        picture = draw.status(snapshot, console.now(), console.paint, console.width)
        console.say("\n".join(picture))
    return Exit.OK


def start(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Wish services to run; all, when none is named."""
    names = options.services or [s.name for s in backend.snapshot().services]
    outcomes = {name: backend.submit(StartService(name=name)) for name in names}
    code = _conclude(outcomes, "will run, now and after the next start", console)
    if backend.snapshot().paused and not console.json:
        console.say("Remote access is paused, so no tunnel runs. To end that: nexus-tray resume")
    return code


def stop(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Wish services to be stopped; all but the gateway, when none is named.

    The gateway alone lets nobody in, and it is what says that the rest is down.
    """
    services = reversed(backend.snapshot().services)
    names = options.services or [s.name for s in services if s.kind is not ServiceKind.GATEWAY]
    outcomes = {name: backend.submit(StopService(name=name)) for name in names}
    return _conclude(outcomes, "will be stopped, now and after the next start", console)


def restart(backend: Backend, options: Namespace, console: Console) -> Exit:
    """End services' processes and start them again."""
    outcomes = {name: backend.submit(RestartService(name=name)) for name in options.services}
    return _conclude(outcomes, "is being restarted", console)


def open_door(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Open OpenCode in this machine's browser by a one-time link."""
    return _open(backend.submit(OpenDoor(path=options.path)), options, console)


def open_dashboard(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Show the dashboard: in its window, or where there is none in this machine's browser.

    A program without a desktop can show nothing; then it is opened from here, as we may have
    one, by a one-time link. So it is where the browser is wished: it is then our child.
    """
    wished = not options.print and not console.json
    if wished and backend.config().settings.dashboard.open_in != "browser":
        shown = backend.submit(ShowWindow(page=options.page))
        if shown.ok:
            if shown.value:
                console.say(inert(shown.value))
            return Exit.OK
    return _open(backend.submit(OpenDashboard(page=options.page)), options, console)


def _open(outcome: Outcome, options: Namespace, console: Console) -> Exit:
    if not outcome.ok or console.json:
        return console.conclude(outcome, "")
    if options.print or not console.browse(outcome.value):
        console.say(inert(outcome.value))
    return Exit.OK


def password_set(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Set the password for remote access."""
    known = backend.access().password
    current = read_secret(console, "Present password", twice=False) if known else ""
    password = read_secret(console, "New password", twice=True)
    outcome = backend.submit(SetPassword(password=password, current=current))
    return console.conclude(outcome, "The password is set. Everybody has to sign in again.")


def password_clear(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Remove the password."""
    done = "The password is removed. Without one there is no remote access."
    return console.conclude(backend.submit(ClearPassword()), done)


def secret_set(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Store a provider key."""
    secret = read_secret(console, f"Value of {options.name}", twice=False)
    outcome = backend.submit(SetSecret(name=options.name, secret=secret))
    done = f"{inert(options.name)} is stored. OpenCode gets it at its next start."
    return console.conclude(outcome, done)


def secret_unset(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Forget a provider key."""
    outcome = backend.submit(DeleteSecret(name=options.name))
    return console.conclude(outcome, f"{inert(options.name)} is forgotten.")


def secret_unlock(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Open the encrypted secrets file."""
    passphrase = read_secret(console, "Passphrase of the secrets", twice=False)
    outcome = backend.submit(UnlockSecrets(passphrase=passphrase))
    return console.conclude(outcome, "The secrets are open until Nexus Tray ends.")


def config_list(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Print every setting."""
    configuration = backend.config()
    if console.json:
        console.show(configuration)
        return Exit.OK
    for key, value in settings_keys.leaves(msgspec.to_builtins(configuration.settings)):
        console.say(f"{key} = {inert(settings_keys.plain(value))}")
    return Exit.OK


def config_get(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Print one setting."""
    tree = msgspec.to_builtins(backend.config().settings)
    value = settings_keys.find(tree, options.key)
    if console.json:
        console.show(value)
    else:
        console.say(inert(settings_keys.plain(value)))
    return Exit.OK


def config_set(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Change one setting, unless somebody changed any since it was read."""
    before = backend.config()
    tree = msgspec.to_builtins(before.settings)
    patch = settings_keys.change(tree, options.key, options.value)
    after = backend.update_config(patch, before.etag)
    if console.json:
        console.show(after)
    else:
        value = settings_keys.find(msgspec.to_builtins(after.settings), options.key)
        console.say(f"{options.key} = {inert(settings_keys.plain(value))}")
    return Exit.OK


def autostart_on(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Start at login."""
    return _say_autostart(backend.submit(SetAutostart(enabled=True)), console)


def autostart_off(backend: Backend, _: Namespace, console: Console) -> Exit:
    """No longer start at login."""
    return _say_autostart(backend.submit(SetAutostart(enabled=False)), console)


def autostart_status(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Whether it starts at login."""
    return _say_autostart(backend.submit(GetAutostart()), console)


def quit_program(backend: Backend, options: Namespace, console: Console) -> Exit:
    """End the program in order, and wait until it has ended."""
    outcome = backend.submit(Shutdown())
    if outcome.ok and not options.no_wait and not _ended(backend):
        return console.refuse(STILL_RUNNING)
    done = "Nexus Tray is ending." if options.no_wait else "Nexus Tray has ended."
    return console.conclude(outcome, done)


AUTOSTART_WORDS: dict[str, str] = {
    Autostart.ON: "Nexus Tray starts at login.",
    Autostart.OFF: "Nexus Tray does not start at login. To have it so: nexus-tray autostart on",
    Autostart.SIGNED_IN: "Nexus Tray starts when you sign in, and ends when you sign out.\n"
    "To have it run from boot on: loginctl enable-linger",
    Autostart.STALE: "Something starts at login, but not this Nexus Tray: it was moved, or"
    " another copy is entered.\nTo enter this one: nexus-tray autostart on",
}


STILL_RUNNING = Reason(
    code="cli-still",
    hop=Hop.GATEWAY,
    what=f"Nexus Tray was asked to end and still answers after {END_SECONDS:.0f} seconds.",
    cure="See what holds it up: nexus-tray status",
)


def _ended(backend: Backend) -> bool:
    """Whether the program stopped answering in time. Waits on its events, not on a clock."""
    until = time.monotonic() + END_SECONDS
    cursor = None
    while (left := until - time.monotonic()) > 0:
        try:
            cursor = backend.events(cursor, min(left, 5.0)).cursor
        except Problem as problem:
            if problem.reason.code == "not-running":
                return True
            time.sleep(0.05)  # an answer cut short by the end itself: ask again
    return False


def _say_autostart(outcome: Outcome, console: Console) -> Exit:
    return console.conclude(outcome, AUTOSTART_WORDS.get(outcome.value, inert(outcome.value)))


def _conclude(outcomes: dict[str, Outcome], done: str, console: Console) -> Exit:
    """Say what came of each; the worst decides the exit code."""
    if console.json:
        console.show(outcomes)
        return Exit.OK if all(outcome.ok for outcome in outcomes.values()) else Exit.REFUSED
    codes = [
        console.conclude(outcome, f"{inert(name)} {done}.") for name, outcome in outcomes.items()
    ]
    return max(codes, default=Exit.OK)
