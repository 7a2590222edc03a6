"""How long the dashboard's window takes from the click to the page, and what it costs.

    .venv/bin/python -m tests.bench.bench_window [times]

Needs Xvfb, python3-gi and gir1.2-webkit2-4.1. Over the real API server, on a screen of its
own. "private" is memory that ending the window gives back. Prints a table; changes nothing.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from nexus_tray.paths import find
from tests.api.doubles import stored_house
from tests.dashboard.conftest import start
from tests.dashboard.house import well
from tests.desktop.window_desk import (
    Eyes,
    WindowDesk,
    private_mb,
    screen,
    show,
    tree,
    within,
)

PAINTED = 40
"""Colours that a page with text has at least; an empty window has one."""
SETTLED = 2.0
"""Seconds after which the page has read what it shows."""


def once(desk: WindowDesk, eyes: Eyes) -> tuple[float, float, float, float, float]:
    """Open, measure, close: seconds to shown, to painted and to raised, megabytes, to gone."""
    handlers = desk.handlers()
    begun = time.monotonic()
    said = show(handlers)
    shown = time.monotonic() - begun
    if said:
        sys.exit(said)
    within(20, lambda: eyes.colours() > PAINTED, "a painted page")
    painted = time.monotonic() - begun
    again = time.monotonic()
    show(handlers)
    raised = time.monotonic() - again
    time.sleep(SETTLED)
    assert handlers.pid is not None
    processes = tree(handlers.pid)
    memory = private_mb(processes)
    closing = time.monotonic()
    eyes.close_window()
    within(20, lambda: not any(process.is_running() for process in processes), "its end")
    return shown, painted, raised, memory, time.monotonic() - closing


def main(times: int) -> None:
    """Print the medians of so many windows, and the first, which is the coldest."""
    with tempfile.TemporaryDirectory() as folder, screen() as display:
        paths = find({"NEXUS_TRAY_HOME": str(Path(folder, "home"))})
        with stored_house(paths) as house:
            well(house, time.time())
            server = start(house.backend)
            eyes = Eyes(display)
            try:
                desk = WindowDesk(house.backend, server, display, paths.data)
                rows = [once(desk, eyes) for _ in range(times)]
            finally:
                eyes.close()
                server.stop()
    names = ("click to shown s", "click to painted s", "raised s", "private MB", "closed to gone s")
    for name, first, values in zip(names, rows[0], zip(*rows, strict=True), strict=True):
        print(f"{name:20} first {first:8.3f}   median {statistics.median(values):8.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
