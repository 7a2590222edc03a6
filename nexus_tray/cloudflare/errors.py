"""What went wrong with cloudflared, read from what it printed and how it ended.

Owns the one decision `diagnose`. Pure; imports the table of failures and the vocabulary;
any thread. A stop that we asked for prints ERR lines as well (FACTS.md) and is never a
failure: the caller says so with `asked`, because the lines cannot.
"""

import signal
from collections.abc import Sequence

from nexus_tray.cloudflare.failures import RULES, Rule
from nexus_tray.cloudflare.log_lines import LogEntry
from nexus_tray.core.driver import Cause, Failure
from nexus_tray.inert import inert
from nexus_tray.model import Hop, Level, Reason

REGISTERED = "Registered tunnel connection"
"""The line that ends every trouble before it: the tunnel is connected."""

_SHUTDOWN = "Initiating graceful shutdown due to signal"
_QUOTE_LIMIT = 200
_USAGE_CODE = 255
_UPDATED_CODES = (10, 11)


def diagnose(
    code: int | None, entries: Sequence[LogEntry], *, asked: bool = False
) -> Failure | None:
    """Why cloudflared ended, or (`code` None: it runs) why it is not connected.

    `entries` in the order of printing, standard output's among them; `code` as of a process,
    below zero the signal; for a program that should have gone on, so 0 is an end as well.
    `asked`: we told it to end. None: nothing is wrong, or nothing is known to be.
    """
    if asked:
        return None
    recent = _since_registered(entries)
    found = _search(recent)
    if code is None:
        return found
    if found is None or _by_signal(code, entries):
        return _by_code(code, entries)
    return found


def _since_registered(entries: Sequence[LogEntry]) -> Sequence[LogEntry]:
    for index in range(len(entries) - 1, -1, -1):
        if entries[index].text.startswith(REGISTERED):
            return entries[index + 1 :]
    return entries


def _search(entries: Sequence[LogEntry]) -> Failure | None:
    """The first rule of the table that any line matches. Information is no evidence."""
    evidence = [e for e in entries if e.bare or e.level in (Level.WARNING, Level.ERROR)]
    for rule in RULES:
        for entry in reversed(evidence):
            match = rule.pattern.search(entry.text)
            if match:
                said = match.groupdict().get("said") or ""
                return _failure(rule, said)
    return None


def _failure(rule: Rule, said: str) -> Failure:
    """What others said is quoted bounded and harmless: it comes from the network."""
    quoted = inert(said.strip('"'))[:_QUOTE_LIMIT]
    what = rule.what.replace("{said}", quoted)
    reason = Reason(code=rule.code, hop=rule.hop, what=what, meaning=rule.meaning, cure=rule.cure)
    return Failure(rule.cause, reason, rule.retry_after)


def _by_signal(code: int, entries: Sequence[LogEntry]) -> bool:
    """Ended by a signal, in order or not: what it complained of before is not why."""
    return code < 0 or (code == 0 and any(e.text.startswith(_SHUTDOWN) for e in entries))


def _by_code(code: int, entries: Sequence[LogEntry]) -> Failure:
    """What only the exit code tells."""
    if _by_signal(code, entries):
        return Failure(Cause.CRASH, _ended_by_another(code))
    if code in _UPDATED_CODES:
        return Failure(Cause.CRASH, _UPDATED)
    last = inert(entries[-1].text)[:_QUOTE_LIMIT] if entries else ""
    reason = Reason(
        code="cloudflared-ended",
        hop=Hop.CLOUDFLARED,
        what=f"cloudflared ended by itself (code {code}).",
        meaning=f"Its last words: {last}" if last else "It said nothing.",
        cure="The logs tell more.",
    )
    return Failure(Cause.FATAL if code == _USAGE_CODE else Cause.CRASH, reason)


def _ended_by_another(code: int) -> Reason:
    try:
        name = signal.Signals(-code).name if code < 0 else "a signal"
    except ValueError:
        name = f"signal {-code}"
    return Reason(
        code="cloudflared-killed",
        hop=Hop.CLOUDFLARED,
        what=f"cloudflared was ended from outside by {name}.",
        meaning="Another program, a person or the system (for want of memory) ended it.",
    )


_UPDATED = Reason(
    code="cloudflared-updated",
    hop=Hop.CLOUDFLARED,
    what="cloudflared replaced itself by a newer version and ended.",
    meaning="It was told not to; its address is lost.",
    cure="It is started again.",
)
