"""SECURITY 18, at the worst moment: who is stopped before it is up is restarted within 30 s.

It has 60 or 90 s to start, for a first start may take long; but who is stopped is not starting.
Stopped or deaf once it runs: tests/faults/test_opencode.py and test_tunnel.py.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath

import pytest

from nexus_tray.app.fleet import OPENCODE_POLICY, TUNNEL_POLICY
from nexus_tray.model import ServiceState
from tests.cloudflare.lab import STANDIN, Lab, real_cloudflared, until
from tests.cloudflare.path import Path
from tests.faults.test_opencode import Watched
from tests.opencode_lab.harness import Home, find_opencode

S = ServiceState
pytestmark = pytest.mark.timeout(120)


def stop_the_first(pid: Callable[[], int | None]) -> int:
    found = until(pid, "its process", 20)
    assert found is not None
    os.kill(found, signal.SIGSTOP)
    return found


def test_opencode_stopped_while_it_starts(opencode_home: Home) -> None:
    seen = Watched(opencode_home, find_opencode(), OPENCODE_POLICY)
    try:
        first = stop_the_first(lambda: seen.service.facts.pid if seen.service else None)
        assert seen.published == [], "it was not up"
        began = time.monotonic()
        hurt = seen.until(lambda service: service.state is S.DEGRADED, 15)
        assert hurt.reason is not None
        assert hurt.reason.code == "opencode-stopped"
        seen.until(lambda service: service.facts.pid not in (None, first), 30)
        took = time.monotonic() - began
        seen.until(lambda service: service.state is S.RUNNING, 60)
        print(f"another process after {took:.1f} s")
        assert took < 30
    finally:
        assert seen.supervisor.close(20)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    running = Lab(tmp_path_factory.mktemp("cloudflare") / "lab")
    yield running
    running.close()


@pytest.mark.parametrize("moment", ["spawned", pytest.param("listening", marks=pytest.mark.long)])
def test_cloudflared_stopped_while_it_starts(lab: Lab, tmp_path: FilePath, moment: str) -> None:
    lab.reset()
    lab.faults(quick={"kind": "hang"})  # so that it is still starting
    path = Path(lab, real_cloudflared() or STANDIN, tmp_path)
    try:
        path.supervise(path.driver(), TUNNEL_POLICY)
        if moment == "listening":
            until(lambda: any("Requesting new quick" in text for _, text in path.log), "it asks")
        first = stop_the_first(lambda: path.tunnel.facts.pid if path.tunnel else None)
        lab.reset()
        began = time.monotonic()
        path.until(lambda s: s.facts.pid not in (None, first), "another process", 30)
        took = time.monotonic() - began
        path.until_state(S.RUNNING, 30)
        print(f"another process after {took:.1f} s")
        assert took < 30
    finally:
        path.close()
