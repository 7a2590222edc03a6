"""The dashboard in a real browser, over the real API server and a real LocalBackend."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from nexus_tray.api import pages
from nexus_tray.api.server import ApiServer
from nexus_tray.commands import Command, GetAutostart
from nexus_tray.core.local_backend import LocalBackend
from nexus_tray.model import Problem
from nexus_tray.paths import Paths
from tests.api.doubles import House, StoredLogs, stored_house
from tests.api.wires import TOKEN
from tests.dashboard.house import note_some, well

LAUNCH = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

UI = Path(__file__).parent.parent.parent / "ui" / "dashboard"


@dataclass
class Refusing(House[StoredLogs]):
    """A house that refuses commands of these kinds, with this Problem."""

    refusals: dict[type[Command], Problem] = field(default_factory=dict)

    def _carry_out(self, command: Any) -> str | None:
        if type(command) in self.refusals:
            raise self.refusals[type(command)]
        if isinstance(command, GetAutostart):
            return "off"
        return super()._carry_out(command)


@dataclass
class Desk:
    """A page at the dashboard, and the house behind it.

    `errors` is what the page complained of on its console; it has to stay empty.
    """

    house: Refusing
    server: ApiServer
    context: BrowserContext
    page: Page
    errors: list[str] = field(default_factory=list)

    def open(self, to: str = "/") -> Page:
        """Come in by a one-time ticket, as the tray and the command line do."""
        self.page.goto(self.server.invite(to))
        self.page.wait_for_selector("main h1")
        return self.page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium")
    assert found, "The tests need Chromium on PATH; ./build/test installs it."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=LAUNCH)
        yield browser
        browser.close()


@pytest.fixture
def house(paths: Paths) -> Iterator[Refusing]:
    with stored_house(paths) as plain:
        house = Refusing(plain.journal, plain.logs, plain.settings)
        note_some(house)
        well(house, time.time())
        yield house


@pytest.fixture
def server(house: Refusing) -> Iterator[ApiServer]:
    server = start(house.backend)
    yield server
    server.stop()


def start(backend: LocalBackend, port: int = 0) -> ApiServer:
    """The API with the dashboard's own files."""
    server = ApiServer(backend, TOKEN, pages=pages.load(UI), port=port)
    server.start()
    return server


@pytest.fixture
def desk(browser: Browser, house: Refusing, server: ApiServer) -> Iterator[Desk]:
    context = browser.new_context(viewport={"width": 1100, "height": 900}, locale="en-GB")
    context.set_default_timeout(10_000)
    page = context.new_page()
    desk = Desk(house, server, context, page)
    page.on("pageerror", lambda error: desk.errors.append(str(error)))
    page.on("console", lambda line: _keep(desk.errors, line))
    yield desk
    context.close()
    assert desk.errors == []


def _keep(errors: list[str], line: Any) -> None:
    """What the page complains of; a failed request is shown to the person, and expected."""
    # a server that goes away while a script is fetched answers it without a type
    broken_off = ("Failed to load resource", 'responded with a MIME type of ""')
    if line.type == "error" and not any(text in line.text for text in broken_off):
        errors.append(line.text)
