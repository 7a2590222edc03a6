"""OpenCode's own log, read from its stderr: what level a line has and what it says.

Owns the parsing of one line; pure. `--print-logs` (1.18.33) sends every line that goes to
OpenCode's log file to stderr as well, so the pipe that is drained anyway *is* the log:
only this run's lines, no file to follow through truncation, bounded by the log store. The
file itself (`log/opencode.log` in OpenCode's data folder) belongs to the user, is appended
by every OpenCode of the machine and never rotated: it is not deleted here, only measured.

A line is logfmt: `timestamp=2026-11-22T18:04:56.538Z level=INFO run=cbfb5d87 message=init`.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from nexus_tray.model import Level

FILE_LIMIT = 512 * 1024 * 1024

_PAIR = re.compile(r'([\w.-]+)=("(?:[^"\\]|\\.)*"|\S*)(?:\s+|$)')
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_LEVELS = {
    "DEBUG": Level.DEBUG,
    "INFO": Level.INFO,
    "WARN": Level.WARNING,
    "ERROR": Level.ERROR,
    "FATAL": Level.ERROR,
}
# The log store has a time of its own for each line, and one process has one run.
_REDUNDANT = frozenset({"timestamp", "level", "run", "message"})


def parse(stream: str, text: str) -> tuple[Level, str]:
    """The level of one line of OpenCode's output, and what it says, for a person.

    What is not logfmt is kept as it is: INFO on stdout, ERROR on stderr, where it is the
    text of a failure.
    """
    pairs = _pairs(text)
    level = _LEVELS.get(pairs.get("level", ""))
    if level is None or "timestamp" not in pairs:
        return (Level.INFO if stream == "stdout" else Level.ERROR), plain(text)
    rest = [f"{key}={value}" for key, value in pairs.items() if key not in _REDUNDANT]
    return level, " ".join([pairs.get("message", ""), *rest]).strip()


def plain(text: str) -> str:
    """The text without terminal colours, for use in a sentence."""
    return _ESCAPE.sub("", text)


def _pairs(text: str) -> dict[str, str]:
    """The logfmt pairs of a line, or none if any part of it is not one."""
    if not text.startswith("timestamp="):
        return {}
    pairs: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _PAIR.match(text, position)
        if match is None:
            return {}
        key, value = match.groups()
        pairs.setdefault(key, value[1:-1].replace('\\"', '"') if value[:1] == '"' else value)
        position = match.end()
    return pairs


def file_of(environment: Mapping[str, str]) -> Path | None:
    """Where an OpenCode with this environment keeps its log file; None: cannot be told."""
    data = environment.get("XDG_DATA_HOME")
    if data:
        return Path(data) / "opencode" / "log" / "opencode.log"
    home = environment.get("HOME") or environment.get("USERPROFILE")
    return Path(home) / ".local/share/opencode/log/opencode.log" if home else None


def oversize(file: Path | None, limit: int = FILE_LIMIT) -> str | None:
    """A sentence when the log file has grown over `limit` bytes, else None."""
    try:
        size = file.stat().st_size if file is not None else 0
    except OSError:
        return None  # not there yet, or not ours to read
    if size <= limit:
        return None
    return (
        f"OpenCode's own log file {file} has grown to {size // 1_000_000} MB and OpenCode never "
        "shortens it. You can delete it while OpenCode is stopped."
    )
