"""The local network's door: real TLS, a real gateway, real sign-in; time and addresses told."""

import contextlib
import datetime
import http.client
import socket
import ssl
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import trustme

from nexus_tray.app.access_handlers import AccessHandlers, Ways
from nexus_tray.app.door import Door
from nexus_tray.app.network_door import Around, NetworkKeeper
from nexus_tray.app.pause import PauseKeeper
from nexus_tray.commands import Outcome, Panic, Pause, Resume
from nexus_tray.paths import Paths
from nexus_tray.services.authority import DAY
from nexus_tray.store.config import ConfigStore
from tests.api.doubles import first_snapshot
from tests.gateway.doubles import RawUpstream

HERE = "127.0.0.1"
PASSWORD = "blue lamp over the river"


def free_port() -> int:
    with socket.create_server((HERE, 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


class World:
    """A door of a gateway that runs, kept as its settings say. `now` and `addresses` are told."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.settings = ConfigStore(paths)
        self.settings.load()
        self.door = Door(paths, first_snapshot, lambda _: Outcome(ok=True))
        self.gateway = self.door.at_port(0)
        self.gateway.start()
        self.raw = RawUpstream()
        self.door.set_upstream(self.raw.upstream)
        self.port = free_port()
        self.now = time.time()
        self.addresses: tuple[tuple[str, str], ...] = (("lo", HERE),)
        self.keeper = NetworkKeeper(
            Around(
                paths=paths,
                settings=lambda: self.settings.read().settings.network,
                gateway=self.door.gateway,
                has_password=lambda: self.door.accounts().has_password(),
                addresses=lambda: self.addresses,
                wall=lambda: self.now,
            )
        )
        self.settings.listen(lambda now: self.keeper.adopt(now.settings.network))
        self.pause = PauseKeeper(
            paths.pause_file, time.time, self.keeper.with_pause(lambda _: None), lambda: None
        )
        self.access = AccessHandlers(
            Ways(
                accounts=self.door.accounts,
                audit=self.door.audit,
                settings=self.settings,
                pause=self.pause,
                cut=self.keeper.with_cut(self.door.cut_tunnels),
                void_dashboards=lambda: None,
            )
        ).table()

    def set(self, **network: object) -> None:
        self.settings.update({"network": network})

    def open(self, **more: object) -> None:
        self.door.accounts().set_password(PASSWORD)
        self.set(enabled=True, address=HERE, port=self.port, **more)
        report = self.keeper.report()
        assert (report.reason, report.url is None) == (None, False)

    @property
    def why(self) -> str:
        reason = self.keeper.report().reason
        return reason.code if reason else ""

    def trusting(self, authority: str | None = None) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=authority or self.keeper.report().authority)

    def connect(self, name: str = HERE, trust: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        plain = socket.create_connection((HERE, self.port), timeout=5)
        return (trust or self.trusting()).wrap_socket(plain, server_hostname=name)

    def ask(
        self, method: str = "GET", path: str = "/_nexus/sign-in", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One request; header names with `_` for `-`; `body` is its body."""
        body = headers.pop("body", "").encode()
        link = http.client.HTTPSConnection(HERE, self.port, timeout=5, context=self.trusting())
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            link.putrequest(method, path, skip_host="Host" in fields)
            for name, value in fields.items():
                link.putheader(name, value)
            if body:
                link.putheader("Content-Length", str(len(body)))
            link.endheaders(body or None)
            answer = link.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, told, answer.read()
        finally:
            link.close()

    def sign_in(self, origin: str = "", password: str = PASSWORD) -> tuple[int, dict[str, str]]:
        status, headers, _ = self.ask(
            "POST",
            Origin=origin or f"https://{HERE}:{self.port}",
            Content_Type="application/x-www-form-urlencoded",
            body=urlencode({"password": password}),
        )
        return status, headers

    def is_open(self) -> bool:
        try:
            socket.create_connection((HERE, self.port), timeout=5).close()
        except ConnectionRefusedError:
            return False
        return True

    def close(self) -> None:
        self.pause.close()
        self.keeper.close()
        self.door.close()
        self.raw.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(Paths(*(tmp_path / name for name in ("config", "data", "run", "tools"))))
    yield made
    made.close()


def test_it_is_shut_until_somebody_opens_it_and_needs_a_password(world: World) -> None:
    world.keeper.look()
    report = world.keeper.report()
    assert (report.url, report.authority, report.reason) == (None, "", None)
    assert report.addresses == (("lo", HERE),)
    assert not world.paths.authority.exists()
    world.set(enabled=True, port=world.port)
    assert world.why == "network-no-address"
    world.set(address=HERE)
    assert world.why == "network-no-password"
    assert not world.is_open()
    world.door.accounts().set_password(PASSWORD)
    world.keeper.look()
    assert world.is_open()
    world.door.accounts().clear_password()
    world.keeper.look()
    assert world.why == "network-no-password"
    assert not world.is_open()


def test_sign_in_over_tls_gives_a_session_of_this_door_and_host(world: World) -> None:
    world.open(names=["desk.lan"])
    status, headers = world.sign_in()
    assert status == 303
    cookie = headers["set-cookie"]
    assert cookie.startswith("__Host-nexus=")
    assert all(word in cookie for word in ("; Secure", "; HttpOnly", "; Path=/"))
    mine = cookie.partition(";")[0]
    assert world.ask(path="/_nexus/", Cookie=mine)[0] == 200
    assert world.ask(path="/_nexus/", Cookie=mine, Host=f"desk.lan:{world.port}")[0] == 401
    (row,) = world.door.accounts().sessions()
    assert (row.door, row.address, row.host) == ("network", HERE, f"{HERE}:{world.port}")
    assert any(row.address == HERE for row in world.door.audit().newest(5))


def test_failures_are_counted_by_the_visitors_own_address(world: World) -> None:
    world.open()
    statuses = [world.sign_in(password="wrong")[0] for _ in range(7)]
    assert 403 in statuses
    assert world.sign_in()[0] != 303  # locked, though it is right now
    failed = [row for row in world.door.audit().newest(20) if row.address == HERE]
    assert failed


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1", "localhost:{port}", "desk.lan", "127.0.0.1:1", "desk.lan:{port}.",
     "a.desk.lan:{port}", "[::1]:{port}"],
)  # fmt: skip
def test_any_other_host_is_refused(world: World, host: str) -> None:
    world.open(names=["desk.lan"])
    assert world.ask(Host=host.format(port=world.port))[0] in (400, 403)
    assert world.ask(Host=f"DESK.lan:{world.port}")[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:{port}", "https://127.0.0.1", "https://evil.example", "null"]
)
def test_any_other_origin_is_refused(world: World, origin: str) -> None:
    world.open()
    assert world.sign_in(origin.format(port=world.port))[0] == 403


