"""Reasons that no test of a room reaches: each by the real function, near to its cause.

That every reason is reached somewhere is what tests/test_reasons.py holds.
"""

import asyncio
import errno
import http.server
import os
import platform
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexus_tray.app import doctor_desktop, login, named_tunnels, repairs
from nexus_tray.app.addresses import Addresses, Around
from nexus_tray.app.around_us import clock_doubt
from nexus_tray.app.handlers import Handlers, wish
from nexus_tray.app.jobs import JobKeeper, Plan, Step
from nexus_tray.app.route_reports import RouteReports
from nexus_tray.app.tunnel_handlers import TunnelHandlers
from nexus_tray.app.window_handlers import PROGRAM_ENDS, WindowHandlers
from nexus_tray.app.window_handlers import Around as WindowAround
from nexus_tray.app.zones import Zones
from nexus_tray.cloudflare import tunnel_tool
from nexus_tray.cloudflare.tunnel_tool import Said
from nexus_tray.commands import (
    DeleteTunnel,
    OpenDoor,
    Outcome,
    SetRoutes,
    ShowWindow,
    Shutdown,
)
from nexus_tray.core.driver import Cause, Exited, Failure, Observed
from nexus_tray.core.local_backend import LocalBackend
from nexus_tray.gateway.http import DoorKind, Principal, Upstream
from nexus_tray.gateway.server import Gateway
from nexus_tray.gateway.signin.asking_again import AskingAgain
from nexus_tray.gateway.site.sessions_pages import NOT_SAID
from nexus_tray.gateway.site.site import NOT_SAID as ANSWER_NOT_SAID
from nexus_tray.model import Facts, JobState, Problem, Reason
from nexus_tray.paths import Paths
from nexus_tray.reports import RouteState
from nexus_tray.services import (
    checks_opencode,
    cloudflared_launch,
    download,
    opencode_run,
    own_certificate,
)
from nexus_tray.services.cloudflared_launch import Identity
from nexus_tray.services.conversations import Conversations
from nexus_tray.services.fetches import Fetches
from nexus_tray.services.gateway import GatewayDriver
from nexus_tray.services.progress import Progress
from nexus_tray.settings import RouteSettings, Settings, TunnelSettings
from nexus_tray.store.logs import LogStore
from nexus_tray.system import web_view
from tests.api.doubles import MemorySettings, first_snapshot
from tests.app.test_network_door import World as NetworkWorld
from tests.gateway.doubles import SmallSite, no_shape
from tests.gateway.site_world import PERMISSION, SiteWorld, open_site, post
from tests.opencode_lab.harness import Home, Keeper, until


def refused(action: Callable[[], object]) -> str:
    """The code of the Problem that it raises."""
    with pytest.raises(Problem) as caught:
        action()
    return caught.value.reason.code


# OpenCode's and cloudflared's programs


def failed(home: Home, program: Path, seconds: float = 20.0) -> Failure:
    with Keeper(home, program) as keeper:
        keeper.begin()
        failure = keeper.exited(seconds).failure
    assert failure is not None
    return failure


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_a_program_that_may_not_be_run(opencode_home: Home) -> None:
    failure = failed(opencode_home, script(opencode_home.root / "plain", "#!/bin/sh\n", 0o644))
    assert (failure.reason.code, failure.cause) == ("opencode-not-allowed", Cause.FATAL)
    assert "chmod +x" in failure.reason.cure


class Burdened(Home):
    """Its environment is larger than the system hands to a program (E2BIG)."""

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "BURDEN": "x" * 4_000_000}


def test_a_start_that_the_system_refuses_is_tried_again(tmp_path: Path) -> None:
    home = Burdened(tmp_path / "home", "http://127.0.0.1:9")
    failure = failed(home, script(home.root / "program", "#!/bin/sh\n"))
    assert (failure.reason.code, failure.cause) == ("opencode-not-started", Cause.CRASH)


