"""SECURITY.md, Limits and 37: whom an access rule refuses at the program's own door gets one word
that says nothing of the rule, and the owner's audit trail has a row that says why. Everything is
real but OpenCode, which is a socket that records; the visitors' sockets are as cloudflared's.
"""

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nexus_tray.app.door import Door
from nexus_tray.commands import Outcome
from nexus_tray.paths import Paths
from nexus_tray.settings import AccessSettings, TunnelSettings
from nexus_tray.store.accounts import SessionRow
from nexus_tray.store.audit import AuditEvent
from tests.api.doubles import first_snapshot
from tests.gateway.doubles import (
    HOST,
    SECRET,
    Answer,
    Link,
    RawClient,
    RawUpstream,
    answer_ok,
    eventually,
    tunnel_request,
)

TOKEN = "t" * 43  # as a cookie's token is written
DEVICE = "Ada's phone"
ADDRESS = "203.0.113.9"  # as tunnel_request has it
COUNTRY = "CF-IPCountry: DE"
FREE = {"requests_per_second": 0, "address_requests_per_second": 0, "streams": 0}
HINTS = ("address", "countr", "allowed", "denied", "device", "stream", "(DE)", ADDRESS, DEVICE)
"""Words that would tell the visitor which rule it was, or whose place he is at."""


def opencode(link: Link) -> None:
    """Answers at once, but for /event, which never ends."""
    if b"/event" not in link.read_head():
        answer_ok(link)
        return
    link.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    link.ended()


@dataclass
class Outside:
    """A door that is open, and who stands before it."""

    door: Door
    raw: RawUpstream
    socket_path: Path
    clients: list[RawClient]

    def client(self) -> RawClient:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self.socket_path))
        self.clients.append(RawClient(connection))
        return self.clients[-1]

    def ask(self, path: str, cookie: str | None = TOKEN) -> Answer:
        client = self.client()
        client.try_send(tunnel_request("GET", path, COUNTRY, cookie=cookie))
        return client.answer()

    def told(self) -> list[tuple[str, str]]:
        rows = self.door.audit().newest(1000)
        return [(row.address, row.outcome) for row in rows if row.event is AuditEvent.DENIED]


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Outside]:
    paths = Paths(*(folder / name for name in ("config", "data", "r", "tools")))
    door = Door(paths, first_snapshot, lambda _: Outcome(ok=True))
    raw = RawUpstream(opencode)
    outside = Outside(door, raw, paths.tunnel_socket, [])
    try:
        gateway = door.at_port(0)
        gateway.start()
        door.set_upstream(raw.upstream)
        door.set_routes((TunnelSettings(name="quick"),))
        gateway.open_door("quick", SECRET, holds_events=False)
        door.accounts().set_password("a password for the test")
        now = time.time()
        row = SessionRow(
            "ada", "tunnel", HOST, DEVICE, ADDRESS, now, now, now + 900, country="DE"
        )  # fmt: skip
        assert door.accounts().add_session(row, TOKEN, password_id=None, old=None)
        yield outside
    finally:
        for client in outside.clients:
            client.close()
        door.close()
        raw.close()


def silent(answer: Answer) -> bool:
    """Nothing of it says why."""
    said = answer.body.decode() + str([pair for pair in answer.headers if pair[0] != "date"])
    return not any(hint in said for hint in HINTS)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (AccessSettings(deny_addresses=("203.0.113.0/24",)), "denied (203.0.113.0/24)"),
        (AccessSettings(allow_addresses=("198.51.100.1",)), "not among the allowed"),
        (AccessSettings(deny_countries=("DE",)), "the country is denied (DE)"),
        (AccessSettings(allow_countries=("FR",)), "the country is not among the allowed (DE)"),
    ],
)
@pytest.mark.parametrize("cookie", [TOKEN, None])
def test_a_list_refuses_with_one_word_and_a_row(
    tmp_path: Path, settings: AccessSettings, why: str, cookie: str | None
) -> None:
    with opened(tmp_path) as outside:
        assert outside.ask("/session").body == b"ok", "the device is not signed in: nothing to show"
        before = outside.raw.received
        outside.door.set_limits(settings)
        for path in ("/session", "/_nexus/sign-in"):
            answer = outside.ask(path, cookie)
            assert (answer.status, answer.body) == (403, b"Refused.\n")
            assert silent(answer)
        assert outside.raw.received == before
        eventually(lambda: len(outside.told()) == 2)
        assert all(address == ADDRESS and why in told for address, told in outside.told())


def test_a_rate_refuses_without_a_reason_and_a_row_has_it(tmp_path: Path) -> None:
    rates = {"requests_per_second": 1, "address_requests_per_second": 1}
    whose = {
        TOKEN: f"more requests a second than one device may make ({DEVICE})",
        None: "more requests a second than one address may make",
    }
    with opened(tmp_path) as outside:
        outside.door.set_limits(AccessSettings(**{**FREE, **rates}))  # type: ignore[arg-type]
        for cookie, why in whose.items():
            answers = [outside.ask("/session", cookie) for _ in range(6)]
            assert answers[0].status == (200 if cookie else 401)
            refused = [answer for answer in answers if answer.status == 429]
            assert refused
            assert all(silent(answer) for answer in refused)
            eventually(lambda why=why: (ADDRESS, why) in outside.told())  # type: ignore[misc]


def test_a_stream_too_many_is_refused_so_too(tmp_path: Path) -> None:
    with opened(tmp_path) as outside:
        outside.door.set_limits(AccessSettings(**{**FREE, "streams": 1}))  # type: ignore[arg-type]
        first = outside.client()
        first.send(tunnel_request("GET", "/event", cookie=TOKEN))
        assert first.head().status == 200
        refused = outside.ask("/event")
        assert refused.status == 429
        assert silent(refused)
        why = f"more streams at once than one device may have ({DEVICE})"
        eventually(lambda: outside.told() == [(ADDRESS, why)])
