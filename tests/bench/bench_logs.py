"""How fast the log store takes lines in and finds them, beside grep over a plain file.

    .venv/bin/python -m tests.bench.bench_logs [lines]

Default: 1,000,000 lines of about 90 bytes. Everything in one run on one machine, so that
the ratios mean something where the figures do not. Prints a table; changes nothing.
"""

import contextlib
import functools
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from nexus_tray.model import Level, LogQuery, Problem
from nexus_tray.store import log_query
from nexus_tray.store.log_file import LogFile, siblings
from nexus_tray.store.log_queue import BATCH_LINES
from nexus_tray.store.logs import LogStore

RARE = "zebrafish"


def make_lines(count: int) -> list[str]:
    source = random.Random(1)
    words = [
        "".join(source.choices("abcdefghijklmnop", k=source.randint(3, 9))) for _ in range(3000)
    ]
    lines = [
        f"INF {number} conn={source.randrange(4)} " + " ".join(source.choices(words, k=11))
        for number in range(count)
    ]
    for place in source.sample(range(count), 5):
        lines[place] += " " + RARE
    return lines


def say(what: str, figure: str) -> None:
    sys.stdout.write(f"{what:<58}{figure:>14}\n")
    sys.stdout.flush()


def timed(action: Callable[[], object], repeats: int = 5) -> float:
    """Milliseconds, the median of some runs."""
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def ingest(path: Path, lines: list[str]) -> LogFile:
    """The writer's statements alone, in its batches; then the index."""
    file = LogFile(path, 10_000_000_000)
    began = time.perf_counter()
    for start in range(0, len(lines), BATCH_LINES):
        batch = enumerate(lines[start : start + BATCH_LINES], start + 1)
        file.insert([(number, number, "bench", 1, line) for number, line in batch])
        file.trim()
    taken = time.perf_counter() - began
    say("store, statements alone: lines/s", f"{len(lines) / taken:,.0f}")
    tail = timed(lambda: log_query.read(path, LogQuery(words=RARE)), 3)
    say(f"rare word, all {len(lines):,} lines unindexed: ms", f"{tail:.1f}")
    say("bytes a line, unindexed", f"{size(path) / len(lines):.0f}")
    began = time.perf_counter()
    while file.unindexed:
        file.index()
    say("index behind: lines/s", f"{len(lines) / (time.perf_counter() - began):,.0f}")
    say("bytes a line, indexed", f"{size(path) / len(lines):.0f}")
    return file


def size(path: Path) -> int:
    return sum(file.stat().st_size for file in siblings(path) if file.exists())


class Heart:
    """A thread that wishes to sleep 1 ms at a time, and how late Python lets it wake."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat)
        self._thread.start()

    def _beat(self) -> None:
        while not self._done.is_set():
            began = time.perf_counter()
            time.sleep(0.001)
            self.late.append((time.perf_counter() - began - 0.001) * 1000)

    def stop(self, when: str) -> None:
        self._done.set()
        self._thread.join()
        self.late.sort()
        for percent in (50, 99):
            late = self.late[len(self.late) * percent // 100]
            say(f"another thread is late, {when}, p{percent}: ms", f"{late:.2f}")


def end_to_end(path: Path, lines: list[str]) -> None:
    """Through append, queue and writer thread with its rests, at 50,000 lines/s and at most."""
    sys.setswitchinterval(0.0005)  # as the product does (FACTS.md, "The GIL")
    store = LogStore(path, 10_000_000_000)
    heart = Heart()
    time.sleep(3)
    heart.stop("idle")
    heart = Heart()
    began = time.perf_counter()
    for number, line in enumerate(lines[:150_000], 1):
        store.append("bench", Level.INFO, line)
        if number % 50 == 0:
            time.sleep(max(0.0, began + number / 50_000 - time.perf_counter()))
    heart.stop("50,000 lines/s")
    began = time.perf_counter()
    for number, line in enumerate(lines):
        store.append("bench", Level.INFO, line)
        if number % 20_000 == 0:  # never overflow: this measures storing, not dropping
            while len(store._queue._lines) > 20_000:
                time.sleep(0.002)
    store.close()
    rate = len(lines) / (time.perf_counter() - began)
    say("append to stored, with rests: lines/s", f"{rate:,.0f}")


def queries(path: Path, plain: Path) -> None:
    cases = [
        ("newest 200", LogQuery(limit=200)),
        ("rare word", LogQuery(words=RARE)),
        ("absent word", LogQuery(words="absent")),
        ("frequent word, newest 200", LogQuery(words="inf conn")),
        ("two words, newest 200", LogQuery(words="conn=3 inf")),
        ("errors only (none)", LogQuery(level=Level.ERROR)),
        ("rare pattern", LogQuery(pattern=f"{RARE}$")),
        ("hanging pattern", LogQuery(pattern="(a+)+~")),
    ]
    for name, query in cases:
        say(f"query: {name}: ms", f"{timed(functools.partial(answer, path, query), 3):.1f}")
    for program in (["grep", "-F"], ["grep", "-E"], ["rg"]):
        if shutil.which(program[0]):
            command = [*program, RARE, str(plain)]
            run = functools.partial(subprocess.run, command, check=True, capture_output=True)
            say(f"{' '.join(program)}, rare word, plain file: ms", f"{timed(run):.1f}")


def answer(path: Path, query: LogQuery) -> None:
    with contextlib.suppress(Problem):  # "log-query-slow" is an answer too
        log_query.read(path, query)


def main(count: int) -> None:
    lines = make_lines(count)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.log"
        plain.write_text("\n".join(lines) + "\n")
        say(f"{count:,} lines, bytes a line in a plain file", f"{plain.stat().st_size / count:.0f}")
        file = ingest(Path(folder) / "a" / "logs.db", lines)
        queries(Path(folder) / "a" / "logs.db", plain)
        file.close()
        end_to_end(Path(folder) / "b" / "logs.db", lines)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
