"""Names, the configuration file and the command line."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.cloudflare import config_file
from nexus_tray.model import Problem

# SECURITY.md 32, and what else could be syntax to a shell, to YAML or to a command line.
HOSTILE = (
    "", "-h", "--config=x", "--", "-", "a b", "a\nb", "a\n", "\na", "a\x00b", "a: {", "{}", "[x]",
    "a'b", 'a"b', "a#b", "a&b", "*a", "a,b", "a/b", "../a", "a\\b", "a;b", "$(a)", "`a`", "ä",
    "a\u202eb", "%s", "~", "|a", "> a", "!a", "@a",
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused(name: str) -> None:
    for check in (config_file.tunnel_name, config_file.hostname):
        with pytest.raises(Problem) as refused:
            check(name)
        assert refused.value.reason.cure


@pytest.mark.parametrize(
    "name", ["a", "home", "my-tunnel_2.x", "_x", "A1", "x" * 100, "123e4567-e89b-12d3"]
)
def test_ordinary_tunnel_names_pass(name: str) -> None:
    assert config_file.tunnel_name(name) == name


@pytest.mark.parametrize(
    "name", ["a.b", "code.example.com", "x-1.example.co.uk", "xn--bcher-kva.ch"]
)
def test_ordinary_host_names_pass(name: str) -> None:
    assert config_file.hostname(name) == name


@pytest.mark.parametrize(
    "name",
    ["example", "A.example.com", "-a.example.com", "a-.example.com", "a..b", ".a.b", "a.b.",
     "*.example.com", "a_b.example.com", "x" * 64 + ".com", ".".join(["abcdefg"] * 40)],
)  # fmt: skip
def test_odd_host_names_are_refused(name: str) -> None:
    with pytest.raises(Problem):
        config_file.hostname(name)


@given(st.text(max_size=40))
def test_whatever_passes_as_a_name_is_plain(name: str) -> None:
    for check in (config_file.tunnel_name, config_file.hostname):
        try:
            check(name)
        except Problem:
            continue
        assert name.isascii()
        assert not name.startswith("-")
        assert set(name).isdisjoint(" \t\r\n:{}[]\"'#&*!|>%@`/\\$;,=")


def test_the_configuration_has_one_rule_and_nothing_else() -> None:
    data = config_file.configuration(config_file.service_of(Path('/run/a "b": {c}/gateway.sock')))
    assert msgspec.json.decode(data) == {
        "ingress": [{"service": 'unix:/run/a "b": {c}/gateway.sock'}]
    }


def test_a_named_tunnels_configuration_names_the_file_of_its_credentials() -> None:
    ident = "af0179a9-31d8-41ae-baa9-a0d3b0c6a6f3"
    data = config_file.configuration("unix:/g", ident, Path("/c: {x}.json"))
    assert msgspec.json.decode(data) == {
        "tunnel": ident,
        "credentials-file": "/c: {x}.json",
        "ingress": [{"service": "unix:/g"}],
    }


def test_windows_has_a_loopback_port() -> None:
    assert config_file.service_of(4711) == "http://127.0.0.1:4711"


@pytest.mark.parametrize("path", ["relative.sock", "/a\nb", "/a\x7fb", "/a\udc80b", "/a\u2028b"])
def test_a_socket_path_that_yaml_could_misread_is_refused(path: str) -> None:
    with pytest.raises(Problem, match="NEXUS_TRAY_HOME"):
        config_file.service_of(Path(path))


def test_the_command_line_of_both_transports() -> None:
    quic = config_file.quick_arguments(Path("/c.json"), "quic", grace=5)
    http2 = config_file.quick_arguments(Path("/c.json"), "http2", grace=5, extra=("--x", "y"))
    assert quic[0] == http2[0] == "tunnel"
    assert "run" not in quic
    for flag in ("--no-autoupdate", "--management-diagnostics=false"):
        assert flag in quic
        assert flag in http2
    assert quic[quic.index("--config") + 1] == "/c.json"
    assert quic[quic.index("--grace-period") + 1] == "5s"
    assert "--retries" not in quic
    assert http2[http2.index("--retries") + 1] == "1"
    assert "--x" in http2


def test_the_command_line_of_a_tunnel_that_exists() -> None:
    ident = "af0179a9-31d8-41ae-baa9-a0d3b0c6a6f3"
    named = config_file.run_arguments(Path("/c.json"), "http2", grace=5, tunnel_id=ident)
    token = config_file.run_arguments(Path("/c.json"), "quic", grace=5)
    assert named[-2:] == ("run", ident)
    assert token[-1] == "run"
    for line in (named, token):
        assert line.index("--metrics") < line.index("run")  # after it they are unknown
        assert "--management-diagnostics=false" in line
        assert "--url" not in line


def test_the_secret_is_only_in_the_environment() -> None:
    secret = "s" * 43
    assert config_file.tag_environment(secret) == {"TUNNEL_TAG": f"Gw={secret}"}


@pytest.mark.parametrize(
    "secret", ["", "short", "a" * 21, "a" * 30 + ",b=c", "a" * 30 + "\n", "a" * 257]
)
def test_a_secret_that_could_be_another_tag_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        config_file.tag_environment(secret)
