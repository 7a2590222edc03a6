"""The window of the whole program: by a command, by a second start, over a crash, at the end."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from nexus_tray.store import setup_file
from nexus_tray.store.setup_file import SetupRecord
from nexus_tray.system import itself
from tests.desktop.tray_host import private_bus
from tests.desktop.window_desk import Eyes, has_web_view, screen
from tests.e2e.program import Program, gone, wait_until

pytestmark = pytest.mark.skipif(
    not has_web_view(),
    reason="needs Xvfb, python3-gi and gir1.2-webkit2-4.1, and the system's Python version",
)


@pytest.fixture
def desktop(tmp_path: Path) -> Iterator[tuple[Program, Eyes]]:
    """The program on a desktop, without OpenCode and cloudflared; started."""
    with screen() as display, private_bus() as bus:
        noted = tmp_path / "browsed"
        browser = tmp_path / "browser"
        browser.write_text(f'#!/bin/sh\necho "$1" >>{noted}\n')
        browser.chmod(0o755)
        program = Program(
            tmp_path / "home",
            tmp_path,
            {
                "DISPLAY": display,
                "DBUS_SESSION_BUS_ADDRESS": bus,
                "XDG_CONFIG_HOME": str(tmp_path / "xdg"),
                "BROWSER": str(browser),
                "NO_AT_BRIDGE": "1",
            },
        )
        program.options = []
        nowhere = str(tmp_path / "nothing")
        program.configure({"opencode": {"program": nowhere}, "cloudflared": {"program": nowhere}})
        program.paths.data.mkdir(mode=0o700)
        setup_file.write(program.paths.setup_file, SetupRecord(finished=True))
        eyes = Eyes(display)
        try:
            program.start()
            yield program, eyes
        finally:
            program.stop()
            eyes.close()


def windows(program: Program) -> list[psutil.Process]:
    """The processes that show a window."""
    found = []
    for process in program.tree():
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie that is just being waited for
            if itself.WINDOW in process.cmdline():
                found.append(process)
    return found


def test_one_window_by_command_second_start_crash_and_end(desktop: tuple[Program, Eyes]) -> None:
    program, eyes = desktop
    done = program.cli("dashboard")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    wait_until(lambda: eyes.colours() > 40, 15, "a painted page")
    [first] = windows(program)

    second = program.cli("run")
    assert second.returncode == 69
    assert "Nexus Tray is already running." in second.stderr
    assert "Its window is shown." in second.stderr
    assert windows(program) == [first]
    assert program.cli("run", "--headless").stderr.count("\n") == 1  # wants to see nothing

    maps = Path(f"/proc/{program.program_pid()}/maps").read_text()
    assert not [name for name in ("libgtk", "libwebkit", "libgobject") if name in maps]

    os.kill(program.program_pid(), signal.SIGKILL)
    wait_until(lambda: not first.is_running(), 10, "the old window's end")
    [again] = wait_until(lambda: windows(program), 20, "the window, back")
    assert again.pid != first.pid
    wait_until(lambda: eyes.colours() > 40, 15, "a painted page")

    everything = program.tree()
    assert program.cli("quit").returncode == 0
    wait_until(lambda: gone(everything), 10, "the end of all")
    assert program.popen is not None
    assert program.popen.wait(10) == 0
    assert '"open_under"' not in (program.paths.data / "window.json").read_text()


def test_the_browser_is_taken_where_it_is_wished(
    desktop: tuple[Program, Eyes], tmp_path: Path
) -> None:
    program, _ = desktop
    assert program.cli("config", "set", "dashboard.open_in", "browser").returncode == 0
    assert program.cli("dashboard", "/logs").stdout == ""
    noted = wait_until(lambda: (tmp_path / "browsed").is_file(), 5, "a browser")
    assert noted
    assert "to=/logs" in (tmp_path / "browsed").read_text()
    assert windows(program) == []
    assert "#ticket=" in program.cli("dashboard", "--print").stdout
