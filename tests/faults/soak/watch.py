"""What must hold all the time: what is shown is so, nothing grows, no log line is lost or doubled.

The judgements are pure and take time as an argument; `Watch` is the thread that looks.
"""

import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import psutil

from nexus_tray.api.client import connect
from nexus_tray.model import LogQuery, Problem, ServiceState, Snapshot
from nexus_tray.paths import Paths

BELIEVED = 2.0
"""Seconds for which what is shown may be behind what is so."""
_LINE = re.compile(r"soak line (\d+) (\d+)$")


@dataclass
class Shown:
    """Services that are shown as running although their process is gone, since when."""

    since: dict[tuple[str, int], float] = field(default_factory=dict)

    def look(
        self, running: Iterable[tuple[str, int]], alive: Callable[[int], bool], now: float
    ) -> list[str]:
        """What has been shown wrongly for too long. `running`: (service, pid) as shown."""
        gone = {one for one in running if not alive(one[1])}
        self.since = {one: self.since.get(one, now) for one in gone}
        late = [one for one, since in self.since.items() if now - since > BELIEVED]
        for one in late:
            self.since[one] = now + 3600.0  # once is enough
        return [f"{name} was shown running though process {pid} is gone" for name, pid in late]


@dataclass(frozen=True)
class Size:
    """What the program holds: MB of its own, descriptors, threads."""

    memory: float
    descriptors: int
    threads: int


MOST_MORE = Size(60.0, 80, 40)
"""Than at the beginning, while things go wrong."""
MOST_LEFT = Size(40.0, 20, 10)
"""The same when all is quiet again."""


def grown(first: Size, now: Size, most: Size) -> list[str]:
    """What is held that should not be."""
    return [
        f"{what}: {before:g} at first, {after:g} now"
        for what, before, after, more in (
            ("memory in MB", first.memory, now.memory, most.memory),
            ("descriptors", first.descriptors, now.descriptors, most.descriptors),
            ("threads", first.threads, now.threads, most.threads),
        )
        if after > before + more
    ]


def size_of(pid: int) -> Size:
    """What that process holds now. Raises psutil.NoSuchProcess."""
    process = psutil.Process(pid)
    return Size(process.memory_full_info().uss / 1e6, process.num_fds(), process.num_threads())


@dataclass
class Lines:
    """The numbered lines that the log ever answered with (that acknowledged them), by their id."""

    known: dict[int, tuple[int, int]] = field(default_factory=dict)
    last_id: int = 0

    def add(self, lines: Iterable[tuple[int, str]]) -> None:
        """Lines (id, text) that it has just answered with."""
        for line_id, text in lines:
            if found := _LINE.search(text):
                self.known[line_id] = (int(found[1]), int(found[2]))

    def doubled(self) -> list[str]:
        """Lines that stand there twice."""
        seen: set[tuple[int, int]] = set()
        wrong = []
        for line in self.known.values():
            if line in seen:
                wrong.append(f"log line {line} stands there twice")
            seen.add(line)
        return wrong

    def lost(self, lines: Iterable[tuple[int, str]], oldest_id: int) -> list[str]:
        """Lines that were answered once and are not among these any more, though none so old
        has had to make room (`oldest_id`)."""
        now = {line_id for line_id, _ in lines}
        gone = [one for one in self.known if one >= oldest_id and one not in now]
        return [f"log line {self.known[one]} (id {one}) is gone" for one in gone]


def alive(pid: int) -> bool:
    """A process is there, and not only its last word."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def running(snapshot: Snapshot) -> list[tuple[str, int]]:
    """The services that are shown running, with their processes."""
    return [
        (service.name, service.facts.pid)
        for service in snapshot.services
        if service.state is ServiceState.RUNNING and service.facts.pid is not None
    ]


class Watch:
    """Looks every half second over the local API; `snapshot` is the last (None: no answer)."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._over = threading.Event()
        self.quiet = threading.Event()  # nobody can look: the whole program is stopped
        self.snapshot: Snapshot | None = None
        self.wrong: list[str] = []
        self.looks = 0
        self.lines = Lines()
        self._shown = Shown()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def host(self) -> str | None:
        """Where the phone finds it just now."""
        tunnel = self.snapshot.service("quick") if self.snapshot else None
        address = tunnel.facts.address if tunnel is not None else None
        return address.removeprefix("https://") if address else None

    def _run(self) -> None:
        while not self._over.wait(0.5):
            if self.quiet.is_set():
                self._shown = Shown()
                continue
            try:
                self._look()
            except Problem:
                self.snapshot, self._shown = None, Shown()

    def _look(self) -> None:
        backend = connect(self._paths)
        self.snapshot = backend.snapshot()
        self.looks += 1
        self.wrong += self._shown.look(running(self.snapshot), alive, time.monotonic())
        page = backend.logs(LogQuery(words="soak line", after=self.lines.last_id, limit=1000))
        self.lines.add((line.id, line.text) for line in page.lines)
        self.lines.last_id = max([self.lines.last_id, *(line.id for line in page.lines)])

    def check_lines(self) -> list[str]:
        """Every line again, from the oldest on."""
        backend, found, after = connect(self._paths), [], 0
        while True:
            page = backend.logs(LogQuery(words="soak line", after=after, limit=1000))
            if not page.lines:
                break
            found += [(line.id, line.text) for line in page.lines]
            after = page.lines[-1].id
        oldest = found[0][0] if found else 0
        return self.lines.doubled() + self.lines.lost(found, oldest)

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join(30)
