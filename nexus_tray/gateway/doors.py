"""The ways in: who is admitted at each, and the listening sockets themselves.

Owns admission (before any credential is looked at, SECURITY.md "Channel") and the creation
of the two listeners. May import `gateway.http`, `gateway.heads`, `gateway.fields` and the
operating system. Admission runs on the gateway's event loop; sockets are made at its start.
"""

import asyncio
import ipaddress
import os
import re
import secrets
import socket
import stat
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from nexus_tray.gateway.headers import Headers, once
from nexus_tray.gateway.http import Door, DoorKind, Visitor
from nexus_tray.gateway.peers import is_foreign
from nexus_tray.gateway.relay import fields
from nexus_tray.gateway.relay.heads import Refused, RequestHead
from nexus_tray.model import Hop, Problem, Reason

TAG = b"cf-warp-tag-gw"
"""The field that cloudflared adds for TUNNEL_TAG=Gw=<secret> (FACTS.md), in lower case."""

BACKLOG = 512
"""Who knock while the gateway is at something else wait, so many; the next are turned away, and
cloudflared tells its visitor 502."""

_COUNTRY = re.compile(r"[A-Z0-9]{2}")


class Entrance(Protocol):
    """The admission rule of one listener."""

    def may_enter(self, transport: asyncio.BaseTransport) -> bool:
        """Whether who connects may be heard at all, whatever he asks."""

    def admit(self, head: RequestHead) -> Visitor:
        """Who comes here. Raises Refused with 403, before any credential is looked at."""


@dataclass(frozen=True)
class _Tunnel:
    door: Door
    secret: bytes


class TunnelEntrance:
    """The socket that our cloudflareds connect to: one secret for each tunnel.

    A tunnel's secret says which tunnel a request came through, and that it came from a
    cloudflared of ours. Fails closed: without tunnels nobody is admitted.
    """

    def __init__(self) -> None:
        self._tunnels: dict[str, _Tunnel] = {}
        self.proved: frozenset[str] = frozenset()

    def may_enter(self, transport: asyncio.BaseTransport) -> bool:  # noqa: ARG002 - the secret decides
        """Anybody who can connect."""
        return True

    def open(self, door: Door, secret: str) -> None:
        """Admit what carries this secret as coming through `door`. An earlier secret of the
        same name is void."""
        if len(secret) < 22:  # 128 bits in base64url
            raise ValueError("a channel secret needs at least 22 characters")
        self._tunnels[door.name] = _Tunnel(door, secret.encode("ascii"))
        self.proved -= {door.name}

    def close(self, name: str) -> None:
        """Admit nothing through this tunnel any more."""
        self._tunnels.pop(name, None)
        self.proved -= {name}

    def admit(self, head: RequestHead) -> Visitor:
        """The last tag must be a known tunnel's secret: the edge passes a visitor's own field
        of that name, and cloudflared appends (FACTS.md). SECURITY.md 3."""
        door = self._door(head.headers)
        addresses = fields.values(head.headers, b"cf-connecting-ip")
        if len(addresses) != 1 or (address := _address(addresses[0])) is None:
            raise Refused(403, "The visitor's address is missing or not clear.")
        if door.name not in self.proved:
            self.proved |= {door.name}
        host = _host(head.headers)
        return Visitor(door, address, host, f"https://{host}", _country(head.headers))

    def _door(self, headers: Headers) -> Door:
        tags = fields.values(headers, TAG)
        found = None
        for tunnel in self._tunnels.values():  # all of them: time must not tell which
            if tags and secrets.compare_digest(tags[-1], tunnel.secret):
                found = tunnel.door
        if found is None:
            raise Refused(403, "This request did not come through a tunnel of this machine.")
        return found


class LocalEntrance:
    """The loopback port for this machine's own browser.

    Exact Host: a name that a foreign page pointed at 127.0.0.1 (DNS rebinding, CWE-350) is
    refused, and so is another port's.
    """

    def __init__(self, port: int) -> None:
        self._door = Door(DoorKind.LOCAL, "local", secure=False)
        self._hosts = frozenset((f"127.0.0.1:{port}", f"localhost:{port}"))

    def may_enter(self, transport: asyncio.BaseTransport) -> bool:
        """Not another user of the machine: cookies ignore ports, and one-time links stand in
        the browser's arguments, so he may have either (SECURITY.md 29, 33)."""
        return not is_foreign(
            transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        )

    def admit(self, head: RequestHead) -> Visitor:
        """Any program of ours that asks for exactly this host; the session decides."""
        host = _host(head.headers)
        if host not in self._hosts:
            raise Refused(403, "This door answers only to 127.0.0.1 and localhost, with its port.")
        return Visitor(self._door, "local", host, f"http://{host}")


def _host(headers: Headers) -> str:
    return once(headers, _read_host)


def _read_host(headers: Headers) -> str:
    return fields.values(headers, b"host")[0].decode("ascii").lower()


@lru_cache(1024)
def _address(value: bytes) -> str | None:
    try:
        address = ipaddress.ip_address(value.decode("ascii"))
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        return None
    return str(address)


def _country(headers: Headers) -> str | None:
    return once(headers, _read_country)


def _read_country(headers: Headers) -> str | None:
    found = [value.decode("latin-1") for value in fields.values(headers, b"cf-ipcountry")]
    return found[0] if len(found) == 1 and _COUNTRY.fullmatch(found[0]) else None


def listen_loopback(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1 (0: any free port). Raises Problem when it is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let another program share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Problem(
            Reason(
                code="gateway-port-taken",
                hop=Hop.GATEWAY,
                what=f"The gateway could not listen on 127.0.0.1:{port} ({error.strerror}).",
                meaning="Another program uses that port.",
                cure="End that program, or set gateway.local_port to another port or to 0.",
            )
        ) from error
    listener.setblocking(False)
    return listener


def listen_unix(path: Path) -> socket.socket:
    """A listening Unix socket, mode 0600 in a 0700 folder of ours (SECURITY.md 3).

    A socket that a killed run of ours left behind is replaced; anything else is refused.
    The mode is set before `listen`, so there is no moment at which others could connect.
    """
    _private_folder(path.parent)
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _unusable(path, error.strerror or str(error)) from error
    listener.setblocking(False)
    return listener


def _private_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise _unusable(folder, error.strerror or str(error)) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise _unusable(folder, "it is not a folder of yours")
    if found.st_mode & 0o077:
        raise _unusable(folder, "other users may enter it")


def _clear(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
        raise _unusable(path, "something else is in its place")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise _unusable(path, "another instance listens on it")


def _unusable(path: Path, why: str) -> Problem:
    return Problem(
        Reason(
            code="gateway-socket-unusable",
            hop=Hop.GATEWAY,
            what=f"The gateway could not use {path}: {why}.",
            meaning="Tunnels reach the gateway only through this socket, so they stay off.",
            cure="Remove it, or correct its owner and mode (0700 for the folder), and try again.",
        )
    )
