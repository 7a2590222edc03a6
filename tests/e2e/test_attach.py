"""A terminal elsewhere: OpenCode's own clients, with an API token of ours as their password,
through the local door, a named tunnel and a token tunnel, to the OpenCode behind it all.

They take it as OPENCODE_SERVER_PASSWORD, send it as Basic authentication, without an Origin, and
read an event stream by GET, which a quick tunnel would hold back (FACTS.md).
"""

import contextlib
import fcntl
import http.client
import json
import os
import pty
import re
import select
import socket
import socketserver
import struct
import subprocess
import termios
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cloudflare.lab import Lab
from tests.e2e.conftest import PASSWORD
from tests.e2e.program import Program, wait_until
from tests.e2e.test_tunnels import CODE, api, begin, import_zone, ready, remote, run_cli
from tests.opencode_lab.harness import find_opencode

CONTROL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]P_][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z=>])")

pytestmark = pytest.mark.timeout(240)


def make_token(program: Program, *options: str) -> str:
    return run_cli(program, "token", "create", "laptop", *options, given=PASSWORD + "\n").strip()


def elsewhere(folder: Path, token: str, **more: str) -> dict[str, str]:
    """The environment of another computer's terminal, which has only the token."""
    home = folder / "elsewhere"
    home.mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_SERVER_PASSWORD": token,
        **more,
    }


def address_here(program: Program) -> str:
    """The local door's, without the path that a browser is led to."""
    gateway = program.wait_running("opencode", "gateway").service("gateway")
    assert gateway is not None
    assert gateway.facts.address is not None
    return f"http://{urlsplit(gateway.facts.address).netloc}"


def whole_turn(
    program: Program, here: str, address: str, there: dict[str, str], token: str, words: str
) -> str:
    """`opencode run --attach`: the id of its session, in which OpenCode has answered.

    What it prints is nothing to wait for: 1.18 leaves with the answer unprinted, gateway or
    not (anomalyco/opencode #38661).
    """
    done = subprocess.run(
        [str(find_opencode()), "run", "--attach", address, "--dir", str(program.directory), words],
        env=there, cwd=there["HOME"], capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done
    found: list[str] = []

    def answered() -> bool:
        for session in ask(here, token, "/session"):
            said = json.dumps(ask(here, token, f"/session/{session['id']}/message"))
            if f"Hello from the lab. You said: {words}" in said.replace('\\"', ""):
                found[:] = [session["id"]]
        return bool(found)

    wait_until(answered, 10, f"an answer to {words!r}: {done}")
    return found[0]


def ask(here: str, token: str, path: str, body: object = None) -> Any:
    line = http.client.HTTPConnection(urlsplit(here).netloc, timeout=10)
    with closing(line):
        fields = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        method = "GET" if body is None else "POST"
        line.request(method, path, None if body is None else json.dumps(body), fields)
        answer = line.getresponse()
        data = answer.read()
        assert answer.status < 300, (path, answer.status, data)
        return json.loads(data) if data else None


class Terminal:
    """`opencode attach` in a terminal of its own; `shown` is all that it wrote, in order."""

    def __init__(self, there: dict[str, str], *arguments: str) -> None:
        self.shown = ""
        self._end, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._process = subprocess.Popen(
            [str(find_opencode()), "attach", *arguments],
            env=there, cwd=there["HOME"], stdin=other, stdout=other, stderr=other,
            start_new_session=True,
        )  # fmt: skip
        os.close(other)

    def wait_for(self, text: str, seconds: float = 20) -> None:
        """Until it has shown this."""
        assert self.shows(text, seconds), f"not shown: {text}\n{self.shown[-3000:]}"

    def shows(self, text: str, seconds: float) -> bool:
        """It shows this within so many seconds."""
        end = time.monotonic() + seconds
        while text not in self.shown:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._end], [], [], left)[0]:
                return False
            try:
                data = os.read(self._end, 65536)
            except OSError:  # it has ended
                return False
            self.shown += CONTROL.sub("", data.decode("utf-8", "replace"))
        return True

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)
        os.close(self._end)


