"""What crosses a network: another network, an outage, loss, UDP blocked, DNS that lies.

The whole program as a person runs it, the real cloudflared, and Cloudflare's lab under its real
names in another network (tests/faults/networks.py): nothing of the program knows that it is a
test. Issue 6, "Network namespaces" and "Suspend and wake, changed network"; SECURITY.md 21, 24.

Without the real cloudflared there is nothing to see here: the stand-in's visitors do not go
through its connection. What the stand-in can show of the same is in test_tunnel and test_address.
"""

import hashlib
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nexus_tray.model import ServiceState
from tests.cloudflare.lab import real_cloudflared, until
from tests.faults.networks import HOME, HOTEL, NOBODY, Elsewhere, missing
from tests.faults.reached import needs

S = ServiceState
OFFICE, HOST = "office", "code.lab.example"
MOVED = "is on another network"
NOTICED = 10.0
"""Seconds within which a change is noticed (issue 6)."""

pytestmark = [
    needs(missing(), "two networks"),
    needs("" if real_cloudflared() else "no cloudflared is found", "the real cloudflared"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """Three tunnels: a quick one over QUIC, a quick one over HTTP/2, one with its own name."""
    made = Elsewhere(
        tmp_path_factory.mktemp("far"),
        {"name": "quick", "kind": "quick"},
        {"name": "slow", "kind": "quick", "transport": "http2"},
    )
    try:
        made.begin()
        made.add_token_tunnel(OFFICE, HOST)
        yield made
    finally:
        made.close()


NAMES = ("quick", "slow", OFFICE)


@pytest.fixture
def away(house: Elsewhere) -> Iterator[Elsewhere]:
    """All three run, and visitors arrive."""
    all_answer(house)
    yield house
    house.well()


def all_answer(away: Elsewhere, seconds: float = 60.0) -> float:
    """Visitors arrive everywhere; after so many seconds."""
    began = time.monotonic()
    for name in NAMES:
        while not arrives(away, name):
            tale = "\n".join(line[:200] for line in away.told()[-40:])
            passed = time.monotonic() - began
            assert passed < seconds, f"{name} does not answer: {away.tunnel(name)}\n{tale}"
    return time.monotonic() - began


def arrives(away: Elsewhere, name: str) -> bool:
    service = away.tunnel(name)
    running = service.state is S.RUNNING and bool(service.facts.address)
    return running and away.visit(service) == 401  # the page to sign in


def heard(away: Elsewhere, words: str) -> int:
    return sum(words in line for line in away.told())


def noticed(away: Elsewhere, words: str, known: int, since: float) -> float:
    """Seconds until the log has these words once more than `known` times."""
    until(lambda: heard(away, words) > known, words, NOTICED + 10)
    return time.time() - since


@contextmanager
def kept(away: Elsewhere) -> Iterator[None]:
    """Afterwards each address is the same, served by the same process, and answers."""
    before = {name: away.tunnel(name) for name in NAMES}
    yield
    all_answer(away)
    for name in NAMES:
        after = away.tunnel(name)
        assert after.facts.address == before[name].facts.address
        assert after.facts.pid == before[name].facts.pid
        assert after.restarts == before[name].restarts


def move(away: Elsewhere, within: float) -> None:
    """To the other network: noticed, and each address proved anew within so many seconds."""
    known, since = heard(away, MOVED), time.time()
    with kept(away):
        away.cable.move(HOTEL if away.cable.at == HOME else HOME)
        assert noticed(away, MOVED, known, since) < NOTICED
        end = since + within
        for name in NAMES:
            away.proved(end - time.time(), since, name)


@pytest.mark.long  # the short form: the sleep below, which ends in another network
def test_another_network_is_noticed_and_every_address_kept(away: Elsewhere) -> None:
    """QUIC wanders along; over HTTP/2 the connection hangs for 150 s, and is made anew."""
    move(away, 30)


@pytest.mark.long
def test_back_and_forth_between_networks(away: Elsewhere) -> None:
    for _ in range(6):
        move(away, 45)


@pytest.mark.parametrize("seconds", [6.0, pytest.param(60.0, marks=pytest.mark.long)])
def test_an_outage_is_no_other_network_and_keeps_every_address(
    away: Elsewhere, seconds: float
) -> None:
    """A minute is long enough for the kernel to forget the router's hardware address."""
    moved = heard(away, MOVED)
    with kept(away):
        away.cable.change(cut=True)
        time.sleep(seconds)  # the fault itself
        away.cable.change(cut=False)
    assert heard(away, MOVED) == moved


def test_a_bad_line_is_slow_and_nothing_else(away: Elsewhere) -> None:
    """A tenth of everything is lost, a tenth comes twice, and all of it late and out of order."""
    with kept(away):
        away.cable.change(loss=0.1, delay=0.05, jitter=0.05, twice=0.1)
        pages = {hashlib.sha256(body(away, name)).hexdigest() for name in NAMES for _ in range(3)}
        assert len(pages) == 1  # what arrives is whole
        assert away.cable.change()["lost"] > 10


def test_a_sleep_is_noticed_and_every_way_looked_at(away: Elsewhere) -> None:
    """All of it is stopped, as by a closed lid, and wakes in another network."""
    known = heard(away, "woke after")
    with kept(away):
        tree = away.program.tree()
        for process in tree:
            process.send_signal(signal.SIGSTOP)
        time.sleep(13)  # the sleep itself
        away.cable.move(HOTEL if away.cable.at == HOME else HOME)
        since = time.time()
        for process in reversed(tree):
            process.send_signal(signal.SIGCONT)
        assert noticed(away, "woke after", known, since) < NOTICED
        for name in NAMES:
            away.proved(since + 45 - time.time(), since, name)


def body(away: Elsewhere, name: str) -> bytes:
    host = (away.tunnel(name).facts.address or "").removeprefix("https://")
    status, _, found = away.lab.visit(host, "/_nexus/style.css")
    assert status == 200, (name, status)
    return found


# DNS that lies: to the system's resolver, while others know better

LIES = [
    {"kind": "nxdomain"},
    pytest.param({"kind": "servfail"}, marks=pytest.mark.long),
    pytest.param({"kind": "hang"}, marks=pytest.mark.long),
]


@pytest.mark.parametrize("lie", LIES)
def test_a_resolver_that_knows_no_such_name_is_not_believed(
    away: Elsewhere, lie: dict[str, str]
) -> None:
    """It is asked for elsewhere, at one that did not cache the absence (SECURITY.md 23)."""
    away.lab.faults(dns={**lie, "match": HOST})
    since = time.time()
    away.cli("tunnel", "restart", OFFICE)
    after = away.proved(60, since, OFFICE)
    assert after.reason is None
    assert away.lab.counts()[f"dns_{lie['kind']}"]


@pytest.mark.long
def test_a_resolver_that_leads_astray_is_found_out(away: Elsewhere) -> None:
    """It names an address at which nobody listens: said, and nothing restarted for it."""
    away.lab.faults(dns={"kind": "wrong", "body": NOBODY, "match": HOST})
    away.cli("tunnel", "restart", OFFICE)
    said = away.until(
        lambda s: s.reason is not None and s.reason.code == "computer-offline", "said", 90, OFFICE
    )
    assert said.facts.connections
    away.lab.reset()
    away.proved(60, None, OFFICE)
    assert away.tunnel(OFFICE).restarts == 0


@pytest.mark.long  # the last here: what it teaches about the network stays
def test_a_wall_that_begins_to_block_udp_costs_a_known_tunnel_no_address(away: Elsewhere) -> None:
    """It is started anew over HTTP/2. (A quick one loses its address: test_network_start.)"""
    away.cable.change(no_udp=[7844])
    began = time.monotonic()
    after = away.until(
        lambda s: s.facts.connections and s.facts.transport == "http2" and s.reason,
        "HTTP/2",
        240,
        OFFICE,
    )
    print(f"\nby HTTP/2 after {time.monotonic() - began:.0f} s")
    assert after.reason is not None  # Cloudflare leads it to the socket: what that costs is said
    assert after.reason.code == "tunnel-no-websockets"
    assert "URL 127.0.0.1:" in after.reason.cure
    assert after.facts.address == f"https://{HOST}"
    assert away.visit(after) == 401
