"""SECURITY 20 on the whole program: what cannot run is named within 5 s, with what to do, no loop.

Each kind of fault near to its cause: tests/services/test_cloudflared_known.py, tests/contract and
tests/faults/test_opencode.py. Here a person starts the program and looks.
"""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.model import Service, ServiceState, Snapshot
from tests.cloudflare.lab import STANDIN
from tests.e2e.conftest import PASSWORD
from tests.e2e.program import Program
from tests.opencode_lab import standin

pytestmark = pytest.mark.timeout(120)

S = ServiceState
NAMED, TOKEN = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    project = tmp_path / "project"
    project.mkdir()
    made = Program(tmp_path / "home", project, {})
    yield made
    made.stop()


def failed(program: Program, *names: str) -> dict[str, Service]:
    """These services once they are given up, and within how many seconds."""

    def all_failed(snapshot: Snapshot) -> bool:
        found = [snapshot.service(name) for name in names]
        return all(one is not None and one.state is S.FAILED for one in found)

    snapshot = program.wait_for(all_failed, 20, "what failed")
    return {one.name: one for one in snapshot.services}


def test_a_missing_program_and_tunnels_without_what_they_need(
    program: Program, tmp_path: Path
) -> None:
    kinds = {"named": NAMED, "token": TOKEN}
    program.configure(
        {
            "opencode": {"program": str(tmp_path / "nowhere")},
            "cloudflared": {"program": str(STANDIN)},
            "tunnels": [
                {"name": kind, "kind": kind, "tunnel_id": ident, "routes": [{"hostname": "a.b.c"}]}
                for kind, ident in kinds.items()
            ],
        }
    )
    program.start()
    began = time.time()
    codes = {"opencode": "opencode-missing"}
    assert_named(failed(program, *codes), codes, began)
    # here is no keyring: that would be named, and asked again now and then
    assert program.cli("secret", "unlock", given="a passphrase of some length\n").returncode == 0
    assert program.cli("password", "set", given=PASSWORD + "\n").returncode == 0
    began = time.time()
    codes |= {"named": "tunnel-credentials-missing", "token": "tunnel-token-missing"}
    program.wait_running("gateway")
    assert_named(failed(program, *codes), codes, began)
    before = program.snapshot()
    time.sleep(2)  # nothing may happen in it: the first wait would be one second
    after = program.snapshot()
    assert [one.since_at for one in after.services if one.state is S.FAILED] == pytest.approx(
        [one.since_at for one in before.services if one.state is S.FAILED], abs=0.5
    ), "no loop"


def assert_named(found: dict[str, Service], codes: dict[str, str], began: float) -> None:
    for name, code in codes.items():
        service = found[name]
        assert service.reason is not None
        assert (name, service.reason.code) == (name, code)
        assert service.reason.cure, name
        assert service.restarts == 0, name
    latest = max(found[name].since_at for name in codes)
    print(f"named {latest - began:.1f} s after it could be")
    assert latest - began < 5


def test_a_port_that_somebody_has_and_gives_back(program: Program, tmp_path: Path) -> None:
    """SECURITY 20 and 26: the stranger is not touched, and the door opens when it may."""
    stranger = socket.create_server(("127.0.0.1", 0))
    port = stranger.getsockname()[1]
    program.configure(
        {
            "opencode": {"program": str(standin.executable(tmp_path / "standin"))},
            "gateway": {"local_port": port},
            "tunnels": [],
        }
    )
    program.start()
    began = time.time()
    found = failed(program, "gateway")
    assert_named(found, {"gateway": "gateway-port-taken"}, began)
    assert str(port) in (found["gateway"].reason or found["gateway"]).what  # type: ignore[union-attr]
    program.wait_running("opencode")
    with socket.create_connection(("127.0.0.1", port)):
        stranger.accept()[0].close()
    stranger.close()
    assert program.cli("restart", "gateway").returncode == 0
    running = program.wait_running("gateway").service("gateway")
    assert running is not None
    assert running.facts.address == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("{", "config.json"),
        ('{"version": 1, "opencode": {"enabld": true}}', "enabld"),
        ('{"version": 99}', "newer"),
    ],
)
def test_settings_that_cannot_be_used_end_the_program_with_what_to_do(
    program: Program, content: str, word: str
) -> None:
    program.configure({})
    program.paths.config_file.write_text(content)
    began = time.monotonic()
    done = program.cli("run", "--headless")
    took = time.monotonic() - began
    assert done.returncode == 78, done.stderr
    assert word in done.stderr
    assert str(program.paths.config_file) in done.stderr
    assert "starts again" not in done.stderr, "no loop"
    assert took < 5
    assert program.paths.config_file.read_text() == content
