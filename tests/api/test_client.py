"""HttpBackend where the contract ends: no instance, a stale or foreign file, odd answers."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nexus_tray.api.client import HttpBackend, connect
from nexus_tray.api.command_requests import request_for
from nexus_tray.api.resources import ROUTES
from nexus_tray.commands import AnyCommand, Shutdown, StopService
from nexus_tray.model import LogQuery, Problem
from nexus_tray.paths import Paths
from tests.api.doubles import first_snapshot, house
from tests.api.wires import TOKEN, served
from tests.contract.test_backend import COMMANDS


def tell(paths: Paths, text: str) -> Path:
    paths.run.mkdir(parents=True, mode=0o700)
    paths.api_file.touch(mode=0o600)
    paths.api_file.write_text(text)
    return paths.api_file


def code_of(problem: pytest.ExceptionInfo[Problem]) -> str:
    return problem.value.reason.code


def test_the_running_instance_is_found_by_its_file(paths: Paths) -> None:
    with served(house().backend) as server:
        tell(paths, json.dumps({"url": server.url, "token": TOKEN}))
        assert connect(paths).snapshot() == first_snapshot()


def test_no_file_is_no_instance(paths: Paths) -> None:
    with pytest.raises(Problem) as caught:
        connect(paths)
    assert code_of(caught) == "not-running"
    assert "nexus-tray run" in caught.value.reason.cure


def test_a_file_left_behind_is_no_instance(paths: Paths) -> None:
    with served(house().backend) as server:
        tell(paths, json.dumps({"url": server.url, "token": TOKEN}))
    backend = connect(paths)
    for call in (backend.snapshot, lambda: backend.submit(Shutdown()), backend.config):
        with pytest.raises(Problem) as caught:
            call()
        assert code_of(caught) == "not-running"


def test_a_token_of_an_earlier_start_is_no_instance(paths: Paths) -> None:
    with served(house().backend) as server:
        stale = HttpBackend(server.url, "old")
        for call in (stale.snapshot, lambda: stale.submit(Shutdown())):
            with pytest.raises(Problem) as caught:
                call()
            assert code_of(caught) == "not-running"


def test_a_file_that_others_could_have_written_is_not_trusted(paths: Paths) -> None:
    tell(paths, json.dumps({"url": "http://127.0.0.1:1", "token": "t"})).chmod(0o666)
    with pytest.raises(Problem) as caught:
        connect(paths)
    assert code_of(caught) == "file-open-to-others"


def test_a_planted_link_is_not_followed(paths: Paths, tmp_path: Path) -> None:
    paths.run.mkdir(parents=True, mode=0o700)
    (tmp_path / "elsewhere").write_text("{}")
    paths.api_file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Problem) as caught:
        connect(paths)
    assert code_of(caught) == "file-link"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"url": 1, "token": ""}', "{" * 3000])
def test_a_damaged_file_is_said(paths: Paths, text: str) -> None:
    tell(paths, text)
    with pytest.raises(Problem) as caught:
        connect(paths)
    assert code_of(caught) == "api-unreadable"


@pytest.mark.parametrize(
    "url",
    ["http://example.com:80", "https://127.0.0.1:1", "http://127.0.0.1", "http://127.0.0.1:1/x",
     "http://localhost:1", ""],
)  # fmt: skip
def test_the_token_goes_nowhere_but_loopback(url: str) -> None:
    with pytest.raises(Problem):
        HttpBackend(url, TOKEN)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A listener that answers one connection with these bytes and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            line, _ = listener.accept()
            with line:
                line.recv(65536)
                line.sendall(answer)

        server = threading.Thread(target=serve)
        server.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.join()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "not-running"),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", "api-unreadable"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n{}", "not-running"),
        (b"HTTP/1.0 200 OK\r\n\r\n<html>", "api-unreadable"),
        (b"HTTP/1.0 500 Oh\r\n\r\n<html>", "api-unreadable"),
        (b'HTTP/1.0 500 Oh\r\n\r\n{"ok":false}', "api-unreadable"),
        (b"SSH-2.0-OpenSSH\r\n", "not-running"),
    ],
)
def test_an_odd_answer_is_said_in_words(answer: bytes, code: str) -> None:
    with answering(answer) as url:
        backend = HttpBackend(url, TOKEN)
        with pytest.raises(Problem) as caught:
            backend.snapshot()
    assert code_of(caught) == code


def test_an_instance_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_tray.api.client.PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        backend = HttpBackend(f"http://127.0.0.1:{listener.getsockname()[1]}", TOKEN)
        with pytest.raises(Problem) as caught:
            backend.logs(LogQuery(), 0.1)
    assert code_of(caught) == "api-timeout"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_every_command_has_its_route(command: AnyCommand) -> None:
    method, path, _ = request_for(command)
    own = path.split("/")
    assert any(
        route.method == method
        and len(route.path.split("/")) == len(own)
        and all(
            want.startswith("{") or want == part
            for want, part in zip(route.path.split("/"), own, strict=True)
        )
        for route in ROUTES
    )


def test_a_name_is_one_segment_of_the_path() -> None:
    _, path, _ = request_for(StopService(name="../a/b?c#d"))
    assert path == "/services/..%2Fa%2Fb%3Fc%23d/desired"
