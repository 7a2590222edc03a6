"""A real Chromium signs in through the local network's door."""

import base64
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import expect, sync_playwright

from nexus_tray.paths import Paths
from tests.app.test_network_door import HERE, PASSWORD, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(Paths(*(tmp_path / name for name in ("config", "data", "run", "tools"))))
    made.open()
    yield made
    made.close()


def test_a_browser_signs_in_stays_and_is_put_out(world: World) -> None:
    program = shutil.which("chromium")
    assert program, "The tests need Chromium on PATH; ./build/test installs it."
    made = x509.load_pem_x509_certificate((world.paths.authority / "door.pem").read_bytes())
    spki = made.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    # it believes this one key and no other, for it reads no authority from a file
    pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    arguments = ["--no-sandbox", "--disable-gpu", f"--ignore-certificate-errors-spki-list={pin}"]
    origin = f"https://{HERE}:{world.port}"
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        context = browser.new_context(viewport={"width": 360, "height": 740})
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{origin}/")
        page.locator("input[name=password]").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{origin}/_nexus/")
        (cookie,) = context.cookies()
        assert (cookie["name"], cookie["secure"], cookie["httpOnly"]) == (
            "__Host-nexus", True, True,
        )  # fmt: skip
        page.reload()
        expect(page).to_have_url(f"{origin}/_nexus/")
        world.door.accounts().end_all_sessions()
        page.reload()
        expect(page.locator("input[name=password]")).to_be_visible()
        context.close()
        browser.close()
    assert complaints == []
