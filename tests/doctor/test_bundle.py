"""Nothing that is anybody's leaves in a support bundle; what helps stays in it."""

import base64
import json
import re
import socket
import stat
import time
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.app.bundle import Bundler, Sources, alone
from nexus_tray.app.redaction import Redactor
from nexus_tray.model import (
    Activity,
    Facts,
    Hop,
    Level,
    LogLine,
    LogPage,
    OpenCodeSession,
    Problem,
    Reason,
    ServiceKind,
    SessionState,
)
from nexus_tray.paths import Paths
from nexus_tray.reports import Bundle, BundleFile, Check, CheckState, Examination, Setup
from nexus_tray.settings import RouteSettings, Settings, TunnelSettings
from nexus_tray.store.bundle_file import archive, write
from nexus_tray.store.files import ensure_private_dir
from tests.api.doubles import first_snapshot, service

HOME = "/home/ada"
STORED = "the provider's own key 4713"
HOSTS = ("code.ada-works.example", "calm-river-walks-far.trycloudflare.com")


def redactor() -> Redactor:
    return Redactor(HOME, "ada", "enigma", (STORED,), HOSTS)


CANARIES = {
    "a stored key": STORED,
    "in an address": "the%20provider%27s%20own%20key%204713",
    "in base64": base64.b64encode(STORED.encode()).decode().rstrip("="),
    "as Basic": "Basic " + base64.b64encode(b"opencode:" + STORED.encode()).decode(),
    "password": 'password="correct horse battery"',
    "password in json": json.dumps({"password": "correct horse, battery"}),
    "api key": "OPENAI_API_KEY=zx81-canary",
    "token": "CLOUDFLARE_API_TOKEN: zx81canary",
    "cookie": "Cookie: __Host-nexus=zx81; theme=dark",
    "set-cookie in json": '{"set-cookie": "nexus=zx81"}',
    "authorization": "Authorization: ApiKey zx81",
    "bearer": "curl -H 'x: Bearer zx81canary'",
    "tunnel token": "eyJhIjoiNDNiNDNiZTQxNGY5NTQwZmQ1MzZkMjdhYzU3ODRmODkiLCJ0Ijoi",
    "ticket": "http://127.0.0.1:41873/#ticket=zx81canary",
    "key": "-----BEGIN PRIVATE KEY-----\nMIGHAgEA\nzx81\n-----END PRIVATE KEY-----",
    "certificate": "-----BEGIN ARGO TUNNEL TOKEN-----\nzx81\nzx81",
    "base64 with slashes": "c29tZS9z/ZWNyZXQvd2l0aC/9zbGFzaGVz+zx81Q0FOQVJZ",
    "provider": "sk-ant-zx81canary4711",
    "home": "/home/ada/src/x",
    "home in an address": "directory=%2Fhome%2Fada%2Fsrc",
    "folder in base64": "/L2hvbWUvYWRhL3NyYy9uZXh1cw/session/ses_1",
    "user": "owned by ada (1000)",
    "machine": "Linux enigma 6.1",
    "person": "mail to ada.lovelace@ada-works.example",
    "host": "GET https://code.ada-works.example/session",
    "host of a quick tunnel": "calm-river-walks-far.trycloudflare.com",
    "another host": "proxy.lovelace.io refused",
    "host in an address": "http://intranet.lovelace:8080/x",
    "address": "from 203.0.113.7:5000",
    "address of six": "from 2001:db8::7f",
    "lan": "192.168.178.20",
}
LEAKS = re.compile(
    r"zx81|correct|battery|4713|ada|enigma|lovelace|calm-river|203\.0\.113|2001:db8|192\.168|"
    r"L2hvbWUvYWRh|eyJhIjoi|provider.s%20own|the provider",
    re.IGNORECASE,
)


@pytest.mark.parametrize("kind", CANARIES)
def test_no_canary_gets_through(kind: str) -> None:
    given = CANARIES[kind]
    for text in (given, f"12:00 error: {given} (again)", json.dumps({"x": given})):
        assert not LEAKS.search(redactor().text(text)), redactor().text(text)


