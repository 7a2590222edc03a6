"""Where a stand-in for cloudflared joins the edge.

A stand-in has neither QUIC nor Cap'n Proto. It posts what it would have registered and
keeps the answer open: JSON lines tell it what happens to its connection. Requests of its
hostname go from the front straight to the origin of the first rule that fits, as cloudflared would send them:
HTTP/1.1, over TCP or a Unix socket, with the tag's header after the visitor's.
Every lever works on it: drop, shut, freeze, forget, refused registrations, blocked UDP.

POST /standin            {"tunnel", "account", "secret", "client", "protocol", "rules", "tags"}
POST /standin/CLIENT/unregister   no new requests; the answer above ends with the last one
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import logging
import uuid

import httptools
from aiohttp import web

from .edge import Edge, _location
from .link import Answer, EdgeError, Exchange, Headers, Link
from .world import World

log = logging.getLogger("lab.standin")

UNREACHABLE = (
    "Unable to reach the origin service. The service may be down or it may not be responding "
    "to traffic from cloudflared: "
)


SERVICES = ("http://", "https://", "unix:", "http_status:")


class OriginError(Exception):
    """The origin did not answer, in cloudflared's words."""


class StandinLink(Link):
    def __init__(self, edge: Edge, location: str, given: dict) -> None:
        super().__init__(edge, location)
        self.protocol = given["protocol"]
        self.rules: list[dict] = given["rules"]
        self.tags: Headers = [tuple(tag) for tag in given["tags"]]
        self.client_id = uuid.UUID(given["client"])
        self.client = {"version": "stand-in", "arch": "", "features": [], "previous_attempts": 0}
        self.index = 0
        self.events: asyncio.Queue[dict | None] = asyncio.Queue()
        self.tasks: set[asyncio.Task] = set()
        self._ids = itertools.count(1)

    def service(self, host: str) -> str:
        """Where the first rule that fits leads."""
        for rule in self.rules:
            pattern = rule.get("hostname") or ""
            if pattern in ("", "*", host) or (pattern[:1] == "*" and host.endswith(pattern[1:])):
                return rule["service"]
        return "http_status:503"

    async def send_config(self, version: int, config: dict) -> dict:
        """As cloudflared, it keeps its rules if the new ones are no good; the stand-in says so."""
        rules = config.get("ingress") or [{"service": "http_status:503"}]
        self.tell("config", version=version, config=config)
        if any(not rule["service"].startswith(SERVICES) for rule in rules):
            return {"lastAppliedVersion": -1, "err": "an invalid address"}
        self.rules = rules
        return {"lastAppliedVersion": version, "err": None}

    def tell(self, event: str, **details: object) -> None:
        if not self.closed:
            self.events.put_nowait({"event": event, **details})

    def hang_up(self, mode: str = "close") -> None:
        self.tell("lost", mode=mode)
        self.ended(mode)

    def ended(self, why: object = "") -> None:
        super().ended(why)
        self.events.put_nowait(None)

    # -- requests -----------------------------------------------------------------

    def request(self, method: str, host: str, path: str, headers: Headers, *,
                websocket: bool = False, has_body: bool = False) -> Exchange:
        if self.closed:
            raise EdgeError("connection to cloudflared lost")
        exchange = StandinExchange(self, next(self._ids), websocket or has_body)
        self.exchanges[exchange.stream_id] = exchange
        self.tell("request")
        task = self.loop.create_task(exchange.run(method, host, path, headers, websocket))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        exchange.task = task
        return exchange

    async def write(self, exchange: "StandinExchange", data: bytes) -> None:
        if exchange.error is not None:
            raise exchange.error
        await exchange.upload.put(data)

    def finish(self, exchange: "StandinExchange") -> None:
        exchange.finish_upload()

    def cancel(self, exchange: "StandinExchange") -> None:
        exchange.task.cancel()

    def forget(self, exchange: Exchange) -> None:
        self.exchanges.pop(exchange.stream_id, None)
        self.settle()


