"""cloudflared says that it is connected, but does the public address lead here?

The whole path as the product has it, over the real cloudflared where there is one and the
stand-in. SECURITY.md 23, and 21, 22 and 27 as far as they are decisions over hours.
"""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path as FilePath

import pytest

from nexus_tray.cloudflare.errors import diagnose
from nexus_tray.cloudflare.log_lines import read_line
from nexus_tray.core.driver import Cause, Exited, Failure, Probed, Tick, Wish
from nexus_tray.core.machine import Machine, Policy, Start, step
from nexus_tray.model import Desired, Service, ServiceState
from nexus_tray.services.address_watch import Times
from nexus_tray.services.cloudflared_watch import AWAY
from nexus_tray.services.public_visit import Front
from nexus_tray.settings import RouteSettings, TunnelSettings
from tests.cloudflare.lab import STANDIN, Lab, cloudflareds, until
from tests.cloudflare.path import TUNNEL, Path
from tests.services.test_cloudflared_known import named
from tests.services.tls_places import Authority, http

S = ServiceState
PROGRAMS = cloudflareds()
QUICKLY = Policy(probe_running=0.2, backoff_first=0.1)
SHORT = Times(
    often=0.6,
    failing=0.3,
    hurry=0.3,
    rest=3.0,
    fresh=0.5,
    settle=0.5,
    asleep=40.0,
    gone=5,
    again=3.0,
)
HIDDEN = 1e6


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    running = Lab(tmp_path_factory.mktemp("cloudflare") / "lab")
    yield running
    running.close()


@pytest.fixture
def path(lab: Lab, tmp_path: FilePath) -> Iterator[Path]:
    lab.reset()
    made = Path(lab, STANDIN, tmp_path)
    made.times = SHORT
    yield made
    lab.call("POST", "/edge/freeze", {"seconds": 0})
    made.close()


@pytest.fixture(params=list(PROGRAMS))
def both(request: pytest.FixtureRequest, path: Path) -> Path:
    path.program = PROGRAMS[request.param]
    return path


@pytest.fixture
def real(path: Path) -> Path:
    """The real program where there is one: what takes seconds is not done twice."""
    path.program = PROGRAMS.get("real", STANDIN)
    return path


@pytest.fixture
def authority(tmp_path: FilePath) -> Iterator[Authority]:
    made = Authority(tmp_path)
    yield made
    made.close()


def proved(path: Path, seconds: float = 30.0) -> Service:
    return path.until(
        lambda s: s.state is S.RUNNING and s.facts.proved_at and s.facts.address,
        "proved through the public address",
        seconds,
    )


def proved_anew(path: Path) -> Service:
    now = time.time()
    return path.until(lambda s: (s.facts.proved_at or 0) > now, "proved anew")


def begin(path: Path, transport: str = "auto") -> Service:
    path.supervise(path.driver(transport), QUICKLY)
    return proved(path)


def test_it_is_proved_end_to_end(both: Path) -> None:
    began = time.time()
    service = begin(both)
    assert service.facts.proved_at is not None
    assert began <= service.facts.proved_at <= time.time()
    assert service.facts.round_trip_ms is not None
    assert 0 < service.facts.round_trip_ms < 5000
    assert both.told_times  # the reference clock is set by it
    proved_anew(both)  # and again while it runs
    assert both.gateway.visits(TUNNEL) == 0  # by nobody, and without traffic
    readings = both.gateway.read_meters()
    assert readings is not None
    assert TUNNEL not in readings.doors or not readings.doors[TUNNEL].requests
    [report] = both.addresses.certificates(TunnelSettings(name=TUNNEL))
    assert report.trusted
    assert report.reason is None
    assert service.facts.address == f"https://{report.hostname}"
    assert report.not_after_at is not None
    assert report.not_after_at > time.time()
    assert report.issuer


def test_a_fresh_address_that_is_not_there_yet_is_waited_for(path: Path) -> None:
    """As at the real Cloudflare, where a quick tunnel's name comes seconds after it."""
    path.times = replace(SHORT, fresh=30.0)
    path.lab.faults(visible_after=4.0)
    service = begin(path)
    assert service.restarts == 0
    assert S.DEGRADED not in path.states


def test_a_quick_tunnel_that_cloudflare_forgot_is_said_and_then_replaced(real: Path) -> None:
    first = begin(real)
    real.lab.faults(visible_after=HIDDEN)  # 1033, while cloudflared says connected
    said = real.until_code("address-dead")
    assert said.state is S.DEGRADED
    assert "1033" in str(said.reason)
    assert said.facts.connections
    assert said.facts.pid == first.facts.pid  # said first; the address is not given up lightly
    real.until(lambda s: s.restarts == 1, "the restart")
    real.lab.reset()
    second = real.until(
        lambda s: s.facts.proved_at and s.facts.address not in (None, first.facts.address),
        "another address, proved",
    )
    assert second.facts.pid != first.facts.pid
    assert S.FAILED not in real.states


