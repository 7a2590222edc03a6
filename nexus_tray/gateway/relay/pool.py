"""Idle connections to OpenCode and to previews, pooled per signed-in session and target.

Pooled per principal (FACTS.md "Gateway", condition 2): cloudflared mixes all visitors on one
connection to us, but towards OpenCode two sessions never share one, so that a desync could
harm only its author. The connection used last is taken first: it is the least likely stale.
May import `gateway.*` below the relay. Runs on the gateway's event loop.
"""

from collections.abc import Callable

from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.http import Preview, Upstream
from nexus_tray.gateway.meter import Meter
from nexus_tray.gateway.relay.connecting import Connector
from nexus_tray.gateway.relay.upstream import UpstreamConnection

Key = tuple[str, Preview | None]
"""The principal's id, and where to (None: OpenCode)."""


class UpstreamPool:
    """Idle connections by principal and target, and where new ones go."""

    def __init__(
        self, bounds: Bounds, clock: Callable[[], float], meter: Meter | None = None
    ) -> None:
        self.target: Upstream | None = None
        self._bounds = bounds
        self._clock = clock
        self._meter = meter or Meter()
        self._elsewhere = Meter()
        self._idle: dict[Key, list[UpstreamConnection]] = {}
        self.connector = Connector(bounds)
        self.at_previews: set[object] = set()

    @property
    def crowded(self) -> bool:
        """So much is under way to previews that no more may be, for OpenCode's sake."""
        return len(self.at_previews) >= self._bounds.previews

    def aim(self, target: Upstream | None) -> None:
        """OpenCode listens there now (None: nowhere). Idle connections elsewhere end."""
        self.target = self.connector.opencode = target
        for key in list(self._idle):
            if key[1] is None:
                self._drop(key)

    def forget_previews(self) -> None:
        """The routes have changed: what is kept for them may be wrong."""
        self.connector.forget_previews()
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
        else:
            barred = self.connector.barred
            connection = UpstreamConnection(target, self._bounds, self._elsewhere, barred)
        self.connector.connect(connection)
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

    def close(self) -> None:
        """End everything idle. The target stays: a gateway that is started again is not told it
        again."""
        for key in list(self._idle):
            self._drop(key)
