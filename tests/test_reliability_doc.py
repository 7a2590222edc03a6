"""docs/reliability.md is true of the tests: each that it names exists, each test of tests/faults is
named or of a file that is, and the faults that must be shown are there by their numbers."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAME = re.compile(r"`(tests/[\w/]+\.py|test_\w+\.py)(?:::(\w+))?`")
NAMED = sorted(
    {(file if "/" in file else f"tests/faults/{file}", name) for file, name in NAME.findall(TEXT)}
)
"""File and function; a file without its folder is one of tests/faults."""
CHILDREN = (15, 16, 17, 18, 19, 20, 26, 28)
"""The project's requirements of supervision that concern children."""


def names(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.ClassDef
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: part.rsplit("/", 1)[-1])
def test_a_named_test_exists(file: str, name: str) -> None:
    assert (ROOT / file).is_file()
    assert not name or name in names(ROOT / file)


def test_no_file_of_faults_is_left_out() -> None:
    files = {f"tests/faults/{path.name}" for path in (ROOT / "tests/faults").glob("test_*.py")}
    assert files - {file for file, _ in NAMED} == set()


@pytest.mark.parametrize("number", CHILDREN)
def test_each_fault_of_children_is_told_with_a_test(number: int) -> None:
    rows = [line for line in TEXT.splitlines() if re.search(rf"\((\d+, )*{number}(, \d+)*\)", line)]
    assert any("`tests/" in row for row in rows)


def test_every_row_names_a_test() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ")]
    told = [row for row in rows if not re.match(r"\| (fault|store|---)", row)]
    assert len(told) > 30
    for row in told:
        assert NAME.search(row) or re.search(r"\| the same\b", row), row
