"""Named tunnels made, led and deleted on the lab's account; signing in; what is taken over.

Over the stand-in and, where found, the real cloudflared. Settings and the supervisor's snapshot are
doubles; everything else is the product's own.
"""

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nexus_tray.app.importing import Importing
from nexus_tray.app.jobs import JobKeeper
from nexus_tray.app.login import Login as LoginPlan
from nexus_tray.app.login import World as LoginWorld
from nexus_tray.app.named_tunnels import NamedTunnels, World
from nexus_tray.app.route_reports import RouteReports
from nexus_tray.app.tunnel_handlers import TunnelHandlers
from nexus_tray.app.zones import Zones
from nexus_tray.commands import (
    AnyCommand,
    CreateTunnel,
    DeleteTunnel,
    ForgetZone,
    ImportTunnel,
    Login,
    SetRoutes,
)
from nexus_tray.model import Facts, Job, JobState, Problem
from nexus_tray.paths import Paths
from nexus_tray.reports import RouteState
from nexus_tray.services.cloudflare_tool import Tool
from nexus_tray.settings import RouteSettings, TunnelSettings
from tests.api.doubles import MemorySettings, first_snapshot
from tests.cloudflare.lab import STANDIN, Lab, cloudflareds, until

PROGRAMS = cloudflareds()
CODE = RouteSettings(hostname="code.lab.example")
PREVIEW = RouteSettings(hostname="preview.lab.example", service="http://localhost:5173")


class Settings(MemorySettings):
    def update(self, change: Any, etag: str | None = None) -> Any:
        return super().update(change, etag)


