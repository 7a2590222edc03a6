"""The terminal as the commands see it: where words go, where secrets come from, exit codes.

Owns the choice of colour and shapes, JSON against words, and the exit codes. Everything
of the outside (streams, environment, clock, prompt, browser) is a field, so that tests
run a command as a value. Imports layer 1 only; main thread.
"""

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TextIO

import msgspec

from nexus_tray.commands import Outcome
from nexus_tray.inert import inert
from nexus_tray.model import Hop, HopState, Level, Problem, Reason


class Exit(IntEnum):
    """What the exit code tells a script."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    REFUSED = 4
    INTERRUPTED = 130


EXIT_HELP = """exit codes: 0 done, 1 failed, 2 wrong usage, 3 Nexus Tray is not running,
4 refused (the reason is printed), 130 interrupted"""

_FAILURES = frozenset({"api-timeout", "api-unreadable", "api-internal", "cli-input", "cli-still"})

_SHAPES = {
    HopState.UP: "●",
    HopState.BUSY: "◐",
    HopState.DOWN: "✖",
    HopState.OFF: "○",
    HopState.UNKNOWN: "?",
}
_ASCII = {
    HopState.UP: "*",
    HopState.BUSY: "~",
    HopState.DOWN: "x",
    HopState.OFF: "o",
    HopState.UNKNOWN: "?",
}
_COLOURS = {
    HopState.UP: "32",
    HopState.BUSY: "33",
    HopState.DOWN: "31",
    HopState.OFF: "90",
    HopState.UNKNOWN: "90",
}
_LEVELS = {Level.ERROR: "31", Level.WARNING: "33", Level.DEBUG: "90"}

# JSON lets these stand as they are, and some terminals obey them (C1 controls, DEL).
_TERMINAL_CONTROLS = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}


@dataclass(frozen=True)
class Paint:
    """How words are drawn. Shape and word always say what the colour says."""

    colour: bool = False
    shapes: bool = True

    def ink(self, text: str, code: str) -> str:
        """`text` in an SGR colour, where colours are shown."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code else text

    def mark(self, state: HopState) -> str:
        """The shape of a state."""
        return self.ink((_SHAPES if self.shapes else _ASCII)[state], _COLOURS[state])

    def word(self, state: HopState, text: str) -> str:
        """A word in the colour of a state."""
        return self.ink(text, _COLOURS[state])

    def level(self, level: Level) -> str:
        """A log level's word, in its colour, seven wide."""
        return self.ink(f"{level.value:<7}", _LEVELS.get(level, ""))


@dataclass(frozen=True)
class Console:
    """One command's surroundings.

    `now` gives epoch seconds; `ask` prompts for a secret without echo; `browse` opens a
    URL and says whether it could. `json`: values are printed as JSON instead of words.
    """

    out: TextIO
    err: TextIO
    source: TextIO
    environment: Mapping[str, str]
    now: Callable[[], float]
    ask: Callable[[str], str]
    browse: Callable[[str], bool]
    json: bool = False

    @property
    def paint(self) -> Paint:
        """Colours only on a terminal that wants them (https://no-color.org)."""
        wanted = not self.environment.get("NO_COLOR") and self.environment.get("TERM") != "dumb"
        encoding = (getattr(self.out, "encoding", None) or "utf-8").lower().replace("-", "")
        return Paint(colour=wanted and self.out.isatty(), shapes=encoding.startswith("utf"))

    @property
    def width(self) -> int:
        """Columns to wrap text at; 0 where it is not to be wrapped (no terminal)."""
        return shutil.get_terminal_size().columns if self.out.isatty() else 0

    def say(self, text: str) -> None:
        """A line for people."""
        self.out.write(text + "\n")

    def show(self, value: object) -> None:
        """A value as one line of JSON, inert on a terminal."""
        text = msgspec.json.encode(value).decode()
        self.out.write(text.translate(_TERMINAL_CONTROLS) + "\n")

    def refuse(self, reason: Reason) -> Exit:
        """Say why something is not done, and the exit code of that."""
        if self.json:
            self.show(Outcome(ok=False, reason=reason))
        else:
            parts = (reason.what, reason.meaning, reason.cure)
            self.err.write("\n".join(inert(part) for part in parts if part) + "\n")
        return code_of(reason)

    def conclude(self, outcome: Outcome, done: str) -> Exit:
        """Say what came of a command: `done`, or why not."""
        if not outcome.ok:
            return self.refuse(outcome.reason or _NO_REASON)
        if self.json:
            self.show(outcome)
        else:
            self.say(done)
        return Exit.OK


_NO_REASON = Reason(code="refused", hop=Hop.GATEWAY, what="It was refused, without a reason.")


def code_of(reason: Reason) -> Exit:
    """The exit code that belongs to a reason."""
    if reason.code == "not-running":
        return Exit.NOT_RUNNING
    return Exit.FAILED if reason.code in _FAILURES else Exit.REFUSED


def failed(what: str, cure: str = "") -> Problem:
    """A Problem of the command line itself: exit code 1."""
    return Problem(Reason(code="cli-input", hop=Hop.DEVICE, what=what, cure=cure))


def read_secret(console: Console, name: str, *, twice: bool) -> str:
    """A secret from the terminal without echo, or from a pipe; never from the arguments.

    Arguments are seen by every user of the machine and kept in the shell's history.
    Raises Problem when there is none, when the two differ, or when it is not text.
    """
    if console.source.isatty():
        secret = console.ask(f"{name}: ")
        if twice and console.ask(f"{name}, again: ") != secret:
            raise failed("The two were not the same. Nothing was changed.", "Try again.")
    else:
        try:
            secret = console.source.readline(8192).rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise failed("What came on standard input is not UTF-8 text.") from error
    if not secret:
        raise failed("Nothing was entered. Nothing was changed.")
    if any("\ud800" <= char <= "\udfff" for char in secret):
        raise failed("What was entered is not UTF-8 text. Nothing was changed.")
    return secret


def real_console(environment: Mapping[str, str]) -> Console:
    """The console of this process."""
    for stream in (sys.stdout, sys.stderr):
        # A narrow locale must not end a status in a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    return Console(
        out=sys.stdout,
        err=sys.stderr,
        source=sys.stdin,
        environment=environment,
        now=_now,
        ask=_ask,
        browse=_browse,
    )


def _now() -> float:
    import time

    return time.time()


def _ask(prompt: str) -> str:
    import getpass

    return getpass.getpass(prompt)


def _browse(url: str) -> bool:
    import webbrowser

    return webbrowser.open(url)