@pytest.mark.parametrize(
    "text",
    [
        "Registered tunnel connection connIndex=1 location=fra08 protocol=quic ip=198.41.200.13",
        "failed to dial to edge region1.v2.argotunnel.com: timeout at 2606:4700:a0::7",
        "opencode.ai and api.cloudflare.com, 127.0.0.1:41873, [::1]:4096, 0.0.0.0",
        "event session.status, message.part.updated; cloudflared 2026.8.2, OpenCode 1.18.33",
        "nexus_tray.app.bundle in bundle.py, config.json; dial tcp: i/o timeout at 12:34:56",
        '"password": true, "secret": null, "kind": "token", "token": false',
        "No password is set, so remote access is off: nexus-tray password set",
        "root certificate of user nobody",
    ],
)
def test_what_helps_stays(text: str) -> None:
    assert redactor().text(text) == text


def test_the_same_is_called_the_same() -> None:
    one = redactor()
    said = one.text("203.0.113.7 asked a.lovelace.io; 198.51.100.9 asked b.lovelace.io")
    assert said == "address-1 asked host-3; address-2 asked host-4"
    assert one.text("b.lovelace.io: 203.0.113.7") == "host-4: address-1"


@given(st.text(max_size=200), st.text("abcdefXYZ019_-", min_size=12, max_size=60))
def test_whatever_stands_around_it_a_known_secret_is_gone(around: str, secret: str) -> None:
    one = Redactor(HOME, "ada", "enigma", (secret,), ())
    assert secret not in one.text(f"{around}{secret}{around}")


