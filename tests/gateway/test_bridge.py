"""The WebSocket side of the bridge, spoken to by a real WebSocket client over a pipe."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection, events
from wsproto.extensions import PerMessageDeflate

from nexus_tray.gateway.events import bridge_socket
from nexus_tray.gateway.events.bridge import PATH, SOCKETS_PER_PRINCIPAL, Bridge
from nexus_tray.gateway.events.streams import Limits as AllLimits
from nexus_tray.gateway.http import Door, DoorKind, Principal, Request, Response, Visitor
from tests.gateway.event_source import EventServer, serving, until

Limits = partial(AllLimits, settle_seconds=0)  # the test's server listens when it greets
ME = Principal("me", "phone", DoorKind.TUNNEL)
VISITOR = Visitor(Door(DoorKind.TUNNEL, "quick", True), "192.0.2.1", "x.test", "https://x.test")


class Pipe:
    """A Channel whose other end is in the same loop; `stuck` stands for a dead network."""

    def __init__(self) -> None:
        self.to_bridge: asyncio.Queue[bytes] = asyncio.Queue()
        self.to_page: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed = False
        self.stuck = asyncio.Event()
        self.stuck.set()

    async def read(self) -> bytes:
        return b"" if self.closed else await self.to_bridge.get()

    async def write(self, data: bytes) -> None:
        await self.stuck.wait()
        if self.closed:
            raise BrokenPipeError
        self.to_page.put_nowait(data)

    def close(self) -> None:
        self.closed = True
        self.to_bridge.put_nowait(b"")
        self.to_page.put_nowait(b"")


class Page:
    """The page's end: its WebSocket, what it was told and which events it has."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.told: list[dict[str, object]] = []
        self.events: list[tuple[int, int, str]] = []
        self.pings = 0

    def handshake(self) -> Request:
        raw = self.ws.send(
            events.Request(host="x.test", target=PATH, extensions=[PerMessageDeflate()])
        )
        lines = raw.decode().split("\r\n")[1:-2]
        pairs = [line.partition(": ") for line in lines]
        headers = tuple((name.lower().encode(), value.encode()) for name, _, value in pairs)
        return Request("GET", PATH, "", headers, VISITOR, websocket=True)

    async def listen(self) -> None:
        binary = b""
        while data := await self.pipe.to_page.get():
            self.ws.receive_data(data)
            for event in self.ws.events():
                if isinstance(event, events.TextMessage):
                    self.told.append(json.loads(event.data))
                elif isinstance(event, events.Ping):
                    self.pings += 1
                    self.pipe.to_bridge.put_nowait(self.ws.send(event.response()))
                elif isinstance(event, events.BytesMessage):
                    binary += event.data
                    if event.message_finished:
                        head, _, body = binary.partition(b"\n")
                        stream, number = map(int, head.split())
                        self.events.append((stream, number, body.decode()[6:-2]))
                        binary = b""

    def say(self, **message: object) -> None:
        self.raw(json.dumps(message))

    def raw(self, text: str) -> None:
        self.pipe.to_bridge.put_nowait(self.ws.send(events.TextMessage(text)))

    def was_told(self, kind: str) -> list[dict[str, object]]:
        return [message for message in self.told if message["t"] == kind]

    def texts(self, stream: int = 1) -> list[str]:
        return [text for number, _, text in self.events if number == stream]


@asynccontextmanager
async def page_on(bridge: Bridge, principal: Principal = ME) -> AsyncIterator[Page]:
    page = Page(Pipe())
    handler = bridge.websocket(page.handshake(), principal)
    assert not isinstance(handler, Response)
    handling = asyncio.ensure_future(handler(page.pipe))
    listening = asyncio.create_task(page.listen())
    try:
        await until(lambda: bool(page.told))
        yield page
    finally:
        page.pipe.stuck.set()
        page.pipe.close()
        await handling
        await listening


