"""Holes that a hostile review of the whole found, each as the attack that once worked."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_tray.core.driver import Exited
from nexus_tray.gateway import peers
from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.http import Principal, Request, Response
from nexus_tray.gateway.relay import fields
from tests.gateway.doubles import HOST, SmallSite, eventually, house, tunnel_request
from tests.opencode_lab.harness import Home, Keeper
from tests.opencode_lab.standin import executable

ROOT = Path(__file__).parent.parent.parent
OURS = f"Origin: https://{HOST}"


def test_a_folder_brings_no_code_of_its_own(tmp_path: Path) -> None:
    """A cloned repository has a `msgspec.py` in it, and `nexus-tray run` is typed there: with
    `-m` alone, Python looks into the present folder first (CWE-427)."""
    marker = tmp_path / "ran"
    for name in ("msgspec", "argparse", "platformdirs"):
        (tmp_path / f"{name}.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    for words in (["run", "--no-such-option"], ["status"]):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "nexus_tray", *words],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "NEXUS_TRAY_HOME": str(tmp_path / "home")},
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert done.returncode in (2, 3), done.stderr
        assert not marker.exists(), words


@pytest.mark.parametrize("script", ["run", "setup.sh"])
def test_no_script_of_ours_looks_into_the_present_folder(script: str) -> None:
    text = (ROOT / "build" / script).read_text(encoding="utf-8")
    calls = re.findall(r'(?:python"?|PYTHON"|candidate") +(-\S*.*)', text)
    assert calls
    assert [call for call in calls if not re.match(r"-[PI]\b", call)] == []


SLOW = tunnel_request("POST", "/_nexus/sign-in", OURS, "Content-Length: 900", cookie=None)


def test_strangers_who_dawdle_keep_nobody_out(tmp_path: Path) -> None:
    """As many slow bodies as there are places: the next visitor takes the oldest one's."""
    with house(tmp_path, bounds=Bounds(connections=20)) as home:
        begun = home.tunnel()
        begun.send(tunnel_request("GET", "/x"))
        assert begun.answer().status == 200
        strangers = [home.tunnel() for _ in range(40)]
        for one in strangers:
            one.try_send(SLOW + b"password=")
        eventually(lambda: home.gateway.counters().connections == 20)
        assert home.ask(tunnel_request("GET", "/x")).status == 200
        assert strangers[0].closed()
        begun.send(tunnel_request("GET", "/x"))
        assert begun.answer().status == 200, "whoever was signed in keeps his place"


LIMITED = """
import resource, sys
hard = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
from nexus_tray.system import descriptors
print(descriptors.visitors(4096), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
@pytest.mark.parametrize(("hard", "told"), [(20_000, "4096 16384"), (1024, "384 1024")])
def test_visitors_cannot_take_all_descriptors(hard: int, told: str) -> None:
    """A thousand of them took the whole program out of service at the usual limit of 1024."""
    command = [sys.executable, "-c", LIMITED, str(hard)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == told


OTHER_USER = """
import encodings.idna, os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
line = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
line.sendall(sys.argv[2].encode())
if sys.argv[3] == "listen":
    answer = b""
    while data := line.recv(65536):
        answer += data
    print(answer.decode())
