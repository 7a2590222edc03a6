"""The parts of a flood that need a process of their own, so that each one's memory and each
one's time is its own: the gateway with the real site and store, an upstream, a visitor's clock.

Run as `python -m tests.security.flood_parts gateway|upstream|probe ...`; each prints one line of
JSON when it is ready, and ends with its standard input.
"""

import asyncio
import contextlib
import gzip
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.http import Upstream
from nexus_tray.gateway.routes import OPENCODE_ONLY
from nexus_tray.gateway.server import Gateway
from nexus_tray.gateway.shaping.shaping import Shaping
from nexus_tray.gateway.signin.passwords import Passwords
from nexus_tray.settings import AccessSettings
from nexus_tray.system import descriptors
from tests.gateway.doubles import CREDENTIAL, SECRET, RawClient, tunnel_request
from tests.gateway.site_world import open_site

MIB = 1024 * 1024
BOMB_MEMBERS = 8
DEAF = 3.0
"""Seconds for which `/deaf` reads nothing; then it hangs up."""
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Counting(Passwords):
    """The real Argon2id, and how often it was asked."""

    verified = 0

    def _matches(self, hashed: str, password: str) -> bool:
        self.verified += 1
        return super()._matches(hashed, password)


def tell(**said: object) -> None:
    print(json.dumps(said), flush=True)


def gateway(folder: Path, port: int) -> None:
    """The gateway as app.door puts it together. Lines in: `streams <most of a device>`,
    `as usual`, or anything to hear what it counts."""
    passwords = Counting()
    world = open_site(folder, passwords, now=time.time())
    upstream = Upstream("127.0.0.1", port, CREDENTIAL)
    bounds = Bounds(connections=descriptors.visitors(Bounds().connections))
    shape = Shaping(lambda: upstream)
    door = Gateway(world.site, shape, folder / "run" / "gateway.sock", 0, bounds)
    door.set_limits(AccessSettings())
    door.start()
    door.set_upstream(upstream)
    door.set_routes({"quick": OPENCODE_ONLY})
    door.open_door("quick", SECRET, holds_events=True)
    tell(ready=True, connections=bounds.connections)
    for line in sys.stdin:
        if line.startswith("streams "):
            door.set_limits(AccessSettings(streams=int(line.split()[1]), requests_per_second=0))
        elif line == "as usual\n":
            door.set_limits(AccessSettings())
        tell(
            verified=passwords.verified,
            connections=door.counters().connections,
            streams=door.counters().streams,
        )
    door.close()
    world.close()


def bomb(members: int) -> bytes:
    """gzip of so many times 128 MiB of nothing: members may follow each other (RFC 1952, 2.2)."""
    return gzip.compress(bytes(128 * MIB), 6) * members


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, big: bytes) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            target = head.split(b" ", 2)[1]
            if target == b"/event":
                writer.write(STREAM + b"8\r\ndata: 1\n\r\n")
                await reader.read()
            elif target == b"/deaf":
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                await asyncio.sleep(DEAF)
                break
            elif target == b"/bomb":
                fields = b"Content-Type: text/html\r\nContent-Encoding: gzip\r\n"
                length = b"Content-Length: %d\r\n\r\n" % len(big)
                writer.write(b"HTTP/1.1 200 OK\r\n" + fields + length + big)
                await writer.drain()
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    writer.close()


def upstream() -> None:
    """An OpenCode that answers at once: streams, bombs, small answers; `/deaf` reads no body."""
    descriptors.visitors(8192)
    big = bomb(BOMB_MEMBERS)

    async def serve() -> None:
        served: set[asyncio.Task[None]] = set()

        async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            served.add(task)
            await _answer(reader, writer, big)
            served.discard(task)

        server = await asyncio.start_server(one, "127.0.0.1", 0, backlog=4096)
        tell(ready=True, port=server.sockets[0].getsockname()[1])
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        os._exit(0)  # thousands of streams need no farewell

    asyncio.run(serve())


def probe(path: str, cookie: str, every: float) -> None:
    """A live session's visitor: asks on a kept connection, tells its times (seconds) at the end."""
    took: list[float] = []
    over = threading.Event()

    def listen() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=listen, daemon=True).start()
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.connect(path)
    client = RawClient(line)
    tell(ready=True)
    while not over.wait(every):
        began = time.perf_counter()
        client.send(tunnel_request("GET", "/session", cookie=cookie))
        assert client.answer().status == 200
        took.append(time.perf_counter() - began)
    tell(took=took)


def main(what: str, *more: str) -> None:
    if what == "gateway":
        gateway(Path(more[0]), int(more[1]))
    elif what == "upstream":
        upstream()
    else:
        probe(more[0], more[1], float(more[2]))


if __name__ == "__main__":
    main(*sys.argv[1:])
