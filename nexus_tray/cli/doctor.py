"""`nexus-tray doctor`: examine, and say it; also while the program is not running.

Owns the words and the exit code of an examination on a terminal, the report for strangers, what a
repair says, and the support bundle's file. What is in an examination is without secrets already
(`nexus_tray.finding`), as is a bundle (`app.redaction`). Imports layer 1, the store's form of a
bundle and Backend; main thread.
"""

import textwrap
import time
from argparse import Namespace
from collections.abc import Callable, Iterable
from pathlib import Path

from nexus_tray.cli.console import Console, Exit, Paint, failed
from nexus_tray.commands import Repair
from nexus_tray.core.backend import Backend
from nexus_tray.inert import inert
from nexus_tray.model import HopState
from nexus_tray.reports import Bundle, Check, CheckState, Examination

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
    """Have the running program examine everything, repair something, or pack a bundle."""
    if options.repair:
        outcome = backend.submit(Repair(code=options.repair))
        return console.conclude(outcome, inert(outcome.value) or "Done.")
    if options.bundle:
        return save(backend.bundle, options.bundle, console)
    return tell(backend.examine(), options, console)


def doctor_alone(
    make: Callable[[], Examination | Bundle], options: Namespace, console: Console
) -> Exit:
    """What can be done without a running program: `make` examines, or packs a bundle."""
    if options.repair:
        raise failed("Nexus Tray is not running, and only it repairs.", "Start it: nexus-tray run")
    if options.bundle:
        return save(make, options.bundle, console)
    made = make()
    if isinstance(made, Bundle):
        raise TypeError("an examination was asked for")
    return tell(made, options, console)


def save(make: Callable[[], Examination | Bundle], name: str, console: Console) -> Exit:
    """Write a bundle as a new zip for us alone, and say what it holds. Raises Problem."""
    from nexus_tray.store import bundle_file  # `status` shall not wait for what it imports

    path = Path(name).expanduser().absolute()
    bundle_file.check_new(path)  # before seconds are spent on it
    bundle = make()
    if not isinstance(bundle, Bundle):
        raise TypeError("a bundle was asked for")
    bundle_file.write(bundle, path)
    if console.json:
        console.show(bundle)
        return Exit.OK
    for file in bundle.files:
        console.say(f"{len(file.text.encode()):>9,} bytes  {inert(file.name)}")
    console.say("")
    console.say(
        f"All of this, and nothing else, is in {inert(str(path))}. Look before you send it."
    )
    return Exit.OK


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
        for part in (*why(check), *by_us(check)):
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


def by_us(check: Check) -> list[str]:
    """How to have it done, where that can be."""
    code = inert(check.code)
    return [f"{check.repair}: nexus-tray doctor --repair {code}"] if check.repair else []


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
