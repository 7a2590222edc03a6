"""What the stand-in for cloudflared does for `tunnel run`: who the tunnel is, and its rules.

Split from cloudflared_standin.py, which says what this is. Standard library only.
"""

import base64
import json
import os
import uuid
from pathlib import Path
from typing import Any

NO_RULES: list[dict[str, object]] = [{"service": "http_status:503"}]
KINDS = ("http://", "https://", "unix:", "http_status:")


class Refused(Exception):
    """It cannot run: the exit code, and the bare lines on stderr."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(code)
        self.code, self.said = code, said


def edge_service() -> str:
    """Where a stand-in joins the lab's edge: the lab's description lies beside its authority."""
    folder = Path(os.environ["TUNNEL_CACERT"]).parent
    told: dict[str, str] = json.loads((folder / "lab.json").read_text(encoding="utf-8"))
    return told["quick_service"]


def identity(config: dict[str, Any], named: str, token_file: str) -> dict[str, str]:
    """The tunnel of the token, or of the credentials file. Raises Refused."""
    token = os.environ.get("TUNNEL_TOKEN", "")
    if token_file:
        token = Path(token_file).read_text(encoding="utf-8").strip()
    if token:
        return _of_token(token)
    wanted = named or config.get("tunnel", "")
    if not wanted:
        raise Refused(
            255,
            '"cloudflared tunnel run" requires the ID or name of the tunnel to run as the last '
            "command line argument or in the configuration file.\n"
            "See 'cloudflared tunnel run --help'.",
        )
    path = config.get("credentials-file", "")
    if not path:
        raise Refused(1, "tunnel credentials file not found")
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError:
        said = f"Tunnel credentials file '{path}' doesn't exist or is not a file"
        raise Refused(1, said) from None
    except ValueError:
        raise Refused(1, "Invalid JSON when parsing tunnel credentials file") from None
    return {
        "id": found["TunnelID"], "account_tag": found["AccountTag"], "hostname": "",
        "secret": found["TunnelSecret"],
    }  # fmt: skip


def _of_token(token: str) -> dict[str, str]:
    try:
        inside = json.loads(base64.b64decode(token, validate=True))
        ident = str(uuid.UUID(inside["t"]))
    except (ValueError, KeyError, TypeError):
        said = "Provided Tunnel token is not valid.\nSee 'cloudflared tunnel run --help'."
        raise Refused(255, said) from None
    return {"id": ident, "account_tag": inside["a"], "secret": inside["s"], "hostname": ""}


def remote_rules(config: dict[str, Any]) -> list[dict[str, object]]:
    """The rules of a configuration from Cloudflare. ValueError: cloudflared would not take it."""
    rules: list[dict[str, object]] = config.get("ingress") or NO_RULES
    for rule in rules:
        service = str(rule["service"])
        if not service.startswith(KINDS):
            raise ValueError(
                f"{service} is an invalid address, please make sure it has a scheme and a hostname"
            )
    return rules
