"""OpenCode's log lines: levels and words, and nothing lost of what is not logfmt."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.model import Level
from nexus_tray.services import opencode_log as log

STAMP = "timestamp=2026-11-22T18:04:56.538Z"

# recorded from 1.18.33 with --print-logs, but for the levels that it did not show
LINES = [
    (f"{STAMP} level=INFO run=cbfb5d87 message=init", Level.INFO, "init"),
    (
        f'{STAMP} level=INFO run=cbfb5d87 message="creating instance" directory=/home/me/a',
        Level.INFO,
        "creating instance directory=/home/me/a",
    ),
    (
        f'{STAMP} level=ERROR run=1 message=process session.id=ses_1 error="he said \\"no\\""',
        Level.ERROR,
        'process session.id=ses_1 error=he said "no"',
    ),
    (f"{STAMP} level=WARN run=1 message=slow", Level.WARNING, "slow"),
    (f"{STAMP} level=DEBUG run=1 message=x", Level.DEBUG, "x"),
    (
        f'{STAMP} level=INFO run=1 message=asking patterns="[\\"echo hi\\",\\"sleep 3\\"]"',
        Level.INFO,
        'asking patterns=["echo hi","sleep 3"]',
    ),
]


@pytest.mark.parametrize(("line", "level", "said"), LINES)
def test_lines_as_recorded(line: str, level: Level, said: str) -> None:
    assert log.parse("stderr", line) == (level, said)


@pytest.mark.parametrize(
    ("stream", "line", "level", "said"),
    [
        ("stdout", "opencode server listening on http://127.0.0.1:1", Level.INFO, None),
        ("stderr", "\x1b[91m\x1b[1mError: \x1b[0mUnexpected", Level.ERROR, "Error: Unexpected"),
        ("stderr", "", Level.ERROR, ""),
        ("stderr", "timestamp=", Level.ERROR, None),
        ("stderr", "level=INFO message=x", Level.ERROR, None),
        ("stderr", f"{STAMP} level=NEW message=x", Level.ERROR, None),
        ("stderr", f"{STAMP} level=INFO a=[x y]", Level.ERROR, None),
    ],
)
def test_what_is_not_a_log_line_is_kept(
    stream: str, line: str, level: Level, said: str | None
) -> None:
    assert log.parse(stream, line) == (level, line if said is None else said)


@given(st.text(max_size=200))
def test_no_line_is_too_strange(text: str) -> None:
    for line in (text, f"{STAMP} {text}", f"{STAMP} level=INFO message={text}"):
        level, said = log.parse("stderr", line)
        assert isinstance(level, Level)
        assert len(said) <= len(line)


def test_a_hostile_line_costs_no_time() -> None:
    for line in (f'{STAMP} a="' + "\\" * 60_000, STAMP + " a=" * 20_000, STAMP + ' a="' * 20_000):
        log.parse("stderr", line)


def test_a_grown_log_file_is_told_and_left(tmp_path: Path) -> None:
    file = tmp_path / "opencode.log"
    assert log.oversize(file) is None, "not there yet"
    assert log.oversize(None) is None
    file.touch()
    os.truncate(file, 3_000_000)
    assert log.oversize(file, 3_000_000) is None
    said = log.oversize(file, 2_000_000)
    assert said is not None
    assert str(file) in said
    assert "3 MB" in said
    assert file.stat().st_size == 3_000_000


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_DATA_HOME": "/d", "HOME": "/h"}, "/d/opencode/log/opencode.log"),
        ({"HOME": "/h"}, "/h/.local/share/opencode/log/opencode.log"),
        ({}, None),
    ],
)
def test_where_the_log_file_is(environment: dict[str, str], expected: str | None) -> None:
    assert log.file_of(environment) == (Path(expected) if expected else None)
