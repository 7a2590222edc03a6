"""Named and token tunnels under the driver, with the real gateway, over stand-in and real."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path as FilePath
from typing import Any

import pytest

from nexus_tray.cloudflare.config_file import service_of
from nexus_tray.core.driver import Cause, Failure
from nexus_tray.core.machine import Policy
from nexus_tray.gateway import proof
from nexus_tray.model import Hop, Problem, Reason, ServiceState
from nexus_tray.services.cloudflared_launch import Identity
from nexus_tray.services.cloudflared_watch import Limits
from nexus_tray.store import files
from tests.cloudflare.lab import STANDIN, Lab, cloudflareds, until
from tests.cloudflare.path import TUNNEL, Path, Reports

PROGRAMS = cloudflareds()
HOST, OTHER = "code.lab.example", "www.lab.example"
POLICY = Policy(backoff_first=0.2, probe_running=0.5)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    running = Lab(tmp_path_factory.mktemp("cloudflare") / "lab")
    yield running
    running.close()


@pytest.fixture
def path(lab: Lab, tmp_path: FilePath) -> Iterator[Path]:
    lab.reset()
    made = Path(lab, STANDIN, tmp_path)
    made.stable = True
    yield made
    made.close()


@pytest.fixture(params=list(PROGRAMS))
def both(request: pytest.FixtureRequest, path: Path) -> Path:
    path.program = PROGRAMS[request.param]
    return path


class Stranger:
    """A service of this machine that nobody meant to make public."""

    def __init__(self) -> None:
        self.asked = asked = list[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def asked_by_others(self) -> list[str]:
        """Without our own question, which tells it nothing: it may go out before the rules are
        known, and is how it would be found if they never were."""
        return [path for path in self.asked if not path.startswith(proof.PATH)]

    @property
    def service(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    made = Stranger()
    yield made
    made.close()


def named(path: Path, made: Any) -> Identity:
    """Its credentials as we keep them."""
    file = path.folder / "data" / f"{made['id']}.json"
    files.ensure_private_dir(file.parent)
    files.write_atomic(file, json.dumps(made["credentials_file"]).encode())
    return Identity("named", made["id"], credentials=file)


def by_token(made: Any) -> Identity:
    return Identity("token", made["id"], token=lambda: str(made["token"]))


def run(path: Path, identity: Identity, transport: str = "auto", policy: Policy = POLICY) -> None:
    path.supervise(path.driver(transport, identity=identity, routes=lambda: (HOST,)), policy)


def test_a_named_tunnel_leads_its_names_to_the_gateway(both: Path) -> None:
    routes = [HOST, OTHER]
    identity = named(both, both.lab.make_tunnel(HOST, OTHER))
    driver = both.driver(identity=identity, routes=lambda: tuple(routes))
    both.supervise(driver, POLICY)
    service = both.until_state(ServiceState.RUNNING)
    service = both.until(lambda s: s.facts.address, "an address")
    assert service.facts.address == f"https://{HOST}"
    assert both.visit(service) == 200
    assert both.gateway.channel_proved(TUNNEL)
    config = both.folder / "run" / "tunnels" / TUNNEL / "cloudflared.json"
    assert config.stat().st_mode & 0o777 == 0o600
    assert json.loads(config.read_bytes()) == {
        "tunnel": identity.tunnel_id,
        "credentials-file": str(identity.credentials),
        "ingress": [{"service": service_of(both.socket)}],
    }
    routes.remove(HOST)  # the gateway's matter: the run goes on
    pid = service.facts.pid
    service = both.until(lambda s: s.facts.address == f"https://{OTHER}", "the other address")
    assert service.facts.pid == pid
    routes.clear()
    service = both.until_code("tunnel-no-routes")
    assert service.state is ServiceState.DEGRADED
    assert both.journal.latest().address is None
    routes.append(HOST)
    both.until(lambda s: s.facts.address == f"https://{HOST}", "the address again")
    both.until_state(ServiceState.RUNNING)


def ended(path: Path, identity: Identity, **more: Any) -> Failure:
    """Why a start came to nothing; within five seconds (SECURITY 20)."""
    reports = Reports()
    path.gateway.start()
    path.driver(identity=identity, **more).start(1, reports)
    failure = reports.wait_exit(5.0).failure
    assert failure is not None
    return failure


def test_credentials_that_cannot_be_used_are_named(path: Path) -> None:
    made = path.lab.make_tunnel()
    identity = named(path, made)
    file = identity.credentials
    assert file is not None

    def refused(code: str) -> None:
        failure = ended(path, identity)
        assert (failure.reason.code, failure.cause) == (code, Cause.FATAL)
        assert failure.reason.cure
        assert made["credentials_file"]["TunnelSecret"] not in str(failure)

    file.chmod(0o666)
    refused("file-open-to-others")
    file.chmod(0o600)
    file.write_text(json.dumps({**made["credentials_file"], "TunnelID": "0" * 8}))
    refused("tunnel-credentials-odd")
    file.write_text("{")
    refused("tunnel-credentials-odd")
    target = file.rename(file.with_name("elsewhere.json"))
    file.symlink_to(target)
    refused("file-link")
    file.unlink()
    refused("tunnel-credentials-missing")


def test_a_token_that_cannot_be_had_is_named(path: Path) -> None:
    made = path.lab.make_tunnel()
    failure = ended(path, Identity("token", made["id"], token=lambda: None))
    assert (failure.reason.code, failure.cause) == ("tunnel-token-missing", Cause.FATAL)

    def locked() -> str:
        raise Problem(Reason(code="secrets-locked", hop=Hop.GATEWAY, what="It is locked."))

    failure = ended(path, Identity("token", made["id"], token=locked))
    assert (failure.reason.code, failure.cause) == ("secrets-locked", Cause.NETWORK)
    assert failure.retry_after
    assert "again by itself" in failure.reason.meaning


def test_a_configuration_that_cloudflared_refuses_is_not_run(
    path: Path, tmp_path: FilePath
) -> None:
    program = tmp_path / "picky"
    program.write_text(
        "#!/bin/sh\n[ \"$5\" = ingress ] && echo 'Validation failed: no' && exit 1\ntouch ran\n"
    )
    program.chmod(0o700)
    identity = named(path, path.lab.make_tunnel())
    failure = ended(path, identity, program=lambda: program)
    assert (failure.reason.code, failure.cause) == ("cloudflared-config", Cause.FATAL)
    assert not (path.folder / "run" / "tunnels" / TUNNEL / "ran").exists()


def test_what_quic_leaves_untold_is_asked_over_http2(both: Path) -> None:
    made = both.lab.make_tunnel()
    made["credentials_file"]["TunnelSecret"] = "MDAw" * 10 + "MDA="
    began = time.monotonic()
    run(both, named(both, made))
    both.until_code("tunnel-refused", 5)
    assert time.monotonic() - began < 5
    both.until_state(ServiceState.FAILED, 20)
    service = both.until_code("tunnel-secret-refused")
    assert service.reason is not None
    assert "new address" not in str(service.reason)
    assert both.transports.choose("auto", "home") == "quic"  # it taught nothing about the network


def test_a_tunnel_that_is_deleted_while_it_runs_is_given_up(path: Path) -> None:
    made = path.lab.make_tunnel(HOST)
    run(path, by_token(made), "http2")
    path.until_state(ServiceState.RUNNING)
    path.lab.call("POST", f"/tunnels/{made['id']}/forget")
    path.lab.call("POST", "/edge/drop", {"mode": "abort"})
    path.until_state(ServiceState.FAILED, 20)
    path.until_code("tunnel-gone")


def test_a_named_tunnel_that_stays_away_is_started_again_at_its_address(path: Path) -> None:
    driver = path.driver(
        "http2",
        Limits(lost=1.0),
        identity=named(path, path.lab.make_tunnel(HOST)),
        routes=lambda: (HOST,),
    )
    path.supervise(driver, POLICY)
    path.until_state(ServiceState.RUNNING)
    path.lab.call("POST", "/edge/shut", {"seconds": 60, "mode": "refuse"})
    path.lab.call("POST", "/edge/drop", {"mode": "abort"})
    service = path.until(lambda s: s.state is ServiceState.BACKOFF, "a new start")
    assert service.reason is not None
    assert service.reason.code == "tunnel-lost"
    assert "address stays" in service.reason.cure
    path.lab.call("POST", "/edge/open")
    service = path.until_state(ServiceState.RUNNING)
    assert service.facts.address == f"https://{HOST}"


def gone(path: Path) -> None:
    """Until the edge has noticed too."""

    def connected() -> bool:
        tunnels = path.lab.call("GET", "/state")["tunnels"]
        return any(tunnel["connections"] for tunnel in tunnels)

    until(lambda: not connected(), "the edge noticing")


def test_a_token_tunnel_notices_what_is_done_at_cloudflare(both: Path) -> None:
    made = both.lab.make_tunnel(HOST, remote=True)
    both.lab.configure(made["id"], ("", "http_status:404"))
    run(both, by_token(made))
    service = both.until_code("tunnel-no-hostnames")
    assert service.reason is not None
    assert str(both.socket) in service.reason.cure
    both.until_state(ServiceState.DEGRADED)
    both.lab.configure(made["id"], (OTHER, service_of(both.socket)), ("", "http_status:404"))
    service = both.until_code("tunnel-no-routes")
    assert service.facts.hostnames == (OTHER,)
    both.lab.configure(made["id"], (HOST, service_of(both.socket)), ("", "http_status:404"))
    both.until_state(ServiceState.RUNNING)
    service = both.until(lambda s: s.facts.address, "the address")
    assert service.facts.address == f"https://{HOST}"
    assert service.facts.hostnames == (HOST,)
    assert both.visit(service) == 200
    assert both.gateway.channel_proved(TUNNEL)


@pytest.mark.parametrize("word", ["127.0.0.1", "localhost"])
def test_the_loopback_port_may_be_named_at_cloudflare(path: Path, word: str) -> None:
    path.gateway.start()
    made = path.lab.make_tunnel(HOST, remote=True)
    path.lab.configure(made["id"], (HOST, f"http://{word}:{path.gateway.tunnel_port()}"))
    run(path, by_token(made), "http2")
    assert path.visit(path.until_state(ServiceState.RUNNING)) == 200


def test_over_http2_a_socket_is_said_to_carry_no_websockets(path: Path) -> None:
    made = path.lab.make_tunnel(HOST, remote=True)
    path.lab.configure(made["id"], (HOST, service_of(path.socket)))
    run(path, by_token(made), "http2")
    service = path.until_code("tunnel-no-websockets")
    assert service.reason is not None
    assert f"127.0.0.1:{path.gateway.tunnel_port()}" in service.reason.cure


def test_rules_that_lead_elsewhere_end_it_at_once(both: Path, stranger: Stranger) -> None:
    made = both.lab.make_tunnel(HOST, remote=True)
    ours = service_of(both.socket)
    both.lab.configure(made["id"], (HOST, ours), ("", "http_status:404"))
    run(both, by_token(made), policy=Policy(probe_running=60.0))
    service = both.until_state(ServiceState.RUNNING)
    assert both.visit(service) == 200
    both.lab.configure(made["id"], (HOST, ours), (OTHER, stranger.service), ("", ours))
    changed = time.monotonic()
    service = both.until_state(ServiceState.FAILED)
    assert time.monotonic() - changed < 2.0  # and not with the next probe
    gone(both)
    assert both.lab.visit(HOST)[0] >= 500
    assert service.reason is not None
    assert service.reason.code == "tunnel-ingress-foreign"
    assert OTHER in service.reason.what
    assert stranger.service in service.reason.what
    assert ours.removeprefix("unix:") in service.reason.cure
    assert stranger.asked_by_others() == []


def test_rules_that_lead_elsewhere_from_the_start_end_it(path: Path, stranger: Stranger) -> None:
    made = path.lab.make_tunnel(HOST, remote=True)
    path.lab.configure(made["id"], (HOST, stranger.service), ("", "http_status:404"))
    run(path, by_token(made))
    path.until_state(ServiceState.FAILED)
    path.until_code("tunnel-ingress-foreign")
    gone(path)
    assert path.lab.visit(HOST)[0] >= 500
    assert stranger.asked_by_others() == []


def test_a_named_tunnel_that_was_moved_to_cloudflare_is_watched_too(
    path: Path, stranger: Stranger
) -> None:
    made = path.lab.make_tunnel(HOST)
    run(path, named(path, made))
    path.until_state(ServiceState.RUNNING)
    path.lab.configure(made["id"], (HOST, stranger.service), ("", "http_status:404"))
    path.until_state(ServiceState.FAILED, 4)
    path.until_code("tunnel-ingress-foreign")
