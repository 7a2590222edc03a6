"""The stand-in's two connections: to the lab's edge, and its status port.

Split from cloudflared_standin.py, which says what this is. Standard library only.
"""

import contextlib
import http.client
import http.server
import json
import resource
import socket
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from typing import Any

DIAL_LIMIT = 5.0


class Unreachable(Exception):
    """Nobody at the edge answered."""


class Refused(Exception):
    """The edge turned the registration down."""

    def __init__(self, kind: str, cause: str) -> None:
        super().__init__(cause)
        self.kind = kind


class Counters:
    """What the status port tells."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connections = 0
        self.location = ""
        self.requests = 0
        self.errors = 0
        self.responses: Counter[int] = Counter()
        self.registered = 0
        self.refused: Counter[str] = Counter()


class Connection:
    """One connection to the edge at a time: an answer of the lab's that stays open."""

    def __init__(self, service: str, body: dict[str, Any], counters: Counters) -> None:
        where = urllib.parse.urlsplit(service)
        self._host, self._port = where.hostname or "", where.port
        self._body = body
        self._counters = counters
        self._answer: http.client.HTTPResponse | None = None
        self._line: socket.socket | None = None
        self._gone = threading.Event()
        self._gone.set()

    def open(self) -> tuple[str, str]:
        """Register: the location and the connection's id. Raises Unreachable or Refused."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=DIAL_LIMIT)
        try:
            connection.request("POST", "/standin", json.dumps(self._body))
            answer = connection.getresponse()
            told = json.loads(answer.readline() or b"{}") if answer.status == 200 else {}
        except TimeoutError:
            raise Unreachable(f"dial tcp {self._host}:7844: i/o timeout") from None
        except (OSError, http.client.HTTPException):
            told = {}
        if not told:
            raise Unreachable(f"dial tcp {self._host}:7844: connect: connection refused")
        if told["event"] == "refused":
            word = "dup_edge_conn" if told["kind"] == "duplicate" else "server_error"
            self._counters.refused[word] += 1
            raise Refused(told["kind"], told["cause"])
        connection.sock.settimeout(None)
        self._line = connection.sock
        self._answer = answer
        self._gone.clear()
        with self._counters.lock:
            self._counters.registered += 1
            self._counters.connections, self._counters.location = 1, told["location"]
        return told["location"], told["connection"]

    def serve(
        self,
        on_origin_error: Callable[[str], None],
        on_config: Callable[[int, dict[str, Any]], None],
    ) -> None:
        """Follow what happens until the connection is gone."""
        assert self._answer is not None
        try:
            for line in self._answer:
                told = json.loads(line)
                if told["event"] == "config":
                    on_config(told["version"], told["config"])
                self._count(told, on_origin_error)
        except (OSError, http.client.HTTPException, ValueError):
            return
        finally:
            self._counters.connections = 0
            self._gone.set()

    def _count(self, told: dict[str, Any], on_origin_error: Callable[[str], None]) -> None:
        counters = self._counters
        if told["event"] == "request":
            counters.requests += 1
        elif told["event"] == "response":
            counters.responses[told["code"]] += 1
        elif told["event"] == "visitor-left":
            counters.errors += 1
            on_origin_error("Incoming request ended abruptly: context canceled")
        elif told["event"] == "origin-error":
            counters.errors += 1
            on_origin_error(told["error"])

    def drop(self) -> None:
        """Give the present connection up."""
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)

    def end(self, grace: float) -> None:
        """Take no new requests, and wait for those in flight."""
        if self._gone.is_set():
            return
        path = f"/standin/{self._body['client']}/unregister"
        connection = http.client.HTTPConnection(self._host, self._port, timeout=DIAL_LIMIT)
        try:
            connection.request("POST", path)
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()
        self._counters.connections = 0
        self._gone.wait(grace)


class Status:
    """The status port: /ready, /quicktunnel, /config and /metrics."""

    def __init__(
        self, hostname: str, rules: list[dict[str, object]], version: str, counters: Counters
    ) -> None:
        self._hostname = hostname
        self._version = version
        self._counters = counters
        self.lead(-1, rules)

    def lead(self, version: int, rules: list[dict[str, object]]) -> None:
        """These are the rules in force."""
        whole = [{"hostname": "", "path": None, **rule} for rule in rules]
        self._config = {"version": version, "config": {"ingress": whole}}

    def listen(self, address: str) -> int:
        """Answer from now on; the port. OSError when it is taken."""
        host, _, port = address.rpartition(":")
        pages = self._pages

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, text = pages(self.path)
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing: stderr is the log."""

        server = http.server.ThreadingHTTPServer((host, int(port)), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return int(server.server_address[1])

    def _pages(self, path: str) -> tuple[int, str]:
        if path == "/ready":
            count = self._counters.connections
            status = 200 if count else 503
            return status, json.dumps({"status": status, "readyConnections": count})
        if path == "/quicktunnel":
            return 200, json.dumps({"hostname": self._hostname})
        if path == "/config":
            return 200, json.dumps(self._config)
        if path == "/metrics":
            return 200, self._metrics()
        return 404, "404 page not found\n"

    def _metrics(self) -> str:
        c = self._counters
        prefix = "cloudflared_tunnel_"
        lines = [
            f'build_info{{goversion="stand-in",version="{self._version}"}} 1',
            f"{prefix}total_requests {c.requests}",
            f"{prefix}request_errors {c.errors}",
            f"{prefix}concurrent_requests_per_tunnel 0",
            f"process_resident_memory_bytes {_memory()}",
            f"process_start_time_seconds {time.time():e}",
        ]
        lines += [
            f'{prefix}response_by_code{{status_code="{k}"}} {v}' for k, v in c.responses.items()
        ]
        if c.registered:
            rpc = 'rpcName="registerConnection"'
            lines.append(f"{prefix}tunnel_register_success{{{rpc}}} {c.registered}")
        for word, count in c.refused.items():
            labels = f'error="{word}",rpcName="registerConnection"'
            lines.append(f"{prefix}tunnel_register_fail{{{labels}}} {count}")
        if c.location:
            labels = f'connection_id="0",edge_location="{c.location}"'
            lines.append(f"{prefix}server_locations{{{labels}}} 1")
        return "\n".join(lines) + "\n"


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
