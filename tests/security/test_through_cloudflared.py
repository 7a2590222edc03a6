"""SECURITY.md 2, 4 and 5 once more, from where a visitor stands: Cloudflare's edge (the lab's) and
cloudflared (the stand-in, and the real program where there is one) before the real gateway.

The corpus is sent at the edge as an HTTP/1.1 client can send it, by a stranger who forges what
he can. What the edge refuses comes no further; whatever it makes of the rest, OpenCode's recorder
must see none of it, and between the attacks whoever is signed in is served as ever, once.
"""

import contextlib
import socket
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from nexus_tray.cloudflare import config_file
from nexus_tray.gateway.bounds import Bounds
from tests.cloudflare.lab import Lab, cloudflareds
from tests.contract.test_cloudflared import Bench
from tests.gateway.doubles import CREDENTIAL, HOST, SECRET, Answer, House, RawClient, house
from tests.security.smuggling_corpus import CASES
from tests.security.test_headers import FORGED, STRIPPED

WAYS = [(name, way) for name in cloudflareds() for way in ("quic", "http2")]
WAYS.remove(("stand-in", "http2"))  # between the edge and it, both are the same
AT_ONCE = 16
PATIENCE = 0.4
"""Seconds until an answer that does not come is given up: some cases are no whole request."""


@dataclass
class Edge:
    """The lab's edge, and what is behind it."""

    front: tuple[str, int]
    hostname: str
    home: House

    def send(self, data: bytes, patience: float = PATIENCE) -> Answer | None:
        """What the edge answers to these bytes; None: nothing."""
        with socket.create_connection(self.front) as line:
            client = RawClient(line)
            line.settimeout(patience)
            client.try_send(data)
            with contextlib.suppress(TimeoutError, EOFError, ConnectionError):
                return client.answer()
        return None

    def get(self, target: str, *fields: str, cookie: str = "ada") -> Answer | None:
        """A visitor's request, whole and clear."""
        lines = [f"GET {target} HTTP/1.1", f"Host: {self.hostname}", *fields]
        lines += [f"Cookie: __Host-nexus={cookie}", "", ""]
        return self.send("\r\n".join(lines).encode("latin-1"), 10.0)

    def arrived(self, target: str) -> int:
        """How often this target was asked of OpenCode."""
        return self.home.raw.received.count(f" {target} HTTP/1.1\r\n".encode())


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("edge") / "lab")
    yield made
    made.close()


@pytest.fixture(scope="module", params=WAYS, ids="-".join)
def edge(
    request: pytest.FixtureRequest, cloud: Lab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edge]:
    name, transport = request.param
    folder: Path = tmp_path_factory.mktemp("c")
    with contextlib.ExitStack() as ending:
        home = ending.enter_context(house(folder, bounds=Bounds(sweep=0.05, head=2.0)))
        bench = Bench(cloudflareds()[name], cloud, folder)
        ending.callback(bench.close)
        bench.lead_to(home.socket_path)
        hostname = bench.quick(transport, **config_file.tag_environment(SECRET)).hostname()
        front = urllib.parse.urlsplit(cloud.info["front"])
        made = Edge((front.hostname or "", front.port or 0), hostname, home)
        answer = made.get("/first")
        assert answer is not None
        assert answer.status == 200
        yield made


def strangers(edge: Edge, data: bytes) -> bytes:
    """The same from somebody without a session, who knows none of our secrets."""
    forged = data.replace(b"__Host-nexus=ada", b"__Host-nexus=" + FORGED.encode())
    forged = forged.replace(SECRET.encode(), FORGED.encode())
    return forged.replace(HOST.encode(), edge.hostname.encode())


BEHIND = f"GET /smuggled HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Basic {FORGED}\r\n\r\n".encode()


def test_the_corpus_sent_at_the_edge_leaves_opencode_alone(edge: Edge) -> None:
    """Each case with a second request behind it; a signed-in visitor comes between them."""
    before = len(edge.home.raw.received)
    answered: list[Answer | None] = []
    with ThreadPoolExecutor(AT_ONCE) as crowd:
        for start in range(0, len(CASES), 64):
            attacks = [strangers(edge, data + BEHIND) for _, data in CASES[start : start + 64]]
            answered += crowd.map(edge.send, attacks)
            target = f"/mine-{start}"
            mine = edge.get(target)
            assert mine is not None
            assert (mine.status, mine.body) == (200, b"ok")
            assert edge.arrived(target) == 1
    received = edge.home.raw.received[before:]
    assert received.count(b"HTTP/1.1\r\n") == len(range(0, len(CASES), 64)), "and nothing else"
    assert received.count(CREDENTIAL) == received.count(b"HTTP/1.1\r\n")
    assert FORGED.encode() not in received
    assert b"/smuggled" not in received
    statuses = {answer.status for answer in answered if answer is not None}
    assert 401 in statuses, "some of it is a clear request by the time it is at our door"
    assert 200 not in statuses


def test_what_a_visitor_forges_at_the_edge_goes_no_further(edge: Edge) -> None:
    """Signed in, each forged field: served once, and the recorder sees our credential alone."""
    before = len(edge.home.raw.received)
    served = 0
    for number, line in enumerate(STRIPPED):
        target = f"/forged-{number}"
        answer = edge.get(target, line)
        assert answer is not None
        assert answer.status in (200, 400, 401), line
        assert edge.arrived(target) == (answer.status == 200), line
        served += answer.status == 200
    received = edge.home.raw.received[before:]
    assert served > 25
    assert FORGED.encode() not in received
    assert received.count(b"authorization: " + CREDENTIAL) == served


@pytest.mark.parametrize("name", ["__Host-nexus", "nexus_local"])
def test_forged_credentials_alone_open_nothing(edge: Edge, name: str) -> None:
    before = edge.home.raw.received
    forged = [
        f"Authorization: Bearer nx_{FORGED}",
        f"Authorization: Basic {CREDENTIAL.decode().partition(' ')[2]}",
        f"Cookie: {name}={FORGED}",
        "CF-Access-Authenticated-User-Email: owner@example.com",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-User: owner",
        "CF-Connecting-IP: 127.0.0.1",
    ]
    for line in forged:
        answer = edge.get("/x", line, cookie=FORGED)
        assert answer is not None
        assert answer.status == 401, line
    assert edge.home.raw.received == before