def run(
    scenario: Callable[[EventServer, Bridge], Awaitable[None]], limits: AllLimits | None = None
) -> None:
    async def whole() -> None:
        async with serving() as server:
            bridge = Bridge(lambda: server.upstream, limits or Limits(open_seconds=0.3))
            try:
                await scenario(server, bridge)
            finally:
                await bridge.close()

    asyncio.run(whole())


async def opened(page: Page, stream: int = 1) -> str:
    page.say(t="open", s=stream, target="/global/event")
    await until(lambda: any(told["s"] == stream for told in page.was_told("opened")))
    return str(next(told["key"] for told in page.was_told("opened") if told["s"] == stream))


def test_events_arrive_in_order_with_their_numbers() -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with page_on(bridge) as page:
            await opened(page)
            await server.say("a", "b")
            await until(lambda: len(page.events) == 3)
            assert page.events == [(1, 1, "greeting 1"), (1, 2, "a"), (1, 3, "b")]
            kinds = [message["t"] for message in page.told if message["t"] != "beat"]
            assert kinds == ["opened"]

    run(scenario)


def test_several_streams_share_a_socket() -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with page_on(bridge) as page:
            await opened(page, 1)
            await opened(page, 2)
            await server.say("a")
            await until(lambda: len(page.events) == 4)
            assert page.texts(1) == ["greeting 1", "a"]
            assert page.texts(2) == ["greeting 2", "a"]

    run(scenario)


def test_what_came_while_the_page_was_away_follows_when_it_is_back() -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with page_on(bridge) as page:
            key = await opened(page)
            await until(lambda: len(page.events) == 1)
        await server.say("missed 1", "missed 2")
        async with page_on(bridge) as page:
            page.say(t="resume", s=7, key=key, after=1)
            await until(lambda: bool(page.was_told("live")))
            assert page.events == [(7, 2, "missed 1"), (7, 3, "missed 2")]
            await server.say("now")
            await until(lambda: page.texts(7)[-1] == "now")
            assert page.was_told("live") == [{"t": "live", "s": 7}]

    run(scenario)


def has_all(page: Page, count: int) -> bool:
    return len(page.events) >= count


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["say", "cut", "say many"]), max_size=12))
def test_nothing_is_missing_or_doubled_however_often_the_line_is_cut(walk: list[str]) -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        said = ["greeting 1"]
        got: list[str] = []
        key, after = "", 0
        steps = iter([*walk, "cut", "end"])
        step = ""
        while step != "end":
            async with page_on(bridge) as page:
                if key:
                    page.say(t="resume", s=1, key=key, after=after)
                else:
                    key = await opened(page)
                for step in steps:
                    if step in ("cut", "end"):
                        break
                    texts = [f"{len(said) + n}" for n in range(20 if step == "say many" else 1)]
                    said += texts
                    await server.say(*texts)
                if step == "end":
                    await until(partial(has_all, page, len(said) - len(got)))
            for _, number, text in page.events:  # as bridge.js does
                if number > after:
                    after = number
                    got.append(text)
        assert got == said

    run(scenario)


@pytest.mark.parametrize("after", [99, -1])
def test_what_cannot_be_had_is_gone(after: int) -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with page_on(bridge) as page:
            key = await opened(page)
            page.say(t="leave", s=1)
            page.say(t="resume", s=2, key=key, after=after)
            page.say(t="resume", s=3, key="unknown", after=0)
            await until(lambda: len(page.was_told("gone")) == 2)
            assert [message["s"] for message in page.was_told("gone")] == [2, 3]

    run(scenario)


def test_another_principals_stream_is_gone() -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with page_on(bridge) as page:
            key = await opened(page)
            async with page_on(bridge, Principal("you", "x", DoorKind.TUNNEL)) as other:
                other.say(t="resume", s=1, key=key, after=0)
                await until(lambda: bool(other.was_told("gone")))
                assert other.events == []

    run(scenario)


