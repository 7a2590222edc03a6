"""SECURITY.md 35: planted links, another owner, 0666 on any file of ours: refused; 0600 from
creation.

`OURS` names every file that the program keeps, with what reads and what writes it. Each is made
by its own writer under a umask of 0, then planted in each way, then read and written again: it is
refused with its name in the words, what a link leads to stays as it was, and nothing of what was
planted is used. That no file is missing from the table is held by a run of the whole program,
which must leave nothing else behind, and nothing open to others.
"""

import json
import logging
import os
import re
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nexus_tray.api import client
from nexus_tray.app.job_file import JobFile
from nexus_tray.app.job_record import Record
from nexus_tray.app.tunnel_port import TunnelPort
from nexus_tray.app.zones import Zones
from nexus_tray.desktop import window_place
from nexus_tray.model import Problem
from nexus_tray.paths import Paths
from nexus_tray.services import binaries, cloudflared_launch
from nexus_tray.services.address_changes import AddressChanges
from nexus_tray.services.authority import Authority
from nexus_tray.services.cloudflared_launch import Identity
from nexus_tray.services.transport import Transports
from nexus_tray.store import files, pause_file, secret_file, setup_file
from nexus_tray.store.config import ConfigStore
from nexus_tray.store.history import History
from nexus_tray.store.logs import LogStore
from nexus_tray.store.unfinished import UnfinishedFile
from nexus_tray.system import instance, leftovers, runtime
from nexus_tray.system.open_pages import OpenPages
from tests.cloudflare.lab import STANDIN, Lab
from tests.e2e.program import Program, Visitor
from tests.store.vaults import open_store

NOW = 1_795_000_000.0
TUNNEL = "6ff42ae2-765d-4adf-8112-31c55c1551ef"
PASSPHRASE = "a passphrase of some length"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes and owners are POSIX")


@dataclass(frozen=True)
class Ours:
    """A file by its place; `made` by its writer; `used` reads it, and writes it where we do."""

    place: Callable[[Paths], Path]
    made: Callable[[Paths], object]
    used: Callable[[Paths], object]


def config(paths: Paths) -> None:
    store = ConfigStore(paths)
    size = store.load().settings.logs.max_megabytes
    store.update({"logs": {"max_megabytes": size + 1}})


def good(paths: Paths) -> None:
    ConfigStore(paths).last_good()


def database(paths: Paths) -> None:
    store = open_store(paths.database)
    store.accounts.set_password("x")
    store.close()


def with_sides(paths: Paths, path: Path, opened: Callable[[], Any]) -> None:
    """A process that died left the side files."""
    opened()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    for side in ("-wal", "-shm"):
        os.close(files.open_private(path.with_name(path.name + side), os.O_RDWR | os.O_CREAT))


def logs(paths: Paths) -> None:
    LogStore(paths.log_database, 1_000_000).close()


def traffic(paths: Paths) -> None:
    History(paths.traffic_database, NOW, logging.getLogger("history").warning).close(NOW)


def secrets(paths: Paths) -> None:
    opened = secret_file.open_file(paths.secrets_file, PASSPHRASE)
    opened.write({**opened.read(), "A_KEY": "a"})


def pause_written(paths: Paths) -> None:
    pause_file.write(paths.pause_file, pause_file.PauseRecord(until_at=NOW))


def setup_written(paths: Paths) -> None:
    setup_file.write(paths.setup_file, setup_file.SetupRecord())


def jobs_written(paths: Paths) -> None:
    JobFile(paths.jobs_file, lambda: NOW).write([Record("1", "create", "x", NOW, {})])


def jobs(paths: Paths) -> None:
    file = JobFile(paths.jobs_file, lambda: NOW)
    records, trouble = file.read()
    if trouble is not None:
        assert records == []
        logging.getLogger("jobs").warning("%s", trouble)
    file.write(records)


def zone(paths: Paths) -> None:
    files.ensure_private_dir(paths.zones)
    files.write_atomic(paths.zones / f"{'0' * 32}.pem", b"no certificate")


def credentials_made(paths: Paths) -> None:
    place = paths.credentials(TUNNEL)
    files.ensure_private_dir(place.parent)
    content = {"AccountTag": "0" * 32, "TunnelSecret": "c2VjcmV0", "TunnelID": TUNNEL}
    files.write_atomic(place, json.dumps(content).encode())


def launch(paths: Paths) -> object:
    named = Identity(kind="named", tunnel_id=TUNNEL, credentials=paths.credentials(TUNNEL))
    return cloudflared_launch.prepare(
        named, paths.tunnel("work"), "http://127.0.0.1:1", "quic", grace=1
    )


def launched(paths: Paths) -> None:
    credentials_made(paths)
    launch(paths)


def port(paths: Paths) -> None:
    files.ensure_private_dir(paths.data)
    files.write_atomic(paths.tunnel_port_file, b"40000")


