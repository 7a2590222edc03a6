"""What the tunnel survives, and what it says: no network, no UDP, a rate limit, bad set-ups.

The whole path as the product has it (supervisor, driver, cloudflared, lab, gateway), over the
real cloudflared where there is one. SECURITY.md 20 (tunnel), 21, 22, 24, 25.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath

import pytest

from nexus_tray.cloudflare.errors import diagnose
from nexus_tray.cloudflare.log_lines import read_line
from nexus_tray.core.driver import Cause, Exited, Tick, Wish
from nexus_tray.core.machine import Machine, Policy, Start, step
from nexus_tray.model import Desired, ServiceState
from nexus_tray.services import binaries
from nexus_tray.services.cloudflared_watch import Limits
from tests.cloudflare.lab import STANDIN, Lab, real_cloudflared, until
from tests.cloudflare.path import Path
from tests.services.test_cloudflared_known import by_token, named

S = ServiceState
PROGRAM = real_cloudflared() or STANDIN
OFTEN = Policy(probe_running=0.5)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    running = Lab(tmp_path_factory.mktemp("cloudflare") / "lab")
    yield running
    running.close()


@pytest.fixture
def path(lab: Lab, tmp_path: FilePath) -> Iterator[Path]:
    lab.reset()
    made = Path(lab, PROGRAM, tmp_path)
    yield made
    made.close()


def script(folder: FilePath, text: str, mode: int = 0o700) -> FilePath:
    program = folder / "program"
    program.write_text(text)
    program.chmod(mode)
    return program


# SECURITY.md 20: named within 5 s with what to do, no loop


def not_there(path: Path) -> FilePath:
    return binaries.find("cloudflared", str(path.folder / "nowhere"), "", path.folder)


def nowhere(path: Path) -> FilePath:
    return binaries.find("cloudflared", "", str(path.folder), path.folder)


def not_executable(path: Path) -> FilePath:
    return script(path.folder, "#!/bin/sh\n", 0o600)


def not_a_program(path: Path) -> FilePath:
    return script(path.folder, "\x7fELF nonsense")


def too_old(path: Path) -> FilePath:
    said = "Incorrect Usage. flag provided but not defined: -management-diagnostics"
    return script(path.folder, f'#!/bin/sh\necho "{said}"\n')


@pytest.mark.parametrize(
    ("program", "code"),
    [
        (not_there, "cloudflared-missing"),
        (nowhere, "cloudflared-missing"),
        (not_executable, "cloudflared-not-allowed"),
        (not_a_program, "cloudflared-wrong-kind"),
        (too_old, "cloudflared-usage"),
    ],
)
def test_a_bad_program_is_named_at_once(
    path: Path, program: Callable[[Path], FilePath], code: str
) -> None:
    path.supervise(path.driver(program=lambda: program(path)))
    service = path.until_state(S.FAILED, 5)
    assert service.reason is not None
    assert service.reason.code == code
    assert service.reason.cure
    assert service.restarts == 0  # no loop


def test_a_fault_of_our_own_is_named_and_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)

    def broken() -> FilePath:
        raise RuntimeError("a mistake of ours")

    path.supervise(path.driver(program=broken))
    service = path.until_state(S.BACKOFF, 5)
    assert service.reason is not None
    assert service.reason.code == "cloudflared-unforeseen"
    assert "a mistake of ours" in str(raised[0].exc_value), "and its traceback is told"
    assert path.supervisor.close(10)  # while the traceback's reader is still there


def test_an_unusable_folder_is_named_at_once(path: Path) -> None:
    folder = path.folder / "shared"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    path.supervise(path.driver(folder=folder))
    service = path.until_state(S.FAILED, 5)
    assert service.reason is not None
    assert service.reason.code == "file-open-to-others"
    assert service.reason.cure


# SECURITY.md 21 (short): no network at start


def test_without_network_it_waits_and_is_back_soon(path: Path) -> None:
    path.lab.faults(quick={"kind": "disconnect"})
    path.supervise(path.driver())
    path.until(lambda s: s.restarts >= 2, "the third try", 20)
    service = path.until_code("quick-service-unreachable")
    assert service.state is not S.FAILED
    path.lab.reset()
    path.until_state(S.RUNNING, 15)
    assert S.FAILED not in path.states


@pytest.mark.long  # cloudflared itself waits 15 s for an answer
def test_a_network_that_swallows_everything_is_waited_for(path: Path) -> None:
    path.lab.faults(quick={"kind": "hang"})
    path.supervise(path.driver())
    until(lambda: any("Requesting new quick" in text for _, text in path.log), "it asks")
    path.lab.reset()
    path.until_state(S.RUNNING, 15 + 15)
    assert S.FAILED not in path.states


def test_an_edge_out_of_reach_is_waited_for(path: Path) -> None:
    path.lab.call("POST", "/edge/shut", {"seconds": 60, "mode": "refuse"})
    path.supervise(path.driver("http2"))
    path.until_code("edge-unreachable")
    path.lab.call("POST", "/edge/open")
    service = path.until_state(S.RUNNING, 30)
    assert service.restarts == 0
    assert S.FAILED not in path.states


# SECURITY.md 22: at most 5 requests in 10 min, a readable message


def test_a_rate_limit_is_said_and_left_alone(path: Path) -> None:
    before = path.lab.counts().get("quick_requests", 0)
    path.lab.faults(quick={"kind": "status", "status": 429})
    path.supervise(path.driver())
    service = path.until_state(S.BACKOFF)
    assert service.reason is not None
    assert service.reason.code == "tunnel-rate-limited"
    assert service.reason.cure
    assert service.next_try_at is not None
    assert service.next_try_at - time.time() > 600 / 5
    assert path.lab.counts()["quick_requests"] - before == 1


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_ten_minutes_of_rate_limit_are_five_requests(chance: float) -> None:
    line = 'ERR Error unmarshaling QuickTunnel response: x status_code="429 Too Many Requests"'
    failure = diagnose(1, [read_line(f"2026-01-01T00:00:00Z {line}")])
    assert failure is not None
    assert failure.cause is Cause.LIMITED
    policy, now, starts = Policy(), 0.0, []
    machine, effects = step(Machine("quick"), Wish(Desired.RUNNING), now, policy, chance)
    while now < 600:
        starts += [now for effect in effects if isinstance(effect, Start)]
        if machine.alive:
            machine, effects = step(machine, Exited(machine.run, failure), now, policy, chance)
        else:
            assert machine.wakes_at is not None
            now = machine.wakes_at
            machine, effects = step(machine, Tick(), now, policy, chance)
    assert len([at for at in starts if at < 600]) <= 5
    assert machine.state is not S.FAILED


# SECURITY.md 24: UDP blocked


def test_where_udp_is_blocked_http2_is_used_and_shown(path: Path) -> None:
    path.lab.faults(udp_blocked=True)
    begun = time.monotonic()
    path.supervise(path.driver())
    service = path.until(
        lambda s: s.state is S.RUNNING and s.facts.address, "running by HTTP/2", 60
    )
    assert time.monotonic() - begun < 60
    assert service.facts.transport == "http2"
    assert path.visit(service) == 200
    assert S.FAILED not in path.states


# SECURITY.md 25: the user's own configuration and variables


HOST = "code.lab.example"


def hostile(path: Path) -> dict[str, str]:
    """What a person's own use of cloudflared may have left in the environment, and worse."""
    return {
        "TUNNEL_URL": "http://127.0.0.1:22",
        "TUNNEL_TOKEN": "not-a-token",
        "TUNNEL_TOKEN_FILE": "/nowhere",
        "TUNNEL_CRED_FILE": "/nowhere",
        "TUNNEL_CRED_CONTENTS": "{}",
        "TUNNEL_ORIGIN_CERT": "/nowhere",
        "TUNNEL_NAME": "another",
        "TUNNEL_HOSTNAME": "another.example.com",
        "TUNNEL_CONFIG": str(path.folder / ".cloudflared" / "config.yml"),
        "TUNNEL_METRICS": "0.0.0.0:1",
        "TUNNEL_TAG": "Gw=forged",
        "TUNNEL_HELLO_WORLD": "true",
        "TUNNEL_UNIX_SOCKET": "/tmp/elsewhere.sock",
        "TUNNEL_TRANSPORT_PROTOCOL": "pigeon",
        "TUNNEL_EDGE": "192.0.2.1:7844",
        "TUNNEL_LOGFILE": str(path.folder / "leak.log"),
        "TUNNEL_RETRIES": "x",
        "NO_AUTOUPDATE": "false",
        "STDIN_CONTROL": "false",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "ALL_PROXY": "socks5://127.0.0.1:1",
    }


