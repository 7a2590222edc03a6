"""Cloudflare's API as far as its answers are bad: bounded in time as a whole, and in words."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from nexus_tray.cloudflare.origin_certificate import OriginCertificate
from nexus_tray.model import Problem
from nexus_tray.services import cloudflare_api
from nexus_tray.services.cloudflare_api import Api

SECRET = "the-token-of-the-account"
CERTIFICATE = OriginCertificate(zone_id="z" * 32, account_id="a" * 32, api_token=SECRET)

Answer = Callable[[socket.socket], None]


@contextlib.contextmanager
def place(answer: Answer) -> Iterator[str]:
    """A server that answers each connection so; its base address."""
    server = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            line, _ = server.accept()
            with line, contextlib.suppress(OSError):
                answer(line)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    port = server.getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    over.set()
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        pass
    thread.join(5)
    server.close()


def drip(line: socket.socket) -> None:
    """A byte every tenth of a second: no single read ever takes long."""
    line.recv(4096)
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        line.sendall(b" ")
        time.sleep(0.1)


def drip_head(line: socket.socket) -> None:
    line.recv(4096)
    line.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        line.sendall(b"X: y\r\n")
        time.sleep(0.1)


def mute(line: socket.socket) -> None:
    while line.recv(4096):
        pass


@pytest.mark.parametrize("answer", [drip, drip_head, mute])
def test_an_answer_that_does_not_end_is_given_up(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloudflare_api, "LIMIT", 0.5)
    with place(answer) as base:
        began = time.monotonic()
        with pytest.raises(Problem) as caught:
            Api(CERTIFICATE, base).zone_name()
        assert time.monotonic() - began < 2
    assert caught.value.reason.code == "api-unreachable"
    assert SECRET not in str(caught.value)
    until = time.monotonic() + 5
    while any(thread.name == "cloudflare api" for thread in threading.enumerate()):
        assert time.monotonic() < until, "the thread goes on"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        ("200 OK", b"<html>", "api-garbage"),
        ("200 OK", b'{"success": true, "result": 5}', "api-garbage"),
        ("429 Too Many", b'{"success": false, "errors": []}', "api-rate-limited"),
        ("500 No", b'{"success": false, "errors": [{"code": 7, "message": "ill"}]}', "api-refused"),
    ],
)
def test_bad_answers_are_named(status: str, body: bytes, code: str) -> None:
    def answer(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status.encode(), len(body)))
        line.sendall(body)

    with place(answer) as base, pytest.raises(Problem) as caught:
        Api(CERTIFICATE, base).zone_name()
    assert caught.value.reason.code == code
    assert caught.value.reason.cure


def test_nobody_there_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        base = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(Problem) as caught:
        Api(CERTIFICATE, base).zone_name()
    assert caught.value.reason.code == "api-unreachable"
