"""The clipboard's program is found for each desktop, fed, and its failures are answers."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.system import clipboard

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux's programs")

KEEP = '#!/bin/sh\necho "$0 $*" > "$OUT.argv"\n/bin/cat > "$OUT"\n'


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def put(tools: Path, name: str, script: str = KEEP) -> None:
    (tools / name).write_text(script)
    (tools / name).chmod(0o755)


def environment(tools: Path, **more: str) -> dict[str, str]:
    return {"PATH": str(tools), "OUT": str(tools.parent / "out"), **more}


@pytest.mark.parametrize(
    ("screens", "there", "used"),
    [
        ({"WAYLAND_DISPLAY": "w"}, ["wl-copy", "xclip"], "wl-copy"),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "w"}, ["xclip", "xsel"], "xclip"),
        ({"DISPLAY": ":0"}, ["wl-copy", "xclip"], "xclip"),
        ({"DISPLAY": ":0"}, ["wl-copy", "xsel"], "xsel"),
    ],
)
def test_the_desktops_own_program_gets_the_text(
    tools: Path, screens: dict[str, str], there: list[str], used: str
) -> None:
    for name in there:
        put(tools, name)
    copy = clipboard.find(environment(tools, **screens))
    if copy is None:
        pytest.fail("nothing was found")
    assert copy("https://é.example")
    out = tools.parent / "out"
    assert out.read_text(encoding="utf-8") == "https://é.example"
    assert (tools.parent / "out.argv").read_text().startswith(str(tools / used))


def test_without_a_program_there_is_no_clipboard(tools: Path) -> None:
    assert clipboard.find({"PATH": str(tools), "DISPLAY": ":0"}) is None
    put(tools, "wl-copy")
    assert clipboard.find({"PATH": str(tools), "DISPLAY": ":0"}) is None


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 1\n", "#!/nonexistent\n"])
def test_a_program_that_fails_is_an_answer(
    tools: Path, script: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(tools, "wl-copy", script)
    copy = clipboard.find(environment(tools, WAYLAND_DISPLAY="w"))
    assert copy is not None
    assert copy("x") is False
    assert "clipboard" in caplog.text


@pytest.fixture
def screen() -> Iterator[str]:
    """An X server of the test's own."""
    if not shutil.which("Xvfb"):
        pytest.skip("Xvfb is not installed")
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "320x240x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        try:
            yield f":{server.stdout.readline().decode().strip()}"
        finally:
            server.terminate()
            server.wait(10)


@pytest.mark.skipif(not shutil.which("xclip"), reason="xclip is not installed")
def test_the_real_clipboard_of_x11(screen: str) -> None:
    found = {"PATH": "/usr/bin:/bin", "DISPLAY": screen}
    copy = clipboard.find(found)
    assert copy is not None
    assert copy("https://calm-river.trycloudflare.com")
    read = subprocess.run(
        ["xclip", "-selection", "clipboard", "-out"], env=found, capture_output=True, timeout=10,
        check=True,
    )  # fmt: skip
    assert read.stdout == b"https://calm-river.trycloudflare.com"
