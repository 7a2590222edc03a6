"""A start where the network does not work yet: no DNS, DNS that lies, no cable, UDP blocked.

The whole program and Cloudflare's lab in two networks, as tests/faults/test_network.py. SECURITY.md
21 (as decisions, with a clock that the test moves: test_address) and 24. The DNS is all that the
stand-in crosses the cable for as well, so these run over it where the real program is not found.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.model import ServiceState, Snapshot
from tests.cloudflare.lab import real_cloudflared
from tests.faults.networks import NOBODY, TUNNEL, Elsewhere, missing
from tests.faults.reached import needs

S = ServiceState
QUICK_SERVICE = "api.trycloudflare.com"
BACK = 15.0
"""Seconds from the network's return until the tunnel runs (SECURITY.md 21)."""

pytestmark = [needs(missing(), "two networks"), pytest.mark.timeout(900)]


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Elsewhere]:
    made = Elsewhere(tmp_path)
    yield made
    made.close()


def never_failed(away: Elsewhere, seconds: float) -> set[str]:
    """Watch it for so long; the reasons that it gave."""
    reasons, end = set(), time.monotonic() + seconds
    while time.monotonic() < end:
        service = away.tunnel()
        assert service.state in (S.STARTING, S.STOPPING, S.BACKOFF), service
        reasons |= {service.reason.code} if service.reason is not None else set()
        time.sleep(0.5)
    return reasons


def runs(snapshot: Snapshot) -> bool:
    service = snapshot.service(TUNNEL)
    return service is not None and service.state is S.RUNNING


def back(away: Elsewhere) -> float:
    """Seconds until it runs."""
    began = time.monotonic()
    away.program.wait_for(runs, BACK + 10, "running")
    return time.monotonic() - began


LIES: list[dict[str, str]] = [
    {"kind": "hang"},
    {"kind": "nxdomain"},
    {"kind": "servfail"},
    {"kind": "wrong", "body": NOBODY},
]
SHORT = {"hang"}


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(lie, id=lie["kind"], marks=[] if lie["kind"] in SHORT else [pytest.mark.long])
        for lie in LIES
    ],
)
def test_dns_that_lies_at_the_start_is_waited_for(away: Elsewhere, lie: dict[str, str]) -> None:
    away.lab.faults(dns=lie)
    away.begin()
    reasons = never_failed(away, 9)
    assert reasons & {"no-dns", "quick-service-unreachable"}, reasons
    away.lab.reset()
    assert back(away) < BACK
    assert away.visit(away.tunnel()) == 401


@pytest.mark.long
def test_ten_minutes_without_dns_at_the_start(away: Elsewhere) -> None:
    """SECURITY.md 21, in real time: DNS answers nothing for ten minutes."""
    away.lab.faults(dns={"kind": "hang"})
    away.begin()
    reasons = never_failed(away, 600)
    away.lab.reset()
    took = back(away)
    print(f"\nback {took:.1f} s after DNS, {away.tunnel().restarts} tries; said {reasons}")
    assert took < BACK
    assert away.visit(away.tunnel()) == 401


@pytest.mark.long
def test_no_cable_at_the_start(away: Elsewhere) -> None:
    """A laptop that is opened before it has a network."""
    away.cable.change(cut=True)
    away.begin()
    never_failed(away, 60)
    away.cable.change(cut=False)
    assert back(away) < BACK


@pytest.mark.long  # the short form: the lab swallows UDP itself, in test_tunnel
@needs("" if real_cloudflared() else "no cloudflared is found", "the real cloudflared")
def test_where_udp_is_blocked_http2_is_used_within_a_minute_and_shown(away: Elsewhere) -> None:
    """SECURITY.md 24, at a wall that swallows UDP to Cloudflare's port."""
    away.cable.change(no_udp=[7844])
    began = time.monotonic()
    away.begin()
    service = away.proved(60, 0.0)
    assert time.monotonic() - began < 60
    assert service.facts.transport == "http2"
    assert "HTTP/2" in away.cli("status")
    assert away.visit(service) == 401
    away.cli("tunnel", "restart", TUNNEL)  # remembered for this network: no 12 s of waiting again
    began = time.time()
    again = away.proved(12, began)
    assert again.facts.transport == "http2"


@pytest.mark.long
@needs("" if real_cloudflared() else "no cloudflared is found", "the real cloudflared")
def test_a_wall_that_begins_to_block_udp_while_connected(away: Elsewhere) -> None:
    """The connection is lost and cannot come back as it was: by HTTP/2, with a new address."""
    away.begin()
    before = away.proved(30, 0.0)
    assert before.facts.transport == "quic"
    away.cable.change(no_udp=[7844])
    began = time.monotonic()
    after = away.until(
        lambda s: s.state is S.RUNNING and s.facts.transport == "http2", "HTTP/2", 700
    )
    print(f"\nby HTTP/2 after {time.monotonic() - began:.0f} s")
    assert away.visit(after) == 401