def test_a_port_that_is_taken_again_and_again(
    opencode_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as thief:
        port: int = thief.getsockname()[1]
        monkeypatch.setattr(opencode_run, "free_port", lambda: port)
        failure = failed(opencode_home, script(opencode_home.root / "busy", "#!/bin/sh\nexit 1\n"))
    assert (failure.reason.code, failure.cause) == ("opencode-port-taken", Cause.CRASH)
    assert str(port) in failure.reason.what


def checked(folder: Path, text: str, **more: str) -> Failure | None:
    program, config = script(folder / "program", text), folder / "config.json"
    config.touch()
    return cloudflared_launch._validate(program, config, more)


def test_a_check_of_the_configuration_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloudflared_launch, "CHECK_LIMIT", 0.2)
    failure = checked(tmp_path, "#!/bin/sh\nexec sleep 600\n", PATH="/bin:/usr/bin")
    assert failure is not None
    assert (failure.reason.code, failure.cause) == ("cloudflared-check-hangs", Cause.CRASH)


def test_a_cloudflared_that_the_system_refuses_is_tried_again(tmp_path: Path) -> None:
    failure = checked(tmp_path, "#!/bin/sh\n", BURDEN="x" * 4_000_000)
    assert failure is not None
    assert (failure.reason.code, failure.cause) == ("cloudflared-not-started", Cause.CRASH)


def test_a_named_tunnel_that_was_not_made() -> None:
    with pytest.raises(cloudflared_launch.Refusal) as caught:
        cloudflared_launch._check_credentials(Identity("named", ""))
    assert caught.value.failure.reason.code == "tunnel-not-made"


def test_a_machine_that_no_cloudflared_is_built_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "pdp11")
    assert refused(lambda: download.install_cloudflared(tmp_path)) == "cloudflared-no-build"


def test_a_download_that_fails_as_nobody_foresaw() -> None:
    def broken(_: Progress) -> Path:
        raise RuntimeError("a mistake of ours")

    fetches = Fetches({"opencode": broken}, lambda _: None)
    fetches.begin("opencode")
    reason = until("its end", lambda: fetches.state("opencode")[1])
    assert reason.code == "fetch-unforeseen"
    fetches.close()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (Said(0, "", "something else"), "cloudflared-odd"),
        (Said(1, "", "it would not"), "cloudflared-refused"),
    ],
)
def test_what_cloudflared_says_as_a_tool(said: Said, code: str) -> None:
    assert refused(lambda: tunnel_tool.routed(said)) == code


# the gateway and its doors


class Told:
    def __init__(self) -> None:
        self.items: list[Any] = []
        self.over = threading.Event()

    def __call__(self, item: Any) -> None:
        self.items.append(item)
        self.over.set()


def test_a_gateway_that_cannot_be_made() -> None:
    def broken() -> Gateway:
        raise RuntimeError("a mistake of ours")

    told = Told()
    GatewayDriver(broken, lambda _: None).start(1, told)
    assert told.over.wait(10)
    (end,) = told.items
    assert isinstance(end, Exited)
    assert end.failure is not None
    assert (end.failure.reason.code, end.failure.cause) == ("gateway-failed", Cause.CRASH)


def test_a_gateway_that_does_not_answer() -> None:
    gateway = Gateway(SmallSite(), no_shape, None)
    driver, told = GatewayDriver(lambda: gateway, lambda _: None), Told()
    driver.start(1, told)
    until("it is open", lambda: told.items)
    assert isinstance(told.items[0], Observed)
    gateway.close()
    driver.probe(1)
    until("an answer", lambda: len(told.items) == 2)
    assert told.items[1].reason.code == "gateway-deaf"


def test_the_gateway_is_not_stopped_alone() -> None:
    assert refused(lambda: wish(Settings(), "gateway", enabled=False)) == "gateway-stays"


@pytest.fixture
def door(paths: Paths) -> Iterator[NetworkWorld]:
    made = NetworkWorld(paths)
    yield made
    made.close()


