"""Asking OpenCode: who answers and how badly; the generations; busy told from deaf."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nexus_tray.core.driver import Cause
from nexus_tray.gateway.http import Upstream
from nexus_tray.services import opencode_client
from nexus_tray.services.opencode_client import OpenCodeClient, Trouble, Unwell
from nexus_tray.services.opencode_probe import Limits, Prober
from nexus_tray.services.opencode_versions import V1, V2, detect

PAGE = (200, "text/html", b"<!doctype html><title>OpenCode</title>")
Answer = tuple[int, str, bytes] | Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each path as the test wishes, and every other with the web page."""

    answers: dict[str, Answer]
    seen: list[tuple[str, str, str | None, bytes]]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        """Say nothing."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, self.headers.get("Authorization"), body))
        answer = self.answers.get(self.path.partition("?")[0], PAGE)
        if callable(answer):
            answer(self)
            return
        status, kind, content = answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.do_GET()


class Server:
    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.seen: list[tuple[str, str, str | None, bytes]] = []
        self.release = threading.Event()
        handler = type("H", (Handler,), {"answers": self.answers, "seen": self.seen})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        self.upstream = Upstream("127.0.0.1", self._http.server_port, b"Basic b3BlbmNvZGU6cHc=")
        self.client = OpenCodeClient(self.upstream)

    def hang(self, handler: Handler) -> None:
        self.release.wait(10)

    def close(self) -> None:
        self.release.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def json(content: bytes, status: int = 200) -> tuple[int, str, bytes]:
    return status, "application/json", content


def test_it_sends_its_credential_the_directory_and_json(server: Server) -> None:
    server.answers["/permission/per_1/reply"] = json(b"true")
    server.client.post("/permission/per_1/reply", {"reply": "once"}, directory="/a b/&c")
    server.answers["/list"] = json(b"[1]")
    assert server.client.get("/list", list[int], query={"limit": "2"}) == [1]
    assert server.seen == [
        (
            "POST",
            "/permission/per_1/reply?directory=%2Fa+b%2F%26c",
            "Basic b3BlbmNvZGU6cHc=",
            b'{"reply":"once"}',
        ),
        ("GET", "/list?limit=2", "Basic b3BlbmNvZGU6cHc=", b""),
    ]


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (PAGE, Trouble.NOT_JSON),
        (json(b"{"), Trouble.NOT_JSON),
        (json(b'{"healthy": "yes"}'), Trouble.NOT_JSON),
        (json(b"{}", 503), Trouble.STATUS),
        ((302, "text/plain", b""), Trouble.STATUS),
        (lambda handler: handler.wfile.write(b"no http\r\n\r\n"), Trouble.REFUSED),
        (lambda handler: None, Trouble.REFUSED),
    ],
)
def test_what_is_no_answer_is_told_apart(server: Server, answer: Answer, trouble: Trouble) -> None:
    server.answers["/x"] = answer
    with pytest.raises(Unwell) as caught:
        server.client.get("/x", dict[str, bool])
    assert caught.value.trouble is trouble
    assert caught.value.reason.what


def test_nobody_there() -> None:
    server = Server()
    server.close()
    with pytest.raises(Unwell) as caught:
        server.client.get("/x", int)
    assert caught.value.trouble is Trouble.REFUSED


def test_the_time_limit_is_for_the_whole_and_the_size_is_bounded(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trickle(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        while not server.release.wait(0.05):
            try:
                handler.wfile.write(b" ")
            except OSError:
                return

    server.answers["/slow"] = trickle
    server.answers["/hang"] = server.hang
    for path in ("/slow", "/hang"):
        began = time.monotonic()
        with pytest.raises(Unwell) as caught:
            server.client.get(path, int, timeout=0.5)
        assert caught.value.trouble is Trouble.SILENT
        assert time.monotonic() - began < 2

    def late(handler: Handler) -> None:
        server.release.wait(0.9)
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n ")
        server.release.wait(10)

    server.answers["/late"] = late
    began = time.monotonic()
    with pytest.raises(Unwell):
        server.client.get("/late", int, timeout=1.0)
    assert time.monotonic() - began < 1.6, "one limit, not one for the head and one for the body"
    monkeypatch.setattr(opencode_client, "ANSWER_LIMIT", 1000)
    server.answers["/large"] = json(b" " * 2000)
    with pytest.raises(Unwell, match="is longer than"):
        server.client.get("/large", int)


HEALTHY = json(b'{"healthy":true,"version":"1.18.33"}')


def test_version_1(server: Server) -> None:
    server.answers |= {"/global/health": HEALTHY, "/api/health": json(b'{"healthy":true}')}
    assert detect(server.client).api is V1
    assert detect(server.client).version == "1.18.33"


@pytest.mark.parametrize("old", [PAGE, json(b"{}", 404)])
def test_version_2_answers_the_old_path_with_its_page(server: Server, old: Answer) -> None:
    server.answers |= {
        "/global/health": old,
        "/api/health": json(b'{"healthy":true,"version":"2.0.3","pid":12}'),
    }
    found = detect(server.client)
    assert (found.api, found.version) == (V2, "2.0.3")
    verdict = Prober(server.upstream, 1, Limits()).check()
    assert verdict.reason is None, "ready without /config, which it does not have"


def test_neither(server: Server) -> None:
    for answer in (PAGE, json(b'{"healthy":false}'), json(b'{"healthy":true}', 500)):
        server.answers |= {"/global/health": answer, "/api/health": answer}
        with pytest.raises(Unwell):
            detect(server.client)


class Cpu:
    """CPU seconds that a test turns."""

    def __init__(self) -> None:
        self.seconds: float | None = 0.0
        self.step = 0.0

    def __call__(self, pid: int) -> float | None:
        if self.seconds is not None:
            self.seconds += self.step
        return self.seconds


def test_silence_with_computing_is_busy_and_without_is_blamed(server: Server) -> None:
    server.answers |= {"/global/health": server.hang}
    cpu = Cpu()
    prober = Prober(server.upstream, 1, Limits(probe=0.1, busy_patience=0.5), cpu)
    cpu.step = 0.05  # half of the time
    verdict = prober.check()
    assert verdict.reason is not None
    assert (verdict.reason.code, verdict.blame) == ("opencode-busy", False)
    assert prober.deaf
    cpu.step = 0.001
    assert prober.check().blame
    cpu.step = 0.05
    began = time.monotonic()
    while (verdict := prober.check()).blame is False:
        assert time.monotonic() - began < 5
    assert time.monotonic() - began > 0.5
    assert verdict.reason is not None
    assert verdict.reason.code == "opencode-wedged"
    cpu.seconds = None  # the process is gone: its exit will say so
    assert prober.check().blame


def test_the_configuration_is_asked_for_until_it_was_granted_once(server: Server) -> None:
    refused = json(b'{"name":"ConfigJsonError","data":{"path":"/c.json","message":"bad"}}', 400)
    server.answers |= {"/global/health": HEALTHY, "/config": refused}
    prober = Prober(server.upstream, 1, Limits())
    verdict = prober.check()
    assert verdict.failure is not None
    assert verdict.failure.cause is Cause.FATAL
    assert "/c.json" in verdict.failure.reason.what
    server.answers["/config"] = json(b'{"name":"Other"}', 500)
    verdict = prober.check()
    assert verdict.failure is None
    assert verdict.reason is not None
    server.answers["/config"] = json(b"{}")
    assert prober.check().reason is None
    server.answers["/config"] = refused  # too late to matter, and not asked again
    asked = len(server.seen)
    assert prober.check().reason is None
    assert [path for _, path, _, _ in server.seen[asked:]] == ["/global/health"]
