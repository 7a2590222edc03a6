"""A stand-in for cloudflared 2026.8.2, as far as we use it, where the real one is missing.

The same options, environment, log lines, status port, signals and exit codes as recorded in
tests/cloudflare_lab/recordings; tests/contract/test_cloudflared.py runs the same tests over
both. It joins the lab's edge (cloudflare_lab/standin.py), which sends requests straight to
the origin. Standard library only: it runs under any Python.
"""

import http.client
import json
import os
import re
import signal
import socket
import sys
import threading
import time
import urllib.parse
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes import cloudflared_standin_account, cloudflared_standin_run
from tests.fakes.cloudflared_standin_edge import Connection, Counters, Refused, Status, Unreachable

VERSION = "2026.8.2"
BORN = time.monotonic()
THANKS = (
    "Thank you for trying Cloudflare Tunnel. Doing so, without a Cloudflare account, is a quick way"
)
CREATED = "Your quick Tunnel has been created! Visit it at (it may take some time to be reachable):"
SWITCHES = {"no-autoupdate", "management-diagnostics", "no-prechecks"}
VALUES = {
    "config": "", "metrics": "TUNNEL_METRICS", "output": "TUNNEL_LOG_OUTPUT",
    "loglevel": "TUNNEL_LOGLEVEL", "grace-period": "TUNNEL_GRACE_PERIOD",
    "protocol": "TUNNEL_TRANSPORT_PROTOCOL", "retries": "TUNNEL_RETRIES", "url": "TUNNEL_URL",
    "quick-service": "",
}  # fmt: skip
USAGE = "NAME:\n   cloudflared tunnel - Use Cloudflare Tunnel to expose private services\n"


class Exit(Exception):
    """The program ends with this code, after the bare line on stderr, if any."""

    def __init__(self, code: int, said: str = "") -> None:
        super().__init__(code)
        self.code, self.said = code, said


class Log:
    """Lines on stderr in either of the two formats."""

    def __init__(self) -> None:
        self.as_json = False
        self._lock = threading.Lock()

    def __call__(self, level: str, message: str, **fields: object) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self.as_json:
            names = {"INF": "info", "WRN": "warn", "ERR": "error"}
            line = json.dumps({**fields, "level": names[level], "message": message, "time": at})
        else:
            told = "".join(f" {name}={_quoted(value)}" for name, value in fields.items())
            line = f"{at} {level} {message}{told}"
        with self._lock:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()


def _quoted(value: object) -> str:
    text = str(value)
    return text if re.fullmatch(r"[^\s\"=]+", text) else json.dumps(text, ensure_ascii=False)


@dataclass
class Options:
    """The command line, then the environment; what is missing is the program's default."""

    given: dict[str, str] = field(default_factory=dict)

    def get(self, name: str, default: str = "") -> str:
        variable = VALUES[name]
        fallback = os.environ.get(variable, default) if variable else default
        return self.given.get(name, fallback)


def parse(arguments: list[str]) -> Options:
    options, left = Options(), list(arguments)
    while left:
        name, equals, value = left.pop(0).lstrip("-").partition("=")
        if name in SWITCHES:
            options.given[name] = value if equals else "true"
        elif name in VALUES and (equals or left):
            options.given[name] = value if equals else left.pop(0)
        else:
            print(f"Incorrect Usage. flag provided but not defined: -{name}\n\n{USAGE}")
            raise Exit(0)
    return options


def read_config(options: Options) -> dict[str, Any]:
    """The configuration, with its ingress rules; without `--config`, the user's own."""
    path = options.get("config")
    own = Path(os.environ.get("HOME", "/")) / ".cloudflared" / "config.yml"
    if not path and own.exists():
        path = str(own)
    if not path:
        return {"ingress": []}
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise Exit(1, f"open {path}: {(error.strerror or '').lower()}") from error
    try:
        found: dict[str, Any] = json.loads(text)
        found["ingress"][0]
    except (LookupError, ValueError, TypeError) as error:
        raise Exit(1, f"error parsing YAML in config file at {path}: yaml: {error}") from error
    return found


