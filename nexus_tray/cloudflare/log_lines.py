"""One line that cloudflared wrote, understood: how grave, what it says, what it is about.

Owns the reading of its two log formats (text, and `--output json`) and of the bare lines it
ends with. Pure; imports the model only; any thread. Formats: tests/cloudflare_lab/recordings.
"""

import re
from dataclasses import dataclass

import msgspec

from nexus_tray.model import Level

_LEVELS = {
    "DBG": Level.DEBUG, "debug": Level.DEBUG, "trace": Level.DEBUG,
    "INF": Level.INFO, "info": Level.INFO,
    "WRN": Level.WARNING, "warn": Level.WARNING,
    "ERR": Level.ERROR, "error": Level.ERROR,
    "FTL": Level.ERROR, "fatal": Level.ERROR, "panic": Level.ERROR,
}  # fmt: skip
_TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (DBG|INF|WRN|ERR|FTL) ?(.*)", re.DOTALL)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ABOUT_THE_LINE = frozenset(("level", "message", "time"))


_VISITOR_LEFT = "Incoming request ended abruptly: context canceled"
"""Two ERR lines each time a browser gives up a request (FACTS.md): no trouble of anybody's."""


@dataclass(frozen=True)
class LogEntry:
    """A line without its time. `level` is None for a bare one: usage, or its last words.

    `text` is the message and then its fields as `name="value"`, the error first.
    """

    level: Level | None
    text: str

    @property
    def bare(self) -> bool:
        """Not a log line: the reason of a fatal end is printed so."""
        return self.level is None


def read_line(line: str) -> LogEntry:
    """Understand a line of either format. Never raises: what is neither is bare."""
    if line.startswith("{"):
        entry = _from_json(line)
        if entry is not None:
            return entry
    plain = _COLOUR.sub("", line)
    match = _TEXT.fullmatch(plain)
    if match is None:
        return LogEntry(None, plain.strip())
    return _graded(_LEVELS[match[1]], match[2].strip())


def _from_json(line: str) -> LogEntry | None:
    try:
        fields = msgspec.json.decode(line, type=dict[str, object])
    except msgspec.DecodeError:
        return None
    level = _LEVELS.get(str(fields.get("level")))
    if level is None:
        return None
    names = sorted(fields.keys() - _ABOUT_THE_LINE, key=lambda name: (name != "error", name))
    parts = [str(fields.get("message", "")).strip()]
    parts += [f"{name}={_value(fields[name])}" for name in names]
    return _graded(level, " ".join(parts))


def _graded(level: Level, text: str) -> LogEntry:
    return LogEntry(Level.DEBUG if _VISITOR_LEFT in text else level, text)


def _value(value: object) -> str:
    """As the text format writes it: quoted where it would not be one word."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if re.fullmatch(r"[^\s\"=]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
