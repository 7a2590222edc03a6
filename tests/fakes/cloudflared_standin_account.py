"""What the stand-in for cloudflared does on an account: login, create, list, info, delete,
cleanup, route dns, token, and the check of a configuration file.

The words, exit codes and files are those of tests/cloudflare_lab/recordings. It asks the lab's
API as cloudflared asks Cloudflare's. Standard library only.
"""

import base64
import http.client
import json
import os
import re
import secrets
import sys
import time
import urllib.parse
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SWITCHES = {"force", "f", "overwrite-dns", "no-autoupdate", "no-prechecks"}
SHORT = {"f": "force", "o": "output", "n": "name", "cred-file": "credentials-file"}
VERBS = ("login", "create", "list", "info", "delete", "cleanup", "route", "token", "ingress")
MISSING = (
    "Cannot determine default origin certificate path. No file cert.pem in [~/.cloudflared "
    "~/.cloudflare-warp ~/cloudflare-warp /etc/cloudflared /usr/local/etc/cloudflared]. You need "
    "to specify the origin certificate path by specifying the origincert option in the "
    "configuration file, or set TUNNEL_ORIGIN_CERT environment variable"
)


class Failed(Exception):
    """Ends with exit code 1 and this bare line on stderr."""


@dataclass
class Line:
    """A command line: options wherever they stand, and the words between them."""

    options: dict[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def get(self, name: str, variable: str = "") -> str:
        return self.options.get(name) or (os.environ.get(variable, "") if variable else "")


def read(arguments: list[str]) -> Line:
    line, left = Line(), list(arguments)
    while left:
        word = left.pop(0)
        if not word.startswith("-"):
            line.words.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        plain = SHORT.get(name, name)
        if name in SWITCHES:
            line.options[plain] = value if equals else "true"
        else:
            line.options[plain] = value if equals or not left else left.pop(0)
    return line


def verb_of(arguments: list[str]) -> str | None:
    """The account's verb on this command line; None: it is for a running tunnel."""
    words = read(arguments).words
    return words[0] if words and words[0] in VERBS else None


def log(level: str, text: str) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stderr.write(f"{at} {level} {text}\n")


class Api:
    """The account behind an origin certificate."""

    def __init__(self, line: Line) -> None:
        path = line.get("origincert", "TUNNEL_ORIGIN_CERT")
        path = path or str(Path(os.environ.get("HOME", "/")) / ".cloudflared" / "cert.pem")
        if not Path(path).exists():
            log("ERR", f"{MISSING} originCertPath={line.get('origincert')}")
            raise Failed("Error locating origin cert: client didn't specify origincert path")
        text = Path(path).read_text(encoding="ascii")
        body = re.search(r"-----BEGIN ARGO TUNNEL TOKEN-----(.*)-----END", text, re.DOTALL)
        if body is None:
            raise Failed("Error decoding origin cert: missing token in the certificate")
        self.cert = json.loads(base64.b64decode(body[1]))
        self.base = line.get("api-url", "TUNNEL_API_URL") or "https://api.cloudflare.com/client/v4"
        self.tunnels = f"/accounts/{self.cert['accountID']}/cfd_tunnel"

    def ask(self, method: str, path: str, body: object, what: str) -> Any:
        """The result; Failed says what could not be done, as cloudflared says it."""
        where = urllib.parse.urlsplit(self.base)
        kind = (
            http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
        )
        connection = kind(where.hostname or "", where.port, timeout=15)
        target = f'{method.capitalize()} "{self.base}{path}"'
        try:
            headers = {
                "Authorization": f"Bearer {self.cert['apiToken']}",
                "Content-Type": "application/json",
            }
            data = json.dumps(body) if body is not None else None
            connection.request(method, where.path + path, data, headers)
            answer = connection.getresponse()
            status, raw = answer.status, answer.read()
        except TimeoutError:
            limit = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            raise Failed(f"{what}REST request failed: {target}: {limit}") from None
        except ConnectionRefusedError:
            refused = f"dial tcp {where.netloc}: connect: connection refused"
            raise Failed(f"{what}REST request failed: {target}: {refused}") from None
        except (OSError, http.client.HTTPException):
            raise Failed(f"{what}REST request failed: {target}: EOF") from None
        finally:
            connection.close()
        return self._result(status, raw, what)

    def _result(self, status: int, raw: bytes, what: str) -> Any:
        try:
            found = json.loads(raw)
        except ValueError:
            first = raw.decode("utf-8", "replace")[:1]
            why = f"invalid character '{first}' looking for beginning of value"
            raise Failed(f"{what}failed to decode response: {why}") from None
        if status == 409:
            raise Conflict("tunnel with name already exists")
        if not found.get("success"):
            error = (found.get("errors") or [{"code": status, "message": "?"}])[0]
            raise Failed(f"{what}code: {error['code']}, reason: {error['message']}")
        return found["result"]

    def find(self, reference: str) -> dict[str, Any]:
        """A tunnel by its name or id."""
        listed = self.ask("GET", f"{self.tunnels}?is_deleted=false", None, "Error Parsing page 1: ")
        for tunnel in listed:
            if reference in (tunnel["id"], tunnel["name"]):
                return dict(tunnel)
        try:
            return {"id": str(uuid.UUID(reference)), "name": ""}
        except ValueError:
            raise Failed(
                f"error parsing tunnel ID: {reference} is neither the ID nor the name of any of "
                "your tunnels"
            ) from None


class Conflict(Exception):
    """The API says 409."""


def login(_: Line) -> None:
    """Wait at the lab's login service until somebody authorises it there."""
    path = Path(os.environ.get("HOME", "/")) / ".cloudflared" / "cert.pem"
    if path.exists():
        log("ERR", f"You have an existing certificate at {path} which login would overwrite.")
        sys.stderr.write(
            "If this is intentional, please move or delete that file then run this command again.\n"
        )
        return
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    callback = urllib.parse.quote(f"https://login.cloudflareaccess.org/{key}", safe="")
    sys.stderr.write(
        "A browser window should have opened at the following URL:\n\n"
        f"https://dash.cloudflare.com/argotunnel?aud=&callback={callback}\n\n"
        "If the browser failed to open, please visit the URL above directly in your browser.\n"
    )
    sys.stderr.flush()
    found = _wait_for_certificate(key)
    if found is None:
        sys.stderr.write(
            "Failed to write the certificate due to the following error:\n"
            "failed to fetch resource\n\nYour browser will download the certificate instead. You "
            f"will have to manually\ncopy it to the following path:\n\n{path}\n\n"
        )
        raise Failed("failed to fetch resource")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(found)
    log("INF", "You have successfully logged in.")
    sys.stderr.write(
        f"If you wish to copy your credentials to a server, they have been saved to:\n{path}\n\n"
    )


def _wait_for_certificate(key: str) -> bytes | None:
    service = urllib.parse.urlsplit(os.environ["LAB_LOGIN_URL"])
    for _ in range(int(os.environ.get("LAB_LOGIN_ATTEMPTS", "10"))):
        connection = http.client.HTTPConnection(service.hostname or "", service.port, timeout=60)
        try:
            connection.request("GET", f"/{key}")
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 200:
                return body
        except OSError:
            time.sleep(0.2)
        finally:
            connection.close()
        log("INF", "Waiting for login...")
        sys.stderr.flush()
    return None


def create(line: Line) -> None:
    api, name = Api(line), line.words[1]
    secret = secrets.token_bytes(32)
    body = {"name": name, "tunnel_secret": base64.b64encode(secret).decode()}
    before = "failed to create tunnel: Create Tunnel API call failed: "
    try:
        made = api.ask("POST", api.tunnels, body, f"{before}Failed to create tunnel: ")
    except Conflict as conflict:
        raise Failed(f"{before}{conflict}") from None
    given = line.get("credentials-file")
    own = Path(os.environ.get("HOME", "/")) / ".cloudflared" / f"{made['id']}.json"
    path = Path(given) if given else own
    if path.exists():
        raise Failed(f"failed to create tunnel: open {path}: file exists")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o400)
    path.chmod(0o600)
    path.write_text(
        json.dumps(
            {
                "AccountTag": api.cert["accountID"],
                "TunnelSecret": body["tunnel_secret"],
                "TunnelID": made["id"],
                "Endpoint": "",
            },
            separators=(",", ":"),
        )
    )
    path.chmod(0o400)
    if line.get("output") == "json":
        told = {key: made[key] for key in ("id", "name", "created_at")}
        told |= {"deleted_at": "0001-01-01T00:00:00Z", "connections": [], "token": made["token"]}
        print(json.dumps(told, indent=2))
        return
    print(f"Tunnel credentials written to {path}. Keep this file secret. To revoke these ", end="")
    print(f"credentials, delete the tunnel.\n\nCreated tunnel {name} with id {made['id']}")


