"""Certificates of public names: seen when asked for, kept for six hours, never in the way."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.app.addresses import AGAIN, STALE, Addresses, Around
from nexus_tray.gateway.server import Gateway
from nexus_tray.model import Hop, Level, Problem, Reason
from nexus_tray.services.public_visit import Front
from nexus_tray.settings import RouteSettings, TunnelSettings
from tests.gateway.doubles import SmallSite, no_shape
from tests.services.tls_places import HOST, Authority, TlsPlace, http

OTHER = "www.example.com"
NAMED = TunnelSettings(
    name="work", kind="named", routes=(RouteSettings(hostname=HOST), RouteSettings(hostname=OTHER))
)
QUICK = TunnelSettings(name="quick")
SHUT = Reason(code="database-broken", hop=Hop.GATEWAY, what="It cannot be read.")


class Bench:
    """Addresses over a place of the tests', and times that they turn."""

    def __init__(self, folder: Path, place: TlsPlace | None, trust: str) -> None:
        self.wall, self.steady, self.shut = 1_795_000_000.0, 10.0, False
        self.asked = 0
        self.notes: list[tuple[str, str, Reason | None]] = []
        self.lines: list[tuple[str, Level, str]] = []
        self._gateway = Gateway(SmallSite(), no_shape, None)
        self.addresses = Addresses(
            Around(
                file=folder / "addresses.json",
                gateway=self.gateway,
                tell_time=lambda at: None,
                network=lambda: "home",
                restarts=lambda name: 0,
                note=lambda *note: self.notes.append(note),
                log=lambda name, level, text: self.lines.append((name, level, text)),
                front=Front("127.0.0.1", place.port if place else 1, trust),
            ),
            wall=lambda: self.wall,
            steady=lambda: self.steady,
        )

    def gateway(self) -> Gateway:
        self.asked += 1
        if self.shut:
            raise Problem(SHUT)
        return self._gateway

    def names(self, tunnel: TunnelSettings = NAMED) -> list[str]:
        return [report.hostname for report in self.addresses.certificates(tunnel)]

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    made = Authority(tmp_path)
    yield made
    made.close()


def test_certificates_are_looked_at_when_asked_for_and_then_kept(
    tmp_path: Path, authority: Authority
) -> None:
    place = authority.place(lambda _: http("530 ", b"error code: 1033"), HOST, OTHER)
    bench = Bench(tmp_path, place, authority.trust)
    assert bench.names() == [HOST, OTHER]  # although the tunnel does not run
    [first, _] = bench.addresses.certificates(NAMED)
    assert first.trusted
    assert first.names == (HOST, OTHER)
    assert first.checked_at == bench.wall
    assert len(place.heads) == 2
    bench.pass_by(STALE - 1)
    assert bench.names() == [HOST, OTHER]
    assert len(place.heads) == 2
    bench.pass_by(1)
    assert bench.names() == [HOST, OTHER]
    assert len(place.heads) == 4
    bench.wall -= 365 * 86_400  # a clock that is set back makes nothing look fresh for a year
    bench.steady += AGAIN
    bench.names()
    assert len(place.heads) == 6


def test_a_name_that_shows_nothing_is_left_out_and_not_hammered(tmp_path: Path) -> None:
    bench = Bench(tmp_path, None, "")
    assert bench.names() == []
    tried = bench.asked
    assert bench.names() == []
    assert bench.asked == tried
    bench.pass_by(AGAIN)
    assert bench.names() == []
    assert bench.asked > tried


def test_a_gateway_that_must_stay_shut_costs_no_report(tmp_path: Path) -> None:
    bench = Bench(tmp_path, None, "")
    bench.shut = True
    assert bench.names() == []


def test_a_quick_tunnel_is_never_visited_for_its_certificate(
    tmp_path: Path, authority: Authority
) -> None:
    place = authority.place(lambda _: http("200 OK"), HOST)
    bench = Bench(tmp_path, place, authority.trust)
    bench.addresses.watch("quick", quick=True).look(1, ())
    assert bench.names(QUICK) == []
    assert place.heads == []
    bench.addresses.watch("quick", quick=True).first(1, HOST)
    bench.addresses.watch("quick", quick=True).look(1, (HOST,))
    assert bench.names(QUICK) == [HOST]
    assert len(place.heads) == 1


def test_what_visits_meet_is_logged_when_it_changes(tmp_path: Path, authority: Authority) -> None:
    place = authority.place(lambda _: http("530 ", b"x", "Server: cloudflare"), HOST)
    bench = Bench(tmp_path, place, authority.trust)
    watch = bench.addresses.watch("work", quick=False)
    for _ in range(3):
        watch.first(1, HOST)
    [(name, level, text)] = bench.lines
    assert (name, level) == ("work", Level.INFO)
    assert "its error 530" in text
    place.script = lambda _: http("302 Go", b"", "Location: https://a.cloudflareaccess.com/")
    watch.first(1, HOST)
    assert "proves nothing" in bench.lines[-1][2]
    assert "/_nexus/proof/" not in str(bench.lines)
