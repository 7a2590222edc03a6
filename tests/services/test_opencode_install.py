"""Finding the native program, and installing it: nothing unchecked is ever in its place."""

import hashlib
import io
import os
import platform
import random
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_tray.model import Problem
from nexus_tray.services import opencode_install, opencode_program, usual_places
from nexus_tray.services.opencode_install import install
from nexus_tray.services.opencode_program import VERSION, executable, find, native, packages, shelf
from nexus_tray.services.progress import Cancelled, Progress, Suspended, silent
from nexus_tray.services.transfer import Limits
from tests.opencode_lab.harness import find_opencode
from tests.services.release_server import File, ReleaseServer

PACKAGE = "opencode-lab-x64"
BINARY = b"\x7fELF of the lab"
RIGHT = {PACKAGE: hashlib.sha256(BINARY).hexdigest()}


def place(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


LARGE = archive({f"package/bin/{executable()}": random.Random(1).randbytes(100_000)})


WHOLE = archive({f"package/bin/{executable()}": BINARY})
SOON = Limits(silence=2.0, whole=20.0, most=1_000_000, tries=2, pause=0.01)


class Desk:
    """An `npm` on PATH that says where the package lies and packs the archive beside it, and
    writes down its arguments; and the server where it lies."""

    def __init__(self, folder: Path, server: ReleaseServer) -> None:
        self.folder, self.server, self.tools = folder, server, folder.parent / "tools"
        place(
            folder / "npm",
            f'#!/bin/sh\necho "$@" >> {folder}/calls\n'
            f"[ -f {folder}/fail ] && echo 'npm error no network' >&2 && exit 1\n"
            f"[ $1 = view ] && cat {folder}/address && exit 0\n"
            f"cp {folder}/archive package.tgz\n".encode(),
        )
        self.lies(WHOLE)

    def lies(self, content: bytes, **fields: Any) -> File:
        file = File(content, **fields)
        url = self.server.serve("/pack.tgz", file)
        (self.folder / "address").write_text(f"{url}\n")
        (self.folder / "archive").write_bytes(content)
        return file

    def calls(self) -> list[str]:
        return [line.split()[0] for line in (self.folder / "calls").read_text().splitlines()]

    def install(self, progress: Progress = silent) -> Path:
        return install(
            self.tools, pins=RIGHT, names=(PACKAGE,), trust=self.server.trust, progress=progress,
            limits=SOON,
        )  # fmt: skip

    def left(self) -> list[str]:
        found = (path for path in self.tools.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.tools / "opencode")) for path in found)


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    server = ReleaseServer()
    monkeypatch.setenv("PATH", f"{tmp_path / 'npm'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    yield Desk(tmp_path / "npm", server)
    server.close()


def test_the_checked_binary_is_installed_once(npm: Desk) -> None:
    heard: list[tuple[int, int | None]] = []
    program = npm.install(lambda done, total: heard.append((done, total)))
    assert program == shelf(npm.tools).at(VERSION)
    assert program.read_bytes() == BINARY
    assert os.access(program, os.X_OK)
    assert npm.left() == [f"{VERSION}/{executable()}", "use.json"]
    assert heard[-1] == (len(WHOLE), len(WHOLE)), "how far it is, is told"
    assert npm.install() == program
    assert npm.calls() == ["view"], "npm only says where it lies"
    program.write_bytes(b"changed by somebody")
    assert npm.install().read_bytes() == BINARY


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (archive({f"package/bin/{executable()}": BINARY + b"!"}), "opencode-tampered"),
        (archive({"package/bin/other": BINARY}), "opencode-fetch"),
        (archive({f"../bin/{executable()}": BINARY}), "opencode-fetch"),
        (LARGE[:30_000], "opencode-fetch"),
        (LARGE[:30_000] + b"\0" * 500 + LARGE[30_500:], "opencode-tampered"),
        (LARGE[:10] + b"\xff" * 20 + LARGE[30:], "opencode-fetch"),
        (b"no archive", "opencode-fetch"),
    ],
)
def test_what_is_not_right_is_refused_and_nothing_stays(
    npm: Desk, content: bytes, code: str
) -> None:
    npm.lies(content)
    with pytest.raises(Problem) as caught:
        npm.install()
    assert caught.value.reason.code == code
    assert "opencode.ai" in caught.value.reason.cure
    assert npm.left() == []


def test_it_goes_on_where_it_broke_off(npm: Desk) -> None:
    npm.lies(WHOLE, cuts=[60, 0, 0])
    with pytest.raises(Problem, match="goes on from there"):
        npm.install()
    npm.server.asked.clear()
    assert npm.install().read_bytes() == BINARY
    assert npm.server.asked == ["bytes=60-"]


@pytest.mark.parametrize("how", [Cancelled, Suspended])
def test_cancelled_nothing_stays_and_suspended_it_goes_on(npm: Desk, how: type[Cancelled]) -> None:
    npm.lies(WHOLE, slow=60)

    def progress(done: int, _: int | None) -> None:
        if done > 100:
            raise how

    with pytest.raises(how):
        npm.install(progress)
    assert bool(npm.left()) == (how is Suspended)
    npm.server.asked.clear()
    assert npm.install().read_bytes() == BINARY
    assert (npm.server.asked == [""]) == (how is Cancelled)


@pytest.mark.parametrize("status", [401, 403])
def test_where_only_npm_may_fetch_it_npm_does(npm: Desk, status: int) -> None:
    npm.lies(WHOLE, status=status)
    assert npm.install().read_bytes() == BINARY
    assert npm.calls() == ["view", "pack"]


