"""The door for the local network: TLS on one address of this machine's, the same sign-in.

Owns its admission rule, its listener and how it is shut. Imports `gateway.*` below the server
and asyncio. Runs on the gateway's event loop; `tls_context` and the values on any thread.

It is never open unless somebody opens it with a certificate, and nothing but TLS is spoken
there. Who is in the same network reaches the sign-in page, and without a session no more.
"""

import asyncio
import ipaddress
import logging
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_tray.gateway.http import Door, DoorKind, Visitor
from nexus_tray.gateway.relay import fields
from nexus_tray.gateway.relay.heads import Refused, RequestHead
from nexus_tray.gateway.relay.relay import Relay
from nexus_tray.gateway.relay.visitor import VisitorConnection
from nexus_tray.model import Hop, Problem, Reason

log = logging.getLogger(__name__)

NETWORK = Door(DoorKind.NETWORK, "network")

HANDSHAKE_SECONDS = 5.0
"""Who has not said who he is by then is dropped: he is counted nowhere before."""
GOODBYE_SECONDS = 2.0
MOST_HANDSHAKES, MOST_HANDSHAKES_OF_ONE = 64, 16
"""Under way at a time: of all together, of one address."""


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
    """The door itself: at most one listener.

    It accepts for itself, because who has not shaken hands is counted nowhere else: a device
    that opens thousands of connections must not use up the descriptors of tunnels and tray.
    """

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._threshold: Threshold | None = None
        self._listening: asyncio.Task[None] | None = None
        self._greeted: dict[asyncio.Task[None], str] = {}

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
            await self.close()
            threshold = Threshold(place)
        await self._listen_no_more()
        try:
            listener = listen_at(place.address, place.port)
        except BaseException:
            await self.close()
            raise
        accepting = self._accept(listener, threshold, context)
        self._listening = asyncio.get_running_loop().create_task(accepting)
        self._threshold = threshold

    async def close(self) -> None:
        """Listen no more, and end what came through it."""
        threshold, self._threshold = self._threshold, None
        if threshold is not None:
            threshold.open = False  # for who is inside and has not asked for anything yet
        await self._listen_no_more()
        greetings = list(self._greeted)
        for greeting in greetings:
            greeting.cancel()
        await asyncio.gather(*greetings, return_exceptions=True)
        self._relay.cut_door(NETWORK.name)

    async def _listen_no_more(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _accept(
        self, listener: "Listener", threshold: Threshold, context: ssl.SSLContext
    ) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                try:
                    plain, name = await loop.sock_accept(listener)
                except OSError as error:  # he is gone already, or descriptors are short
                    log.debug("a visitor of the local network was lost: %s", error)
                    await asyncio.sleep(0.05)
                    continue
                listener.newest = None
                peer = _peer(name)
                if self._may_greet(peer):
                    self._begin(plain, peer, threshold, context)
                else:
                    plain.close()

    def _begin(
        self, plain: socket.socket, peer: str, threshold: Threshold, context: ssl.SSLContext
    ) -> None:
        greeting = asyncio.get_running_loop().create_task(self._greet(plain, threshold, context))
        self._greeted[greeting] = peer

        def over(_: asyncio.Task[None]) -> None:
            del self._greeted[greeting]
            if greeting.cancelled():
                plain.close()

        greeting.add_done_callback(over)

    def _may_greet(self, peer: str) -> bool:
        peers = list(self._greeted.values())
        return len(peers) < MOST_HANDSHAKES and peers.count(peer) < MOST_HANDSHAKES_OF_ONE

    async def _greet(
        self, plain: socket.socket, threshold: Threshold, context: ssl.SSLContext
    ) -> None:
        def visitor() -> VisitorConnection:
            return VisitorConnection(self._relay, NetworkEntrance(threshold))

        plain.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                visitor,
                plain,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=GOODBYE_SECONDS,
            )
        except OSError as error:  # no TLS, or not in time: scanners, plain HTTP, no trust
            log.debug("a visitor of the local network did not speak TLS: %s", error)
            plain.close()


class Listener(socket.socket):
    """Closes whom it accepted at the moment when nobody waits for him any more."""

    newest: socket.socket | None = None

    def accept(self) -> tuple[socket.socket, Any]:
        """As ever; who came is known to `close` until he is taken."""
        accepted = super().accept()
        self.newest = accepted[0]
        return accepted

    def close(self) -> None:
        """Idempotent."""
        newest, self.newest = self.newest, None
        if newest is not None:
            newest.close()
        super().close()


def listen_at(address: str, port: int) -> Listener:
    """A listening socket. Raises Problem when the port is taken, or the address is not here."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = Listener(family, socket.SOCK_STREAM)
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
