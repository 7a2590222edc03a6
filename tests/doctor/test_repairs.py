"""Which finding is offered which repair, and that a repair does that and nothing more."""

import os
from pathlib import Path

import pytest

from nexus_tray.app.repairs import NOTHING, Hands, Repairs, close, offer
from nexus_tray.commands import (
    AnyCommand,
    FetchTool,
    Outcome,
    Repair,
    RestartService,
    SetAutostart,
)
from nexus_tray.finding import Finding, bad, good, unknown, warning
from nexus_tray.model import Desired, Hop, Problem, Reason
from nexus_tray.paths import Paths
from nexus_tray.store.files import ensure_private_dir
from tests.api.doubles import first_snapshot


def why(code: str) -> Reason:
    return Reason(code=code, hop=Hop.GATEWAY, what="It is so.")


@pytest.mark.parametrize(
    ("code", "finding", "label"),
    [
        ("cloudflared", bad(why("cloudflared-missing")), "Fetch it"),
        ("cloudflared", warning(why("doctor-old")), "Update it"),
        ("opencode", bad(why("doctor-opencode-does-not-run")), "Fetch it"),
        ("opencode", warning(why("doctor-opencode-version-unknown")), ""),
        ("tunnel-quick", bad(why("tunnel-network")), "Restart the tunnel"),
        ("tunnel-quick", bad(why("no-password")), ""),
        ("tunnel-quick", bad(why("paused")), ""),
        ("tunnel-quick", bad(why("paused-in-doubt")), ""),
        ("tunnel-quick", bad(why("paused-unused")), ""),
        ("tunnel-quick", warning(why("tunnel-starting")), ""),
        ("gateway", bad(why("doctor-door-silent")), "Restart the gateway"),
        ("gateway", bad(why("doctor-door-open")), ""),
        ("gateway-socket", bad(why("doctor-socket-odd")), "Restart the gateway"),
        ("gateway-socket", bad(why("file-open-to-others")), "Close it to others"),
        ("opencode-health", bad(why("opencode-silent")), "Restart OpenCode"),
        ("opencode-health", unknown("not asked"), ""),
        ("private", bad(why("file-open-to-others")), "Close it to others"),
        ("private", bad(why("file-link")), ""),
        ("autostart", warning(why("doctor-stale")), "Enter this one"),
        ("processes", warning(why("doctor-left")), "End them"),
        ("disk", bad(why("doctor-disk")), ""),
        ("cloudflared", good("2026.8.2"), ""),
    ],
)
def test_what_is_offered(code: str, finding: Finding, label: str) -> None:
    assert offer(code, finding, lambda _: True) == label


def test_what_cannot_be_fetched_is_not_offered() -> None:
    assert offer("cloudflared", bad(why("cloudflared-missing")), lambda _: False) == ""


class Room:
    """Carries out nothing, and remembers what it was asked."""

    def __init__(self, paths: Paths) -> None:
        self.came: list[AnyCommand] = []
        self.outcome = Outcome(ok=True)
        self.left = 0
        self.snapshot = first_snapshot()
        hands = Hands(paths, self.submit, lambda: self.snapshot, lambda: self.left)
        self.repair = Repairs(hands).table()[Repair]

    def submit(self, command: AnyCommand) -> Outcome:
        self.came.append(command)
        return self.outcome


@pytest.mark.parametrize(
    ("code", "command"),
    [
        ("cloudflared", FetchTool(name="cloudflared")),
        ("opencode", FetchTool(name="opencode")),
        ("tunnel-quick", RestartService(name="quick")),
        ("gateway", RestartService(name="gateway")),
        ("gateway-socket", RestartService(name="gateway")),
        ("opencode-health", RestartService(name="opencode")),
        ("opencode-closed", RestartService(name="opencode")),
        ("autostart", SetAutostart(enabled=True)),
    ],
)
def test_a_repair_is_a_command_that_a_person_could_give(
    paths: Paths, code: str, command: AnyCommand
) -> None:
    room = Room(paths)
    assert room.repair(Repair(code=code))
    assert room.came == [command]
    room.outcome = Outcome(ok=False, reason=why("no"))
    with pytest.raises(Problem, match="It is so"):
        room.repair(Repair(code=code))


def test_what_is_not_wished_is_not_started(paths: Paths) -> None:
    room = Room(paths)
    import msgspec

    stopped = tuple(
        msgspec.structs.replace(one, desired=Desired.STOPPED) for one in room.snapshot.services
    )
    room.snapshot = msgspec.structs.replace(room.snapshot, services=stopped)
    for code in ("tunnel-quick", "tunnel-none", "opencode-health"):
        with pytest.raises(Problem, match="not wished"):
            room.repair(Repair(code=code))
    assert room.came == []


@pytest.mark.parametrize("code", ["", "disk", "password", "../x", "settings"])
def test_what_has_no_repair_says_so(paths: Paths, code: str) -> None:
    with pytest.raises(Problem, match="no repair"):
        Room(paths).repair(Repair(code=code))


def test_left_processes_are_counted(paths: Paths) -> None:
    room = Room(paths)
    assert room.repair(Repair(code="processes")) == NOTHING
    room.left = 2
    assert room.repair(Repair(code="processes")) == "2 processes of earlier runs were ended."


def test_files_of_ours_are_closed_and_what_a_link_leads_to_is_not(
    paths: Paths, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "theirs").touch(0o644)
    (foreign / "theirs").chmod(0o644)
    ensure_private_dir(paths.data)
    for name, mode in (("open", 0o644), ("shut", 0o600), ("run", 0o755)):
        (paths.data / name).touch()
        (paths.data / name).chmod(mode)
    (paths.data / "link").symlink_to(foreign / "theirs")
    paths.data.chmod(0o755)
    room = Room(paths)
    assert room.repair(Repair(code="private")) == "3 of our files are closed to others now."
    modes = {path.name: path.stat().st_mode & 0o777 for path in paths.data.iterdir()}
    assert modes == {"open": 0o600, "shut": 0o600, "run": 0o700, "link": 0o644}
    assert paths.data.stat().st_mode & 0o777 == 0o700
    assert room.repair(Repair(code="private")) == NOTHING
    assert not close(paths.data / "link")
    assert not close(paths.data / "not there")


def test_a_fifo_is_not_waited_for(paths: Paths) -> None:
    ensure_private_dir(paths.zones)
    os.mkfifo(paths.zones / "pipe", 0o644)
    (paths.zones / "z.pem").touch()
    (paths.zones / "z.pem").chmod(0o640)
    said = Room(paths).repair(Repair(code="zone-z"))
    assert said is not None
    assert said.startswith(("1", "2"))
    assert (paths.zones / "z.pem").stat().st_mode & 0o777 == 0o600