@pytest.mark.parametrize("kind", ["quick", "named", "token"])
def test_the_users_own_cloudflared_changes_nothing(path: Path, kind: str) -> None:
    own = path.folder / ".cloudflared" / "config.yml"
    own.parent.mkdir(mode=0o700)
    own.write_text('{"ingress": [{"service": "http_status:404"}], "protocol": "http2"}')
    (own.parent / "cert.pem").write_text("not a certificate")
    identity = None
    if kind != "quick":
        path.stable = True
        made = path.lab.make_tunnel(HOST)
        identity = by_token(made) if kind == "token" else named(path, made)
    driver = path.driver(environment=hostile(path), identity=identity, routes=lambda: (HOST,))
    path.supervise(driver)
    service = path.until(lambda s: s.state is S.RUNNING and s.facts.address, "running")
    assert service.facts.transport == "quic"
    assert path.visit(service) == 200
    assert not (path.folder / "leak.log").exists()
    environment = FilePath(f"/proc/{service.facts.pid}/environ").read_bytes().split(b"\0")
    names = {entry.partition(b"=")[0].decode() for entry in environment if entry}
    ours = {"TUNNEL_TAG", "TUNNEL_EDGE", "TUNNEL_CACERT", "TUNNEL_NO_PRECHECKS"}
    ours |= {"TUNNEL_TOKEN"} if kind == "token" else set()
    assert {name for name in names if name.startswith("TUNNEL_")} == ours
    assert names.isdisjoint(("HTTP_PROXY", "http_proxy"))  # through it, it would ask for us