def remembered(paths: Paths) -> None:
    found = TunnelPort(paths.tunnel_port_file, lambda: pytest.fail("not asked")).remembered()
    assert found == 0


def authority(paths: Paths) -> object:
    return Authority(paths.authority, "desk").issue("192.0.2.7", (), NOW)


def lock(paths: Paths) -> None:
    instance.take(paths).release()


def guards(paths: Paths) -> None:
    leftovers.sweep(paths, leftovers.own({"NEXUS_TRAY_MARK": "x"}))


def guards_made(paths: Paths) -> None:
    files.ensure_private_dir(paths.run)
    files.write_atomic(paths.guards_file, b"[]")


def published(paths: Paths) -> None:
    runtime.publish(paths, "http://127.0.0.1:1", "a token", "another token")


def connected(paths: Paths) -> None:
    client.connect(paths)


def pages(paths: Paths) -> None:
    OpenPages(paths, "life").keep((b"\1" * 32,))


def recalled(paths: Paths) -> None:
    assert OpenPages(paths, "life").recall() == ()


def networks(paths: Paths) -> None:
    known = Transports(paths.data / "networks.json", wall=lambda: NOW)
    known.worked("http2", "a network")


def changes_made(paths: Paths) -> None:
    files.ensure_private_dir(paths.data)
    files.write_atomic(paths.data / "addresses.json", b"{}")


def changes(paths: Paths) -> None:
    AddressChanges(paths.data / "addresses.json", lambda: NOW)


def unfinished_made(paths: Paths) -> None:
    UnfinishedFile(paths.unfinished_file).keep(frozenset(("ses_1",)))


def unfinished(paths: Paths) -> None:
    assert UnfinishedFile(paths.unfinished_file).recall() == frozenset()


def window(paths: Paths) -> None:
    window_place.write(paths.data / "window.json", window_place.read(paths.data / "window.json"))


def tool(paths: Paths) -> None:
    files.ensure_private_dir(paths.tools)
    arrived = paths.tools / "arrived"
    arrived.write_bytes(b"#!/bin/sh\n")
    binaries.cloudflared_shelf(paths.tools).put("2026.8.2", arrived, "0" * 64)


def run_tool(paths: Paths) -> object:
    return binaries.find("cloudflared", "", str(paths.tools / "nothing"), paths.tools)


def sides(name: str) -> dict[str, Ours]:
    place: Callable[[Paths], Path] = lambda paths: getattr(paths, name)  # noqa: E731
    use = {"database": database, "log_database": logs, "traffic_database": traffic}[name]

    def side(ending: str) -> Callable[[Paths], Path]:
        return lambda paths: place(paths).with_name(place(paths).name + ending)

    def made(paths: Paths) -> None:
        with_sides(paths, place(paths), lambda: use(paths))

    return {f"{name}{ending}": Ours(side(ending), made, use) for ending in ("", "-wal", "-shm")}


OURS: dict[str, Ours] = {
    "config.json": Ours(lambda p: p.config_file, config, config),
    "config.json.good": Ours(lambda p: p.config / "config.json.good", config, good),
    **sides("database"),
    **sides("log_database"),
    **sides("traffic_database"),
    "secrets.enc": Ours(lambda p: p.secrets_file, secrets, secrets),
    "pause.json": Ours(
        lambda p: p.pause_file, pause_written, lambda p: pause_file.read(p.pause_file)
    ),
    "pause.json, written": Ours(lambda p: p.pause_file, pause_written, pause_written),
    "setup.json": Ours(
        lambda p: p.setup_file, setup_written, lambda p: setup_file.read(p.setup_file)
    ),
    "setup.json, written": Ours(lambda p: p.setup_file, setup_written, setup_written),
    "jobs.json": Ours(lambda p: p.jobs_file, jobs_written, jobs),
    "a zone": Ours(lambda p: p.zones / f"{'0' * 32}.pem", zone, lambda p: Zones(p).read("0" * 32)),
    "credentials": Ours(lambda p: p.credentials(TUNNEL), credentials_made, launch),
    "cloudflared.json": Ours(lambda p: p.tunnel("work") / "cloudflared.json", launched, launch),
    "tunnel-port.json": Ours(lambda p: p.tunnel_port_file, port, remembered),
    "authority": Ours(lambda p: p.authority / "authority.pem", authority, authority),
    "door": Ours(lambda p: p.authority / "door.pem", authority, authority),
    "lock": Ours(lambda p: p.lock, lock, lock),
    "guards.json": Ours(lambda p: p.guards_file, guards_made, guards),
    "api.json": Ours(lambda p: p.api_file, published, connected),
    "api.json, written": Ours(lambda p: p.api_file, published, published),
    "metrics-token": Ours(lambda p: p.metrics_token, published, published),
    "metrics-target.json": Ours(lambda p: p.metrics_target, published, published),
    "pages.json": Ours(lambda p: p.pages_file, pages, recalled),
    "pages.json, written": Ours(lambda p: p.pages_file, pages, pages),
    "networks.json": Ours(lambda p: p.data / "networks.json", networks, networks),
    "addresses.json": Ours(lambda p: p.data / "addresses.json", changes_made, changes),
    "unfinished.json": Ours(lambda p: p.unfinished_file, unfinished_made, unfinished),
    "window.json": Ours(lambda p: p.data / "window.json", window, window),
    "use.json": Ours(lambda p: p.tools / "cloudflared" / "use.json", tool, run_tool),
    "a program": Ours(lambda p: binaries.cloudflared_shelf(p.tools).at("2026.8.2"), tool, run_tool),
    "a program's folder": Ours(lambda p: p.tools / "cloudflared" / "2026.8.2", tool, run_tool),
    "the tools": Ours(lambda p: p.tools, tool, run_tool),
}


