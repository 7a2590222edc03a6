"""What makes a way in or changes sign-in, from a terminal: pairing, API tokens, second factor.

Owns what is asked for, in which order, and what is shown once. Imports layer 1, Backend and its
own room; main thread. The password is asked for again by each of them, on the terminal without
echo or as the first line of standard input; what is secret goes to standard output alone.
"""

from argparse import Namespace
from urllib.parse import parse_qs, urlsplit

from nexus_tray.cli import draw
from nexus_tray.cli.console import Console, Exit, read_secret
from nexus_tray.cli.qr import drawn
from nexus_tray.commands import (
    BeginSecondFactor,
    ConfirmSecondFactor,
    CreateToken,
    EndPairings,
    NewPairing,
    RemoveSecondFactor,
    RenewRecoveryCodes,
    RevokeToken,
)
from nexus_tray.core.backend import Backend
from nexus_tray.inert import inert
from nexus_tray.reports import TokenEntry

PASSWORD = "Password for remote access"  # noqa: S105 - what is asked for


def pair(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Make a link for one phone, and show it to be scanned."""
    current = read_secret(console, PASSWORD, twice=False)
    command = NewPairing(current=current, address=options.address, name=options.name)
    outcome = backend.submit(command)
    if not outcome.ok or console.json:
        return console.conclude(outcome, "")
    if console.out.isatty() and not options.link:
        console.say("Scan this with your phone; it works once, for 10 minutes.\n")
        for line in drawn(outcome.value):
            console.say(line)
        console.say("")
    console.say(inert(outcome.value))
    if console.out.isatty():
        console.say("\nTo void it: nexus-tray pair --cancel")
    return Exit.OK


def end_pairings(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Void the links not used yet."""
    outcome = backend.submit(EndPairings())
    return console.conclude(outcome, "Every pairing link that was not used yet is void.")


def pair_or_cancel(backend: Backend, options: Namespace, console: Console) -> Exit:
    """`pair`, or with --cancel its contrary."""
    return (end_pairings if options.cancel else pair)(backend, options, console)


def tokens(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Which API tokens there are."""
    found = backend.access().tokens
    if console.json:
        console.show(found)
        return Exit.OK
    for token in found:
        console.say(_line(token, console.now()))
    console.say("\nTo revoke one: nexus-tray token revoke ID" if found else "There is none.")
    return Exit.OK


def create_token(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Make one, and show it once."""
    current = read_secret(console, PASSWORD, twice=False)
    command = CreateToken(
        current=current,
        name=options.name,
        scope="read" if options.read_only else "full",
        days=options.days,
    )
    outcome = backend.submit(command)
    if outcome.ok and not console.json and console.out.isatty():
        console.say("This is the token. It is not shown again.\n")
    return console.conclude(outcome, inert(outcome.value))


def revoke_token(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Void one."""
    return console.conclude(backend.submit(RevokeToken(id=options.id)), "It is void.")


def second_factor(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Whether signing in asks for a code."""
    access = backend.access()
    if console.json:
        console.show({"on": access.second_factor, "recovery_codes": access.recovery_codes})
        return Exit.OK
    if not access.second_factor:
        console.say("Off: the password alone signs in. To turn it on: nexus-tray second-factor on")
        return Exit.OK
    left = access.recovery_codes
    console.say(f"On: signing in asks for a one-time code. Recovery codes left: {left}.")
    return Exit.OK


def second_factor_on(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Set it up: a code to scan, and one to type."""
    current = read_secret(console, PASSWORD, twice=False)
    begun = backend.submit(BeginSecondFactor(current=current))
    if not begun.ok:
        return console.conclude(begun, "")
    if console.out.isatty():
        for line in drawn(begun.value):
            console.say(line)
    secret = parse_qs(urlsplit(begun.value).query).get("secret", [""])[0]
    console.say(f"Scan this with your authenticator app, or type: {inert(secret)}\n")
    console.out.flush()
    code = read_secret(console, "The code it shows now", twice=False)
    return _codes(backend, ConfirmSecondFactor(code=code), console)


def second_factor_off(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Sign in by password alone again."""
    current = read_secret(console, PASSWORD, twice=False)
    outcome = backend.submit(RemoveSecondFactor(current=current))
    return console.conclude(outcome, "It is off: the password alone signs in.")


def recovery_codes(backend: Backend, _: Namespace, console: Console) -> Exit:
    """New recovery codes instead of the old ones."""
    current = read_secret(console, PASSWORD, twice=False)
    return _codes(backend, RenewRecoveryCodes(current=current), console)


def _codes(
    backend: Backend, command: ConfirmSecondFactor | RenewRecoveryCodes, console: Console
) -> Exit:
    outcome = backend.submit(command)
    if not outcome.ok or console.json:
        return console.conclude(outcome, "")
    console.say("Keep these recovery codes somewhere safe. Each signs in once, instead of a code")
    console.say("of the authenticator. They are not shown again.\n")
    for code in outcome.value.splitlines():
        console.say(inert(code))
    return Exit.OK


def _line(token: TokenEntry, now: float) -> str:
    used = "never used" if token.seen_at is None else f"used {draw.span(now - token.seen_at)} ago"
    ends = f"ends in {draw.span(max(0.0, token.expires_at - now))}"
    parts = (f"{token.id:<16}", f"{token.name:<24}", f"{token.scope:<4}", f"{used}, {ends}")
    return inert("  ".join(parts))
