"""SECURITY.md 33: known secrets go through the whole program, and nowhere else than they must.

The real program, OpenCode and cloudflared live through one scenario with every kind of secret
in it. Then each secret, in each spelling that a program might give it, is looked for in the
arguments of every process (watched all the while), in every file of ours, in what was printed,
and in everything that the local API tells.
"""

import base64
import contextlib
import http.client
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, quote_plus, urlencode, urlsplit

import psutil
import pyotp
import pytest

from nexus_tray.api.client import connect
from nexus_tray.commands import BeginSecondFactor, ConfirmSecondFactor, NewPairing
from nexus_tray.paths import find
from tests.cloudflare.lab import Lab
from tests.e2e.program import Program

pytestmark = pytest.mark.timeout(240)

PASSWORD = "canary of the right password 4711"
WRONG = "canary of a wrong password 4712"
WEAK = "weakcanary1"
PROVIDER_KEY = "sk-canary-of-a-provider-4713"
PASSPHRASE = "canary of the passphrase 4714"
MISPLACED = "sk-canary-in-the-wrong-place-4715"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0"


def spellings(secret: str) -> set[bytes]:
    """The secret as it is, and as forms, addresses, JSON and Basic credentials would have it."""
    raw = secret.encode()
    found = {raw, quote(secret).encode(), quote_plus(secret).encode(), secret.encode("utf-16-le")}
    found |= {raw.hex().encode(), json.dumps(secret)[1:-1].encode()}
    for before in (b"", b"opencode:"):
        found.add(base64.b64encode(before + raw).rstrip(b"="))
        found.add(base64.urlsafe_b64encode(before + raw).rstrip(b"="))
    return found


class Arguments:
    """Watches the arguments of every process on the machine, as any of its users can."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            for entry in os.scandir("/proc"):
                if entry.name.isdigit():
                    with contextlib.suppress(OSError):
                        self.seen.add(Path(entry.path, "cmdline").read_bytes())

    def __enter__(self) -> "Arguments":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


class Visitor:
    """A browser on the internet: TLS to the lab's front, cookies kept."""

    def __init__(self, lab: Lab, address: str) -> None:
        self._port, self._host = lab.https_port, address.removeprefix("https://")
        self.cookie = ""

    def ask(
        self, method: str, path: str, form: dict[str, str] | None = None, bearer: str = ""
    ) -> int:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        fields = {"Host": self._host, "User-Agent": BROWSER, "Accept": "text/html"}
        if self.cookie:
            fields["Cookie"] = self.cookie
        if bearer:
            fields["Authorization"] = f"Bearer {bearer}"
        body = None
        if form is not None:
            body = urlencode(form)
            fields["Origin"] = f"https://{self._host}"
            fields["Content-Type"] = "application/x-www-form-urlencoded"
        with (
            socket.create_connection(("127.0.0.1", self._port), 30) as plain,
            context.wrap_socket(plain, server_hostname=self._host) as secure,
        ):
            line = http.client.HTTPConnection(self._host)
            line.sock = secure
            line.request(method, path, body, fields)
            with line.getresponse() as answer:
                answer.read()
                for value in answer.headers.get_all("Set-Cookie") or []:
                    self.cookie = value.partition(";")[0]
                return answer.status


class Api:
    """The local API, by hand: what the command line cannot say wrongly."""

    def __init__(self, program: Program) -> None:
        told = json.loads(program.paths.api_file.read_bytes())
        self.token: str = told["token"]
        self._authority = told["url"].removeprefix("http://")

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        line = http.client.HTTPConnection(self._authority, timeout=60)
        fields = {"Authorization": f"Bearer {self.token}"}
        if body is not None:
            fields["Content-Type"] = "application/json"
        line.request(method, "/api/v1" + path, body, fields)
        with contextlib.closing(line), line.getresponse() as answer:
            return answer.status, answer.read()


def environment_of(pid: int, name: str) -> str:
    return psutil.Process(pid).environ()[name]


@pytest.fixture
def watched(program: Program) -> Iterator[Arguments]:
    with Arguments() as arguments:
        yield arguments


def set_up(program: Program) -> None:
    """Password, passphrase and provider key, each also given wrongly once."""
    assert program.cli("password", "set", given=WEAK + "\n").returncode == 4
    assert program.cli("secret", "unlock", given=PASSPHRASE + "\n").returncode == 0
    stored = program.cli("secret", "set", "CANARY_API_KEY", given=PROVIDER_KEY + "\n")
    assert stored.returncode == 0, stored.stderr
    assert program.cli("restart", "opencode").returncode == 0
    assert program.cli("password", "set", given=PASSWORD + "\n").returncode == 0


