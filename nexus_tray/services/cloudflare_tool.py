"""Runs cloudflared for one task on an account, and waits for what it says.

Owns the child, its time limit and its environment: scrubbed as a tunnel's is (SECURITY 25), with a
home of ours, so that nothing of the user's own cloudflared is read or changed. Imports
`process`, `environment` and `cloudflare`. Blocks; called by a job's thread.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nexus_tray.cloudflare.tunnel_tool import Said
from nexus_tray.model import Problem
from nexus_tray.services import cloudflared_faults as faults
from nexus_tray.services.cloudflared_launch import environment
from nexus_tray.services.process import ChildProcess

LIMIT = 60.0
"""Seconds for one task: cloudflared's own limit for a request is 15, and it asks twice."""
MOST_LINES = 2000


@dataclass(frozen=True)
class Tool:
    """How to run it. `program` raises Problem; `given` is our own environment, of which the child
    gets an allow-list; `lab` is added to it (tests)."""

    program: Callable[[], Path]
    given: Callable[[], Mapping[str, str]]
    lab: Mapping[str, str] = field(default_factory=dict)

    def run(
        self,
        arguments: Sequence[str],
        home: Path,
        cancelled: threading.Event,
        *,
        on_line: Callable[[str], None] = lambda _: None,
        limit: float = LIMIT,
    ) -> Said:
        """Run it to its end, at most `limit` seconds. A cancelled one is ended, and its code is
        None. Raises Problem where there is no program, or none that can be started."""
        lines: dict[str, list[str]] = {"stdout": [], "stderr": []}
        over, codes = threading.Event(), list[int | None]()

        def line(stream: str, text: str) -> None:
            kept = lines.get(stream)
            if kept is not None and len(kept) < MOST_LINES:
                kept.append(text)
                on_line(text)

        def ended(code: int | None) -> None:
            codes.append(code)
            over.set()

        program = self.program()
        try:
            child = ChildProcess(
                [str(program), *arguments],
                environment(self.given(), home, self.lab),
                home,
                on_line=line,
                on_exit=ended,
            )
        except OSError as error:
            raise Problem(faults.not_spawned(program, error).reason) from error
        waited = 0.0
        while not over.wait(0.1):
            waited += 0.1
            if cancelled.is_set() or waited >= limit:
                child.stop(1.0)
                over.wait(10.0)
                return Said(None, "\n".join(lines["stdout"]), "\n".join(lines["stderr"]))
        return Said(codes[0], "\n".join(lines["stdout"]), "\n".join(lines["stderr"]))
