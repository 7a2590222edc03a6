"""The gateway's driver: a run opens and ends whole, in whatever order that is asked."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.core.driver import Exited, Input, Observed, Probed
from nexus_tray.gateway.server import Gateway
from nexus_tray.services.gateway import GatewayDriver
from tests.gateway.doubles import SmallSite, no_shape


class World:
    """A driver of a real gateway that takes as long to make as the test wants."""

    def __init__(self, folder: Path) -> None:
        self.may, self.asked = threading.Event(), threading.Event()
        self.gateway = Gateway(SmallSite(), no_shape, folder / "run" / "gateway.sock")
        self.told: list[Input] = []
        self.changed = threading.Condition()
        self.driver = GatewayDriver(self._make, lambda _at: None)

    def _make(self) -> Gateway:
        self.asked.set()
        assert self.may.wait(10)
        return self.gateway

    def report(self, item: Input) -> None:
        with self.changed:
            self.told.append(item)
            self.changed.notify_all()

    def until(self, kind: type[Exited] | type[Observed] | type[Probed], run: int) -> Input:
        def found() -> Input | None:
            return next((i for i in self.told if isinstance(i, kind) and i.run == run), None)

        with self.changed:
            item = self.changed.wait_for(found, 10)
            assert item is not None, self.told
            return item


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.may.set()
    made.gateway.close()


def test_a_run_told_to_end_while_it_opens_is_ended_before_the_next(world: World) -> None:
    world.driver.start(1, world.report)
    assert world.asked.wait(10)
    world.driver.stop(1)
    world.may.set()
    world.until(Exited, 1)
    for thread in threading.enumerate():
        if thread.name == "gateway open":
            thread.join(10)
    assert not world.gateway.running
    world.driver.start(2, world.report)
    world.until(Observed, 2)
    world.driver.probe(2)
    answer = world.until(Probed, 2)
    assert isinstance(answer, Probed)
    assert answer.reason is None
    world.driver.stop(2)
    world.until(Exited, 2)
    assert not world.gateway.running
