"""Rules that were put right at Cloudflare are noticed, without starting anything to look."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_tray.app.ingress_watch import Around, IngressWatch
from nexus_tray.app.zones import Zones
from nexus_tray.core.driver import Input, Restart
from nexus_tray.core.snapshot import compose
from nexus_tray.model import Desired, Hop, Reason, Service, ServiceKind, ServiceState, Snapshot
from nexus_tray.paths import find
from nexus_tray.services.cloudflared_public import FOREIGN, Way
from nexus_tray.settings import TunnelSettings
from tests.cloudflare.lab import Lab, until

OURS = "unix:/run/gateway.sock"
WRONG = ("code.lab.example", "http://127.0.0.1:22")
RIGHT = ("code.lab.example", OURS)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    running = Lab(tmp_path_factory.mktemp("cloudflare") / "lab")
    yield running
    running.close()


class World:
    """One token tunnel in the lab, of which the snapshot says what a test wants."""

    def __init__(self, lab: Lab, home: Path, *, certificate: bool) -> None:
        self.lab = lab
        self.made: Any = lab.make_tunnel(remote=True)
        self.posted: list[tuple[str, Input]] = []
        self.state, self.code = ServiceState.FAILED, FOREIGN
        self.zones = Zones(find({"NEXUS_TRAY_HOME": str(home)}), lab.info["api_url"])
        if certificate:
            self.zones.add(Path(lab.info["origincert"]).read_bytes())
        tunnel = TunnelSettings(
            name="office",
            kind="token",
            tunnel_id=self.made["id"],
            account_id=lab.info["account"],
        )
        around = Around(
            tunnels=lambda: (TunnelSettings(name="quick"), tunnel),
            snapshot=self.snapshot,
            api=self.zones.api_of,
            way=lambda: Way(socket=OURS),
            post=lambda name, item: self.posted.append((name, item)),
        )
        self.watch = IngressWatch(around, 0.02)

    def snapshot(self) -> Snapshot:
        service = Service(
            name="office",
            kind=ServiceKind.TUNNEL,
            desired=Desired.RUNNING,
            state=self.state,
            since_at=0.0,
            reason=Reason(code=self.code, hop=Hop.CLOUDFLARED, what="It leads elsewhere."),
        )
        return compose(
            boot_id="b", cursor=1, version="1", taken_at=0.0, services=(service,),
            activity=None, visited_at=None,
        )  # fmt: skip

    def configure(self, *rules: tuple[str, str]) -> None:
        self.lab.configure(self.made["id"], *rules, ("", "http_status:404"))


def test_it_starts_a_tunnel_again_once_its_rules_are_right(lab: Lab, tmp_path: Path) -> None:
    world = World(lab, tmp_path, certificate=True)
    world.configure(WRONG)
    world.watch.look()
    world.configure(RIGHT, WRONG)
    world.watch.look()
    assert world.posted == []
    world.configure(RIGHT)
    world.watch.look()
    assert world.posted == [("office", Restart())]
    world.watch.look()  # these rules were tried already
    assert len(world.posted) == 1
    world.configure(RIGHT)  # saved again
    world.watch.look()
    assert len(world.posted) == 2


def test_it_leaves_every_other_tunnel_alone(lab: Lab, tmp_path: Path) -> None:
    world = World(lab, tmp_path, certificate=True)
    world.configure(RIGHT)
    for state, code in (
        (ServiceState.RUNNING, FOREIGN),
        (ServiceState.STOPPED, FOREIGN),
        (ServiceState.FAILED, "tunnel-token-missing"),
    ):
        world.state, world.code = state, code
        world.watch.look()
    assert world.posted == []


def test_without_a_certificate_or_an_answer_nothing_is_started(lab: Lab, tmp_path: Path) -> None:
    blind = World(lab, tmp_path / "blind", certificate=False)
    blind.configure(RIGHT)
    blind.watch.look()
    world = World(lab, tmp_path / "seeing", certificate=True)
    world.configure(RIGHT)
    for status in (403, 500):
        lab.faults(api={"kind": "status", "status": status, "match": "configurations"})
        world.watch.look()
    lab.reset()
    assert blind.posted == world.posted == []


def test_it_looks_by_itself_until_it_is_ended(lab: Lab, tmp_path: Path) -> None:
    world = World(lab, tmp_path, certificate=True)
    world.configure(RIGHT)
    world.watch.start()
    until(lambda: world.posted, "a start")
    world.watch.close()
