"""docs/security.md is true of the tests: each that it names exists, and none of tests/security is
left out of it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)))
GATEWAY_ITEMS = (*range(1, 15), 37)
"""The project's security requirements that concern the gateway."""


def functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: part.rsplit("/", 1)[-1])
def test_a_named_test_exists(file: str, name: str) -> None:
    assert (ROOT / file).is_file()
    assert not name or name in functions(ROOT / file)


def test_no_test_of_an_attack_is_left_out() -> None:
    files = {f"tests/security/{path.name}" for path in (ROOT / "tests/security").glob("test_*.py")}
    assert files - {file for file, _ in NAMED} == set()


@pytest.mark.parametrize("number", GATEWAY_ITEMS)
def test_each_requirement_of_the_gateway_is_met_by_a_named_test(number: int) -> None:
    rows = [line for line in TEXT.splitlines() if re.search(rf"\((\d+, )*{number}(, \d+)*\)", line)]
    assert any("`tests/" in row for row in rows)


def test_every_attack_has_a_defence_a_test_and_an_id() -> None:
    rows = [line for line in TEXT.partition("## Attacks")[2].splitlines() if line.startswith("| ")]
    attacks = [row for row in rows if not re.match(r"\| (attack|---)", row)]
    assert len(attacks) > 20
    for row in attacks:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 4, row
        assert "`tests/" in cells[2], row
        assert re.fullmatch(r"v5\.0\.0-\d+\.\d+\.\d+(, v5\.0\.0-\d+\.\d+\.\d+)*", cells[3]), row