@dataclass
class Desk:
    """The handlers with everything below them. `jobs` are those last published."""

    paths: Paths
    lab: Lab
    program: Path
    home: Path
    lab_environment: dict[str, str]
    jobs: tuple[Job, ...] = ()
    forgotten: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = Settings()
        self.zones = Zones(self.paths, self.lab.info["api_url"])
        tool = Tool(lambda: self.program, lambda: os.environ, self.lab_environment)
        named = NamedTunnels(
            World(
                self.paths, self.settings, tool, self.zones, first_snapshot,
                lambda tunnel: self.forgotten.append(tunnel.name),
            )
        )  # fmt: skip
        login = LoginPlan(LoginWorld(self.paths, tool, self.zones, self.home))
        makers = {
            "create": named.create, "routes": named.routes, "delete": named.delete,
            "login": login.plan,
        }  # fmt: skip
        self.keeper = JobKeeper(self.paths.jobs_file, makers, self._publish, time.time)
        self.importing = Importing(
            self.home / ".cloudflared", self.paths, self.settings, self.zones
        )
        self.table = TunnelHandlers(
            self.settings, self.keeper, self.zones, self.importing, lambda _: "by token"
        ).table()

    def _publish(self, jobs: tuple[Job, ...]) -> None:
        self.jobs = jobs

    def __call__(self, command: AnyCommand) -> str:
        return self.table[type(command)](command) or ""

    def wait(self, key: str, *states: JobState) -> Job:
        def look() -> Job | None:
            found = next(job for job in self.jobs if job.id == key)
            return found if found.state in states else None

        return until(look, f"{states}", 30) or self.jobs[0]

    def done(self, command: AnyCommand) -> Job:
        """Carry it out; it must succeed."""
        job = self.wait(self(command), JobState.DONE, JobState.FAILED, JobState.WAITING)
        assert job.state is JobState.DONE, job
        return job

    def sign_in(self) -> None:
        self.zones.add(Path(self.lab.info["origincert"]).read_bytes())

    def tunnels(self) -> dict[str, TunnelSettings]:
        return {one.name: one for one in self.settings.read().settings.tunnels}

    def at_cloudflare(self, name: str) -> list[dict[str, Any]]:
        found = self.lab.call("GET", "/state")["tunnels"]
        return [one for one in found if one["name"] == name and not one["deleted"]]

    def records(self) -> dict[str, str]:
        return {r["name"]: r["content"] for r in self.lab.call("GET", "/state")["records"]}

    def api(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            self.lab.info["api_url"] + path,
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={
                "Authorization": f"Bearer {self.lab.info['api_token']}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)["result"]

    def record(self, name: str, content: str) -> None:
        path = f"/zones/{self.lab.info['zone']}/dns_records"
        self.api("POST", path, {"name": name, "content": content})


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab") / "lab")
    yield lab
    lab.close()


def make_desk(lab: Lab, paths: Paths, program: Path, tmp_path: Path, **more: str) -> Desk:
    home = tmp_path / "user"
    home.mkdir()
    given = {"TUNNEL_API_URL": lab.info["api_url"], "LAB_LOGIN_URL": lab.info["login"]}
    return Desk(paths, lab, program, home, {**given, **more})


@pytest.fixture(params=sorted(PROGRAMS))
def desk(request: pytest.FixtureRequest, lab: Lab, paths: Paths, tmp_path: Path) -> Iterator[Desk]:
    lab.reset()
    made = make_desk(lab, paths, PROGRAMS[request.param], tmp_path)
    made.sign_in()
    yield made
    made.keeper.close()
    lab.reset()
    for name in made.records():  # each test begins with an empty zone
        found = made.api("GET", f"/zones/{lab.info['zone']}/dns_records?name={name}")
        made.api("DELETE", f"/zones/{lab.info['zone']}/dns_records/{found[0]['id']}")
    for one in lab.call("GET", "/state")["tunnels"]:
        if not one["deleted"]:
            made.api(
                "DELETE", f"/accounts/{lab.info['account']}/cfd_tunnel/{one['id']}?cascade=true"
            )


def home_tunnel(desk: Desk, *routes: RouteSettings) -> TunnelSettings:
    desk.done(CreateTunnel(name="home", kind="named", routes=routes or (CODE,)))
    return desk.tunnels()["home"]


def test_a_tunnel_is_made_and_led_and_runs(desk: Desk) -> None:
    tunnel = home_tunnel(desk, CODE, PREVIEW)
    assert tunnel.enabled
    assert (tunnel.kind, tunnel.zone_id) == ("named", desk.lab.info["zone"])
    assert tunnel.account_id == desk.lab.info["account"]
    assert tunnel.routes == (CODE, PREVIEW)
    target = f"{tunnel.tunnel_id}.cfargotunnel.com"
    assert desk.records() == {CODE.hostname: target, PREVIEW.hostname: target}
    credentials = desk.paths.credentials(tunnel.tunnel_id)
    assert credentials.stat().st_mode & 0o177 == 0
    assert json.loads(credentials.read_text())["TunnelID"] == tunnel.tunnel_id
    assert "Secret" not in json.dumps(str(desk.jobs))
    reports = RouteReports(desk.zones, lambda _: Facts()).read(tunnel)
    assert [report.state for report in reports] == [RouteState.READY] * 2


def test_a_record_that_leads_elsewhere_is_kept_on_a_no(desk: Desk) -> None:
    desk.record(CODE.hostname, "old.example.net")
    key = desk(CreateTunnel(name="home", kind="named", routes=(CODE,)))
    job = desk.wait(key, JobState.WAITING)
    assert job.question is not None
    assert CODE.hostname in job.question.what
    desk.keeper.answer(key, yes=False)
    desk.wait(key, JobState.CANCELLED)
    assert desk.records() == {CODE.hostname: "old.example.net"}
    assert desk.at_cloudflare("home") == []  # what was made is taken back
    assert "home" not in desk.tunnels()
    assert list(desk.paths.credentials("x").parent.glob("*.json")) == []


def test_a_host_name_of_another_domain_is_refused_before_anything_is_made(desk: Desk) -> None:
    other = RouteSettings(hostname="www.elsewhere.net")
    key = desk(CreateTunnel(name="home", kind="named", routes=(other,)))
    job = desk.wait(key, JobState.FAILED)
    assert job.reason is not None
    assert job.reason.code == "host-outside"
    assert "www.elsewhere.net.lab.example" in job.reason.meaning
    assert desk.at_cloudflare("home") == []


def test_the_silent_trap_is_caught_where_the_zones_name_is_not_told(desk: Desk) -> None:
    fault = {"kind": "status", "status": 403, "code": 10000, "message": "Authentication error"}
    desk.lab.faults(api={**fault, "match": "GET /client/v4/zones", "remaining": 1})
    other = RouteSettings(hostname="www.elsewhere.net")
    key = desk(CreateTunnel(name="home", kind="named", routes=(other,)))
    job = desk.wait(key, JobState.FAILED)
    assert job.reason is not None
    assert job.reason.code == "host-outside"
    assert "www.elsewhere.net.lab.example" in job.reason.meaning
    assert "removed again" in job.reason.meaning
    assert desk.records() == {}
    desk.keeper.cancel(key)
    desk.wait(key, JobState.CANCELLED)
    assert desk.at_cloudflare("home") == []


def test_a_name_that_the_account_has_already_is_said(desk: Desk) -> None:
    account = f"/accounts/{desk.lab.info['account']}/cfd_tunnel"
    desk.api("POST", account, {"name": "home"})
    job = desk.wait(desk(CreateTunnel(name="home", kind="named", routes=(CODE,))), JobState.FAILED)
    assert job.reason is not None
    assert job.reason.code == "tunnel-exists"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "status", "status": 403, "code": 10000, "message": "no"}, "api-not-allowed"),
        ({"kind": "status", "status": 429, "code": 971, "message": "no"}, "api-rate-limited"),
        ({"kind": "status", "status": 500, "code": 1000, "message": "no"}, "api-refused"),
        ({"kind": "garbage"}, "api-garbage"),
        ({"kind": "disconnect"}, "api-unreachable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_failure_of_the_api_is_said_and_gone_on_with(
    desk: Desk, fault: dict[str, object], code: str
) -> None:
    desk.lab.faults(api={**fault, "match": "POST"})
    key = desk(CreateTunnel(name="home", kind="named", routes=(CODE,)))
    job = desk.wait(key, JobState.FAILED)
    assert job.reason is not None
    assert job.reason.code == code
    assert job.reason.cure
    desk.lab.reset()
    desk.keeper.retry(key)
    desk.wait(key, JobState.DONE)
    assert desk.records()[CODE.hostname].startswith(desk.tunnels()["home"].tunnel_id)


