"""SECURITY.md 37 and 33: everything at the doors leaves a row, and nothing secret is in it.

The whole program behind cloudflared's stand-in lives through every way in and out of today, each
rightly and wrongly: password, one-time codes and recovery codes, pairing, API tokens, one-time
links, renaming, revoking, rules, pause and panic. Each must leave a row that says when in UTC, who,
from where and what came of it; and what was secret in it, in any spelling, stands neither in the
trail nor in any file of ours, nor in anything that is told.
"""

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest

from nexus_tray.api.client import connect
from nexus_tray.commands import BeginSecondFactor, ConfirmSecondFactor
from nexus_tray.paths import find
from tests.cloudflare.lab import STANDIN, Lab
from tests.e2e.program import Program, wait_until
from tests.security.test_canaries import Visitor, files_of, spellings

pytestmark = pytest.mark.timeout(180)

PASSWORD = "canary of the right password 4711"
WRONG = "canary of a wrong password 4712"
FORGED = "nx_" + "c4na2y" * 7 + "4"

EXPECTED = {
    "access-paused", "access-resumed", "denied", "device-renamed", "locked", "paired",
    "pairing-made", "pairing-refused", "pairings-ended", "panic", "password-cleared",
    "password-set", "recovery-codes-made", "second-factor-removed", "second-factor-set",
    "session-ended", "sign-in", "sign-in-failed", "sign-in-refused", "sign-out", "step-up-failed",
    "ticket-refused", "ticket-used", "token-ended", "token-made", "token-refused", "token-used",
}  # fmt: skip


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    folder = tmp_path / "lab"
    folder.mkdir()
    made = Lab(folder)
    yield made
    made.close()


@pytest.fixture
def program(tmp_path: Path, lab: Lab) -> Iterator[Program]:
    environment = {"NEXUS_TRAY_CLOUDFLARED_LAB": str(lab.file)}
    made = Program(tmp_path / "home", tmp_path, environment)
    made.configure({
        "opencode": {"enabled": False}, "cloudflared": {"program": str(STANDIN)},
    })  # fmt: skip
    made.start()
    yield made
    made.stop()


