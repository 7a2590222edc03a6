"""Our gateway for `bench_gateway`, in a process of its own: the whole of it, as it ships.

    python -m tests.bench.bench_gateway_ours <folder> <upstream port> [logs]

Real relay, site, sign-in, shaping and database (`app.door.Door`), with a password and one
door of a tunnel. Prints one line of JSON: the local door's port, a one-time ticket for it,
the tunnels' socket.
`logs`: a further thread gives a LogStore 50,000 lines/s, whenever standard input says
`on`, until it says `off`. Ends with its standard input.
"""

import json
import sys
import threading
import time
from pathlib import Path

from nexus_tray.app.door import Door
from nexus_tray.commands import AnyCommand, Outcome
from nexus_tray.gateway.http import Upstream
from nexus_tray.model import HopState, Level, Snapshot
from nexus_tray.paths import find
from nexus_tray.settings import AccessSettings, TunnelSettings
from nexus_tray.store.logs import LogStore

PASSWORD = "a long walk by the river"
TUNNEL = "quick"
SECRET = "bench-channel-secret-of-the-tunnel"
NO_LIMITS = AccessSettings(requests_per_second=0, address_requests_per_second=0, streams=0)
SWITCH_SECONDS = 0.0005
"""As `app.running` sets it, which is not imported: it brings 12 MB of the whole program."""
LINES_PER_SECOND = 50_000
_LINE = "INF 2026-01-01T00:00:00Z Registered tunnel connection connIndex=0 ip=198.41.192.7 a="


def snapshot() -> Snapshot:
    return Snapshot("bench", 0, "0", time.time(), HopState.UP, "Reachable", (), ())


def submit(command: AnyCommand) -> Outcome:
    raise AssertionError("the load sends no commands")


class Flood(threading.Thread):
    """Lines for a log store, 50,000 a second, as long as `going` is set."""

    def __init__(self, store: LogStore) -> None:
        super().__init__(name="flood", daemon=True)
        self._store = store
        self.going = threading.Event()
        self.written = 0

    def run(self) -> None:
        while self.going.wait():
            began, first = time.perf_counter(), self.written
            while self.going.is_set():
                for number in range(50):
                    self._store.append("bench", Level.INFO, f"{_LINE}{self.written + number}")
                self.written += 50
                due = began + (self.written - first) / LINES_PER_SECOND
                time.sleep(max(0.0, due - time.perf_counter()))


def main(folder: Path, upstream: int, logs: bool) -> None:
    sys.setswitchinterval(SWITCH_SECONDS)
    paths = find({"NEXUS_TRAY_HOME": str(folder)})
    door = Door(paths, snapshot, submit, factor_secret=lambda _: None)
    door.set_routes([TunnelSettings(name=TUNNEL)])
    door.set_limits(NO_LIMITS)
    door.accounts().set_password(PASSWORD)
    door.set_upstream(Upstream("127.0.0.1", upstream, b"Basic b3BlbmNvZGU6b3Vycw=="))
    gateway = door.gateway()
    gateway.start()
    gateway.open_door(TUNNEL, SECRET, holds_events=False)
    told = {
        "port": gateway.local_port,
        "socket": str(paths.tunnel_socket),
        "ticket": door.accounts().new_ticket("/"),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    store = LogStore(paths.log_database, 256_000_000) if logs else None
    if store is not None:
        listen(Flood(store))
        store.close()
    else:
        sys.stdin.read()
    door.close()


def listen(flood: Flood) -> None:
    """Answers each `on` and `off` with how many lines were written until now."""
    flood.start()
    for line in sys.stdin:
        (flood.going.set if line.strip() == "on" else flood.going.clear)()
        sys.stdout.write(f"{flood.written}\n")
        sys.stdout.flush()
    flood.going.clear()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), "logs" in sys.argv[3:])
