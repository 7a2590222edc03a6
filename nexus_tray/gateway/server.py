"""The gateway as the rest of the program holds it: one thread, one event loop, its listeners.

Owns the thread and its life. All public methods may be called from any thread, before the
start and after the end too; they act on the loop's own thread. May import `gateway.*`.
"""

import asyncio
import contextlib
import logging
import ssl
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from socket import socket
from typing import TypeVar

from nexus_tray.gateway import doors
from nexus_tray.gateway.bounds import Bounds, Counters, DoorCounters
from nexus_tray.gateway.http import Door, DoorKind, Shape, Site, Upstream
from nexus_tray.gateway.limits.rules import compile_rules
from nexus_tray.gateway.loops import new_loop
from nexus_tray.gateway.meter import Readings
from nexus_tray.gateway.network_door import NetworkListener, Place
from nexus_tray.gateway.proof import Question
from nexus_tray.gateway.relay.relay import Relay
from nexus_tray.gateway.relay.visitor import VisitorConnection
from nexus_tray.gateway.routes import Table
from nexus_tray.model import Problem
from nexus_tray.settings import AccessSettings

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds within which the loop must have begun, ended, or carried out a call."""

Result = TypeVar("Result")


async def _nothing(*_: object) -> None:
    """What is done where nobody asked for anything."""


class Gateway:
    """The only door (DESIGN.md "The gateway").

    `socket_path`: the tunnels' Unix socket (Windows, or None: a loopback port instead).
    `local_port`: the local door's (0: any, kept from then on). Without an upstream every
    signed-in request is answered 503; without an open door no tunnel is admitted.

    Who works on the loop beside the relay is told of it: `on_upstream` is run there each
    time OpenCode listens somewhere new (and at the start), `on_end` before the loop ends.
    """

    def __init__(
        self,
        site: Site,
        shape: Shape,
        socket_path: Path | None,
        local_port: int = 0,
        bounds: Bounds | None = None,
        loop: Callable[[], asyncio.AbstractEventLoop] = new_loop,
        on_upstream: Callable[[Upstream], Coroutine[None, None, None]] = _nothing,
        on_end: Callable[[], Coroutine[None, None, None]] = _nothing,
    ) -> None:
        self._relay = Relay(site, shape, bounds or Bounds())
        self._barred: Callable[[], frozenset[int]] = frozenset
        self._relay.pool.connector.own_ports = self._own_ports
        self._tunnels = doors.TunnelEntrance()
        self.network = NetworkListener(self._relay)
        self._socket_path = socket_path if sys.platform != "win32" else None
        self._local_port = local_port
        self._tunnel_port = 0
        self._wished_tunnel_port = 0
        self._servers: list[asyncio.Server] = []
        self._held: dict[str, socket] = {}
        self._new_loop = loop
        self._on_upstream = on_upstream
        self._on_end = on_end
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def running(self) -> bool:
        """The listeners stand and the loop runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def local_port(self) -> int:
        """The local door's port on 127.0.0.1; 0 before the first start, if any would do."""
        return self._local_port

    def use_port(self, local_port: int) -> None:
        """Open the local door there from the next start on (0: where it was, or any)."""
        self._local_port = local_port or self._local_port

    @property
    def local_address(self) -> str:
        """Where this machine's browser finds the local door."""
        return f"http://127.0.0.1:{self._local_port}"

    def tunnel_port(self) -> int:
        """The tunnels' loopback port, same admission as the socket; opened when first asked for.

        Over HTTP/2 cloudflared cannot carry WebSockets to a Unix socket (its issue 560,
        measured on 2026.8.2), so there, as on Windows, the secret alone tells who comes.
        Other users of the machine can knock at a port, so without need there is none.
        Raises RuntimeError while the gateway is not running.
        """
        loop = self._loop
        if loop is None:
            raise RuntimeError("the gateway is not running")
        return asyncio.run_coroutine_threadsafe(self._open_tunnel_port(), loop).result(PATIENCE)

    def wish_tunnel_port(self, port: int) -> None:
        """Open the tunnels' port there, once it is needed: what is pasted into Cloudflare should
        stay true. Another one is opened where it is taken."""
        self._wished_tunnel_port = port

    @property
    def upstream(self) -> Upstream | None:
        """Where OpenCode listens now, as last told."""
        return self._relay.pool.target

    def start(self) -> None:
        """Open the listeners and begin. Raises Problem when one cannot be opened; then nothing
        is left open. A gateway that runs is left alone."""
        if self.running:
            return
        listeners = self._listen()
        begun: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._main, args=(listeners, begun), name="gateway", daemon=True
        )
        self._thread.start()
        begun.result(PATIENCE)

    def close(self, *, keep_ports: bool = False) -> None:
        """Stop listening, end every connection, end the thread. Idempotent.

        `keep_ports`: it is to be started again. Who comes meanwhile waits, and no other user
        of the machine can take a port to which tunnels and browsers still bring secrets.
        """
        thread, self._thread = self._thread, None
        if thread is not None:
            self._post(self._ask_to_stop)
            thread.join(PATIENCE)
            if thread.is_alive():
                log.error("the gateway's thread did not end in %s s", PATIENCE)
        if not keep_ports:
            self._let_go()

    def set_upstream(self, upstream: Upstream | None) -> None:
        """OpenCode listens there now; None: nowhere. Running exchanges are left to end."""
        self._call(lambda: self._aim(upstream))

    def set_routes(self, table: Table) -> None:
        """Where each tunnel leads, by host name. In force on return; a tunnel that is not in
        it leads nowhere."""
        self._call(lambda: self._relay.reroute(table))

    def tell_denials(self, on_denial: Callable[[str, str], None]) -> None:
        """Have it told whom the doors turned away, as (address, why). On the loop: at once."""
        self._relay.on_denial = on_denial

    def bar_ports(self, ports: Callable[[], frozenset[int]]) -> None:
        """Further ports of this program's own, to which no route may lead; asked on the loop."""
        self._barred = ports

    def _own_ports(self) -> frozenset[int]:
        names = [listener.getsockname() for server in self._servers for listener in server.sockets]
        ours = {name[1] for name in names if isinstance(name, tuple)}
        return self._barred() | ours | self.network.ports()

    def open_network(self, place: Place, context: ssl.SSLContext) -> None:
        """Open the local network's door there, or give it this certificate. Raises Problem
        (it is shut then), RuntimeError while the gateway is not running."""
        if (loop := self._loop) is None:
            raise RuntimeError("the gateway is not running")
        opening = self.network.open(place, context)
        asyncio.run_coroutine_threadsafe(opening, loop).result(PATIENCE)

    def close_network(self) -> None:
        """Shut the local network's door, and end what came through it. In force on return."""
        if (loop := self._loop) is not None:  # without it nothing is open
            asyncio.run_coroutine_threadsafe(self.network.close(), loop).result(PATIENCE)

    def _aim(self, upstream: Upstream | None) -> None:
        self._relay.pool.aim(upstream)
        if self._loop is not None and upstream is not None:
            self._relay.spawn(self._on_upstream(upstream))

    def open_door(self, name: str, secret: str, holds_events: bool) -> None:
        """Admit the tunnel of that name by its secret (at least 128 bits). In force on return."""
        door = Door(DoorKind.TUNNEL, name, holds_events=holds_events)
        self._call(lambda: self._tunnels.open(door, secret))

    def close_door(self, name: str) -> None:
        """Admit nothing through that tunnel any more, and end what came through it."""

        def close() -> None:
            self._tunnels.close(name)
            self._relay.cut_door(name)

        self._call(close)

    def channel_proved(self, name: str) -> bool:
        """A request came with this door's present secret: cloudflared adds the tag."""
        return name in self._tunnels.proved

    def ask_proof(self, name: str) -> Question:
        """A question that only this gateway can answer, to be asked through that tunnel."""
        return self._relay.proofs.ask(name)

    def visits(self, name: str) -> int:
        """How many requests that were not our own came through that tunnel. Waits for nobody."""
        return self._relay.tally.doors.get(name, DoorCounters()).requests

    def cut(self, principal_id: str) -> None:
        """End this session's exchanges and streams at once. Does not wait."""
        self._post(lambda: self._relay.cut(principal_id))

    def run_soon(self, act: Callable[[], None]) -> None:
        """Have something done on the loop, as soon as it can. Does not wait."""
        self._post(act)

    def counters(self) -> Counters:
        """What was measured until now."""
        return self._call(self._relay.counters)

    def read_meters(self) -> Readings | None:
        """What passed until now; None while the gateway is shut. Waits for nobody."""
        if not self.running:
            return None
        readings = self._relay.meters.read()
        self._post(self._relay.meters.begin_anew)
        return readings

    def take_usage(self) -> dict[str, tuple[int, int]]:
        """Bytes (received, sent) of each principal id since last taken."""
        relay = self._relay
        return self._call(lambda: relay.limits.accounts.take(relay.clock()))

    def set_limits(self, settings: AccessSettings) -> None:
        """Who may knock from outside and take how much; in force on return."""
        self._call(lambda: self._relay.set_limits(compile_rules(settings)))

    def countries(self) -> tuple[str, ...]:
        """From where visitors came since the start, as Cloudflare told."""
        return self._call(self._relay.limits.countries)

    @contextlib.contextmanager
    def unmetered(self, port: int) -> Iterator[None]:
        """What this program itself asks from that port, over a connection that is made within
        the block, is no traffic."""
        relay = self._relay
        relay.own_ports |= {port}
        try:
            yield
        finally:
            relay.own_ports -= {port}

    # the thread

    def _listen(self) -> list[tuple[socket, doors.Entrance]]:
        opened: list[tuple[socket, doors.Entrance]] = []
        anew = not self._held
        try:
            local = self._loopback("local", self._local_port)
            self._local_port = local.getsockname()[1]
            opened.append((local, doors.LocalEntrance(self._local_port)))
            if self._socket_path is not None:
                opened.append((doors.listen_unix(self._socket_path), self._tunnels))
            if self._socket_path is None or self._tunnel_port:  # a tunnel may still lead there
                opened.append((self._tunnel_listener(), self._tunnels))
        except BaseException:
            for listener, _ in opened:
                listener.close()
            if anew:
                self._let_go()
            raise
        return opened

    def _loopback(self, name: str, port: int) -> socket:
        """A listener there to serve and close; its port stays ours until `_let_go`."""
        held = self._held.get(name)
        if held is None or port not in (0, held.getsockname()[1]):
            self._held[name] = doors.listen_loopback(port)
            if held is not None:
                held.close()
        return self._held[name].dup()

    def _let_go(self) -> None:
        while self._held:
            self._held.popitem()[1].close()

    def _main(self, listeners: list[tuple[socket, doors.Entrance]], begun: Future[None]) -> None:
        loop = self._new_loop()
        try:
            loop.run_until_complete(self._serve(loop, listeners, begun))
        except Exception as error:
            if begun.done():
                log.exception("the gateway's loop failed")
            else:
                begun.set_exception(error)
        finally:
            self._loop = None
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
            for listener, _ in listeners:
                listener.close()
            if self._socket_path is not None:
                self._socket_path.unlink(missing_ok=True)

    async def _serve(
        self,
        loop: asyncio.AbstractEventLoop,
        listeners: list[tuple[socket, doors.Entrance]],
        begun: Future[None],
    ) -> None:
        self._stop = asyncio.Event()
        self._servers = [
            await self._serve_one(loop, listener, entrance) for listener, entrance in listeners
        ]
        self._loop = loop
        sweeping = loop.create_task(self._relay.sweep_for_ever())
        self._aim(self.upstream)
        begun.set_result(None)
        try:
            await self._stop.wait()
        finally:
            for server in self._servers:
                server.close()
            await self.network.close()
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
            await self._on_end()
            await self._relay.close()

    async def _serve_one(
        self, loop: asyncio.AbstractEventLoop, listener: socket, entrance: doors.Entrance
    ) -> asyncio.Server:
        def visitor() -> VisitorConnection:
            return VisitorConnection(self._relay, entrance)

        if listener.family.name == "AF_UNIX":
            return await loop.create_unix_server(visitor, sock=listener, backlog=doors.BACKLOG)
        return await loop.create_server(visitor, sock=listener, backlog=doors.BACKLOG)

    async def _open_tunnel_port(self) -> int:
        if not self._tunnel_port:
            listener = self._tunnel_listener()
            loop = asyncio.get_running_loop()
            self._servers.append(await self._serve_one(loop, listener, self._tunnels))
        return self._tunnel_port

    def _tunnel_listener(self) -> socket:
        """Where it was, else where it is wished, else anywhere."""
        try:
            listener = self._loopback("tunnels", self._tunnel_port or self._wished_tunnel_port)
        except Problem:
            if self._tunnel_port:
                raise
            listener = self._loopback("tunnels", 0)
        self._tunnel_port = listener.getsockname()[1]
        return listener

    def _ask_to_stop(self) -> None:
        if self._stop is not None:
            self._stop.set()

    def _post(self, act: Callable[[], None]) -> None:
        """Have it done on the loop; without one, now: then nobody else touches the state."""
        loop = self._loop
        if loop is None:
            act()
            return
        try:
            loop.call_soon_threadsafe(act)
        except RuntimeError:  # the loop has just closed
            act()

    def _call(self, act: Callable[[], Result]) -> Result:
        """As `_post`, and wait for the result."""
        thread = self._thread
        if self._loop is None or thread is None or thread is threading.current_thread():
            return act()
        done: Future[Result] = Future()

        def carry_out() -> None:
            try:
                done.set_result(act())
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                done.set_exception(error)

        self._post(carry_out)
        return done.result(PATIENCE)