def ask_quick_service(service: str, log: Log) -> dict[str, str]:
    """A tunnel of the quick service, or its failures in the recorded words."""
    log("INF", THANKS)
    log("INF", "Requesting new quick Tunnel on trycloudflare.com...")
    where = urllib.parse.urlsplit(service)
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    host, port = where.hostname or "", where.port
    failed = f'failed to request quick Tunnel: Post "{service}/tunnel": '
    connection = kind(host, port, timeout=15)
    try:
        connection.request("POST", "/tunnel", headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read().decode("utf-8", "replace")
    except socket.gaierror:
        raise Exit(1, f"{failed}dial tcp: lookup {host}: no such host") from None
    except TimeoutError:
        raise Exit(1, f"{failed}context deadline exceeded (Client.Timeout exceeded)") from None
    except ConnectionRefusedError:
        raise Exit(1, f"{failed}dial tcp {host}:{port}: connect: connection refused") from None
    except (OSError, http.client.HTTPException):
        raise Exit(1, f"{failed}EOF") from None
    finally:
        connection.close()
    return _tunnel_in(body, f"{answer.status} {answer.reason}", log)


def _tunnel_in(body: str, status: str, log: Log) -> dict[str, str]:
    try:
        result = json.loads(body).get("result") or {}
    except (ValueError, AttributeError):
        error = "unexpected end of JSON input"
        if body:
            error = f"invalid character '{body[0]}' looking for beginning of value"
        message = f"Error unmarshaling QuickTunnel response: {body}"
        log("ERR", message, error=error, status_code=status)
        raise Exit(1, f"failed to unmarshal quick Tunnel: {error}") from None
    try:
        uuid.UUID(result.get("id", ""))
    except ValueError:
        raise Exit(1, "failed to parse quick Tunnel ID: invalid UUID length: 0") from None
    found: dict[str, str] = result
    address = f"https://{found['hostname']}"
    for line in (
        f"+{'-' * 92}+",
        f"|  {CREATED:<88}  |",
        f"|  {address:<88}  |",
        f"+{'-' * 92}+",
    ):
        log("INF", line)
    return found


def seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)(ms|s|m)", text or "30s")
    if match is None:
        raise Exit(0)
    return int(match[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0}[match[2]]


def check(options: Options, log: Log) -> float:
    """What cloudflared finds wrong only now, after it asked for a tunnel (FACTS.md)."""
    protocol, grace = options.get("protocol", "quic"), seconds(options.get("grace-period", "30s"))
    error = ""
    if protocol not in ("quic", "http2", "auto"):
        error = f"unknown protocol {protocol}, Available protocols: 'auto', 'quic', 'http2'"
    elif grace > 180:
        error = "grace-period must be equal or less than 3m0s"
    if error:
        log("ERR", "Couldn't start tunnel", error=error)
        raise Exit(1, error)
    return grace


def open_status(address: str, status: Status, log: Log) -> None:
    try:
        port = status.listen(address)
    except OSError:
        error = f"failed to bind to address ({address}): bind: address already in use"
        log("ERR", "Error opening metrics server listener", error=error)
        raise Exit(1, f"Error opening metrics server listener: {error}") from None
    log("INF", f"Starting metrics server on 127.0.0.1:{port}/metrics")


def tags() -> list[tuple[str, str]]:
    """TUNNEL_TAG=a=b,c=d as the header fields that go to the origin."""
    pairs = [pair.partition("=") for pair in os.environ.get("TUNNEL_TAG", "").split(",") if pair]
    return [(f"Cf-Warp-Tag-{name}", value) for name, _, value in pairs]


class Tunnel:
    """The life of one tunnel, until a signal or a refusal ends it."""

    def __init__(
        self,
        options: Options,
        found: dict[str, str],
        rules: list[dict[str, object]],
        log: Log,
        service: str,
    ) -> None:
        self.log, self.protocol = log, options.get("protocol", "quic").replace("auto", "quic")
        self.retries = int(options.get("retries", "5"))
        self.counters = Counters()
        body = {
            "tunnel": found["id"], "account": found["account_tag"], "secret": found["secret"],
            "client": str(uuid.uuid4()), "protocol": self.protocol, "rules": rules,
            "tags": tags(),
        }  # fmt: skip
        self.connection = Connection(service, body, self.counters)
        self.status = Status(found["hostname"], rules, VERSION, self.counters)
        self.stopping = threading.Event()
        self.anew = threading.Event()
        self.failure: Exit | None = None

    def run(self, grace: float) -> int:
        """Serve until told to stop; 0, or Exit with why it could not."""
        signal.signal(signal.SIGTERM, self._signal)
        signal.signal(signal.SIGINT, self._signal)
        if os.environ.get("STDIN_CONTROL") == "true":
            self.log("INF", "Enabling control through stdin")
            threading.Thread(target=self._obey, daemon=True).start()
        threading.Thread(target=self._keep, daemon=True).start()
        while not self.stopping.wait(0.05):
            if self.failure is not None:
                raise self.failure
        self.connection.end(grace)
        where = {"connIndex": 0, "event": 0, "ip": "127.0.0.1"}
        if self.counters.connections or self.protocol == "http2":
            self.log("INF", "Unregistered tunnel connection", **where)
        self.log("INF", "Retrying connection in up to 1s", **where)
        self.log("ERR", "Connection terminated", connIndex=0)
        self.log("ERR", "no more connections active and exiting")
        self.log("INF", "Tunnel server stopped")
        time.sleep(max(0.0, 0.5 - (time.monotonic() - BORN)))
        self.log("INF", "Metrics server stopped")
        return 0

    def _signal(self, number: int, _frame: object) -> None:
        if self.stopping.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        name = {signal.SIGTERM: "terminated", signal.SIGINT: "interrupt"}[signal.Signals(number)]
        self.log("INF", f"Initiating graceful shutdown due to signal {name} ...")
        self.stopping.set()

    def _obey(self) -> None:
        """The one command on standard input. (At the end of it the real one spins.)"""
        for line in sys.stdin:
            if line.split()[:1] == ["reconnect"]:
                self.log("INF", "Sending reconnect signal")
                self.anew.set()
                self.connection.drop()

    def _keep(self) -> None:
        """Connect, serve, and connect again, for ever."""
        tries, registered = 0, False
        where = {"connIndex": 0, "event": 0, "ip": "127.0.0.1"}
        while not self.stopping.is_set():
            try:
                location, ident = self.connection.open()
                told = {"location": location, "protocol": self.protocol}
                self.log("INF", "Registered tunnel connection", connection=ident, **where, **told)
                tries, registered = 0, True
                self.connection.serve(self._origin_error, self._new_rules)
                if self.stopping.is_set():
                    return
                if self.anew.is_set():
                    self.anew.clear()
                    said = "Restarting connection due to reconnect signal in 0s"
                    self.log("INF", said, **where)
                    self.log("ERR", "Connection terminated", error="reconnect signal", connIndex=0)
                    continue
                self.log("INF", "Lost connection with the edge", connIndex=0)
                self.log("WRN", "Serve tunnel error", error="connection with edge closed", **where)
            except Unreachable as error:
                self._unreachable(str(error), where)
            except Refused as error:
                if self.protocol == "http2" and not self._refused(error, registered, where):
                    return
            tries = min(tries + 1, self.retries)
            self.log("INF", f"Retrying connection in up to {2**tries}s", **where)
            if self.stopping.wait(1.0 if self.retries <= 1 else 2.0 ** (tries - 1)):
                return
            self.log("ERR", "Connection terminated", connIndex=0)

    def _unreachable(self, error: str, where: dict[str, object]) -> None:
        if self.protocol == "quic":
            error = "failed to dial to edge with quic: timeout: no recent network activity"
            self.log("ERR", "Failed to dial a quic connection", error=error, **where)
            return
        for message in (
            "Unable to establish connection with Cloudflare edge",
            "Serve tunnel error",
        ):
            self.log("ERR", message, error=f"DialContext error: {error}", **where)

    def _refused(self, error: Refused, registered: bool, where: dict[str, object]) -> bool:
        """Whether to go on: over HTTP/2 a first registration that is refused ends it."""
        if error.kind == "duplicate":
            told = "already connected to this server, trying another address"
            self.log("ERR", "Unable to establish connection.", error=told, **where)
            return True
        self.log("ERR", "failed to serve incoming request", error=str(error))
        self.log("ERR", "Register tunnel error from server side", error=str(error), **where)
        if registered or str(error).startswith("Unauthorized"):
            return True
        self.log("ERR", "initial tunnel connection failed", error=str(error))
        self.log("ERR", "Initiating shutdown", error=str(error))
        self.failure = Exit(1, str(error))
        return False

    def _new_rules(self, version: int, config: dict[str, Any]) -> None:
        told = {"config": json.dumps(config), "version": version}
        try:
            rules = cloudflared_standin_run.remote_rules(config)
        except ValueError as error:
            self.log("ERR", "Failed to deserialize new configuration", error=str(error), **told)
            return
        self.status.lead(version, rules)
        self.log("INF", "Updated to new configuration", **told)

    def _origin_error(self, error: str) -> None:
        self.log("ERR", "", error=error, connIndex=0, event=1, ingressRule=0)
        self.log("ERR", "failed to serve incoming request", error=f"Failed to proxy HTTP: {error}")


def run_tunnel(arguments: list[str]) -> int:
    before, is_run, after = arguments, False, list[str]()
    if "run" in arguments:
        place = arguments.index("run")
        before, is_run, after = arguments[:place], True, arguments[place + 1 :]
    log, options = Log(), parse(before)
    log.as_json = options.get("output") == "json"
    config = read_config(options)
    if is_run:
        return run_known(options, after, config, log)
    rules = config["ingress"]
    if not options.get("url"):
        sys.stderr.write("You did not specify any valid additional argument to the cloudflared ")
        raise Exit(1, "tunnel command.")
    found = ask_quick_service(options.get("quick-service", "https://api.trycloudflare.com"), log)
    rules = rules or [{"service": options.get("url")}]
    return serve(options, found, rules, log, options.get("quick-service"))


def run_known(options: Options, after: list[str], config: dict[str, Any], log: Log) -> int:
    """`tunnel run`, of a tunnel that is there already."""
    token_file = ""
    if after[:1] == ["--token-file"]:
        token_file, after = after[1], after[2:]
    try:
        found = cloudflared_standin_run.identity(config, after[0] if after else "", token_file)
    except cloudflared_standin_run.Refused as refused:
        raise Exit(refused.code, refused.said) from None
    log("INF", "Starting tunnel", tunnelID=found["id"])
    rules = config["ingress"] or cloudflared_standin_run.NO_RULES
    return serve(options, found, rules, log, cloudflared_standin_run.edge_service())


def serve(
    options: Options,
    found: dict[str, str],
    rules: list[dict[str, object]],
    log: Log,
    service: str,
) -> int:
    log("INF", f"Version {VERSION} (Checksum {'0' * 64})")
    given = " ".join(f"{name}:{value}" for name, value in sorted(options.given.items()))
    log("INF", f"Settings: map[{given}]")
    log("INF", f"Generated Connector ID: {uuid.uuid4()}")
    grace = check(options, log)
    log("INF", f"Initial protocol {options.get('protocol', 'quic')}")
    tunnel = Tunnel(options, found, rules, log, service)
    open_status(options.get("metrics", "127.0.0.1:0"), tunnel.status, log)
    return tunnel.run(grace)


def main(arguments: list[str]) -> int:
    if arguments[:1] in (["--version"], ["-v"]):
        print(f"cloudflared version {VERSION} (built stand-in)")
        return 0
    if arguments[:2] == ["version", "--short"]:
        print(VERSION)
        return 0
    if arguments[:1] != ["tunnel"]:
        print(f"Incorrect Usage.\n\n{USAGE}")
        return 0
    if cloudflared_standin_account.verb_of(arguments[1:]) is not None:
        return cloudflared_standin_account.run(arguments[1:])
    try:
        return run_tunnel(arguments[1:])
    except Exit as end:
        if end.said:
            sys.stderr.write(end.said + "\n")
        return end.code
