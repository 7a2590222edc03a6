"""Raw requests to the local API, as a hostile or sloppy client would send them."""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any

from nexus_tray.api.server import ApiServer
from nexus_tray.core.backend import Backend

TOKEN = "t" * 43


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def served(backend: Backend, **options: Any) -> Iterator[ApiServer]:
    server = ApiServer(backend, TOKEN, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def authority(server: ApiServer) -> str:
    return server.url.removeprefix("http://")


def good(server: ApiServer) -> dict[str, str]:
    return {"Host": authority(server), "Authorization": f"Bearer {TOKEN}"}


def ask(
    server: ApiServer,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """One well-formed request with the token, unless `headers` say otherwise (None: all good)."""
    fields = dict(good(server) if headers is None else headers)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    if data is not None and "Content-Type" not in fields:
        fields["Content-Type"] = "application/json"
    line = http.client.HTTPConnection(authority(server), timeout=10)
    try:
        line.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in fields.items():
            line.putheader(name, value)
        if data is not None and "Content-Length" not in fields:
            line.putheader("Content-Length", str(len(data)))
        line.endheaders(data)
        with line.getresponse() as answer:
            return Reply(answer.status, answer.headers, answer.read())
    finally:
        line.close()


def raw(server: ApiServer, sent: bytes) -> bytes:
    """Send these bytes and no more; everything that comes back."""
    host, port = authority(server).split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        try:
            line.sendall(sent)
            line.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: line.recv(65536), b""))
        except ConnectionError:
            return b""


@contextmanager
def stream(server: ApiServer, path: str, **fields: str) -> Iterator[http.client.HTTPResponse]:
    """An open stream; closed at the end."""
    line = http.client.HTTPConnection(authority(server), timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        line.request("GET", path, headers={**good(server), **named})
        with line.getresponse() as answer:
            yield answer
    finally:
        line.close()