def test_opencodes_end_is_told_to_who_reads_and_is_a_gap_for_who_slept() -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with page_on(bridge) as page:
            slept = await opened(page, 1)
            await opened(page, 2)
            page.say(t="leave", s=1)
            await until(lambda: page.texts(2) == ["greeting 2"])
            await server.say("last")
            await server.hang_up()
            await until(lambda: bool(page.was_told("ended")))
            assert page.was_told("ended") == [{"t": "ended", "s": 2}]
            assert page.texts(2) == ["greeting 2", "last"]
            page.say(t="resume", s=3, key=slept, after=1)
            await until(lambda: bool(page.was_told("gone")))
            assert page.texts(3) == ["last"]  # what there was is not withheld

    run(scenario)


def test_a_reader_that_is_too_slow_is_told_that_events_are_gone() -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with page_on(bridge) as page:
            await opened(page)
            await until(lambda: len(page.events) == 1)
            page.pipe.stuck.clear()
            for _ in range(30):
                await server.say("x" * 1000)
            [one] = bridge.hub._subscriptions.values()
            await until(lambda: one.ring.head == 31)
            page.pipe.stuck.set()
            await until(lambda: bool(page.was_told("gone")))
            assert len(bridge.hub) == 0

    run(scenario, Limits(ring_bytes=8000))


def test_a_stuck_page_does_not_slow_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge_socket, "WRITE_SECONDS", 0.2)

    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with page_on(bridge) as stuck, page_on(bridge) as page:
            await opened(stuck)
            await opened(page)
            stuck.pipe.stuck.clear()
            await server.say("a", "b")
            await until(lambda: page.texts()[1:] == ["a", "b"])
            await until(lambda: stuck.pipe.closed)  # and is let go in the end

    run(scenario)


def test_a_silent_page_is_let_go_and_its_stream_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge_socket, "BEAT_SECONDS", 0.01)
    now = [0.0]

    async def whole() -> None:
        async with serving() as server:
            bridge = Bridge(lambda: server.upstream, clock=lambda: now[0])
            async with page_on(bridge) as page:
                await opened(page)
                await until(lambda: page.pings > 3)
                assert not page.pipe.closed
                page.pipe.to_bridge = asyncio.Queue()  # the network swallows what we say

                def later() -> bool:  # a last word may still be under way: so more than once
                    now[0] += bridge_socket.SILENCE_SECONDS
                    return page.pipe.closed

                await until(later)
            assert len(bridge.hub) == 1
            await bridge.close()

    asyncio.run(whole())


def test_a_session_that_expires_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge_socket, "BEAT_SECONDS", 0.01)

    async def whole() -> None:
        wall = [1000.0]
        async with serving() as server:
            bridge = Bridge(lambda: server.upstream, wall=lambda: wall[0])
            short = Principal("me", "phone", DoorKind.TUNNEL, expires_at=1010.0)
            async with page_on(bridge, short) as page:
                await until(lambda: len(page.was_told("beat")) > 3)
                assert not page.pipe.closed
                wall[0] = 1010.0
                await until(lambda: page.pipe.closed)
            await bridge.close()

    asyncio.run(whole())


def test_revocation_ends_sockets_and_streams_at_once() -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with (
            page_on(bridge) as page,
            page_on(bridge, Principal("you", "x", DoorKind.TUNNEL)) as other,
        ):
            key = await opened(page)
            await opened(other)
            bridge.cut("me")
            await until(lambda: page.pipe.closed)
            await until(lambda: server.open_streams == 1)
            assert not other.pipe.closed
            assert bridge.hub.find("me", key) is None

    run(scenario)


def test_a_page_that_says_good_bye_leaves_nothing_behind() -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with page_on(bridge) as page:
            key = await opened(page)
            page.say(t="forget", key=key)
            await until(lambda: server.open_streams == 0)
            assert len(bridge.hub) == 0

    run(scenario)


def test_leaving_while_the_stream_still_opens_cancels_it() -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        server.behaviour = "silence"
        async with page_on(bridge) as page:
            page.say(t="open", s=1, target="/event")
            await until(lambda: server.connections == 1)
            page.say(t="leave", s=1)
            await until(lambda: server.connections == 0)
            assert not page.was_told("opened")

    run(scenario, Limits(open_seconds=20))