@pytest.mark.parametrize(
    "part", ["a", "a-", "a.", "1:", 'token=\\\\"', "aB1/", "x@", "-----BEGIN A-----", "host: "]
)
def test_no_line_takes_long(part: str) -> None:
    began = time.monotonic()
    redactor().text(part * (65_536 // len(part)))
    assert time.monotonic() - began < 3


# -- the bundle ---------------------------------------------------------------------------------


def sources(paths: Paths, **changes: Any) -> Sources:
    reason = Reason(code="x", hop=Hop.EDGE, what=f"It failed at {HOME}/x, token=zx81.")
    check = Check(
        code="edge", title="Edge", state=CheckState.BAD, text="at proxy.lovelace.io", reason=reason
    )
    quick = service(
        "quick", ServiceKind.TUNNEL, facts=Facts(address=f"https://{HOSTS[1]}"), reason=reason
    )
    snapshot = msgspec.structs.replace(first_snapshot(), services=(quick,), headline=HOSTS[1])
    named = TunnelSettings(name="home", kind="named", routes=(RouteSettings(hostname=HOSTS[0]),))

    def logs(query: Any) -> LogPage:
        texts = [*CANARIES.values(), f"came to {HOSTS[1]} for {query.sources[0]}"]
        lines = [
            LogLine(id=number, at=1e9, source="x", level=Level.INFO, text=text)
            for number, text in enumerate(texts)
        ]
        return LogPage(lines=tuple(lines), last_id=len(texts))

    given: dict[str, Any] = {
        "paths": paths,
        "environment": {"HOME": HOME, "USER": "ada", "HTTPS_PROXY": "http://ada:zx81@proxy"},
        "settings": lambda: Settings(tunnels=(TunnelSettings(name="quick"), named)),
        "examine": lambda: Examination(at=1e9, checks=(check,)),
        "logs": logs,
        "secrets": lambda: (STORED,),
        "snapshot": lambda: snapshot,
        "setup": lambda: Setup(finished=True, directory=f"{HOME}/src"),
        **changes,
    }
    return Sources(**given)


def test_a_whole_bundle_has_no_canary_in_it(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "enigma.lovelace.lan")
    ensure_private_dir(paths.tunnel("quick"))
    (paths.tunnel("quick") / "cloudflared.json").write_text(
        json.dumps({"ingress": [{"hostname": HOSTS[0], "service": f"unix:{HOME}/run/x.sock"}]})
    )
    made = Bundler(sources(paths)).read()
    names = [file.name for file in made.files]
    assert names == [
        "about.txt", "system.txt", "settings.json", "examination.txt", "snapshot.json",
        "processes.txt", "programs.json", "cloudflared/quick.json", "logs/nexus-tray.txt",
        "logs/opencode.txt", "logs/gateway.txt", "logs/quick.txt", "logs/home.txt",
    ]  # fmt: skip
    for file in made.files:
        found = LEAKS.search(file.text)
        assert found is None, (file.name, found, file.text)
    texts = {file.name: file.text for file in made.files}
    assert "came to host-1 for quick" in texts["logs/quick.txt"]
    assert "host-2" in texts["cloudflared/quick.json"]
    assert "HTTPS_PROXY: set" in texts["system.txt"]
    assert all(name in texts["about.txt"] for name in names[1:])
    assert json.loads(texts["settings.json"])["tunnels"][1]["name"] == "home"
    assert json.loads(texts["snapshot.json"])["services"][0]["name"] == "quick"


def test_what_sessions_are_about_is_not_in_it(paths: Paths) -> None:
    asked = OpenCodeSession(
        id="ses_1", title="A secret plan", directory="/x", project="x", state=SessionState.IDLE
    )
    snapshot = msgspec.structs.replace(first_snapshot(), activity=Activity(sessions=(asked,)))
    made = Bundler(sources(paths, snapshot=lambda: snapshot)).read()
    texts = {file.name: file.text for file in made.files}
    assert "1 sessions, 0 questions" in texts["about.txt"]
    assert "secret plan" not in "".join(texts.values())
    assert json.loads(texts["snapshot.json"])["activity"] is None


def test_one_file_that_cannot_be_made_costs_no_other(paths: Paths) -> None:
    def problem(*_: object) -> Any:
        raise Problem(Reason(code="x", hop=Hop.GATEWAY, what="The disk is gone."))

    def fault(*_: object) -> Any:
        raise ZeroDivisionError

    made = Bundler(sources(paths, logs=problem, examine=fault, secrets=problem)).read()
    texts = {file.name: file.text for file in made.files}
    assert "The disk is gone." in texts["logs/quick.txt"]
    assert "ZeroDivisionError" in texts["examination.txt"]
    assert "quick" in texts["snapshot.json"]


def test_it_stays_small(paths: Paths) -> None:
    long = LogPage(
        lines=tuple(
            LogLine(id=n, at=1e9, source="x", level=Level.INFO, text=f"line {n} " + "wörd " * 80)
            for n in range(400)
        ),
        last_id=400,
    )
    tunnels = tuple(TunnelSettings(name=f"t{number}") for number in range(9))
    made = Bundler(
        sources(paths, logs=lambda _: long, settings=lambda: Settings(tunnels=tunnels))
    ).read()
    assert sum(len(file.text.encode()) for file in made.files) < 1_000_000
    log = next(file.text for file in made.files if file.name == "logs/t0.txt")
    assert "line 399 " in log
    assert log.startswith(("(cut", "2001-09-09T01:46:40.000Z info"))


def test_alone_it_has_what_there_is(paths: Paths) -> None:
    environment = {"HOME": "/nowhere", "NEXUS_TRAY_CLOUDFLARED_LAB": "/nowhere/lab.json"}
    made = alone(paths, environment, Path("/"))
    texts = {file.name: file.text for file in made.files}
    assert "Nexus Tray is not running" in texts["examination.txt"]
    assert texts["logs/opencode.txt"] == "No line is stored.\n"
    assert "snapshot.json" not in texts


# -- its file -----------------------------------------------------------------------------------

SMALL = Bundle(at=1e9, files=(BundleFile(name="logs/a.txt", text="wörds"),))


def test_the_archive_holds_exactly_that(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    write(SMALL, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with zipfile.ZipFile(path) as pack:
        assert pack.namelist() == ["nexus-tray-support/logs/a.txt"]
        assert pack.read("nexus-tray-support/logs/a.txt").decode() == "wörds"
    before = path.read_bytes()
    with pytest.raises(Problem, match="is there already"):
        write(SMALL, path)
    assert path.read_bytes() == before
    with pytest.raises(Problem, match="could not be written"):
        write(SMALL, tmp_path / "none" / "x.zip")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../b", "", ".", "a//b", "a\\b", "ä"])
def test_no_name_leads_out_of_it(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        archive(Bundle(at=1e9, files=(BundleFile(name=name, text=""),)))