def test_routes_that_come_and_go_change_only_their_own_records(desk: Desk) -> None:
    home_tunnel(desk)
    desk.record("other.lab.example", "somewhere.example.net")
    desk.done(SetRoutes(name="home", routes=(PREVIEW,)))
    assert set(desk.records()) == {"other.lab.example", PREVIEW.hostname}
    moved = RouteSettings(hostname=PREVIEW.hostname, service="http://localhost:3000")
    assert desk(SetRoutes(name="home", routes=(moved,))) == ""  # nothing for DNS, so no job
    assert desk.tunnels()["home"].routes == (moved,)


def test_routes_are_as_before_where_a_name_is_not_led(desk: Desk) -> None:
    home_tunnel(desk)
    desk.record(PREVIEW.hostname, "old.example.net")
    third = RouteSettings(hostname="a.lab.example")
    key = desk(SetRoutes(name="home", routes=(CODE, third, PREVIEW)))
    desk.wait(key, JobState.WAITING)
    with pytest.raises(Problem, match="worked on already"):
        desk(SetRoutes(name="home", routes=(third,)))
    assert desk.tunnels()["home"].routes == (CODE,)
    desk.keeper.answer(key, yes=False)
    desk.wait(key, JobState.CANCELLED)
    assert desk.tunnels()["home"].routes == (CODE,)
    assert set(desk.records()) == {CODE.hostname, PREVIEW.hostname}
    assert desk.records()[PREVIEW.hostname] == "old.example.net"


