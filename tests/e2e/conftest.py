"""Cloudflare on loopback, a browser, and the whole program between them and OpenCode."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.cloudflare.lab import STANDIN, Lab, real_cloudflared
from tests.e2e.program import Program
from tests.opencode_lab.harness import Home, find_opencode
from tests.opencode_lab.provider import Provider

PASSWORD = "a long walk by the river"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    folder = tmp_path / "lab"
    folder.mkdir()
    made = Lab(folder)
    made.faults(quick_buffers_sse=True)
    yield made
    made.close()


@pytest.fixture
def program(tmp_path: Path, lab: Lab, provider: Provider) -> Iterator[Program]:
    """The program, configured for the labs and not yet started."""
    opencode = Home(tmp_path / "opencode", provider.url)
    environment = opencode.environment()
    kept = {name: environment[name] for name in environment if name not in ("PATH", "HOME")}
    made = Program(
        tmp_path / "home",
        opencode.project,
        {**kept, "NEXUS_TRAY_CLOUDFLARED_LAB": str(lab.file)},
    )
    made.configure(
        {
            "opencode": {"program": str(find_opencode()), "environment": list(kept)},
            "cloudflared": {"program": str(real_cloudflared() or STANDIN)},
        }
    )
    yield made
    made.stop()


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium")
    assert found, "The tests need Chromium on PATH; ./build/test installs it."
    return found


@dataclass
class Phone:
    """A phone-sized browser that finds the quick tunnels at the lab's front."""

    browser: Browser
    context: BrowserContext
    page: Page


@pytest.fixture
def phone(chromium: str, lab: Lab) -> Iterator[Phone]:
    front = f"127.0.0.1:{lab.https_port}"
    rules = f"MAP *.trycloudflare.com:443 {front}, MAP *.lab.example:443 {front}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                f"--host-resolver-rules={rules}",
            ],
        )  # fmt: skip
        context = browser.new_context(
            viewport={"width": 360, "height": 740}, ignore_https_errors=True, is_mobile=True
        )
        yield Phone(browser, context, context.new_page())
        browser.close()
