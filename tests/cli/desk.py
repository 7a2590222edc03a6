"""A command line with everything around it: an instance that answers, streams to look at."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nexus_tray import cli
from nexus_tray.api.client import connect
from nexus_tray.cli.console import Console
from nexus_tray.paths import Paths
from tests.api.doubles import AT, House
from tests.api.wires import TOKEN, served


class Stream(io.StringIO):
    """Text that says whether it is a terminal."""

    def __init__(self, text: str = "", terminal: bool = False) -> None:
        super().__init__(text)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@dataclass
class Said:
    """What one command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Desk:
    """Runs command lines. `asked` are prompts shown; `browsed` the addresses opened."""

    paths: Paths
    answers: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    browsed: list[str] = field(default_factory=list)
    runs: list[cli.RunOptions] = field(default_factory=list)
    has_browser: bool = True

    def __call__(
        self,
        *argv: str,
        source: str | None = None,
        terminal: bool = False,
        typed: str = "",
        **more: str,
    ) -> Said:
        """One command line; `source` is piped in (None: standard input is a terminal, on which
        somebody types `typed`)."""
        out, err = Stream(terminal=terminal), Stream()
        console = Console(
            out=out,
            err=err,
            source=Stream(source or typed, terminal=source is None),
            environment={"NEXUS_TRAY_HOME": str(self.paths.run.parent), **more},
            now=lambda: AT + 90,
            ask=self._ask,
            browse=self._browse,
        )
        code = cli.main(argv, run=self._run, connect=connect, console=console)
        return Said(code, out.getvalue(), err.getvalue())

    def _ask(self, prompt: str) -> str:
        self.asked.append(prompt)
        return self.answers.pop(0)

    def _browse(self, url: str) -> bool:
        self.browsed.append(url)
        return self.has_browser

    def _run(self, options: cli.RunOptions) -> int:
        self.runs.append(options)
        return 7


@contextmanager
def instance(paths: Paths, house: House[Any]) -> Iterator[str]:
    """A running instance that the command line finds; its address."""
    with served(house.backend) as server:
        paths.run.mkdir(parents=True, mode=0o700)
        paths.api_file.touch(mode=0o600)
        paths.api_file.write_text(json.dumps({"url": server.url, "token": TOKEN}))
        yield server.url