def test_a_mirror_over_plain_http_is_npms_affair_and_a_redirect_to_one_is_refused(
    npm: Desk,
) -> None:
    npm.lies(b"", status=302, fields={"Location": "http://127.0.0.1:1/x"})
    with pytest.raises(Problem, match="leads away from HTTPS"):
        npm.install()
    npm.lies(WHOLE)
    (npm.folder / "address").write_text("http://127.0.0.1:1/pack.tgz\n")
    assert npm.install().read_bytes() == BINARY
    assert npm.calls() == ["view", "view", "pack"]


def test_npms_own_failure_is_quoted(npm: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opencode_install, "REGISTRY", "http://127.0.0.1:1")
    (npm.folder / "fail").touch()
    with pytest.raises(Problem, match="no network"):
        npm.install()


def test_without_npm_it_comes_from_npms_own_registry(
    npm: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(npm.tools))
    monkeypatch.setattr(opencode_install, "REGISTRY", npm.server.base)
    with pytest.raises(Problem) as caught:
        npm.install()
    assert caught.value.reason.code == "opencode-fetch"
    assert "npm install -g opencode-ai" in caught.value.reason.cure
    npm.server.serve(f"/{PACKAGE}/-/{PACKAGE}-{VERSION}.tgz", File(WHOLE))
    assert npm.install().read_bytes() == BINARY


def test_an_update_keeps_the_old_one(npm: Desk) -> None:
    old = place(shelf(npm.tools).at("1.17.0"), BINARY)
    new = npm.install()
    assert shelf(npm.tools).restore("opencode") == "1.17.0"
    assert shelf(npm.tools).present() == ("1.17.0", old)
    assert npm.install() == new


def test_a_build_without_a_pin_is_not_installed(tmp_path: Path) -> None:
    for names in (("opencode-plan9-mips",), ()):
        with pytest.raises(Problem) as caught:
            install(tmp_path / "tools", names=names)
        assert caught.value.reason.code == "opencode-no-build"


def test_the_pin_is_that_of_the_real_program() -> None:
    program = find_opencode()
    assert VERSION in subprocess.run([program, "--version"], capture_output=True).stdout.decode()
    pins = [opencode_install.PINS[name] for name in packages() if name in opencode_install.PINS]
    if sys.platform == "linux" and platform.machine() == "x86_64":
        assert hashlib.sha256(program.read_bytes()).hexdigest() in pins


@pytest.mark.parametrize(
    ("machine", "system", "avx2", "musl", "expected"),
    [
        ("x86_64", "linux", True, False, ("opencode-linux-x64", "opencode-linux-x64-baseline")),
        ("x86_64", "linux", False, False, ("opencode-linux-x64-baseline",)),
        ("x86_64", "linux", False, True, ("opencode-linux-x64-baseline-musl",)),
        ("aarch64", "linux", True, True, ("opencode-linux-arm64-musl",)),
        ("arm64", "darwin", True, False, ("opencode-darwin-arm64",)),
        ("AMD64", "win32", True, False, ("opencode-windows-x64", "opencode-windows-x64-baseline")),
        ("mips", "linux", True, False, ()),
        ("x86_64", "plan9", True, False, ()),
    ],
)
def test_the_build_for_a_machine(
    monkeypatch: pytest.MonkeyPatch,
    machine: str,
    system: str,
    avx2: bool,
    musl: bool,
    expected: tuple[str, ...],
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(opencode_program, "_has_avx2", lambda: avx2)
    monkeypatch.setattr(opencode_program, "_is_musl", lambda: musl)
    assert packages() == expected


def test_the_native_program_is_found_behind_npms_wrapper(tmp_path: Path) -> None:
    package = packages()[0]
    for layout in ("opencode-ai/node_modules", "."):
        modules = tmp_path / layout.replace("/", "-") / "lib" / "node_modules"
        wrapper = place(modules / "opencode-ai/bin/opencode", b"#!/usr/bin/env node\n")
        binary = place(modules / layout / package / "bin" / executable(), BINARY)
        link = modules.parents[1] / "bin" / "opencode"
        link.parent.mkdir()
        link.symlink_to(wrapper)
        assert native(link) == binary.resolve()


def test_what_else_may_be_called_opencode(tmp_path: Path) -> None:
    binary = place(tmp_path / "a" / "opencode", BINARY)
    assert native(binary) == binary.resolve()
    script = place(tmp_path / "b" / "opencode", b"#!/bin/sh\nexec somewhere/opencode\n")
    assert native(script) == script.resolve(), "a package manager's own wrapper works as it is"
    stub = place(tmp_path / "c" / "opencode", b"echo postinstall script was not run >&2\nexit 1\n")
    with pytest.raises(Problem) as caught:
        native(stub)
    assert caught.value.reason.code == "opencode-incomplete"


def test_the_order_of_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usual_places, "folders", lambda _: [])
    tools, path = tmp_path / "tools", tmp_path / "path"
    nowhere = {"PATH": str(path)}
    with pytest.raises(Problem) as caught:
        find("", tools, nowhere)
    assert caught.value.reason.code == "opencode-missing"
    ours = place(shelf(tools).at(VERSION), BINARY)
    assert find("", tools, nowhere) == ours
    on_path = place(path / executable(), BINARY)
    assert find("", tools, nowhere) == on_path.resolve()
    named = place(tmp_path / "named", BINARY)
    assert find(str(named), tools, nowhere) == named.resolve()
    with pytest.raises(Problem) as caught:
        find(str(tmp_path / "not-there"), tools, nowhere)
    assert caught.value.reason.code == "opencode-missing"