def link(path: Path, elsewhere: Path) -> None:
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def open_to_all(path: Path, elsewhere: Path) -> None:
    path.chmod(0o777 if path.is_dir() else 0o666)


def of_another(path: Path, elsewhere: Path) -> None:
    os.chown(path, 12345, 12345, follow_symlinks=False)


only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
PLANTS = [link, open_to_all, pytest.param(of_another, marks=only_root)]


@pytest.fixture(autouse=True)
def usual_places_are_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "usual", lambda _: None)


@pytest.fixture
def umask_of_0() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("name", OURS)
@pytest.mark.usefixtures("umask_of_0")
def test_what_is_planted_is_refused(
    paths: Paths, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    name: str, plant: Callable[[Path, Path], None],
) -> None:  # fmt: skip
    ours = OURS[name]
    ours.made(paths)
    path, elsewhere = ours.place(paths), tmp_path / "elsewhere"
    mode = stat.S_IMODE(path.stat().st_mode)
    assert not mode & (0o022 if name.startswith(("a program", "the tools")) else 0o077), oct(mode)
    plant(path, elsewhere)
    before = content(path)
    said = ""
    try:
        ours.used(paths)
    except Problem as problem:
        said = problem.reason.what
    said += caplog.text
    assert str(path) in said, "it is refused, by its name"
    left = content(elsewhere if plant is link else path)
    assert left == before or (left is None and name in FORGOTTEN), "and what is there stays"


FORGOTTEN = ("pages.json",)
"""What is removed where it cannot be trusted: it lets somebody in, and is worth nothing else."""

KNOWN = re.compile(
    r"config/config\.json(\.good)?|data/(nexus|logs|traffic)\.db(-wal|-shm)?|data/secrets\.enc"
    r"|data/(pause|setup|jobs|tunnel-port|networks|addresses|window|unfinished)\.json"
    r"|data/(authority|cloudflare)|data/authority/(authority|door)\.pem|run/(lock|gateway\.sock)"
    r"|run/(guards|api|metrics-target|pages)\.json|run/metrics-token|run/tunnels(/quick.*)?"
)


def everything(home: Path) -> dict[str, os.stat_result]:
    """Every file and folder of ours below it."""
    return {
        str(path.relative_to(home)): path.lstat()
        for top in ("config", "data", "run", "tools")
        for path in sorted((home / top).rglob("*"))
    }


def test_whatever_the_program_makes_is_for_us_alone_and_known(tmp_path: Path) -> None:
    lab_folder = tmp_path / "lab"
    lab_folder.mkdir()
    lab = Lab(lab_folder)
    program = Program(tmp_path / "home", tmp_path, {"NEXUS_TRAY_CLOUDFLARED_LAB": str(lab.file)})
    program.prefix = ["/bin/sh", "-c", 'umask 0; exec "$@"', "sh"]
    program.configure({
        "opencode": {"enabled": False}, "cloudflared": {"program": str(STANDIN)},
    })  # fmt: skip
    given = "a long walk by the river\n"
    try:
        program.start()
        for command in (
            ("password", "set"), ("secret", "unlock"), ("pause",), ("resume",), ("pair",),
            ("token", "create", "laptop"), ("config", "set", "logs.max_megabytes", "9"),
            ("dashboard", "--print"),
        ):  # fmt: skip
            program.cli(*command, given=given)
        Visitor(program)
        program.wait_running("quick")
        found = everything(program.home)
        assert program.stop() == 0
    finally:
        program.stop()
        lab.close()
    found |= everything(program.home)
    assert {"data/nexus.db-wal", "data/secrets.enc", "run/api.json", "run/pages.json"} <= set(found)
    assert {"run/gateway.sock", "run/lock"} <= set(found)
    unknown = {name for name in found if not KNOWN.fullmatch(name) and "/" in name}
    assert not unknown, "each file is in the table above, or is added to it"
    for name, status in found.items():
        assert not status.st_mode & 0o077, (name, oct(status.st_mode))
        assert not stat.S_ISLNK(status.st_mode), name
