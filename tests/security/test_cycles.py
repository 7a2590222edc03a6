"""SECURITY.md 1: start, stop, crash and reload under public load: not one unauthenticated
request reaches OpenCode. Short profile: 12 cycles; the long one 200."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.gateway.doubles import (
    RawClient,
    RawUpstream,
    answer_ok,
    eventually,
    tunnel_request,
)

CHILD = """
import sys
from pathlib import Path
from nexus_tray.gateway.http import Upstream
from nexus_tray.gateway.routes import OPENCODE_ONLY
from nexus_tray.gateway.server import Gateway
from tests.gateway.doubles import CREDENTIAL, SECRET, SmallSite, no_shape

site = SmallSite()
site.sign_in()
upstream = Upstream("127.0.0.1", int(sys.argv[2]), CREDENTIAL)
gateway = Gateway(site, no_shape, Path(sys.argv[1]))
gateway.start()
gateway.set_routes({"quick": OPENCODE_ONLY})
gateway.open_door("quick", SECRET, holds_events=True)
gateway.set_upstream(upstream)
for line in sys.stdin:
    if line == "reload\\n":
        gateway.close()
        gateway.start()
    elif line == "opencode restarts\\n":
        gateway.set_upstream(None)
        gateway.set_upstream(upstream)
    elif line == "tunnel restarts\\n":
        gateway.close_door("quick")
        gateway.open_door("quick", SECRET, holds_events=True)
    elif line == "stop\\n":
        gateway.close()
        break
"""


class Load:
    """Visitors who never rest: some without a session, some without the channel's secret."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._over = threading.Event()
        self.answers: dict[str, list[int]] = {"stranger": [], "forger": [], "ada": []}
        requests = {
            "stranger": tunnel_request("GET", "/from-stranger", cookie=None),
            "forger": tunnel_request("GET", "/from-forger", secret="not-the-secret-of-a-tunnel"),
            "ada": tunnel_request("GET", "/from-ada"),
        }
        self._threads = [
            threading.Thread(target=self._run, args=(name, request))
            for name, request in requests.items()
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, name: str, request: bytes) -> None:
        while not self._over.is_set():
            with socket.socket(socket.AF_UNIX) as connection:
                client = RawClient(connection)
                with contextlib.suppress(OSError, EOFError):
                    connection.connect(str(self._path))
                    client.send(request + request)
                    self.answers[name].append(client.answer().status)
                    continue
            self._over.wait(0.002)  # nobody is there just now

    def served(self, before: int) -> bool:
        """The one who may has got an answer of OpenCode's since."""
        return self.answers["ada"].count(200) > before

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(20.0)


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    made = RawUpstream(answer_ok)
    yield made
    made.close()


def cycles(path: Path, upstream: RawUpstream, count: int) -> Load:
    load = Load(path)
    try:
        for number in range(count):
            before = load.answers["ada"].count(200)
            child = subprocess.Popen(
                [sys.executable, "-c", CHILD, str(path), str(upstream.port)],
                stdin=subprocess.PIPE,
                text=True,
            )
            assert child.stdin is not None
            with child, contextlib.suppress(BrokenPipeError):
                eventually(partial(load.served, before), 20.0)
                for what in ("reload", "opencode restarts", "tunnel restarts"):
                    child.stdin.write(what + "\n")
                child.stdin.flush()
                if number % 2:
                    time.sleep(0.02 * (number % 5))  # crash anywhere in the reload
                    child.kill()
                else:
                    child.stdin.write("stop\n")
    finally:
        load.close()
    return load


def check(load: Load, upstream: RawUpstream) -> None:
    assert b"/from-ada" in upstream.received
    assert b"/from-stranger" not in upstream.received
    assert b"/from-forger" not in upstream.received
    assert set(load.answers["stranger"]) <= {401, 403}
    assert set(load.answers["forger"]) == {403}
    assert 200 in load.answers["ada"]


def test_no_cycle_lets_a_stranger_through(tmp_path: Path, upstream: RawUpstream) -> None:
    check(cycles(tmp_path / "gateway.sock", upstream, 12), upstream)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_hundred_cycles(tmp_path: Path, upstream: RawUpstream) -> None:
    check(cycles(tmp_path / "gateway.sock", upstream, 200), upstream)