def test_a_tunnel_that_was_made_and_not_noted_is_taken_up(desk: Desk) -> None:
    """The program was killed between Cloudflare's answer and its own note of it."""
    first = home_tunnel(desk)
    desk.settings.update({"tunnels": []})
    kept = desk.paths.credentials(first.tunnel_id)
    kept.rename(kept.with_name("new-home.json"))
    desk.api("DELETE", f"/zones/{desk.lab.info['zone']}/dns_records/{record_id(desk)}")
    assert home_tunnel(desk).tunnel_id == first.tunnel_id
    assert len(desk.at_cloudflare("home")) == 1


def record_id(desk: Desk) -> str:
    path = f"/zones/{desk.lab.info['zone']}/dns_records?name={CODE.hostname}"
    return str(desk.api("GET", path)[0]["id"])


def test_deleting_takes_everything_of_it_and_nothing_else(desk: Desk) -> None:
    tunnel = home_tunnel(desk, CODE, PREVIEW)
    desk.record("other.lab.example", "somewhere.example.net")
    desk.done(DeleteTunnel(name="home"))
    assert desk.at_cloudflare("home") == []
    assert desk.records() == {"other.lab.example": "somewhere.example.net"}
    assert "home" not in desk.tunnels()
    assert not desk.paths.credentials(tunnel.tunnel_id).exists()
    assert desk.forgotten == ["home"]


def test_records_that_may_not_be_deleted_are_told(desk: Desk) -> None:
    home_tunnel(desk)
    fault = {"kind": "status", "status": 403, "code": 10000, "message": "no"}
    desk.lab.faults(api={**fault, "match": "DELETE /client/v4/zones"})
    job = desk.done(DeleteTunnel(name="home"))
    assert any(CODE.hostname in line for line in job.by_hand)
    assert "home" not in desk.tunnels()


def test_only_here_leaves_cloudflare_as_it_is(desk: Desk) -> None:
    home_tunnel(desk)
    desk.done(DeleteTunnel(name="home", only_here=True))
    assert len(desk.at_cloudflare("home")) == 1
    assert CODE.hostname in desk.records()
    assert "home" not in desk.tunnels()


