"""The loopback Cloudflare as the tests start it, and the cloudflareds that run against it."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

TESTS = Path(__file__).parent.parent
STANDIN = TESTS / "fakes" / "cloudflared"


def real_cloudflared() -> Path | None:
    """The real program, from NEXUS_CLOUDFLARED or PATH."""
    found = os.environ.get("NEXUS_CLOUDFLARED") or shutil.which("cloudflared")
    return Path(found) if found else None


def cloudflareds() -> dict[str, Path]:
    """What the same tests run over: the stand-in, and the real program where there is one."""
    real = real_cloudflared()
    return {"stand-in": STANDIN} | ({"real": real} if real else {})


T = TypeVar("T")


def until(look: Callable[[], T], what: str = "", seconds: float = 20.0) -> T:
    """What `look` answers once it is true; AssertionError after `seconds`."""
    end = monotonic() + seconds
    while not (value := look()):
        assert monotonic() < end, f"not within {seconds} s: {what or look}"
        sleep(0.02)
    return value


class Lab:
    """A running lab. `file` describes it, as NEXUS_TRAY_CLOUDFLARED_LAB wants it. `prefix`: what
    runs it, as in another network; `arguments`: what it is told besides."""

    def __init__(
        self, folder: Path, prefix: Sequence[str] = (), arguments: Sequence[str] = ("--ephemeral",)
    ) -> None:
        self.folder = folder
        command = [*prefix, sys.executable, "-m", "cloudflare_lab", "--dir", str(folder)]
        command += arguments
        self._errors = (folder.parent / f"{folder.name}.stderr").open("wb")
        self._process = subprocess.Popen(
            command,
            cwd=TESTS / "cloudflare_lab",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said, Path(self._errors.name).read_text(encoding="utf-8")
        self.info: dict[str, Any] = json.loads(said)

    @property
    def file(self) -> Path:
        return self.folder / "lab.json"

    @property
    def https_port(self) -> int:
        """Where the public front answers TLS, for any host name."""
        return int(self.info["front_tls"].rpartition(":")[2])

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Ask the control API."""
        status, _, answer = self._request(
            self.info["control"], method, path, body, {"Content-Type": "application/json"}
        )
        assert status == 200, answer
        return json.loads(answer)

    def faults(self, **changes: object) -> None:
        self.call("POST", "/faults", changes)

    def reset(self) -> None:
        self.call("DELETE", "/faults")
        self.call("POST", "/edge/open")

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = self.call("GET", "/state")["counts"]
        return counts

    def api(self, method: str, path: str, body: object = None) -> Any:
        """The result of a call of Cloudflare's API, as the account's owner."""
        base = str(self.info["api_url"])
        headers = {
            "Authorization": f"Bearer {self.info['api_token']}",
            "Content-Type": "application/json",
        }
        status, _, answer = self._request(
            base, method, urllib.parse.urlsplit(base).path + path, body, headers
        )
        assert status == 200, answer
        return json.loads(answer)["result"]

    def make_tunnel(self, *hostnames: str, remote: bool = False) -> Any:
        """A tunnel as the API answers it, with its `token` and `credentials_file`; the names
        lead to it. `remote`: it is configured at Cloudflare."""
        tunnels = f"/accounts/{self.info['account']}/cfd_tunnel"
        name = f"made-{monotonic():.6f}"
        source = "cloudflare" if remote else "local"
        made = self.api("POST", tunnels, {"name": name, "config_src": source})
        records = f"/zones/{self.info['zone']}/dns_records"
        for old in self.api("GET", records):
            if old["name"] in hostnames:
                self.api("DELETE", f"{records}/{old['id']}")
        for hostname in hostnames:
            content = f"{made['id']}.cfargotunnel.com"
            self.api("POST", records, {"type": "CNAME", "name": hostname, "content": content})
        return made

    def configure(self, tunnel_id: str, *rules: tuple[str, str]) -> None:
        """Send a remotely managed tunnel these rules: (host name or nothing, service)."""
        ingress = [{"hostname": h, "service": s} if h else {"service": s} for h, s in rules]
        path = f"/accounts/{self.info['account']}/cfd_tunnel/{tunnel_id}/configurations"
        self.api("PUT", path, {"config": {"ingress": ingress}})

    def visit(
        self, hostname: str, path: str = "/", method: str = "GET", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """A visitor's request at the public front: status, fields, body."""
        fields = {"Host": hostname, **{k.replace("_", "-"): v for k, v in headers.items()}}
        return self._request(self.info["front"], method, path, None, fields)

    def _line(self, base: str) -> http.client.HTTPConnection:
        where = urllib.parse.urlsplit(base)
        return http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)

    def _request(
        self, base: str, method: str, path: str, body: object, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        connection = self._line(base)
        try:
            data = json.dumps(body) if body is not None else None
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()
