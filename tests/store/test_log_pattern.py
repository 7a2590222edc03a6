"""Patterns find what `re` finds, and none can hang."""

import re
import time
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from nexus_tray.model import Problem
from nexus_tray.store import log_pattern
from nexus_tray.store.log_automaton import Automaton, TooSlow
from nexus_tray.store.log_pattern import compile_pattern, literals

single = st.one_of(
    st.sampled_from(["a", "b", "A", "é", "1", "_", " ", "\n", ".", r"\."]),
    st.sampled_from([r"\d", r"\D", r"\w", r"\W", r"\s"]),
    st.sampled_from(["[ab]", "[^a]", "[a-b1]", r"[\d_]", r"[^\W]", "[^é]", r"[\s-]"]),
)
edge = st.sampled_from(["^", "$", r"\b", r"\B", r"\A", r"\Z", ""])
quantifier = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}", "{1,3}?"])


# Not (?a:...): Python 3.11 itself finds no É by (?a:\W), though \W is what É is not there.
def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.one_of(
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"(?:{text})"),
        inner.map(lambda text: f"(?i:{text})"),
        inner.map(lambda text: f"(?s:{text})"),
        inner.map(lambda text: f"(?-i:{text})"),
        inner.map(lambda text: f"(?m:{text})"),
        inner.map(lambda text: f"(?:(?m:{text}))"),
    )
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        st.tuples(group, quantifier).map("".join),
        group,
    )


patterns = st.recursive(
    st.one_of(single, edge, st.tuples(single, quantifier).map("".join)), grow, max_leaves=8
)
texts = st.text(st.sampled_from("abAB éÉ1_.\n-"), min_size=1, max_size=12)


def parse(pattern: str) -> Any:
    return _parser.parse(pattern)


def automaton(pattern: str) -> Automaton:
    return Automaton(parse(pattern), re.compile(pattern).flags, float("inf"))


@given(
    pattern=patterns,
    flags=st.sampled_from(["", "(?i)", "(?m)", "(?s)", "(?x)", "(?a)"]),
    text=texts,
)
@example(pattern="a$", flags="", text="a\n")
@example(pattern="a$", flags="", text="a\nb")
@example(pattern="(?m:a$)", flags="", text="a\nb")
@example(pattern=r"(?a:\bé)", flags="", text="é")
@example(pattern=r"(?i:É)", flags="", text="é")
@example(pattern="(a|b)*?c|(a*)*$", flags="", text="abab")
def test_the_automaton_agrees_with_re(pattern: str, flags: str, text: str) -> None:
    assume(flags != "(?x)" or not {" ", "\n"} & set(pattern))
    expected = re.search(flags + pattern, text) is not None
    assert automaton(flags + pattern).search(text) == expected
    assert compile_pattern(flags + pattern)(text) == expected
    if expected:
        # What LIKE would be asked for, with its folding of ASCII alone, holds too.
        for literal in literals(flags + pattern):
            assert re.search(re.escape(literal), text, re.I | re.A)


# Each with whether it occurs in many a's followed by two b's; in the a's alone none does.
CASES = [
    ("(a+)+b", True), ("(a*)*b", True), ("(a|a)*b", True), ("(a|aa)+b", True), ("(.*)*b", True),
    (r"(\w+\s?)*b", True), ("(a?){30}a{30}b", True), ("a*a*a*a*a*a*b", True),
    ("a.{900}b.{900}c", False),
    ("(?i)(x+x+)+y|(a+)+b", True), ("(([a-z])+.)+[A-Z]([a-z])+b", False),
    ("(a{1,9}){1,9}b", True), ("(?:a|b|ab)*c", False), (".*.*.*=.*b", False),
]  # fmt: skip
HANGING = [pattern for pattern, _ in CASES]


@pytest.mark.parametrize(("pattern", "occurs"), CASES)
@pytest.mark.parametrize("length", [30, 3000, 65536])
def test_a_bad_pattern_does_not_hang(pattern: str, occurs: bool, length: int) -> None:
    test = compile_pattern(pattern)
    began = time.perf_counter()
    assert test("a" * length) is False
    assert test("a" * length + "bb") is occurs
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("pattern", HANGING)
def test_the_bound_on_steps_holds(pattern: str) -> None:
    """Where `re` is let at a line, it is fast: the longest line that it gets for this pattern."""
    factor, power = log_pattern._cost(parse(pattern))
    lengths = [n for n in range(1, 3000) if factor * n**power <= log_pattern._STEPS]
    if lengths:
        began = time.perf_counter()
        assert re.search(pattern, "a" * lengths[-1]) is None
        assert time.perf_counter() - began < 0.5


@given(pattern=patterns, text=st.text(st.sampled_from("aab"), min_size=1, max_size=40))
def test_no_pattern_gets_re_past_its_bound(pattern: str, text: str) -> None:
    factor, power = log_pattern._cost(parse(pattern))
    assume(factor * len(text) ** power <= log_pattern._STEPS)
    began = time.perf_counter()
    re.search(pattern, text)
    assert time.perf_counter() - began < 0.5


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("zebra$", ["zebra"]),
        (r"^a.*connection (refused|reset)", ["connection "]),
        (r"127\.0\.0\.1:\d+", ["127.0.0.1:"]),
        ("(?i)error: token", ["error: to"]),
        ("(?i)kiss", []),
        ("zebra*", ["zebr"]),
        ("a|zebra", []),
        ("(zebra)?", []),
        ("é", []),
        ("", []),
    ],
)
def test_the_text_that_every_match_holds(pattern: str, expected: list[str]) -> None:
    assert literals(pattern) == expected


def test_many_states_end_at_the_deadline() -> None:
    test = compile_pattern("(x+)+|a.{900}b.{900}c", time.monotonic() + 0.2)
    began = time.perf_counter()
    with pytest.raises(TooSlow):
        test("ab" * 30_000)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(", "missing ), unterminated subpattern (at character 1)"),
        ("a**", "multiple repeat (at character 3)"),
        ("[z-a]", "bad character range"),
        ("a" * 1001, "longer than 1000"),
        ("(" * 499 + ")" * 499, "nested or repeated too much"),
        ("(a{1000}){1000}", "repeats too much"),
        ("a(?=b)", "assert is not offered"),
        ("(?<!a)b", "assert not is not offered"),
        (r"(a)\1", "groupref is not offered"),
        ("(?>a+)b", "atomic group is not offered"),
        ("a++b", "possessive repeat is not offered"),
        ("a{99999999999}", "nested or repeated too much"),
    ],
)
def test_what_cannot_be_used_is_said(pattern: str, says: str) -> None:
    with pytest.raises(Problem) as caught:
        compile_pattern(pattern)
    assert caught.value.reason.code == "log-pattern-invalid"
    assert says in caught.value.reason.what