def test_a_tunnel_that_was_deleted_elsewhere_is_deleted_all_the_same(desk: Desk) -> None:
    tunnel = home_tunnel(desk)
    account = f"/accounts/{desk.lab.info['account']}/cfd_tunnel"
    desk.api("DELETE", f"{account}/{tunnel.tunnel_id}?cascade=true")
    desk.done(DeleteTunnel(name="home"))
    assert "home" not in desk.tunnels()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (CreateTunnel(name="quick"), "tunnel-name-taken"),
        (CreateTunnel(name="opencode"), "tunnel-name-taken"),
        (CreateTunnel(name="local"), "config-invalid"),
        (CreateTunnel(name="--config=x"), "config-invalid"),
        (CreateTunnel(name="-h"), "config-invalid"),
        (CreateTunnel(name="a\nb"), "config-invalid"),
        (CreateTunnel(name="a: {"), "config-invalid"),
        (CreateTunnel(name="new", kind="named"), "tunnel-without-host"),
        (CreateTunnel(name="new", kind="named", routes=(CODE, CODE)), "host-twice"),
        (
            CreateTunnel(name="new", kind="named", routes=(RouteSettings(hostname="a b.net"),)),
            "config-invalid",
        ),
        (
            CreateTunnel(name="new", kind="named", routes=(CODE,), zone_id="../../x"),
            "no-such-zone",
        ),
        (CreateTunnel(name="new", routes=(CODE,)), "quick-host"),
        (
            CreateTunnel(name="new", routes=(RouteSettings(service="file:///etc/passwd"),)),
            "config-invalid",
        ),
        (DeleteTunnel(name="nothing"), "no-such-tunnel"),
        (SetRoutes(name="quick", routes=(CODE,)), "quick-host"),
        (ForgetZone(zone_id="f" * 32), "no-such-zone"),
        (ForgetZone(zone_id="f" * 300), "no-such-zone"),
        (ForgetZone(zone_id="../../nexus"), "no-such-zone"),
        (ImportTunnel(path="/etc/shadow"), "import-unreadable"),
        (ImportTunnel(path=""), "import-unreadable"),
        (ImportTunnel(path="/etc"), "import-unreadable"),
        (ImportTunnel(path="a\0b"), "import-unreadable"),
        (ImportTunnel(path="~nobody-has-this-name/cert.pem"), "import-unreadable"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_done(
    lab: Lab, paths: Paths, tmp_path: Path, command: AnyCommand, code: str
) -> None:
    desk = make_desk(lab, paths, STANDIN, tmp_path)
    desk.sign_in()
    before = desk.settings.read()
    with pytest.raises(Problem) as refused:
        desk(command)
    assert refused.value.reason.code in (code, "import-unreadable", "origin-certificate")
    assert code == refused.value.reason.code or isinstance(command, ImportTunnel)
    assert desk.settings.read() == before
    assert desk.jobs == ()


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (Facts(), "known once the tunnel runs"),
        (Facts(connections=4), "Cloudflare has told no public hostname of this tunnel yet"),
        (Facts(connections=4, hostnames=()), "Cloudflare does not send it here"),
        (Facts(connections=4, hostnames=(CODE.hostname,)), "sent here"),
    ],
)
def test_what_is_known_of_a_token_tunnels_route(paths: Paths, facts: Facts, text: str) -> None:
    tunnel = TunnelSettings(name="office", kind="token", routes=(CODE,))
    [route] = RouteReports(Zones(paths), lambda _: facts).read(tunnel)
    assert route.text == text


def test_a_route_outside_of_the_domain_is_in_nobodys_way(desk: Desk) -> None:
    """It changed nothing, so the next try needs nothing to be taken back first."""
    home_tunnel(desk, CODE)
    wrong = SetRoutes(name="home", routes=(CODE, RouteSettings(hostname="code.elsewhere.org")))
    desk.wait(desk(wrong), JobState.FAILED)
    desk.wait(desk(SetRoutes(name="home", routes=(CODE, PREVIEW))), JobState.DONE)


def test_without_a_zone_a_named_tunnel_says_what_to_do_first(
    lab: Lab, paths: Paths, tmp_path: Path
) -> None:
    desk = make_desk(lab, paths, STANDIN, tmp_path)
    with pytest.raises(Problem, match="Sign in first"):
        desk(CreateTunnel(name="home", kind="named", routes=(CODE,)))


def test_signing_in_brings_the_zone(lab: Lab, paths: Paths, tmp_path: Path) -> None:
    desk = make_desk(lab, paths, STANDIN, tmp_path)
    key = desk(Login())
    job = desk.wait(key, JobState.WAITING)
    assert job.link is not None
    assert job.link.startswith("https://dash.cloudflare.com/argotunnel?")
    assert job.expires_at is not None
    lab.call("POST", "/login/approve")
    desk.wait(key, JobState.DONE)
    [zone] = desk.zones.all()
    assert (zone.id, zone.name) == (lab.info["zone"], "lab.example")
    assert desk.zones.certificate(zone.id).stat().st_mode & 0o177 == 0
    assert not (paths.zones.parent / "login").exists()
    assert not (desk.home / ".cloudflared").exists()
    desk(ForgetZone(zone_id=zone.id))
    assert desk.zones.all() == ()


