"""The door for the local network: TLS on one address of this machine's, the same sign-in.

Owns its admission rule, its listener and how it is shut. Imports `gateway.*` below the server
and asyncio. Runs on the gateway's event loop; `tls_context` and the values on any thread.

It is never open unless somebody opens it with a certificate, and nothing but TLS is spoken
there. Who is in the same network reaches the sign-in page, and without a session no more.
"""

import asyncio
import ipaddress
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

from nexus_tray.gateway.http import Door, DoorKind, Visitor
from nexus_tray.gateway.relay import fields
from nexus_tray.gateway.relay.heads import Refused, RequestHead
from nexus_tray.gateway.relay.relay import Relay
from nexus_tray.gateway.relay.visitor import VisitorConnection
from nexus_tray.model import Hop, Problem, Reason

NETWORK = Door(DoorKind.NETWORK, "network")

HANDSHAKE_SECONDS = 5.0
"""Who has not said who he is by then is dropped: he is counted nowhere before."""
GOODBYE_SECONDS = 2.0


@dataclass(frozen=True)
class Place:
    """Where it listens, and the values of Host by which it answers (lower case, with port)."""

    address: str
    port: int
    hosts: frozenset[str]


def hosts_of(addresses: tuple[str, ...], names: tuple[str, ...], port: int) -> frozenset[str]:
    """What browsers send as Host for these addresses and names. They leave out port 443."""
    found = [f"[{one}]" if ":" in one else one for one in addresses]
    found += [name.lower() for name in names]
    with_port = {f"{host}:{port}" for host in found}
    return frozenset(with_port | set(found) if port == 443 else with_port)


def tls_context(chain: Path, key: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 and above, HTTP/1.1 only. `chain`: the certificate and those above it, in PEM
    (and the key, if `key` is None). Raises OSError (ssl.SSLError too)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    # without one, OpenSSL asks for the passphrase of a locked key at the terminal
    context.load_cert_chain(chain, key, password="")
    return context


class Threshold:
    """One opening of the door: while `open`, whoever asks for exactly one of its hosts."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.open = True


class NetworkEntrance:
    """The admission rule for one connection: its peer's real address, and an exact Host.

    A name that a foreign page pointed at this address (DNS rebinding, CWE-350) is refused.
    """

    def __init__(self, threshold: Threshold) -> None:
        self._threshold = threshold
        self._address = ""

    def may_enter(self, transport: asyncio.BaseTransport) -> bool:
        """Anybody whose address can be told: lockout and the trail need it."""
        self._address = _peer(transport.get_extra_info("peername"))
        return self._threshold.open and bool(self._address)

    def admit(self, head: RequestHead) -> Visitor:
        """Who comes. Raises Refused with 403, before any credential is looked at."""
        if not self._threshold.open:
            raise Refused(403, "This door is shut.")
        host = fields.values(head.headers, b"host")[0].decode("ascii").lower()
        if host not in self._threshold.place.hosts:
            raise Refused(403, "This door answers only to its own address and names.")
        return Visitor(NETWORK, self._address, host, f"https://{host}")


class NetworkListener:
    """The door itself: at most one listener."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._server: asyncio.Server | None = None
        self._threshold: Threshold | None = None

    @property
    def place(self) -> Place | None:
        """Where it is open; None: it is shut. Any thread."""
        threshold = self._threshold
        return threshold.place if threshold is not None else None

    def ports(self) -> frozenset[int]:
        """The port that it takes, if any."""
        place = self.place
        return frozenset((place.port,)) if place is not None else frozenset()

    async def open(self, place: Place, context: ssl.SSLContext) -> None:
        """Listen there with that certificate. At the same place, who is inside stays; from
        another one he is put out. Raises Problem, and is shut then."""
        threshold = self._threshold
        if threshold is None or threshold.place != place:
            self.close()
            threshold = Threshold(place)
        elif self._server is not None:
            self._server.close()
            self._server = None
        here = threshold

        def visitor() -> VisitorConnection:
            return VisitorConnection(self._relay, NetworkEntrance(here))

        try:
            listener = listen_at(place.address, place.port)
            self._server = await asyncio.get_running_loop().create_server(
                visitor,
                sock=listener,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=GOODBYE_SECONDS,
            )
        except BaseException:
            threshold.open = False
            self.close()
            raise
        self._threshold = threshold

    def close(self) -> None:
        """Listen no more, and end what came through it."""
        threshold, self._threshold = self._threshold, None
        server, self._server = self._server, None
        if threshold is not None:
            threshold.open = False  # for who is inside and has not asked for anything yet
        if server is not None:
            server.close()
        self._relay.cut_door(NETWORK.name)


def listen_at(address: str, port: int) -> socket.socket:
    """A listening socket. Raises Problem when the port is taken, or the address is not here."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":  # there REUSEADDR would share the port with anybody
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise Problem(
            Reason(
                code="network-port",
                hop=Hop.GATEWAY,
                what=f"The door for the local network could not listen on port {port} of "
                f"{address} ({error.strerror}).",
                meaning="Another program may use that port, or it needs more rights.",
                cure="Choose another port, such as 8443. It is tried again by itself.",
            )
        ) from error
    listener.setblocking(False)
    return listener


def _peer(name: object) -> str:
    """The peer's address without zone; an IPv4 one in an IPv6 socket as IPv4. Empty: unknown."""
    if not isinstance(name, tuple) or not name:
        return ""
    try:
        address = ipaddress.ip_address(str(name[0]).partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
