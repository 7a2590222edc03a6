"""Idle connections to OpenCode, pooled per signed-in session.

Pooled per principal (FACTS.md "Gateway", condition 2): cloudflared mixes all visitors on one
connection to us, but towards OpenCode two sessions never share one, so that a desync could
harm only its author. The connection used last is taken first: it is the least likely stale.
May import `gateway.*` below the relay, and asyncio. Runs on the gateway's event loop.
"""

import asyncio
import logging
from collections.abc import Callable

from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.http import Upstream
from nexus_tray.gateway.meter import Meter
from nexus_tray.gateway.relay.upstream import UpstreamConnection

log = logging.getLogger(__name__)


class UpstreamPool:
    """Idle connections by principal, and where new ones go."""

    def __init__(
        self, bounds: Bounds, clock: Callable[[], float], meter: Meter | None = None
    ) -> None:
        self.target: Upstream | None = None
        self._bounds = bounds
        self._clock = clock
        self._meter = meter or Meter()
        self._idle: dict[str, list[UpstreamConnection]] = {}
        self._connecting: set[asyncio.Task[None]] = set()

    def aim(self, target: Upstream | None) -> None:
        """OpenCode listens there now (None: nowhere). Idle connections elsewhere end."""
        self.target = target
        for principal_id in list(self._idle):
            self.drop(principal_id)

    def take(self, principal_id: str, *, fresh: bool = False) -> UpstreamConnection:
        """A connection for one exchange of this principal; `begin` it at once. It may still be
        connecting. Must not be called without a target."""
        if self.target is None:
            raise RuntimeError("there is no upstream")
        idle = self._idle.get(principal_id, [])
        while idle and not fresh:
            connection = idle.pop()
            if connection.connected:
                connection.reused = True
                return connection
        connection = UpstreamConnection(self.target, self._bounds, self._meter)
        task = asyncio.get_running_loop().create_task(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return connection

    def give(self, principal_id: str, connection: UpstreamConnection) -> None:
        """The exchange is over; keep the connection for the next, if that is safe."""
        connection.leave()
        idle = self._idle.setdefault(principal_id, [])
        if (
            connection.target is self.target
            and connection.reusable
            and len(idle) < self._bounds.pooled
        ):
            connection.idle_since = self._clock()
            idle.append(connection)
        else:
            connection.abort()

    def drop(self, principal_id: str) -> None:
        """End the idle connections of this principal."""
        for connection in self._idle.pop(principal_id, []):
            connection.abort()

    def sweep(self, now: float) -> None:
        """End connections that OpenCode is about to end."""
        for principal_id, idle in list(self._idle.items()):
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
                self._idle[principal_id] = kept
            else:
                del self._idle[principal_id]

    async def close(self) -> None:
        """End everything idle or connecting. The target stays: a gateway that is started again
        is not told it again."""
        for principal_id in list(self._idle):
            self.drop(principal_id)
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
