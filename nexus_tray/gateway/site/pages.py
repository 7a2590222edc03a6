"""The gateway's pages: the frame around each, sign-in, and the short ones that say why not.

Pure functions from values to HTML; every foreign text passes `text`. Imports the model,
`inert` and `gateway.forms`. No inline style or script, so the policy below holds; nothing
here needs a script to work. Runs on the gateway's event loop. The home page is
`gateway.home`.
"""

import html

from nexus_tray.gateway.site.forms import with_next
from nexus_tray.inert import inert
from nexus_tray.model import Reason

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""Content-Security-Policy of our pages (SECURITY.md 14)."""

MARK = (
    '<svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">'
    '<circle cx="4" cy="10" r="3" fill="currentColor"/>'
    '<path d="M7 10h6" stroke="currentColor" stroke-width="2"/>'
    '<circle class="far" cx="16" cy="10" r="3"/></svg>'
)

FAILED = (
    "That did not work. Either something is wrong in it, or there were too many tries: "
    "then wait a while before the next."
)
"""One text for wrong, locked and paused alike (SECURITY.md 10)."""

SIGN_IN = "/_nexus/sign-in"
RECOVERY = f"{SIGN_IN}?recovery=1"
"""The same page, which asks for a recovery code in place of a one-time code."""


def text(foreign: str) -> str:
    """Foreign text on one line: nothing in it is markup, and nothing in it acts."""
    return html.escape(inert(foreign))


def frame(title: str, machine: str, body: str, *, corner: str = "", kind: str = "card") -> bytes:
    """A whole page. `body` and `corner` (beside the machine's name) are HTML of ours."""
    script = '<script src="/_nexus/live.js" defer></script>' if kind == "home" else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<meta name="theme-color" content="#f6f6f3" media="(prefers-color-scheme: light)">'
        '<meta name="theme-color" content="#141619" media="(prefers-color-scheme: dark)">'
        f"<title>{text(title)} · {text(machine)}</title>"
        '<link rel="icon" href="/_nexus/icon.svg" type="image/svg+xml">'
        '<link rel="manifest" href="/_nexus/app.webmanifest">'
        '<link rel="apple-touch-icon" href="/_nexus/app-touch.png">'
        f'<link rel="stylesheet" href="/_nexus/style.css">{script}</head>'
        f'<body><main class="{kind}">'
        f'<header class="mark">{MARK}<span class="name">{text(machine)}</span>{corner}</header>'
        f"{body}</main></body></html>\n"
    ).encode()


def sign_in(
    machine: str,
    leads_to: str,
    *,
    code: bool = False,
    recovery: bool = False,
    failed: bool = False,
    passkey: bool = False,
) -> bytes:
    """The sign-in page, with a field for the one-time code where one is asked for (`recovery`: for
    a recovery code instead), and a button for a passkey where one is offered, which the script
    shows. `leads_to` is a path that was judged already; it stands in the form's address, so that
    the whole of the small body is there for the password.

    The hidden user name lets password managers file the password under something.
    """
    told = f'<p class="note down" role="alert">{text(FAILED)}</p>' if failed else ""
    invalid = ' aria-invalid="true"' if failed else ""
    second = _second(leads_to, invalid, recovery=recovery) if code else ""
    again = RECOVERY if code and recovery else SIGN_IN
    return frame(
        "Sign in",
        machine,
        f'<h1>Sign in</h1>{told}<form method="post" '
        f'action="{text(with_next(again, leads_to))}">'
        '<input class="unseen" type="text" name="username" value="owner" tabindex="-1" '
        'aria-hidden="true" readonly autocomplete="username">'
        '<label>Password<input type="password" name="password" autocomplete="current-password" '
        f'autocapitalize="none" spellcheck="false" required autofocus{invalid}></label>'
        f"{second}"
        '<button class="primary">Sign in</button></form>'
        f"{_passkey(leads_to) if passkey else ''}"
        '<p class="dim small">This opens a computer that runs an AI coding agent. Only its '
        "owner should be here. Every attempt is recorded.</p>",
    )


def _second(leads_to: str, invalid: str, *, recovery: bool) -> str:
    """The code's field, and the way to the other kind: an authenticator's code is typed with a
    keyboard of digits, on which no recovery code can be typed."""
    if recovery:
        name, kind, other = "Recovery code", 'autocomplete="off"', SIGN_IN
        says = "Use a one-time code instead"
    else:
        name, kind = "One-time code", 'inputmode="numeric" autocomplete="one-time-code"'
        other, says = RECOVERY, "Use a recovery code instead"
    return (
        f'<label>{name}<input type="text" name="code" {kind} autocapitalize="none" '
        f'spellcheck="false" maxlength="40" required{invalid}></label>'
        f'<a class="small" href="{text(with_next(other, leads_to))}">{says}</a>'
    )


def _passkey(leads_to: str) -> str:
    return (
        f'<div id="passkey" data-next="{text(leads_to)}" hidden>'
        '<p class="note down" role="alert" hidden></p>'
        '<button type="button">Use a passkey</button></div>'
        '<script src="/_nexus/passkey.js" defer></script>'
    )


def no_password(machine: str) -> bytes:
    """Remote access is off because nobody has set a password."""
    return frame(
        "Remote access is off",
        machine,
        "<h1>Remote access is off</h1>"
        "<p>No password is set on this computer, so nobody can come in from outside.</p>"
        "<p>If it is yours, run this on it, then reload this page:</p>"
        '<p class="code">nexus-tray password set</p>',
    )


def ask_for_ticket(machine: str, *, refused: bool) -> bytes:
    """The local door, without a session: it is opened from the machine itself."""
    told = (
        '<p class="note down" role="alert">This link has been used, or is older than a '
        "minute. Ask for a new one.</p>"
        if refused
        else ""
    )
    return frame(
        "Open from this computer",
        machine,
        f"<h1>Open from this computer</h1>{told}"
        "<p>This door is for programs of this computer’s owner. Run this to come in:</p>"
        '<p class="code">nexus-tray open</p>'
        '<p class="dim small">It opens a link that works once and for a minute.</p>',
    )


def trouble(title: str, machine: str, reason: Reason, *, back: bool = False) -> bytes:
    """Something expected went wrong: what, what it means, what to do."""
    parts = [part for part in (reason.meaning, reason.cure) if part]
    return frame(
        title,
        machine,
        f'<h1>{text(title)}</h1><p class="note down" role="alert">{text(reason.what)}</p>'
        + "".join(f"<p>{text(part)}</p>" for part in parts)
        + ('<p><a class="button" href="/_nexus/">Back to the sessions</a></p>' if back else ""),
    )


def short(title: str, machine: str, sentence: str) -> bytes:
    """A page of one sentence."""
    return frame(title, machine, f"<h1>{text(title)}</h1><p>{text(sentence)}</p>")


def onward(machine: str, host: str, address: str) -> bytes:
    """A page that leads on to a preview by itself; `address` is the whole link."""
    return frame(
        "Opening the preview",
        machine,
        f"<h1>Opening the preview</h1><p>It is at {text(host)}.</p>"
        f'<p><a class="button" rel="noreferrer" href="{text(address)}">Go on</a></p>',
    )
