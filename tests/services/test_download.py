"""Fetching cloudflared: a real HTTPS server, right and wrong checksums, archives, redirects."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nexus_tray.cloudflare import release
from nexus_tray.cloudflare.release import PINS, Pin, pin_for
from nexus_tray.model import Problem
from nexus_tray.services import binaries, usual_places
from nexus_tray.services.binaries import cloudflared_shelf, version_of
from nexus_tray.services.download import install_cloudflared
from nexus_tray.services.transfer import Limits
from tests.cloudflare.lab import STANDIN, cloudflareds
from tests.services.release_server import File, ReleaseServer

PROGRAM = b"#!/bin/sh\necho cloudflared version 2026.8.2\n"


@dataclass(frozen=True)
class LocalPin(Pin):
    """A pin whose file is on a server of the test's."""

    at: str = ""

    @property
    def url(self) -> str:
        return self.at


SOON = Limits(silence=2.0, whole=20.0, most=1_000_000, tries=2, pause=0.01)


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


class Server(ReleaseServer):
    """With a pin of what it has."""

    def pin(self, body: bytes, sha256: str = "", program: str | None = None) -> LocalPin:
        url = self.serve("/file", File(body))
        return LocalPin("cloudflared-test", sha256 or digest(body), program, url)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def refused(tools: Path, pin: Pin, server: Server) -> str:
    """The code of the refusal; nothing may be left behind."""
    with pytest.raises(Problem) as problem:
        install_cloudflared(tools, pin=pin, trust=server.trust, limits=SOON)
    assert problem.value.reason.cure
    assert not [path for path in tools.rglob("*") if path.is_file()]
    return problem.value.reason.code


def test_the_right_file_is_installed_and_runs(server: Server, tmp_path: Path) -> None:
    program = install_cloudflared(tmp_path, pin=server.pin(PROGRAM), trust=server.trust)
    assert program == cloudflared_shelf(tmp_path).at(release.VERSION)
    assert version_of(program) == "2026.8.2"
    assert binaries.find("cloudflared", "", "", tmp_path) == program


def test_what_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    pin = server.pin(PROGRAM)
    first = install_cloudflared(tmp_path, pin=pin, trust=server.trust)
    server.files.clear()
    assert install_cloudflared(tmp_path, pin=pin, trust=server.trust) == first


def test_what_was_changed_is_fetched_again(server: Server, tmp_path: Path) -> None:
    pin = server.pin(PROGRAM)
    program = install_cloudflared(tmp_path, pin=pin, trust=server.trust)
    program.write_bytes(b"tampered")
    install_cloudflared(tmp_path, pin=pin, trust=server.trust)
    assert program.read_bytes() == PROGRAM


def test_another_file_is_refused(server: Server, tmp_path: Path) -> None:
    pin = server.pin(b"malware", sha256=digest(PROGRAM))
    assert refused(tmp_path, pin, server) == "cloudflared-tampered"


def test_an_archive_gives_its_one_program(server: Server, tmp_path: Path) -> None:
    pin = server.pin(archive("cloudflared", PROGRAM), program=digest(PROGRAM))
    program = install_cloudflared(tmp_path, pin=pin, trust=server.trust)
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
    server.files["/file"] = File(PROGRAM, status, fields, etag="")
    assert refused(tmp_path, pin, server) == "cloudflared-not-fetched"


def test_a_redirect_within_https_is_followed(server: Server, tmp_path: Path) -> None:
    pin = server.pin(PROGRAM)
    server.files["/real"] = server.files["/file"]
    server.files["/file"] = File(b"", 302, {"Location": f"{server.base}/real"})
    assert install_cloudflared(tmp_path, pin=pin, trust=server.trust).is_file()


def test_plain_http_and_strange_authorities_are_refused(server: Server, tmp_path: Path) -> None:
    plain = LocalPin("x", digest(PROGRAM), None, "http://127.0.0.1:1/file")
    assert refused(tmp_path, plain, server) == "cloudflared-not-fetched"
    pin = server.pin(PROGRAM)
    with pytest.raises(Problem, match="could not be fetched"):  # an authority nobody here knows
        install_cloudflared(tmp_path, pin=pin, limits=SOON)


def test_a_file_without_end_is_refused(server: Server, tmp_path: Path) -> None:
    pin = server.pin(PROGRAM * 50_000)
    assert refused(tmp_path, pin, server) == "cloudflared-not-fetched"


def test_a_download_goes_on_where_it_broke_off(server: Server, tmp_path: Path) -> None:
    body = PROGRAM * 5000
    pin = server.pin(body)
    server.files["/file"].cuts = [50_000, 0, 0]
    with pytest.raises(Problem, match="goes on from there"):
        install_cloudflared(tmp_path, pin=pin, trust=server.trust, limits=SOON)
    assert binaries.cloudflared_shelf(tmp_path).present() is None, "a part is never found"
    server.asked.clear()
    program = install_cloudflared(tmp_path, pin=pin, trust=server.trust, limits=SOON)
    assert program.read_bytes() == body
    assert server.asked == ["bytes=50000-"]
    assert not (program.parent.parent / ".arriving").exists()