def test_a_page_that_goes_before_it_knows_the_key_forgets_by_number() -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with page_on(bridge) as page:
            await opened(page)
            page.say(t="forget", s=7)  # none of that number: nothing happens
            assert len(bridge.hub) == 1
            page.say(t="forget", s=1)
            await until(lambda: server.open_streams == 0)
            assert len(bridge.hub) == 0

    run(scenario)


@pytest.mark.parametrize(
    ("target", "behaviour", "status"),
    [
        ("/config", "stream", 404),
        ("/event?auth_token=x", "stream", 404),
        ("/event", "404", 404),
        ("/event", "page", 502),
        ("/event", "hang up", 503),
    ],
)
def test_refusals_carry_the_status_for_the_page(target: str, behaviour: str, status: int) -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        server.behaviour = behaviour
        if behaviour == "hang up":
            server.upstream = type(server.upstream)("127.0.0.1", 1, b"x")
        async with page_on(bridge) as page:
            page.say(t="open", s=4, target=target)
            await until(lambda: bool(page.was_told("refused")))
            assert page.was_told("refused") == [{"t": "refused", "s": 4, "status": status}]
            assert target == "/event" or not server.heads  # refused before OpenCode is asked

    run(scenario)


def test_a_number_may_not_be_used_twice() -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with page_on(bridge) as page:
            await opened(page)
            page.say(t="open", s=1, target="/event")
            await until(lambda: bool(page.was_told("refused")))

    run(scenario)


def test_streams_of_one_page_are_limited() -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with page_on(bridge) as page:
            for number in range(bridge_socket.STREAMS_PER_SOCKET + 1):
                page.say(t="open", s=number, target="/event")
            await until(lambda: bool(page.was_told("refused")))
            assert page.was_told("refused")[0]["status"] == 429

    run(scenario, Limits(per_principal=99))


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", '{"t":"shout"}', '{"s":1}', '{"t":"open","s":"1"}', '{"t":"' + "x" * 5000],
    ids=["empty", "no JSON", "a list", "unknown", "no kind", "wrong type", "too long"],
)
def test_what_is_not_understood_ends_the_connection(text: str) -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with page_on(bridge) as page:
            page.raw(text)
            await until(lambda: page.pipe.closed)
            assert server.heads == []

    run(scenario)


def test_a_compressed_bomb_is_not_inflated() -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with page_on(bridge) as page:
            await until(lambda: bool(page.told))
            page.raw(" " * 50_000_000)
            await until(lambda: page.pipe.closed)

    run(scenario)


def test_garbage_instead_of_frames_ends_the_connection() -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with page_on(bridge) as page:
            page.pipe.to_bridge.put_nowait(b"\xff\xff\xff\xff")
            await until(lambda: page.pipe.closed)

    run(scenario)


def test_without_a_session_there_is_no_socket() -> None:
    bridge = Bridge(lambda: None)
    answer = bridge.websocket(Page(Pipe()).handshake(), None)
    assert isinstance(answer, Response)
    assert answer.status == 401


@pytest.mark.parametrize(
    "broken",
    [{b"sec-websocket-key"}, {b"sec-websocket-version"}],
    ids=str,
)
def test_a_bad_handshake_is_answered_with_what_is_wanted(broken: set[bytes]) -> None:
    whole = Page(Pipe()).handshake()
    kept = tuple(field for field in whole.headers if field[0] not in broken)
    answer = Bridge(lambda: None).websocket(Request("GET", PATH, "", kept, VISITOR), ME)
    assert isinstance(answer, Response)
    assert answer.status == 426


def test_too_many_sockets_push_out_the_one_heard_longest_ago() -> None:
    async def scenario(server: EventServer, bridge: Bridge) -> None:
        async with page_on(bridge) as first:
            await until(lambda: bool(first.told))
            pages = [page_on(bridge) for _ in range(SOCKETS_PER_PRINCIPAL)]
            for page in pages:
                await page.__aenter__()
            await until(lambda: first.pipe.closed)
            for page in pages:
                await page.__aexit__(None, None, None)

    run(scenario)
