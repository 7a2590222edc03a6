"""What is learned about networks, and how one is told from another."""

import json
import stat
from pathlib import Path

import pytest

from nexus_tray.services import transport
from nexus_tray.services.transport import HTTP2, MOST_NETWORKS, QUIC, REMEMBER, Transports


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
    known.worked(HTTP2, "cafe")
    clock.now += REMEMBER
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
    assert word == transport.network_identity()
    assert word is None or (len(word) == 16 and int(word, 16) >= 0)
