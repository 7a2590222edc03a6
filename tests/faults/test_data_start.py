"""What keeps the program from starting is told where somebody sees it: at login there is none who
reads standard error. The notification stays when the program is gone."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.desktop import last_word
from nexus_tray.model import Hop, Reason
from tests.desktop.notification_host import Desk
from tests.e2e.program import Program
from tests.store import session_bus


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "bus"
    folder.mkdir()
    with session_bus.bus(folder) as address:
        yield address


def run(program: Program) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nexus_tray", "run"], env=program.environment,
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("desktop", [True, False])
def test_a_start_that_is_refused_is_told_on_the_desktop_and_stays(
    tmp_path: Path, bus: str, *, desktop: bool
) -> None:
    desk = Desk(bus)
    screen = {"WAYLAND_DISPLAY": "wayland-test"} if desktop else {}
    program = Program(tmp_path / "<b>home", tmp_path, {**screen, "DBUS_SESSION_BUS_ADDRESS": bus})
    program.configure({"opencode": {"enabled": False}})
    program.paths.config_file.chmod(0o666)
    try:
        done = run(program)
        assert done.returncode == 78, done
        assert str(program.paths.config_file) in done.stderr
        if not desktop:
            assert desk.titles() == []
            return
        shown = desk.find("Nexus Tray did not start")
        assert "open to other users" in shown.text
        assert "&lt;b&gt;home" in shown.text, "nothing of it is markup"
        assert "chmod 600" in shown.text
    finally:
        desk.close()


REASON = Reason(code="x", hop=Hop.GATEWAY, what="It does not.", cure="Mend it.")


def test_where_nobody_shows_it_nobody_waits_and_nothing_is_raised(bus: str) -> None:
    assert not last_word.tell(REASON, {})
    assert not last_word.tell(REASON, {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere/bus"})
    assert not last_word.tell(REASON, {"DBUS_SESSION_BUS_ADDRESS": bus})
    desk = Desk(bus, mute=True)
    assert not last_word.tell(REASON, {"DBUS_SESSION_BUS_ADDRESS": bus})
    desk.close()