def list_tunnels(line: Line) -> None:
    api = Api(line)
    wanted = f"&name={line.options['name']}" if "name" in line.options else ""
    found = api.ask(
        "GET", f"{api.tunnels}?is_deleted=false{wanted}", None, "Error Parsing page 1: "
    )
    if line.get("output") == "json":
        keys = ("id", "name", "created_at", "connections")
        told = [{k: t[k] for k in keys} | {"deleted_at": "0001-01-01T00:00:00Z"} for t in found]
        print(json.dumps(told, indent=2))
    elif not found:
        print("No tunnels were found for the given filter flags.", end=" ")
        print("You can use 'cloudflared tunnel create' to create a tunnel.")
    else:
        for tunnel in found:
            print(tunnel["id"], tunnel["name"], tunnel["created_at"])


def info(line: Line) -> None:
    api = Api(line)
    tunnel = api.find(line.words[1])
    clients = api.ask("GET", f"{api.tunnels}/{tunnel['id']}/connections", None, "")
    if line.get("output") == "json":
        told = {"id": tunnel["id"], "name": tunnel["name"], "conns": clients}
        print(json.dumps(told, indent=2))
    elif not clients:
        print(f"Your tunnel {tunnel['id']} does not have any active connection.")


def delete(line: Line) -> None:
    api = Api(line)
    tunnel = api.find(line.words[1])
    now = api.ask("GET", f"{api.tunnels}/{tunnel['id']}", None, "Failed to get tunnel: ")
    if now.get("deleted_at"):
        raise Failed(f"Tunnel {tunnel['id']} has already been deleted")
    force = "?cascade=true" if "force" in line.options else ""
    what = f"Error deleting tunnel {tunnel['id']}: Failed to delete tunnel: "
    api.ask("DELETE", f"{api.tunnels}/{tunnel['id']}{force}", None, what)