def run_by_token(program: Program, lab: Lab) -> str:
    """A tunnel made at Cloudflare, run by its token, which is given wrongly first; the token."""
    token = str(lab.make_tunnel("office.lab.example")["token"])
    create = ("tunnel", "create", "office", "--kind", "token", "--host", "office.lab.example")
    assert program.cli(*create, given=f"install {token[:-9]}\n").returncode == 4
    made = program.cli(*create, given=f"sudo cloudflared service install {token}\n")
    assert made.returncode == 0, made.stderr
    other = lab.make_tunnel()["token"]
    assert program.cli("tunnel", "token", "office", given=f"{other}\n").returncode == 4
    return token


def spoil(api: Api) -> None:
    """Secrets where the API does not expect them: its complaints must not repeat them."""
    for method, path, body in (
        ("PUT", "/password", json.dumps({"password": [PASSWORD]})),
        ("PUT", "/password", json.dumps({"passwort": PASSWORD})),
        ("PUT", "/password", f'{{"password": "{PASSWORD}'),
        ("PUT", f"/secrets/{quote(MISPLACED)}", json.dumps({"secret": "x"})),
        ("PUT", "/secrets/CANARY_API_KEY", json.dumps({"secret": PROVIDER_KEY + "\n"})),
        ("PUT", f"/services/{quote(MISPLACED)}/desired", json.dumps({"desired": MISPLACED})),
        ("POST", "/secrets/unlockings", json.dumps({"passphrase": PASSPHRASE + "x"})),
        ("PATCH", "/config", json.dumps({"opencode": {"program": {MISPLACED: 1}}})),
    ):
        status, _ = api.ask(method, path, body.encode())
        assert status in (409, 422), (method, path, status)


