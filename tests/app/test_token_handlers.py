"""Commands about tokens: with the real settings, and secrets in the encrypted file."""

import base64
import json
from pathlib import Path

import pytest

from nexus_tray.app.token_handlers import TokenHandlers
from nexus_tray.commands import CreateTunnel, SetTunnelToken
from nexus_tray.core.driver import Input, Restart
from nexus_tray.model import Problem
from nexus_tray.paths import find
from nexus_tray.settings import RouteSettings
from nexus_tray.store.config import ConfigStore
from nexus_tray.store.secrets import SecretStore

ACCOUNT, TUNNEL = "0123456789abcdef" * 2, "af0179a9-31d8-41ae-baa9-a0d3b0c6a6f3"
OTHER = TUNNEL.replace("a", "b")
CODE = (RouteSettings(hostname="code.example.com"),)


def token(tunnel: str = TUNNEL, secret: bytes = b"x" * 32) -> str:
    body = {"a": ACCOUNT, "t": tunnel, "s": base64.b64encode(secret).decode()}
    return base64.b64encode(json.dumps(body).encode()).decode()


class House:
    def __init__(self, home: Path) -> None:
        paths = find({"NEXUS_TRAY_HOME": str(home)})
        self.settings = ConfigStore(paths)
        self.settings.load()
        self.secrets = SecretStore(paths)
        self.posted: list[tuple[str, Input]] = []
        self.handlers = TokenHandlers(
            self.settings, self.secrets, lambda name, item: self.posted.append((name, item))
        )

    def create(self, name: str = "home", pasted: str = "") -> str:
        line = pasted or f"cloudflared service install {token()}"
        return self.handlers.create(CreateTunnel(name=name, kind="token", token=line, routes=CODE))

    def replace(self, name: str, pasted: str) -> None:
        self.handlers.table()[SetTunnelToken](SetTunnelToken(name=name, token=pasted))

    def refused(self, code: str, name: str = "home", pasted: str = "") -> None:
        before = self.settings.read()
        with pytest.raises(Problem) as caught:
            self.create(name, pasted)
        assert caught.value.reason.code == code
        assert self.settings.read() == before


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/nowhere")
    made = House(tmp_path / "home")
    made.secrets.unlock("correct horse battery staple")
    return made


def test_a_tunnel_is_made_of_a_token(house: House) -> None:
    facts = house.handlers.inspect(token())
    assert (facts.account_id, facts.tunnel_id, facts.known_as) == (ACCOUNT, TUNNEL, "")
    assert house.create() == ""
    made = house.settings.read().settings.tunnels[-1]
    assert (made.name, made.kind, made.tunnel_id) == ("home", "token", TUNNEL)
    assert (made.account_id, made.routes, made.enabled) == (ACCOUNT, CODE, True)
    assert house.secrets.tunnel_token(TUNNEL) == token()
    assert house.secrets.all() == {}
    assert house.handlers.inspect(token()).known_as == "home"


def test_what_cannot_be_made_changes_nothing(house: House, tmp_path: Path) -> None:
    house.refused("tunnel-token-missing", pasted="nothing")
    house.refused("tunnel-name-taken", name="opencode")
    house.refused("tunnel-name-taken", name="quick")
    house.refused("config-invalid", name="No such name")
    assert house.secrets.tunnel_token(TUNNEL) is None
    house.create()
    house.refused("tunnel-known", name="again")
    assert house.secrets.tunnel_token(TUNNEL) == token()
    bare = House(tmp_path / "bare")
    bare.refused("secrets-no-keyring")


def test_a_token_is_replaced_by_one_of_the_same_tunnel(house: House) -> None:
    house.create()
    newer = token(secret=b"y" * 32)
    house.replace("home", newer)
    assert house.secrets.tunnel_token(TUNNEL) == newer
    assert house.posted == [("home", Restart())]
    for name, pasted, code in (
        ("home", token(OTHER), "tunnel-token-other"),
        ("home", "eyJ", "tunnel-token-broken"),
        ("quick", token(), "tunnel-not-by-token"),
        ("none", token(), "tunnel-not-by-token"),
    ):
        with pytest.raises(Problem) as caught:
            house.replace(name, pasted)
        assert caught.value.reason.code == code
    assert house.secrets.tunnel_token(TUNNEL) == newer


def test_a_tunnel_that_goes_takes_its_token_with_it(house: House) -> None:
    house.create()
    for tunnel in house.settings.read().settings.tunnels:
        house.handlers.forget(tunnel)
    assert house.secrets.tunnel_token(TUNNEL) is None
