"""Foreign text can be shown anywhere and acts nowhere."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.inert import cell, inert


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ☂ text\twith a tab", "plain ☂ text\twith a tab"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\r\nb\x00", "a\\r\\nb\\x00"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("user\u202efdp.exe", "user\\u202efdp.exe"),
        ("\u2028\u2066\ufeff", "\\u2028\\u2066\\ufeff"),
        ("\ud800", "\\ud800"),
    ],
)
def test_acting_characters_are_spelled_out(text: str, shown: str) -> None:
    assert inert(text) == shown


@given(st.text(st.characters()))
def test_the_result_is_one_line_that_any_encoder_takes(text: str) -> None:
    shown = inert(text)
    assert len(shown.splitlines()) <= 1
    assert shown.encode().decode() == shown
    assert inert(shown) == shown


@given(st.text())
def test_no_cell_begins_a_formula(text: str) -> None:
    sheet = io.StringIO()
    csv.writer(sheet, quoting=csv.QUOTE_ALL).writerow([cell(text)])
    read = next(csv.reader(io.StringIO(sheet.getvalue(), newline="")))[0]
    assert not read.lstrip(" \u00a0\u3000").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx", " =1", "\uff1d1"])
def test_a_formula_is_marked_as_text(text: str) -> None:
    assert cell(text).startswith("'")


def test_plain_cells_stay_as_they_are() -> None:
    assert cell("a=b, c-d") == "a=b, c-d"
