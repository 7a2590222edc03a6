"""API tokens over the real gateway's sockets (SECURITY.md "API tokens", 2, 4, 7, 8, 37): who bears
one reaches OpenCode and nothing else, and nothing of what is refused does. Read-only ones have a
module of their own, `test_tokens_reading`.
"""

import base64
import contextlib
import http.client
import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.app import door as program_door
from nexus_tray.commands import Outcome
from nexus_tray.gateway.routes import OPENCODE_ONLY, table_of
from nexus_tray.paths import find
from nexus_tray.settings import RouteSettings, TunnelSettings
from tests.api.doubles import first_snapshot
from tests.gateway.doubles import (
    CREDENTIAL,
    HOST,
    OK,
    SECRET,
    Answer,
    Link,
    RawClient,
    RawUpstream,
    eventually,
    tunnel_request,
)
from tests.gateway.worlds import PASSWORD
from tests.security.test_signin_e2e import STREAM, House, house, seen

__all__ = ["house"]

DAY = 86400.0
ORIGIN = f"Origin: https://{HOST}"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
HANDSHAKE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


def basic(token: str, user: str = "opencode") -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


def ask(
    house: House, *fields: str, target: str = "/session", method: str = "GET",
    cookie: str | None = None, host: str = HOST,
) -> Answer:  # fmt: skip
    length = () if method in ("GET", "HEAD", "OPTIONS") else ("Content-Length: 0",)
    return house.ask(
        tunnel_request(method, target, *fields, *length, cookie=cookie, host=host), method
    )


def serve(link: Link) -> None:
    """Answers each request without a body: /event with a stream that does not end by itself, a
    handshake with its 101, all else with a small 200."""
    for count in itertools.count(1):
        head = link.read_head(count).split(b"\r\n\r\n")[count - 1].lower()
        if b"\r\nupgrade: websocket" in head:
            link.send(SWITCHED)
            link.ended()
            return
        if head.startswith(b"get /event "):
            link.send(STREAM + b"8\r\ndata: 1\n\r\n")
            link.ended()
            return
        link.send(OK.partition(b"ok")[0] if head.startswith(b"head") else OK)


@pytest.fixture
def full(house: House) -> str:
    return house.world.vault.tokens.make("laptop", "full", 30)


@pytest.mark.parametrize("bring", [bearer, basic])
def test_a_full_token_is_replaced_by_opencodes_own_password(
    house: House, full: str, bring: object
) -> None:
    """HTTP and WebSocket, without an Origin, as OpenCode's own clients ask (SECURITY.md 4)."""
    house.upstream.script = serve
    field = bearer(full) if bring is bearer else basic(full)
    assert ask(house, field).status == 200
    assert ask(house, field, method="POST").status == 200
    client = house.client()
    client.send(tunnel_request("GET", "/pty/1/connect", field, *HANDSHAKE, cookie=None))
    assert client.answer().status == 101
    client.close()
    received = seen(house)
    assert full.encode() not in received
    assert field.partition(": ")[2].encode() not in received
    count = received.lower().count(b"authorization:")
    assert count == received.count(CREDENTIAL) == 3


def bad_fields(full: str, over: str) -> dict[str, tuple[str, ...]]:
    unknown = "nx_" + "a" * 43
    return {
        "unknown": (bearer(unknown),),
        "unknown, Basic": (basic(unknown),),
        "revoked or expired": (bearer(over),),
        "revoked or expired, Basic": (basic(over),),
        "too short": (bearer(full[:-1]),),
        "too long": (bearer(full + "a"),),
        "a blank after": (bearer(full + " x"),),
        "two in one field": (bearer(f"{full}, Bearer {full}"),),
        "only the prefix": (bearer("nx_"),),
        "other scheme": (f"Authorization: Digest {full}",),
        "no scheme": (f"Authorization: {full}",),
        "as the user": (basic("", full),),
        "two fields, the same": (bearer(full), bearer(full)),
        "two fields, one bad": (bearer(full), bearer(unknown)),
        "two fields, one foreign": ("Authorization: Basic eDp5", bearer(full)),
        "two kinds": (basic(full), bearer(full)),
        "not base64": ("Authorization: Basic " + "*" * 20,),
        "as a cookie": (f"Cookie: __Host-nexus={full}",),
        "taken away by Connection": ("Connection: authorization", bearer(full)),
    }


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_what_is_no_good_token_reaches_nothing(house: House, full: str, how: str) -> None:
    """SECURITY.md 2: 401 (a page asked for is led to sign in), closed, 0 bytes upstream."""
    tokens = house.world.vault.tokens
    over = tokens.make("old", "full", 1)
    assert ask(house, bearer(over)).status == 200, "it is in the cache"
    if how == "revoked":
        assert tokens.revoke(next(row.id for row in tokens.all() if row.name == "old"))
    else:
        house.world.vault.wall.now += DAY
    before = seen(house)
    for name, fields in bad_fields(full, over).items():
        for socket_too in ((), (*HANDSHAKE, ORIGIN)):
            answer = ask(house, *fields, *socket_too)
            assert answer.status == 401, (name, answer)
            assert answer.get("www-authenticate") is None, "no browser shall ask for it"
    assert seen(house) == before