def test_the_local_networks_door_that_cannot_be_opened(door: NetworkWorld) -> None:
    door.door.accounts().set_password("blue lamp over the river")
    door.set(enabled=True, address="the house", port=door.port)
    assert door.why == "network-odd-address"
    door.set(address="127.0.0.1")
    assert door.why == ""
    whole: Any = door.addresses
    nothing: Any = None
    door.addresses = nothing
    door.keeper.look()
    door.addresses = whole
    assert door.why == "network-failed"
    door.keeper.cut()
    door.keeper.look()
    assert door.why == "network-cut"


def test_a_key_of_ones_own_that_is_locked(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
    )

    key = tmp_path / "key.pem"
    key.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a passphrase")
        )
    )
    assert refused(lambda: own_certificate._key(key)) == "network-certificate-locked"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SiteWorld]:
    made = open_site(tmp_path)
    yield made
    made.close()


def test_what_opencode_does_not_take_and_nobody_says_why(site: SiteWorld) -> None:
    cookie = site.sign_in()
    site.outcome = Outcome(ok=False)
    prompt = post("/_nexus/prompt", {"id": "ses_3", "text": "go"}, cookie=cookie)
    told = site.get(prompt)
    assert (told.status, NOT_SAID.what.encode() in told.body) == (409, True)
    assert NOT_SAID.code == "session-refused"
    answer = post("/_nexus/answer", {"id": PERMISSION.id, "reply": "once"}, cookie=cookie)
    told = site.get(answer)
    assert (told.status, ANSWER_NOT_SAID.what.encode() in told.body) == (409, True)
    assert ANSWER_NOT_SAID.code == "answer-refused"


# tunnels and jobs


class Nothing:
    """Jobs that must not be begun."""

    def start(self, kind: str, subject: str, arguments: object) -> str:
        raise AssertionError(kind)


MOVED = TunnelSettings(
    name="moved", kind="named", tunnel_id="0" * 8 + "-0000-0000-0000-" + "0" * 12,
    routes=(RouteSettings(hostname="code.example.com"),),
)  # fmt: skip


class Settled(MemorySettings):
    def update(self, change: Any, etag: str | None = None) -> Any:
        return super().update(change, etag)


@pytest.fixture
def tunnels(paths: Paths) -> TunnelHandlers:
    settings = Settled()
    settings.update({"tunnels": msgspec.to_builtins([MOVED, TunnelSettings(name="quick")])})
    zones = Zones(paths, "http://127.0.0.1:9")
    nobody: Any = None
    jobs: Any = Nothing()
    return TunnelHandlers(settings, jobs, zones, nobody, lambda _: "")


def test_a_tunnel_that_was_not_made_here(tunnels: TunnelHandlers) -> None:
    table = tunnels.table()
    other = RouteSettings(hostname="www.example.com")
    for command in (DeleteTunnel(name="moved"), SetRoutes(name="moved", routes=(other,))):
        assert refused(lambda c=command: table[type(c)](c)) == "tunnel-without-zone"  # type: ignore[misc]


def test_a_host_name_of_another_tunnel(tunnels: TunnelHandlers) -> None:
    command = SetRoutes(name="quick", routes=MOVED.routes)
    assert refused(lambda: tunnels.table()[SetRoutes](command)) == "host-elsewhere"


def test_a_route_of_which_nothing_is_known_yet(paths: Paths) -> None:
    token = TunnelSettings(name="t", kind="token", routes=MOVED.routes)
    (told,) = RouteReports(Zones(paths, ""), lambda _: Facts()).read(token)
    assert (told.state, told.text) == (RouteState.UNKNOWN, "known once the tunnel runs")


def test_which_of_several_domains_is_not_said(paths: Paths) -> None:
    paths.zones.mkdir(parents=True, mode=0o700)
    for name in "ab":
        (paths.zones / f"{name * 32}.pem").touch(mode=0o600)
    assert refused(Zones(paths, "http://127.0.0.1:9").only) == "zone-unclear"


