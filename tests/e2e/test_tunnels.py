"""The life of named and token tunnels over the whole program: made, led to places, run, asked for
by host name, measured, and deleted. The account is the lab's; cloudflared is the real one where it
is found, else the stand-in.
"""

import http.server
import json
import re
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from nexus_tray.model import ServiceState, Snapshot
from tests.cloudflare.lab import Lab
from tests.e2e.conftest import PASSWORD, Phone
from tests.e2e.program import Program, wait_until
from tests.e2e.test_main_job import fetch, sign_in

pytestmark = pytest.mark.timeout(240)

CODE, PREVIEW = "code.lab.example", "preview.lab.example"


class Preview(http.server.BaseHTTPRequestHandler):
    """What an agent builds: one page, which shows every field it was sent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"<!doctype html><title>Preview</title><h1>It works</h1><pre>"
        body += json.dumps(self.headers.items()).encode() + b"</pre>"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def preview() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Preview) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def api(lab: Lab, method: str, path: str, body: object = None) -> Any:
    """Cloudflare's API as the account's owner."""
    request = urllib.request.Request(
        lab.info["api_url"] + path,
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={
            "Authorization": f"Bearer {lab.info['api_token']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)["result"]


def records(lab: Lab) -> dict[str, str]:
    return {one["name"]: one["content"] for one in lab.call("GET", "/state")["records"]}


def tunnel(lab: Lab, name: str) -> dict[str, Any]:
    return next(t for t in lab.call("GET", "/state")["tunnels"] if t["name"] == name)


def run_cli(program: Program, *arguments: str, given: str = "") -> str:
    done = program.cli(*arguments, given=given)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def import_zone(program: Program, lab: Lab) -> None:
    """What somebody who used cloudflared before has in his home."""
    folder = program.home / "user" / ".cloudflared"
    folder.mkdir(mode=0o700)
    path = folder / "cert.pem"
    path.touch(mode=0o600)
    path.write_bytes(Path(lab.info["origincert"]).read_bytes())
    assert str(path) in run_cli(program, "tunnel", "import")
    run_cli(program, "tunnel", "import", str(path))
    assert lab.info["zone"] in run_cli(program, "tunnel", "zones")


def ready(program: Program, name: str) -> Snapshot:
    return program.wait_running("opencode", "gateway", name)


def begin(program: Program) -> None:
    program.configure({**json.loads(program.paths.config_file.read_text()), "tunnels": []})
    program.start()
    assert program.cli("password", "set", given=PASSWORD + "\n").returncode == 0


def test_a_named_tunnel_from_its_making_to_its_end(
    program: Program, lab: Lab, phone: Phone, preview: str
) -> None:
    begin(program)
    import_zone(program, lab)
    made = run_cli(
        program, "tunnel", "create", "home", "--kind", "named", "--host", CODE,
        "--host", f"{PREVIEW}={preview}",
    )  # fmt: skip
    assert "Tunnel “home” is made." in made
    ident = tunnel(lab, "home")["id"]
    assert records(lab) == dict.fromkeys((CODE, PREVIEW), f"{ident}.cfargotunnel.com")
    snapshot = ready(program, "home")
    assert snapshot.address == f"https://{CODE}"

    # by host name: OpenCode behind sign-in, the preview behind its own session, nothing else
    status, _, body = lab.visit(CODE, "/session", accept="application/json")
    assert (status, b"sign-in" in body) == (401, True)
    route = {"type": "dns", "user_hostname": "third.lab.example"}
    api(lab, "PUT", f"/zones/{lab.info['zone']}/tunnels/{ident}/routes", route)
    assert lab.visit("third.lab.example", "/")[0] == 404
    sign_in(phone, f"https://{CODE}")
    expect(phone.page).to_have_url(f"https://{CODE}/_nexus/")
    assert fetch(phone.page, "POST", "/session", {"title": "Named"})[0] == 200
    phone.page.goto(f"https://{PREVIEW}/")
    expect(phone.page.get_by_role("heading", name="It works")).to_be_visible()
    came = {name.lower(): value for name, value in json.loads(phone.page.inner_text("pre"))}
    assert "authorization" not in came
    assert "nexus" not in came.get("cookie", "")

    # what passed is measured, by tunnel
    def counted() -> bool:
        service = program.snapshot().service("home")
        metrics = service.facts.metrics if service else None
        return metrics is not None and metrics.requests > 0 and metrics.refused > 0

    wait_until(counted, 10, "metrics of the tunnel")

    # its end: connections, tunnel, records, files
    run_cli(program, "tunnel", "delete", "home", "--yes")
    assert tunnel(lab, "home")["deleted"] is not None
    assert set(records(lab)) == {"third.lab.example"}  # which was not ours
    assert program.snapshot().service("home") is None
    assert not program.paths.credentials(ident).exists()


def test_a_record_that_leads_elsewhere_is_overwritten_only_on_a_yes(
    program: Program, lab: Lab
) -> None:
    begin(program)
    import_zone(program, lab)
    zone = lab.info["zone"]
    api(lab, "POST", f"/zones/{zone}/dns_records", {"name": CODE, "content": "old.example.net"})
    asked = program.cli("tunnel", "create", "home", "--kind", "named", "--host", CODE)
    assert asked.returncode == 4
    assert CODE in asked.stderr
    assert records(lab)[CODE] == "old.example.net"
    found = re.search(r"nexus-tray tunnel answer (\S+) yes", asked.stderr)
    assert found, asked.stderr
    run_cli(program, "tunnel", "answer", found[1], "yes")
    assert records(lab)[CODE].endswith(".cfargotunnel.com")
    ready(program, "home")


def test_a_failure_in_the_middle_of_deleting_is_gone_on_with(program: Program, lab: Lab) -> None:
    begin(program)
    import_zone(program, lab)
    run_cli(program, "tunnel", "create", "home", "--kind", "named", "--host", CODE)
    ready(program, "home")
    fault = {"kind": "status", "status": 500, "code": 1000, "message": "internal error"}
    lab.faults(api={**fault, "match": "DELETE"})
    failed = program.cli("tunnel", "delete", "home", "--yes")
    assert failed.returncode == 4
    found = re.search(r"nexus-tray tunnel retry (\S+)", failed.stderr)
    assert found, failed.stderr
    program.stop()  # what is to be gone on with survives this
    program.start()
    lab.faults(api={"kind": ""})
    run_cli(program, "tunnel", "retry", found[1])
    assert tunnel(lab, "home")["deleted"] is not None
    assert records(lab) == {}


def remote(lab: Lab, ident: str, service: str) -> None:
    """What somebody sets in Cloudflare's dashboard."""
    rules = [{"hostname": CODE, "service": service}, {"service": "http_status:404"}]
    path = f"/accounts/{lab.info['account']}/cfd_tunnel/{ident}/configurations"
    api(lab, "PUT", path, {"config": {"ingress": rules}})