def test_beside_a_cookie_the_token_alone_is_judged(house: House, full: str) -> None:
    cookie = house.cookie()
    assert ask(house, bearer(full), cookie="made-up").status == 200
    before = seen(house)
    unknown = "nx_" + "a" * 43
    for field in (bearer(unknown), basic(unknown)):
        assert ask(house, field, cookie=cookie).status == 401
    assert ask(house, bearer(full), bearer(full), cookie=cookie).status == 401
    # with a cookie of ours it is a browser, and must say from which page it comes
    for one in (cookie, "made-up"):
        assert ask(house, bearer(full), method="POST", cookie=one).status == 403
        assert ask(house, bearer(full), *HANDSHAKE, cookie=one).status == 403
    assert seen(house) == before
    assert ask(house, bearer(full), ORIGIN, method="POST", cookie=cookie).status == 200


@pytest.mark.parametrize("origin", ["null", "https://evil.example", f"http://{HOST}", f"{HOST}"])
def test_a_foreign_origin_is_refused_with_any_token(house: House, full: str, origin: str) -> None:
    """CWE-352, CWE-1385: what a browser remembers of Basic counts for no page elsewhere."""
    for field in (bearer(full), basic(full)):
        for method in METHODS:
            assert ask(house, field, f"Origin: {origin}", method=method).status == 403
        assert ask(house, field, f"Origin: {origin}", *HANDSHAKE).status == 403
    assert seen(house) == b""


def test_it_opens_no_page_of_ours_and_no_preview(house: House, full: str) -> None:
    for target in ("/_nexus/", "/_nexus/home-fragment", "/_nexus/visit", "/_nexus/none"):
        assert ask(house, bearer(full), target=target).status != 200, target
    assert ask(house, bearer(full), ORIGIN, target="/_nexus/answer", method="POST").status == 303
    events = ask(house, bearer(full), ORIGIN, *HANDSHAKE, target="/_nexus/events")
    assert events.status == 401
    assert house.world.commands == []
    service = RouteSettings(
        hostname="app.lab.example", service=f"http://127.0.0.1:{house.upstream.port}"
    )
    routes = (RouteSettings(hostname=HOST), service)
    house.gateway.set_routes(table_of([TunnelSettings(name="quick", kind="named", routes=routes)]))
    for field in (bearer(full), basic(full)):
        assert ask(house, field, host="app.lab.example").status == 401
    assert seen(house) == b""
    assert ask(house, bearer(full)).status == 200, "the very token is good where it counts"


def test_an_uncertain_clock_shuts_remote_doors_alone(house: House, full: str) -> None:
    """SECURITY.md 27."""
    assert ask(house, bearer(full)).status == 200
    before = seen(house)
    # a little before the newest row of the audit trail, and after the token was made
    vault = house.world.vault
    vault.wall.now += 3600
    other = vault.tokens.make("other", "full", 30)
    vault.wall.now -= 1800
    assert vault.sessions.clock_uncertain()
    assert ask(house, bearer(full)).status == 503
    assert seen(house) == before
    assert local(house, bearer(full)) == 200
    assert local(house, bearer(other)) == 401, "made later than now"


def local(house: House, field: str) -> int:
    name, _, value = field.partition(": ")
    line = http.client.HTTPConnection("127.0.0.1", house.gateway.local_port, timeout=10)
    with contextlib.closing(line):
        line.request("GET", "/session", headers={name: value})
        return line.getresponse().status


# what is kept of it


