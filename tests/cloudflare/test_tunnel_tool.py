"""What cloudflared says on an account, read from the recordings of the real program."""

import base64
import json
from pathlib import Path

import pytest

from nexus_tray.cloudflare import origin_certificate
from nexus_tray.cloudflare import tunnel_tool as tool
from nexus_tray.cloudflare.tunnel_tool import Said
from nexus_tray.model import Problem
from tests.cloudflare.recordings import FOLDER

TUNNEL = "34b8a912-7d3e-4322-9435-a8e7bdf10be4"


def said(name: str) -> Said:
    folder = FOLDER / name
    code = json.loads((folder / "result.json").read_text(encoding="utf-8"))["exit_code"]
    out, err = (
        (folder / file).read_text(encoding="utf-8") for file in ("stdout.txt", "stderr.txt")
    )
    return Said(code, out, err)


def test_a_made_tunnel_is_known_by_its_id() -> None:
    assert tool.made(said("named-create-json"), "other") == TUNNEL


def test_a_name_that_is_there_already() -> None:
    with pytest.raises(Problem) as refused:
        tool.made(said("named-create-conflict"), "web")
    assert refused.value.reason.code == "tunnel-exists"


@pytest.mark.parametrize(
    ("name", "led"),
    [
        ("named-route-dns", "www.lab.example"),
        ("named-route-dns-again", "www.lab.example"),
        ("named-route-dns-overwrite", "www.lab.example"),
        ("named-route-dns-back", "www.lab.example"),
        ("named-route-dns-foreign", "www.somewhere-else.net.lab.example"),
        ("named-route-dns-conflict", None),
    ],
)
def test_which_host_name_is_led(name: str, led: str | None) -> None:
    assert tool.routed(said(name)) == led


@pytest.mark.parametrize("name", ["named-delete", "named-delete-again"])
def test_a_tunnel_is_gone(name: str) -> None:
    assert tool.gone(said(name))


def test_a_tunnel_in_use_is_not_gone() -> None:
    with pytest.raises(Problem) as refused:
        tool.gone(said("named-delete-refused"))
    assert refused.value.reason.code == "tunnel-in-use"


def test_connections_are_cleaned() -> None:
    tool.cleaned(said("named-cleanup"))
    with pytest.raises(Problem):
        tool.cleaned(said("api-500-list"))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("api-403-create", "api-not-allowed"), ("api-403-list", "api-not-allowed"),
        ("api-429-create", "api-rate-limited"), ("api-429-list", "api-rate-limited"),
        ("api-500-create", "api-refused"), ("api-500-list", "api-refused"),
        ("api-garbage-list", "api-garbage"), ("api-refused-list", "api-unreachable"),
        ("api-hang-list", "api-unreachable"), ("cli-no-cert", "origin-certificate-missing"),
    ],
)  # fmt: skip
def test_each_failure_has_its_reason(name: str, code: str) -> None:
    reason = tool.refused(said(name), "list the tunnels")
    assert reason.code == code
    assert reason.cure


def test_what_was_ended_by_us_was_not_answered() -> None:
    assert tool.refused(Said(None, "", ""), "make the tunnel").code == "api-silent"


def test_the_page_to_sign_in() -> None:
    lines = said("login").err.splitlines()
    [link] = [link for line in lines if (link := tool.login_link(line)) is not None]
    assert link.startswith("https://dash.cloudflare.com/argotunnel?aud=&callback=https%3A%2F%2F")


def test_nothing_secret_stands_in_a_command_line() -> None:
    where, file = Path("/z/zone.pem"), Path("/t/new.json")
    for arguments in (
        tool.create_arguments(where, file, "home"),
        tool.route_arguments(where, TUNNEL, "a.example.com", overwrite=True),
        tool.cleanup_arguments(where, TUNNEL),
        tool.delete_arguments(where, TUNNEL),
    ):
        assert arguments[0] == "tunnel"
        assert str(where) in arguments


def test_a_certificate_says_its_zone_and_keeps_its_token_to_itself() -> None:
    found = origin_certificate.parse((FOLDER / "login" / "cert.pem").read_bytes())
    assert found.zone_id == "ef9d35b2a88a55d5094fa00449ea277b"
    assert found.account_id == "10b9ee74fb35ffd1fa713f54c5378e95"
    assert found.api_token
    assert found.api_token not in repr(found)


def block(content: object) -> bytes:
    body = base64.b64encode(json.dumps(content).encode())
    return b"-----BEGIN ARGO TUNNEL TOKEN-----\n" + body + b"\n-----END ARGO TUNNEL TOKEN-----\n"


GOOD = {"zoneID": "a" * 32, "accountID": "b" * 32, "apiToken": "secret-1"}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        block(GOOD)[:-20], block([]), block({**GOOD, "zoneID": "../x"}),
        block({**GOOD, "accountID": ""}), block({**GOOD, "apiToken": ""}),
        block({**GOOD, "apiToken": "a\r\nHost: evil"}), block({**GOOD, "apiToken": "a b"}),
        b"-----BEGIN ARGO TUNNEL TOKEN-----\n!!!\n-----END ARGO TUNNEL TOKEN-----\n",
    ],
)  # fmt: skip
def test_what_is_no_certificate_is_refused_without_being_repeated(data: bytes) -> None:
    with pytest.raises(Problem) as refused:
        origin_certificate.parse(data)
    assert refused.value.reason == origin_certificate.NOT_ONE
    assert "secret-1" not in str(refused.value)


def test_a_whole_one_is_taken() -> None:
    assert origin_certificate.parse(block(GOOD)).api_token == "secret-1"
