"""The tunnel's driver with the real gateway, over the stand-in and the real cloudflared."""

import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest

from nexus_tray.cloudflare.config_file import configuration
from nexus_tray.core.driver import Cause, Exited, Failure, Observed, Probed
from nexus_tray.model import Facts, Level, Problem
from nexus_tray.services import cloudflared_faults
from nexus_tray.services.cloudflared import lab_options
from nexus_tray.services.cloudflared_watch import Limits
from nexus_tray.services.public_visit import REFUSED_AT_THE_DOOR
from tests.cloudflare.lab import STANDIN, Lab, cloudflareds, until
from tests.cloudflare.path import TUNNEL, Path, Reports

PROGRAMS = cloudflareds()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    running = Lab(tmp_path_factory.mktemp("cloudflare") / "lab")
    yield running
    running.close()


@pytest.fixture
def path(lab: Lab, tmp_path: FilePath) -> Iterator[Path]:
    lab.reset()
    made = Path(lab, STANDIN, tmp_path)
    made.gateway.start()
    yield made
    made.close()


@pytest.fixture(params=list(PROGRAMS))
def both(request: pytest.FixtureRequest, path: Path) -> Path:
    path.program = PROGRAMS[request.param]
    return path


class Running:
    """One run of a driver, probed by hand."""

    def __init__(self, path: Path, transport: str = "auto", limits: Limits | None = None) -> None:
        self.reports = Reports()
        self.driver = path.driver(transport, limits)
        self.log = path.log
        self.driver.start(1, self.reports)

    def probe(self) -> Probed | Exited:
        """The answer to one probe: it, or the end."""
        known = len(self.probed)
        self.driver.probe(1)
        until(lambda: len(self.probed) > known or self.reports.exits(), "an answer to the probe")
        return self.probed[-1] if len(self.probed) > known else self.reports.exits()[0]

    @property
    def probed(self) -> list[Probed]:
        return [item for item in self.reports.items if isinstance(item, Probed)]

    @property
    def facts(self) -> Facts:
        """What was told last, of each fact."""
        told: dict[str, object] = {}
        for item in self.reports.items:
            if isinstance(item, Observed):
                fields = {n: getattr(item.facts, n) for n in Facts.__struct_fields__}
                told |= {name: value for name, value in fields.items() if value is not None}
        return Facts(**told)  # type: ignore[arg-type]

    def until_ready(self) -> "Running":
        def ready() -> bool:
            answer = self.probe()
            assert isinstance(answer, Probed), answer
            return answer.reason is None

        try:
            until(ready, "ready")
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.probed[-1:]}; {self.log[-12:]}") from error
        return self

    def until_end(self, seconds: float = 20.0) -> Failure:
        """Probed until it ends by itself; why it did."""

        def ended() -> list[Exited]:
            self.probe()
            return self.reports.exits()

        failure = until(ended, "the end of the run", seconds)[0].failure
        assert failure is not None
        return failure

    def stop(self) -> None:
        self.driver.stop(1)
        assert self.reports.wait_exit().failure is None


def test_a_life_from_start_to_stop(both: Path) -> None:
    running = Running(both).until_ready()
    until(lambda: running.facts.address, "the address")
    facts = running.facts
    assert facts.address is not None
    assert facts.address.endswith(".trycloudflare.com")
    assert facts.transport == "quic"
    assert facts.connections == 1
    assert facts.version == "2026.8.2"
    assert facts.locations
    assert facts.memory_bytes
    assert facts.pid
    assert both.lab.visit(facts.address.removeprefix("https://"), "/_nexus/x")[0] == 200
    assert both.gateway.channel_proved(TUNNEL)
    running.stop()
    assert len(running.reports.exits()) == 1
    assert not both.gateway.channel_proved(TUNNEL)
    with pytest.raises(ProcessLookupError):
        os.kill(facts.pid, 0)


def test_http2_leads_over_loopback_and_carries_websockets(both: Path) -> None:
    running = Running(both, "http2").until_ready()
    config = both.folder / "run" / "tunnels" / TUNNEL / "cloudflared.json"
    assert config.read_bytes() == configuration(f"http://127.0.0.1:{both.gateway.tunnel_port()}")
    assert running.facts.transport == "http2"
    assert both.gateway.channel_proved(TUNNEL)
    running.stop()


def test_quic_leads_to_the_socket(path: Path) -> None:
    running = Running(path, "quic").until_ready()
    config = path.folder / "run" / "tunnels" / TUNNEL / "cloudflared.json"
    assert config.read_bytes() == configuration(f"unix:{path.socket}")
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
    running.stop()


def test_the_secret_is_new_for_each_start_and_in_the_environment_only(both: Path) -> None:
    secrets = []
    for _ in range(2):
        running = Running(both).until_ready()
        process = FilePath(f"/proc/{running.facts.pid}")
        environment = (process / "environ").read_bytes().split(b"\0")
        (tag,) = [v for v in environment if v.startswith(b"TUNNEL_TAG=")]
        secrets.append(tag)
        secret = tag.partition(b"Gw=")[2].decode()
        assert len(secret) == 43
        assert secret.encode() not in (process / "cmdline").read_bytes()
        assert not any(secret in text for _, text in both.log)
        running.stop()
    assert secrets[0] != secrets[1]


def test_stop_and_kill_may_come_at_any_time(path: Path) -> None:
    running = Running(path)
    running.driver.stop(1)
    running.driver.stop(1)
    running.driver.kill(1)
    assert running.reports.wait_exit().failure is None
    running.driver.stop(1)
    running.driver.kill(1)
    running.driver.probe(1)
    running.driver.stop(7)
    assert len(running.reports.exits()) == 1


