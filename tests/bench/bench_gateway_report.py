"""The tables of `bench_gateway`, in Markdown, and what machine they are of."""

import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.bench_gateway_peers import Peers

OURS = tuple(
    f"{name}, {door}" for name in ("ours", "compiled") for door in ("local door", "tunnels' socket")
)
NODE = "node http-proxy"


@dataclass
class Rounds:
    """What was measured of each peer, round by round: figures by peer and by column."""

    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, peer: str, column: str, figure: float) -> None:
        self.figures.setdefault(peer, {}).setdefault(column, []).append(figure)

    def extend(self, peer: str, column: str, samples: Iterable[float]) -> None:
        self.samples.setdefault(peer, {}).setdefault(column, []).extend(samples)

    def median(self, peer: str, column: str) -> float | None:
        """The median of the rounds; None: not measured."""
        found = self.figures.get(peer, {}).get(column)
        return statistics.median(found) if found else None

    def percentile(self, peer: str, column: str, percent: int) -> float | None:
        """Over the samples of all rounds."""
        found = sorted(self.samples.get(peer, {}).get(column, ()))
        return found[len(found) * percent // 100] if found else None

    def added(self, peer: str, column: str, percent: int) -> float | None:
        """Milliseconds beyond the direct connection's own percentile, of samples in µs."""
        mine, direct = (self.percentile(name, column, percent) for name in (peer, "direct"))
        return None if mine is None or direct is None else (mine - direct) / 1000


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def shown(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    say("| " + " | ".join(columns) + " |")
    say("|---" * len(columns) + "|")
    for row in rows:
        say("| " + " | ".join(row) + " |")
    say()


def ratio(mine: float | None, other: float | None) -> str:
    return shown(mine / other, 2) if mine is not None and other else "-"


def machine(peers: Peers) -> None:
    """What all this ran on, and which versions."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    say(f"Machine: {cores} cores, {model}; {platform.system()} {platform.release()}; ")
    say(f"Python {platform.python_version()}; load at the start {load:.2f}.")
    for peer in peers.items:
        if peer.version:
            say(f"{peer.name}: {peer.version}.")
    say()


def small(rounds: Rounds, names: Sequence[str]) -> None:
    say("### Small replies, 16 connections")
    say()
    rows = []
    for name in names:
        rate = rounds.median(name, "rate")
        others = [rounds.median(other, "rate") for other in ("direct", "nginx", NODE)]
        cells = [ratio(rate, other) for other in others]
        cpu, load = rounds.median(name, "cpu"), rounds.median(name, "load")
        wrk = shown(rounds.median(name, "wrk"))
        rows.append([name, shown(rate), *cells, shown(cpu or None, 3), shown(load, 2), wrk])
    columns = ["", "requests/s", "to direct", "to nginx", "to node", "CPU s per 1,000"]
    table([*columns, "load's core", "by wrk: requests/s"], rows)


def large(rounds: Rounds, names: Sequence[str], size: int) -> None:
    say(f"### Large bodies, {size / 1e6:.0f} MB, one connection")
    say()
    rows = []
    for name in names:
        row = [name]
        for way in ("down", "up"):
            rate = rounds.median(name, way)
            row += [shown(rate), ratio(rate, rounds.median(NODE, way))]
        rows.append(row)
    table(["", "down, MB/s", "to node", "up, MB/s", "to node"], rows)


def latency(rounds: Rounds, names: Sequence[str]) -> None:
    say("### Added latency, ms beyond the direct connection's percentile")
    say()
    kinds = ("request", "event", "message")
    rows = [
        [name, *(shown(rounds.added(name, kind, p), 3) for kind in kinds for p in (50, 99))]
        for name in names
    ]
    direct = [shown((rounds.percentile("direct", kind, p) or 0) / 1000, 3) for kind in kinds
              for p in (50, 99)]  # fmt: skip
    columns = [f"{kind} p{p}" for kind in kinds for p in (50, 99)]
    table(["", *columns], [["direct itself", *direct], *rows[1:]])


def memory(rounds: Rounds, names: Sequence[str], streams: int) -> None:
    say("### Memory, MB private dirty")
    say()
    kinds = ("warm", "idle", "open", "after", "resident")
    rows = [[name, *(shown(rounds.median(name, kind), 1) for kind in kinds)] for name in names[1:]]
    opened = f"{streams:,} open streams"
    table(["", "warm", "idle after load", opened, "after them", f"resident, {opened}"], rows)
    say(f"A bare Python of this version: {bare_python():.1f} MB.")
    say()


def goals(rounds: Rounds, streams: int) -> None:
    """What was asked of the gateway, and what came of it at each of its doors."""
    say("### Goals")
    say()
    rows = []
    for what, goal, at_least, figure in (
        ("requests/s to node's", 3.0, True, _against(rounds, NODE, "rate")),
        ("requests/s to nginx's", 0.45, True, _against(rounds, "nginx", "rate")),
        ("memory idle after load, to node's", 1 / 3, False, _against(rounds, NODE, "idle")),
        (f"memory at {streams:,} streams, to node's", 1 / 3, False, _against(rounds, NODE, "open")),
        ("large bodies down, to node's", 1.0, True, _against(rounds, NODE, "down")),
        ("large bodies up, to node's", 1.0, True, _against(rounds, NODE, "up")),
        ("added p50 of a request, ms", 0.3, False, _added(rounds, "request")),
        ("added p50 of an event, ms", 0.3, False, _added(rounds, "event")),
        ("added p50 of a message, ms", 0.3, False, _added(rounds, "message")),
    ):
        sign = "≥" if at_least else "≤"
        cells = [
            "-"
            if value is None
            else f"{value:.2f} {'met' if (value >= goal) is at_least else 'missed'}"
            for value in figure
        ]
        rows.append([what, f"{sign} {goal:.2f}", *cells])
    table(["", "goal", *OURS], rows)


def _against(rounds: Rounds, other: str, column: str) -> list[float | None]:
    theirs = rounds.median(other, column)
    ours = [rounds.median(name, column) for name in OURS]
    return [mine / theirs if mine is not None and theirs else None for mine in ours]


def _added(rounds: Rounds, kind: str) -> list[float | None]:
    return [rounds.added(name, kind, 50) for name in OURS]


def behind_tunnels(rounds: Rounds) -> None:
    say("### Through the lab's Cloudflare and the real cloudflared, ms")
    say()
    kinds = ("request", "message")
    rows = [
        [
            name,
            shown(rounds.median(name, "rate")),
            *(
                shown((rounds.percentile(name, kind, p) or 0) / 1000, 3)
                for kind in kinds
                for p in (50, 99)
            ),
        ]
        for name in rounds.samples
    ]
    table(["", "requests/s", *(f"{kind} p{p}" for kind in kinds for p in (50, 99))], rows)


def beside_logs(rounds: Rounds) -> None:
    say("### Beside 50,000 log lines/s in the same process: latency, ms, no connection's taken off")
    say()
    kinds = ("request", "event", "message")
    rows = [
        [name, *(shown((rounds.percentile(name, kind, p) or 0) / 1000, 3)
                 for kind in kinds for p in (50, 99))]
        for name in rounds.samples
    ]  # fmt: skip
    table(["", *(f"{kind} p{p}" for kind in kinds for p in (50, 99))], rows)
    say(f"Lines/s taken in meanwhile: {shown(rounds.median('logs', 'lines'))}.")
    say()


def bare_python() -> float:
    """MB private dirty of a Python that does nothing."""
    code = (
        "print(*(line.split()[1] for line in open('/proc/self/smaps_rollup')"
        " if line.startswith('Private_Dirty')))"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return int(told.stdout) / 1024
