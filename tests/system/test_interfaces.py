"""This machine's addresses: which are offered, and in what order."""

import socket
from types import SimpleNamespace

import psutil
import pytest

from nexus_tray.system import interfaces


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("192.168.1.5", "192.168.1.5"),
        ("FD00::0002", "fd00::2"),
        ("127.0.0.1", None),
        ("::1", None),
        ("fe80::1%eth0", None),
        ("169.254.7.7", None),
        ("0.0.0.0", None),
        ("::", None),
        ("224.0.0.1", None),
        ("00:11:22:33:44:55", None),
    ],
)
def test_only_what_others_can_visit_is_offered(text: str, shown: str | None) -> None:
    assert interfaces.reachable(text) == shown


def test_local_networks_come_first_and_what_is_down_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def one(address: str, family: int = socket.AF_INET) -> SimpleNamespace:
        return SimpleNamespace(family=family, address=address)

    known = {
        "ppp0": [one("8.8.4.4")],
        "eth0": [one("fd00::2", socket.AF_INET6), one("10.0.0.2"), one("aa:bb", -1)],
        "wlan0": [one("192.168.1.5")],
    }
    up = {name: SimpleNamespace(isup=name != "wlan0") for name in known}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: known)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: up)
    assert interfaces.addresses() == (
        ("eth0", "10.0.0.2"),
        ("eth0", "fd00::2"),
        ("ppp0", "8.8.4.4"),
    )


def test_this_machine_can_be_asked() -> None:
    assert all(name and address for name, address in interfaces.addresses())
