"""Fetching cloudflared: a real HTTPS server, right and wrong checksums, archives, redirects."""

import hashlib
import http.server
import io
import ssl
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from nexus_tray.cloudflare import release
from nexus_tray.cloudflare.release import PINS, Pin, pin_for
from nexus_tray.model import Problem
from nexus_tray.services import binaries, download
from nexus_tray.services.binaries import own_cloudflared, version_of
from nexus_tray.services.download import install_cloudflared
from tests.cloudflare.lab import STANDIN, cloudflareds

PROGRAM = b"#!/bin/sh\necho cloudflared version 2026.8.2\n"


@dataclass(frozen=True)
class LocalPin(Pin):
    """A pin whose file is on a server of the test's."""

    at: str = ""

    @property
    def url(self) -> str:
        return self.at


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def archive(name: str, data: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        info.size = len(data) if kind == tarfile.REGTYPE else 0
        tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


class Server:
    """HTTPS on loopback. `pages`: path to status, further fields and body."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        pages = self.pages
        authority = trustme.CA()
        self.trust = ssl.create_default_context()
        authority.configure_trust(self.trust)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, fields, body = pages.get(self.path, (404, {}, b"no"))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **fields}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.base = f"https://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def pin(self, body: bytes, sha256: str = "", program: str | None = None) -> LocalPin:
        self.pages["/file"] = (200, {}, body)
        return LocalPin("cloudflared-test", sha256 or digest(body), program, f"{self.base}/file")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def refused(tools: Path, pin: Pin, server: Server) -> str:
    """The code of the refusal; nothing may be left behind."""
    with pytest.raises(Problem) as problem:
        install_cloudflared(tools, pin=pin, context=server.trust)
    assert problem.value.reason.cure
    assert not [path for path in tools.rglob("*") if path.is_file()]
    return problem.value.reason.code


def test_the_right_file_is_installed_and_runs(server: Server, tmp_path: Path) -> None:
    program = install_cloudflared(tmp_path, pin=server.pin(PROGRAM), context=server.trust)
    assert program == own_cloudflared(tmp_path)
    assert version_of(program) == "2026.8.2"
    assert binaries.find("cloudflared", "", "", tmp_path) == program


def test_what_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    pin = server.pin(PROGRAM)
    first = install_cloudflared(tmp_path, pin=pin, context=server.trust)
    server.pages.clear()
    assert install_cloudflared(tmp_path, pin=pin, context=server.trust) == first


def test_what_was_changed_is_fetched_again(server: Server, tmp_path: Path) -> None:
    pin = server.pin(PROGRAM)
    program = install_cloudflared(tmp_path, pin=pin, context=server.trust)
    program.write_bytes(b"tampered")
    install_cloudflared(tmp_path, pin=pin, context=server.trust)
    assert program.read_bytes() == PROGRAM


def test_another_file_is_refused(server: Server, tmp_path: Path) -> None:
    pin = server.pin(b"malware", sha256=digest(PROGRAM))
    assert refused(tmp_path, pin, server) == "cloudflared-tampered"


def test_an_archive_gives_its_one_program(server: Server, tmp_path: Path) -> None:
    pin = server.pin(archive("cloudflared", PROGRAM), program=digest(PROGRAM))
    program = install_cloudflared(tmp_path, pin=pin, context=server.trust)
    assert program.read_bytes() == PROGRAM


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (archive("cloudflared", b"malware"), "cloudflared-tampered"),
        (archive("../cloudflared", PROGRAM), "cloudflared-not-fetched"),
        (archive("cloudflared", b"", tarfile.SYMTYPE), "cloudflared-not-fetched"),
        (b"no archive", "cloudflared-not-fetched"),
    ],
)
def test_bad_archives_are_refused(server: Server, tmp_path: Path, data: bytes, code: str) -> None:
    assert refused(tmp_path, server.pin(data, program=digest(PROGRAM)), server) == code


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (404, {}),
        (500, {}),
        (302, {"Location": "http://127.0.0.1:1/file"}),
        (302, {"Location": "file:///etc/passwd"}),
        (200, {"Content-Length": "999999"}),
    ],
)
def test_what_is_no_whole_file_over_https_is_refused(
    server: Server, tmp_path: Path, status: int, fields: dict[str, str]
) -> None:
    pin = server.pin(PROGRAM)
    server.pages["/file"] = (status, fields, PROGRAM)
    assert refused(tmp_path, pin, server) == "cloudflared-not-fetched"


def test_a_redirect_within_https_is_followed(server: Server, tmp_path: Path) -> None:
    pin = server.pin(PROGRAM)
    server.pages["/real"] = server.pages["/file"]
    server.pages["/file"] = (302, {"Location": f"{server.base}/real"}, b"")
    assert install_cloudflared(tmp_path, pin=pin, context=server.trust).is_file()


def test_plain_http_and_strange_authorities_are_refused(server: Server, tmp_path: Path) -> None:
    plain = LocalPin("x", digest(PROGRAM), None, "http://127.0.0.1:1/file")
    assert refused(tmp_path, plain, server) == "cloudflared-not-fetched"
    pin = server.pin(PROGRAM)
    with pytest.raises(Problem, match="could not be fetched"):
        install_cloudflared(tmp_path, pin=pin)  # the system does not know this authority


def test_a_file_without_end_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MOST_BYTES", 10)
    assert refused(tmp_path, server.pin(PROGRAM), server) == "cloudflared-not-fetched"


def test_every_pin_is_whole() -> None:
    for pin in PINS.values():
        assert pin.url == (
            f"https://github.com/cloudflare/cloudflared/releases/download/{release.VERSION}/{pin.file}"
        )
        for known in (pin.sha256, pin.program_sha256 or pin.sha256):
            assert len(known) == 64
            int(known, 16)
        assert (pin.program_sha256 is not None) == pin.file.endswith(".tgz")
    assert len({pin.sha256 for pin in PINS.values()}) == len(PINS)


@pytest.mark.parametrize(
    ("system", "machine", "file"),
    [
        ("linux", "x86_64", "cloudflared-linux-amd64"),
        ("linux", "aarch64", "cloudflared-linux-arm64"),
        ("linux", "armv7l", "cloudflared-linux-arm"),
        ("darwin", "arm64", "cloudflared-darwin-arm64.tgz"),
        ("darwin", "x86_64", "cloudflared-darwin-amd64.tgz"),
        ("win32", "AMD64", "cloudflared-windows-amd64.exe"),
        ("win32", "ARM64", "cloudflared-windows-amd64.exe"),
        ("linux", "riscv64", None),
        ("freebsd14", "amd64", None),
    ],
)
def test_which_file_is_for_which_machine(system: str, machine: str, file: str | None) -> None:
    pin = pin_for(system, machine)
    assert (pin.file if pin else None) == file


@pytest.mark.parametrize("program", cloudflareds().values(), ids=cloudflareds().keys())
def test_the_version_of_a_program(program: Path) -> None:
    assert version_of(program) == "2026.8.2"


@pytest.mark.parametrize("text", ["exit 1", "echo none", "sleep 60", "echo 1.2.3; exit 3"])
def test_a_program_that_tells_no_version(tmp_path: Path, text: str) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o700)
    assert version_of(program, 0.5) is None
    assert version_of(tmp_path / "missing") is None


def test_the_order_of_the_search(tmp_path: Path) -> None:
    tools, folder = tmp_path / "tools", tmp_path / "bin"
    with pytest.raises(Problem) as problem:
        binaries.find("cloudflared", "", str(folder), tools)
    assert problem.value.reason.code == "cloudflared-missing"
    own_cloudflared(tools).parent.mkdir(parents=True)
    own_cloudflared(tools).write_bytes(PROGRAM)
    assert binaries.find("cloudflared", "", str(folder), tools) == own_cloudflared(tools)
    folder.mkdir()
    (folder / "cloudflared").symlink_to(STANDIN)
    assert binaries.find("cloudflared", "", str(folder), tools) == folder / "cloudflared"
    assert binaries.find("cloudflared", str(STANDIN), str(folder), tools) == STANDIN
    with pytest.raises(Problem, match="does not exist"):
        binaries.find("cloudflared", str(tmp_path / "nowhere"), str(folder), tools)