class _Way(socketserver.StreamRequestHandler):
    """One CONNECT (RFC 9110, 9.3.6), to the front whatever the name: the test's resolver."""

    server: "Internet"

    def handle(self) -> None:
        self.server.asked.append(self.rfile.readline().split()[1].decode())
        while self.rfile.readline().strip():
            pass
        with socket.create_connection(("127.0.0.1", self.server.front)) as front:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            ways = {front: self.connection, self.connection: front}
            with contextlib.suppress(OSError):
                while True:
                    for one in select.select([*ways], [], [])[0]:
                        if not (data := one.recv(65536)):
                            return
                        ways[one].sendall(data)


class Internet(socketserver.ThreadingTCPServer):
    """Where every name leads to the lab's public front. `asked`: names and ports."""

    daemon_threads = True

    def __init__(self, front: int) -> None:
        super().__init__(("127.0.0.1", 0), _Way)
        self.front = front
        self.asked: list[str] = []

    def __enter__(self) -> "Internet":
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


def live(
    program: Program, here: str, address: str, there: dict[str, str], token: str, session: str
) -> None:
    """`opencode attach` shows the session, and what is said in it meanwhile from elsewhere. It
    shows the session a little before it listens: what is said in between it misses, so it is
    said again."""
    with closing(Terminal(there, address, "--session", session)) as terminal:
        terminal.wait_for("Hello")
        for word in ("zebra", "okapi", "quagga"):
            terminal.shown = ""
            parts = [{"type": "text", "text": word}]
            ask(here, token, f"/session/{session}/prompt_async", {"parts": parts})
            if terminal.shows(word, 5):
                return
        raise AssertionError(f"no event was shown:\n{terminal.shown[-3000:]}")


def from_afar(program: Program, lab: Lab, folder: Path, token: str) -> None:
    """A turn by `run --attach` and a live `attach`, at CODE, over the internet."""
    here = address_here(program)
    with Internet(lab.https_port) as internet:
        far = elsewhere(
            folder,
            token,
            HTTPS_PROXY=f"http://127.0.0.1:{internet.server_address[1]}",
            NODE_EXTRA_CA_CERTS=str(lab.info["ca"]),
        )
        session = whole_turn(program, here, f"https://{CODE}", far, token, "from-afar")
        live(program, here, f"https://{CODE}", far, token, session)
        assert set(internet.asked) == {f"{CODE}:443"}


def test_terminals_here_and_elsewhere(program: Program, lab: Lab, tmp_path: Path) -> None:
    begin(program)
    import_zone(program, lab)
    run_cli(program, "tunnel", "create", "home", "--kind", "named", "--host", CODE)
    here = address_here(program)
    token = make_token(program)
    there = elsewhere(tmp_path, token)

    session = whole_turn(program, here, here, there, token, "from-here")
    live(program, here, here, there, token, session)

    ready(program, "home")
    from_afar(program, lab, tmp_path, token)
    rows = [json.loads(line) for line in run_cli(program, "audit", "--json").splitlines()]
    used = [row["address"] for row in rows if row["event"] == "token-used"]
    assert sorted(used) == ["203.0.113.7", "local"]
    kept = program.cli("logs", "-n", "10000").stdout + json.dumps(rows)
    assert token not in kept


def test_a_terminal_elsewhere_through_a_token_tunnel(
    program: Program, lab: Lab, tmp_path: Path
) -> None:
    """A tunnel that is configured at Cloudflare, and runs by its token alone."""
    begin(program)
    account = f"/accounts/{lab.info['account']}/cfd_tunnel"
    made = api(lab, "POST", account, {"name": "office", "config_src": "cloudflare"})
    route = {"type": "dns", "user_hostname": CODE}
    api(lab, "PUT", f"/zones/{lab.info['zone']}/tunnels/{made['id']}/routes", route)
    run_cli(program, "secret", "unlock", given="where the token is kept\n")  # there is no keyring
    create = ("tunnel", "create", "office", "--kind", "token", "--host", CODE)
    run_cli(program, *create, given=f"cloudflared service install {made['token']}\n")
    [report] = json.loads(run_cli(program, "tunnel", "list", "--json"))["tunnels"]
    remote(lab, made["id"], report["origin"])
    ready(program, "office")
    token = make_token(program)
    from_afar(program, lab, tmp_path, token)
    [row] = json.loads(run_cli(program, "token", "list", "--json"))
    run_cli(program, "token", "revoke", row["id"])
    fields = {"authorization": f"Bearer {token}"}
    assert lab.visit(CODE, "/session", accept="application/json", **fields)[0] == 401
