"""The gateway beside the proxies it is measured against, in one run on one machine.

    .venv/bin/python -m tests.bench.bench_gateway [--rounds 3] [--seconds 2] [--streams 1000]
        [--large 200] [--plain] [--logs | --cloudflared]

Direct connection, nginx with auth_request, Node's http-proxy with a keep-alive agent, Express
with http-proxy-middleware, and our gateway as it ships, by its local door and by the tunnels'
Unix socket; all before one upstream, asked in turn in each round, so that the ratios mean
something where the figures do not. Prints Markdown; changes nothing. Needs Linux; npm fetches
the Node proxies into a temporary folder; what is not installed (`apt-get install nginx wrk`) is
left out. Ours is measured as it is and, where a C compiler is, compiled (`build/native.py`;
`--plain`: not). `--logs`: our gateway alone, while 50,000 log lines/s arrive in its process.
`--cloudflared`: the lab's Cloudflare and the real cloudflared, with our gateway and without.
"""

import argparse
import asyncio
import re
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from tests.bench import bench_gateway_load as load
from tests.bench import bench_gateway_report as report
from tests.bench.bench_gateway_peers import BROWSER, Peer, Peers, everything
from tests.bench.bench_gateway_tunnel import through_cloudflared

CONNECTIONS = 16


async def measure(peers: Peers, options: argparse.Namespace) -> report.Rounds:
    """Every figure of every peer, in turn, round by round."""
    rounds = report.Rounds()
    for peer in peers.items:
        await load.small(peer, CONNECTIONS, 1.0)  # warm: JIT, pools, caches
        rounds.add(peer.name, "warm", peer.private())
    for number in range(options.rounds):
        turn = number % len(peers.items)  # nobody is always first, or always after another
        for peer in peers.items[turn:] + peers.items[:turn]:
            await one_round(rounds, peer, options)
        sys.stderr.write(f"round {number + 1} of {options.rounds}\n")
    for peer in peers.items:
        await hold_streams(rounds, peer, options.streams)
    return rounds


async def one_round(rounds: report.Rounds, peer: Peer, options: argparse.Namespace) -> None:
    name, size = peer.name, options.large * 1_000_000
    found = await load.small(peer, CONNECTIONS, options.seconds)
    rounds.add(name, "rate", found.rate)
    rounds.add(name, "cpu", found.cpu)
    rounds.add(name, "load", found.load)
    if shutil.which("wrk") and isinstance(peer.at, int):
        rounds.add(name, "wrk", await by_wrk(peer, options.seconds))
    rounds.add(name, "down", await load.download(peer, size))
    rounds.add(name, "up", await load.upload(peer, size))
    rounds.extend(name, "request", await load.asked(peer, 1, options.seconds / 2))
    rounds.extend(name, "event", await load.events(peer, options.seconds))
    rounds.extend(name, "message", await load.messages(peer, options.seconds))


async def by_wrk(peer: Peer, seconds: float) -> float:
    """Requests/s by a load that is not ours; it cannot ask at a Unix socket."""
    fields = [
        part for pair in {**BROWSER, **peer.fields}.items() for part in ("-H", ": ".join(pair))
    ]
    command = ["-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", *fields]
    process = await asyncio.create_subprocess_exec(
        "wrk", *command, f"http://127.0.0.1:{peer.at}/small", stdout=asyncio.subprocess.PIPE
    )
    told = (await process.communicate())[0].decode()
    rate = re.search(r"Requests/sec:\s*([\d.]+)", told)
    if rate is None or "Non-2xx" in told:
        raise RuntimeError(f"wrk at {peer.name}: {told}")
    return float(rate[1])


async def hold_streams(rounds: report.Rounds, peer: Peer, count: int) -> None:
    """Memory idle, under open event streams, and after them."""
    rounds.add(peer.name, "idle", peer.private())
    async with load.streams(peer, count, 10.0, []):
        await asyncio.sleep(1.0)
        rounds.add(peer.name, "open", peer.private())
        rounds.add(peer.name, "resident", peer.resident())
    await asyncio.sleep(1.0)
    rounds.add(peer.name, "after", peer.private())


async def beside_logs(peers: Peers, options: argparse.Namespace) -> None:
    """Latencies of our gateway, quiet and while log lines arrive, in turn."""
    rounds = report.Rounds()
    for _ in range(options.rounds):
        for word, state in (("off", "quiet"), ("on", "logs")):
            before, began = peers.tell_ours(word), time.perf_counter()
            await asyncio.sleep(0.3)
            for peer in peers.items[-2:]:
                name = f"{peer.name}, {state}"
                rounds.extend(name, "request", await load.asked(peer, 1, options.seconds))
                rounds.extend(name, "event", await load.events(peer, options.seconds))
                rounds.extend(name, "message", await load.messages(peer, options.seconds))
            lines, took = peers.tell_ours(word) - before, time.perf_counter() - began
            rounds.add(state, "lines", lines / took)
    report.beside_logs(rounds)


async def behind_tunnels(folder: Path, peers: Peers, options: argparse.Namespace) -> None:
    """Latencies through the lab and cloudflared, without a gateway and with ours, in turn."""
    rounds = report.Rounds()
    with through_cloudflared(folder, peers) as ways:
        for number in range(options.rounds):
            for peer in ways if number % 2 == 0 else reversed(ways):
                found = await load.small(peer, CONNECTIONS, options.seconds)
                rounds.add(peer.name, "rate", found.rate)
                rounds.extend(peer.name, "request", await load.asked(peer, 1, options.seconds))
                rounds.extend(peer.name, "message", await load.messages(peer, options.seconds))
    report.behind_tunnels(rounds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench_gateway")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--large", type=int, default=200, help="MB")
    parser.add_argument("--logs", action="store_true")
    parser.add_argument("--cloudflared", action="store_true")
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the peers inherit it
    with (
        tempfile.TemporaryDirectory() as folder,
        everything(
            Path(folder),
            logs=options.logs,
            others=not (options.logs or options.cloudflared),
            native=not options.plain,
        ) as peers,
    ):
        report.machine(peers)
        if options.logs:
            uvloop.run(beside_logs(peers, options))
            return
        if options.cloudflared:
            uvloop.run(behind_tunnels(Path(folder), peers, options))
            return
        rounds = uvloop.run(measure(peers, options))
        names = [peer.name for peer in peers.items]
        report.small(rounds, names)
        report.large(rounds, names, options.large * 1_000_000)
        report.latency(rounds, names)
        report.memory(rounds, names, options.streams)
        report.goals(rounds, options.streams)


if __name__ == "__main__":
    main()