# ends from outside


def test_a_kill_is_noticed_and_a_new_address_shown(path: Path) -> None:
    path.supervise(path.driver())
    first = path.until(lambda s: s.state is S.RUNNING and s.facts.address, "running")
    assert first.facts.pid is not None
    os.kill(first.facts.pid, signal.SIGKILL)
    path.until_state(S.BACKOFF, 2)
    second = path.until(
        lambda s: s.state is S.RUNNING and s.facts.address not in (None, first.facts.address),
        "another address",
    )
    assert path.visit(second) == 200
    assert path.visit(first) != 200


@pytest.mark.long  # the short form: a frozen cloudflared is blamed, in tests/services
def test_a_frozen_cloudflared_is_restarted_within_30_s(path: Path) -> None:
    path.supervise(path.driver())
    first = path.until(lambda s: s.state is S.RUNNING and s.facts.pid, "running")
    assert first.facts.pid is not None
    begun = time.monotonic()
    os.kill(first.facts.pid, signal.SIGSTOP)
    path.until(
        lambda s: s.state is S.RUNNING and s.facts.pid not in (None, first.facts.pid),
        "another process",
        30,
    )
    assert time.monotonic() - begun < 30


def test_an_outage_keeps_the_address(path: Path) -> None:
    path.supervise(path.driver(), OFTEN)
    first = path.until(lambda s: s.state is S.RUNNING and s.facts.address, "running")
    path.lab.call("POST", "/edge/shut", {"seconds": 60, "mode": "refuse"})
    path.lab.call("POST", "/edge/drop", {"mode": "abort"})
    path.until_state(S.DEGRADED, 20)
    path.lab.call("POST", "/edge/open")
    back = path.until_state(S.RUNNING, 30)
    assert back.facts.address == first.facts.address
    assert back.restarts == 0
    assert path.visit(back) == 200


def test_an_outage_in_the_network_it_wandered_to_keeps_the_address(path: Path) -> None:
    """Where it began does not count for ever: it was connected here long enough."""
    path.supervise(path.driver("http2", limits=Limits(moved=0.6)), Policy(probe_running=0.1))
    first = path.until(lambda s: s.state is S.RUNNING and s.facts.address, "running")
    path.network = "elsewhere"
    time.sleep(1.5)  # twice the time that counts
    path.lab.call("POST", "/edge/shut", {"seconds": 2.5, "mode": "refuse"})
    path.lab.call("POST", "/edge/drop", {"mode": "abort"})
    path.until_state(S.DEGRADED, 20)
    back = path.until_state(S.RUNNING, 30)
    assert back.facts.address == first.facts.address
    assert back.restarts == 0


def test_in_another_network_that_does_not_let_it_through_it_is_started_anew(path: Path) -> None:
    path.supervise(path.driver("http2", limits=Limits(moved=0.6)), Policy(probe_running=0.1))
    first = path.until(lambda s: s.state is S.RUNNING and s.facts.address, "running")
    path.network = "elsewhere"
    path.lab.call("POST", "/edge/shut", {"seconds": 3, "mode": "refuse"})
    path.lab.call("POST", "/edge/drop", {"mode": "abort"})
    path.until_code("network-changed")
    path.until(
        lambda s: s.state is S.RUNNING and s.facts.address not in (None, first.facts.address),
        "another address",
        60,
    )


def test_a_tunnel_that_stays_away_is_given_up(path: Path) -> None:
    path.supervise(path.driver("http2", limits=Limits(lost=1.0)), OFTEN)
    first = path.until(lambda s: s.state is S.RUNNING and s.facts.address, "running")
    path.lab.call("POST", "/edge/shut", {"seconds": 4, "mode": "refuse"})
    path.lab.call("POST", "/edge/drop", {"mode": "abort"})
    path.until(
        lambda s: s.state is S.RUNNING and s.facts.address not in (None, first.facts.address),
        "another address",
        60,
    )
    assert S.FAILED not in path.states


def test_stop_leaves_nothing(path: Path) -> None:
    path.supervise(path.driver())
    service = path.until(lambda s: s.state is S.RUNNING and s.facts.pid, "running")
    begun = time.monotonic()
    assert path.supervisor.close(15)
    assert time.monotonic() - begun < 10
    assert not FilePath(f"/proc/{service.facts.pid}").exists()
    path.gateway.close()
    assert not path.socket.exists()
