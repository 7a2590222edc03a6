"""Passkeys, whole: a real Chromium with an authenticator (Chrome's virtual one, over its DevTools),
through Cloudflare, cloudflared and the running program, at a host name that stays."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import BrowserContext, CDPSession, Page, expect, sync_playwright

from tests.cloudflare.lab import Lab
from tests.dashboard.test_access import axe_finds_nothing, nothing_is_wider_than_the_window
from tests.e2e.conftest import PASSWORD
from tests.e2e.program import Program, wait_until
from tests.e2e.test_tunnels import CODE, begin, import_zone, ready, run_cli

pytestmark = pytest.mark.timeout(240)

ORIGIN = f"https://{CODE}"
OTHER = "other.lab.example"


def pin(lab: Lab) -> str:
    """The lab's authority, for Chromium: WebAuthn wants a connection without certificate errors."""
    authority = x509.load_pem_x509_certificate(Path(lab.info["ca"]).read_bytes())
    spki = authority.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


@pytest.fixture
def context(chromium: str, lab: Lab) -> Iterator[BrowserContext]:
    front = f"127.0.0.1:{lab.https_port}"
    rules = f"MAP *.trycloudflare.com:443 {front}, MAP *.lab.example:443 {front}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                f"--host-resolver-rules={rules}",
                f"--ignore-certificate-errors-spki-list={pin(lab)}",
            ],
        )  # fmt: skip
        yield browser.new_context(viewport={"width": 360, "height": 740})
        browser.close()


class Key:
    """Chrome's virtual authenticator, of a page."""

    def __init__(self, page: Page) -> None:
        self.session: CDPSession = page.context.new_cdp_session(page)
        self.session.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
            "hasUserVerification": True, "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }  # fmt: skip
        added = self.session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        self.id = added["authenticatorId"]

    def credentials(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.session.send(
            "WebAuthn.getCredentials", {"authenticatorId": self.id}
        )["credentials"]
        return found

    def verifies(self, verified: bool) -> None:
        """Whether the person's finger is known."""
        about = {"authenticatorId": self.id, "isUserVerified": verified}
        self.session.send("WebAuthn.setUserVerified", about)

    def set_back(self, count: int) -> None:
        """The same key, its counter lower, as in a copy made earlier."""
        [one] = self.credentials()
        where = {"authenticatorId": self.id}
        gone = {**where, "credentialId": one["credentialId"]}
        self.session.send("WebAuthn.removeCredential", gone)
        back = {**where, "credential": {**one, "signCount": count}}
        self.session.send("WebAuthn.addCredential", back)


def sign_in(page: Page, origin: str = ORIGIN) -> None:
    page.goto(f"{origin}/_nexus/sign-in")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{origin}/_nexus/")


def sign_out(page: Page) -> None:
    page.goto(f"{ORIGIN}/_nexus/")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/_nexus/sign-in"))


def add(page: Page, name: str) -> None:
    page.goto(f"{ORIGIN}/_nexus/")
    page.get_by_role("link", name="Passkeys").click()
    page.get_by_label("Name").fill(name)
    page.locator("#add-passkey").get_by_label("Your password, again").fill(PASSWORD)
    page.get_by_role("button", name="Add a passkey").click()


def passkeys(program: Program) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run_cli(program, "passkey", "list", "--json"))
    return found


def test_a_passkey_from_its_adding_to_its_end(
    program: Program, lab: Lab, context: BrowserContext, tmp_path: Path
) -> None:
    begin(program)
    import_zone(program, lab)
    run_cli(program, "tunnel", "create", "home", "--kind", "named", "--host", CODE, "--host", OTHER)
    ready(program, "home")
    page, complaints = context.new_page(), list[str]()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if "Policy" in said.text else None)
    key = Key(page)

    # none yet: not offered; a wrong password adds none
    sign_in(page)
    page.goto(f"{ORIGIN}/_nexus/passkeys")
    expect(page.get_by_text("There is none.")).to_be_visible()
    page.locator("#add-passkey").get_by_label("Your password, again").fill("not the password")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("That is not right.")
    assert key.credentials() == []
    add(page, "Ada’s <b>key</b>")
    expect(page.get_by_role("status")).to_contain_text("The passkey is added.")
    expect(page.get_by_role("region", name="Ada’s <b>key</b>")).to_contain_text("never used")
    axe_finds_nothing(page)
    nothing_is_wider_than_the_window(page)
    page.screenshot(path=tmp_path / "passkeys.png", full_page=True)
    [made] = key.credentials()
    assert (made["rpId"], made["isResidentCredential"]) == (CODE, True)
    # a second one in the same authenticator is none
    add(page, "again")
    expect(page.get_by_role("alert")).to_contain_text("has one for this address already")

    # it signs in, where it leads to what was asked for
    sign_out(page)
    page.goto(f"{ORIGIN}/_nexus/new")
    expect(page).to_have_url(re.compile("next="))
    axe_finds_nothing(page)
    page.screenshot(path=tmp_path / "sign-in.png", full_page=True)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(f"{ORIGIN}/_nexus/new")
    [device] = json.loads(run_cli(program, "devices", "--json"))
    assert (device["how"], device["host"]) == ("passkey", CODE)
    assert "by a passkey" in run_cli(program, "devices")
    [listed] = passkeys(program)
    assert (listed["name"], listed["host"], listed["used_at"] is None) == (
        "Ada’s <b>key</b>", CODE, False,
    )  # fmt: skip

    # at another name it is not offered, and none of it is there
    page.goto(f"https://{OTHER}/_nexus/sign-in")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.get_by_role("button", name="Use a passkey")).to_have_count(0)

    # whose finger is not known, and a copy, stay out, and it is said
    sign_out(page)
    key.verifies(False)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("No passkey was used", timeout=15_000)
    key.verifies(True)
    key.set_back(0)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("That did not work.")
    assert "there may be a copy of it" in run_cli(program, "audit")
    key.set_back(40)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(f"{ORIGIN}/_nexus/")

    # revoked, it ends what it began, and signs in no more
    run_cli(program, "passkey", "revoke", listed["id"])
    wait_until(lambda: json.loads(run_cli(program, "devices", "--json")) == [], 10, "its end")
    page.goto(f"{ORIGIN}/_nexus/")
    expect(page).to_have_url(re.compile("/_nexus/sign-in"))
    expect(page.get_by_role("button", name="Use a passkey")).to_have_count(0)

    # removed on the page itself, with the password; the page then leads out, for it began it
    sign_in(page)
    key.session.send("WebAuthn.clearCredentials", {"authenticatorId": key.id})
    add(page, "Second")
    expect(page.get_by_role("status")).to_contain_text("The passkey is added.")
    box = page.get_by_role("region", name="Second")
    box.get_by_text("Remove…").click()
    box.get_by_label("Your password, again").fill(PASSWORD)
    box.get_by_role("button", name="Remove, and sign out").click()
    expect(page.get_by_role("status")).to_contain_text("The passkey is removed")
    assert passkeys(program) == []
    events = run_cli(program, "audit", "--json")
    for event in ("passkey-added", "passkey-copied", "passkey-refused", "passkey-removed"):
        assert f'"{event}"' in events
    assert complaints == []