def test_a_job_that_is_over_is_not_cancelled(paths: Paths) -> None:
    seen: list[Any] = []
    plan = Plan((Step("one", "One", lambda _: "done"),))
    keeper = JobKeeper(paths.jobs_file, {"login": lambda _: plan}, seen.append, lambda: 0.0)
    key = keeper.start("login", "", {})
    until("its end", lambda: seen[-1][0].state is JobState.DONE)
    assert refused(lambda: keeper.cancel(key)) == "job-over"
    keeper.close()


@pytest.fixture
def addresses(tmp_path: Path) -> tuple[Addresses, list[Reason | None]]:
    notes: list[Reason | None] = []
    gateway = Gateway(SmallSite(), no_shape, None)
    restarts = iter(range(100))
    around = Around(
        file=tmp_path / "addresses.json",
        gateway=lambda: gateway,
        tell_time=lambda _: None,
        network=lambda: "home",
        restarts=lambda _: next(restarts),
        note=lambda _text, _name, reason: notes.append(reason),
        log=lambda *_: None,
        front=None,
    )
    return Addresses(around), notes


def test_an_address_that_changes_often(
    addresses: tuple[Addresses, list[Reason | None]],
) -> None:
    found, notes = addresses
    for number in range(5):
        found._count("quick", f"name-{number}.trycloudflare.com")
    assert [reason.code for reason in notes if reason] == ["address-changes-often"]
    reason = found.reason("quick")
    assert reason is not None
    assert reason.cure


class Course:
    """A job's course of which nobody asks anything."""

    cancelled = threading.Event()

    def check(self) -> None:
        """It goes on."""


def test_a_tunnel_that_does_not_stop_is_not_deleted(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_tunnels, "STOP_SECONDS", 0.2)
    settings, nothing, course = Settled(), None, Course()
    world: Any = named_tunnels.World(
        paths, settings, nothing, nothing, first_snapshot, lambda _: None,  # type: ignore[arg-type]
    )  # fmt: skip
    named: Any = named_tunnels.NamedTunnels(world)
    assert refused(lambda: named._stop(course, "quick")) == "tunnel-stops-not"


def test_nobody_signed_in_at_cloudflare_in_time(paths: Paths) -> None:
    world: Any = login.World(paths, None, Zones(paths, ""), paths.data)  # type: ignore[arg-type]
    kept: Any = login.Login(world)
    assert refused(lambda: kept._keep(Course())) == "login-expired"


# this desktop, and the doctor


def test_a_window_where_there_can_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def code(found: object) -> str:
        assert isinstance(found, Reason)
        return found.code

    monkeypatch.setattr(web_view, "_pythons", lambda _: iter(()))
    assert code(web_view.find({})) == "no-web-view"
    monkeypatch.setattr(web_view.sys, "platform", "haiku")  # type: ignore[attr-defined]
    assert code(web_view.find({})) == "no-window-here"


def test_a_window_that_is_asked_for_while_the_program_ends(tmp_path: Path) -> None:
    around = WindowAround(
        environment={"PATH": "/bin:/usr/bin"}, data=tmp_path, desktop=True,
        invite=lambda page: page, browse=lambda _: True, find=lambda _: web_view.WebView(""),
    )  # fmt: skip
    handlers = WindowHandlers(lambda: "window", around)
    handlers.close()
    assert "Nexus Tray is ending." in (handlers.table()[ShowWindow](ShowWindow()) or "")
    assert PROGRAM_ENDS.code == "program-ends"


def test_a_file_that_cannot_be_closed_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_to_others = tmp_path / "file"
    open_to_others.touch()
    open_to_others.chmod(0o644)

    def fails(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "fchmod", fails)
    assert refused(lambda: repairs.close(open_to_others)) == "repair-failed"


DESKTOP = {"WAYLAND_DISPLAY": "wayland-9", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}


