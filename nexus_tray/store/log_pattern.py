"""Regular expressions that cannot hang: the time grows with the line's length, no faster.

Owns the judgement of one line by a pattern in Python's syntax. Imports the model only;
pure apart from its cache; a compiled pattern belongs to one thread.

Python's `re` backtracks, and it holds the interpreter's lock meanwhile: `(a+)+b` over one
line of log could stop the gateway for hours. So its steps are bounded beforehand from the
pattern and the line's length; where the bound is too high, the line is judged by an
automaton of our own that looks at each character once (Thompson's construction, its
deterministic states made as they are met). Both give the same answer. What no such
automaton can do (looking around, back references) is refused with a reason.
"""

import math
import re
from collections.abc import Callable
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store.log_automaton import REPEATS, Automaton, NotOffered

PATTERN_CHARACTERS = 1000
# About ten milliseconds of `re` on one line, at the very worst.
_STEPS = 2_000_000


def compile_pattern(pattern: str, deadline: float = math.inf) -> Callable[[str], bool]:
    """A test for "does the pattern occur in this text", as `re.search` would find it.

    The test raises TooSlow when it is at work after `deadline` (of `time.monotonic`).
    Raises Problem "log-pattern-invalid", saying what is wrong and where.
    """
    if len(pattern) > PATTERN_CHARACTERS:
        raise Problem(_invalid(f"it is longer than {PATTERN_CHARACTERS} characters"))
    try:
        compiled = re.compile(pattern)
        tree = parser.parse(pattern)
        automaton = Automaton(tree, compiled.flags, deadline)
    except re.error as error:
        where = "" if error.pos is None else f" (at character {error.pos + 1})"
        raise Problem(_invalid(f"{error.msg}{where}")) from error
    except NotOffered as error:
        raise Problem(_invalid(str(error))) from error
    except (OverflowError, RecursionError) as error:
        raise Problem(_invalid("it is nested or repeated too much")) from error
    factor, power = _cost(tree)

    def occurs(text: str) -> bool:
        if factor * max(len(text), 1) ** power <= _STEPS:
            return compiled.search(text) is not None
        return automaton.search(text)

    return occurs


def literals(pattern: str) -> list[str]:
    """The longest text (ASCII) that every match of a valid pattern holds, its case aside.

    For a coarse choice by other means before the pattern itself is tried; [] if there is
    none worth it.
    """
    if not pattern:
        return []
    runs = _runs(parser.parse(pattern), bool(re.compile(pattern).flags & re.IGNORECASE))
    longest = max(runs, key=len)
    return [longest] if len(longest) > 1 else []


def _runs(tree: Any, any_case: bool) -> list[str]:
    """Texts that a match must hold: what stands side by side at the pattern's top level."""
    runs = [""]
    for kind, argument in tree:
        # Whatever the case, these three also stand for signs beyond ASCII (K, ſ, İ).
        if kind is op.LITERAL and argument < 128 and not (any_case and chr(argument) in "kKsSiI"):
            runs[-1] += chr(argument)
        elif kind is not op.AT:
            runs.append("")
    return runs


def _cost(tree: Any) -> tuple[float, int]:
    """The steps of a backtracking search in n characters: at most factor * n ** power."""
    factor, power = _ways(tree)
    return factor * max(tree.getwidth()[0], 1), power + 1


def _ways(tree: Any) -> tuple[float, int]:
    """In how many ways a backtracking matcher may try a tree at one place of n characters.

    As (factor, power): at most factor * n ** power. An infinite factor: exponential.
    """
    factor, power = 1.0, 0
    for kind, argument in tree:
        one, more = _ways_of(kind, argument)
        factor, power = min(factor * one, float(_STEPS + 1)), power + more
    return factor, power


def _ways_of(kind: Any, argument: Any) -> tuple[float, int]:
    if kind is op.BRANCH:
        branches = [_ways(branch) for branch in argument[1]]
        return sum(factor for factor, _ in branches), max(power for _, power in branches)
    if kind is op.SUBPATTERN:
        return _ways(argument[3])
    if kind not in REPEATS:
        return 1.0, 0
    low, high, body = argument
    factor, power = _ways(body)
    if high is op.MAXREPEAT:
        plain = factor == 1 and power == 0 and body.getwidth()[0] > 0
        return (1.0, 1) if plain else (float("inf"), 0)
    if power:
        return (factor, power) if high == 1 else (float("inf"), 0)
    return (high - low + 1) * min(factor, 2.0 * _STEPS) ** min(high, 30), 0


def _invalid(fault: str) -> Reason:
    return Reason(
        code="log-pattern-invalid",
        hop=Hop.GATEWAY,
        what=f"The pattern cannot be used: {fault}.",
        meaning="Nothing was searched.",
        cure="Correct it, or search for words instead. To find a sign such as ( or * itself, "
        "write \\ before it.",
    )