def dead_end(path: Path) -> None:
    """Nothing moves on the connections, and nobody tells cloudflared (HTTP/2: FACTS.md)."""
    path.lab.faults(response_timeout=0.3)  # 524
    path.lab.call("POST", "/edge/freeze", {"seconds": 120})


def test_a_frozen_quick_tunnel_connects_anew_and_keeps_its_address(real: Path) -> None:
    """It says itself that it is connected; whether Cloudflare can be reached at all is found out
    by connecting anew, which costs no address."""
    first = begin(real, "http2")
    dead_end(real)
    real.until(lambda s: s.state is S.DEGRADED and not s.facts.connections, "connecting anew")
    assert any("made anew" in text for _, text in real.log)
    real.until_code("edge-connection-lost")
    real.lab.reset()
    real.lab.call("POST", "/edge/freeze", {"seconds": 0})
    back = real.until(lambda s: s.state is S.RUNNING and s.facts.connections, "well again", 40)
    assert (back.facts.pid, back.facts.address) == (first.facts.pid, first.facts.address)
    assert back.restarts == 0
    proved_anew(real)


HOST, OTHER = "code.lab.example", "www.lab.example"


def begin_named(path: Path, *routes: str, transport: str = "auto") -> Service:
    """A named tunnel to which the DNS leads HOST; the gateway leads these names somewhere."""
    path.stable = True
    identity = named(path, path.lab.make_tunnel(HOST))
    driver = path.driver(transport, identity=identity, routes=lambda: routes)
    path.supervise(driver, QUICKLY)
    return proved(path)


def test_a_frozen_named_tunnel_is_restarted(real: Path) -> None:
    """SECURITY.md 23: three failures, nobody served meanwhile: said, and restarted."""
    first = begin_named(real, HOST, transport="http2")
    dead_end(real)
    real.until_code("address-dead")
    real.until(lambda s: s.restarts == 1, "the restart")
    real.lab.call("POST", "/edge/freeze", {"seconds": 0})
    real.lab.reset()
    second = real.until(
        lambda s: (
            s.state is S.RUNNING and s.facts.address and s.facts.pid not in (None, first.facts.pid)
        ),
        "another process",
    )
    assert second.restarts == 1
    assert second.facts.address == first.facts.address
    proved_anew(real)
    assert S.FAILED not in real.states


def test_one_name_that_leads_nowhere_is_said_and_costs_no_restart(path: Path) -> None:
    first = begin_named(path, HOST, OTHER)
    said = path.until_code("address-one-dead")
    assert said.state is S.DEGRADED
    assert OTHER in str(said.reason)
    assert said.facts.proved_at
    for hosts in ([HOST, OTHER], [HOST]):  # those that are routed now, and no others
        routes = tuple(RouteSettings(hostname=host) for host in hosts)
        settings = TunnelSettings(name=TUNNEL, kind="named", routes=routes)
        assert [one.hostname for one in path.addresses.certificates(settings)] == hosts
    assert path.tunnel is not None
    assert path.tunnel.facts.pid == first.facts.pid
    assert path.tunnel.restarts == 0


def test_a_foreign_page_is_noticed_and_nothing_restarted(path: Path, authority: Authority) -> None:
    path.stable = True
    place = authority.place(
        lambda _: http("200 OK", b"Welcome. Please sign in."), "*.trycloudflare.com"
    )
    path.front = Front("127.0.0.1", place.port, authority.trust)
    path.supervise(path.driver(), QUICKLY)
    said = path.until_code("address-foreign")
    assert said.state is S.DEGRADED
    assert said.facts.proved_at is None
    known = len(place.heads)
    until(lambda: len(place.heads) > known + 3, "more visits")
    assert path.tunnel is not None
    assert path.tunnel.restarts == 0
    # whoever comes through the tunnel nevertheless proves that it works
    assert path.visit(said) == 200
    path.until(lambda s: s.state is S.RUNNING and s.reason is None, "well again")