def test_a_desktop_without_notifications(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_desktop, "_names", lambda _: set())
    reason = doctor_desktop.notifications(DESKTOP).reason
    assert reason is not None
    assert reason.code == "doctor-no-notifications"


def test_a_bus_that_does_not_say_who_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute:
        def __init__(self, _: str) -> None:
            pass

        def ask(self, _: object) -> tuple[object]:
            raise LookupError("no such method")

        def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr("nexus_tray.desktop.bus.Bus", Mute)
    assert refused(lambda: doctor_desktop.notifications(DESKTOP)) == "doctor-bus"


class Half(http.server.BaseHTTPRequestHandler):
    """Well, but without a configuration that it could give."""

    def do_GET(self) -> None:
        body = b'{"healthy": true, "version": "1.18.33"}'
        self.send_response(200 if self.path == "/global/health" else 500)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        """Say nothing."""


def test_an_opencode_that_does_not_give_its_configuration() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Half) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        finding = checks_opencode.health(Upstream("127.0.0.1", server.server_port, b"Basic eA=="))
        server.shutdown()
        thread.join()
    assert finding.reason is not None
    assert finding.reason.code == "doctor-opencode-config-unreadable"


# what commands meet


def test_a_way_into_a_door_that_is_closed() -> None:
    nothing: Any = None
    handlers = Handlers(
        settings=nothing, post=nothing, accounts=nothing, answers=nothing, secrets=nothing,
        at_login=nothing, door=lambda: None, dashboard=nothing, reapply=nothing, shut_down=nothing,
    )  # fmt: skip
    assert refused(lambda: handlers.table()[OpenDoor](OpenDoor())) == "local-door-closed"


def test_a_command_that_this_program_does_not_know() -> None:
    nothing: Any = None
    outcome = LocalBackend(nothing, nothing, nothing, {}, nothing).submit(Shutdown())
    assert outcome.reason is not None
    assert outcome.reason.code == "command-unknown"


def test_a_session_while_nothing_is_known() -> None:
    talks = Conversations(lambda: None, lambda: None)
    assert refused(lambda: talks._session("ses_x")) == "opencode-not-known"


def test_a_password_asked_for_again_while_many_are_verified() -> None:
    nothing: Any = None

    class Full:
        full = True

    class Stored:
        id, hash = "p", "$argon2id$"

        def password(self) -> "Stored":
            return self

    class NoFactor:
        def present(self) -> None:
            return None

    async def run(function: Callable[[], Any]) -> Any:
        return function()

    full: Any = Full()
    stored: Any = Stored()
    factor: Any = NoFactor()
    asking = AskingAgain(stored, nothing, full, factor, nothing, run, lambda: 0.0)
    who = Principal(id="s", name="a phone", door=DoorKind.LOCAL)
    with pytest.raises(Problem) as caught:
        asyncio.run(asking.require(who, "203.0.113.7", "a password", ""))
    assert caught.value.reason.code == "asked-again-crowded"


def test_a_log_that_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    path.touch(mode=0o600)
    other = sqlite3.connect(path)
    try:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("CREATE TABLE theirs (x)")
        other.commit()
        assert refused(lambda: LogStore(path, 4_000_000)) == "log-unopened"
    finally:
        other.close()


@pytest.mark.parametrize(
    ("off", "behind", "code"), [(True, False, "clock-off"), (False, True, "clock-behind")]
)
def test_a_clock_that_cannot_be_believed(off: bool, behind: bool, code: str) -> None:
    """On the whole program, with the clock moved: tests/faults/test_clock.py."""

    class Asked:
        def off(self) -> bool:
            return off

        def clock_is_behind(self) -> bool:
            return behind

    class Hinge:
        clock = Asked()

        def audit(self) -> Asked:
            return self.clock

    hinge: Any = Hinge()
    doubt = clock_doubt(hinge)
    assert doubt is not None
    assert doubt.code == code
    assert doubt.cure
