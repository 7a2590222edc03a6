"""What one look found, and how any text is shown without secrets: words for the doctor.

Owns `Finding` and the masking of what a report must not tell. Imports the model and the
reports; pure, so any thread may call. Checks in `system` and `services` make findings, and
`app.doctor` makes the examination of them.
"""

import re

from nexus_tray.model import Reason, Value
from nexus_tray.reports import CheckState

HIDDEN = "…"
_SECRETS = (
    re.compile(r"\$argon2\S*"),
    re.compile(r"(?<=ticket=)[^\s&]+"),
    re.compile(r"(?<=auth_token=)[^\s&]+"),
    re.compile(r"(?i)(?<=\bbearer )\S+|(?<=\bbasic )[A-Za-z0-9+/=]{8,}"),
    re.compile(r"(?<=://)[^/\s@]+(?=@)"),
    re.compile(r"\b(?:sk|gh[opsu]|github_pat|xox[abp])[-_][A-Za-z0-9_-]{12,}"),
    re.compile(r"[A-Za-z0-9_-]{32,}={0,2}"),
    re.compile(r"\b(?!api\.)[a-z0-9-]+(?=\.trycloudflare\.com\b)"),
)
_COMMAND = re.compile(r"(?:^|[:,] )((?:nexus-tray|chmod|chown|loginctl|rm) [^:]+?)\.?$")


class Finding(Value, frozen=True):
    """One look's result. `reason` says why it is not good; `command` is what to type then."""

    state: CheckState
    text: str
    reason: Reason | None = None
    command: str = ""


def good(text: str) -> Finding:
    """All is well, and this is the figure."""
    return Finding(state=CheckState.GOOD, text=text)


def warning(reason: Reason, text: str = "", command: str = "") -> Finding:
    """It works, but something should be done."""
    return _found(CheckState.WARNING, reason, text, command)


def bad(reason: Reason, text: str = "", command: str = "") -> Finding:
    """It does not work, or is not safe."""
    return _found(CheckState.BAD, reason, text, command)


def unknown(text: str, reason: Reason | None = None) -> Finding:
    """It could not be found out; `text` says why."""
    return Finding(state=CheckState.UNKNOWN, text=text, reason=reason)


def _found(state: CheckState, reason: Reason, text: str, command: str) -> Finding:
    given = command or command_in(reason.cure)
    return Finding(state=state, text=text or reason.what, reason=reason, command=given)


def command_in(cure: str) -> str:
    """The command that a cure ends with ("Choose one: nexus-tray password set"), or nothing."""
    found = _COMMAND.search(cure)
    return found[1] if found else ""


def masked(text: str, home: str) -> str:
    """`text` as it may stand in a report for strangers: secrets hidden, the home folder as ~.

    Hidden is whatever looks like a secret (long unbroken strings, keys, hashes, tickets, what
    stands before @ in an address) and the name of a quick tunnel; rather one thing too many.
    """
    if len(home) > 1:
        text = re.sub(rf"{re.escape(home.rstrip('/'))}(?=/|\s|$|[.,:;)”])", "~", text)
    for pattern in _SECRETS:
        text = pattern.sub(HIDDEN, text)
    return text


def told(finding: Finding, home: str) -> Finding:
    """The same finding, with every text of it `masked`."""
    reason = finding.reason
    if reason is not None:
        reason = Reason(
            code=reason.code,
            hop=reason.hop,
            what=masked(reason.what, home),
            meaning=masked(reason.meaning, home),
            cure=masked(reason.cure, home),
        )
    return Finding(
        state=finding.state,
        text=masked(finding.text, home),
        reason=reason,
        command=masked(finding.command, home),
    )
