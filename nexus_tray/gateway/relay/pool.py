"""Idle connections to OpenCode and to previews, pooled per signed-in session and target.

Pooled per principal (FACTS.md "Gateway", condition 2): cloudflared mixes all visitors on one
connection to us, but towards OpenCode two sessions never share one, so that a desync could
harm only its author. The connection used last is taken first: it is the least likely stale.
May import `gateway.*` below the relay, and asyncio. Runs on the gateway's event loop.
"""

import asyncio
import contextlib
import ipaddress
import logging
import ssl
from collections.abc import Callable

from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.http import Preview, Upstream
from nexus_tray.gateway.meter import Meter
from nexus_tray.gateway.relay.upstream import UpstreamConnection

log = logging.getLogger(__name__)


Key = tuple[str, Preview | None]
"""The principal's id, and where to (None: OpenCode)."""


def _no_ports() -> frozenset[int]:
    return frozenset()


class UpstreamPool:
    """Idle connections by principal and target, and where new ones go. `own_ports`: what this
    machine has for the program's own ends, to which no preview may lead."""

    def __init__(
        self, bounds: Bounds, clock: Callable[[], float], meter: Meter | None = None
    ) -> None:
        self.target: Upstream | None = None
        self._bounds = bounds
        self._clock = clock
        self._meter = meter or Meter()
        self.own_ports: Callable[[], frozenset[int]] = _no_ports
        self._elsewhere = Meter()
        self._contexts: dict[Preview, ssl.SSLContext] = {}
        self._idle: dict[Key, list[UpstreamConnection]] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        self.at_previews: set[object] = set()

    @property
    def crowded(self) -> bool:
        """So much is under way to previews that no more may be, for OpenCode's sake."""
        return len(self.at_previews) >= self._bounds.previews

    def aim(self, target: Upstream | None) -> None:
        """OpenCode listens there now (None: nowhere). Idle connections elsewhere end."""
        self.target = target
        for key in list(self._idle):
            if key[1] is None:
                self._drop(key)

    def forget_previews(self) -> None:
        """The routes have changed: what is kept for them may be wrong."""
        self._contexts.clear()
        for key in list(self._idle):
            if key[1] is not None:
                self._drop(key)

    def take(
        self, principal_id: str, preview: Preview | None = None, *, fresh: bool = False
    ) -> UpstreamConnection:
        """A connection for one exchange of this principal, to OpenCode or a preview; `begin`
        it at once. It may still be connecting. OpenCode must have been aimed at."""
        target = self.target if preview is None else preview
        if target is None:
            raise RuntimeError("there is no upstream")
        idle = self._idle.get((principal_id, preview), [])
        while idle and not fresh:
            connection = idle.pop()
            if connection.connected:
                connection.reused = True
                return connection
        if preview is None:
            connection = UpstreamConnection(target, self._bounds, self._meter)
            work = self._connect(connection)
        else:
            connection = UpstreamConnection(target, self._bounds, self._elsewhere, self._barred)
            work = self._connect_preview(connection, preview)
        task = asyncio.get_running_loop().create_task(work)
        self._connecting.add(task)
        connection.connecting = task
        task.add_done_callback(self._connecting.discard)
        return connection

    def give(self, principal_id: str, connection: UpstreamConnection) -> None:
        """The exchange is over; keep the connection for the next, if that is safe."""
        connection.leave()
        target = connection.target
        preview = target if isinstance(target, Preview) else None
        idle = self._idle.setdefault((principal_id, preview), [])
        if (
            (preview is not None or target is self.target)
            and connection.reusable
            and len(idle) < self._bounds.pooled
        ):
            connection.idle_since = self._clock()
            idle.append(connection)
        else:
            connection.abort()

    def drop(self, principal_id: str) -> None:
        """End the idle connections of this principal."""
        for key in [key for key in self._idle if key[0] == principal_id]:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        for connection in self._idle.pop(key, []):
            connection.abort()

    def sweep(self, now: float) -> None:
        """End connections that OpenCode is about to end."""
        for key, idle in list(self._idle.items()):
            kept = []
            for connection in idle:
                if (
                    connection.connected
                    and now - connection.idle_since < self._bounds.upstream_idle
                ):
                    kept.append(connection)
                else:
                    connection.abort()
            if kept:
                self._idle[key] = kept
            else:
                del self._idle[key]

    async def close(self) -> None:
        """End everything idle or connecting. The target stays: a gateway that is started again
        is not told it again."""
        for key in list(self._idle):
            self._drop(key)
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

    def _barred(self, transport: asyncio.BaseTransport) -> bool:
        """Seen on the connection itself: whatever a name resolved to, this is where it led. Of
        this machine is what is loopback, or has the same address at both ends."""
        peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if not isinstance(peer, tuple) or not isinstance(here, tuple):
            return True
        opencode = () if self.target is None else (self.target.port,)
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
