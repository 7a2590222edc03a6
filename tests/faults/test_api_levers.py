"""The table of Cloudflare's API failing in the middle of create and delete.

Each kind of trouble, at each call that changes something: the job ends FAILED and says why,
nothing is lost or left half known, and Retry does the rest. Over the stand-in and the real
cloudflared where there is one; the rows of one program share an account.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_tray.commands import CreateTunnel, DeleteTunnel
from nexus_tray.model import JobState
from nexus_tray.paths import Paths
from tests.app.test_named_tunnels import CODE, PROGRAMS, Desk, make_desk
from tests.cloudflare.lab import Lab

TROUBLES: dict[str, tuple[dict[str, object], str]] = {
    "403": ({"kind": "status", "status": 403, "code": 10000, "message": "no"}, "api-not-allowed"),
    "429": ({"kind": "status", "status": 429, "code": 971, "message": "no"}, "api-rate-limited"),
    "500": ({"kind": "status", "status": 500, "code": 1000, "message": "no"}, "api-refused"),
    "garbage": ({"kind": "garbage"}, "api-garbage"),
    "disconnect": ({"kind": "disconnect"}, "api-unreachable"),
}
CREATE = {"make": "POST /client/v4/accounts", "lead": "/tunnels/"}
DELETE = {
    "connections": "/connections",
    "tunnel": "DELETE /client/v4/accounts",
    "records": "DELETE /client/v4/zones",
}
TOLD = {("records", "403")}  # deleted all the same; the person is told what is left


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    running = Lab(tmp_path_factory.mktemp("lab") / "lab")
    yield running
    running.close()


@pytest.fixture(params=sorted(PROGRAMS))
def desk(request: pytest.FixtureRequest, lab: Lab, paths: Paths, tmp_path: Path) -> Iterator[Desk]:
    lab.reset()
    made = make_desk(lab, paths, PROGRAMS[request.param], tmp_path)
    made.sign_in()
    yield made
    made.keeper.close()
    lab.reset()
    for name in made.records():
        zone = f"/zones/{lab.info['zone']}/dns_records"
        for record in made.api("GET", f"{zone}?name={name}"):
            made.api("DELETE", f"{zone}/{record['id']}")
    account = f"/accounts/{lab.info['account']}/cfd_tunnel"
    for one in lab.call("GET", "/state")["tunnels"]:
        if not one["deleted"]:
            made.api("DELETE", f"{account}/{one['id']}?cascade=true")


def failed_then_done(desk: Desk, key: str, code: str) -> None:
    job = desk.wait(key, JobState.FAILED, JobState.DONE, JobState.WAITING)
    assert job.state is JobState.FAILED, job
    assert job.reason is not None
    assert (job.reason.code, bool(job.reason.cure)) == (code, True), job.reason
    desk.lab.reset()
    desk.keeper.retry(key)
    job = desk.wait(key, JobState.FAILED, JobState.DONE, JobState.WAITING)
    assert job.state is JobState.DONE, job


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("step", CREATE)
def test_create_is_gone_on_with(desk: Desk, step: str, trouble: str) -> None:
    fault, code = TROUBLES[trouble]
    desk.lab.faults(api={**fault, "match": CREATE[step]})
    key = desk(CreateTunnel(name="home", kind="named", routes=(CODE,)))
    failed_then_done(desk, key, code)
    tunnel = desk.tunnels()["home"]
    assert [one["id"] for one in desk.at_cloudflare("home")] == [tunnel.tunnel_id]
    assert desk.records() == {CODE.hostname: f"{tunnel.tunnel_id}.cfargotunnel.com"}
    assert desk.paths.credentials(tunnel.tunnel_id).exists()


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("step", DELETE)
def test_delete_is_gone_on_with(desk: Desk, step: str, trouble: str) -> None:
    desk.done(CreateTunnel(name="home", kind="named", routes=(CODE,)))
    tunnel = desk.tunnels()["home"]
    fault, code = TROUBLES[trouble]
    desk.lab.faults(api={**fault, "match": DELETE[step]})
    key = desk(DeleteTunnel(name="home"))
    if (step, trouble) in TOLD:
        job = desk.wait(key, JobState.FAILED, JobState.DONE)
        assert job.state is JobState.DONE, job
        assert any(CODE.hostname in line for line in job.by_hand)
    elif desk.program == PROGRAMS.get("real") and step == "connections":
        # it logs that it could not end them and exits with 0; deleting ends them anyway
        desk.wait(key, JobState.DONE)
    else:
        failed_then_done(desk, key, code)
    assert (step, trouble) in TOLD or desk.records() == {}
    assert desk.at_cloudflare("home") == []
    assert "home" not in desk.tunnels()
    assert not desk.paths.credentials(tunnel.tunnel_id).exists()


def test_a_slow_api_is_waited_for(desk: Desk) -> None:
    desk.lab.faults(api={"kind": "delay", "delay": 0.5})
    desk.done(CreateTunnel(name="home", kind="named", routes=(CODE,)))
    desk.done(DeleteTunnel(name="home"))
    assert desk.records() == {}
