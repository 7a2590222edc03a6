"""A real Chromium is paired by a link, through the local network's door."""

import base64
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Request, expect, sync_playwright

from nexus_tray.paths import Paths
from tests.app.test_network_door import HERE, World
from tests.dashboard.test_access import axe_finds_nothing


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(Paths(*(tmp_path / name for name in ("config", "data", "run", "tools"))))
    made.open()
    yield made
    made.close()


def test_a_phone_is_paired_by_its_button_once(world: World, tmp_path: Path) -> None:
    program = shutil.which("chromium")
    assert program, "The tests need Chromium on PATH; ./build/test installs it."
    made = x509.load_pem_x509_certificate((world.paths.authority / "door.pem").read_bytes())
    spki = made.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    arguments = ["--no-sandbox", "--disable-gpu", f"--ignore-certificate-errors-spki-list={pin}"]
    origin = f"https://{HERE}:{world.port}"
    vault = world.door.vault()
    token = vault.pairings.make(f"{HERE}:{world.port}", "")
    link = f"{origin}/_nexus/pair#{token}"
    complaints: list[str] = []
    asked: list[Request] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        context = browser.new_context(viewport={"width": 360, "height": 740}, bypass_csp=True)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda one: asked.append(one))
        page.goto(link)
        expect(page).to_have_url(f"{origin}/_nexus/pair")
        expect(page.locator("input[name=token]")).to_be_hidden()
        axe_finds_nothing(page)
        page.screenshot(path=tmp_path / "pair.png")
        page.reload()
        assert len(vault.pairings.open()) == 1
        page.goto("about:blank")
        page.goto(link)
        page.locator("input[name=name]").fill("Ada's phone")
        page.get_by_role("button", name="Pair this device").click()
        expect(page).to_have_url(f"{origin}/_nexus/")
        fields = [one.all_headers() for one in asked]  # as they were sent, Referer too
        assert {field["referer"] for field in fields if "referer" in field} == {f"{origin}/"}
        assert token not in repr(fields)
        assert all(token not in one.url.partition("#")[0] for one in asked)
        other = browser.new_context().new_page()
        other.goto(link)
        other.get_by_role("button", name="Pair this device").click()
        expect(other.get_by_role("alert")).to_contain_text("does not work")
        browser.close()
    [device] = vault.accounts.sessions()
    assert (device.how, device.name) == ("pairing", "Ada's phone")
    assert all(token not in row.outcome for row in vault.audit.newest())
    assert complaints == []
