"""Access from a terminal: pauses as they are written, a panic that asks, the devices."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from nexus_tray.commands import EndAllSessions, EndSession, Panic, Pause, Resume
from nexus_tray.core.moments import tomorrow
from nexus_tray.model import Snapshot
from nexus_tray.paths import Paths
from nexus_tray.reports import Device
from tests.api.doubles import ACCESS, AT, House
from tests.api.doubles import house as build
from tests.cli.desk import Desk, instance

NOW = AT + 90  # the desk's clock


@pytest.fixture
def house() -> House[Any]:
    return build()


@pytest.fixture
def desk(paths: Paths, house: House[Any]) -> Iterator[Desk]:
    with instance(paths, house):
        yield Desk(paths)


@pytest.mark.parametrize(
    ("argv", "came"),
    [
        (["pause"], Pause()),
        (["pause", "15m"], Pause(until_at=NOW + 900)),
        (["pause", "1h"], Pause(until_at=NOW + 3600)),
        (["pause", "2d"], Pause(until_at=NOW + 172_800)),
        (["pause", "tomorrow"], Pause(until_at=tomorrow(NOW))),
        (["resume"], Resume()),
        (["panic", "--yes"], Panic()),
        (["devices", "end", "dev-1"], EndSession(id="dev-1")),
        (["devices", "end-all"], EndAllSessions()),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_verb_is_its_command(
    desk: Desk, house: House[Any], argv: list[str], came: object
) -> None:
    said = desk(*argv)
    assert said.code == 0
    assert said.out.strip()
    assert house.came == [came]


@pytest.mark.parametrize("written", ["", "0", "-5m", "1w", "soon", "1.5h", "99999999m"])
def test_a_length_that_is_none_is_wrong_usage(desk: Desk, house: House[Any], written: str) -> None:
    with pytest.raises(SystemExit) as ended:
        desk("pause", written)
    assert ended.value.code == 2
    assert house.came == []


@pytest.mark.parametrize(("typed", "done"), [("y\n", 1), ("YES\n", 1), ("n\n", 0), ("", 0)])
def test_a_panic_asks_on_a_terminal(desk: Desk, house: House[Any], typed: str, done: int) -> None:
    said = desk("panic", typed=typed)
    assert "signs out every device" in said.err
    assert house.came == [Panic()] * done
    assert ("Nothing was changed." in said.out) == (not done)


def test_a_script_has_decided_already(desk: Desk, house: House[Any]) -> None:
    assert desk("panic", source="").code == 0
    assert house.came == [Panic()]


@pytest.mark.parametrize("argv", [["devices"], ["devices", "list"]])
def test_devices_are_listed(desk: Desk, argv: list[str]) -> None:
    said = desk(*argv)
    assert said.code == 0
    assert "dev-1             Safari on iPhone" in said.out
    assert "203.0.113.7  calm-river.trycloudflare.com" in said.out
    assert "seen 1 min ago, signed in by password and code 2 h 1 min ago" in said.out
    assert "nexus-tray devices end ID" in said.out


@pytest.mark.parametrize("argv", [["devices", "--json"], ["devices", "--json", "list"],
                                  ["devices", "list", "--json"]])  # fmt: skip
def test_devices_in_json(desk: Desk, argv: list[str]) -> None:
    said = desk(*argv)
    assert msgspec.convert(json.loads(said.out), tuple[Device, ...]) == ACCESS.devices


def test_status_says_a_pause_and_its_cure(desk: Desk, house: House[Any]) -> None:
    house.say(paused=True, paused_until=None)
    assert "Paused    until you resume it; to end it: nexus-tray resume" in desk("status").out
    house.say(paused=True, paused_until=NOW + 900)
    shown = desk("status")
    assert "Paused    until " in shown.out
    as_json = msgspec.json.decode(desk("status", "--json").out, type=Snapshot)
    assert as_json.paused_until == NOW + 900


def test_a_start_while_paused_says_why_no_tunnel_runs(desk: Desk, house: House[Any]) -> None:
    assert "paused" not in desk("start", "quick").out
    house.say(paused=True)
    assert "nexus-tray resume" in desk("start", "quick").out
    assert json.loads(desk("start", "quick", "--json").out)["quick"]["ok"] is True
