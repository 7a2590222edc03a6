"""Start at login: on, off, the true state, moved programs; each system's way of saying it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.app.at_login import at_login, install_entry
from nexus_tray.commands import Autostart
from nexus_tray.model import Problem
from nexus_tray.system import exec_line
from nexus_tray.system.autostart import AtLogin, Place, command, program
from nexus_tray.system.autostart_places import (
    LaunchAgent,
    SystemdUnit,
    XdgEntry,
    desktop_keys,
)

ARGS = st.lists(
    st.text(st.characters(blacklist_characters="\r\n\x00", blacklist_categories=["Cs"])), min_size=1
)
AWKWARD = '/home/a b/"q"/$x%u/back\\slash/né'


@given(ARGS)
def test_a_command_comes_back_from_a_desktop_entry(argv: list[str]) -> None:
    line = exec_line.to_desktop(argv)
    assert "\n" not in line
    assert exec_line.from_desktop(line) == [p for p in argv if p != "%"] + [] or "%" in argv


@given(ARGS)
def test_a_command_comes_back_from_a_unit(argv: list[str]) -> None:
    assert exec_line.from_systemd(exec_line.to_systemd(argv)) == argv


@pytest.mark.parametrize(
    ("value", "argv"),
    [
        ("nexus-tray run %U", ["nexus-tray", "run"]),
        ('"/opt/a b/nexus-tray" run', ["/opt/a b/nexus-tray", "run"]),
        (r'sh -c "echo \\$HOME 100%%"', ["sh", "-c", "echo $HOME 100%"]),
        ("", []),
    ],
)
def test_exec_keys_of_others_are_read(value: str, argv: list[str]) -> None:
    assert exec_line.from_desktop(value) == argv


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        (r'"C:\Program Files\py\pythonw.exe" -m nexus_tray run',
         [r"C:\Program Files\py\pythonw.exe", "-m", "nexus_tray", "run"]),
        (r"C:\nexus\nexus-tray.exe run", [r"C:\nexus\nexus-tray.exe", "run"]),
    ],
)  # fmt: skip
def test_a_run_key_is_read(line: str, argv: list[str]) -> None:
    assert exec_line.from_windows(line) == argv


def test_a_command_with_a_line_break_is_never_written(tmp_path: Path) -> None:
    login = AtLogin(["/usr/bin/x\nHidden=true", "run"], XdgEntry(tmp_path))
    with pytest.raises(Problem, match="line breaks"):
        login.set(enabled=True)
    assert login.state() is Autostart.OFF


PLACES: dict[str, Callable[[Path], Place]] = {
    "xdg": XdgEntry,
    "systemd": lambda folder: SystemdUnit(folder, folder / "linger"),
    "launchd": LaunchAgent,
}


@pytest.fixture(params=list(PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    (tmp_path / "linger").touch()
    return PLACES[request.param](tmp_path)


def test_on_off_and_on_again(place: Place) -> None:
    login = AtLogin([sys.executable, "-m", "nexus_tray", "run", "--directory", AWKWARD], place)
    assert login.state() is Autostart.OFF
    assert login.set(enabled=True) is Autostart.ON
    assert place.read() == [sys.executable, "-m", "nexus_tray", "run", "--directory", AWKWARD]
    assert login.set(enabled=True) is Autostart.ON
    assert login.set(enabled=False) is Autostart.OFF
    assert login.set(enabled=False) is Autostart.OFF
    assert login.state() is Autostart.OFF


def test_a_moved_program_is_stale_and_led_here_with_its_options(
    place: Place, tmp_path: Path
) -> None:
    gone = tmp_path / "gone" / "nexus-tray"
    AtLogin([str(gone), "run", "--directory", "/srv"], place).set(enabled=True)
    here = AtLogin([sys.executable, "-m", "nexus_tray", "run", "--directory", "/other"], place)
    assert here.state() is Autostart.STALE
    assert str(gone) in here.repair()
    assert here.state() is Autostart.ON
    assert place.read() == [sys.executable, "-m", "nexus_tray", "run", "--directory", "/srv"]
    assert here.repair() == ""


def test_another_copy_that_stands_is_said_and_left(place: Place, tmp_path: Path) -> None:
    other = tmp_path / "nexus-tray"
    other.touch()
    AtLogin([str(other), "run"], place).set(enabled=True)
    here = AtLogin([sys.executable, "-m", "nexus_tray", "run"], place)
    assert here.repair() == ""
    assert here.state() is Autostart.STALE
    assert place.read() == [str(other), "run"]
    assert here.set(enabled=True) is Autostart.ON


@pytest.mark.parametrize("line", ["Hidden=true", "X-GNOME-Autostart-enabled=false"])
def test_what_the_desktop_switched_off_is_off(tmp_path: Path, line: str) -> None:
    login = AtLogin(["/bin/sh", "run"], XdgEntry(tmp_path))
    login.set(enabled=True)
    file = tmp_path / "autostart" / "nexus-tray.desktop"
    name = line.partition("=")[0]
    kept = [text for text in file.read_text().splitlines() if not text.startswith(name)]
    file.write_text("\n".join([*kept, line]) + "\n[Desktop Action x]\nExec=other\n")
    assert login.state() is Autostart.OFF
    assert login.set(enabled=True) is Autostart.ON


def test_an_entry_is_a_sound_desktop_entry(tmp_path: Path) -> None:
    AtLogin(["/bin/sh", "run"], XdgEntry(tmp_path)).set(enabled=True)
    keys = desktop_keys((tmp_path / "autostart" / "nexus-tray.desktop").read_text())
    assert keys["Type"] == "Application"
    assert keys["Name"] == "Nexus Tray"
    assert keys["Exec"] == '"/bin/sh" "run"'


def test_without_lingering_it_starts_only_at_sign_in(tmp_path: Path) -> None:
    login = AtLogin(["/bin/sh", "run", "--headless"], SystemdUnit(tmp_path, tmp_path / "linger"))
    assert login.set(enabled=True) is Autostart.SIGNED_IN
    (tmp_path / "linger").touch()
    assert login.state() is Autostart.ON


def test_a_unit_without_its_link_is_off(tmp_path: Path) -> None:
    login = AtLogin(["/bin/sh", "run"], SystemdUnit(tmp_path, tmp_path))
    login.set(enabled=True)
    (tmp_path / "systemd/user/default.target.wants/nexus-tray.service").unlink()
    assert login.state() is Autostart.OFF


def test_a_damaged_launch_agent_starts_nothing(tmp_path: Path) -> None:
    file = tmp_path / "LaunchAgents" / "dev.nexus-tray.plist"
    file.parent.mkdir()
    file.write_bytes(b"<plist><broken")
    assert AtLogin(["/bin/sh", "run"], LaunchAgent(tmp_path)).state() is Autostart.OFF


def test_switching_on_leaves_one_place_only(tmp_path: Path) -> None:
    xdg, unit = XdgEntry(tmp_path), SystemdUnit(tmp_path, tmp_path)
    AtLogin(["/bin/sh", "run", "--headless"], unit, [xdg]).set(enabled=True)
    desk = AtLogin(["/bin/sh", "run"], xdg, [unit])
    assert desk.state() is Autostart.ON
    desk.set(enabled=True)
    assert unit.read() is None
    assert xdg.read() == ["/bin/sh", "run"]
    desk.set(enabled=False)
    assert desk.state() is Autostart.OFF


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "autostart").write_text("in the way")
    with pytest.raises(Problem) as caught:
        AtLogin(["/bin/sh", "run"], XdgEntry(tmp_path)).set(enabled=True)
    assert caught.value.reason.code == "autostart-failed"
    assert "autostart" in caught.value.reason.what


def test_a_home_of_its_own_is_started_with_it() -> None:
    argv = command({"NEXUS_TRAY_HOME": "/x y"}, Path("/srv"), headless=True, executable="/py")
    assert argv == [
        "/usr/bin/env", "NEXUS_TRAY_HOME=/x y", "/py", "-P", "-m", "nexus_tray",
        "run", "--directory", "/srv", "--headless",
    ]  # fmt: skip
    assert program(argv) == argv[:6]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's own places")
@pytest.mark.parametrize("headless", [False, True])
def test_linux_has_an_entry_with_a_desktop_and_a_unit_without(
    tmp_path: Path, headless: bool
) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert at_login(environment, tmp_path, headless=headless).set(enabled=True) is not None
    assert (tmp_path / "autostart" / "nexus-tray.desktop").exists() is not headless
    assert (tmp_path / "systemd" / "user" / "nexus-tray.service").exists() is headless


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's own places")
def test_the_desktop_learns_of_the_program_once(tmp_path: Path) -> None:
    icon = tmp_path / "icon.svg"
    icon.write_text("<svg/>")
    environment = {"XDG_DATA_HOME": str(tmp_path / "data")}
    install_entry(environment, tmp_path, icon)
    entry = tmp_path / "data" / "applications" / "nexus-tray.desktop"
    drawn = tmp_path / "data" / "icons/hicolor/scalable/apps/nexus-tray.svg"
    assert desktop_keys(entry.read_text())["Icon"] == "nexus-tray"
    assert drawn.read_text() == "<svg/>"
    before = entry.stat().st_mtime_ns
    install_entry(environment, tmp_path, icon)
    assert entry.stat().st_mtime_ns == before
    trial = tmp_path / "trial"
    install_entry({"XDG_DATA_HOME": str(trial), "NEXUS_TRAY_HOME": "/x"}, tmp_path, icon)
    assert not trial.exists()
