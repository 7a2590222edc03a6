"""OpenCode itself is shut to everybody but the gateway: where it listens, what it asks for, and
sessions that are over, asked for over the real gateway and the real store (SECURITY.md 2).
"""

import http.client
import sys

import psutil
import pytest

from nexus_tray.store.accounts import ABSOLUTE_SECONDS, IDLE_SECONDS
from tests.gateway.doubles import HOST, tunnel_request
from tests.opencode_lab.harness import Home, Keeper
from tests.security.test_signin_e2e import House, house, seen

__all__ = ["house"]

HANDSHAKE = (
    f"Origin: https://{HOST}",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
OVER = {
    "idle": ([IDLE_SECONDS + 1], True),
    "just not idle": ([IDLE_SECONDS - 60], False),
    "busy, but a week old": ([IDLE_SECONDS - 60] * 15, True),
}


@pytest.mark.parametrize(("waits", "over"), OVER.values(), ids=OVER.keys())
def test_a_session_that_is_over_reaches_nothing(
    house: House, waits: list[float], over: bool
) -> None:
    """CWE-613, with the clock of the store turned on; until then the very cookie is good."""
    cookie = house.cookie()
    for wait in waits:
        assert house.get(cookie=cookie).status == 200
        before = seen(house)
        house.world.vault.wall.now += wait
        house.world.vault.monotonic.now += wait
    assert sum(waits) > ABSOLUTE_SECONDS or len(waits) == 1
    assert (house.get(cookie=cookie).status == 303) is over
    socket = house.ask(tunnel_request("GET", "/pty/1/connect", *HANDSHAKE, cookie=cookie))
    assert (socket.status == 401) is over
    assert (seen(house) == before) is over


def test_a_clock_that_fell_back_lets_no_session_through_the_tunnel(house: House) -> None:
    """SECURITY.md 27: nobody can say what is over then."""
    cookie = house.cookie()
    assert house.get(cookie=cookie).status == 200
    before = seen(house)
    house.world.vault.wall.now -= 365 * 86400
    assert house.get(cookie=cookie).status == 503
    assert seen(house) == before


def status(port: int, path: str, authorization: str | None = None) -> int:
    """What the server there answers to anybody on this machine."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        line.request("GET", path, headers={"Authorization": authorization} if authorization else {})
        return line.getresponse().status
    finally:
        line.close()


def listens_at(pid: int) -> set[str]:
    """The addresses at which it, and all that it started, accept connections."""
    root = psutil.Process(pid)
    return {
        entry.laddr.ip
        for process in (root, *root.children(recursive=True))
        for entry in process.net_connections(kind="inet")
        if entry.status == psutil.CONN_LISTEN
    }


@pytest.mark.skipif(sys.platform == "win32", reason="other processes' sockets need rights there")
def test_opencode_listens_to_this_machine_and_to_one_new_password(opencode_home: Home) -> None:
    """CWE-1327, CWE-306, CWE-331: loopback only, and 256 bits that are new at each start."""
    passwords = []
    with Keeper(opencode_home) as keeper:
        for _ in range(2):
            upstream = keeper.start()
            assert listens_at(keeper.pid) == {"127.0.0.1"}
            secret = psutil.Process(keeper.pid).environ()["OPENCODE_SERVER_PASSWORD"]
            assert len(secret) >= 43, "256 bits in base64url"
            passwords.append(secret)
            own = upstream.authorization.decode()
            for path in ("/", "/session", "/config", "/file/content?path=x", "/event", "/doc"):
                assert status(upstream.port, path) == 401, path
            assert status(upstream.port, "/session", own) == 200
            keeper.driver.stop(keeper.run)
            keeper.exited()
    assert passwords[0] != passwords[1]
