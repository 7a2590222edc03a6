"""Certificates, credentials, configurations: whole, damaged, foreign, open, about to end."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.app.at_login import at_login
from nexus_tray.app.doctor_account import Account, Surroundings
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.paths import Paths
from nexus_tray.reports import (
    CertificateReport,
    CheckState,
    NetworkDoor,
    TunnelReport,
    Tunnels,
    Zone,
)
from nexus_tray.services import checks_account as account
from nexus_tray.settings import NetworkSettings, RouteSettings, Settings, TunnelSettings
from nexus_tray.store.files import ensure_private_dir, write_atomic
from nexus_tray.store.secrets import SecretStore
from tests.cloudflare.lab import Lab, cloudflareds

GOOD, WARNING, BAD, UNKNOWN = CheckState
ZONE = "ce8496a148989b9c5ea1b8129b50ede7"
TUNNEL = "6ff42ae2-765d-4adf-8112-31c55c1551ef"
CANARY = "canary-of-an-api-token"
WHY = Reason(code="zone-refused", hop=Hop.CLOUDFLARED, what="Cloudflare refuses it.")
DAY = 86400.0


def pem(said: dict[str, str]) -> bytes:
    body = base64.encodebytes(json.dumps(said).encode())
    return b"-----BEGIN ARGO TUNNEL TOKEN-----\n" + body + b"-----END ARGO TUNNEL TOKEN-----\n"


WHOLE = {"zoneID": ZONE, "accountID": "a" * 32, "apiToken": CANARY}


def put(path: Path, data: bytes) -> Path:
    ensure_private_dir(path.parent)
    write_atomic(path, data)
    return path


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("lab") / "lab")
    yield made
    made.close()


def test_a_zones_certificate(paths: Paths, lab: Lab) -> None:
    base, zone = lab.info["api_url"], lab.info["zone"]
    file = put(paths.zones / f"{zone}.pem", Path(lab.info["origincert"]).read_bytes())
    found = account.zone(file, base, "lab.example")
    assert found.text == "for lab.example, for you alone, and Cloudflare accepts it"
    assert "was not asked" in account.zone(file, "").text
    gone = account.zone(file, "http://127.0.0.1:1")
    assert (gone.state, "not asked whether it holds" in gone.text) == (GOOD, True)
    other = put(paths.zones / f"{'b' * 32}.pem", file.read_bytes())
    assert "another zone's" in account.zone(other, base).text
    said = json.loads(base64.b64decode(file.read_bytes().split(b"-----")[2]))
    put(file, pem(said | {"apiToken": CANARY}))
    refused = account.zone(file, base, "lab.example")
    assert (refused.state, refused.command) == (BAD, "nexus-tray tunnel login")
    assert "no longer accepts" in refused.text
    assert CANARY not in repr(refused)
    file.chmod(0o644)
    opened = account.zone(file, base)
    assert opened.reason is not None
    assert opened.reason.code == "file-open-to-others"
    assert account.zone(paths.zones / "none.pem", base).state is UNKNOWN


@pytest.mark.parametrize(
    "data",
    [b"", b"nothing", pem({"zoneID": ZONE}), pem(WHOLE | {"zoneID": "b" * 32}),
     pem(WHOLE | {"apiToken": ""}),
     b"-----BEGIN ARGO TUNNEL TOKEN-----\n=A=\n-----END ARGO TUNNEL TOKEN-----\n"],
)  # fmt: skip
def test_a_certificate_that_is_not_whole(paths: Paths, data: bytes) -> None:
    found = account.zone(put(paths.zones / f"{ZONE}.pem", data), "")
    assert found.state is BAD
    assert found.command == "nexus-tray tunnel login"
    assert CANARY not in repr(found)


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({"AccountTag": "a", "TunnelSecret": CANARY, "TunnelID": TUNNEL}, GOOD),
        ({"AccountTag": "a", "TunnelSecret": CANARY, "TunnelID": TUNNEL.upper()}, GOOD),
        ({"AccountTag": "a", "TunnelSecret": CANARY, "TunnelID": TUNNEL[::-1]}, BAD),
        ({"AccountTag": "a", "TunnelSecret": "", "TunnelID": TUNNEL}, BAD),
        ({"AccountTag": "a"}, BAD),
        ([CANARY], BAD),
    ],
)
def test_a_tunnels_credentials(paths: Paths, said: object, state: CheckState) -> None:
    file = put(paths.credentials(TUNNEL), json.dumps(said).encode())
    found = account.credentials(file, TUNNEL)
    assert found.state is state
    assert CANARY not in repr(found)
    file.unlink()
    assert account.credentials(file, TUNNEL).state is BAD


def test_a_tunnels_token() -> None:
    said = {"a": "a" * 32, "t": TUNNEL, "s": base64.b64encode(CANARY.encode()).decode()}
    text = base64.b64encode(json.dumps(said).encode()).decode()

    def locked() -> str | None:
        raise Problem(WHY)

    assert account.token(lambda: text, TUNNEL).state is GOOD
    for read, own in ((lambda: text, TUNNEL[::-1]), (lambda: None, TUNNEL), (locked, TUNNEL),
                      (lambda: CANARY, TUNNEL)):  # fmt: skip
        found = account.token(read, own)
        assert found.state is BAD
        assert CANARY not in repr(found)


@pytest.mark.parametrize("program", cloudflareds().values(), ids=cloudflareds().keys())
def test_a_configuration_as_cloudflared_sees_it(tmp_path: Path, program: Path) -> None:
    config = tmp_path / "cloudflared.json"
    assert account.configuration(lambda: program, config).state is UNKNOWN
    config.write_text(json.dumps({"ingress": [{"service": "unix:/run/x.sock"}]}))
    assert account.configuration(lambda: program, config).state is GOOD
    rule = {"hostname": "a.example.com", "service": "unix:/run/x.sock"}
    config.write_text(json.dumps({"ingress": [rule]}))
    found = account.configuration(lambda: program, config)
    assert found.state is BAD
    assert "last ingress rule" in found.text
    assert account.configuration(lambda: tmp_path / "none", config).state is UNKNOWN

    def missing() -> Path:
        raise Problem(WHY)

    with pytest.raises(Problem):
        account.configuration(missing, config)


def test_certificates_that_others_looked_at() -> None:
    def seen(*, trusted: bool, reason: Reason | None = None) -> CheckState:
        report = CertificateReport(
            hostname="a.example.com", trusted=trusted, checked_at=1.0, reason=reason,
            issuer="R11", not_after_at=100 * DAY,
        )  # fmt: skip
        return account.certificate(report).state

    assert seen(trusted=True) is GOOD
    assert seen(trusted=True, reason=WHY) is WARNING
    assert seen(trusted=False, reason=WHY) is BAD
    assert seen(trusted=False) is UNKNOWN


@pytest.mark.parametrize(
    ("left", "state"), [(None, UNKNOWN), (30.0, GOOD), (3.0, WARNING), (-1.0, BAD)]
)
def test_the_local_doors_certificate(left: float | None, state: CheckState) -> None:
    end = None if left is None else 1000 * DAY + left * DAY
    assert account.network(NetworkDoor(not_after_at=end), 1000 * DAY).state is state
    assert account.network(NetworkDoor(reason=WHY), 0.0).reason == WHY


def test_which_looks_there_are_and_that_the_report_is_asked_for_once(paths: Paths) -> None:
    route = RouteSettings(hostname="a.example.com")
    tunnels = (
        TunnelSettings(name="quick"),
        TunnelSettings(name="home", kind="named", tunnel_id=TUNNEL, routes=(route,)),
        TunnelSettings(name="desk", kind="token", tunnel_id=TUNNEL),
    )
    put(paths.zones / f"{ZONE}.pem", pem(WHOLE | {"accountID": "a" * 32}))
    put(paths.tunnel("quick") / "cloudflared.json", b"{}")
    asked = []

    def report() -> Tunnels:
        asked.append(1)
        seen = CertificateReport(hostname="a.example.com", trusted=True, checked_at=1.0)
        home = TunnelReport(name="home", kind="named", certificates=(seen,))
        zone = Zone(id=ZONE, account_id="a" * 32, name="lab.example")
        return Tunnels(tunnels=(home,), zones=(zone,), network=NetworkDoor(not_after_at=9e9))

    environment = {"PATH": ""}
    around = Surroundings(
        paths=paths, environment=environment, settings=Settings, search_path=lambda: "",
        secrets=SecretStore(paths), starter=at_login(environment, Path("/"), headless=True),
        api_base=lambda: "",
    )  # fmt: skip
    wished = Settings(tunnels=tunnels, network=NetworkSettings(enabled=True))
    found = {look.code: look for look in Account(around, wished, report).looks()}
    assert list(found) == [
        f"zone-{ZONE}", "config-quick", "credentials-home", "certificate-a.example.com",
        "token-desk", "network",
    ]  # fmt: skip
    assert "lab.example" in found[f"zone-{ZONE}"].find().text
    assert found["certificate-a.example.com"].find().state is GOOD
    assert found["network"].find().state is GOOD
    assert found["credentials-home"].find().state is BAD
    assert asked == [1]
    alone = [look.code for look in Account(around, wished, None).looks()]
    assert alone == [f"zone-{ZONE}", "config-quick", "credentials-home", "token-desk"]
