"""An automaton that judges a line by a pattern, looking at each character once.

Owns Thompson's construction over what Python's own parser makes of a pattern, and the
deterministic states, made as they are met and bounded in number. Imports the standard
library only. One automaton belongs to one thread. `store.log_pattern` says when it is
used, and turns its refusals into words.
"""

import re
from collections.abc import Callable, Iterator
from re import _constants as op  # type: ignore[attr-defined]
from time import monotonic
from typing import Any

_NODES = 2000
_STATES = 2000
REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT)
_CATEGORIES = {
    op.CATEGORY_DIGIT: r"\d", op.CATEGORY_NOT_DIGIT: r"\D",
    op.CATEGORY_SPACE: r"\s", op.CATEGORY_NOT_SPACE: r"\S",
    op.CATEGORY_WORD: r"\w", op.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip


class TooSlow(Exception):
    """Judging a line took until the deadline."""


class NotOffered(Exception):
    """The pattern has what no automaton of bounded size can do; the message says what."""


class _State(dict[str, "_State"]):
    """One deterministic state: where each character leads. Missing ones are made when met."""

    def __init__(self, automaton: "Automaton", nodes: frozenset[int], before: str) -> None:
        super().__init__()
        self.automaton = automaton
        self.nodes = nodes
        self.before = before

    def __missing__(self, symbol: str) -> "_State":
        after = self[symbol] = self.automaton.step(self, symbol)
        return after


class Automaton:
    """Thompson's automaton of a pattern: nodes that read one character, or lead on at once."""

    def __init__(self, tree: Any, flags: int, deadline: float) -> None:
        self._deadline = deadline
        self._tests: list[tuple[Callable[[str], object] | None, str]] = []
        self._next: list[list[int]] = []
        self._memory: dict[tuple[frozenset[int], str], _State] = {}
        self._end = self._node()
        self._start = self._sequence(tree, flags, self._end)
        self._matched = _State(self, frozenset(), "matched")

    def search(self, text: str) -> bool:
        """Does the pattern occur? One step for each character."""
        state = self._state(frozenset(), "")
        # The two ends of a text are symbols too: "$" also matches before a last newline.
        last = text[-1:]
        for symbol in text[:-1]:
            state = state[symbol]
        if last:
            state = state["\n$" if last == "\n" else last]
        return state[""] is self._matched

    def step(self, state: _State, symbol: str) -> _State:
        """Where a character leads from a state; anew from the start, too, at every place."""
        if state is self._matched:
            return state
        if monotonic() > self._deadline:
            raise TooSlow
        reached = self._closure({*state.nodes, self._start}, state.before, symbol)
        if self._end in reached:
            return self._matched
        nodes: set[int] = set()
        if symbol:
            for node in reached:
                test = self._tests[node][0]
                if test is not None and test(symbol[0]):
                    nodes.update(self._next[node])
        return self._state(frozenset(nodes), symbol[:1])

    def _state(self, nodes: frozenset[int], character: str) -> _State:
        # Only what an assertion may ask of the character before: nothing, newline, word, else.
        kind = character if character in ("", "\n") else _word_kind(character)
        if (state := self._memory.get((nodes, kind))) is None:
            if len(self._memory) >= _STATES:
                self._memory.clear()
            state = self._memory[nodes, kind] = _State(self, nodes, kind)
        return state

    def _closure(self, nodes: set[int], before: str, after: str) -> set[int]:
        """All nodes reached without reading, between two characters."""
        found: set[int] = set()
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if node in found:
                continue
            found.add(node)
            test, assertion = self._tests[node]
            if test is None and (not assertion or _holds(assertion, before, after)):
                waiting.extend(self._next[node])
        return found

    def _node(
        self, *following: int, test: Callable[[str], object] | None = None, assertion: str = ""
    ) -> int:
        if len(self._next) >= _NODES:
            raise NotOffered("it repeats too much")
        self._tests.append((test, assertion))
        self._next.append(list(following))
        return len(self._next) - 1

    def _sequence(self, tree: Any, flags: int, then: int) -> int:
        """Build from the end: the node from which the tree is read before `then`."""
        for kind, argument in reversed(list(tree)):
            then = self._item(kind, argument, flags, then)
        return then

    def _item(self, kind: Any, argument: Any, flags: int, then: int) -> int:
        if kind is op.AT:
            return self._node(then, assertion=_assertion(argument, flags))
        if kind is op.BRANCH:
            return self._node(*(self._sequence(branch, flags, then) for branch in argument[1]))
        if kind is op.SUBPATTERN:
            _, added, removed, body = argument
            kept = flags & ~(re.ASCII | re.UNICODE) if added & (re.ASCII | re.UNICODE) else flags
            return self._sequence(body, (kept | added) & ~removed, then)
        if kind in REPEATS:
            return self._repeat(argument, flags, then)
        test = re.compile(_source(kind, argument), flags & ~re.VERBOSE).fullmatch
        return self._node(then, test=test)

    def _repeat(self, argument: tuple[int, Any, Any], flags: int, then: int) -> int:
        low, high, body = argument
        if high is op.MAXREPEAT:
            loop = self._node(then)
            self._next[loop].append(self._sequence(body, flags, loop))
            then = loop
        else:
            end = then
            for _ in range(high - low):
                then = self._node(end, self._sequence(body, flags, then))
        for _ in range(low):
            then = self._sequence(body, flags, then)
        return then


def _source(kind: Any, argument: Any) -> str:
    """The pattern of one character, so that `re` itself decides case and classes."""
    if kind is op.ANY:
        return "."
    if kind is op.LITERAL:
        return re.escape(chr(argument))
    if kind is op.NOT_LITERAL:
        return f"[^{re.escape(chr(argument))}]"
    if kind is op.IN:
        return "[" + "".join(_members(argument)) + "]"
    raise NotOffered(f"{str(kind).lower().replace('_', ' ')} is not offered here")


def _members(members: Any) -> Iterator[str]:
    for kind, argument in members:
        if kind is op.NEGATE:
            yield "^"
        elif kind is op.RANGE:
            yield "-".join(re.escape(chr(end)) for end in argument)
        elif kind is op.CATEGORY:
            yield _CATEGORIES[argument]
        else:
            yield re.escape(chr(argument))


def _assertion(kind: Any, flags: int) -> str:
    """A name for what must hold between two characters."""
    if kind is op.AT_BEGINNING:
        return "line begins" if flags & re.MULTILINE else "text begins"
    if kind is op.AT_END:
        return "line ends" if flags & re.MULTILINE else "text ends soon"
    names = {
        op.AT_BEGINNING_STRING: "text begins", op.AT_END_STRING: "text ends",
        op.AT_BOUNDARY: "word edge", op.AT_NON_BOUNDARY: "no word edge",
    }  # fmt: skip
    return names[kind] + (", ASCII" if "edge" in names[kind] and flags & re.ASCII else "")


def _holds(assertion: str, before: str, after: str) -> bool:
    """Does the assertion hold between these? "" is an end of the text, "\\n$" its last newline."""
    if "word edge" in assertion:
        ascii_only = assertion.endswith("ASCII")
        edge = _is_word(before, ascii_only) != _is_word(after[:1], ascii_only)
        return edge != assertion.startswith("no")
    return {
        "text begins": before == "",
        "line begins": before in ("", "\n"),
        "text ends": after == "",
        "text ends soon": after in ("", "\n$"),
        "line ends": after in ("", "\n", "\n$"),
    }[assertion]


def _word_kind(character: str) -> str:
    """One character to stand for all that an assertion cannot tell apart."""
    if not _is_word(character, ascii_only=False):
        return " "
    return "a" if character.isascii() else "é"


def _is_word(character: str, ascii_only: bool) -> bool:
    if ascii_only and not character.isascii():
        return False
    return character.isalnum() or character == "_"
