"""The doctor over the whole program with the real OpenCode, and without it."""

import json
import time
import zipfile
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import expect

from tests.cloudflare.lab import until
from tests.e2e.conftest import PASSWORD, Phone
from tests.e2e.program import Program

pytestmark = pytest.mark.timeout(240)


def states(program: Program, code: int) -> dict[str, tuple[str, str]]:
    done = program.cli("doctor", "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return {one["code"]: (one["state"], one["text"]) for one in json.loads(done.stdout)["checks"]}


def opencode_pid(program: Program) -> int | None:
    service = program.snapshot().service("opencode")
    return service.facts.pid if service else None


def test_everything_that_runs_is_examined(program: Program, phone: Phone) -> None:
    program.start()
    program.cli("password", "set", given=f"{PASSWORD}\n")
    program.wait_running("opencode", "gateway", "quick", seconds=90)
    began = time.monotonic()
    found = states(program, 0)
    assert time.monotonic() - began < 13  # 12 s, and the command itself
    for code in (
        "password", "cloudflared", "tunnel-quick", "gateway", "gateway-socket", "opencode",
        "opencode-health", "opencode-closed", "settings", "private", "disk", "logs",
        "processes", "program", "config-quick",
    ):  # fmt: skip
        assert found[code][0] == "good", (code, found[code])
    for code in ("dns", "edge"):
        assert found[code] == ("unknown", "not tried: this run uses the tests' own Cloudflare")
    assert next(iter(found)) == "password"
    assert list(found).index("cloudflared") < list(found).index("gateway")
    assert list(found).index("gateway") < list(found).index("opencode")

    phone.page.goto(program.cli("dashboard", "/doctor", "--print").stdout.strip())
    fine = sum(state == "good" for state, _ in found.values())
    expect(phone.page.get_by_text(f"{fine} checks are fine")).to_be_visible(timeout=20_000)

    # a file of ours that others may read, and an OpenCode that hangs
    program.paths.config_file.chmod(0o644)
    opencode = psutil.Process(program.pid_of("opencode"))
    opencode.suspend()
    try:
        found = states(program, 1)
    finally:
        opencode.resume()
    assert found["private"][0] == "bad"
    assert found["opencode-health"][0] == "bad"
    assert found["gateway"][0] == "good"

    report = program.cli("doctor", "--report").stdout
    told = json.loads(program.paths.api_file.read_text())["token"]
    assert told not in report
    assert PASSWORD not in report
    assert "[bad] Private files:" in report

    done = program.cli("doctor", "--repair", "private")
    assert (done.returncode, done.stdout) == (0, "1 of our files are closed to others now.\n")
    assert program.paths.config_file.stat().st_mode & 0o777 == 0o600
    before = program.pid_of("opencode")
    assert program.cli("doctor", "--repair", "opencode-health").returncode == 0
    until(lambda: opencode_pid(program) not in (before, None), seconds=60)

    file = program.home / "help.zip"
    assert program.cli("doctor", "--bundle", str(file)).returncode == 0
    host = str(program.snapshot().address).removeprefix("https://")
    with zipfile.ZipFile(file) as pack:
        texts = {name.partition("/")[2]: pack.read(name).decode() for name in pack.namelist()}
    assert {"about.txt", "logs/quick.txt", "cloudflared/quick.json", "processes.txt"} <= set(texts)
    for secret in (told, PASSWORD, host):
        assert not [name for name, text in texts.items() if secret in text]
    assert "host-1" in texts["snapshot.json"]


def test_a_program_that_does_not_run_is_examined_too(tmp_path: Path) -> None:
    lab = {"NEXUS_TRAY_CLOUDFLARED_LAB": "/nowhere/lab.json"}
    program = Program(tmp_path / "home", tmp_path, lab)
    program.configure({"opencode": {"program": str(tmp_path / "none")}})
    found = states(program, 1)
    assert found["alone"] == ("warning", "Nexus Tray is not running.")
    assert found["password"] == ("unknown", "not looked at: Nexus Tray is not running")
    assert found["opencode"][0] == "bad"
    assert found["settings"][0] == "good"
    program.configure({"logs": {"max_megabytes": -1}})
    assert states(program, 1)["settings"][0] == "bad"
    assert not program.paths.api_file.exists()
    assert not program.paths.run.exists()  # to look is not to make
