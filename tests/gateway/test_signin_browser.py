"""A person signs in with password and one-time code in a real Chromium, at the local network's door
over TLS: the page fits a phone, offers the right keyboard, and says the same to everybody."""

import base64
import functools
import hashlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyotp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Page, expect, sync_playwright

from nexus_tray.app.door import Door
from nexus_tray.paths import Paths
from tests.app.test_network_door import HERE, PASSWORD, World
from tests.dashboard.test_access import axe_finds_nothing

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@dataclass
class Desk:
    world: World
    page: Page
    origin: str
    codes: tuple[str, ...]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    program = shutil.which("chromium")
    assert program, "The tests need Chromium on PATH; ./build/test installs it."
    keyring = functools.partial(Door, factor_secret=lambda _: SECRET)
    monkeypatch.setattr("tests.app.test_network_door.Door", keyring)
    world = World(Paths(*(tmp_path / name for name in ("config", "data", "run", "tools"))))
    try:
        world.open()
        codes = world.door.vault().second_factor.turn_on("factor", 0)
        made = x509.load_pem_x509_certificate((world.paths.authority / "door.pem").read_bytes())
        spki = made.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
        quiet = ["--no-sandbox", "--disable-gpu", f"--ignore-certificate-errors-spki-list={pin}"]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=quiet)
            context = browser.new_context(viewport={"width": 360, "height": 740}, bypass_csp=True)
            yield Desk(world, context.new_page(), f"https://{HERE}:{world.port}", codes)
            browser.close()
    finally:
        world.close()


def sign_in(page: Page, label: str, code: str, password: str = PASSWORD) -> None:
    page.get_by_label("Password").fill(password)
    page.get_by_label(label).fill(code)
    page.get_by_role("button", name="Sign in").click()


def fits(page: Page) -> None:
    for width in (320, 360, 720, 1600):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 360, "height": 740})


def test_a_code_lets_in_and_the_page_fits_a_phone(desk: Desk, tmp_path: Path) -> None:
    page = desk.page
    page.goto(f"{desk.origin}/L2hvbWU/session")
    expect(page).to_have_url(f"{desk.origin}/_nexus/sign-in?next=/L2hvbWU/session")
    code = page.get_by_label("One-time code")
    expect(code).to_have_attribute("inputmode", "numeric")
    expect(code).to_have_attribute("autocomplete", "one-time-code")
    expect(page.get_by_label("Password")).to_have_attribute("autocomplete", "current-password")
    expect(page.get_by_label("Password")).to_be_focused()
    fits(page)
    axe_finds_nothing(page)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        page.screenshot(path=tmp_path / f"sign-in-{theme}.png")
    page.emulate_media(color_scheme="light")
    sign_in(page, "One-time code", "000000")
    expect(page.get_by_role("alert")).to_contain_text("That did not work")
    fits(page)
    axe_finds_nothing(page)
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=tmp_path / "sign-in-failed.png")
    sign_in(page, "One-time code", pyotp.TOTP(SECRET).at(int(time.time())))
    expect(page).to_have_url(f"{desk.origin}/L2hvbWU/session")
    [device] = desk.world.door.accounts().sessions()
    assert device.how == "code"


def test_a_recovery_code_has_a_keyboard_of_its_own(desk: Desk, tmp_path: Path) -> None:
    page = desk.page
    page.goto(f"{desk.origin}/_nexus/sign-in?next=/L2hvbWU/session")
    page.get_by_role("link", name="Use a recovery code instead").click()
    code = page.get_by_label("Recovery code")
    assert code.get_attribute("inputmode") is None
    fits(page)
    axe_finds_nothing(page)
    page.screenshot(path=tmp_path / "recovery.png")
    sign_in(page, "Recovery code", "aaaa-bbbb-cccc-dddd-eeee-ffff")
    expect(page.get_by_role("alert")).to_be_visible()  # and it asks for the same kind again
    sign_in(page, "Recovery code", desk.codes[0].upper())
    expect(page).to_have_url(f"{desk.origin}/L2hvbWU/session")
    [device] = desk.world.door.accounts().sessions()
    assert device.how == "recovery"
    page.goto(f"{desk.origin}/_nexus/sign-in?recovery=1")  # signed in: nothing to ask
    expect(page).to_have_url(f"{desk.origin}/_nexus/")
