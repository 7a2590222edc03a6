"""`nexus-tray doctor`: examine, and say it; also while the program is not running.

Owns the words and the exit code of an examination on a terminal, and the report for
strangers. What is in an examination is without secrets already (`nexus_tray.finding`).
Imports layer 1 and Backend; main thread.
"""

import textwrap
import time
from argparse import Namespace
from collections.abc import Callable, Iterable

from nexus_tray.cli.console import Console, Exit, Paint
from nexus_tray.core.backend import Backend
from nexus_tray.inert import inert
from nexus_tray.model import HopState
from nexus_tray.reports import Check, CheckState, Examination

STATES = {
    CheckState.GOOD: HopState.UP,
    CheckState.WARNING: HopState.BUSY,
    CheckState.BAD: HopState.DOWN,
    CheckState.UNKNOWN: HopState.UNKNOWN,
}
"""Each state's shape and colour are those of a hop."""

WORDS = {
    CheckState.GOOD: "good",
    CheckState.WARNING: "attend to",
    CheckState.BAD: "wrong",
    CheckState.UNKNOWN: "not known",
}


_BEFORE = 15
"""Columns before and after a title: shape, word, spaces."""
_NARROW = 24


def doctor(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Have the running program examine everything."""
    return tell(backend.examine(), options, console)


def doctor_alone(examine: Callable[[], Examination], options: Namespace, console: Console) -> Exit:
    """Examine what can be examined without a running program."""
    return tell(examine(), options, console)


def tell(found: Examination, options: Namespace, console: Console) -> Exit:
    """Say what was found. Exit code 1 if something is wrong."""
    if console.json:
        console.show(found)
    elif options.report:
        console.say(report(found))
    else:
        console.say("\n".join(picture(found, console.paint, console.width)))
    wrong = any(check.state is CheckState.BAD for check in found.checks)
    return Exit.FAILED if wrong else Exit.OK


def picture(found: Examination, paint: Paint, width: int = 0) -> list[str]:
    """One line for each check, and under what is not good why and what to do.

    Wrapped at `width` columns (0: not at all), what was found below itself.
    """
    wide = max((len(check.title) for check in found.checks), default=0)
    lines = []
    for check in found.checks:
        state = STATES[check.state]
        word = paint.word(state, f"{WORDS[check.state]:<9}")
        first, *more = _wrapped(inert(check.text), width - wide - _BEFORE)
        lines.append(f"{paint.mark(state)} {word}  {inert(check.title):<{wide}}  {first}")
        lines += [" " * (wide + _BEFORE) + part for part in more]
        for part in why(check):
            lines += [" " * 13 + line for line in _wrapped(part, width - 13)]
    return [*lines, "", summary(found.checks)]


def _wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of `width`; a column too narrow to read is not wrapped at."""
    if width < _NARROW:
        return [text]
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [text]


def why(check: Check) -> list[str]:
    """What it means and what to do, where it is not good; what happened, if not said yet."""
    if check.reason is None or check.state is CheckState.GOOD:
        return []
    reason = check.reason
    parts = ("" if reason.what == check.text else reason.what, reason.meaning, reason.cure)
    told = [inert(part) for part in parts if part]
    if check.command and check.command not in reason.cure:
        told.append(inert(check.command))
    return told


def summary(checks: Iterable[Check]) -> str:
    """How many are how: "18 good, 2 to attend to, 1 wrong"."""
    states = [check.state for check in checks]
    counts = [
        f"{states.count(state)} {words}"
        for state, words in (
            (CheckState.BAD, "wrong"),
            (CheckState.WARNING, "to attend to"),
            (CheckState.UNKNOWN, "not known"),
            (CheckState.GOOD, "good"),
        )
        if states.count(state)
    ]
    return ", ".join(counts) or "Nothing was examined."


def report(found: Examination) -> str:
    """The examination as plain text for a bug report. Pure; the dashboard makes the same
    (ui/dashboard/doctor-report.js)."""
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(found.at))
    lines = [f"Nexus Tray, examined {when}", ""]
    for check in found.checks:
        lines.append(f"[{check.state.value}] {inert(check.title)}: {inert(check.text)}")
        lines += [f"    {part}" for part in why(check)]
    return "\n".join([*lines, "", summary(found.checks)])