def test_the_audit_trail_tells_and_nothing_keeps_the_token(house: House, full: str) -> None:
    """SECURITY.md 37: made, used, refused, ended; the token in no row and no file."""
    vault = house.world.vault
    assert ask(house, bearer(full)).status == 200
    unknown = "nx_" + "b" * 43
    assert ask(house, bearer(unknown)).status == 401
    assert house.world.refused == ["203.0.113.9"]
    [row] = vault.tokens.all()
    assert (row.name, row.address, row.seen_at is not None) == ("laptop", "203.0.113.9", True)
    assert vault.tokens.revoke(row.id)
    told = [(event, who, outcome) for event, who, _, outcome in vault.events()]
    assert ("token-made", "owner", "laptop: full, for 30 days") in told
    assert ("token-used", "laptop", "for the first time") in told
    assert ("token-ended", "owner", "laptop: revoked") in told
    for path in house.folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for token in (full, unknown):
                assert token.encode() not in data, path
                assert token[3:].encode() not in data, path


def test_two_places_in_turn_fill_no_audit_trail(house: House, full: str) -> None:
    """CWE-779: a token used by two machines is told once of each, not once a request."""
    for turn in range(20):
        field = f"X-Forwarded-For: 192.0.2.{turn}"  # which counts for nothing
        request = tunnel_request("GET", "/session", bearer(full), field, cookie=None)
        address = f"CF-Connecting-IP: 198.51.100.{turn % 2}".encode()
        assert house.ask(request.replace(b"CF-Connecting-IP: 203.0.113.9", address)).status == 200
    told = [event for event, *_ in house.world.vault.events() if event == "token-used"]
    assert len(told) == 2


# the gateway as the program puts it together


class Program:
    """`app.door.Door`, its gateway running before a recording OpenCode."""

    def __init__(self, folder: Path) -> None:
        self.at_cut: list[int] = []
        self.asked = ""
        room = self

        class Watched(program_door.Door):
            def _cut(self, principal_id: str) -> None:
                """Whoever asks in the moment of the cut must be refused already."""
                super()._cut(principal_id)
                room.at_cut.append(room.ask())

        paths = find({"NEXUS_TRAY_HOME": str(folder)})
        self.door = Watched(paths, first_snapshot, lambda _: Outcome(ok=True))
        self.upstream = RawUpstream(serve)
        self.gateway = self.door.gateway()
        self.gateway.start()
        self.gateway.set_upstream(self.upstream.upstream)
        self.gateway.set_routes({"work": OPENCODE_ONLY})
        self.gateway.open_door("work", SECRET, holds_events=False)
        self.door.accounts().set_password(PASSWORD)

    def connect(self) -> RawClient:
        return RawClient(socket.create_connection(("127.0.0.1", self.gateway.local_port)))

    def send(self, target: str) -> RawClient:
        client = self.connect()
        lines = (f"GET {target} HTTP/1.1", f"Host: 127.0.0.1:{self.gateway.local_port}")
        client.send("\r\n".join([*lines, bearer(self.asked), "", ""]).encode())
        return client

    def ask(self) -> int:
        client = self.send("/session")
        try:
            return client.answer().status
        finally:
            client.close()

    def close(self) -> None:
        self.gateway.close()
        self.upstream.close()
        self.door.close()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path)
    yield made
    made.close()


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as made:
        yield made


ENDINGS = {
    "revoked": lambda p, ident: p.door.vault().tokens.revoke(ident),
    "password changed": lambda p, ident: p.door.accounts().set_password("another long one"),
    "password removed": lambda p, ident: p.door.accounts().clear_password(),
    "panic": lambda p, ident: p.door.accounts().panic(),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_its_end_cuts_what_is_open_and_holds_from_that_moment(
    program: Program, stack: contextlib.ExitStack, ending: str
) -> None:
    """SECURITY.md 8: also for who asks just when the streams are cut, out of any cache."""
    program.asked = program.door.vault().tokens.make("laptop", "full", 30)
    assert program.ask() == 200
    stream = program.send("/event")
    stack.callback(stream.close)
    stream.read_until(b"data: 1")
    [row] = program.door.vault().tokens.all()
    before = program.upstream.received
    ENDINGS[ending](program, row.id)
    stream.socket.settimeout(2.0)
    stream.rest()
    assert program.at_cut == [401]
    assert program.ask() == 401
    assert program.upstream.received == before
    assert program.door.vault().tokens.all() == []


def test_a_refused_token_is_told_in_the_programs_audit(program: Program) -> None:
    program.asked = "nx_" + "c" * 43
    assert [program.ask() for _ in range(5)] == [401] * 5

    def told() -> bool:
        rows = [row for row in program.door.audit().newest(50) if row.event == "token-refused"]
        return len(rows) == 5 and not any("nx_" in row.outcome for row in rows)

    eventually(told)
