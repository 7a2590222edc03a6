"""SECURITY.md 3: nobody but our cloudflared speaks to the tunnels' socket, and nobody but this
machine's browser to the local door."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from nexus_tray.gateway import doors
from nexus_tray.gateway.server import Gateway
from nexus_tray.model import Problem
from tests.gateway.doubles import (
    HOST,
    SECRET,
    House,
    SmallSite,
    house,
    no_shape,
    tunnel_request,
)

OTHER = "another-tunnels-secret-of-this-run"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


def raw(*lines: str) -> bytes:
    fields = [f"Host: {HOST}", "Cookie: __Host-nexus=ada", "CF-Connecting-IP: 203.0.113.9"]
    return "\r\n".join(["GET / HTTP/1.1", *fields, *lines, "", ""]).encode("latin-1")


TAG = "Cf-Warp-Tag-Gw: "


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (TAG,),
        (TAG + "x",),
        (TAG + SECRET[:-1],),
        (TAG + SECRET + "x",),
        (TAG + SECRET.upper(),),
        (TAG + SECRET + ", " + SECRET,),
        (TAG + SECRET, TAG + "x"),
        (TAG + SECRET, TAG),
        (TAG + SECRET, "CF-WARP-TAG-GW: x"),
        ("Cf-Warp-Tag-Gx: " + SECRET,),
        ("Cf_Warp_Tag_Gw: " + SECRET,),
        ("X-Cf-Warp-Tag-Gw: " + SECRET,),
        (TAG + "é" * 34,),
        (TAG + OTHER,),
    ],
)
def test_without_the_secret_last_nobody_is_admitted(home: House, lines: tuple[str, ...]) -> None:
    answer = home.ask(raw(*lines))
    assert (answer.status, answer.get("connection")) == (403, "close")
    assert home.site.seen == []  # no credential was looked at
    assert home.raw.received == b""


def test_a_forged_secret_before_the_genuine_one_is_harmless(home: House) -> None:
    """The edge passes the visitor's field, and cloudflared appends ours (FACTS.md)."""
    assert home.ask(raw(TAG + "forged", TAG + OTHER, TAG + SECRET)).status == 200
    assert b"cf-" not in home.raw.received.lower()
    assert b"forged" not in home.raw.received


def test_each_tunnel_has_its_own_secret_and_name(home: House) -> None:
    home.gateway.open_door("work", OTHER, holds_events=False)
    for secret, name, holds in ((SECRET, "quick", True), (OTHER, "work", False)):
        assert home.ask(tunnel_request(secret=secret)).status == 200
        door = home.site.seen[-1].visitor.door
        assert (door.name, door.holds_events, door.secure) == (name, holds, True)
    home.gateway.close_door("work")
    assert home.ask(tunnel_request(secret=OTHER)).status == 403
    assert home.ask(tunnel_request(secret=SECRET)).status == 200


def test_a_new_secret_voids_the_old_one(home: House) -> None:
    home.ask(tunnel_request())
    assert home.gateway.channel_proved("quick")
    home.gateway.open_door("quick", OTHER, holds_events=True)
    assert not home.gateway.channel_proved("quick")
    assert home.ask(tunnel_request(secret=SECRET)).status == 403
    assert home.ask(tunnel_request(secret=OTHER)).status == 200
    assert home.gateway.channel_proved("quick")


def test_a_weak_secret_is_a_bug(home: House) -> None:
    with pytest.raises(ValueError, match="22"):
        home.gateway.open_door("weak", "short", holds_events=False)


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("CF-Connecting-IP: ",),
        ("CF-Connecting-IP: not-an-address",),
        ("CF-Connecting-IP: 203.0.113.9, 198.51.100.1",),
        ("CF-Connecting-IP: 203.0.113.9", "CF-Connecting-IP: 203.0.113.9"),
        ("CF-Connecting-IP: 203.0.113.9:80",),
        ("CF-Connecting-IP: 203.0.113.009",),
        ("CF-Connecting-IP: fe80::1%eth0",),
        ("CF-Connecting-IP: 3405803785",),
        ("CF_Connecting_IP: 203.0.113.9",),
        ("X-Forwarded-For: 203.0.113.9",),
    ],
)
def test_without_one_clear_address_nobody_is_admitted(home: House, lines: tuple[str, ...]) -> None:
    fields = [f"Host: {HOST}", "Cookie: __Host-nexus=ada", *lines, TAG + SECRET]
    request = "\r\n".join(["GET / HTTP/1.1", *fields, "", ""]).encode()
    assert home.ask(request).status == 403
    assert home.site.seen == []


@pytest.mark.parametrize("address", ["203.0.113.9", "2001:db8::1"])
def test_the_address_is_the_edges_and_never_a_proxys(home: House, address: str) -> None:
    fields = [
        f"Host: {HOST}", "Cookie: __Host-nexus=ada", "X-Forwarded-For: 192.0.2.66",
        "X-Real-IP: 192.0.2.66", f"CF-Connecting-IP: {address}", TAG + SECRET,
    ]  # fmt: skip
    request = "\r\n".join(["GET / HTTP/1.1", *fields, "", ""]).encode()
    assert home.ask(request).status == 200
    assert home.site.seen[-1].visitor.address == address