@pytest.mark.parametrize(
    ("days", "code"), [(-1.0, "certificate-expired"), (80.0, "certificate-wrong-name")]
)
def test_a_certificate_that_browsers_refuse_is_said(
    path: Path, authority: Authority, days: float, code: str
) -> None:
    names = "*.trycloudflare.com" if days < 0 else "elsewhere.example.com"
    place = authority.place(lambda _: http("200 OK"), names, days=days)
    path.front = Front("127.0.0.1", place.port, authority.trust)
    path.supervise(path.driver(), QUICKLY)
    said = path.until_code(code)
    assert said.state is S.DEGRADED
    [report] = path.addresses.certificates(TunnelSettings(name=TUNNEL))
    assert not report.trusted
    assert report.reason is not None
    assert report.reason.code == code
    assert report.names == (names,)


def test_this_machines_own_network_is_named_not_the_tunnel(path: Path, lab: Lab) -> None:
    path.stable = True
    path.front = Front("127.0.0.1", 1)
    path.network = None
    path.supervise(path.driver(), QUICKLY)
    said = path.until_code("computer-offline")
    assert said.state is S.DEGRADED
    assert said.restarts == 0


def test_forced_changes_are_counted_and_a_named_tunnel_suggested(path: Path) -> None:
    service = begin(path)
    for count in range(1, 4):
        assert path.addresses.reason(TUNNEL) is None
        assert service.facts.pid is not None
        before = service.facts.address
        os.kill(service.facts.pid, signal.SIGKILL)
        service = path.until(
            lambda s: s.facts.proved_at and s.facts.address not in (None, before),  # noqa: B023
            "the next address",
        )
        until(lambda: path.addresses.changes(TUNNEL) == count, "counted")  # noqa: B023
    reason = path.addresses.reason(TUNNEL)
    assert reason is not None
    assert "named tunnel" in reason.cure
    until(lambda: path.notes, "the note")
    assert path.notes == [(reason.what, TUNNEL, reason)]


# hours, as decisions: no clock, no process


def ends(failure: Failure, seconds: float, policy: Policy) -> tuple[list[float], Machine]:
    """When a tunnel is tried, if each try ends so at once; and what becomes of it."""
    now, starts = 0.0, list[float]()
    machine, effects = step(Machine(TUNNEL), Wish(Desired.RUNNING), now, policy, 0.999)
    while now < seconds:
        starts += [now for effect in effects if isinstance(effect, Start)]
        if machine.alive:
            machine, effects = step(machine, Exited(machine.run, failure), now, policy, 0.999)
        else:
            assert machine.wakes_at is not None
            now = machine.wakes_at
            machine, effects = step(machine, Tick(), now, policy, 0.999)
        assert machine.state is not S.FAILED
    return starts, machine


def test_ten_minutes_without_dns_never_fail_and_end_in_time() -> None:
    """SECURITY.md 21. cloudflared needs 0.6 s to say so and 2 s to connect (FACTS.md)."""
    line = (
        "ERR failed to request quick Tunnel: Post https://api.trycloudflare.com/tunnel: dial tcp:"
        " lookup api.trycloudflare.com: Temporary failure in name resolution"
    )
    failure = diagnose(1, [read_line(f"2026-01-01T00:00:00Z {line}")])
    assert failure is not None
    assert failure.cause is Cause.NETWORK
    starts, machine = ends(failure, 600, Policy())
    gaps = [b - a for a, b in pairwise(starts)]
    assert max(gaps) <= 15 - 2.6
    assert machine.reason == failure.reason


def test_an_hour_of_restarts_for_a_dead_address_never_fails() -> None:
    """The address stays dead: tried for ever, and never taken for a crash loop."""
    _, machine = ends(Failure(Cause.NETWORK, AWAY), 3600, Policy())
    assert machine.state is not S.FAILED


@pytest.mark.parametrize("hours", [8, 24 * 365])
def test_a_jump_of_the_clock_is_one_try_and_no_storm(hours: int) -> None:
    """SECURITY.md 27: suspend and resume, on a clock that goes on meanwhile."""
    policy, now = Policy(), 0.0
    machine, _ = step(Machine(TUNNEL), Wish(Desired.RUNNING), now, policy)
    machine, _ = step(machine, Exited(1, Failure(Cause.NETWORK, AWAY)), now, policy)
    assert machine.state is S.BACKOFF
    now += hours * 3600
    machine, effects = step(machine, Tick(), now, policy)
    assert [effect for effect in effects if isinstance(effect, Start)] == [Start(2)]
    machine, effects = step(machine, Tick(), now, policy)
    assert not [effect for effect in effects if isinstance(effect, Start)]
    machine, _ = step(machine, Probed(2), now, policy)
    assert machine.state is S.RUNNING
    machine, effects = step(machine, Tick(), now + hours * 3600, policy)
    assert machine.state is S.RUNNING  # asleep is not deaf: it is probed, nothing else
    assert machine.strikes == 0
