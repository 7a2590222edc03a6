"""OpenCode cannot start any more; a phone finds that out, and has it started anew, over the whole
program: the page is the gateway's, which outlives OpenCode."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from nexus_tray.model import ServiceState, Snapshot
from tests.e2e.conftest import Phone
from tests.e2e.program import Program
from tests.e2e.test_main_job import reachable, sign_in

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def link(program: Program, tmp_path: Path) -> Path:
    """OpenCode's program as the settings name it: a link that can be taken away."""
    written = json.loads(program.paths.config_file.read_text())
    made = tmp_path / "opencode-program"
    made.symlink_to(written["opencode"]["program"])
    written["opencode"]["program"] = str(made)
    program.paths.config_file.write_text(json.dumps(written))
    return made


def opencode_is(state: ServiceState) -> Callable[[Snapshot], bool]:
    def so(now: Snapshot) -> bool:
        service = now.service("opencode")
        return service is not None and service.state is state

    return so


def test_restart_from_the_phone_when_opencode_is_down(
    program: Program, phone: Phone, link: Path
) -> None:
    program.start()
    address = reachable(program)
    page = phone.page
    sign_in(phone, address)
    expect(page).to_have_url(f"{address}/_nexus/")
    expect(page.get_by_role("button", name="Restart OpenCode")).to_have_count(0)

    away = link.rename(link.with_name("away"))
    before = program.pid_of("opencode")
    os.kill(before, signal.SIGKILL)
    expect(page.get_by_role("button", name="Restart OpenCode")).to_be_visible(timeout=30_000)
    program.wait_for(opencode_is(ServiceState.FAILED), 30, "given up, for it is not there")
    expect(page.locator("#head .state")).to_have_class("state down", timeout=15_000)

    # pressed while nothing has changed: said again, and no harm
    page.get_by_role("button", name="Restart OpenCode").click()
    expect(page.locator("p.note.up")).to_contain_text("OpenCode is being restarted")
    expect(page.get_by_role("button", name="Restart OpenCode")).to_be_visible(timeout=30_000)

    away.rename(link)
    page.get_by_role("button", name="Restart OpenCode").click()
    expect(page.locator("#head .state")).to_have_class("state up", timeout=30_000)
    expect(page.get_by_role("button", name="Restart OpenCode")).to_have_count(0)
    program.wait_for(opencode_is(ServiceState.RUNNING), 20, "it runs")
    assert program.pid_of("opencode") != before