def ways_in(program: Program, api: Api, lab: Lab, address: str) -> dict[str, str]:
    """A device paired, a token used, a second factor set up and used, each wrongly too; what is
    secret of them."""
    backend = connect(find(program.environment))

    def fresh() -> Visitor:
        return Visitor(lab, address)

    links = [backend.submit(NewPairing(current=PASSWORD)).value for _ in range(2)]
    used, unused = (link.partition("#")[2] for link in links)
    phone = fresh()
    assert phone.ask("GET", "/_nexus/pair") == 200
    assert phone.ask("POST", "/_nexus/pair", {"token": used}) == 303
    assert phone.ask("GET", "/session") == 200
    assert fresh().ask("POST", "/_nexus/pair", {"token": used}) == 403
    assert fresh().ask("GET", f"/_nexus/pair?token={unused}") == 200  # as nobody of ours writes it
    misled = json.dumps({"current": PASSWORD, "address": links[1]}).encode()
    assert api.ask("POST", "/pairings", misled)[0] == 409

    full, over = (
        program.cli("token", "create", name, given=PASSWORD + "\n").stdout.strip()
        for name in ("laptop", "old")
    )
    [old] = [one for one in json.loads(program.cli("token", "list", "--json").stdout)
             if one["name"] == "old"]  # fmt: skip
    assert program.cli("token", "revoke", old["id"]).returncode == 0
    assert fresh().ask("GET", "/session", bearer=full) == 200
    assert fresh().ask("GET", "/session", bearer=over) != 200
    assert fresh().ask("GET", f"/session?auth_token={over}") != 200

    begun = backend.submit(BeginSecondFactor(current=PASSWORD)).value
    totp = pyotp.TOTP(parse_qs(urlsplit(begun).query)["secret"][0])
    wrong = json.dumps({"code": totp.secret}).encode()
    assert api.ask("PUT", "/second-factor/confirmation", wrong)[0] == 409
    codes = backend.submit(ConfirmSecondFactor(code=totp.now())).value.split()
    for code, came in ((totp.secret, 403), (codes[0], 303), (codes[0], 403)):
        form = {"password": PASSWORD, "code": code}
        assert fresh().ask("POST", "/_nexus/sign-in", form) == came
    later = totp.generate_otp(int(time.time()) // 30 + 1)
    assert fresh().ask("POST", "/_nexus/sign-in", {"password": PASSWORD, "code": later}) == 303
    again = program.cli("second-factor", "recovery-codes", given=PASSWORD + "\n").stdout
    new = [word for word in again.split() if word.count("-") == 5]
    assert len(new) == 10
    return {
        "paired session": phone.cookie.partition("=")[2],
        "used pairing token": used,
        "open pairing token": unused,
        "API token": full,
        "revoked API token": over,
        "second factor": totp.secret,
        **{f"recovery code {number}": code for number, code in enumerate((*codes, *new))},
        **{
            f"plain recovery code {number}": code.replace("-", "").upper()
            for number, code in enumerate((*codes, *new))
        },
    }


def everything_told(program: Program, api: Api) -> dict[str, bytes]:
    """What the program says of itself, in every form."""
    told = {
        path: api.ask("GET", path)[1]
        for path in (
            "/snapshot", "/journal", "/config", "/services", "/tunnels", "/openapi.json",
            "/access", "/logs?limit=10000", "/logs/export?format=text", "/logs/export?format=csv",
            "/logs/export?format=jsonl", "/audit", "/audit/export?format=text",
            "/audit/export?format=csv", "/audit/export?format=jsonl",
        )
    }  # fmt: skip
    for path in ("/examinations", "/support-bundles"):
        status, told[path] = api.ask("POST", path)
        assert status == 200, told[path]
    for command in (
        ["devices", "--json"],
        ["token", "list", "--json"],
        ["second-factor", "status"],
        ["tunnel", "list", "--json"],
        ["tunnel", "status", "office"],
        ["status"],
        ["status", "--json"],
        ["logs", "-n", "10000"],
        ["config", "list"],
    ):
        done = program.cli(*command)
        told["nexus-tray " + " ".join(command)] = (done.stdout + done.stderr).encode()
    return told


def files_of(program: Program) -> dict[str, bytes]:
    """Every file below the program's home (databases with their side files, run, output)."""
    found = {}
    for path in program.home.rglob("*"):
        if path.is_file() and path != program.paths.api_file:  # that one tells the token, by design
            found[str(path.relative_to(program.home))] = path.read_bytes()
    return found


def test_no_secret_is_anywhere_it_need_not_be(
    program: Program,
    lab: Lab,
    watched: Arguments,
) -> None:
    program.start()
    set_up(program)
    token = run_by_token(program, lab)
    snapshot = program.wait_running("opencode", "gateway", "quick", "office")
    quick = snapshot.service("quick")
    assert quick is not None
    assert quick.facts.address
    phone = Visitor(lab, quick.facts.address)
    api = Api(program)

    assert phone.ask("POST", "/_nexus/sign-in", {"password": WRONG}) == 403
    assert phone.ask("POST", "/_nexus/sign-in", {"password": PASSWORD}) == 303
    session = phone.cookie.partition("=")[2]
    assert phone.ask("GET", "/session") == 200
    assert phone.ask("GET", f"/nowhere?stray={quote(MISPLACED)}") == 200

    link = program.cli("open", "--print").stdout.strip()
    ticket = link.partition("ticket=")[2]
    door = http.client.HTTPConnection(link.split("/")[2], timeout=30)
    door.request("GET", link[link.index("/_nexus") :])
    with contextlib.closing(door), door.getresponse() as entered:
        assert entered.status == 303
        local_session = entered.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
    spoil(api)
    more = ways_in(program, api, lab, quick.facts.address)

    opencode, cloudflared = program.pid_of("opencode"), program.pid_of("quick")
    assert environment_of(opencode, "CANARY_API_KEY") == PROVIDER_KEY
    assert token not in str(psutil.Process(opencode).environ())
    assert environment_of(program.pid_of("office"), "TUNNEL_TOKEN") == token
    secrets = {
        "password": PASSWORD,
        "wrong password": WRONG,
        "weak password": WEAK,
        "provider key": PROVIDER_KEY,
        "passphrase": PASSPHRASE,
        "misplaced": MISPLACED,
        "session": session,
        "local session": local_session,
        "ticket": ticket,
        "the local API's token": api.token,
        "OpenCode's password": environment_of(opencode, "OPENCODE_SERVER_PASSWORD"),
        "tunnel's token": token,
        "tunnel's secret": json.loads(base64.b64decode(token))["s"],
        "channel secret": environment_of(cloudflared, "TUNNEL_TAG").partition("=")[2],
        **more,
    }
    assert all(len(secret) > 10 for secret in secrets.values()), secrets

    assert phone.ask("POST", "/_nexus/sign-out", {}) == 303
    told = everything_told(program, api)
    places = {f"running: {name}": data for name, data in files_of(program).items()}
    assert any(name.endswith("nexus.db-wal") for name in places)
    assert program.stop() == 0
    places |= {f"ended: {name}": data for name, data in files_of(program).items()}
    places |= told
    places["arguments"] = b"\n".join(watched.seen)
    assert b"opencode" in places["arguments"]

    hits = [
        (what, where)
        for what, secret in secrets.items()
        for spelling in spellings(secret)
        for where, data in places.items()
        if spelling in data
    ]
    assert hits == []
