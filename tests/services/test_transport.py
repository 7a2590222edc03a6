"""What is learned about networks, and how one is told from another."""

import json
import stat
from pathlib import Path

import pytest

from nexus_tray.services import transport
from nexus_tray.services.transport import FIRST, HTTP2, MOST_NETWORKS, QUIC, REMEMBER, Transports


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "networks.json"


def test_quic_comes_first() -> None:
    assert Transports().choose("auto", "home") == QUIC
    assert Transports().choose("auto", None) == QUIC


@pytest.mark.parametrize("wanted", [QUIC, HTTP2])
def test_what_is_set_is_used(wanted: str) -> None:
    known = Transports()
    known.failed(wanted, "home")
    assert known.choose(wanted, "home") == wanted


def test_after_a_failure_the_other_is_tried_and_then_the_first_again() -> None:
    known = Transports()
    for expected in (QUIC, HTTP2, QUIC, HTTP2):
        assert known.choose("auto", "home") == expected
        known.failed(expected, "home")
    assert known.choose("auto", "elsewhere") == QUIC


def test_an_outage_teaches_nothing(file: Path) -> None:
    known = Transports(file)
    known.failed(QUIC, "home")
    known.failed(HTTP2, "home")
    known.worked(QUIC, "home")
    assert known.choose("auto", "home") == QUIC
    assert not file.exists()


def test_http2_that_worked_is_remembered_for_this_network(file: Path, clock: Clock) -> None:
    known = Transports(file, wall=clock)
    known.failed(QUIC, "cafe")
    known.worked(HTTP2, "cafe")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    later = Transports(file, wall=clock)
    assert later.choose("auto", "cafe") == HTTP2
    assert later.choose("auto", "home") == QUIC


def test_it_is_forgotten_in_time_or_when_quic_works(file: Path, clock: Clock) -> None:
    known = Transports(file, wall=clock)
    for lasts in (FIRST, REMEMBER, REMEMBER):  # the first time it may have been an outage
        known.failed(QUIC, "cafe")
        known.worked(HTTP2, "cafe")
        clock.now += lasts - 1
        known.worked(HTTP2, "cafe")  # as remembered: that is no new knowledge
        assert Transports(file, wall=clock).choose("auto", "cafe") == HTTP2
        clock.now += 1
        assert known.choose("auto", "cafe") == QUIC
    clock.now -= 2 * REMEMBER  # a clock set back is no reason to trust it
    assert known.choose("auto", "cafe") == QUIC
    known.worked(QUIC, "cafe")
    assert json.loads(file.read_text()) == {}


def test_without_a_network_nothing_is_remembered(file: Path) -> None:
    known = Transports(file)
    known.failed(QUIC, None)
    assert known.choose("auto", None) == HTTP2
    known.worked(HTTP2, None)
    assert known.choose("auto", None) == QUIC
    assert not file.exists()


def test_the_file_stays_small(file: Path, clock: Clock) -> None:
    known = Transports(file, wall=clock)
    for number in range(MOST_NETWORKS + 10):
        clock.now += 1
        known.worked(HTTP2, f"network-{number}")
    assert len(json.loads(file.read_text())) == MOST_NETWORKS
    assert Transports(file, wall=clock).choose("auto", f"network-{MOST_NETWORKS + 9}") == HTTP2


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1}', b"\xff", b"[]", b"x" * 100_000])
def test_a_damaged_file_is_no_obstacle(file: Path, content: bytes) -> None:
    file.parent.mkdir(mode=0o700)
    file.touch(0o600)
    file.write_bytes(content)
    assert Transports(file).choose("auto", "home") == QUIC


def test_a_planted_link_is_not_followed(file: Path, tmp_path: Path) -> None:
    file.parent.mkdir(mode=0o700)
    file.symlink_to(tmp_path / "elsewhere")
    known = Transports(file)
    known.worked(HTTP2, "home")
    assert known.choose("auto", "home") == HTTP2
    assert not (tmp_path / "elsewhere").exists()


def test_this_machines_network_has_a_steady_word_that_tells_nothing() -> None:
    word = transport.network_identity()
    assert transport.same_network(word, transport.network_identity())
    assert word is None or all(int(part, 16) >= 0 and len(part) == 16 for part in word.split("-"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("home-router", "home-router", True),
        ("home", "home-router", True),  # the kernel does not know its hardware yet
        ("home-router", "home", True),  # or no longer: the router is off
        ("home-router", "home-another", False),  # 192.168.1.1 in another house
        ("home-router", "hotel-router", False),
        ("home", "hotel", False),
        (None, None, True),
        ("home", None, False),
    ],
)
def test_a_router_that_is_off_makes_no_other_network(
    one: str | None, other: str | None, same: bool
) -> None:
    assert transport.same_network(one, other) is same
    assert transport.same_network(other, one) is same


def test_what_was_learned_just_after_the_start_counts_once_the_router_is_known() -> None:
    known = Transports()
    known.failed(QUIC, "home")
    assert known.choose("auto", "home-router") == HTTP2
    known.worked(HTTP2, "home-router")
    assert known.choose("auto", "home") == HTTP2
    known.worked(QUIC, "home")
    assert known.choose("auto", "home-router") == QUIC


@pytest.mark.parametrize(
    ("address", "netmask", "network"),
    [
        ("192.168.1.5", "255.255.255.0", "192.168.1.0/24"),
        ("2001:db8::1:2", "ffff:ffff:ffff:ffff::", "2001:db8::/64"),
        ("2001:db8::ffff", "ffff:ffff:ffff:ffff::", "2001:db8::/64"),  # tomorrow's address
        ("fe80::1%eth0", "ffff:ffff:ffff:ffff::", None),
        ("127.0.0.1", "255.0.0.0", None),
        ("::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None),
        ("00:11:22:33:44:55", "ff:ff:ff:ff:ff:ff", None),
    ],
)
def test_the_own_address_is_no_part_of_the_networks_word(
    address: str, netmask: str, network: str | None
) -> None:
    assert transport._network(address, netmask) == network
