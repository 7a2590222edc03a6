"""What all visitors' connections share: the site, the pool, the limits, and who is connected.

Owns the set of connections and what is done to many of them at once: cut a session's, close
a tunnel's, drop the slow. May import `gateway.*` below the server. Runs on the gateway's
event loop; a single sweep looks at all time limits, so that a request sets no timer.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Protocol

from nexus_tray.gateway.bounds import Bounds, Counters, Tally
from nexus_tray.gateway.http import Principal, Request, Shape, Site
from nexus_tray.gateway.limits.limits import Limits
from nexus_tray.gateway.limits.rules import Rules
from nexus_tray.gateway.meter import Meters
from nexus_tray.gateway.proof import Proofs
from nexus_tray.gateway.relay.known import KnownBlocks
from nexus_tray.gateway.relay.pool import UpstreamPool
from nexus_tray.gateway.routes import Table

log = logging.getLogger(__name__)


def _nobody_told(address: str, why: str) -> None:
    """Whom the doors turn away, where nobody asked to be told of it."""


class Connection(Protocol):
    """A visitor's connection, as the relay handles it."""

    @property
    def principal(self) -> Principal | None:
        """Whose exchange or stream is open on it."""

    @property
    def door(self) -> str | None:
        """The name of the door its last request came through."""

    @property
    def streaming(self) -> bool:
        """An exchange or stream is open on it."""

    @property
    def loitering(self) -> bool:
        """A stranger's, whose request has begun and not come, or anybody's who was answered."""

    def reroute(self) -> None:
        """The routes have changed: end what is under way to where it may no longer lead."""

    def limit_anew(self) -> None:
        """The limits have changed: end what they refuse, and pace what goes on by them."""

    def expire(self, now: float) -> None:
        """Drop it if a time limit has passed."""

    def abort(self) -> None:
        """End it now, upstream side included."""


class Relay:
    """The relay's shared state. `clock` is monotonic, `wall` Unix time."""

    def __init__(
        self,
        site: Site,
        shape: Shape,
        bounds: Bounds,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.site = site
        self.shape = shape
        self.bounds = bounds
        self.clock = clock
        self.wall = wall
        self.tally = Tally()
        self.meters = Meters()
        self.limits = Limits(bounds.connections)
        self.own_ports: frozenset[int] = frozenset()  # from where this program itself asks
        self.pool = UpstreamPool(bounds, clock, self.meters.opencode)
        self.proofs = Proofs(clock)
        self.known = KnownBlocks()
        self.routes: Table = {}
        self.on_denial: Callable[[str, str], None] = _nobody_told
        self._connections: dict[Connection, None] = {}  # in the order of their coming
        self._tasks: set[asyncio.Task[None]] = set()

    def join(self, connection: Connection) -> bool:
        """A visitor has come. False: there are too many; it must go.

        A stranger who dawdles gives up his place, the one longest here first: strangers who
        send their bodies slowly must not be able to keep everybody else out (SECURITY.md 12).
        """
        if len(self._connections) >= self.bounds.connections:
            dawdler = next((one for one in self._connections if one.loitering), None)
            if dawdler is None:
                return False
            self.leave(dawdler)
            dawdler.abort()
        self._connections[connection] = None
        return True

    def leave(self, connection: Connection) -> None:
        """A visitor has gone."""
        self._connections.pop(connection, None)

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run one answer or stream of the site's; ended with the relay."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def counters(self) -> Counters:
        """What was measured until now."""
        streams = sum(connection.streaming for connection in self._connections)
        return self.tally.counters(len(self._connections), streams)

    def cut(self, principal_id: str) -> None:
        """End every exchange and stream of this session, and its connections to OpenCode. An
        answer of the site's is let out: it may be the one that tells of the sign-out."""
        for connection in list(self._connections):
            principal = connection.principal
            if connection.streaming and principal is not None and principal.id == principal_id:
                connection.abort()
        self.pool.drop(principal_id)

    def cut_door(self, name: str) -> None:
        """End every connection whose last request came through this door."""
        for connection in list(self._connections):
            if connection.door == name:
                connection.abort()

    def deny(self, request: Request | None, why: str) -> None:
        """Somebody was turned away at a door, or for the host or the origin he named."""
        self.on_denial("unknown" if request is None else request.visitor.address, why)

    def reroute(self, table: Table) -> None:
        """Lead by this table from now on. What still leads to the same service goes on."""
        self.routes = table
        self.pool.forget_previews()
        for connection in list(self._connections):
            connection.reroute()

    def set_limits(self, rules: Rules) -> None:
        """Judge by these from now on; whom they refuse is cut off."""
        self.limits.adopt(rules, self.clock())
        for connection in list(self._connections):
            connection.limit_anew()

    def sweep(self) -> None:
        """Drop the slow, and whose session has run out."""
        now, wall = self.clock(), self.wall()
        for connection in list(self._connections):
            principal = connection.principal
            if connection.streaming and _expired(principal, wall):
                connection.abort()
            else:
                connection.expire(now)
        self.pool.sweep(now)

    async def sweep_for_ever(self) -> None:
        """`sweep` at its interval."""
        while True:
            await asyncio.sleep(self.bounds.sweep)
            self.sweep()

    async def close(self) -> None:
        """End every connection and all work."""
        for connection in list(self._connections):
            connection.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.pool.close()
        await self.pool.connector.close()


def _expired(principal: Principal | None, wall: float) -> bool:
    return principal is not None and 0.0 < principal.expires_at <= wall