def cleanup(line: Line) -> None:
    api = Api(line)
    tunnel = api.find(line.words[1])
    log("INF", f"Cleanup connection for tunnel {tunnel['id']}")
    api.ask("DELETE", f"{api.tunnels}/{tunnel['id']}/connections", None, "")


def route(line: Line) -> None:
    """`route dns [-f] TUNNEL HOST`."""
    api, (_, _, reference, host) = Api(line), line.words
    tunnel = api.find(reference)
    force = "overwrite-dns" in line.options or "force" in line.options
    body = {"type": "dns", "user_hostname": host, "overwrite_existing": force}
    path = f"/zones/{api.cert['zoneID']}/tunnels/{tunnel['id']}/routes"
    made = api.ask("PUT", path, body, "Failed to add route: ")
    said = {
        "new": f"Added CNAME {made['name']} which will route to this tunnel",
        "updated": f"{made['name']} updated to route to your tunnel",
        "unchanged": f"{made['name']} is already configured to route to your tunnel",
    }[made["cname"]]
    log("INF", f"{said} tunnelID={tunnel['id']}")


def token(line: Line) -> None:
    api = Api(line)
    tunnel = api.find(line.words[1])
    print(api.ask("GET", f"{api.tunnels}/{tunnel['id']}/token", None, ""))


def ingress(line: Line) -> None:
    """`ingress validate`: the file's last rule must match everything."""
    path = line.get("config")
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise Failed(f"open {path}: {(error.strerror or '').lower()}") from None
    except ValueError as error:
        raise Failed(f"error parsing YAML in config file at {path}: yaml: {error}") from None
    print(f"Validating rules from {path}", flush=True)
    rules = document.get("ingress") or []
    if not rules:
        raise Failed("Validation failed: The config file doesn't contain any ingress rules")
    if rules[-1].get("hostname") or rules[-1].get("path"):
        raise Failed(
            "Validation failed: The last ingress rule must match all URLs (i.e. it should not "
            "have a hostname or path filter)"
        )
    print("OK")


DEEDS: dict[str, Callable[[Line], None]] = {
    "login": login,
    "create": create,
    "list": list_tunnels,
    "info": info,
    "delete": delete,
    "cleanup": cleanup,
    "route": route,
    "token": token,
    "ingress": ingress,
}


def run(arguments: list[str]) -> int:
    """Carry out one of VERBS; the exit code."""
    line = read(arguments)
    try:
        DEEDS[line.words[0]](line)
    except (Failed, Conflict) as failed:
        sys.stderr.write(f"{failed}\n")
        return 1
    return 0
