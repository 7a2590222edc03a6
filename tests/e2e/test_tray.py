"""The whole program with a desktop: its menu read and clicked as a panel does; and without one."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.desktop.tray_host import Host, Item, private_bus
from tests.e2e.program import Program, wait_until


@pytest.fixture
def desktop(tmp_path: Path) -> Iterator[tuple[Program, Host]]:
    """The program, without OpenCode and cloudflared, before a panel; not yet started."""
    with private_bus() as address:
        project = tmp_path / "project"
        project.mkdir()
        program = Program(
            tmp_path / "home",
            project,
            {
                "WAYLAND_DISPLAY": "wayland-test",
                "DBUS_SESSION_BUS_ADDRESS": address,
                "XDG_CONFIG_HOME": str(tmp_path / "xdg"),
            },
        )
        program.options = []
        nowhere = str(tmp_path / "nothing")
        program.configure({"opencode": {"program": nowhere}, "cloudflared": {"program": nowhere}})
        host = Host(address)
        try:
            yield program, host
        finally:
            program.stop()
            host.close()


def ready(host: Host) -> Item:
    host.wait(lambda: host.items, 30)
    item = host.item()
    host.wait(lambda: item.has("Gateway: running"), 30)
    return item


def test_run_shows_the_icon_and_quit_ends_everything(desktop: tuple[Program, Host]) -> None:
    program, host = desktop
    program.start()
    item = ready(host)
    assert item.has("OpenCode: cannot run", "Try again")
    assert item.property("Title").startswith("Nexus Tray: ")
    before = program.tree()
    item.click("Quit")
    assert program.popen is not None
    assert program.popen.wait(20) == 0
    program.popen = None
    assert not any(process.is_running() for process in before)


def test_a_signal_ends_the_tray_too(desktop: tuple[Program, Host]) -> None:
    program, host = desktop
    program.start()
    ready(host)
    assert program.stop(signal.SIGTERM) == 0
    host.wait(lambda: not host.items)


def test_start_at_login_is_switched_in_the_menu_and_read_by_the_command_line(
    desktop: tuple[Program, Host], tmp_path: Path
) -> None:
    program, host = desktop
    program.start()
    item = ready(host)
    assert item.find("Start at login").checked is False
    item.click("Start at login")
    host.wait(lambda: item.find("Start at login").checked is True)
    entry = tmp_path / "xdg" / "autostart" / "nexus-tray.desktop"
    assert str(program.directory) in entry.read_text()
    said = program.cli("autostart", "status")
    assert said.stdout == "Nexus Tray starts at login.\n"
    assert program.cli("autostart", "off").returncode == 0
    assert not entry.exists()


def test_the_tray_costs_little_memory(desktop: tuple[Program, Host]) -> None:
    """Private memory of the program's process with the icon shown and nothing going on."""
    program, host = desktop
    program.start()
    ready(host)
    process = psutil.Process(program.program_pid())
    used = wait_until(lambda: process.memory_full_info().uss / 1e6 or None, 5, "a figure")
    print(f"private memory with the tray: {used:.1f} MB")
    assert used < 60


def test_without_a_desktop_it_says_so_and_runs(tmp_path: Path) -> None:
    program = Program(tmp_path / "home", tmp_path, {})
    program.options = []
    nowhere = str(tmp_path / "nothing")
    program.configure({"opencode": {"program": nowhere}, "cloudflared": {"program": nowhere}})
    program.start()
    try:
        assert "No desktop found: running headless." in program.output.read_text()
    finally:
        program.stop()


def test_a_desktop_without_a_bus_costs_only_the_icon(tmp_path: Path) -> None:
    environment = {"DISPLAY": ":77", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}
    program = Program(tmp_path / "home", tmp_path, environment)
    program.options = []
    nowhere = str(tmp_path / "nothing")
    program.configure({"opencode": {"program": nowhere}, "cloudflared": {"program": nowhere}})
    program.start()
    try:
        said = wait_until(lambda: "message bus" in program.output.read_text(), 5, "a word")
        assert said
        assert "--headless" in program.output.read_text()
        assert program.cli("status").returncode == 0
    finally:
        assert program.stop() == 0
