"""Remote access that closes when nobody uses it, over the whole program, the lab and OpenCode.

The program's own minute is made shorter, by a line that its interpreter runs at its start; all
else is as it ships.
"""

import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from nexus_tray.model import HopState, ServiceState, Snapshot
from tests.e2e.conftest import Phone
from tests.e2e.program import ROOT, Program, Visitor
from tests.e2e.test_main_job import reachable, sign_in

pytestmark = pytest.mark.timeout(240)

MINUTE = 4.0
SHORTER = f"from nexus_tray.app import idle\nidle.MINUTE, idle.LOOK_EVERY = {MINUTE}, 0.2\n"


@pytest.fixture
def hasty(program: Program, tmp_path: Path) -> Program:
    folder = tmp_path / "hasty"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SHORTER)
    program.environment["PYTHONPATH"] = f"{folder}:{ROOT}"
    return program


def closed(now: Snapshot) -> bool:
    quick = now.service("quick")
    return now.paused and quick is not None and quick.state is ServiceState.STOPPED


def working(now: Snapshot) -> bool:
    return now.activity is not None and any(one.state == "working" for one in now.activity.sessions)


def test_it_closes_unused_says_why_and_not_while_opencode_works(
    hasty: Program, phone: Phone
) -> None:
    program = hasty
    program.start()
    address = reachable(program)
    sign_in(phone, address)
    expect(phone.page).to_have_url(f"{address}/_nexus/")
    phone.page.goto("about:blank")  # our page asks by itself while it is seen
    here = Visitor(program)
    session = here.ask("POST", "/session", {})["id"]

    # OpenCode works for longer than that: it stays open, whoever asks
    told = {"parts": [{"type": "text", "text": "SLOW"}]}
    here.ask("POST", f"/session/{session}/prompt_async", told)
    program.wait_for(working, 20, "a session that works")
    assert program.cli("config", "set", "access.idle_minutes", "1").returncode == 0
    end = time.monotonic() + 2 * MINUTE
    while time.monotonic() < end:
        now = program.snapshot()
        assert working(now)
        assert not now.paused
    here.ask("POST", f"/session/{session}/abort")
    program.wait_for(lambda s: not working(s), 20, "its end")
    done = time.monotonic()

    # then nobody asks: closed, and everybody is told why
    shut = program.wait_for(closed, MINUTE + 20, "closed")
    assert time.monotonic() - done > MINUTE - 1.5, "the end of the work did not count"
    assert shut.state is HopState.OFF
    assert shut.reason is not None
    assert shut.reason.what == "Remote access was closed after a minute without a request."
    assert "nexus-tray resume" in shut.reason.cure
    said = program.cli("status").stdout
    assert "after a minute without a request" in said
    assert "nexus-tray resume" in said
    trail = program.cli("audit").stdout
    assert trail.count("idle-closed") == 1, trail
    assert here.ask("GET", f"/session/{session}")["id"] == session, "OpenCode goes on here"

    # a person opens it again (that it stays closed over a restart: tests/app/test_idle.py)
    assert program.cli("config", "set", "access.idle_minutes", "0").returncode == 0
    assert "no longer paused" in program.cli("resume").stdout
    program.wait_for(lambda s: not s.paused and s.service("quick"), 20, "open again")
    assert "signed in" in program.cli("devices").stdout
