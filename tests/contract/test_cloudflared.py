"""What we rely on in cloudflared, over the stand-in and, where there is one, the real program.

The lab is the same for both, so whatever the stand-in gets wrong shows here.
"""

import http.client
import json
import signal
import socket
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nexus_tray.cloudflare import config_file, metrics
from nexus_tray.cloudflare.errors import diagnose
from nexus_tray.cloudflare.log_lines import LogEntry, read_line
from nexus_tray.core.driver import Cause
from tests.cloudflare.lab import Lab, cloudflareds, until
from tests.cloudflare.origin import KEY, Origin

SECRET = "s" * 43
PROGRAMS = cloudflareds()


class Program:
    """One cloudflared, run by hand: no driver of ours between it and the test."""

    def __init__(
        self, program: Path, arguments: list[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        self.out: list[str] = []
        self.err: list[str] = []
        self.child = subprocess.Popen(
            [str(program), *arguments],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        pairs = ((self.child.stdout, self.out), (self.child.stderr, self.err))
        self._readers = [
            threading.Thread(target=lambda f=f, to=to: [to.append(line) for line in f], daemon=True)
            for f, to in pairs
        ]
        for reader in self._readers:
            reader.start()

    @property
    def entries(self) -> list[LogEntry]:
        return [read_line(line.rstrip("\n")) for line in [*self.out, *self.err]]

    def page(self, path: str) -> tuple[int, bytes]:
        port = until(self._port, "the status port")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _port(self) -> int:
        said = [e.text for e in self.entries if e.text.startswith("Starting metrics server on ")]
        return int(said[0].removesuffix("/metrics").rpartition(":")[2]) if said else 0

    @property
    def connections(self) -> int | None:
        return metrics.parse_ready(*self.page("/ready"))

    @property
    def figures(self) -> metrics.Metrics:
        return metrics.parse_metrics(self.page("/metrics")[1].decode())

    def hostname(self) -> str:
        until(lambda: self.connections, "a connection")
        name = metrics.parse_quicktunnel(self.page("/quicktunnel")[1])
        assert name is not None
        return name

    def wait(self, seconds: float = 20.0) -> int:
        code = self.child.wait(seconds)
        for reader in self._readers:
            reader.join(5)
        return code

    def close(self) -> None:
        self.child.kill()
        self.wait()
        for pipe in (self.child.stdin, self.child.stdout, self.child.stderr):
            assert pipe is not None
            pipe.close()


class Bench:
    """Starts the program under test in one lab, and ends what it started."""

    def __init__(self, program: Path, lab: Lab, folder: Path) -> None:
        self.program, self.lab, self.folder = program, lab, folder
        self.real = program == PROGRAMS.get("real")
        self.origin = Origin(folder / "o.sock")
        self.started: list[Program] = []
        self.config = folder / "config.json"
        self.lead_to(folder / "o.sock")

    def lead_to(self, gateway: Path | int) -> None:
        self.config.write_bytes(config_file.configuration(config_file.service_of(gateway)))

    def run(self, *arguments: str, **environment: str) -> Program:
        base = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "TUNNEL_NO_PRECHECKS": "true"}
        lab = {name: self.lab.info["env"][name] for name in ("TUNNEL_EDGE", "TUNNEL_CACERT")}
        running = Program(self.program, list(arguments), base | lab | environment, self.folder)
        self.started.append(running)
        return running

    def quick(self, transport: str = "http2", *extra: str, **environment: str) -> Program:
        service = ("--quick-service", self.lab.info["quick_service"])
        arguments = config_file.quick_arguments(
            self.config, transport, grace=3, extra=(*service, *extra)
        )
        environment = config_file.tag_environment(SECRET) | environment
        return self.run(*arguments, **environment)

    def known(
        self,
        made: Any,
        transport: str = "quic",
        *,
        token: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Program:
        """Run a tunnel that was made in the lab, by its token or (None) its credentials."""
        environment = {**config_file.tag_environment(SECRET), **(environment or {})}
        service = config_file.service_of(self.folder / "o.sock")
        if token is not None:
            environment |= config_file.token_environment(token)
            arguments = config_file.run_arguments(self.config, transport, grace=3)
        else:
            credentials = self.folder / "credentials.json"
            credentials.write_text(json.dumps(made["credentials_file"]))
            content = config_file.configuration(service, made["id"], credentials)
            self.config.write_bytes(content)
            arguments = config_file.run_arguments(
                self.config, transport, grace=3, tunnel_id=made["id"]
            )
        return self.run(*arguments, **environment)

    def close(self) -> None:
        self.origin.close()
        for running in self.started:
            running.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    running = Lab(tmp_path_factory.mktemp("cloudflare") / "lab")
    yield running
    running.close()


@pytest.fixture(params=list(PROGRAMS))
def bench(request: pytest.FixtureRequest, lab: Lab, tmp_path: Path) -> Iterator[Bench]:
    lab.reset()
    made = Bench(PROGRAMS[request.param], lab, tmp_path)
    yield made
    made.close()


def fields_named(head: list[str], name: str) -> list[str]:
    return [line.partition(": ")[2] for line in head[1:] if line.lower().startswith(name + ":")]


def test_version(bench: Bench) -> None:
    program = bench.run("--version")
    assert program.wait() == 0
    assert program.out[0].startswith("cloudflared version 20")


@pytest.mark.parametrize("transport", ["http2", "quic"])
def test_a_request_goes_through_with_the_tag_last(bench: Bench, transport: str) -> None:
    program = bench.quick(transport)
    hostname = program.hostname()
    status, _, body = bench.lab.visit(hostname, "/a%2Fb?c=d", Cf_Warp_Tag_Gw="forged", X_My="1")
    head = json.loads(body)
    assert status == 200
    assert head[0] == "GET /a%2Fb?c=d HTTP/1.1"
    assert fields_named(head, "host") == [hostname]
    assert fields_named(head, "cf-warp-tag-gw") == ["forged", SECRET]
    assert fields_named(head, "cf-connecting-ip") == ["203.0.113.7"]
    assert fields_named(head, "x-my") == ["1"]
    until(lambda: program.figures.responses, "the response counted")
    figures = program.figures
    assert figures.responses == {200: 1}
    assert figures.total_requests == 1
    assert figures.locations[0].startswith("lab")
    assert figures.memory_bytes


def test_the_status_port_shows_our_ingress_and_the_address(bench: Bench) -> None:
    program = bench.quick()
    hostname = program.hostname()
    assert hostname.endswith(".trycloudflare.com")
    service = config_file.service_of(bench.folder / "o.sock")
    assert metrics.leads_only_to(service, program.page("/config")[1])
    assert any(f"https://{hostname}" in e.text for e in program.entries)


def test_bodies_go_through(bench: Bench) -> None:
    hostname = bench.quick().hostname()
    front = urllib.parse.urlsplit(bench.lab.info["front"])
    for chunked in (False, True):
        connection = http.client.HTTPConnection(front.hostname or "", front.port, timeout=10)
        data = b"x" * 300_000
        body = iter([data[:100_000], data[100_000:]]) if chunked else data
        connection.request("POST", "/echo", body, {"Host": hostname}, encode_chunked=chunked)
        assert connection.getresponse().read() == data
        connection.close()


def upgrade(bench: Bench, hostname: str) -> bytes:
    """Ask for a WebSocket; the status line, and after a 101 what came back of a `ping`."""
    front = urllib.parse.urlsplit(bench.lab.info["front"])
    with (
        socket.create_connection((front.hostname, front.port), timeout=10) as visitor,
        visitor.makefile("rb") as answer,
    ):
        visitor.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {hostname}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {KEY}\r\n\r\n".encode()
        )
        status = answer.readline()
        while answer.readline().strip():
            pass
        if b" 101 " not in status:
            return status
        visitor.sendall(b"ping")
        return status + answer.read(4)


@pytest.mark.parametrize("transport", ["quic", "http2"])
def test_websockets_go_through(bench: Bench, transport: str) -> None:
    if transport == "http2":
        bench.lead_to(bench.origin.port)
    answer = upgrade(bench, bench.quick(transport).hostname())
    assert b" 101 " in answer
    assert answer.endswith(b"ping")
    assert fields_named(bench.origin.heads[-1], "cf-warp-tag-gw") == [SECRET]


def test_websockets_over_http2_do_not_reach_a_unix_socket(bench: Bench) -> None:
    """cloudflared's issue 560. Once this fails, HTTP/2 may lead to the socket as well."""
    program = bench.quick("http2")
    assert b" 502 " in upgrade(bench, program.hostname())
    until(lambda: any("no Host in request URL" in e.text for e in program.entries))


def test_a_stop_is_in_order_and_no_alarm(bench: Bench) -> None:
    program = bench.quick()
    program.hostname()
    program.child.send_signal(signal.SIGTERM)
    assert program.wait(8) == 0
    assert any("Initiating graceful shutdown" in e.text for e in program.entries)
    assert diagnose(0, program.entries, asked=True) is None
    ended = diagnose(0, program.entries)
    assert ended is not None
    assert ended.reason.code == "cloudflared-killed"


def test_a_stop_lets_a_request_in_flight_end(bench: Bench) -> None:
    program = bench.quick()
    hostname = program.hostname()
    answers: list[int] = []
    visitor = threading.Thread(
        target=lambda: answers.append(bench.lab.visit(hostname, "/slow")[0]), daemon=True
    )
    visitor.start()
    assert bench.origin.slow.wait(10)
    program.child.send_signal(signal.SIGTERM)
    until(lambda: program.connections == 0 or None, "not ready while stopping")
    bench.origin.go.set()
    assert program.wait(8) == 0
    visitor.join(10)
    assert answers == [200]


def test_a_second_signal_kills(bench: Bench) -> None:
    program = bench.quick()
    hostname = program.hostname()
    visitor = threading.Thread(target=lambda: bench.lab.visit(hostname, "/slow"), daemon=True)
    visitor.start()
    assert bench.origin.slow.wait(10)
    program.child.send_signal(signal.SIGTERM)
    until(lambda: any("Initiating graceful" in e.text for e in program.entries))
    program.child.send_signal(signal.SIGTERM)
    assert program.wait(3) == -signal.SIGTERM
    visitor.join(10)


def test_a_signal_while_it_asks_for_a_tunnel_kills(bench: Bench) -> None:
    bench.lab.faults(quick={"kind": "hang"})
    program = bench.quick()
    until(lambda: any("Requesting new quick" in e.text for e in program.entries))
    program.child.send_signal(signal.SIGTERM)
    assert program.wait(3) == -signal.SIGTERM


@pytest.mark.parametrize(
    ("fault", "code", "cause"),
    [
        ({"kind": "status", "status": 429}, "tunnel-rate-limited", Cause.LIMITED),
        ({"kind": "status", "status": 500}, "quick-service-failing", Cause.NETWORK),
        ({"kind": "garbage"}, "quick-service-odd", Cause.NETWORK),
        ({"kind": "empty"}, "quick-service-odd", Cause.NETWORK),
        ({"kind": "api-error"}, "quick-service-odd", Cause.NETWORK),
        ({"kind": "disconnect"}, "quick-service-unreachable", Cause.NETWORK),
    ],
    ids=lambda value: value.get("kind", "") if isinstance(value, dict) else "",
)
def test_the_quick_service_fails(
    bench: Bench, fault: dict[str, object], code: str, cause: Cause
) -> None:
    bench.lab.faults(quick=fault)
    program = bench.quick()
    assert program.wait() == 1
    failure = diagnose(1, program.entries)
    assert failure is not None
    assert (failure.reason.code, failure.cause) == (code, cause)


@pytest.mark.parametrize(
    ("service", "code"),
    [("http://127.0.0.1:1", "quick-service-unreachable"), ("http://no.invalid:80", "no-dns")],
)
def test_offline(bench: Bench, service: str, code: str) -> None:
    program = bench.quick("http2", "--quick-service", service)
    assert program.wait() == 1
    failure = diagnose(1, program.entries)
    assert failure is not None
    assert (failure.reason.code, failure.cause) == (code, Cause.NETWORK)


@pytest.mark.parametrize(
    ("extra", "exit_code", "code"),
    [
        (("--no-such-flag",), 0, "cloudflared-usage"),
        (("--protocol", "pigeon"), 1, "cloudflared-protocol"),
        (("--grace-period", "10m"), 1, "cloudflared-usage"),
        (("--config", "/nonexistent/config.json"), 1, "cloudflared-config"),
    ],
)
def test_wrong_command_lines(
    bench: Bench, extra: tuple[str, ...], exit_code: int, code: str
) -> None:
    program = bench.quick("http2", *extra)
    assert program.wait(5) == exit_code
    failure = diagnose(exit_code, program.entries)
    assert failure is not None
    assert (failure.reason.code, failure.cause) == (code, Cause.FATAL)


def test_a_broken_configuration(bench: Bench) -> None:
    bench.config.write_text('{"ingress": [')
    program = bench.quick()
    assert program.wait(5) == 1
    failure = diagnose(1, program.entries)
    assert failure is not None
    assert (failure.reason.code, failure.cause) == ("cloudflared-config", Cause.FATAL)


def test_a_taken_status_port(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        program = bench.quick("http2", "--metrics", f"127.0.0.1:{taken.getsockname()[1]}")
        assert program.wait(5) == 1
    failure = diagnose(1, program.entries)
    assert failure is not None
    assert (failure.reason.code, failure.cause) == ("metrics-port-taken", Cause.CRASH)


def test_the_origin_is_down(bench: Bench) -> None:
    program = bench.quick()
    hostname = program.hostname()
    (bench.folder / "o.sock").unlink()
    assert bench.lab.visit(hostname)[0] == 502
    until(lambda: diagnose(None, program.entries), "the lines about it")
    failure = diagnose(None, program.entries)
    assert failure is not None
    assert failure.reason.code == "gateway-unreachable"
    assert program.figures.request_errors == 1
    assert program.figures.responses == {}
    assert program.connections == 1


@pytest.mark.parametrize("transport", [pytest.param("http2", marks=pytest.mark.long), "quic"])
def test_a_dropped_connection_comes_back(bench: Bench, transport: str) -> None:
    program = bench.quick(transport)
    hostname = program.hostname()
    bench.lab.call("POST", "/edge/drop", {"mode": "abort"})
    until(lambda: program.figures.registered == 2, "the second registration", 30)
    until(lambda: program.connections, "a connection", 30)
    assert diagnose(None, program.entries) is None
    assert bench.lab.visit(hostname)[0] == 200


def told(program: Program, line: str) -> None:
    assert program.child.stdin is not None
    program.child.stdin.write(line + "\n")
    program.child.stdin.flush()


@pytest.mark.parametrize("transport", ["http2", "quic"])
def test_told_to_it_connects_anew_and_keeps_its_address(bench: Bench, transport: str) -> None:
    program = bench.quick(transport, **config_file.CONTROL)
    hostname = program.hostname()
    told(program, config_file.reconnect(1))
    until(lambda: program.figures.registered == 2, "the second registration", 30)
    until(lambda: program.connections, "a connection", 30)
    assert program.hostname() == hostname
    assert bench.lab.visit(hostname)[0] == 200


def test_each_of_its_connections_is_made_anew_once(bench: Bench) -> None:
    program = bench.known(bench.lab.make_tunnel(HOST), "quic", environment=config_file.CONTROL)
    until(lambda: program.connections == (4 if bench.real else 1), "all connections")
    count = program.connections
    assert count
    told(program, config_file.reconnect(count))
    until(lambda: program.figures.registered == 2 * count, "each again", 30)
    until(lambda: program.connections == count, "all connections", 30)
    assert program.figures.registered == 2 * count


def test_a_forgotten_tunnel_is_told_over_http2(bench: Bench) -> None:
    program = bench.quick("http2")
    hostname = program.hostname()
    bench.lab.call("POST", f"/tunnels/{hostname}/forget")
    bench.lab.call("POST", "/edge/drop", {"mode": "abort"})
    failure = until(
        lambda: (f := diagnose(None, program.entries)) and f.reason.code == "tunnel-gone" and f,
        "tunnel-gone",
        40,
    )
    assert failure
    assert program.child.poll() is None
    assert program.connections == 0


def test_a_refused_registration_is_only_counted_over_quic(bench: Bench) -> None:
    bench.lab.faults(registration={"kind": "permanent", "cause": "not allowed"})
    program = bench.quick("quic")
    until(lambda: program.figures.refusals >= 1, "a refusal")
    assert program.connections == 0
    assert not any("not allowed" in e.text for e in program.entries)
    assert program.child.poll() is None


def test_a_first_refusal_ends_it_over_http2(bench: Bench) -> None:
    bench.lab.faults(registration={"kind": "permanent", "cause": "not allowed"})
    program = bench.quick("http2")
    assert program.wait() == 1
    failure = diagnose(1, program.entries)
    assert failure is not None
    assert (failure.reason.code, failure.cause) == ("edge-refused", Cause.NETWORK)
    assert "not allowed" in failure.reason.what


def test_quic_waits_for_ever_where_udp_is_blocked(bench: Bench) -> None:
    bench.lab.faults(udp_blocked=True)
    program = bench.quick("quic")
    failure = until(lambda: diagnose(None, program.entries), "its complaint", 15)
    assert failure is not None
    assert failure.reason.code == "edge-unreachable"
    assert program.connections == 0
    assert program.child.poll() is None


def test_the_edge_refuses_connections(bench: Bench) -> None:
    bench.lab.call("POST", "/edge/shut", {"seconds": 60, "mode": "refuse"})
    program = bench.quick("http2")
    failure = until(lambda: diagnose(None, program.entries), "its complaint")
    assert failure is not None
    assert failure.reason.code == "edge-unreachable"
    bench.lab.call("POST", "/edge/open")
    until(lambda: program.connections, "a connection", 30)


def test_the_users_own_configuration_does_not_count(bench: Bench) -> None:
    own = bench.folder / ".cloudflared" / "config.yml"
    own.parent.mkdir()
    own.write_text('{"ingress": [{"service": "http_status:404"}]}')
    hostname = bench.quick().hostname()
    assert bench.lab.visit(hostname)[0] == 200


def test_the_secret_is_nowhere_to_be_read(bench: Bench) -> None:
    program = bench.quick()
    program.hostname()
    printed = "".join([*program.out, *program.err])
    pages = [program.page(p)[1] for p in ("/config", "/metrics", "/ready", "/quicktunnel")]
    pages.append(program.page("/diag/configuration")[1])
    assert SECRET not in printed
    assert all(SECRET.encode() not in page for page in pages)
    assert SECRET not in Path(f"/proc/{program.child.pid}/cmdline").read_text()


HOST = "code.lab.example"


@pytest.mark.parametrize("transport", ["http2", "quic"])
def test_a_named_tunnel_serves_its_name_with_the_tag(bench: Bench, transport: str) -> None:
    program = bench.known(bench.lab.make_tunnel(HOST), transport)
    until(lambda: program.connections, "a connection")
    status, _, body = bench.lab.visit(HOST, "/a", Cf_Warp_Tag_Gw="forged")
    assert status == 200
    assert fields_named(json.loads(body), "host") == [HOST]
    assert fields_named(json.loads(body), "cf-warp-tag-gw") == ["forged", SECRET]
    assert metrics.parse_quicktunnel(program.page("/quicktunnel")[1]) is None
    ingress = metrics.parse_config(program.page("/config")[1])
    assert ingress is not None
    assert not ingress.remote
    assert [rule.service for rule in ingress.rules] == [
        config_file.service_of(bench.folder / "o.sock")
    ]
    program.child.send_signal(signal.SIGTERM)
    assert program.wait(8) == 0


def test_a_token_is_read_from_the_environment_and_shown_nowhere(bench: Bench) -> None:
    made = bench.lab.make_tunnel(HOST)
    program = bench.known(made, token=made["token"])
    until(lambda: program.connections, "a connection")
    assert bench.lab.visit(HOST)[0] == 200  # by the file's rule, as long as none were sent
    seen = "".join([*program.out, *program.err])
    assert made["token"] not in seen
    assert made["credentials_file"]["TunnelSecret"] not in seen
    assert made["token"] not in Path(f"/proc/{program.child.pid}/cmdline").read_text()


def test_rules_that_cloudflare_sends_take_the_place_of_the_file(bench: Bench) -> None:
    ours = config_file.service_of(bench.folder / "o.sock")
    made = bench.lab.make_tunnel(HOST, "b.lab.example", remote=True)
    bench.lab.configure(made["id"], (HOST, ours), ("", "http_status:404"))
    program = bench.known(made, token=made["token"])

    def rules() -> list[tuple[str, str]]:
        ingress = metrics.parse_config(program.page("/config")[1])
        assert ingress is not None
        return [(r.hostname, r.service) for r in ingress.rules] if ingress.remote else []

    until(lambda: rules() == [(HOST, ours), ("", "http_status:404")], "the first rules")
    assert bench.lab.visit(HOST)[0] == 200
    assert bench.lab.visit("b.lab.example")[0] == 404
    bench.lab.configure(made["id"], ("b.lab.example", ours), ("", "http_status:404"))
    until(lambda: rules()[0][0] == "b.lab.example", "the other rules")
    until(lambda: bench.lab.visit("b.lab.example")[0] == 200, "the other name")
    said = [e.text for e in program.entries if e.text.startswith("Updated to new configuration")]
    assert len(said) == 2


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [("secret", "tunnel-secret-refused"), ("tunnel", "tunnel-gone")],
)
def test_what_cloudflare_refuses_is_said_over_http2_and_tried_again(
    bench: Bench, spoilt: str, code: str
) -> None:
    made = bench.lab.make_tunnel()
    credentials = made["credentials_file"]
    if spoilt == "secret":
        credentials["TunnelSecret"] = "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="
    else:
        bench.lab.api("DELETE", f"/accounts/{bench.lab.info['account']}/cfd_tunnel/{made['id']}")
    program = bench.known(made, "http2")
    until(lambda: program.figures.refusals >= 2, "two refusals")
    failure = diagnose(None, program.entries)
    assert failure is not None
    assert failure.reason.code == code
    assert program.child.poll() is None


def test_what_cloudflare_refuses_is_only_counted_over_quic(bench: Bench) -> None:
    made = bench.lab.make_tunnel()
    made["credentials_file"]["TunnelSecret"] = "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="
    program = bench.known(made, "quic")
    until(lambda: program.figures.refusals >= 2, "two refusals", 5)
    assert not any("Unauthorized" in e.text for e in program.entries)


def test_missing_credentials_and_a_bad_token(bench: Bench) -> None:
    made = bench.lab.make_tunnel()
    credentials = bench.folder / "gone.json"
    bench.config.write_bytes(config_file.configuration("unix:/tmp/x", made["id"], credentials))
    arguments = config_file.run_arguments(bench.config, "quic", grace=3, tunnel_id=made["id"])
    for program, exit_code, code in (
        (bench.run(*arguments), 1, "tunnel-credentials-missing"),
        (bench.known(made, token="not-a-token"), 255, "tunnel-token-refused"),
    ):
        assert program.wait(5) == exit_code
        failure = diagnose(exit_code, program.entries)
        assert failure is not None
        assert (failure.reason.code, failure.cause) == (code, Cause.FATAL)


@pytest.mark.parametrize("good", [True, False])
def test_it_checks_a_configuration(bench: Bench, good: bool) -> None:
    if not good:
        bench.config.write_text('{"ingress": [{"hostname": "a.b", "service": "unix:/x"}]}')
    program = bench.run(*config_file.validate_arguments(bench.config))
    assert program.wait(5) == (0 if good else 1)
    if not good:
        failure = diagnose(1, program.entries)
        assert failure is not None
        assert failure.reason.code == "cloudflared-config"