def test_signing_in_can_be_cancelled(lab: Lab, paths: Paths, tmp_path: Path) -> None:
    desk = make_desk(lab, paths, STANDIN, tmp_path)
    key = desk(Login())
    desk.wait(key, JobState.WAITING)
    desk.keeper.cancel(key)
    desk.wait(key, JobState.CANCELLED)
    assert desk.zones.all() == ()
    assert not (paths.zones.parent / "login").exists()


def test_a_downloaded_certificate_is_noticed(lab: Lab, paths: Paths, tmp_path: Path) -> None:
    desk = make_desk(lab, paths, STANDIN, tmp_path, LAB_LOGIN_ATTEMPTS="0")
    key = desk(Login())
    until(lambda: any(job.by_hand for job in desk.jobs), "what to do by hand")
    [waiting] = desk.jobs
    assert waiting.link is not None  # whoever has not opened the page yet still can
    downloads = desk.home / "Downloads"
    downloads.mkdir()
    (downloads / "cert.pem").write_bytes(Path(lab.info["origincert"]).read_bytes())
    desk.wait(key, JobState.DONE)
    assert [zone.id for zone in desk.zones.all()] == [lab.info["zone"]]
    assert (downloads / "cert.pem").exists()


def old_home(desk: Desk, ident: str = "34b8a912-7d3e-4322-9435-a8e7bdf10be4") -> Path:
    """What a user of cloudflared has."""
    folder = desk.home / ".cloudflared"
    folder.mkdir()
    (folder / "cert.pem").write_bytes(Path(desk.lab.info["origincert"]).read_bytes())
    credentials = {"AccountTag": "b" * 32, "TunnelID": ident, "TunnelSecret": "c2VjcmV0"}
    (folder / f"{ident}.json").write_text(json.dumps(credentials))
    (folder / "config.yml").write_text(
        f"tunnel: {ident}\ningress:\n"
        "  - hostname: Code.Old.example\n    service: http://localhost:1\n"
        "  - hostname: '*.old.example'\n    service: http://localhost:2\n"
        "  - service: http_status:404\n"
    )
    return folder


def test_what_cloudflared_left_is_taken_over_and_not_changed(
    lab: Lab, paths: Paths, tmp_path: Path
) -> None:
    desk = make_desk(lab, paths, STANDIN, tmp_path)
    folder = old_home(desk)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    zone, tunnel = desk.importing.importable()
    assert (zone.kind, zone.zone_id) == ("zone", lab.info["zone"])
    assert (tunnel.kind, tunnel.name) == ("named", "34b8a912")
    assert tunnel.hostnames == ("code.old.example",)
    desk(ImportTunnel(path=zone.path))
    said = desk(ImportTunnel(path=tunnel.path))
    assert "stopped" in said
    made = desk.tunnels()["34b8a912"]
    assert (made.enabled, made.kind) == (False, "named")
    assert [route.hostname for route in made.routes] == ["code.old.example"]
    assert desk.paths.credentials(made.tunnel_id).stat().st_mode & 0o177 == 0
    assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}
    again = desk.importing.importable()[1]
    assert again.reason is not None
    assert again.reason.code == "tunnel-known"


@pytest.mark.parametrize("what", ["link", "pipe", "huge", "garbage", "array"])
def test_what_is_not_cloudflareds_is_said_and_not_taken(
    lab: Lab, paths: Paths, tmp_path: Path, what: str
) -> None:
    desk = make_desk(lab, paths, STANDIN, tmp_path)
    folder = old_home(desk)
    path = next(folder.glob("*.json"))
    kept = path.read_bytes()
    path.unlink()
    if what == "link":
        (tmp_path / "elsewhere").write_bytes(kept)
        path.symlink_to(tmp_path / "elsewhere")
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes({"huge": b"x" * 100_000, "garbage": b"{", "array": b"[1]"}[what])
    found = desk.importing.importable()[1]
    assert found.reason is not None
    with pytest.raises(Problem):
        desk(ImportTunnel(path=str(path)))
    assert [one.name for one in desk.settings.read().settings.tunnels] == ["quick"]
