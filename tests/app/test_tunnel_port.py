"""The tunnels' loopback port stays the same, unless somebody else has taken it."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.app.tunnel_port import TunnelPort
from nexus_tray.gateway.server import Gateway
from tests.gateway.doubles import SmallSite, no_shape


@pytest.fixture
def gateways(tmp_path: Path) -> Iterator[list[Gateway]]:
    made = [Gateway(SmallSite(), no_shape, tmp_path / "run" / "g.sock") for _ in range(3)]
    yield made
    for gateway in made:
        gateway.close()


def opened(file: Path, gateway: Gateway) -> int:
    gateway.start()
    try:
        return TunnelPort(file, lambda: gateway).open()
    finally:
        gateway.close()


def test_it_is_the_same_after_each_start(tmp_path: Path, gateways: list[Gateway]) -> None:
    file = tmp_path / "data" / "port.json"
    assert TunnelPort(file, lambda: gateways[0]).remembered() == 0
    first = opened(file, gateways[0])
    assert first
    assert opened(file, gateways[1]) == first
    with socket.create_server(("127.0.0.1", first)):
        other = opened(file, gateways[2])
    assert other != first
    assert TunnelPort(file, lambda: gateways[2]).remembered() == other


@pytest.mark.parametrize("content", ["", "{}", "80", "70000", '"4711"'])
def test_a_file_that_says_nothing_is_no_harm(
    tmp_path: Path, gateways: list[Gateway], content: str
) -> None:
    file = tmp_path / "port.json"
    file.touch(mode=0o600)
    file.write_text(content)
    assert TunnelPort(file, lambda: gateways[0]).remembered() == 0