class Life:
    """One life of the doors; `secrets` are what was secret in it."""

    def __init__(self, program: Program, lab: Lab) -> None:
        self.program, self.lab = program, lab
        self.secrets = {"password": PASSWORD, "wrong": WRONG, "forged": FORGED}
        self.done("password", "set", given=PASSWORD + "\n")
        snapshot = program.wait_for(lambda s: s.address, 30, "an address")
        self.address = str(snapshot.address)

    def done(self, *command: str, given: str = "", code: int = 0) -> str:
        found = self.program.cli(*command, given=given)
        assert found.returncode == code, (command, found)
        return found.stdout.strip()

    def visitor(self) -> Visitor:
        return Visitor(self.lab, self.address)

    def signed_in(self, name: str, **more: str) -> Visitor:
        phone = self.visitor()
        assert phone.ask("POST", "/_nexus/sign-in", {"password": PASSWORD, **more}) == 303
        self.secrets[name] = phone.cookie.partition("=")[2]
        return phone

    def local(self, path: str, **fields: str) -> int:
        """A program of this machine at the local door."""
        service = self.program.snapshot().service("gateway")
        assert service is not None
        assert service.facts.address is not None
        with closing(http.client.HTTPConnection(urlsplit(service.facts.address).netloc)) as line:
            line.request("GET", path, headers=fields)
            return line.getresponse().status

    def passwords(self) -> None:
        phone = self.signed_in("session")
        assert phone.ask("POST", "/_nexus/sign-out", {}) == 303
        stranger = self.visitor()
        for _ in range(7):  # the sixth is locked out
            stranger.ask("POST", "/_nexus/sign-in", {"password": WRONG})

    def pairing(self) -> None:
        assert self.program.cli("pair", "--link", given=WRONG + "\n").returncode == 4
        link = self.done("pair", "--link", "--name", "Phone", given=PASSWORD + "\n")
        token = self.secrets["pairing"] = link.partition("#")[2]
        phone = self.visitor()
        assert phone.ask("POST", "/_nexus/pair", {"token": token}) == 303
        self.secrets["paired session"] = phone.cookie.partition("=")[2]
        assert self.visitor().ask("POST", "/_nexus/pair", {"token": token}) != 303
        [device] = json.loads(self.done("devices", "--json"))
        self.done("devices", "rename", device["id"], "Pixel")
        again = self.done("pair", "--link", given=PASSWORD + "\n")
        self.secrets["pairing not used"] = again.partition("#")[2]
        self.done("pair", "--cancel")

    def second_factor(self) -> None:
        self.done("secret", "unlock", given="a passphrase of some length\n")
        backend = connect(find(self.program.environment))
        begun = backend.submit(BeginSecondFactor(current=PASSWORD))
        secret = parse_qs(urlsplit(begun.value or "").query)["secret"][0]
        codes = backend.submit(ConfirmSecondFactor(code=pyotp.TOTP(secret).now())).value
        self.secrets |= {"TOTP": secret, "recovery code": (codes or "").split()[1]}
        renewed = self.done("second-factor", "recovery-codes", given=PASSWORD + "\n")
        new = re.findall(r"[a-z0-9]{4,5}(?:-[a-z0-9]{4,5})+", renewed)
        self.secrets |= {"new code": new[0], "code not used": new[1]}
        self.done("second-factor", "off", given=PASSWORD + "\n")

    def tokens(self) -> None:
        token = self.done("token", "create", "laptop", given=PASSWORD + "\n")
        self.secrets["API token"] = token
        self.local("/session", Authorization=f"Bearer {token}")
        assert self.local("/session", Authorization=f"Bearer {FORGED}") == 401
        [row] = json.loads(self.done("token", "list", "--json"))
        self.done("token", "revoke", row["id"])

    def links(self) -> None:
        link = urlsplit(self.done("open", "--print"))
        self.secrets["ticket"] = link.query.partition("=")[2].partition("&")[0]
        assert self.local(f"{link.path}?{link.query}") == 303
        assert self.local(f"{link.path}?{link.query}") != 303

    def rules_and_ends(self) -> None:
        self.done("pause")
        self.done("resume")
        self.done("config", "set", "access.allow_countries", '["IS"]')
        self.program.wait_for(lambda s: s.address, 30, "an address")
        self.address = str(self.program.snapshot().address)
        wait_until(lambda: self.visitor().ask("GET", "/") == 403 or None, 20, "a denial")
        self.done("config", "set", "access.allow_countries", "[]")
        self.done("panic", "--yes")
        self.done("password", "clear")


def test_everything_at_the_doors_leaves_a_row_and_nothing_secret(
    program: Program, lab: Lab
) -> None:
    life = Life(program, lab)
    life.pairing()
    life.second_factor()
    life.tokens()
    life.links()
    life.passwords()
    life.rules_and_ends()

    rows = [json.loads(line) for line in life.done("audit", "-n", "1000", "--json").splitlines()]
    events = {row["event"] for row in rows}
    assert events >= EXPECTED, f"missing: {sorted(EXPECTED - events)}"
    for row in rows:
        assert row["at"] > 1_700_000_000
        assert row["who"], row
        assert row["address"], row
        # of what the owner did here, the event is what came of it
        assert row["text"] or (row["who"], row["address"]) == ("owner", "local"), row
    exported = life.done("audit", "--export", "csv", "-n", "1000")
    assert re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.?\d*Z", exported), "UTC, and it says so"

    assert all(len(secret) > 8 for secret in life.secrets.values()), life.secrets
    places = {f"running: {name}": data for name, data in files_of(program).items()}
    for form in ("text", "csv", "jsonl"):
        places[f"audit {form}"] = life.done("audit", "--export", form, "-n", "1000").encode()
    for command in (("logs", "-n", "10000"), ("status", "--json"), ("devices",), ("doctor",)):
        told = program.cli(*command)
        places[" ".join(command)] = (told.stdout + told.stderr).encode()
    assert program.stop() == 0
    places |= {f"ended: {name}": data for name, data in files_of(program).items()}
    assert any(name.endswith("nexus.db") for name in places)
    hits = [
        (what, where)
        for what, secret in life.secrets.items()
        for spelling in spellings(secret)
        for where, data in places.items()
        if spelling in data
    ]
    assert hits == []
