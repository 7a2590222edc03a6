"""`nexus-tray programs`: told, fetched with waiting, refused, and the way back."""

import dataclasses
from typing import Any

import msgspec
import pytest

from nexus_tray.cli import programs
from nexus_tray.commands import FetchTool, RestoreTool
from nexus_tray.model import Hop, Reason
from nexus_tray.paths import Paths
from nexus_tray.reports import Fetch, Setup, ToolState
from tests.api.doubles import house
from tests.cli.desk import Desk, instance

OLD = ToolState(
    name="cloudflared", path="/x/cloudflared", version="2026.1.0", fetchable=True,
    reason=Reason(code="tool-old", hop=Hop.CLOUDFLARED, what="It is old."),
)  # fmt: skip
NEW = msgspec.structs.replace(
    OLD, version="2026.8.2", fetchable=False, restorable="2026.1.0", reason=None
)


def having(*states: ToolState) -> Any:
    """A house whose cloudflared is so at each look, and stays as at the last."""
    made, left = house(), list(states)

    def setup() -> Setup:
        return Setup(finished=True, tools=(left.pop(0) if len(left) > 1 else left[0],))

    made.reports = dataclasses.replace(made.reports, setup=setup)
    return made


def test_what_there_is_to_say(paths: Paths) -> None:
    with instance(paths, having(OLD, NEW)):
        old, new = Desk(paths)("programs"), Desk(paths)("programs")
        plain = Desk(paths)("programs", "--json")
    assert old.out.splitlines() == [
        "cloudflared: 2026.1.0, /x/cloudflared",
        "  It is old.",
        "  To fetch it: nexus-tray programs fetch cloudflared",
    ]
    assert "To go back to 2026.1.0: nexus-tray programs back cloudflared" in new.out
    assert plain.json[0]["version"] == "2026.8.2"


def test_fetching_waits_until_it_is_there(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "LOOK_SECONDS", 0.01)
    coming = msgspec.structs.replace(OLD, fetch=Fetch(done_bytes=1, total_bytes=2))
    made = having(coming, coming, NEW)
    with instance(paths, made):
        said = Desk(paths)("programs", "fetch", "cloudflared")
    assert (said.code, made.came) == (0, [FetchTool(name="cloudflared")])
    assert said.out.startswith("cloudflared: 2026.8.2")


def test_one_that_could_not_be_had_says_why(paths: Paths) -> None:
    with instance(paths, having(OLD)):
        said = Desk(paths)("programs", "fetch", "cloudflared")
    assert said.code != 0
    assert "It is old." in said.err


def test_going_back(paths: Paths) -> None:
    made = having(NEW)
    with instance(paths, made):
        said = Desk(paths)("programs", "back", "cloudflared")
    assert (said.code, made.came) == (0, [RestoreTool(name="cloudflared")])
