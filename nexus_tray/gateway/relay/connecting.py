"""How connections to OpenCode and to previews are made, and where they may not lead.

Owns the tasks that connect, and TLS towards previews. May import `gateway.*` below the relay, and
asyncio. Runs on the gateway's event loop.
"""

import asyncio
import contextlib
import ipaddress
import logging
import ssl
from collections.abc import Callable

from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.http import Preview, Upstream
from nexus_tray.gateway.relay.upstream import UpstreamConnection

log = logging.getLogger(__name__)


def _no_ports() -> frozenset[int]:
    return frozenset()


class Connector:
    """Connects. `opencode` is where OpenCode listens now; `own_ports`: what this machine has for
    the program's own ends. No preview may lead to either."""

    def __init__(self, bounds: Bounds) -> None:
        self.opencode: Upstream | None = None
        self.own_ports: Callable[[], frozenset[int]] = _no_ports
        self._bounds = bounds
        self._contexts: dict[Preview, ssl.SSLContext] = {}
        self._connecting: set[asyncio.Task[None]] = set()

    def connect(self, connection: UpstreamConnection) -> None:
        """Begin to connect it to its target; it tells its sink when it stands, or failed."""
        target = connection.target
        if isinstance(target, Preview):
            work = self._connect_preview(connection, target)
        else:
            work = self._connect(connection)
        task = asyncio.get_running_loop().create_task(work)
        self._connecting.add(task)
        connection.connecting = task
        task.add_done_callback(self._connecting.discard)

    def forget_previews(self) -> None:
        """The routes have changed: what was read for them may be wrong."""
        self._contexts.clear()

    async def close(self) -> None:
        """End what is connecting."""
        for task in list(self._connecting):
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)

    async def _connect(self, connection: UpstreamConnection) -> None:
        loop = asyncio.get_running_loop()
        target = connection.target
        try:
            async with asyncio.timeout(self._bounds.connect):
                await loop.create_connection(lambda: connection, target.host, target.port)
        except OSError as error:  # TimeoutError is one
            log.info("OpenCode could not be reached: %s", error)
            connection.failed()

    async def _connect_preview(self, connection: UpstreamConnection, preview: Preview) -> None:
        try:
            async with asyncio.timeout(preview.connect_timeout):
                context = await self._context(preview) if preview.tls else None
                *others, last = _hosts(preview)
                for host in others:
                    with contextlib.suppress(ConnectionError):
                        await _open(connection, preview, host, context)
                        return
                await _open(connection, preview, last, context)
        except (OSError, ValueError, ssl.CertificateError) as error:  # names, sockets, TLS, time
            log.info("a preview could not be reached: %s", type(error).__name__)
            connection.why = _why(error, preview)
            connection.failed()

    async def _context(self, preview: Preview) -> ssl.SSLContext:
        """Made in a thread: it reads files. Raises OSError for a CA file that is none."""
        context = self._contexts.get(preview)
        if context is None:
            loop = asyncio.get_running_loop()
            context = await loop.run_in_executor(None, _make_context, preview)
            self._contexts[preview] = context
        return context

    def barred(self, transport: asyncio.BaseTransport) -> bool:
        """Seen on the connection itself: whatever a name resolved to, this is where it led. Of
        this machine is what is loopback, or has the same address at both ends."""
        peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if not isinstance(peer, tuple) or not isinstance(here, tuple):
            return True
        opencode = () if self.opencode is None else (self.opencode.port,)
        if peer[1] not in self.own_ports() and peer[1] not in opencode:
            return False
        address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return address.is_loopback or peer[0] == here[0] or (mapped or address).is_loopback


def _hosts(preview: Preview) -> tuple[str, ...]:
    """`localhost` is either address, whatever the machine's own list of names says."""
    local = preview.host == "localhost" or preview.host.endswith(".localhost")
    return ("127.0.0.1", "::1") if local else (preview.host,)


async def _open(
    connection: UpstreamConnection, preview: Preview, host: str, context: ssl.SSLContext | None
) -> None:
    await asyncio.get_running_loop().create_connection(
        lambda: connection,
        host,
        preview.port,
        ssl=context,
        server_hostname=None if context is None else preview.host,
    )


def _make_context(preview: Preview) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=preview.ca_file or None)
    if not preview.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


def _why(error: Exception, preview: Preview) -> str:
    """What to tell the owner."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"Its certificate is not believed: {error.verify_message}."
    if isinstance(error, ssl.SSLError):
        return "TLS could not be agreed on. Does it speak https, and is the CA file one?"
    if isinstance(error, TimeoutError):
        return f"It could not be connected within {preview.connect_timeout:g} s."
    return "Nothing listens there, or it cannot be reached. Is it running?"
