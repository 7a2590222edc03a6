"""The recordings of the real cloudflared, as the tests read them."""

import json
from dataclasses import dataclass
from pathlib import Path

from nexus_tray.cloudflare.log_lines import LogEntry, read_line

FOLDER = Path(__file__).parent.parent / "cloudflare_lab" / "recordings"
NAMES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
SHUTDOWN = "Initiating graceful shutdown"


@dataclass(frozen=True)
class Recording:
    """What one run printed. `running` is its log until it was told to end."""

    name: str
    code: int
    entries: tuple[LogEntry, ...]
    running: tuple[LogEntry, ...]

    @property
    def stopped(self) -> bool:
        """It was ended by the recorder's signal, not by itself."""
        return self.code < 0 or len(self.running) < len(self.log)

    @property
    def log(self) -> tuple[LogEntry, ...]:
        return tuple(map(read_line, lines(self.name, "stderr.txt")))


def lines(name: str, file: str) -> list[str]:
    return (FOLDER / name / file).read_text(encoding="utf-8", errors="replace").splitlines()


def load(name: str) -> Recording:
    result = json.loads((FOLDER / name / "result.json").read_text(encoding="utf-8"))
    log = tuple(map(read_line, lines(name, "stderr.txt")))
    ends = [i for i, entry in enumerate(log) if entry.text.startswith(SHUTDOWN)]
    return Recording(
        name=name,
        code=result["exit_code"],
        entries=(*map(read_line, lines(name, "stdout.txt")), *log),
        running=log[: ends[0]] if ends else log,
    )
