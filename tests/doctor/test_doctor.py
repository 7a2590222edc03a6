"""What the doctor says of what only a running program knows, and that nothing is asked twice."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from nexus_tray.app import doctor
from nexus_tray.app.at_login import at_login
from nexus_tray.app.doctor import Doctor, Running, alone
from nexus_tray.app.doctor_account import Surroundings
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.paths import Paths
from nexus_tray.reports import Check, CheckState
from nexus_tray.services import checks_tunnel
from nexus_tray.settings import Settings
from nexus_tray.store.files import ensure_private_dir
from nexus_tray.store.secrets import SecretPlace, SecretState, SecretStore
from tests.api.doubles import first_snapshot

GOOD, WARNING, BAD, UNKNOWN = CheckState
WHY = Reason(code="x", hop=Hop.GATEWAY, what="It is so.")
LAB = {"NEXUS_TRAY_CLOUDFLARED_LAB": "/nowhere/lab.json"}


def examined(
    paths: Paths, password: bool | None = True, drift: float | None = None
) -> Mapping[str, Check]:
    def has_password() -> bool:
        if password is None:
            raise Problem(WHY)
        return password

    environment = {"PATH": os.environ["PATH"], "HOME": str(paths.run.parent), **LAB}
    around = Surroundings(
        paths=paths,
        environment=environment,
        settings=Settings,
        search_path=lambda: environment["PATH"],
        secrets=SecretStore(paths),
        starter=at_login(environment, Path("/"), headless=True),
    )
    running = Running(first_snapshot, lambda: None, has_password, lambda: drift)
    found = Doctor(around, running).examine()
    return {check.code: check for check in found.checks}


@pytest.mark.parametrize(
    ("drift", "state", "words"),
    [
        (None, UNKNOWN, "not known"),
        (0.2, GOOD, "right within 1 s"),
        (-240.0, GOOD, "right within 240 s"),
        (-720.0, BAD, "12 minutes behind"),
        (3600.0, BAD, "60 minutes ahead of"),
    ],
)
def test_the_clock(paths: Paths, drift: float | None, state: CheckState, words: str) -> None:
    check = examined(paths, drift=drift)["clock"]
    assert check.state is state
    assert words in check.text


@pytest.mark.parametrize(("password", "state"), [(True, GOOD), (False, WARNING), (None, UNKNOWN)])
def test_the_password(paths: Paths, password: bool | None, state: CheckState) -> None:
    assert examined(paths, password)["password"].state is state


@pytest.mark.parametrize(
    ("place", "reason", "state"),
    [
        (SecretPlace.KEYRING, None, GOOD),
        (SecretPlace.LOCKED, WHY, WARNING),
        (SecretPlace.FILE, WHY, GOOD),
        (SecretPlace.FILE_LOCKED, WHY, WARNING),
        (SecretPlace.NONE, WHY, GOOD),
    ],
)
def test_provider_keys(place: SecretPlace, reason: Reason | None, state: CheckState) -> None:
    assert doctor._secrets(SecretState(place=place, reason=reason)).state is state


def test_the_order_is_that_of_a_requests_path(paths: Paths) -> None:
    codes = list(examined(paths))
    stations = ["password", "dns", "cloudflared", "tunnel-quick", "gateway", "opencode", "private"]
    assert [code for code in codes if code in stations] == stations
    assert len(set(codes)) == len(codes) >= 26


def test_the_lab_never_reaches_the_network(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[str] = []
    monkeypatch.setattr(checks_tunnel, "names", lambda: reached.append("names"))
    monkeypatch.setattr(checks_tunnel, "edge", lambda: reached.append("edge"))
    found = examined(paths)
    assert reached == []
    assert found["dns"].text == found["edge"].text == doctor.LAB


def test_every_word_of_a_reason_is_there_where_something_is_not_good(paths: Paths) -> None:
    for check in examined(paths, password=False, drift=9e9).values():
        assert check.text
        if check.state in (WARNING, BAD):
            assert check.reason is not None, check
            assert check.reason.what, check


def test_alone_with_settings_that_cannot_be_read(paths: Paths) -> None:
    ensure_private_dir(paths.config)
    paths.config_file.touch(0o600)
    paths.config_file.write_text(json.dumps({"version": 1, "logs": {"max_megabytes": "much"}}))
    found = {check.code: check for check in alone(paths, LAB | {"HOME": "/"}, Path("/")).checks}
    assert next(iter(found)) == "alone"
    assert found["settings"].state is BAD
    assert found["gateway"].text == doctor.NOT_RUNNING
    assert "gateway-socket" not in found
