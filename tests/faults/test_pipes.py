"""SECURITY 17: a child that floods its output, with a frozen reader, never waits for us."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from nexus_tray.services.process import ChildProcess

MEGABYTE = 1024 * 1024

# Writes as fast as it can, and notes in a file the longest that one write took, and the total.
FLOOD = """
import os, sys, time
seconds, path = float(sys.argv[1]), sys.argv[2]
lines = b"".join(b"%06d a line of ordinary length, as a program in trouble prints it\\n" % n
                 for n in range(1000))
total, longest, end = 0, 0.0, time.monotonic() + seconds
while (now := time.monotonic()) < end:
    total += os.write(1, lines)
    longest = max(longest, time.monotonic() - now)
os.write(1, b"the last words\\n")
with open(path, "w") as file:
    file.write(f"{longest} {total}")
"""


def flood(folder: Path, seconds: float, frozen: bool) -> tuple[float, int, list[str], int]:
    """Longest stall in seconds, bytes written, the lines delivered, and our growth in bytes."""
    release, over, lines = threading.Event(), threading.Event(), []

    def on_line(_stream: str, text: str) -> None:
        lines.append(text)
        if frozen:
            release.wait()

    ours = psutil.Process()
    before = most = ours.memory_info().rss
    report = folder / "report"
    child = ChildProcess(
        [sys.executable, "-c", FLOOD, str(seconds), str(report)],
        {},
        folder,
        on_line=on_line,
        on_exit=lambda _code: over.set(),
    )
    deadline = time.monotonic() + seconds + 30
    while not report.exists() or not report.read_text():
        assert time.monotonic() < deadline, "the flood never ended: the child is blocked"
        most = max(most, ours.memory_info().rss)
        time.sleep(0.05)
    release.set()
    assert over.wait(20)
    longest, total = report.read_text().split()
    assert child.dropped > 0
    return float(longest), int(total), lines, most - before


def check(folder: Path, seconds: float, frozen: bool) -> None:
    longest, total, lines, growth = flood(folder, seconds, frozen)
    print(
        f"{total / seconds / MEGABYTE:.0f} MB/s for {seconds:.0f} s, longest stall"
        f" {longest * 1000:.0f} ms, memory +{growth / MEGABYTE:.1f} MiB, {len(lines)} lines kept"
    )
    assert longest < 1.0
    assert growth < 50 * MEGABYTE
    assert total / seconds > 20 * MEGABYTE, "the child was slowed down"
    assert "the last words" in lines[-2:]


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "reading"])
def test_five_seconds_of_flood(tmp_path: Path, frozen: bool) -> None:
    check(tmp_path, 5, frozen)


@pytest.mark.long
def test_a_minute_of_flood_with_a_frozen_reader(tmp_path: Path) -> None:
    check(tmp_path, 60, frozen=True)


def test_lines_without_end_are_cut_and_bounded(tmp_path: Path) -> None:
    """1 MB lines: one event, one line, 64 KiB of it."""
    over, lines = threading.Event(), []
    script = "import os\nfor _ in range(100): os.write(1, b'x' * 1_000_000 + b'\\n')"
    before = psutil.Process().memory_info().rss
    ChildProcess(
        [sys.executable, "-c", script],
        {},
        tmp_path,
        on_line=lambda _stream, text: lines.append(len(text)),
        on_exit=lambda _code: over.set(),
    )
    assert over.wait(30)
    assert lines == [64 * 1024 + 1] * 100
    assert psutil.Process().memory_info().rss - before < 50 * MEGABYTE


def test_a_child_killed_in_the_flood_is_over_at_once(tmp_path: Path) -> None:
    over, began = threading.Event(), threading.Event()
    child = ChildProcess(
        [sys.executable, "-c", FLOOD, "600", os.devnull],
        {},
        tmp_path,
        on_line=lambda *_: began.set(),
        on_exit=lambda _code: over.set(),
    )
    assert began.wait(10)
    since = time.monotonic()
    os.kill(child.pid, signal.SIGKILL)
    assert over.wait(10)
    assert time.monotonic() - since < 5
