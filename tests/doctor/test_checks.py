"""Each look's every outcome, over real files, sockets, programs and processes."""

import http.server
import os
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nexus_tray.app import doctor_desktop
from nexus_tray.commands import Autostart
from nexus_tray.gateway.http import Upstream
from nexus_tray.model import Desired, Facts, Hop, Problem, Reason, ServiceKind, ServiceState
from nexus_tray.paths import Paths
from nexus_tray.reports import CheckState
from nexus_tray.services import checks_gateway, checks_opencode, checks_tunnel
from nexus_tray.store.files import ensure_private_dir, write_atomic
from nexus_tray.system import checks, web_view
from tests.api.doubles import service
from tests.store.session_bus import bus

GOOD, WARNING, BAD, UNKNOWN = CheckState
WHY = Reason(code="x", hop=Hop.EDGE, what="It is so.")


@contextmanager
def answering(status: int, body: bytes = b"{}", host: str = "127.0.0.1") -> Iterator[int]:
    """A server that answers everything so; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def hanging() -> Iterator[int]:
    """A listener that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def upstream(port: int) -> Upstream:
    return Upstream("127.0.0.1", port, b"Basic eA==")


def script(path: Path, says: str, code: int = 0) -> Callable[[], Path]:
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    path.chmod(0o700)
    return lambda: path


def missing() -> Path:
    raise Problem(WHY)


@pytest.mark.parametrize(
    ("says", "code", "state"),
    [
        ("1.18.33", 0, GOOD),
        ("2.0.1", 0, WARNING),
        ("1.17.9", 0, WARNING),
        ("what?", 0, BAD),
        ("1.18.33", 3, BAD),
    ],
)
def test_opencodes_program(tmp_path: Path, says: str, code: int, state: CheckState) -> None:
    found = checks_opencode.program(script(tmp_path / "opencode", says, code), None)
    assert found.state is state
    assert says in found.text or state is BAD


def test_opencodes_program_that_runs_is_not_started_again(tmp_path: Path) -> None:
    find = script(tmp_path / "opencode", "9.9")
    assert checks_opencode.program(find, "1.18.33").state is GOOD
    assert checks_opencode.program(missing, None).reason == WHY


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (200, b'{"healthy":true,"version":"1.18.33"}', GOOD),
        (200, b"<html>", BAD),
        (500, b"", BAD),
    ],
)
def test_opencodes_health(status: int, body: bytes, state: CheckState) -> None:
    with answering(status, body) as port:
        assert checks_opencode.health(upstream(port), 2.0).state is state


def test_opencodes_health_when_it_hangs_or_is_down() -> None:
    with hanging() as port:
        found = checks_opencode.health(upstream(port), 0.2)
        assert found.state is BAD
        assert "not answer in time" in found.text
        assert checks_opencode.closed(upstream(port), os.getpid(), 0.2).state is UNKNOWN
    assert checks_opencode.health(None).state is UNKNOWN
    assert checks_opencode.closed(None, None).state is UNKNOWN


def test_opencode_is_closed_to_others() -> None:
    with answering(401) as port:
        assert checks_opencode.closed(upstream(port), os.getpid()).state is GOOD
        assert checks_opencode.closed(upstream(port), None).state is UNKNOWN
        with socket.create_server(("0.0.0.0", 0)):
            found = checks_opencode.closed(upstream(port), os.getpid())
        assert found.state is BAD
        assert "0.0.0.0" in found.text
        assert found.command == "nexus-tray restart opencode"
    with answering(200) as port:
        assert checks_opencode.closed(upstream(port), os.getpid()).state is BAD


def test_ripgrep(tmp_path: Path) -> None:
    own = tmp_path / "rg"
    assert checks_opencode.ripgrep("", own).state is WARNING
    script(own, "")
    assert checks_opencode.ripgrep("", own).state is GOOD
    assert checks_opencode.ripgrep(str(tmp_path), tmp_path / "none").state is GOOD


@pytest.mark.parametrize(
    ("says", "state"),
    [
        ("cloudflared version 2026.8.2 (built)", GOOD),
        ("cloudflared version 2026.11.0 (built)", GOOD),
        ("cloudflared version 2024.1.5 (built)", WARNING),
        ("nothing", BAD),
    ],
)
def test_cloudflared(tmp_path: Path, says: str, state: CheckState) -> None:
    assert checks_tunnel.program(script(tmp_path / "cloudflared", says)).state is state


