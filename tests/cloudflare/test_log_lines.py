"""Reading cloudflared's lines: what they say and how grave it is."""

import pytest

from nexus_tray.cloudflare.log_lines import read_line
from nexus_tray.model import Level
from tests.cloudflare.recordings import load


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        ("2026-11-22T16:31:13Z INF Starting tunnel", Level.INFO, "Starting tunnel"),
        ("2026-11-22T16:31:13Z ERR lost\x1b[31m x=1", Level.ERROR, "lost x=1"),
        ('{"level":"warn","message":"m","error":"e f"}', Level.WARNING, 'm error="e f"'),
        ("Incorrect Usage: flag", None, "Incorrect Usage: flag"),
        ("{not json", None, "{not json"),
        ("", None, ""),
    ],
)
def test_both_formats(line: str, level: Level | None, text: str) -> None:
    entry = read_line(line)
    assert (entry.level, entry.text) == (level, text)


def test_a_visitor_who_leaves_is_no_error() -> None:
    errors = [e.text for e in load("visitor-leaves").running if e.level is Level.ERROR]
    assert errors == []
