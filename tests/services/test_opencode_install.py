"""Finding the native program, and installing it: nothing unchecked is ever in its place."""

import hashlib
import io
import os
import platform
import random
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from nexus_tray.model import Problem
from nexus_tray.services import opencode_install, opencode_program
from nexus_tray.services.opencode_install import install
from nexus_tray.services.opencode_program import VERSION, executable, find, native, own, packages
from tests.opencode_lab.harness import find_opencode

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


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `npm` on PATH that packs the archive beside it, and writes down its arguments."""
    folder = tmp_path / "npm"
    place(
        folder / "npm",
        f'#!/bin/sh\necho "$@" >> {folder}/calls\n'
        f"[ -f {folder}/fail ] && echo 'npm error no network' >&2 && exit 1\n"
        f"cp {folder}/archive package.tgz\n".encode(),
    )
    (folder / "archive").write_bytes(archive({f"package/bin/{executable()}": BINARY}))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return folder


def left_in(tools: Path) -> list[str]:
    return sorted(path.name for path in tools.rglob("*") if path.is_file())


def test_the_checked_binary_is_installed_once(npm: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    program = install(tools, pins=RIGHT, names=(PACKAGE,))
    assert program == own(tools)
    assert program.read_bytes() == BINARY
    assert os.access(program, os.X_OK)
    assert left_in(tools) == [executable()]
    assert install(tools, pins=RIGHT, names=(PACKAGE,)) == program
    calls = (npm / "calls").read_text(encoding="utf-8").splitlines()
    assert calls == [f"pack {PACKAGE}@{VERSION} --ignore-scripts --silent"]
    program.write_bytes(b"changed by somebody")
    assert install(tools, pins=RIGHT, names=(PACKAGE,)).read_bytes() == BINARY


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
    npm: Path, tmp_path: Path, content: bytes, code: str
) -> None:
    (npm / "archive").write_bytes(content)
    tools = tmp_path / "tools"
    with pytest.raises(Problem) as caught:
        install(tools, pins=RIGHT, names=(PACKAGE,))
    assert caught.value.reason.code == code
    assert "opencode.ai" in caught.value.reason.cure
    assert left_in(tools) == []


def test_npms_own_failure_is_quoted(npm: Path, tmp_path: Path) -> None:
    (npm / "fail").touch()
    with pytest.raises(Problem, match="no network"):
        install(tmp_path / "tools", pins=RIGHT, names=(PACKAGE,))


def test_without_npm_it_says_how_to_do_it_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Problem) as caught:
        install(tmp_path / "tools", pins=RIGHT, names=(PACKAGE,))
    assert caught.value.reason.code == "opencode-no-npm"
    assert "npm install -g opencode-ai" in caught.value.reason.cure


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


def test_the_order_of_the_search(tmp_path: Path) -> None:
    tools, path = tmp_path / "tools", tmp_path / "path"
    nowhere = {"PATH": str(path)}
    with pytest.raises(Problem) as caught:
        find("", tools, nowhere)
    assert caught.value.reason.code == "opencode-missing"
    ours = place(own(tools), BINARY)
    assert find("", tools, nowhere) == ours
    on_path = place(path / executable(), BINARY)
    assert find("", tools, nowhere) == on_path.resolve()
    named = place(tmp_path / "named", BINARY)
    assert find(str(named), tools, nowhere) == named.resolve()
    with pytest.raises(Problem) as caught:
        find(str(tmp_path / "not-there"), tools, nowhere)
    assert caught.value.reason.code == "opencode-missing"