def test_cloudflared_that_is_missing() -> None:
    assert checks_tunnel.program(missing).reason == WHY


def test_the_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(200) as port:
        assert checks_tunnel.edge(["127.0.0.1"], port).state is GOOD
        assert checks_tunnel.edge(["127.0.0.1", "127.0.0.2"], port).state is WARNING
        assert checks_tunnel.edge(["127.0.0.2"], port).state is BAD
    assert checks_tunnel.names(["localhost"]).state is GOOD

    def fails(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    found = checks_tunnel.names(["nowhere.invalid"])
    assert found.state is BAD
    assert "nowhere.invalid" in found.text


def test_a_proxy_is_named_but_its_value_is_not() -> None:
    assert checks_tunnel.proxies({"PATH": "/bin"}).state is GOOD
    found = checks_tunnel.proxies({"https_proxy": "http://ada:canary@proxy"})
    assert found.state is WARNING
    assert "https_proxy" in found.text
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("state", "desired", "reason", "expected"),
    [
        (ServiceState.RUNNING, Desired.RUNNING, None, GOOD),
        (ServiceState.STOPPED, Desired.STOPPED, None, GOOD),
        (ServiceState.STOPPED, Desired.RUNNING, WHY, WARNING),
        (ServiceState.BACKOFF, Desired.RUNNING, WHY, BAD),
        (ServiceState.FAILED, Desired.RUNNING, WHY, BAD),
        (ServiceState.DEGRADED, Desired.RUNNING, WHY, BAD),
        (ServiceState.STARTING, Desired.RUNNING, None, UNKNOWN),
    ],
)
def test_a_tunnel_as_the_snapshot_says_it(
    state: ServiceState, desired: Desired, reason: Reason | None, expected: CheckState
) -> None:
    one = service("quick", ServiceKind.TUNNEL, state=state, desired=desired, reason=reason)
    found = checks_tunnel.tunnel(one)
    assert found.state is expected
    assert found.reason == reason


def test_a_tunnels_figures() -> None:
    facts = Facts(transport="http2", connections=4, locations=("fra08",))
    one = service("quick", ServiceKind.TUNNEL, facts=facts)
    said = "4 connections over HTTP/2 (fra08), not yet proved end to end"
    assert checks_tunnel.tunnel(one).text == said


@pytest.mark.parametrize(("status", "state"), [(401, GOOD), (303, GOOD), (403, GOOD), (200, BAD)])
def test_the_gateways_door(status: int, state: CheckState) -> None:
    with answering(status) as port:
        assert checks_gateway.door(f"http://127.0.0.1:{port}").state is state


def test_the_gateways_door_that_is_shut_or_hangs() -> None:
    assert checks_gateway.door(None).state is BAD
    with hanging() as port:
        assert checks_gateway.door(f"http://127.0.0.1:{port}", 0.2).state is BAD


