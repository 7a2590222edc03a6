"""SECURITY.md 8 over real sockets: whatever ends a way in cuts what it has open, and fast.

A device that was paired at the tunnel's socket, and the bearer of a token, hold a server-sent
event stream, a WebSocket of OpenCode's (both ways), the event bridge's WebSocket, and a stream
that they do not read. The gateway is `app.door.Door`'s, as the program puts it together.
"""

import contextlib
import re
import socket
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nexus_tray.app.door import Door
from nexus_tray.commands import Outcome
from nexus_tray.gateway.routes import OPENCODE_ONLY
from nexus_tray.paths import find
from tests.api.doubles import first_snapshot
from tests.gateway.doubles import (
    HOST,
    OK,
    SECRET,
    Link,
    RawClient,
    RawUpstream,
    eventually,
    tunnel_request,
)
from tests.gateway.worlds import PASSWORD
from tests.security.test_signin_e2e import STREAM
from tests.security.test_tokens import HANDSHAKE, SWITCHED, bearer

WITHIN = 5.0
ORIGIN = f"Origin: https://{HOST}"
PIECE = b"10000\r\n" + b"x" * 65536 + b"\r\n"


def serve(link: Link) -> None:
    """An event stream, a WebSocket that says something, a flood, or a small answer."""
    head = link.read_head().lower()
    if b"\r\nupgrade: websocket" in head:
        link.send(SWITCHED + b"\x82\x02hi")
        link.ended()
    elif head.startswith(b"get /event "):
        link.send(STREAM + b"8\r\ndata: 1\n\r\n")
        link.ended()
    elif head.startswith(b"get /flood "):
        link.send(STREAM)
        while True:
            link.send(PIECE)
    else:
        link.send(OK)
        link.ended()


class Room:
    """The gateway of the program, and who is in it."""

    def __init__(self, folder: Path) -> None:
        self.paths = find({"NEXUS_TRAY_HOME": str(folder)})
        self.door = Door(self.paths, first_snapshot, lambda _: Outcome(ok=True))
        self.upstream = RawUpstream(serve)
        self.gateway = self.door.gateway()
        self.gateway.start()
        self.gateway.set_upstream(self.upstream.upstream)
        self.gateway.set_routes({"quick": OPENCODE_ONLY})
        self.gateway.open_door("quick", SECRET, holds_events=False)
        self.door.accounts().set_password(PASSWORD)
        self.clients: list[RawClient] = []

    def connect(self) -> RawClient:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self.paths.tunnel_socket))
        self.clients.append(RawClient(connection))
        return self.clients[-1]

    def pair(self) -> str:
        """The cookie of a device that was paired by the page's own post."""
        body = urllib.parse.urlencode({"token": self.door.vault().pairings.make(HOST, "")}).encode()
        fields = (
            ORIGIN,
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(body)}",
        )
        client = self.connect()
        client.send(tunnel_request("POST", "/_nexus/pair", *fields, cookie=None, body=body))
        found = re.match(r"__Host-nexus=([\w-]{43});", client.answer().get("set-cookie") or "")
        assert found
        return found[1]

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.gateway.close()
        self.upstream.close()
        self.door.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with contextlib.closing(Room(tmp_path)) as made:
        yield made


Ask = Callable[..., bytes]


def as_device(room: Room) -> Ask:
    cookie = room.pair()
    return lambda target, *fields: tunnel_request("GET", target, ORIGIN, *fields, cookie=cookie)


def as_bearer(room: Room) -> Ask:
    token = room.door.vault().tokens.make("laptop", "full", 30)
    return lambda target, *fields: tunnel_request(
        "GET", target, bearer(token), *fields, cookie=None
    )


def end_one(room: Room) -> None:
    """The dashboard's revocation of that one device or token."""
    for row in room.door.accounts().sessions():
        room.door.accounts().end_session(row.id, "owner", "local")
    for token in room.door.vault().tokens.all():
        assert room.door.vault().tokens.revoke(token.id)


ENDINGS: dict[str, Callable[[Room], object]] = {
    "revoked": end_one,
    "password changed": lambda room: room.door.accounts().set_password("another long one"),
    "password removed": lambda room: room.door.accounts().clear_password(),
    "panic": lambda room: room.door.accounts().panic(),
}


def hold_open(room: Room, ask: Ask, *, bridge: bool) -> tuple[list[RawClient], RawClient]:
    """Every kind of stream, each seen to work; the last is not read."""
    events = room.connect()
    events.send(ask("/event"))
    events.read_until(b"data: 1")
    terminal = room.connect()
    terminal.send(ask("/pty/1/connect", *HANDSHAKE))
    assert terminal.answer().status == 101
    assert terminal.read_until(b"hi")
    open_ones = [events, terminal]
    if bridge:
        bridged = room.connect()
        bridged.send(ask("/_nexus/events", *HANDSHAKE))
        assert bridged.answer().status == 101
        open_ones.append(bridged)
    deaf = room.connect()
    deaf.send(ask("/flood"))
    assert deaf.head().status == 200
    return open_ones, deaf


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("who", [as_device, as_bearer])
def test_what_ends_a_way_in_cuts_all_that_it_has_open(
    room: Room, who: Callable[[Room], Ask], ending: str
) -> None:
    ask = who(room)
    open_ones, _ = hold_open(room, ask, bridge=who is as_device)
    links = list(room.upstream.links)
    began = time.monotonic()
    ENDINGS[ending](room)
    for client in open_ones:
        client.socket.settimeout(WITHIN)
        assert b"data" not in client.rest()  # and it is over
    # to OpenCode too, also of the one who did not read
    eventually(lambda: all(link.socket.fileno() == -1 for link in links), WITHIN)
    assert time.monotonic() - began < WITHIN
    again = room.connect()
    again.send(ask("/event"))
    assert again.answer().status in (303, 401, 403)
    assert len(room.upstream.links) == len(links)


def test_another_device_keeps_what_it_has(room: Room) -> None:
    theirs, mine = as_device(room), as_device(room)
    kept = room.connect()
    kept.send(mine("/pty/1/connect", *HANDSHAKE))
    assert kept.answer().status == 101
    kept.read_until(b"hi")
    gone = room.connect()
    gone.send(theirs("/event"))
    gone.read_until(b"data: 1")
    first, *_ = sorted(room.door.accounts().sessions(), key=lambda row: row.created_at)
    room.door.accounts().end_session(first.id, "owner", "local")
    gone.rest()
    kept.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        kept.socket.recv(1)