class StandinExchange(Exchange):
    """One request to the origin, sent as cloudflared sends it."""

    def __init__(self, link: StandinLink, stream_id: int, sends: bool) -> None:
        super().__init__(link, stream_id)
        self.upload: asyncio.Queue[bytes] = asyncio.Queue(maxsize=8)
        self.sends = sends
        self.task: asyncio.Task
        self.parser: httptools.HttpResponseParser
        self.chunked = False
        self.status = 0
        self.fields: Headers = []
        self.complete = False
        self._closing: asyncio.Task | None = None

    def finish_upload(self) -> None:
        self._closing = self.link.loop.create_task(self.upload.put(b""))

    async def run(self, method: str, host: str, path: str, headers: Headers, websocket: bool) -> None:
        link: StandinLink = self.link
        writer = None
        try:
            while link.edge.frozen:
                await asyncio.sleep(0.05)
            service = link.service(host.partition(":")[0].lower())
            if service.startswith("http_status:"):
                self.on_head(Answer(int(service.partition(":")[2]), [], "cloudflared"))
                self.on_end()
                return
            if websocket and link.protocol == "http2" and service.startswith("unix:"):
                raise OriginError(UNREACHABLE + "http: no Host in request URL")  # its issue 560
            reader, writer = await self._connect(service)
            writer.write(self._head(method, host, path, headers, websocket))
            await self._relay(reader, writer, websocket)
            link.tell("response", code=self.status)
            self.on_end()
        except OriginError as error:
            link.tell("origin-error", error=str(error))
            if self.head.done():
                self.on_error(EdgeError(str(error)))
            else:
                self.on_head(Answer(502, [], "cloudflared"))
                self.on_end()
        except asyncio.CancelledError:
            link.tell("visitor-left")
            self.on_error(EdgeError("given up"))
        finally:
            if writer is not None:
                writer.close()
            link.forget(self)

    async def _connect(self, origin: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            if origin.startswith("unix:"):
                return await asyncio.open_unix_connection(origin.removeprefix("unix:"))
            host, _, port = origin.removeprefix("http://").rstrip("/").rpartition(":")
            return await asyncio.open_connection(host, int(port))
        except OSError as error:
            how = f"dial {origin}: connect: {error.strerror or error}"
            raise OriginError(UNREACHABLE + how) from error

    def _head(self, method: str, host: str, path: str, headers: Headers, websocket: bool) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        fields = [(name.title(), value) for name, value in [*headers, *self.link.tags]]
        if websocket:
            fields += [("Connection", "Upgrade"), ("Upgrade", "websocket")]
        elif self.sends and not any(name == "Content-Length" for name, _ in fields):
            fields.append(("Transfer-Encoding", "chunked"))
        self.chunked = ("Transfer-Encoding", "chunked") in fields
        # Go writes the names in order; a name's values stay in theirs
        lines += [f"{name}: {value}" for name, value in sorted(fields, key=lambda field: field[0])]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                     websocket: bool) -> None:
        sending = asyncio.create_task(self._send(writer, websocket)) if self.sends else None
        self.parser = parser = httptools.HttpResponseParser(self)
        try:
            while not self.complete:
                data = await reader.read(65536)
                if not data:
                    if self.head.done() and parser.should_keep_alive() is False:
                        return                       # a body that ends with the connection
                    raise OriginError("unexpected EOF" if self.head.done() else UNREACHABLE + "EOF")
                try:
                    parser.feed_data(data)
                except httptools.HttpParserUpgrade as upgrade:
                    await self._raw(reader, data[upgrade.args[0]:])
                    return
                except httptools.HttpParserError as error:
                    raise OriginError(UNREACHABLE + f"malformed HTTP response {error}") from error
        except ConnectionError as error:
            raise OriginError(UNREACHABLE + str(error)) from error
        finally:
            if sending is not None:
                sending.cancel()

    async def _raw(self, reader: asyncio.StreamReader, data: bytes) -> None:
        while True:
            if data:
                self.on_data(data)
            data = await reader.read(65536)
            if not data:
                return

    async def _send(self, writer: asyncio.StreamWriter, websocket: bool) -> None:
        while data := await self.upload.get():
            writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self.chunked and not websocket else data)
            await writer.drain()
        if self.chunked and not websocket:
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    # -- the parser's callbacks ---------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_status(self, status: bytes) -> None:
        self.fields = []

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()
        if self.status >= 200 or self.status == 101:
            self.on_head(Answer(self.status, self.fields, "origin"))

    def on_body(self, body: bytes) -> None:
        self.on_data(body)

    def on_message_complete(self) -> None:
        self.complete = self.status >= 200


class StandinService:
    def __init__(self, world: World, edge: Edge) -> None:
        self.world = world
        self.edge = edge
        self.turn = itertools.count()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/standin", self.join)
        router.add_post("/standin/{client}/unregister", self.unregister)

    async def join(self, request: web.Request) -> web.StreamResponse:
        given = await request.json()
        await self._dial(request, given)
        link = StandinLink(self.edge, _location(next(self.turn) % len(self.edge.hosts)), given)
        answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await answer.prepare(request)
        secret = base64.b64decode(given["secret"])
        refusal = await link.enrol(uuid.UUID(given["tunnel"]), given["account"], secret)
        if refusal is not None:
            if refusal.kind == "silent":
                await asyncio.sleep(3600)
            await _line(answer, {"event": "refused", "kind": refusal.kind, "cause": refusal.cause})
            return answer
        link.begin()
        if link.tunnel.remotely_managed and link.tunnel.config is not None:
            asyncio.get_running_loop().call_later(
                0.05, lambda: asyncio.ensure_future(link.push_config()))
        await _line(answer, {"event": "registered", "location": link.location,
                             "connection": str(link.uuid)})
        try:
            while request.transport is not None and not request.transport.is_closing():
                try:
                    event = await asyncio.wait_for(link.events.get(), 0.2)
                except asyncio.TimeoutError:
                    continue
                if event is None:
                    break
                await _line(answer, event)
        except ConnectionError:
            pass
        finally:
            if not link.closed:              # the stand-in died
                link.hang_up("abort")
        return answer

    async def _dial(self, request: web.Request, given: dict) -> None:
        """What a new connection meets before it can register."""
        while given["protocol"] == "quic" and (self.world.faults.udp_blocked or self.edge.mode != "open"):
            await asyncio.sleep(3600)
        if self.edge.mode == "hang" or self.edge.frozen:
            await asyncio.sleep(3600)
        if self.edge.mode != "open":
            request.transport.abort()
            raise web.HTTPServiceUnavailable

    async def unregister(self, request: web.Request) -> web.Response:
        wanted = uuid.UUID(request.match_info["client"])
        for link in list(self.edge.links):
            if isinstance(link, StandinLink) and link.client_id == wanted:
                self.world.counts["unregistrations"] += 1
                link.draining = True
                link.loop.call_soon(link.settle)
        return web.Response(text="ok")


async def _line(answer: web.StreamResponse, event: dict) -> None:
    await answer.write(json.dumps(event).encode() + b"\n")
