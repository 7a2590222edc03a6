"""Every reason and every state that can be shown is reached by some test.

The reasons are read from the product's syntax trees (tests/reason_codes.py). A test reaches one if
it names its code, or if tests/reasons_reached.txt says so: some ask for the words instead. Those
are run by the long profile with a recorder (tests/reason_recorder.py), which shows that they do.
"""

import ast
import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path

import pytest

from nexus_tray.cloudflare.failures import RULES
from nexus_tray.services.opencode_client import Trouble
from tests.reason_codes import Codes

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "nexus_tray"

ELSEWHERE = {
    "nexus_tray.cloudflare.errors": frozenset(rule.code for rule in RULES),
    "nexus_tray.services.opencode_client": frozenset(f"opencode-{one.value}" for one in Trouble),
    # these two hand on a reason that somebody else made
    "nexus_tray.finding": frozenset[str](),
    "nexus_tray.cli.job_view": frozenset[str](),
}
"""What the syntax trees do not tell: modules that take the code from a value of theirs."""

REACHED = dict(line.split() for line in (TESTS / "reasons_reached.txt").read_text().splitlines())
"""Codes that no test names, and the test that reaches each all the same."""

ENUMS = ("model", "finding", "reports.setup", "reports.tunnels", "commands.services")
UNSHOWN = {"Hop", "EventKind"}
"""Enumerations that are no states."""


@cache
def codes() -> Codes:
    return Codes(PACKAGE)


def all_codes() -> list[str]:
    return sorted({*codes().found, *(code for each in ELSEWHERE.values() for code in each)})


@cache
def trees() -> dict[Path, ast.Module]:
    own = (Path(__file__), TESTS / "reason_codes.py", TESTS / "reason_recorder.py")
    files = [path for path in sorted(TESTS.rglob("*.py")) if path not in own]
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}


@cache
def named() -> frozenset[str]:
    """Every word of every text in the tests, but for the reasons that tests make themselves."""
    return frozenset(word for tree in trees().values() for word in _words(tree))


def _words(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Reason":
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 300:
        yield from node.value.split()
    for child in ast.iter_child_nodes(node):
        yield from _words(child)


def test_nothing_escapes_the_search() -> None:
    unknown = {place.module for place in codes().unknown}
    assert unknown == set(ELSEWHERE), [str(place) for place in codes().unknown]
    assert len(codes().found) > 250


@pytest.mark.parametrize("code", all_codes())
def test_every_reason_is_reached(code: str) -> None:
    where = ", ".join(map(str, codes().found.get(code, ())))
    assert code in named() or code in REACHED, f"no test reaches it: {where}"


def test_the_table_is_not_older_than_the_tests() -> None:
    for code, test in REACHED.items():
        assert code in all_codes(), f"there is no such reason any more: {code}"
        file, _, name = test.partition("::")
        assert f"def {name}(" in (TESTS.parent / file).read_text(encoding="utf-8"), test


@pytest.mark.long
@pytest.mark.timeout(900)
def test_they_are_reached_as_the_table_says(tmp_path: Path) -> None:
    seen = tmp_path / "reasons"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.reason_recorder",
         *sorted(set(REACHED.values()))],
        cwd=TESTS.parent, env={**os.environ, "NEXUS_TRAY_REASONS": str(seen)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    lines = set(seen.read_text(encoding="utf-8").splitlines())
    missing = [f"{code} {test}" for code, test in REACHED.items() if f"{code} {test}" not in lines]
    assert not missing


def states() -> list[tuple[str, str]]:
    """Every state there is, as it is written: (`ServiceState`, `FAILED`)."""
    found: list[tuple[str, str]] = []
    for room in ENUMS:
        module = importlib.import_module(f"nexus_tray.{room}")
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ != module.__name__ or name in UNSHOWN:
                continue
            if issubclass(kind, Enum):
                found += [(name, member) for member in kind.__members__]
    return found


@cache
def attributes() -> frozenset[tuple[str, str]]:
    """What is read of a name in the tests: (`ServiceState`, `FAILED`); short names as written."""
    found: set[tuple[str, str]] = set()
    for tree in trees().values():
        short: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
                short |= {t.id: node.value.id for t in node.targets if isinstance(t, ast.Name)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                found.add((short.get(node.value.id, node.value.id), node.attr))
    return frozenset(found)


@pytest.mark.parametrize("state", states(), ids=".".join)
def test_every_state_is_reached(state: tuple[str, str]) -> None:
    assert state in attributes()
