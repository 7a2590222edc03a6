"""Pairing, API tokens and the second factor from a terminal."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexus_tray.cli.qr import drawn
from nexus_tray.commands import (
    BeginSecondFactor,
    ConfirmSecondFactor,
    CreateToken,
    EndPairings,
    NewPairing,
    RemoveSecondFactor,
    RenameDevice,
    RenewRecoveryCodes,
    RevokePasskey,
    RevokeToken,
)
from nexus_tray.paths import Paths
from nexus_tray.reports import PasskeyEntry, TokenEntry
from tests.api.doubles import ACCESS, House
from tests.api.doubles import house as build
from tests.cli.desk import Desk, instance

LINK = "https://calm-river.trycloudflare.com/_nexus/pair#abc-_0123456789abcdefghij"
URI = "otpauth://totp/Nexus%20Tray:desk?secret=JBSWY3DPEHPK3PXP&issuer=Nexus%20Tray"
PROMPT = "Password for remote access: "


@pytest.fixture
def house() -> House[Any]:
    made = build()
    made.values |= {
        NewPairing: LINK,
        CreateToken: "nx_" + "a" * 43,
        BeginSecondFactor: URI,
        ConfirmSecondFactor: "aaaa-bbbb\ncccc-dddd",
        RenewRecoveryCodes: "eeee-ffff",
    }
    return made


@pytest.fixture
def desk(paths: Paths, house: House[Any]) -> Iterator[Desk]:
    with instance(paths, house):
        yield Desk(paths)


def test_a_phone_is_paired_by_a_code_on_the_terminal(desk: Desk, house: House[Any]) -> None:
    desk.answers = ["pw"]
    said = desk("pair", "--name", "Pixel", "--address", "https://code.example.com", terminal=True)
    assert said.code == 0
    assert desk.asked == [PROMPT]
    came = NewPairing(current="pw", address="https://code.example.com", name="Pixel")
    assert house.came == [came]
    assert all(line in said.out for line in drawn(LINK))
    assert LINK in said.out
    assert "pair --cancel" in said.out


def test_a_script_gets_the_link_alone(desk: Desk, house: House[Any]) -> None:
    said = desk("pair", source="pw\n")
    assert said.out == LINK + "\n"
    assert desk("pair", "--json", source="pw\n").out.count(LINK) == 1
    assert house.came == [NewPairing(current="pw")] * 2
    assert desk("pair", "--cancel").code == 0
    assert house.came[-1] == EndPairings()


def test_the_drawn_code_says_what_it_should(tmp_path: Path) -> None:
    """Read back by a reader that is not ours."""
    from PIL import Image

    reader = shutil.which("zbarimg")
    assert reader, "The tests need zbarimg on PATH; ./build/test installs it."
    rows = []
    for line in drawn(LINK):
        cells = line.removeprefix("\x1b[30;107m").removesuffix("\x1b[0m")
        rows.append([cell in "▀█" for cell in cells])
        rows.append([cell in "▄█" for cell in cells])
    picture = Image.new("L", (len(rows[0]), len(rows)), 255)
    picture.putdata([0 if dark else 255 for row in rows for dark in row])
    file = tmp_path / "code.png"
    picture.resize((picture.width * 8, picture.height * 8), Image.Resampling.NEAREST).save(file)
    read = subprocess.run([reader, "-q", "--raw", file], capture_output=True, check=True)
    assert read.stdout.decode().strip() == LINK


def test_tokens_are_listed_made_and_revoked(desk: Desk, house: House[Any]) -> None:
    said = desk("token", "list")
    assert "laptop" in said.out
    assert "token revoke ID" in said.out
    found = msgspec.convert(json.loads(desk("token", "list", "--json").out), tuple[TokenEntry, ...])
    assert found == ACCESS.tokens
    made = desk("token", "create", "wall", "--read-only", "--days", "7", source="pw\n")
    assert made.out == "nx_" + "a" * 43 + "\n"
    assert desk("token", "revoke", "tok-1").code == 0
    assert house.came == [
        CreateToken(current="pw", name="wall", scope="read", days=7),
        RevokeToken(id="tok-1"),
    ]


def test_passkeys_are_listed_and_revoked(desk: Desk, house: House[Any]) -> None:
    said = desk("passkey", "list")
    assert "Ada's phone" in said.out
    assert "code.example.com" in said.out
    assert "passkey revoke ID" in said.out
    listed = json.loads(desk("passkey", "list", "--json").out)
    assert msgspec.convert(listed, tuple[PasskeyEntry, ...]) == ACCESS.passkeys
    assert desk("passkey", "revoke", "key-1").code == 0
    assert house.came == [RevokePasskey(id="key-1")]


@pytest.mark.parametrize("days", ["0", "366", "-1", "x", "1e2"])
def test_days_are_days(desk: Desk, house: House[Any], days: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        desk("token", "create", "wall", "--days", days, source="pw\n")
    assert house.came == []


def test_a_second_factor_is_set_up_on_the_terminal(desk: Desk, house: House[Any]) -> None:
    desk.answers = ["pw", "123 456"]
    said = desk("second-factor", "on", terminal=True)
    assert said.code == 0
    assert desk.asked == [PROMPT, "The code it shows now: "]
    assert "JBSWY3DPEHPK3PXP" in said.out
    assert "cccc-dddd" in said.out
    assert house.came == [BeginSecondFactor(current="pw"), ConfirmSecondFactor(code="123 456")]


def test_a_second_factor_is_asked_about_turned_off_and_its_codes_renewed(
    desk: Desk, house: House[Any]
) -> None:
    assert "Recovery codes left: 9" in desk("second-factor", "status").out
    told = json.loads(desk("second-factor", "status", "--json").out)
    assert told == {"on": True, "recovery_codes": 9}
    assert "eeee-ffff" in desk("second-factor", "recovery-codes", source="pw\n").out
    assert desk("second-factor", "off", source="pw\n").code == 0
    assert house.came == [RenewRecoveryCodes(current="pw"), RemoveSecondFactor(current="pw")]


@pytest.mark.parametrize(
    "argv",
    [["pair"], ["token", "create", "x"], ["second-factor", "on"], ["second-factor", "off"]],
    ids=lambda argv: argv[0] + argv[-1],
)
def test_without_the_password_nothing_is_asked_for(
    desk: Desk, house: House[Any], argv: list[str]
) -> None:
    assert desk(*argv, source="").code == 1
    assert house.came == []


def test_a_device_is_renamed_and_shown_with_how_it_came(desk: Desk, house: House[Any]) -> None:
    assert desk("devices", "rename", "dev-1", "Ada’s phone").code == 0
    assert house.came == [RenameDevice(id="dev-1", name="Ada’s phone")]
    out = desk("devices").out
    assert "by password and code" in out
    assert "DE 203.0.113.7" in out
    assert "120 kB in, 9.4 MB out" in out


def test_the_trail_is_exported_whole(desk: Desk) -> None:
    text = desk("audit", "--export", "csv").out
    assert text.startswith('"time","event","who","address","text"')
    assert "\"'=cmd|" in text
    assert "\x1b" not in text
    assert json.loads(desk("audit", "--export", "jsonl").out)["event"] == "sign-in"
    assert "\x1b" not in desk("audit", "--export", "text").out