"""


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can become another user"
)
@pytest.mark.parametrize("how", ["listen", "leave"])
def test_another_user_has_nothing_of_the_local_door(tmp_path: Path, how: str) -> None:
    """Cookies ignore ports, so his server on this machine is sent ours; and the one-time link
    stands in the arguments of the browser that `nexus-tray open` starts."""
    with house(tmp_path) as home:
        port = home.gateway.local_port
        stolen = f"GET /x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: nexus_local=ada\r\n\r\n"
        done = subprocess.run(
            [sys.executable, "-c", OTHER_USER, str(port), stolen, how],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        if how == "listen":
            assert done.stdout.startswith("HTTP/1.1 403 ")
        own = home.local()
        own.send(stolen.encode())
        assert own.answer().status == 200
        assert home.raw.received.count(b"GET /x") == 1


def test_who_leaves_before_he_is_seen_is_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        with listener.accept()[0] as accepted:
            ends = accepted.getpeername(), accepted.getsockname()
            assert not peers.is_foreign(*ends)
            client.close()
            if sys.platform == "linux":
                assert peers.owner_of(*ends) == peers.GONE
                assert peers.is_foreign(*ends)
    assert not peers.is_foreign("", ""), "a Unix socket has its own guard"


class Teller(SmallSite):
    """Tells whose body it was."""

    async def respond(self, request: Request, principal: Principal | None) -> Response:
        return Response(200, (), (principal.name if principal else "nobody").encode())


def test_a_session_that_ends_while_the_body_comes_is_over(tmp_path: Path) -> None:
    """The head came with a good cookie; a body may take 15 s more (SECURITY.md 8)."""
    with house(tmp_path, site=Teller()) as home:
        client = home.tunnel()
        client.send(tunnel_request("POST", "/_nexus/answer", OURS, "Content-Length: 4") + b"a=")
        eventually(lambda: len(home.site.seen) > 0)
        del home.site.sessions["ada"]
        home.gateway.cut("id-ada")
        client.send(b"bc")
        assert client.answer().body == b"nobody"


FRAMED = {
    "frame": ("same-site", "navigate", "iframe"),
    "image": ("same-site", "no-cors", "image"),
    "script": ("cross-site", "no-cors", "script"),
    "object": ("cross-site", "navigate", "object"),
    "fetch": ("same-site", "cors", "empty"),
    "unsaid": ("same-site",),
}


@pytest.mark.parametrize("said", FRAMED.values(), ids=FRAMED.keys())
@pytest.mark.parametrize("target", ["/x", "/_nexus/", "/_nexus/enter?ticket=x"])
def test_pages_of_other_ports_embed_nothing_of_ours(
    tmp_path: Path, target: str, said: tuple[str, ...]
) -> None:
    """`http://127.0.0.1:5173` is the same site as our local door: SameSite holds nothing back."""
    names = ("Site", "Mode", "Dest")
    lines = [f"Sec-Fetch-{name}: {value}" for name, value in zip(names, said, strict=False)]
    with house(tmp_path) as home:
        assert home.ask(tunnel_request("GET", target, *lines)).status == 403
        assert home.raw.received == b""
        visit = ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
        for site in ("none", "same-origin", "cross-site"):
            visited = tunnel_request("GET", target, f"Sec-Fetch-Site: {site}", *visit)
            assert home.ask(visited).status == 200


@pytest.mark.parametrize("value", ["=nexus_local=x", " = __Host-nexus=x", "=\t=nexus_local=x"])
def test_a_nameless_cookie_is_not_ours_in_disguise(value: str) -> None:
    """Browsers send a nameless cookie's value alone, which then reads as name and value."""
    assert fields.to_visitor(((b"set-cookie", value.encode()),)) == []
    kept = ((b"set-cookie", b"theirs=nexus_local=x"),)
    assert fields.to_visitor(kept) == list(kept)


LEAVING = """
import subprocess
subprocess.Popen(
    ["sh", "-c", "trap '' TERM; touch deaf; while :; do sleep 0.05; done"],
    start_new_session=True,
)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell and signals")
def test_a_dead_opencodes_port_is_nobodys(opencode_home: Home, tmp_path: Path) -> None:
    """What it left behind takes a second to end; whoever took its port meanwhile was sent our
    credential, and what he answered came from the trusted address."""
    program = executable(tmp_path / "leaving-opencode")
    program.write_text(program.read_text().replace("import json\n", f"import json\n{LEAVING}", 1))
    with Keeper(opencode_home, program) as keeper:
        upstream = keeper.start()
        eventually((opencode_home.project / "deaf").exists)
        os.kill(keeper.pid, signal.SIGKILL)
        eventually(lambda: keeper.upstream is None)
        assert not keeper.of(Exited), "its descendants are still there"
        with socket.create_server(("127.0.0.1", upstream.port)) as thief:
            thief.settimeout(0.1)
            keeper.driver.probe(keeper.run)
            with pytest.raises(TimeoutError):
                thief.accept()
        keeper.exited()


def can_listen(port: int) -> bool:
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            thief.bind(("127.0.0.1", port))
            thief.listen()
        except OSError:
            return False
    return True


def test_nobody_takes_the_gateways_ports_while_it_restarts(tmp_path: Path) -> None:
    """A tunnel over HTTP/2 goes on while the gateway is started again: who took its port was
    brought the visitors' cookies and the channel's secret, and the gateway stayed out."""
    with house(tmp_path) as home:
        ports = home.gateway.local_port, home.gateway.tunnel_port()
        home.gateway.close(keep_ports=True)
        assert [can_listen(port) for port in ports] == [False, False]
        early = home.local()
        early.send(f"GET /_nexus/x HTTP/1.1\r\nHost: 127.0.0.1:{ports[0]}\r\n\r\n".encode())
        home.gateway.start()
        assert early.answer().status == 200, "who came meanwhile has only waited"
        assert (home.gateway.local_port, home.gateway.tunnel_port()) == ports
        assert home.ask(tunnel_request("GET", "/x")).status == 200
        home.gateway.close()
        assert [can_listen(port) for port in ports] == [True, True]
