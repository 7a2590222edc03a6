"""The ways in, whole: a phone paired, a second factor, a token, a rename, a panic; through
Cloudflare, cloudflared and the running program, as a person has them from the terminal."""

import http.client
import json
import re
from contextlib import closing
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from playwright.sync_api import expect

from nexus_tray.api.client import connect
from nexus_tray.commands import BeginSecondFactor, ConfirmSecondFactor
from nexus_tray.paths import find
from tests.e2e.conftest import PASSWORD, Phone
from tests.e2e.program import Program
from tests.e2e.test_main_job import fetch, reachable

pytestmark = pytest.mark.timeout(240)


def test_a_phone_is_paired_named_and_ended_by_a_panic(program: Program, phone: Phone) -> None:
    program.start()
    address = reachable(program)
    assert program.cli("pair", given="not the password\n").returncode == 4
    link = program.cli("pair", "--name", "Ada’s phone", given=PASSWORD + "\n").stdout.strip()
    assert link.startswith(f"{address}/_nexus/pair#")

    page = phone.page
    page.goto(link)
    expect(page).to_have_url(f"{address}/_nexus/pair")
    page.get_by_role("button", name="Pair this device").click()
    expect(page).to_have_url(f"{address}/_nexus/")
    assert fetch(page, "GET", "/session")[0] == 200
    [device] = json.loads(program.cli("devices", "--json").stdout)
    assert (device["name"], device["how"], device["door"]) == ("Ada’s phone", "pairing", "public")
    assert device["sent"] > device["received"] > 0
    assert device["expires_at"] - device["signed_in_at"] > 29 * 86400

    # used up: for another browser it is nothing
    other = phone.browser.new_context(ignore_https_errors=True).new_page()
    other.goto(link)
    other.get_by_role("button", name="Pair this device").click()
    expect(other.get_by_role("alert")).to_contain_text("does not work")

    assert program.cli("devices", "rename", device["id"], "Pixel").returncode == 0
    page.reload()
    expect(page.get_by_text("Signed in as Pixel")).to_be_visible()

    said = program.cli("panic", "--yes").stdout
    assert "1 device is signed out" in said
    events = [json.loads(line)["event"] for line in _lines(program.cli("audit", "--json").stdout)]
    for event in ("pairing-made", "paired", "pairing-refused", "device-renamed", "panic"):
        assert event in events
    everything = program.cli("logs", "-n", "10000").stdout + program.cli("audit", "--json").stdout
    assert link.partition("#")[2] not in everything


def test_a_second_factor_is_asked_for_from_then_on(program: Program, phone: Phone) -> None:
    program.start()
    address = reachable(program)
    # where there is no keyring, its secret is kept in the encrypted file
    program.cli("secret", "unlock", given="a passphrase for the file\n")
    backend = connect(find(program.environment))
    begun = backend.submit(BeginSecondFactor(current=PASSWORD))
    assert begun.ok, begun.reason
    totp = pyotp.TOTP(parse_qs(urlsplit(begun.value).query)["secret"][0])
    codes = backend.submit(ConfirmSecondFactor(code=totp.now())).value.split()
    assert "Recovery codes left: 10" in program.cli("second-factor", "status").stdout

    page = phone.page
    page.goto(address)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("One-time code").fill("000000")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("That did not work")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("One-time code").fill(codes[0])
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(f"{address}/_nexus/$"))
    [device] = json.loads(program.cli("devices", "--json").stdout)
    assert device["how"] == "recovery"
    assert program.cli("second-factor", "off", given=PASSWORD + "\n").returncode == 0
    assert program.cli("second-factor", "status").stdout.startswith("Off")
    stored = program.cli("logs", "-n", "10000").stdout + program.cli("audit", "--json").stdout
    assert totp.secret not in stored
    assert codes[1] not in stored


def test_a_token_opens_opencode_and_nothing_else(program: Program) -> None:
    program.start()
    reachable(program)
    token = program.cli("token", "create", "laptop", given=PASSWORD + "\n").stdout.strip()
    local = next(one for one in program.snapshot().services if one.name == "gateway").facts.address
    assert local is not None

    def ask(path: str, bearer: str = token) -> int:
        with closing(http.client.HTTPConnection(urlsplit(local).netloc, timeout=10)) as line:
            line.request("GET", path, headers={"Authorization": f"Bearer {bearer}"})
            return line.getresponse().status

    assert ask("/session") == 200
    assert ask("/_nexus/") != 200
    assert ask("/session", "nx_" + "a" * 43) == 401
    [row] = json.loads(program.cli("token", "list", "--json").stdout)
    assert (row["name"], row["scope"]) == ("laptop", "full")
    assert program.cli("token", "revoke", row["id"]).returncode == 0
    assert ask("/session") == 401


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]