def test_a_killed_cloudflared_is_noticed_and_said(both: Path) -> None:
    running = Running(both).until_ready()
    assert running.facts.pid
    os.kill(running.facts.pid, signal.SIGKILL)
    failure = running.reports.wait_exit(5).failure
    assert failure is not None
    assert (failure.cause, failure.reason.code) == (Cause.CRASH, "cloudflared-killed")
    assert not both.gateway.channel_proved(TUNNEL)


def test_a_frozen_cloudflared_is_blamed(both: Path) -> None:
    running = Running(both).until_ready()
    assert running.facts.pid
    os.kill(running.facts.pid, signal.SIGSTOP)
    answer = running.probe()
    assert isinstance(answer, Probed)
    assert answer.blame
    assert answer.reason is not None
    assert answer.reason.code == "cloudflared-deaf"
    running.driver.kill(1)
    assert running.reports.wait_exit(5).failure is None


def test_lines_reach_the_log_with_their_level(both: Path) -> None:
    running = Running(both).until_ready()
    running.stop()
    assert (Level.INFO, "Requesting new quick Tunnel on trycloudflare.com...") in both.log
    assert any(level is Level.ERROR for level, _ in both.log)
    assert not any(text.startswith("{") for _, text in both.log)


def test_an_expired_tunnel_ends_the_run(both: Path) -> None:
    running = Running(both, "quic").until_ready()
    assert running.facts.address
    both.lab.call("POST", f"/tunnels/{running.facts.address[8:]}/forget")
    both.lab.call("POST", "/edge/drop", {"mode": "close"})
    failure = running.until_end()
    assert (failure.cause, failure.reason.code) == (Cause.NETWORK, "tunnel-gone")


def test_blocked_udp_ends_the_run_and_http2_is_next(path: Path) -> None:
    path.lab.faults(udp_blocked=True)
    limits = Limits(fallback=0.5)
    running = Running(path, limits=limits)
    failure = running.until_end()
    assert (failure.cause, failure.reason.code) == (Cause.NETWORK, "quic-blocked")
    second = Running(path, limits=limits).until_ready()
    assert second.facts.transport == "http2"
    second.stop()
    path.lab.faults(udp_blocked=False)
    third = Running(path, limits=limits).until_ready()  # remembered for this network
    assert third.facts.transport == "http2"
    third.stop()
    path.network = "elsewhere"
    fourth = Running(path, limits=limits).until_ready()
    assert fourth.facts.transport == "quic"
    fourth.stop()


def test_http2_that_was_wished_teaches_nothing_about_the_network(path: Path) -> None:
    Running(path, "http2").until_ready().stop()
    after = Running(path).until_ready()
    assert after.facts.transport == "quic"
    after.stop()


def test_an_explicit_transport_is_kept(path: Path) -> None:
    path.lab.faults(udp_blocked=True)
    running = Running(path, "quic", Limits(fallback=0.0))

    def connecting() -> bool:
        answer = running.probe()
        assert isinstance(answer, Probed), answer
        return answer.reason is not None and answer.reason.code == "tunnel-connecting"

    until(connecting, "it connects")
    assert connecting()
    running.stop()


def test_a_cloudflared_without_the_tag_is_refused(path: Path, tmp_path: FilePath) -> None:
    program = tmp_path / "untagged"
    program.write_text(f'#!/bin/sh\nunset TUNNEL_TAG\nexec "{STANDIN}" "$@"\n')
    program.chmod(0o700)
    path.program = program
    running = Running(path)
    failure = running.until_end()
    assert (failure.cause, failure.reason.code) == (Cause.FATAL, "cloudflared-no-tag")
    assert all(item.reason is not None for item in running.probed)  # never called ready


def test_a_cloudflared_that_leads_elsewhere_is_refused(path: Path, tmp_path: FilePath) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text('{"ingress": [{"service": "http://127.0.0.1:22"}]}')
    program = tmp_path / "led-astray"
    program.write_text(f'#!/bin/sh\nshift 3\nexec "{STANDIN}" tunnel --config {elsewhere} "$@"\n')
    program.chmod(0o700)
    path.program = program
    running = Running(path)
    failure = running.until_end()
    assert failure.reason.code == "cloudflared-config-foreign"
    assert all(item.reason is not None for item in running.probed)


def test_what_the_gateway_says_to_strangers_is_what_the_check_looks_for(path: Path) -> None:
    with socket.create_connection(("127.0.0.1", path.gateway.tunnel_port()), timeout=5) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nCf-Connecting-Ip: 192.0.2.1\r\n\r\n")
        answer = b""
        while data := stranger.recv(65536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert REFUSED_AT_THE_DOOR in answer


def test_without_the_variable_there_is_no_lab() -> None:
    assert lab_options({}) is None
    with pytest.raises(FileNotFoundError):
        lab_options({"NEXUS_TRAY_CLOUDFLARED_LAB": "/nonexistent/lab.json"})


def test_a_program_that_is_not_found_is_fatal(path: Path) -> None:
    def missing() -> FilePath:
        raise Problem(cloudflared_faults.missing())

    reports = Reports()
    path.driver(program=missing).start(1, reports)
    failure = reports.wait_exit(5).failure
    assert failure is not None
    assert (failure.cause, failure.reason.code) == (Cause.FATAL, "cloudflared-missing")
    assert failure.reason.cure
