"""Who may come in, changed, over the real door: real gateway, sessions, trail and streams."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nexus_tray.app.access_handlers import AccessHandlers, Ways
from nexus_tray.app.door import Door
from nexus_tray.app.pause import PauseKeeper
from nexus_tray.commands import EndAllSessions, EndSession, Outcome, Panic, Pause, Resume
from nexus_tray.core.snapshot import Pause as Held
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.paths import Paths
from nexus_tray.settings import TunnelSettings
from nexus_tray.store.accounts import SessionRow
from nexus_tray.store.config import ConfigStore
from tests.api.doubles import first_snapshot
from tests.gateway.doubles import HOST, SECRET, Link, RawClient, RawUpstream, tunnel_request

BROKEN = Problem(Reason(code="broken", hop=Hop.GATEWAY, what="The disk is full."))
TOKEN = "a" * 43


def stream_for_ever(link: Link) -> None:
    """An answer that goes on until it is cut."""
    link.read_head()
    link.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    while True:
        link.send(b"data: x\n\n")
        time.sleep(0.02)


class World:
    """A door with a tunnel, a device that is signed in, and the handlers."""

    def __init__(self, paths: Paths) -> None:
        self.raw = RawUpstream(stream_for_ever)
        self.settings = ConfigStore(paths)
        self.settings.load()
        self.door = Door(paths, first_snapshot, lambda _: Outcome(ok=True))
        self.gateway = self.door.at_port(0)
        self.gateway.start()
        self.door.set_upstream(self.raw.upstream)
        self.door.set_routes((TunnelSettings(name="quick"),))
        self.gateway.open_door("quick", SECRET, holds_events=False)
        self.told: list[Held | None] = []
        self.voided = 0
        self.pause = PauseKeeper(paths.pause_file, time.time, self.told.append, lambda: None)
        self.socket = paths.tunnel_socket
        self.ways = Ways(
            accounts=self.door.accounts,
            audit=self.door.audit,
            settings=self.settings,
            pause=self.pause,
            cut=self.door.cut_tunnels,
            void_dashboards=self._void,
        )
        self.clients: list[RawClient] = []

    def submit(self, command: Any) -> str | None:
        return AccessHandlers(self.ways).table()[type(command)](command)

    def but(self, **changes: Any) -> None:
        """Something of what access is made of does not work."""
        self.ways = Ways(**{**vars(self.ways), **changes})

    def sign_in(self, key: str = "dev-1", token: str = TOKEN) -> None:
        now = time.time()
        row = SessionRow(
            id=key, door="tunnel", host=HOST, name="Safari on iPhone", address="203.0.113.9",
            created_at=now - 5, seen_at=now - 5, expires_at=now + 3600,
        )  # fmt: skip
        assert self.door.accounts().add_session(row, token, password_id=None, old=None)

    def stream(self) -> RawClient:
        """A stream that is open through the tunnel."""
        client = self.client()
        client.send(tunnel_request("GET", "/doc", cookie=TOKEN))
        assert client.head().status == 200
        client.read_until(b"data: x\n\n")
        return client

    def client(self) -> RawClient:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self.socket))
        self.clients.append(RawClient(connection))
        return self.clients[-1]

    def status(self) -> int:
        """What a request through the tunnel gets."""
        client = self.client()
        client.send(tunnel_request("GET", "/doc", cookie=TOKEN))
        return client.head().status

    def trail(self) -> list[tuple[str, str, str]]:
        """Newest first: event, who, outcome."""
        # who came after the tunnels were cut is turned away, and may be written down already
        rows = [row for row in self.door.audit().newest() if row.event != "denied"]
        return [(str(r.event), r.who, r.outcome) for r in rows]

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.pause.close()
        self.door.close()
        self.raw.close()

    def _void(self) -> None:
        self.voided += 1


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    paths = Paths(*(tmp_path / name for name in ("config", "data", "r", "tools")))
    made = World(paths)
    yield made
    made.close()


def ended_after(client: RawClient, act: Any) -> float:
    """Seconds from the beginning of `act` until the stream is over."""
    at: list[float] = []

    def read() -> None:
        client.rest()
        at.append(time.monotonic())

    reader = threading.Thread(target=read)
    reader.start()
    reader.join(0.1)
    assert reader.is_alive(), "it was open before"
    begun = time.monotonic()
    act()
    reader.join(10)
    return at[0] - begun


def test_a_panic_ends_every_open_stream_within_a_second(world: World) -> None:
    world.sign_in()
    ticket = world.door.accounts().new_ticket("/")
    world.door.vault().pairings.make(HOST, "")
    stream, said = world.stream(), list[str]()
    spent = ended_after(stream, lambda: said.append(world.submit(Panic()) or ""))
    print(f"a panic took {spent * 1000:.0f} ms to the last open stream")
    assert 0 < spent < 1.0
    assert world.status() == 403
    assert world.door.accounts().sessions() == []
    assert world.door.accounts().redeem_ticket(ticket) is None
    assert world.voided == 1
    assert [t.enabled for t in tunnels(world)] == [False]
    assert not world.pause.holds
    assert "1 device is signed out" in said[0]
    assert "pairing links and API tokens are void" in said[0]
    assert world.door.vault().pairings.open() == []
    assert "nexus-tray start quick" in said[0]
    assert [row[0] for row in world.trail()[:3]] == ["pairings-ended", "session-ended", "panic"]


def tunnels(world: World) -> Any:
    return world.settings.read().settings.tunnels


def test_a_panic_ends_a_pause_too_and_can_be_repeated(world: World) -> None:
    world.submit(Pause())
    world.submit(Panic())
    assert not world.pause.holds
    assert "Nobody was signed in" in (world.submit(Panic()) or "")


@pytest.mark.parametrize("broken", ["cut", "accounts", "settings", "void_dashboards"])
def test_each_step_of_a_panic_is_done_though_another_fails(world: World, broken: str) -> None:
    def fail(*_: object) -> None:
        raise BROKEN if broken != "cut" else OSError("gone")

    world.sign_in()
    if broken == "settings":
        world.but(settings=SimpleNamespace(read=world.settings.read, update=fail))
    else:
        world.but(**{broken: fail})
    stream = world.stream()
    with pytest.raises(Problem) as told:
        world.submit(Panic())
    reason = told.value.reason
    assert reason.code == "panic-incomplete"
    assert ("gone" if broken == "cut" else "The disk is full.") in reason.what
    assert stream.rest() is not None  # whichever step it was, another cut it
    assert (world.door.accounts().sessions() == []) == (broken != "accounts")
    assert (world.voided == 1) == (broken != "void_dashboards")
    # Tunnels that could not be switched off are held.
    stopped = [t.enabled for t in tunnels(world)] == [False]
    assert stopped != world.pause.holds
    assert stopped == (broken != "settings")


def test_a_pause_cuts_what_is_open_and_keeps_everybody_signed_in(world: World) -> None:
    world.sign_in()
    stream = world.stream()
    until = time.time() + 900
    spent = ended_after(stream, lambda: world.submit(Pause(until_at=until)))
    assert spent < 1.0
    assert world.status() == 403
    assert len(world.door.accounts().sessions()) == 1
    assert [t.enabled for t in tunnels(world)] == [True]
    held = world.told[-1]
    assert held is not None
    assert held.until_at == until
    assert world.trail()[0] == ("access-paused", "owner", held.reason.what)


def test_pause_and_resume_may_be_repeated(world: World) -> None:
    assert world.submit(Resume()) == "Remote access was not paused."
    for _ in range(2):
        world.submit(Pause())
    assert world.submit(Resume()) == "Remote access is no longer paused."
    assert world.trail()[0] == ("access-resumed", "owner", "resumed")
    assert world.submit(Resume()) == "Remote access was not paused."
    assert world.told[-1] is None


def test_a_refused_pause_cuts_nothing(world: World) -> None:
    world.sign_in()
    with pytest.raises(Problem):
        world.submit(Pause(until_at=1.0))
    assert world.status() == 200


def test_a_trail_that_cannot_be_written_does_not_keep_a_pause_off(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise BROKEN

    world.but(audit=fail)
    world.submit(Pause())
    assert world.pause.holds
    assert "The disk is full." in caplog.text


def test_one_device_is_signed_out_and_its_stream_ends(world: World) -> None:
    world.sign_in()
    world.sign_in("dev-2", "b" * 43)
    stream = world.stream()
    assert ended_after(stream, lambda: world.submit(EndSession(id="dev-1"))) < 1.0
    assert [row.id for row in world.door.accounts().sessions()] == ["dev-2"]
    assert world.trail()[0] == ("sign-out", "owner", "Safari on iPhone: signed out")
    with pytest.raises(Problem) as told:
        world.submit(EndSession(id="dev-1"))
    assert told.value.reason.code == "no-such-device"


def test_every_device_is_signed_out(world: World) -> None:
    world.sign_in()
    world.sign_in("dev-2", "b" * 43)
    world.submit(EndAllSessions())
    assert world.door.accounts().sessions() == []
    assert world.status() != 200