def test_a_token_tunnel_leads_to_the_gateway_or_nowhere(program: Program, lab: Lab) -> None:
    begin(program)
    account = f"/accounts/{lab.info['account']}/cfd_tunnel"
    made = api(lab, "POST", account, {"name": "office", "config_src": "cloudflare"})
    ident, token = made["id"], made["token"]
    route = {"type": "dns", "user_hostname": CODE}
    api(lab, "PUT", f"/zones/{lab.info['zone']}/tunnels/{ident}/routes", route)
    run_cli(program, "secret", "unlock", given="where the token is kept\n")  # there is no keyring
    line = f"sudo cloudflared service install {token}\n"
    said = run_cli(
        program, "tunnel", "create", "office", "--kind", "token", "--host", CODE, given=line
    )
    assert ident in said
    assert token not in said
    report = json.loads(run_cli(program, "tunnel", "list", "--json"))["tunnels"][0]
    assert report["origin"].startswith("unix:/")
    assert token not in json.dumps(report)

    # the person has pasted where it leads to, and the program notices
    remote(lab, ident, report["origin"])
    snapshot = ready(program, "office")
    assert snapshot.address == f"https://{CODE}"
    assert lab.visit(CODE, "/session", accept="application/json")[0] == 401

    # somebody leads it past the gateway: it ends, and says which rule
    remote(lab, ident, "http://127.0.0.1:22")

    def stopped(snapshot: Snapshot) -> bool:
        service = snapshot.service("office")
        return (
            service is not None
            and service.state is not ServiceState.RUNNING
            and service.reason is not None
            and "127.0.0.1:22" in service.reason.what + service.reason.meaning
        )

    program.wait_for(stopped, 60, "the end of a tunnel that leads elsewhere")
    wait_until(lambda: lab.visit(CODE, "/")[0] >= 500, 30, "nothing behind the name")
    remote(lab, ident, report["origin"])
    program.cli("tunnel", "start", "office")
    ready(program, "office")


def test_several_at_once_each_with_its_own_state(program: Program, lab: Lab) -> None:
    begin(program)
    import_zone(program, lab)
    run_cli(program, "tunnel", "create", "one")
    run_cli(program, "tunnel", "create", "two")
    run_cli(program, "tunnel", "create", "home", "--kind", "named", "--host", CODE)
    snapshot = program.wait_running("one", "two", "home")
    addresses = {one.name: one.facts.address for one in snapshot.services if one.kind == "tunnel"}
    assert len(set(addresses.values())) == 3
    run_cli(program, "tunnel", "stop", "two")

    def stopped(snapshot: Snapshot) -> bool:
        two = snapshot.service("two")
        return two is not None and two.state is ServiceState.STOPPED

    program.wait_for(stopped, 20, "the stop of one")
    for name in ("one", "home"):
        host = str(addresses[name]).removeprefix("https://")
        assert lab.visit(host, "/session", accept="application/json")[0] == 401
    program.stop()
    program.start()  # the wishes survive
    snapshot = program.wait_running("one", "home")
    assert stopped(snapshot)
    run_cli(program, "tunnel", "delete", "two", "--yes")
    assert program.snapshot().service("two") is None
    assert program.cli("tunnel", "create", "one").returncode == 4  # the name is taken