def test_a_first_half_of_something_else_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    body = PROGRAM * 5000
    pin = server.pin(body)
    server.files["/file"].cuts = [50_000, 0, 0]
    with pytest.raises(Problem):
        install_cloudflared(tmp_path, pin=pin, trust=server.trust, limits=SOON)
    part = next(path for path in tmp_path.rglob("*") if path.stat().st_size == 50_000)
    part.write_bytes(b"x" * 50_000)
    program = install_cloudflared(tmp_path, pin=pin, trust=server.trust, limits=SOON)
    assert program.read_bytes() == body


def old_copy(tools: Path, version: str = "2026.1.0", says: str = "2026.1.0") -> Path:
    program = cloudflared_shelf(tools).at(version)
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\necho cloudflared version {says}\n")
    program.chmod(0o755)
    return program


def test_an_update_keeps_the_old_one_and_one_can_go_back(server: Server, tmp_path: Path) -> None:
    shelf, old = cloudflared_shelf(tmp_path), old_copy(tmp_path)
    assert shelf.present() == ("2026.1.0", old)
    pin = server.pin(PROGRAM)
    new = install_cloudflared(tmp_path, pin=pin, trust=server.trust)
    assert binaries.find("cloudflared", "", "", tmp_path) == new
    assert shelf.restorable() == "2026.1.0"
    assert shelf.restore("cloudflared") == "2026.1.0"
    assert binaries.find("cloudflared", "", "", tmp_path) == old
    assert version_of(old) == "2026.1.0"
    assert shelf.restorable() is None
    server.files.clear()  # what is here already is not fetched again
    assert install_cloudflared(tmp_path, pin=pin, trust=server.trust) == new
    assert shelf.restorable() == "2026.1.0"


def test_one_generation_is_kept_and_what_was_changed_is_not_gone_back_to(
    server: Server, tmp_path: Path
) -> None:
    shelf, old = cloudflared_shelf(tmp_path), old_copy(tmp_path)
    older = old_copy(tmp_path, "2025.12.0")
    install_cloudflared(tmp_path, pin=server.pin(PROGRAM), trust=server.trust)
    assert old.exists()
    assert not older.exists()
    old.write_bytes(b"tampered")
    with pytest.raises(Problem, match="not the one that was put there"):
        shelf.restore("cloudflared")
    assert shelf.present() == (release.VERSION, shelf.at(release.VERSION))
    shelf.at("2026.1.0").unlink()
    assert shelf.restorable() is None
    with pytest.raises(Problem, match="no earlier"):
        shelf.restore("cloudflared")


def test_an_update_that_fails_changes_nothing(server: Server, tmp_path: Path) -> None:
    old = old_copy(tmp_path)
    for body in (b"malware", b""):
        pin = server.pin(body, sha256=digest(PROGRAM))
        with pytest.raises(Problem):
            install_cloudflared(tmp_path, pin=pin, trust=server.trust, limits=SOON)
        assert binaries.find("cloudflared", "", "", tmp_path) == old
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [old]


@pytest.mark.parametrize("text", ["{", "[]", '{"now": {"version": "../../bin", "sha256": "0"}}'])
def test_a_damaged_note_of_use_means_the_newest(tmp_path: Path, text: str) -> None:
    shelf = cloudflared_shelf(tmp_path)
    old_copy(tmp_path, "2026.9.0")
    newest = old_copy(tmp_path, "2026.10.0")
    (shelf.folder / "use.json").write_text(text)
    assert shelf.present() == ("2026.10.0", newest)
    assert shelf.restorable() is None


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


def test_the_order_of_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools, folder, home = tmp_path / "tools", tmp_path / "bin", tmp_path / "home"
    monkeypatch.setattr(usual_places, "USUAL_FOLDERS", ("~/.local/bin",))
    monkeypatch.setattr(usual_places, "MORE", ())
    monkeypatch.setenv("HOME", str(home))
    own = cloudflared_shelf(tools).at("2026.1.0")
    with pytest.raises(Problem) as problem:
        binaries.find("cloudflared", "", str(folder), tools)
    assert problem.value.reason.code == "cloudflared-missing"
    own.parent.mkdir(parents=True)
    own.write_bytes(PROGRAM)
    assert binaries.find("cloudflared", "", str(folder), tools) == own
    usual = home / ".local" / "bin" / "cloudflared"
    usual.parent.mkdir(parents=True)
    usual.symlink_to(STANDIN)
    assert binaries.find("cloudflared", "", str(folder), tools) == usual
    folder.mkdir()
    (folder / "cloudflared").symlink_to(STANDIN)
    assert binaries.find("cloudflared", "", str(folder), tools) == folder / "cloudflared"
    assert binaries.find("cloudflared", str(STANDIN), str(folder), tools) == STANDIN
    with pytest.raises(Problem, match="does not exist"):
        binaries.find("cloudflared", str(tmp_path / "nowhere"), str(folder), tools)
