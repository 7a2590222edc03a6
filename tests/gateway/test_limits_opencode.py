"""The default limits never stand in the way of OpenCode's own page: how often it asks, measured in
a real Chromium that loads it, reloads it and works in it, through a door that has limits.

What counts is how many requests one load makes at all: a browser on HTTP/2, as through a tunnel,
may send them in one moment, and a device may ask for so many at once (`BURST_SECONDS`). It is a
measurement, so it runs by `--long`: on 1.18.33, 115 requests in five loads, at most 29 of them in a
second and 27 at once, of 400 and 256 allowed.
"""

import base64
import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Request, expect, sync_playwright

from nexus_tray.gateway.limits.buckets import BURST_SECONDS
from nexus_tray.paths import Paths
from nexus_tray.settings import AccessSettings
from tests.app.test_network_door import HERE, World
from tests.opencode_lab.harness import Keeper

NEW = """async () => {
    const headers = {"content-type": "application/json"};
    const made = await fetch("/session", {method: "POST", headers, body: "{}"});
    return (await made.json()).id;
}"""


@pytest.fixture
def world(tmp_path: Path, opencode: Keeper) -> Iterator[World]:
    made = World(Paths(*(tmp_path / name for name in ("config", "data", "run", "tools"))))
    made.open()
    assert opencode.upstream is not None
    made.door.set_upstream(opencode.upstream)
    made.door.set_limits(AccessSettings())
    yield made
    made.close()


class Asked:
    """When a page asked for something of its own host, and what came of it."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.at: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.open, self.most_open = 0, 0

    def begun(self, request: Request) -> None:
        if request.url.startswith(self.origin):
            self.at.append(time.monotonic())
            self.open += 1
            self.most_open = max(self.most_open, self.open)

    def ended(self, request: Request) -> None:
        if request.url.startswith(self.origin):
            self.open -= 1

    def in_any(self, seconds: float) -> int:
        """The most that fell into so many seconds."""
        return max(sum(0 <= at - first < seconds for at in self.at) for first in self.at)


@pytest.mark.long
def test_opencodes_page_is_far_from_the_default_limits(world: World, opencode: Keeper) -> None:
    program = shutil.which("chromium")
    assert program, "The tests need Chromium on PATH; ./build/test installs it."
    made = x509.load_pem_x509_certificate((world.paths.authority / "door.pem").read_bytes())
    spki = made.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    quiet = ["--no-sandbox", "--disable-gpu", f"--ignore-certificate-errors-spki-list={pin}"]
    origin = f"https://{HERE}:{world.port}"
    cookie = world.sign_in()[1]["set-cookie"].partition(";")[0].partition("=")
    folder = base64.b64encode(str(opencode.home.project).encode()).decode().rstrip("=")
    asked = Asked(origin)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=quiet)
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.add_cookies([{"name": cookie[0], "value": cookie[2], "url": origin}])
        page = context.new_page()
        page.on("request", lambda one: asked.begun(one))
        page.on("requestfinished", lambda one: asked.ended(one))
        page.on("requestfailed", lambda one: asked.ended(one))
        page.on("response", lambda one: asked.statuses.update([one.status]))
        page.goto(f"{origin}/_nexus/")
        session = page.evaluate(NEW)
        page.goto(f"{origin}/{folder}/session/{session}")
        box = page.get_by_role("textbox")
        expect(box).to_be_visible(timeout=20_000)
        for _ in range(3):  # somebody who is impatient
            page.reload()
            page.wait_for_load_state()
        expect(box).to_be_visible(timeout=20_000)
        box.click()
        page.keyboard.type("hello")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Hello from the lab").first).to_be_visible(timeout=20_000)
        browser.close()
    limits = AccessSettings()
    told = f"{len(asked.at)} requests, {asked.in_any(1.0)} in a second, {asked.most_open} open"
    print(told, dict(asked.statuses))
    assert asked.statuses[429] == 0
    assert asked.in_any(1.0) <= limits.requests_per_second * BURST_SECONDS / 2, told
    assert asked.most_open <= limits.streams / 2, told
