"""Two ways through the lab's Cloudflare and the real cloudflared, for `bench_gateway`.

One quick tunnel leads straight to the upstream, the other to our gateway's tunnel socket; both
end at the lab's public front, so what differs between them is the gateway alone. The lab is
Python and slower than Cloudflare: requests/s there say little, added latency says more.
"""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from nexus_tray.cloudflare import config_file
from tests.bench.bench_gateway_ours import SECRET
from tests.bench.bench_gateway_peers import Peer, Peers, connection, sign_in
from tests.cloudflare.lab import Lab, real_cloudflared

_NAME = re.compile(rb"https://([a-z0-9-]+\.trycloudflare\.com)")
PATIENCE = 30.0


@contextlib.contextmanager
def through_cloudflared(folder: Path, peers: Peers) -> Iterator[list[Peer]]:
    """The two peers, the one without a gateway first. Raises RuntimeError without cloudflared."""
    program = real_cloudflared()
    if program is None:
        raise RuntimeError("no cloudflared: set NEXUS_CLOUDFLARED or put it on PATH")
    place = folder / "lab"
    place.mkdir()
    direct, ours = peers.items[0], peers.items[-1]
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(contextlib.closing(Lab(place)))
        front = urlsplit(str(lab.info["front"])).port
        assert front is not None
        found = []
        for name, at, secret in (
            ("cloudflared alone", direct.at, ""),
            ("cloudflared, ours", ours.at, SECRET),
        ):
            service = config_file.service_of(at if isinstance(at, int) else Path(at))
            log = folder / f"{name}.log"
            log.with_suffix(".yml").write_bytes(config_file.configuration(service))
            host = stack.enter_context(_tunnel(program, lab, secret, log))
            found.append(Peer(name, front, {}, host))
        _until_through(found[0])
        found[1].fields = {"Cookie": sign_in(found[1])}
        yield found


@contextlib.contextmanager
def _tunnel(program: Path, lab: Lab, secret: str, log: Path) -> Iterator[str]:
    """A cloudflared; the host name that it got."""
    environment = {**os.environ, **lab.info["env"], "HOME": str(log.parent)}
    if secret:
        environment["TUNNEL_TAG"] = f"Gw={secret}"
    quick = ("--quick-service", str(lab.info["quick_service"]))
    file = log.with_suffix(".yml")
    arguments = config_file.quick_arguments(file, "quic", grace=1, extra=quick)
    command = [str(program), *arguments]
    with log.open("wb") as told:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=told, stderr=told, env=environment
        )
        try:
            yield _name(log, process)
        finally:
            process.kill()  # in order it would wait half a minute for its streams
            process.wait(10)


def _name(log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        text = log.read_bytes()
        if (found := _NAME.search(text)) and b"Registered tunnel connection" in text:
            return found[1].decode()
        time.sleep(0.05)
    raise RuntimeError(f"cloudflared does not run: {log.read_text()[-2000:]}")


def _until_through(peer: Peer) -> None:
    """Wait until the front answers for it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        asking = connection(peer)
        asking.request("GET", "/small", headers={"Host": peer.host})
        status = asking.getresponse().status
        asking.close()
        if status == 200:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"the way through cloudflared answers {status}")
        time.sleep(0.1)
