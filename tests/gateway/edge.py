"""Stands between a real browser and the real gateway as Cloudflare and cloudflared do.

TLS for the tunnel's host name, the tunnel's secret and the visitor's address on each
request, and what matters here: event streams fetched by GET are held back until they end,
as quick tunnels do. Runs in a thread of its own; its levers may be pulled from any thread.
"""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import trustme
from aiohttp import ClientSession, ClientTimeout, UnixConnector, WSMsgType, web

from tests.gateway.doubles import HOST, SECRET

HOP = ("connection", "transfer-encoding", "content-length", "content-encoding", "keep-alive")


class Edge:
    """`holds`: event streams by GET are held back. `down`: the phone has no network."""

    def __init__(self, socket_path: Path, *, holds: bool = True) -> None:
        self.holds = holds
        self.down = False
        self.asked: list[str] = []
        self._path = str(socket_path)
        self._sockets: set[web.WebSocketResponse] = set()
        self._deaf: set[web.WebSocketResponse] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._over = asyncio.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        assert self._ready.wait(10)

    async def _run(self) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert(HOST).configure_cert(tls)
        connector = UnixConnector(self._path, limit=0)
        application = web.Application(client_max_size=1 << 26)
        application.router.add_route("*", "/{rest:.*}", self._serve)
        runner = web.AppRunner(application, shutdown_timeout=0.1, auto_decompress=False)
        async with ClientSession(
            connector=connector, auto_decompress=False, timeout=ClientTimeout(total=None)
        ) as self._client:
            await runner.setup()
            assert runner.server is not None
            listener = await self._loop.create_server(
                runner.server, "127.0.0.1", 0, ssl=tls, ssl_shutdown_timeout=0.1
            )
            self.port = listener.sockets[0].getsockname()[1]
            self._ready.set()
            await self._over.wait()
            listener.close()
            await self._cut()
            await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(0.3)  # the last TLS goodbyes

    def _headers(self, request: web.Request) -> list[tuple[str, str]]:
        kept = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP]
        return [*kept, ("CF-Connecting-IP", "203.0.113.9"), ("Cf-Warp-Tag-Gw", SECRET)]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        if self.down:
            assert request.transport is not None
            request.transport.abort()
            return web.Response(status=502)
        if request.headers.get("upgrade", "").lower() == "websocket":
            return await self._websocket(request)
        async with self._client.request(
            request.method,
            f"http://{HOST}{request.raw_path}",
            headers=self._headers(request),
            data=await request.read() or None,
            allow_redirects=False,
        ) as answer:
            fields = [(n, v) for n, v in answer.headers.items() if n.lower() not in HOP[:3]]
            held = "text/event-stream" in answer.headers.get("content-type", "") and self.holds
            body = await answer.read() if held else b""
            response = web.StreamResponse(status=answer.status)
            for name, value in fields:
                response.headers.add(name, value)
            with contextlib.suppress(ConnectionError):  # the browser left
                await response.prepare(request)
                await response.write(body)
                async for data in answer.content.iter_any():
                    await response.write(data)
                await response.write_eof()
            return response

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        kept = [
            (name, value)
            for name, value in self._headers(request)
            if not name.lower().startswith(("sec-websocket", "upgrade", "host"))
        ]
        url = f"http://{HOST}{request.raw_path}"
        async with self._client.ws_connect(url, headers=kept, max_msg_size=0) as inner:
            outer = web.WebSocketResponse(max_msg_size=0)
            await outer.prepare(request)
            self._sockets.add(outer)
            pumps = [
                asyncio.create_task(self._pump(outer, inner, outer)),
                asyncio.create_task(self._pump(inner, outer, outer)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._sockets.discard(outer)
            return outer

    async def _pump(self, source: Any, sink: Any, outer: web.WebSocketResponse) -> None:
        async for message in source:
            if outer in self._deaf:
                continue
            if message.type is WSMsgType.TEXT:
                await sink.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await sink.send_bytes(message.data)
        await sink.close()

    async def _cut(self) -> None:
        for outer in tuple(self._sockets):
            if outer._req is not None and outer._req.transport is not None:
                outer._req.transport.abort()

    def _call(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run_coroutine_threadsafe(work(), self._loop).result(10)

    def cut(self) -> None:
        """Break every WebSocket without a word, as a lost network does."""
        self._call(self._cut)

    async def _swallow(self) -> None:
        self._deaf |= self._sockets

    def swallow(self) -> None:
        """Every WebSocket stays open and carries nothing any more, as behind a lost cell."""
        self._call(self._swallow)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self._loop.close()