def test_the_tunnels_socket(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    path = folder / "gateway.sock"
    assert checks_gateway.tunnel_socket(path).state is UNKNOWN
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        assert checks_gateway.tunnel_socket(path).state is GOOD
        path.chmod(0o666)
        assert checks_gateway.tunnel_socket(path).state is BAD
        path.chmod(0o600)
        folder.chmod(0o755)
        assert checks_gateway.tunnel_socket(path).state is BAD
    folder.chmod(0o700)
    path.unlink()
    path.touch(0o600)
    assert checks_gateway.tunnel_socket(path).state is BAD


def test_private_files(paths: Paths) -> None:
    assert checks.private(paths).state is UNKNOWN
    for folder in (paths.config, paths.data, paths.run):
        ensure_private_dir(folder)
    write_atomic(paths.config_file, b"{}")
    assert checks.private(paths).text == "4 folders and files, for you alone"
    paths.config_file.chmod(0o666)
    found = checks.private(paths)
    assert found.state is BAD
    assert str(paths.config_file) in found.text
    assert found.command == f"chmod 600 {paths.config_file}"
    paths.config_file.chmod(0o600)
    paths.data.chmod(0o755)
    assert checks.private(paths).state is BAD
    paths.data.chmod(0o700)
    paths.database.symlink_to("/etc/passwd")
    found = checks.private(paths)
    assert (found.state, found.command) == (BAD, "")


@pytest.mark.parametrize(
    ("free", "state"), [(5 * 2**30, GOOD), (500 * 2**20, WARNING), (5 * 2**20, BAD)]
)
def test_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: CheckState
) -> None:
    usage = type(shutil.disk_usage("/"))(2 * free, free, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert checks.disk(tmp_path / "not" / "yet").state is state


def test_the_disk_as_it_is(tmp_path: Path) -> None:
    assert "free at" in checks.disk(tmp_path / "not" / "yet").text


def test_where_programs_are_looked_for(tmp_path: Path) -> None:
    mine, shared = tmp_path / "mine", tmp_path / "shared"
    for folder, mode in ((mine, 0o755), (shared, 0o777)):
        folder.mkdir()
        folder.chmod(mode)
    (mine / "nexus-tray").touch(0o755)
    sticky = tmp_path / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    assert checks.search_path(f"{mine}:{sticky}:/nowhere").state is GOOD
    for path in (f"{mine}:{shared}", f"{mine}:bin", f".:{mine}"):
        found = checks.search_path(path)
        assert (found.state, "others could" in found.text) == (WARNING, True)
    assert "no folder of PATH" in checks.search_path(f"{sticky}").text


def test_stored_logs(tmp_path: Path) -> None:
    database = tmp_path / "logs.db"
    assert checks.log_store(database, 2**20).state is GOOD
    with database.open("wb") as file:
        file.truncate(40 * 2**20)
    assert checks.log_store(database, 64 * 2**20).text == "40 MB of at most 64 MB"
    assert checks.log_store(database, 2**20).state is WARNING


@pytest.mark.parametrize(("soft", "state"), [(8192, GOOD), (-1, GOOD), (512, WARNING)])
def test_descriptors(monkeypatch: pytest.MonkeyPatch, soft: int, state: CheckState) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, 8192))
    assert checks.descriptors().state is state


@pytest.mark.parametrize(
    ("there", "state", "command"),
    [
        (Autostart.ON, GOOD, ""),
        (Autostart.OFF, GOOD, ""),
        (Autostart.SIGNED_IN, WARNING, "loginctl enable-linger"),
        (Autostart.STALE, WARNING, "nexus-tray autostart on"),
    ],
)
def test_start_at_login(there: Autostart, state: CheckState, command: str) -> None:
    found = checks.autostart(there)
    assert (found.state, found.command) == (state, command)


def test_processes_runtime_and_program(paths: Paths) -> None:
    assert checks.processes(set()).state is GOOD
    assert "12, 40" in checks.processes({40, 12}).text
    assert checks.runtime(paths).state is BAD
    ensure_private_dir(paths.run)
    write_atomic(paths.api_file, b"{}")
    assert checks.runtime(paths).state is GOOD
    assert checks.program("0.1.0").state is GOOD
    assert sys.version.split()[0] in checks.program("0.1.0").text
    assert checks.program("0.1.0", (9, 9)).state is BAD


def test_the_window() -> None:
    assert checks.window(web_view.WebView("")).state is GOOD
    assert checks.window(web_view.MISSING).state is WARNING


def test_a_desktops_panel_and_notifications(tmp_path: Path) -> None:
    with bus(tmp_path) as address:
        _come_and_go(address)


def _come_and_go(address: str) -> None:
    environment = {"DBUS_SESSION_BUS_ADDRESS": address, "WAYLAND_DISPLAY": "wayland-9"}
    assert doctor_desktop.panel({}).state is UNKNOWN
    assert doctor_desktop.notifications({}).state is UNKNOWN
    assert doctor_desktop.panel(environment).state is WARNING
    from jeepney import message_bus
    from jeepney.io.blocking import open_dbus_connection

    with open_dbus_connection(address) as connection:
        for name in (doctor_desktop.PANEL, doctor_desktop.NOTIFICATIONS):
            connection.send_and_get_reply(message_bus.RequestName(name))
        assert doctor_desktop.panel(environment).state is GOOD
        assert doctor_desktop.notifications(environment).state is GOOD


def test_a_bus_that_is_gone() -> None:
    environment = {
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere/bus",
        "WAYLAND_DISPLAY": "wayland-9",
    }
    with pytest.raises(Problem, match="message bus"):
        doctor_desktop.panel(environment)