# the local door


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.0.0.1:{other}",
        "evil.example:{port}",
        "localhost.evil.example:{port}",
        "127.0.0.1.evil.example:{port}",
        "127.1:{port}",
        "0.0.0.0:{port}",
        "[::1]:{port}",
        "127.0.0.2:{port}",
        "localhost.:{port}",
        HOST,
    ],
)
def test_the_local_door_answers_only_to_its_own_name(home: House, host: str) -> None:
    """DNS rebinding: a foreign name that leads to 127.0.0.1."""
    port = home.gateway.local_port
    host = host.format(port=port, other=port ^ 1)
    client = home.local()
    client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\nCookie: nexus_local=ada\r\n\r\n".encode())
    assert client.answer().status in (400, 403)
    assert home.site.seen == []


def test_the_local_door_believes_no_tunnels_fields(home: House) -> None:
    client = home.local()
    client.send(tunnel_request(host=f"127.0.0.1:{home.gateway.local_port}"))
    assert client.answer().status == 401
    visitor = home.site.seen[-1].visitor
    assert (visitor.address, visitor.country, visitor.door.name) == ("local", None, "local")
    assert home.raw.received == b""


def test_it_listens_on_loopback_only(home: House) -> None:
    port = home.gateway.local_port
    listening = Path("/proc/net/tcp").read_text()
    assert f"0100007F:{port:04X} 00000000:0000 0A" in listening
    assert f"00000000:{port:04X} 00000000:0000 0A" not in listening


def listening() -> int:
    """How many loopback ports this process listens on."""
    return sum(
        c.status == psutil.CONN_LISTEN and c.laddr.ip == "127.0.0.1"
        for c in psutil.Process().net_connections("tcp4")
    )


def test_there_is_no_port_for_tunnels_until_one_needs_it(home: House) -> None:
    before = listening()
    port = home.gateway.tunnel_port()
    assert listening() == before + 1
    assert home.gateway.tunnel_port() == port
    with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
        stranger.sendall(tunnel_request(secret=OTHER))
        assert stranger.recv(4096).startswith(b"HTTP/1.1 403 ")
    assert home.raw.received == b""


def test_a_tunnels_port_survives_a_restart_of_the_gateway(home: House) -> None:
    port = home.gateway.tunnel_port()
    home.gateway.close()
    home.gateway.start()
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        assert home.gateway.tunnel_port() == port


# the socket


def test_the_socket_is_for_its_owner_alone(home: House) -> None:
    assert stat.S_IMODE(home.socket_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.socket_path.parent.stat().st_mode) == 0o700


CONNECT = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except PermissionError:
    sys.exit(13)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_cannot_connect(home: House, tmp_path: Path) -> None:
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.owner() == "root" and "pytest" in folder.name:
            folder.chmod(0o755)  # so that it is our folder and socket that refuse, not pytest's
    done = subprocess.run([sys.executable, "-c", CONNECT, str(home.socket_path)], check=False)
    assert done.returncode == 13
    home.socket_path.parent.chmod(0o711)
    done = subprocess.run([sys.executable, "-c", CONNECT, str(home.socket_path)], check=False)
    assert done.returncode == 13, "the socket's own mode must refuse as well"


def gateway(path: Path) -> Gateway:
    return Gateway(SmallSite(), no_shape, path)


def test_a_socket_left_by_a_killed_run_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    made = gateway(path)
    made.start()
    made.close()


def test_a_living_instance_is_not_robbed_of_its_socket(home: House) -> None:
    second = gateway(home.socket_path)
    with pytest.raises(Problem) as caught:
        second.start()
    assert caught.value.reason.code == "gateway-socket-unusable"
    assert not second.running
    assert home.ask(tunnel_request()).status == 200


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(Problem, match="other users"):
        doors.listen_unix(folder / "gateway.sock")


def test_planted_files_and_links_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "gateway.sock"
    file.write_text("planted")
    with pytest.raises(Problem, match="something else"):
        doors.listen_unix(file)
    assert file.read_text() == "planted"
    link = tmp_path / "link.sock"
    link.symlink_to(file)
    with pytest.raises(Problem, match="something else"):
        doors.listen_unix(link)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    folder = tmp_path / "run"
    folder.symlink_to(elsewhere)
    with pytest.raises(Problem, match="not a folder of yours"):
        doors.listen_unix(folder / "gateway.sock")


def test_a_taken_port_is_said_and_nothing_is_left_open(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        made = Gateway(SmallSite(), no_shape, tmp_path / "gateway.sock", port)
        with pytest.raises(Problem) as caught:
            made.start()
    assert caught.value.reason.code == "gateway-port-taken"
    assert str(port) in str(caught.value)
    assert not (tmp_path / "gateway.sock").exists()
