"""SECURITY.md 37: whom the doors turn away is written down, and a flood makes few rows."""

import socket
from pathlib import Path

from nexus_tray.app.door import Door
from nexus_tray.commands import Outcome
from nexus_tray.paths import Paths
from nexus_tray.settings import TunnelSettings
from nexus_tray.store.audit import AuditEvent
from tests.api.doubles import first_snapshot
from tests.gateway.doubles import HOST, SECRET, RawClient, eventually, tunnel_request


def test_denials_have_rows(tmp_path: Path) -> None:
    paths = Paths(*(tmp_path / name for name in ("config", "data", "r", "tools")))
    door = Door(paths, first_snapshot, lambda _: Outcome(ok=True))
    gateway = door.at_port(0)
    gateway.start()
    try:
        door.set_routes((TunnelSettings(name="quick"), TunnelSettings(name="work", kind="named")))
        gateway.open_door("quick", SECRET, holds_events=False)
        gateway.open_door("work", SECRET[::-1], holds_events=False)

        def ask(request: bytes) -> int:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.connect(str(paths.tunnel_socket))
            client = RawClient(connection)
            client.send(request)
            status = client.answer().status
            client.close()
            return status

        assert ask(tunnel_request(secret="x" * 30)) == 403
        assert ask(tunnel_request(secret=SECRET[::-1])) == 404
        foreign = tunnel_request("POST", "/_nexus/sign-in", "Origin: https://evil.example")
        assert ask(foreign) == 403

        def told() -> list[tuple[str, str]]:
            rows = door.audit().newest(1000)
            return [(row.address, row.outcome) for row in rows if row.event is AuditEvent.DENIED]

        eventually(lambda: len(told()) == 3)
        assert {address for address, _ in told()} == {"unknown", "203.0.113.9"}
        assert not any(secret in str(told()) for secret in (SECRET, HOST, "evil"))
        for _ in range(150):
            assert ask(foreign) == 403
        eventually(lambda: len(told()) >= 100)
        assert len(told()) <= 101
    finally:
        door.close()
