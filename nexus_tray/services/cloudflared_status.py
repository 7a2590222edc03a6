"""Asks a running cloudflared how it is: one reading of its status port.

Owns the requests; their meaning is `cloudflare.metrics`. Imports `http.client`, which is
enough for loopback. Blocks for at most LIMIT per page; used by the probe's thread.
"""

import http.client
from dataclasses import dataclass

from nexus_tray.cloudflare.metrics import (
    Ingress,
    Metrics,
    leads_only_to,
    parse_config,
    parse_metrics,
    parse_quicktunnel,
    parse_ready,
)
from nexus_tray.services.cloudflared_public import Way

LIMIT = 3.0
"""Seconds a page may take. Healthy it takes 2 ms; three misses end a deaf process in 15 s."""

_MOST = 1024 * 1024


@dataclass(frozen=True)
class Reading:
    """What it said of itself. `connections` 0: not connected to the edge.

    `hostname` is a quick tunnel's, None as long as there is none. `ours`: it leads to the
    gateway and nowhere else; None where that was not asked. `ingress`: the rules in force,
    as far as they were asked for and understood.
    """

    connections: int
    hostname: str | None
    ours: bool | None
    metrics: Metrics
    ingress: Ingress | None = None


class StatusPort:
    """The status port of one cloudflared, on loopback. `service`: where it must lead.

    `way` (None: a quick tunnel's): where the rules may lead that Cloudflare sends to a tunnel
    which may be configured there.
    """

    def __init__(self, port: int, service: str, way: Way | None = None) -> None:
        self._port = port
        self._service = service
        self._way = way
        self._hostname: str | None = None
        self._ours: bool | None = None

    def read(self) -> Reading | None:
        """Ask everything that is not settled yet; None when it does not answer as it should.

        A quick tunnel's address and rules never change in its life, so they are asked until
        they are known and right. Another's rules may change at any moment.
        """
        try:
            return self._read()
        except (OSError, http.client.HTTPException):
            return None

    def rules(self) -> tuple[bool, Ingress | None] | None:
        """Only whether the rules lead to the gateway, and the rules; None: no answer."""
        try:
            return self._rules()
        except (OSError, http.client.HTTPException):
            return None

    def _read(self) -> Reading | None:
        connections = parse_ready(*self._get("/ready"))
        if connections is None:
            return None
        ingress = None
        if self._way is not None:
            self._ours, ingress = self._rules()
        else:
            if self._hostname is None:
                self._hostname = parse_quicktunnel(self._get("/quicktunnel")[1])
            if connections and not self._ours:
                self._ours, _ = self._rules()
        status, body = self._get("/metrics")
        metrics = parse_metrics(body.decode("utf-8", "replace")) if status == 200 else Metrics()
        return Reading(connections, self._hostname, self._ours, metrics, ingress)

    def _rules(self) -> tuple[bool, Ingress | None]:
        status, body = self._get("/config")
        if self._way is None:
            return status == 200 and leads_only_to(self._service, body), None
        ingress = parse_config(body) if status == 200 else None
        if ingress is None:
            return False, None
        allowed = self._way.services if ingress.remote else {self._service}
        return ingress.stranger(allowed) is None, ingress

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LIMIT)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read(_MOST)
        finally:
            connection.close()
