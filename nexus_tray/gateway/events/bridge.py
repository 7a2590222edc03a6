"""Event streams over one WebSocket, for ways in that hold back server-sent events.

Owns `Bridge`, the server side of `ui/gateway/bridge.js`: accepts or refuses a WebSocket
for a principal, and ends what a session had when it ends. What is said on a WebSocket is
in `bridge_socket`, what is kept for a sleeping phone in `streams`. Everything here lives
on the gateway's event loop.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from wsproto import ConnectionType, WSConnection, events
from wsproto.utilities import RemoteProtocolError

from nexus_tray.gateway.events.bridge_socket import Socket
from nexus_tray.gateway.events.streams import DEFAULT_LIMITS, Hub, Limits
from nexus_tray.gateway.http import Channel, Principal, Request, Response, Upstream

PATH = "/_nexus/events"
SOCKETS_PER_PRINCIPAL = 16


class Bridge:
    """All WebSockets and, through the hub, all event streams behind them."""

    def __init__(
        self,
        upstream: Callable[[], Upstream | None],
        limits: Limits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.hub = Hub(upstream, limits, clock)
        self._clock = clock
        self._wall = wall
        self._sockets: set[Socket] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def websocket(
        self, request: Request, principal: Principal | None
    ) -> Callable[[Channel], Awaitable[None]] | Response:
        """Accept a WebSocket at PATH, or refuse it with an answer. On the gateway's loop."""
        if principal is None:
            return Response(401, (("content-type", "text/plain"),), b"Sign in first.", close=True)
        connection = WSConnection(ConnectionType.SERVER)
        wanted = [(key, value) for key, value in request.headers if key.startswith(b"sec-")]
        fixed = [(b"host", b"-"), (b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
        try:
            connection.initiate_upgrade_connection(fixed + wanted, request.path)
            if not any(isinstance(event, events.Request) for event in connection.events()):
                raise RemoteProtocolError("no handshake")
        except RemoteProtocolError:
            fields = (("content-type", "text/plain"), ("sec-websocket-version", "13"))
            return Response(426, fields, b"This address speaks WebSocket version 13.")

        async def handle(channel: Channel) -> None:
            self._loop = asyncio.get_running_loop()
            own = [one for one in self._sockets if one.principal.id == principal.id]
            if len(own) >= SOCKETS_PER_PRINCIPAL:  # most are the remains of lost networks
                min(own, key=lambda one: one.heard).close()
            socket = Socket(self.hub, principal, connection, channel, self._clock)
            self._sockets.add(socket)
            try:
                await socket.run(lambda: bool(0 < principal.expires_at <= self._wall()))
            finally:
                self._sockets.discard(socket)

        return handle

    def cut(self, principal_id: str) -> None:
        """A session ended: its sockets close and its streams end at once. From any thread."""
        loop = self._loop
        if loop is None:
            return  # nobody has come yet
        with contextlib.suppress(RuntimeError):  # the loop is closed, and all with it
            loop.call_soon_threadsafe(self._cut, principal_id)

    def _cut(self, principal_id: str) -> None:
        for socket in [one for one in self._sockets if one.principal.id == principal_id]:
            socket.close()
        self.hub.cut(principal_id)

    async def close(self) -> None:
        """End everything; to be awaited on the gateway's loop before that is closed."""
        for socket in tuple(self._sockets):
            socket.close()
        await self.hub.close()
