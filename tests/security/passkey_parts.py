"""A gateway with a named and a quick tunnel, and browsers that hold passkeys in software."""

import json
import re
import socket
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nexus_tray.gateway.http import Preview
from nexus_tray.gateway.routes import OPENCODE_ONLY, Lead, Place, TunnelRoutes
from tests.gateway.authenticator import RIGHT, Authenticator
from tests.gateway.doubles import HOST, SECRET, Answer, RawClient, tunnel_request
from tests.gateway.worlds import PASSWORD

from .test_signin_e2e import House

CODE, OTHER, PREVIEW = "code.example.com", "other.example.com", "preview.code.example.com"
NAMED_SECRET = "s3cret-channel-of-the-named-tunnel"


def lead_home(house: House) -> None:
    """Give it a named tunnel beside the quick one."""
    served = Preview("http://127.0.0.1:9", "127.0.0.1", 9, False, "127.0.0.1:9")
    hosts: dict[str, Place] = {CODE: Lead.OPENCODE, OTHER: Lead.OPENCODE, PREVIEW: served}
    routes = {"quick": OPENCODE_ONLY, "home": TunnelRoutes(hosts)}
    house.world.routes = routes
    house.gateway.set_routes(routes)
    house.gateway.open_door("home", NAMED_SECRET, holds_events=False)


@dataclass
class Browser:
    """Keeps cookies of one host, as a browser does; comes from one address."""

    house: House
    host: str = CODE
    secret: str = NAMED_SECRET
    address: str = "203.0.113.9"
    origin: str = ""
    cookies: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.origin = self.origin or f"https://{self.host}"

    def ask(self, method: str, path: str, body: bytes = b"", *fields: str) -> Answer:
        kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = [*fields, *([f"Cookie: {kept}"] if kept else [])]
        request = tunnel_request(
            method, path, *sent, cookie=None, secret=self.secret, host=self.host, body=body
        )
        request = request.replace(b"203.0.113.9", self.address.encode())
        answer = self.house.ask(request, method)
        for name, value in answer.headers:
            if name.lower() == "set-cookie":
                found = re.match(r"([\w-]+)=([\w-]*);", value)
                assert found, value
                self.cookies[found[1]] = found[2]
                if not found[2]:
                    del self.cookies[found[1]]
        return answer

    def post(self, where: str, /, **fields: str) -> Answer:
        body = urllib.parse.urlencode(fields).encode()
        return self.ask(
            "POST",
            f"/_nexus/{where}",
            body,
            f"Origin: {self.origin}",
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(body)}",
        )

    def page(self, path: str = "/session") -> Answer:
        return self.ask("GET", path, b"", "Accept: text/html")

    def sign_in(self) -> "Browser":
        assert self.post("sign-in", username="owner", password=PASSWORD).status == 303
        return self

    def add(
        self, key: Authenticator, name: str = "Ada's key", wrong: Mapping[str, Any] = RIGHT
    ) -> Answer:
        begun = self.post("passkey-begin", password=PASSWORD)
        assert begun.status == 200, begun.body
        made = key.make(json.loads(begun.body), f"https://{self.host}", wrong)
        return self.post("passkey-add", answer=made, name=name)

    def challenge(self) -> dict[str, Any]:
        answer = self.post("passkey-challenge")
        assert answer.status == 200, answer.body
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def use(self, key: Authenticator, wrong: Mapping[str, Any] = RIGHT) -> Answer:
        """The whole way in; `wrong` as the authenticator takes it."""
        made = key.use(self.challenge(), f"https://{self.host}", wrong)
        return self.post("passkey", answer=made)

    @property
    def is_in(self) -> bool:
        return self.page().status == 200


def ask_local(house: House, method: str, path: str, cookie: str = "", body: bytes = b"") -> Answer:
    """One request at the local door, as a page of its own would send it."""
    host = f"127.0.0.1:{house.gateway.local_port}"
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"Cookie: {cookie}"] if cookie else []
    if method == "POST":
        lines += [f"Origin: http://{host}", "Content-Type: application/x-www-form-urlencoded"]
    client = RawClient(socket.create_connection(("127.0.0.1", house.gateway.local_port)))
    try:
        client.send("\r\n".join([*lines, "", ""]).encode() + body)
        return client.answer(method)
    finally:
        client.close()


def quick(house: House, **more: Any) -> Browser:
    """Somebody at the quick tunnel."""
    return Browser(house, HOST, SECRET, **more)
