"""One page's WebSocket: the protocol between `ui/gateway/bridge.js` and the hub.

wsproto frames the WebSocket; this module speaks the protocol below and pulls events out
of `streams.Hub` by cursor, so a slow phone slows nobody and needs no queue: when it fell
too far behind, its stream is *gone* and the page begins again. Lives on the gateway's
event loop.

The page sends JSON text messages, at most 4 KiB, `s` being a number it chose:

    {"t": "open", "s": 1, "target": "/global/event", "headers": {}}   like a new fetch
    {"t": "resume", "s": 1, "key": "...", "after": 17}                events after number 17
    {"t": "leave", "s": 1}                                            stop sending, keep it
    {"t": "forget", "key": "..."}                                     end it; or by "s"
    {"t": "ping"}

We send JSON text messages, and each event as a binary message: `s`, a space, its number,
a newline, and the event's bytes as OpenCode sent them.

    {"t": "opened", "s": 1, "key": "..."}     {"t": "refused", "s": 1, "status": 503}
    {"t": "live", "s": 1}      a resumed stream has caught up
    {"t": "ended", "s": 1}     OpenCode closed it while it was being read
    {"t": "gone", "s": 1}      events are lost: what was asked for is not kept (any more)
    {"t": "beat"}              every 10 s, and in answer to ping
"""

import asyncio
from collections.abc import Callable
from typing import Literal

import msgspec
from wsproto import WSConnection, events
from wsproto.extensions import PerMessageDeflate
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from nexus_tray.gateway.events.source import Refused
from nexus_tray.gateway.events.streams import Hub, Subscription
from nexus_tray.gateway.http import Channel, Principal

BEAT_SECONDS = 10.0
SILENCE_SECONDS = 45.0
"""A page answers our pings (sent with every beat) even while frozen; else it is gone."""
WRITE_SECONDS = 30.0
BATCH_BYTES = 256 * 1024
MESSAGE_BYTES = 4096
FEED_BYTES = 1024
"""Fed at a time, so that a compressed message is inflated to about 1 MiB at most."""
STREAMS_PER_SOCKET = 16
GONE = (OSError, TimeoutError, LocalProtocolError)
"""How a page shows that it is gone, or does not take what we send."""


class Message(msgspec.Struct, frozen=True):
    """What the page says."""

    t: Literal["open", "resume", "leave", "forget", "ping"]
    s: int = 0
    target: str = ""
    key: str = ""
    after: int = 0
    headers: dict[str, str] = {}


class Stream:
    """One stream as one socket reads it: the subscription, the cursor, the page's number."""

    def __init__(self, number: int, subscription: Subscription, after: int) -> None:
        self.number = number
        self.subscription = subscription
        self.after = after
        self.live_at: int | None = None
        """Tell the page when this number was sent; None: no need (any more)."""
        self.last_word = "ended"
        """What its end means: "gone" if OpenCode closed it while the page was away."""