def test_it_speaks_tls_1_2_and_above_and_http_1_1_only(world: World) -> None:
    world.open()
    with socket.create_connection((HERE, world.port), timeout=5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        plain.settimeout(8)
        assert b"HTTP" not in plain.recv(4096)
    asking = world.trusting()
    asking.set_alpn_protocols(["h2", "http/1.1"])
    with world.connect(trust=asking) as secure:
        assert secure.selected_alpn_protocol() == "http/1.1"
        assert secure.version() in ("TLSv1.2", "TLSv1.3")
    with pytest.raises(ssl.SSLCertVerificationError):
        world.connect("other.lan")


def test_who_does_not_shake_hands_is_dropped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_tray.gateway.network_door.HANDSHAKE_SECONDS", 0.2)
    world.open()
    with socket.create_connection((HERE, world.port), timeout=5) as plain:
        assert plain.recv(1) == b""


def test_many_who_do_not_shake_hands_keep_nobody_else_out_for_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nexus_tray.gateway.network_door.HANDSHAKE_SECONDS", 2.0)
    world.open()
    with contextlib.ExitStack() as ending:
        silent = [
            ending.enter_context(socket.create_connection((HERE, world.port), timeout=5))
            for _ in range(40)
        ]
        began = time.monotonic()
        assert all(one.recv(1) == b"" for one in silent[16:])  # turned away at once
        assert time.monotonic() - began < 1.5
        assert all(one.recv(1) == b"" for one in silent[:16])  # their time was over
    assert world.ask()[0] == 200


def test_the_authority_stays_and_the_certificate_is_renewed_in_time(world: World) -> None:
    world.open()
    first = world.keeper.report()
    if sys.platform != "win32":
        for file in world.paths.authority.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with world.connect() as secure:
        before = secure.getpeercert(binary_form=True)
        cookie = world.sign_in()[1]["set-cookie"].partition(";")[0]
        world.now += 366 * DAY  # 30 days before its end
        world.keeper.look()
        head = f"GET /_nexus/ HTTP/1.1\r\nHost: {HERE}:{world.port}\r\nCookie: {cookie}"
        secure.sendall(f"{head}\r\n\r\n".encode())
        assert secure.recv(12) == b"HTTP/1.1 200"  # who is inside stays
    after = world.keeper.report()
    assert (after.authority, after.fingerprint) == (first.authority, first.fingerprint)
    assert first.not_after_at is not None
    assert after.not_after_at == pytest.approx(first.not_after_at + 366 * DAY, abs=5)
    trust = world.trusting()
    trust.verify_flags |= ssl.VERIFY_X509_STRICT
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE  # it begins in a year
    with world.connect(trust=trust) as secure:
        assert secure.getpeercert(binary_form=True) != before


def test_another_name_makes_another_certificate_and_puts_out_who_is_inside(world: World) -> None:
    world.open()
    fingerprint = world.keeper.report().fingerprint
    with world.connect() as secure:
        secure.sendall(f"GET / HTTP/1.1\r\nHost: {HERE}:{world.port}\r\n".encode())
        world.set(names=["desk.lan"])
        secure.sendall(b"\r\n")
        assert b"403" in secure.recv(100)
    assert world.keeper.report().url == f"https://desk.lan:{world.port}/"
    assert world.keeper.report().fingerprint == fingerprint
    world.connect("desk.lan").close()


def test_a_damaged_authority_is_said_and_left_alone(world: World) -> None:
    world.open()
    world.set(enabled=False)
    file = world.paths.authority / "authority.pem"
    file.write_bytes(b"garbage")
    world.set(enabled=True)
    assert world.why == "network-authority-damaged"
    assert not world.is_open()
    assert file.read_bytes() == b"garbage"


def test_it_shuts_while_its_address_is_away(world: World) -> None:
    world.open()
    world.addresses = (("wlan0", "192.0.2.9"),)
    world.keeper.look()
    assert world.why == "network-address-away"
    assert not world.is_open()
    world.addresses = (("lo", HERE),)
    world.keeper.look()
    assert (world.why, world.is_open()) == ("", True)


def test_it_is_opened_again_with_a_gateway_that_starts_anew(world: World) -> None:
    world.open()
    world.gateway.close(keep_ports=True)
    world.keeper.look()
    assert (world.why, world.is_open()) == ("network-gateway-off", False)
    world.gateway.start()
    assert not world.is_open()
    world.keeper.look()
    assert world.ask()[0] == 200
    world.gateway.close(keep_ports=True)
    world.gateway.start()
    world.keeper.look()  # it did not see that the gateway was gone
    assert world.ask()[0] == 200


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 here")
def test_an_ipv6_address_is_visited_in_brackets(world: World) -> None:
    world.addresses = (("lo", "::1"),)
    world.door.accounts().set_password(PASSWORD)
    world.set(enabled=True, address="::1", port=world.port)
    report = world.keeper.report()
    assert (report.reason, report.url) == (None, f"https://[::1]:{world.port}/")
    link = http.client.HTTPSConnection("::1", world.port, timeout=5, context=world.trusting())
    try:
        link.request("GET", "/_nexus/sign-in")
        assert link.getresponse().status == 200
    finally:
        link.close()


def test_a_taken_port_is_said_and_the_door_opens_when_it_is_free(world: World) -> None:
    with socket.create_server((HERE, world.port)):
        world.door.accounts().set_password(PASSWORD)
        world.set(enabled=True, address=HERE, port=world.port)
        assert world.why == "network-port"
    world.keeper.look()
    assert (world.why, world.ask()[0]) == ("", 200)


def test_a_pause_shuts_it_and_its_end_opens_it(world: World) -> None:
    world.keeper.start()
    world.open()
    world.access[Pause](Pause())
    assert (world.why, world.is_open()) == ("network-paused", False)
    world.access[Resume](Resume())
    assert (world.why, world.is_open()) == ("", True)


def test_a_panic_ends_it_for_good(world: World) -> None:
    world.keeper.start()
    world.open()
    cookie = world.sign_in()[1]["set-cookie"].partition(";")[0]
    with world.connect() as secure:
        assert "local network" in str(world.access[Panic](Panic()))
        assert not world.is_open()
        secure.sendall(f"GET / HTTP/1.1\r\nHost: {HERE}:{world.port}\r\n\r\n".encode())
        assert b"403" in secure.recv(100)
    assert not world.settings.read().settings.network.enabled
    world.set(enabled=True)
    assert world.ask(path="/_nexus/", Cookie=cookie)[0] == 401


def own(folder: Path, *names: str, ends_in: float = 90 * DAY) -> tuple[str, str, str]:
    """Paths of a certificate and key of somebody's own, and the authority's PEM."""
    authority = trustme.CA()
    ends = datetime.datetime.fromtimestamp(time.time() + ends_in, datetime.UTC)
    made = authority.issue_cert(*names, not_after=ends)
    chain, key = folder / "own.pem", folder / "own.key"
    chain.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    return str(chain), str(key), authority.cert_pem.bytes().decode()


def test_a_certificate_of_ones_own_is_shown_and_warned_about(world: World, tmp_path: Path) -> None:
    chain, key, authority = own(tmp_path, "desk.lan")
    world.open(names=["desk.lan"], certificate=chain, key=key)
    report = world.keeper.report()
    assert (report.authority, report.trust) == ("", ())
    assert len(report.fingerprint) == 95
    world.connect("desk.lan", world.trusting(authority)).close()
    _, _, newer = own(tmp_path, "desk.lan", ends_in=20 * DAY)
    world.keeper.look()
    world.connect("desk.lan", world.trusting(newer)).close()
    assert (world.why, world.is_open()) == ("network-certificate-ends-soon", True)
    world.now += 21 * DAY
    world.keeper.look()
    assert (world.why, world.is_open()) == ("network-certificate-dates", False)


def test_a_certificate_that_will_not_do_is_explained(world: World, tmp_path: Path) -> None:
    chain, key, _ = own(tmp_path, "other.lan")
    world.door.accounts().set_password(PASSWORD)
    world.set(enabled=True, address=HERE, port=world.port, certificate=chain)
    assert world.why == "network-half-own"
    world.set(key=key)
    assert world.why == "network-certificate-names"
    world.set(names=["other.lan"])
    assert (world.why, world.is_open()) == ("", True)
    Path(key).write_bytes(trustme.CA().issue_cert("other.lan").private_key_pem.bytes())
    world.keeper.look()
    assert (world.why, world.is_open()) == ("network-certificate-no-match", False)
    Path(key).write_bytes(b"SECRET nonsense")
    world.keeper.look()
    assert world.why == "network-certificate-unreadable"
    assert "SECRET" not in repr(world.keeper.report())
    world.set(certificate="", key="")
    assert (world.why, world.is_open()) == ("", True)


def test_no_secret_is_in_the_report(world: World) -> None:
    world.open()
    assert "PRIVATE" not in repr(world.keeper.report())
