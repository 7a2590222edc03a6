"""SECURITY.md 29: every route of the local API against every wrong caller; nothing changes.

The routes come from the one table that the server itself uses, so a new route is tested
here from its first day.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_tray.api.client import HttpBackend, connect
from nexus_tray.api.resources import ROUTES
from nexus_tray.api.routes import PREFIX, Route
from nexus_tray.api.server import ApiServer
from nexus_tray.commands import GetAutostart
from nexus_tray.model import Problem, Snapshot
from nexus_tray.paths import Paths
from nexus_tray.settings import Configuration
from nexus_tray.system.runtime import publish
from tests.api.doubles import House
from tests.api.doubles import house as build
from tests.api.wires import TOKEN, ask, authority, raw, served

BODIES: dict[str, dict[str, object]] = {
    "Wish": {"desired": "stopped"},
    "CurrentPassword": {"current": "correct horse battery staple"},
    "Code": {"code": "123456"},
    "NewPairingLink": {"current": "correct horse battery staple"},
    "NewToken": {"current": "correct horse battery staple", "name": "laptop"},
    "DeviceName": {"name": "phone"},
    "NewOpenCodeSession": {"text": "rm -rf ~"},
    "Prompt": {"text": "rm -rf ~"},
    "Password": {"password": "correct horse battery staple"},
    "Place": {"path": "/"},
    "DashboardPlace": {"page": "/logs"},
    "Ticket": {"ticket": "x" * 43},
    "PermissionReply": {"reply": "always"},
    "QuestionReply": {"answers": [["Yes"]]},
    "Switch": {"enabled": True},
    "Secret": {"secret": "sk-1"},
    "Passphrase": {"passphrase": "open sesame"},
    "PauseUntil": {"until_at": None},
    "NewTunnel": {"name": "new"},
    "Routes": {"routes": [{"hostname": "code.example.com"}]},
    "Token": {"token": "eyJ-1"},
    "ImportPlace": {"path": "/home/ada/.cloudflared/cert.pem"},
    "YesOrNo": {"yes": True},
    "dict": {"opencode": {"program": "/tmp/evil"}},
}


@pytest.fixture(scope="module")
def house() -> House[Any]:
    return build()


@pytest.fixture(scope="module")
def server(house: House[Any]) -> Iterator[ApiServer]:
    with served(house.backend) as server:
        yield server


def path_of(route: Route) -> str:
    return PREFIX + route.path.replace("{name}", "quick").replace("{id}", "per_1").replace(
        "{step}", "tools"
    )


def body_of(route: Route) -> dict[str, object] | None:
    if route.body is None:
        return None
    return BODIES[getattr(route.body, "__name__", "dict")]


def state(house: House[Any]) -> tuple[int, Snapshot, Configuration, int]:
    changes = [command for command in house.came if not isinstance(command, GetAutostart)]
    return (len(changes), house.journal.latest(), house.settings.read(), house.journal.next_id)


def right(server: ApiServer) -> dict[str, str]:
    return {"Host": authority(server), "Authorization": f"Bearer {TOKEN}"}


def port(server: ApiServer) -> str:
    return authority(server).split(":")[1]


Headers = Callable[[ApiServer], dict[str, str]]

VIOLATIONS: dict[str, tuple[int, Headers]] = {
    "no token": (401, lambda s: {"Host": authority(s)}),
    "wrong token": (401, lambda s: {**right(s), "Authorization": "Bearer " + "x" * 43}),
    "token as basic": (401, lambda s: {**right(s), "Authorization": f"Basic {TOKEN}"}),
    "token as cookie": (401, lambda s: {"Host": authority(s), "Cookie": f"token={TOKEN}"}),
    "localhost": (403, lambda s: {**right(s), "Host": f"localhost:{port(s)}"}),
    "rebound name": (403, lambda s: {**right(s), "Host": f"evil.example:{port(s)}"}),
    "other port": (403, lambda s: {**right(s), "Host": "127.0.0.1:1"}),
    "tunnel's name": (403, lambda s: {**right(s), "Host": "calm-river.trycloudflare.com"}),
    "no host": (403, lambda s: {"Authorization": f"Bearer {TOKEN}"}),
    "foreign origin": (403, lambda s: {**right(s), "Origin": "https://evil.example"}),
    "null origin": (403, lambda s: {**right(s), "Origin": "null"}),
    "cross-site": (403, lambda s: {**right(s), "Sec-Fetch-Site": "cross-site"}),
}


@pytest.mark.parametrize("violation", VIOLATIONS)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_wrong_caller_is_refused_and_changes_nothing(
    server: ApiServer, house: House[Any], route: Route, violation: str
) -> None:
    status, headers = VIOLATIONS[violation]
    if route.open:
        status = 403  # no token is asked for; a ticket that is none is refused
    before = state(house)
    reply = ask(server, route.method, path_of(route), body_of(route), headers(server))
    assert reply.status == status
    assert reply.json["ok"] is False
    assert TOKEN.encode() not in reply.body
    assert state(house) == before


FORMS = ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("token", [True, False])
@pytest.mark.parametrize("route", [r for r in ROUTES if r.method != "GET"], ids=lambda r: r.name)
def test_a_form_is_refused_and_changes_nothing(
    server: ApiServer, house: House[Any], route: Route, form: str, token: bool
) -> None:
    before = state(house)
    headers = {"Host": authority(server), "Content-Type": form}
    if token:
        headers["Authorization"] = f"Bearer {TOKEN}"
    body = json.dumps(body_of(route) or {}).encode()
    assert ask(server, route.method, path_of(route), body, headers).status == 403
    assert ask(server, "POST", path_of(route), body, headers).status == 403
    assert state(house) == before


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_no_get_changes_anything(server: ApiServer, house: House[Any], route: Route) -> None:
    before = state(house)
    if not route.stream:
        ask(server, "GET", path_of(route))
    assert state(house) == before


@pytest.mark.parametrize(
    "path", ["/", "/index.html", "/api", "/api/v2/snapshot", "/static/a.js", "/../page.js"]
)
def test_the_guard_stands_before_paths_that_do_not_exist(server: ApiServer, path: str) -> None:
    """The same answer as on a real route: what exists is not told to strangers."""
    assert ask(server, "GET", path, headers={"Host": authority(server)}).status == 401
    assert ask(server, "GET", path, headers={"Host": "evil"}).status == 403
    assert ask(server, "GET", path).status == 404


@pytest.mark.parametrize(
    "more",
    [
        "Host: evil.example\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\nContent-Length: 40\r\n",
        "Content-Length: 0x10\r\n",
        "Origin: http://evil.example\r\n",
        "Content-Type: text/plain\r\n",
        "Authorization: Bearer x\r\n",
    ],
)
def test_ambiguous_heads_that_wsgiref_would_take_change_nothing(
    server: ApiServer, house: House[Any], more: str
) -> None:
    before = state(house)
    head = (
        f"POST {PREFIX}/shutdown HTTP/1.1\r\nHost: {authority(server)}\r\n"
        f"Authorization: Bearer {TOKEN}\r\n{more}\r\n"
    )
    answer = raw(server, head.encode() + b"POST /api/v1/shutdown HTTP/1.1\r\n\r\n")
    assert answer.split(b" ")[1] in (b"400", b"401", b"403")
    assert state(house) == before


def test_a_second_request_behind_the_first_is_not_heard(
    server: ApiServer, house: House[Any]
) -> None:
    """One request per connection: what follows a body can be no request."""
    before = state(house)
    one = f"GET {PREFIX}/config HTTP/1.1\r\nHost: {authority(server)}\r\n"
    one += f"Authorization: Bearer {TOKEN}\r\nConnection: keep-alive\r\n\r\n"
    answer = raw(server, (one + one.replace(f"GET {PREFIX}/config", f"POST {PREFIX}/shutdown"))
                 .encode())  # fmt: skip
    assert answer.count(b"HTTP/1.0 ") == 1
    assert state(house) == before


def test_a_page_of_another_origin_gets_no_leave_to_ask(server: ApiServer) -> None:
    headers = {
        "Host": authority(server),
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization",
    }
    reply = ask(server, "OPTIONS", f"{PREFIX}/password", headers=headers)
    assert reply.status == 403
    assert not any(name.lower().startswith("access-control") for name in reply.headers)


ROOT_ONLY = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can become another user"
)

AS_NOBODY = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    open(sys.argv[1]).read()
except PermissionError:
    print("refused")
"""