class Socket:
    """One page's WebSocket: reads its messages, delivers events, keeps it alive."""

    def __init__(
        self,
        hub: Hub,
        principal: Principal,
        connection: WSConnection,
        channel: Channel,
        clock: Callable[[], float],
    ) -> None:
        self.principal = principal
        self._hub = hub
        self._ws = connection
        self._channel = channel
        self._clock = clock
        self.heard = clock()
        """When the page last said anything, by `clock`."""
        self._streams: dict[int, Stream] = {}
        self._opening: dict[int, asyncio.Task[None]] = {}
        self._due = asyncio.Event()
        self._sending = asyncio.Lock()
        self._decoder = msgspec.json.Decoder(Message)
        self._text: list[str] = []
        self._text_size = 0

    async def run(self, expired: Callable[[], bool]) -> None:
        """Serve until the page leaves, is silent, too slow, or its session `expired`."""
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._send(events.AcceptConnection(extensions=[PerMessageDeflate()]))
            tasks = [
                asyncio.create_task(self._listen()),
                asyncio.create_task(self._deliver()),
                asyncio.create_task(self._beat(expired)),
            ]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except GONE:
            pass  # the page comes back and says how far it got
        finally:
            running = [*tasks, *self._opening.values()]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            for number in tuple(self._streams):
                self._leave(number)
            self.close()

    def close(self) -> None:
        """End the connection at once."""
        self._channel.close()

    # what the page says

    async def _listen(self) -> None:
        while data := await self._channel.read():
            self.heard = self._clock()
            for start in range(0, len(data), FEED_BYTES):
                try:
                    self._ws.receive_data(data[start : start + FEED_BYTES])
                    found = list(self._ws.events())
                except RemoteProtocolError:
                    return
                for event in found:
                    if not await self._heed(event):
                        return

    async def _heed(self, event: events.Event) -> bool:
        """Carry out one WebSocket event; False ends the connection."""
        if isinstance(event, events.Ping):
            await self._send(event.response())
        elif isinstance(event, events.CloseConnection):
            await self._send(event.response())
            return False
        elif isinstance(event, events.BytesMessage):
            return False
        elif isinstance(event, events.TextMessage):
            self._text.append(event.data)
            self._text_size += len(event.data)
            if self._text_size > MESSAGE_BYTES:
                return False
            if event.message_finished:
                text, self._text, self._text_size = "".join(self._text), [], 0
                try:
                    message = self._decoder.decode(text)
                except msgspec.DecodeError:
                    return False
                await self._obey(message)
        return True

    async def _obey(self, message: Message) -> None:
        number = message.s
        if message.t == "ping":
            await self._tell("beat")
        elif message.t == "leave":
            self._leave(number)
        elif message.t == "forget":
            self._forget(message)
        elif number in self._streams or number in self._opening:
            await self._tell("refused", number, status=400)
        elif len(self._streams) + len(self._opening) >= STREAMS_PER_SOCKET:
            await self._tell("refused", number, status=429)
        elif message.t == "open":
            task = asyncio.create_task(self._open(message))
            self._opening[number] = task
            task.add_done_callback(lambda _: self._opening.pop(number, None))
        else:
            await self._resume(message)

    def _forget(self, message: Message) -> None:
        """By its key; by its number where the page goes before it was told the key."""
        if message.key:
            self._hub.forget(self.principal.id, message.key)
            return
        stream = self._streams.get(message.s)
        self._leave(message.s)
        if stream is not None:
            self._hub.drop(stream.subscription)

    async def _open(self, message: Message) -> None:
        try:
            try:
                found = await self._hub.open(self.principal.id, message.target, message.headers)
            except Refused as refused:
                await self._tell("refused", message.s, status=refused.status)
                return
            self._read(Stream(message.s, found, 0))
            await self._tell("opened", message.s, key=found.key)  # first: the lock is fair
        except GONE:
            self.close()

    async def _resume(self, message: Message) -> None:
        found = self._hub.find(self.principal.id, message.key)
        if found is None or found.ring.since(message.after, 1) is None:
            await self._tell("gone", message.s)
            return
        stream = Stream(message.s, found, message.after)
        stream.live_at = found.ring.head
        stream.last_word = "gone" if found.ended else "ended"
        self._read(stream)

    def _read(self, stream: Stream) -> None:
        self._streams[stream.number] = stream
        self._hub.attach(stream.subscription, self._due.set)
        self._due.set()

    def _leave(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        if stream is None and (task := self._opening.pop(number, None)):
            task.cancel()
        if stream and not any(
            s.subscription is stream.subscription for s in self._streams.values()
        ):
            self._hub.detach(stream.subscription, self._due.set)

    # what we say

    async def _deliver(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            for stream in tuple(self._streams.values()):
                await self._deliver_one(stream)

    async def _deliver_one(self, stream: Stream) -> None:
        """Send one batch; more of it is due again at once, after the others had their turn."""
        one = stream.subscription
        batch = one.ring.since(stream.after, BATCH_BYTES)
        if batch is None:
            await self._finish(stream, "gone")
            return
        if batch:
            # the cursor moves first: the page tells us what it has when it resumes
            stream.after = batch[-1].id
            await self._send(
                *(events.BytesMessage(b"%d %d\n%b" % (stream.number, e.id, e.event)) for e in batch)
            )
        if stream.live_at is not None and stream.after >= stream.live_at:
            stream.live_at = None
            await self._tell("live", stream.number)
        if stream.after < one.ring.head:
            self._due.set()
        elif one.ended:
            await self._finish(stream, stream.last_word)

    async def _finish(self, stream: Stream, how: str) -> None:
        if self._streams.get(stream.number) is stream:
            self._leave(stream.number)
            self._hub.drop(stream.subscription)
            await self._tell(how, stream.number)

    async def _beat(self, expired: Callable[[], bool]) -> None:
        while self._clock() - self.heard < SILENCE_SECONDS and not expired():
            await self._tell("beat")
            await self._send(events.Ping())
            await asyncio.sleep(BEAT_SECONDS)

    async def _tell(self, kind: str, number: int | None = None, **more: object) -> None:
        message = {"t": kind} | ({} if number is None else {"s": number}) | more
        await self._send(events.TextMessage(msgspec.json.encode(message).decode()))

    async def _send(self, *frames: events.Event) -> None:
        """Write in order. Raises OSError or TimeoutError when the page does not take it."""
        async with self._sending:
            data = b"".join(self._ws.send(frame) for frame in frames)
            async with asyncio.timeout(WRITE_SECONDS):
                await self._channel.write(data)
