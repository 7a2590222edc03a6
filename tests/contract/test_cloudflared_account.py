"""cloudflared on an account: the stand-in and, where found, the real program keep one contract.

What is held here is what the product reads: exit codes, the stream each answer goes to, and the
words that tell one failure from another.
"""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cloudflare.lab import STANDIN, Lab, cloudflareds, until

PROGRAMS = cloudflareds()
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@dataclass
class Account:
    """A cloudflared with a home of its own and the lab's account."""

    program: Path
    lab: Lab
    home: Path

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "NO_AUTOUPDATE": "true",
            "TUNNEL_API_URL": self.lab.info["api_url"],
            "TUNNEL_ORIGIN_CERT": self.lab.info["origincert"],
            "LAB_LOGIN_URL": self.lab.info["login"],
        } | more

    def __call__(self, *arguments: str, **more: str) -> Said:
        done = subprocess.run(
            [str(self.program), "tunnel", *arguments],
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def create(self, name: str) -> tuple[str, Path]:
        path = self.home / f"{name}.json"
        said = self("create", "--output", "json", "--credentials-file", str(path), name)
        assert said.code == 0, said
        return json.loads(said.out)["id"], path


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab") / "lab")
    yield lab
    lab.close()


@pytest.fixture(params=sorted(PROGRAMS))
def account(request: pytest.FixtureRequest, lab: Lab, tmp_path: Path) -> Iterator[Account]:
    lab.reset()
    yield Account(PROGRAMS[request.param], lab, tmp_path)
    lab.reset()


def name_for(account: Account, word: str) -> str:
    return f"{word}-{'real' if account.program != STANDIN else 'fake'}"


def test_a_tunnel_is_made_with_private_credentials(account: Account) -> None:
    ident, path = account.create(name_for(account, "made"))
    assert re.fullmatch(UUID, ident)
    assert path.stat().st_mode & 0o077 == 0
    assert json.loads(path.read_text())["TunnelID"] == ident
    listed = account("list", "--output", "json", "--name", name_for(account, "made"))
    assert [one["id"] for one in json.loads(listed.out)] == [ident]


def test_a_name_that_is_there_is_a_conflict(account: Account) -> None:
    account.create(name_for(account, "twice"))
    said = account("create", name_for(account, "twice"))
    assert said.code == 1
    assert "tunnel with name already exists" in said.err


def test_a_host_name_is_led_to_a_tunnel_and_overwritten_only_when_told(account: Account) -> None:
    first, _ = account.create(name_for(account, "first"))
    second, _ = account.create(name_for(account, "second"))
    host = f"{name_for(account, 'www')}.lab.example"
    said = account("route", "dns", first, host)
    assert (said.code, said.out) == (0, "")
    assert f"Added CNAME {host} which will route to this tunnel" in said.err
    again = account("route", "dns", first, host)
    assert f"{host} is already configured to route to your tunnel" in again.err
    conflict = account("route", "dns", second, host)
    assert conflict.code == 1
    assert "Failed to add route: code: 1003" in conflict.err
    forced = account("route", "dns", "--overwrite-dns", second, host)
    assert forced.code == 0
    assert f"{host} updated to route to your tunnel" in forced.err


def test_a_name_outside_the_zone_silently_becomes_another(account: Account) -> None:
    ident, _ = account.create(name_for(account, "trap"))
    host = f"{name_for(account, 'www')}.elsewhere.net"
    said = account("route", "dns", ident, host)
    assert said.code == 0
    assert f"Added CNAME {host}.lab.example " in said.err


def test_a_tunnel_is_deleted_once(account: Account) -> None:
    ident, path = account.create(name_for(account, "gone"))
    assert account("cleanup", ident).code == 0
    deleted = account("delete", ident)
    assert deleted.code == 0, deleted
    assert path.exists()  # it is ours to remove
    again = account("delete", ident)
    assert again.code == 1
    assert "has already been deleted" in again.err


def test_its_token_is_told_on_stdout(account: Account) -> None:
    ident, _ = account.create(name_for(account, "token"))
    said = account("token", ident)
    assert said.code == 0
    assert said.out.startswith("eyJ")
    assert "neither the ID nor the name" in account("token", "absent").err


def test_without_a_certificate_it_says_so(account: Account, tmp_path: Path) -> None:
    said = account("list", TUNNEL_ORIGIN_CERT=str(tmp_path / "none.pem"))
    assert said.code == 1
    assert "Error locating origin cert" in said.err


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "status", "status": 403, "code": 10000, "message": "Authentication error"},
         "code: 10000, reason: Authentication error"),
        ({"kind": "status", "status": 429, "code": 971, "message": "rate limited"},
         "code: 971, reason: rate limited"),
        ({"kind": "status", "status": 500, "code": 1000, "message": "internal error"},
         "code: 1000, reason: internal error"),
    ],
)  # fmt: skip
def test_what_the_api_refuses_is_told_by_its_code(
    account: Account, fault: dict[str, object], words: str
) -> None:
    account.lab.faults(api=fault)
    said = account("create", name_for(account, "refused"))
    assert said.code == 1
    assert "failed to create tunnel: Create Tunnel API call failed" in said.err
    assert words in said.err


def test_garbage_of_the_api_is_told(account: Account) -> None:
    account.lab.faults(api={"kind": "garbage"})
    said = account("list")
    assert said.code == 1
    assert "failed to decode response" in said.err


def test_a_configuration_is_checked(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"ingress": [{"service": "unix:/run/gateway.sock"}]}))
    good = account("--config", str(path), "ingress", "validate")
    assert (good.code, good.out.splitlines()[-1]) == (0, "OK")
    path.write_text(json.dumps({"ingress": [{"hostname": "a.example", "service": "unix:/run/g"}]}))
    bad = account("--config", str(path), "ingress", "validate")
    assert bad.code == 1
    assert "The last ingress rule must match all URLs" in bad.err


def test_a_certificate_that_is_there_is_never_overwritten(account: Account) -> None:
    path = account.home / ".cloudflared" / "cert.pem"
    path.parent.mkdir()
    path.write_text("mine")
    said = account("login")
    assert said.code == 0
    assert "You have an existing certificate at" in said.err
    assert path.read_text() == "mine"


@pytest.mark.parametrize("approved", [True, False])
def test_signing_in_waits_for_the_person(lab: Lab, tmp_path: Path, approved: bool) -> None:
    """The stand-in alone: the real one has its service's address built in (the lab's whole mode
    serves it, in a namespace of its own)."""
    account = Account(STANDIN, lab, tmp_path)
    came: list[Said] = []
    attempts = "10" if approved else "0"
    worker = threading.Thread(
        target=lambda: came.append(account("login", LAB_LOGIN_ATTEMPTS=attempts))
    )
    worker.start()
    if approved:
        until(lambda: lab.counts().get("login_polls"))
        lab.call("POST", "/login/approve")
    worker.join(30)
    path = tmp_path / ".cloudflared" / "cert.pem"
    assert "https://dash.cloudflare.com/argotunnel?aud=&callback=https%3A%2F%2F" in came[0].err
    if approved:
        assert came[0].code == 0
        assert "You have successfully logged in." in came[0].err
        assert path.stat().st_mode & 0o077 == 0
    else:
        assert came[0].code == 1
        assert "Your browser will download the certificate instead" in came[0].err
        assert not path.exists()
