"""The whole way on the real OpenCode: begun on the page, killed in the middle, one tap goes on."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, expect

from nexus_tray.app.session_handlers import SessionHandlers, conversations
from nexus_tray.commands import AnyCommand, Outcome
from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.http import Upstream
from nexus_tray.gateway.server import Gateway
from nexus_tray.gateway.site.site import GatewaySite
from nexus_tray.model import Facts, Problem
from nexus_tray.services.activity import ActivityWatch
from tests.opencode_lab.harness import Home, Keeper

from .doubles import no_shape
from .site_world import SNAPSHOT, open_site
from .test_home_browser import House
from .test_sessions_browser import chromium  # noqa: F401 - a fixture


@pytest.fixture
def lived(
    tmp_path: Path,
    opencode_home: Home,
    chromium: Browser,  # noqa: F811
) -> Iterator[tuple[House, Keeper]]:
    """A site that speaks with an OpenCode of its own."""
    with contextlib.ExitStack() as ending:
        world = open_site(tmp_path, now=time.time())
        ending.callback(world.close)
        facts = Facts(directory=str(opencode_home.project))
        service = msgspec.structs.replace(SNAPSHOT.services[0], facts=facts)
        world.change(services=(service,), activity=None)
        watch = ActivityWatch(lambda activity: world.change(activity=activity))
        ending.callback(watch.close)
        talks = conversations(lambda: world.snapshot)
        table = SessionHandlers(talks).table()

        def submit(command: AnyCommand) -> Outcome:
            try:
                return Outcome(ok=True, value=table[type(command)](command) or "")
            except Problem as problem:
                return Outcome(ok=False, reason=problem.reason)

        def follow(upstream: Upstream | None) -> None:
            watch.set_upstream(upstream)
            talks.set_upstream(upstream)

        world.site.close()
        world.world = replace(world.world, submit=submit, transcript=talks.transcript)
        world.site = GatewaySite(world.world)
        gateway = Gateway(world.site, no_shape, None, 0, Bounds())
        ending.callback(gateway.close)
        gateway.start()
        keeper = ending.enter_context(Keeper(opencode_home, on_upstream=follow))
        keeper.start()
        house = House(world, gateway, chromium)
        yield house, keeper
        for context in house.contexts:
            context.close()


def test_begun_on_the_page_killed_and_continued_by_one_tap(lived: tuple[House, Keeper]) -> None:
    house, keeper = lived
    page = house.enter()
    page.get_by_role("link", name="New session").click()
    page.get_by_label("What is to be done?").fill("say hello")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("#said")).to_contain_text("Hello from the lab", timeout=20_000)
    page.get_by_label("Say something").fill("SLOW")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#head .state")).to_have_text("working", timeout=20_000)
    keeper.driver.kill(keeper.run)
    keeper.exited()
    expect(page.locator("#head .note")).to_contain_text("OpenCode is not running", timeout=20_000)
    keeper.start()
    expect(page.locator("#head .state")).to_have_text("interrupted", timeout=20_000)
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#said")).to_contain_text("You said: Continue.", timeout=20_000)
    expect(page.locator("#head .state")).to_have_text("idle", timeout=20_000)


def test_stopped_by_one_tap(lived: tuple[House, Keeper]) -> None:
    house, _ = lived
    page = house.enter()
    page.get_by_role("link", name="New session").click()
    page.get_by_label("What is to be done?").fill("SLOW")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("#head .state")).to_have_text("working", timeout=20_000)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("p.note.up")).to_have_text("Told to stop.")
    expect(page.locator("#head .state")).to_have_text("idle", timeout=20_000)
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    said = page.locator("#said").inner_text()
    assert "tick59" not in said, "it had ended by itself"
    # and the same session goes on with the next thing that is said
    page.get_by_label("Say something").fill("say hello")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#said")).to_contain_text("Hello from the lab", timeout=20_000)