IMPOSTOR = """
import os, socket
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    line, _ = listener.accept()
    print(line.recv(65536), flush=True)
"""


@ROOT_ONLY
def test_another_user_on_the_port_of_a_killed_instance_is_told_nothing(paths: Paths) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", IMPOSTOR], stdout=subprocess.PIPE, text=True
    ) as impostor:
        assert impostor.stdout is not None
        url = f"http://127.0.0.1:{impostor.stdout.readline().strip()}"
        publish(paths, url, TOKEN, "counters")
        with pytest.raises(Problem) as caught:
            connect(paths)
        assert caught.value.reason.code == "not-running"
        assert HttpBackend(url, TOKEN).port  # which would send, if it were asked to
        impostor.kill()
        assert impostor.stdout.read() == ""


@ROOT_ONLY
def test_another_user_can_not_read_the_token(tmp_path: Path) -> None:
    """The token's file is 0600 below 0700, so another user has the address at most."""
    run = tmp_path / "run"
    tmp_path.chmod(0o711)
    publish(Paths(config=run, data=run, run=run, tools=run), "http://127.0.0.1:1", "t", "c")
    run.chmod(0o711)  # even where the folder would let them in
    command = [sys.executable, "-c", AS_NOBODY, str(run / "api.json")]
    tried = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert tried.stdout == "refused\n", tried.stderr
