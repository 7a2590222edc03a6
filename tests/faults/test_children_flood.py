"""SECURITY 17 on the whole program: OpenCode floods its output while the dashboard is frozen.

It writes 100 MB/s; a page and a reader of the log ask for everything and read nothing. The child
never stalls for a second, the program grows by 50 MiB at most, the log stays within its bound,
and who asks the program is answered. The child alone, as fast as it can: test_pipes.py.
"""

import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from nexus_tray.api.client import connect
from tests.e2e.program import Program, wait_until
from tests.opencode_lab import standin

pytestmark = pytest.mark.timeout(240)

MEGABYTE = 1024 * 1024
RATE = 100 * 1000 * 1000
LOG_BOUND = 4

# Beside answering: 100 MB/s of lines while the file `flood` is there; notes its longest write.
FLOOD = f"""
import os, threading
LINES = b"".join(b"INFO  %06d service=server a line as a program in trouble prints it\\n" % n
                 for n in range(1000))

def flood():
    while True:
        while not os.path.exists("flood"):
            time.sleep(0.02)
        began, total, longest = time.monotonic(), 0, 0.0
        while os.path.exists("flood"):
            before = time.monotonic()
            total += os.write(2, LINES)
            longest = max(longest, time.monotonic() - before)
            time.sleep(max(0.0, began + total / {RATE} - time.monotonic()))
        with open("flooded", "w") as file:
            file.write(f"{{longest}} {{total / (time.monotonic() - began)}}")

threading.Thread(target=flood, daemon=True).start()
"""


def flooder(path: Path) -> Path:
    """The stand-in for OpenCode, which floods when it is told."""
    source = Path(standin.__file__).read_text(encoding="utf-8")
    head, main, rest = source.partition('if __name__ == "__main__":\n')
    text = f"#!{sys.executable}\n{head}{main}" + "".join(
        f"    {line}\n" for line in FLOOD.splitlines()
    )
    path.write_text(text + rest, encoding="utf-8")
    path.chmod(0o755)
    return path


class Frozen:
    """A page that asks for a stream and never reads it."""

    def __init__(self, program: Program, path: str) -> None:
        api = json.loads(program.paths.api_file.read_text())
        where = urlsplit(api["url"])
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect((where.hostname, where.port))
        head = (
            f"GET {path} HTTP/1.1\r\nHost: {where.netloc}\r\n"
            f"Authorization: Bearer {api['token']}\r\n\r\n"
        )
        self.socket.sendall(head.encode())
        assert self.socket.recv(12).endswith(b" 200")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    project = tmp_path / "project"
    project.mkdir()
    made = Program(tmp_path / "home", project, {})
    made.configure(
        {
            "opencode": {"program": str(flooder(tmp_path / "flooder"))},
            "logs": {"max_megabytes": LOG_BOUND},
            "tunnels": [],
        }
    )
    yield made
    made.stop()


def check(program: Program, seconds: float) -> str:
    program.start()
    program.wait_running("opencode", "gateway")
    frozen = [Frozen(program, path) for path in ("/api/v1/events", "/api/v1/logs/stream")]
    ours, backend = psutil.Process(program.program_pid()), connect(program.paths)
    before = most = ours.memory_info().rss
    flood, report = program.directory / "flood", program.directory / "flooded"
    flood.touch()
    end, slowest, largest = time.monotonic() + seconds, 0.0, 0
    while time.monotonic() < end:
        began = time.monotonic()
        backend.snapshot()
        slowest = max(slowest, time.monotonic() - began)
        assert (
            program.cli("logs", "nosuchword").returncode == 0
        )  # it looks through all that is kept
        most = max(most, ours.memory_info().rss)
        largest = max(largest, on_disk(program))
    flood.unlink()
    text = wait_until(lambda: report.exists() and report.read_text(), 10, "its report")
    longest, rate = map(float, str(text).split())
    kept = program.cli("logs", "-n", "5", "dropped").stdout
    for each in frozen:
        each.socket.close()
    said = (
        f"{rate / 1e6:.0f} MB/s for {seconds:.0f} s, longest stall {longest * 1000:.0f} ms,"
        f" memory +{(most - before) / MEGABYTE:.1f} MiB, log at most {largest / MEGABYTE:.1f} MiB,"
        f" slowest answer {slowest:.2f} s"
    )
    print(said)
    assert longest < 1.0, said
    assert most - before < 50 * MEGABYTE, said
    assert largest <= LOG_BOUND * MEGABYTE, said
    assert slowest < 2.0, said
    assert rate > RATE / 2, f"the child was slowed down: {said}"
    assert "lines were dropped" in kept, "what is missing is said"
    program.wait_running("opencode", seconds=15)
    snapshot = program.snapshot().service("opencode")
    assert snapshot is not None
    assert snapshot.restarts == 0, "a flood is no fault to end it for"
    return said


def on_disk(program: Program) -> int:
    """What the stored logs take."""
    files = program.paths.data.glob("logs.db*")
    return sum(file.stat().st_size for file in files if not file.name.endswith("-shm"))


def test_a_flood_with_the_dashboard_frozen(program: Program) -> None:
    check(program, 4)


@pytest.mark.long
def test_a_minute_of_flood_with_the_dashboard_frozen(program: Program) -> None:
    check(program, 60)
