"""How cloudflared is told what to do: its configuration file, its command line, its names.

Owns these bytes and the rules of names (SECURITY.md 32). Pure; imports the model only; any
thread. The file is JSON, which cloudflared's YAML reader takes (FACTS.md), so that nothing
in a name can become syntax. No ingress rule names anything but the gateway.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from nexus_tray.model import Hop, Problem, Reason

METRICS = "127.0.0.1:0"
"""The kernel picks the port and our own child tells it, so nobody can take it in between."""

NOWHERE = "http://127.0.0.1:1"
"""A quick tunnel insists on `--url`; the file's ingress wins over it (FACTS.md). If ever it
did not, this port leads nowhere, and the driver notices by `/config`."""

TAG_NAME = "Gw"
"""cloudflared sends `TUNNEL_TAG=Gw=secret` as `Cf-Warp-Tag-Gw: secret` with each request."""

_TUNNEL_NAME = re.compile(r"[_a-zA-Z0-9][-_.a-zA-Z0-9]{0,99}")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_TAG_SECRET = re.compile(r"[A-Za-z0-9_-]{22,256}")


def tunnel_name(name: str) -> str:
    """`name`, if cloudflared would take it for a tunnel's name. Raises Problem.

    cloudflared's own rule (FACTS.md) with a bound; it leaves no room for what looks like
    an option, for white space or for syntax.
    """
    if not _TUNNEL_NAME.fullmatch(name):
        raise Problem(_bad_name(name, "tunnel", "letters, digits, dots, dashes and underscores"))
    return name


def hostname(name: str) -> str:
    """`name`, if it is a public host name (RFC 1123, 2.1): lower case, two labels or more."""
    labels = name.split(".")
    if len(name) > 253 or len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)):
        raise Problem(_bad_name(name, "host", "lower-case letters, digits and dashes, with dots"))
    return name


def service_of(gateway: Path | int) -> str:
    """The gateway as an ingress service: its Unix socket, or (Windows) its loopback port."""
    if isinstance(gateway, int):
        return f"http://127.0.0.1:{gateway}"
    path = str(gateway)
    if not gateway.is_absolute() or not path.isprintable() or not _is_unicode(path):
        raise Problem(
            Reason(
                code="cloudflared-config",
                hop=Hop.CLOUDFLARED,
                what=f"The path of the gateway's socket cannot be used: {path!r}.",
                meaning="cloudflared would not understand it, so no tunnel can start.",
                cure="Set NEXUS_TRAY_HOME to a folder with an ordinary name.",
            )
        )
    return f"unix:{path}"


def configuration(service: str, tunnel_id: str = "", credentials: Path | None = None) -> bytes:
    """The whole configuration file of a tunnel that leads to `service` and nowhere else.

    `tunnel_id` and `credentials` (the path of the file, no secret) are a named tunnel's. A token
    tunnel has them in its token; what Cloudflare sends it takes the place of these rules.
    """
    named = {"tunnel": tunnel_id, "credentials-file": str(credentials)} if credentials else {}
    whole = {**named, "ingress": [{"service": service}]}
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"


def quick_arguments(
    config: Path, transport: str, *, grace: int, extra: Sequence[str] = ()
) -> tuple[str, ...]:
    """The command line of a quick tunnel, without the program.

    `transport`: `quic` or `http2`; the latter with `--retries 1`, without which it comes
    back from an outage up to 100 s late (FACTS.md). `grace`: seconds that requests in
    flight get at the end. Nothing secret stands here.
    """
    return (*_options(config, transport, grace), *extra, "--url", NOWHERE)


def run_arguments(
    config: Path, transport: str, *, grace: int, tunnel_id: str = ""
) -> tuple[str, ...]:
    """The command line of a tunnel that exists already, as `quick_arguments`.

    `tunnel_id`: a named tunnel's; empty: the token, which is in the environment, says which.
    """
    return (*_options(config, transport, grace), "run", *([tunnel_id] if tunnel_id else []))


def validate_arguments(config: Path) -> tuple[str, ...]:
    """The command line by which cloudflared itself checks the rules of a configuration file."""
    return ("tunnel", "--config", str(config), "--no-autoupdate", "ingress", "validate")


def token_environment(token: str) -> dict[str, str]:
    """A tunnel's token, where it is not logged: only in the environment (FACTS.md)."""
    return {"TUNNEL_TOKEN": token}


def _options(config: Path, transport: str, grace: int) -> tuple[str, ...]:
    retries = ("--retries", "1") if transport == "http2" else ()
    return (
        "tunnel",
        "--config", str(config),
        "--no-autoupdate",
        "--management-diagnostics=false",
        "--metrics", METRICS,
        "--output", "json",
        "--loglevel", "info",
        "--grace-period", f"{grace}s",
        "--protocol", transport,
        *retries,
    )  # fmt: skip


def tag_environment(secret: str) -> dict[str, str]:
    """The channel's secret, where it is not logged: only in the environment (FACTS.md)."""
    if not _TAG_SECRET.fullmatch(secret):
        raise ValueError("a channel secret is 22 to 256 characters of base64url")
    return {"TUNNEL_TAG": f"{TAG_NAME}={secret}"}


CONTROL = {"STDIN_CONTROL": "true"}
"""A hidden option of cloudflared's: it takes commands on its standard input, which must then stay
open (at its end it would spin). By the environment, for an unknown option would end it."""


def reconnect(connections: int) -> str:
    """The command to give up each of so many connections and make it anew, with the same
    registration: the address stays. One line for each, for each line restarts one of them."""
    return "\n".join(["reconnect"] * connections)


def _is_unicode(path: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in path)


def _bad_name(name: str, kind: str, allowed: str) -> Reason:
    return Reason(
        code=f"{kind}-name-refused",
        hop=Hop.CLOUDFLARED,
        what=f"{name[:80]!r} cannot be a {kind} name.",
        meaning="Nothing was changed.",
        cure=f"Use only {allowed}.",
    )
