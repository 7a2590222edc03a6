"""The ring loses and doubles nothing; the hub keeps, bounds and ends streams."""

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.gateway.events.ring import ENTRY_OVERHEAD, Ring, Splitter, TooLongError, subject
from nexus_tray.gateway.events.source import Refused
from nexus_tray.gateway.events.streams import Hub, Subscription, allowed, passable
from nexus_tray.gateway.events.streams import Limits as AllLimits
from nexus_tray.gateway.http import Upstream
from tests.gateway.event_source import EventServer, serving, until

BIG = 1 << 30
Limits = partial(AllLimits, settle_seconds=0)  # the test's server listens when it greets


# --- cutting ---------------------------------------------------------------------------


@given(
    st.lists(st.sampled_from(["data: a", "data: b\ndata: c", ": heartbeat", "id: 7\ndata: ü"])),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.data(),
)
def test_events_are_cut_the_same_wherever_the_bytes_are_split(
    events: list[str], line_end: str, data: st.DataObject
) -> None:
    raw = "".join(event.replace("\n", line_end) + line_end * 2 for event in events).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    splitter = Splitter(1000)
    found = [
        event
        for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)
        for event in splitter.feed(raw[start:end])
    ]
    if line_end == "\r":  # the last CR may still be followed by its LF
        found += splitter.feed(b"x")
    assert found == [(event + "\n\n").encode() for event in events]


def test_an_endless_event_is_refused() -> None:
    splitter = Splitter(100)
    splitter.feed(b"data: " + b"x" * 90)
    with pytest.raises(TooLongError):
        splitter.feed(b"x" * 20)


def test_a_byte_order_mark_is_left_out() -> None:
    assert Splitter(100).feed(b"\xef\xbb\xbfdata: a\n\n") == [b"data: a\n\n"]


# --- which part an event is about ------------------------------------------------------


def updated(part: str, text: str = "", *, wrapped: bool = True) -> bytes:
    return event("message.part.updated", {"part": {"id": part, "text": text}}, wrapped=wrapped)


def delta(part: str, text: str = "", *, wrapped: bool = True) -> bytes:
    return event("message.part.delta", {"partID": part, "delta": text}, wrapped=wrapped)


def event(kind: str, properties: dict[str, object], *, wrapped: bool = True) -> bytes:
    inner: dict[str, object] = {"id": "evt_1", "type": kind, "properties": properties}
    outer = {"directory": "/p", "payload": inner} if wrapped else inner
    return b"data: " + json.dumps(outer, separators=(",", ":")).encode() + b"\n\n"


def sync(part: str) -> bytes:
    inner = {"type": "message.part.updated.1", "data": {"part": {"id": part}}}
    return b"data: " + json.dumps({"payload": {"type": "sync", "syncEvent": inner}}).encode()


@pytest.mark.parametrize(
    ("raw", "about"),
    [
        (updated("p1"), ("p1", True)),
        (updated("p1", wrapped=False), ("p1", True)),
        (delta("p1"), ("p1", False)),
        (delta("p1", wrapped=False), ("p1", False)),
        (sync("p1").replace(b'": "', b'":"'), ("sync:p1", True)),
        (event("session.idle", {"sessionID": "s"}), None),
        (event("message.updated", {"info": {"id": "m"}}), None),
        (b": heartbeat\n\n", None),
        (b'data: {"type":"message.part.updated","properties":{"part":"text"}}\n\n', None),
        (b'data: not json "message.part.updated"\n\n', None),
        (event("message.part.removed", {"partID": "p1"}), None),
    ],
)
def test_what_an_event_is_about(raw: bytes, about: tuple[str, bool] | None) -> None:
    assert subject(raw) == about


# --- the ring --------------------------------------------------------------------------


class Page:
    """Reduces events as OpenCode's page does: the text of each part, and all else in order."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}
        self.others: list[bytes] = []

    def take(self, raw: bytes) -> None:
        payload = json.loads(raw[5:])["payload"]
        properties = payload["properties"]
        if payload["type"] == "message.part.updated":
            self.parts[properties["part"]["id"]] = properties["part"]["text"]
        elif payload["type"] == "message.part.delta":
            if properties["partID"] in self.parts:
                self.parts[properties["partID"]] += properties["delta"]
        else:
            self.others.append(raw)


class OpenCode:
    """Writes events as OpenCode does: an update carries the whole part so far."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}
        self.count = 0

    def act(self, what: str, part: str) -> bytes:
        self.count += 1
        if what == "delta" and part in self.parts:
            self.parts[part] += f"{self.count} "
            return delta(part, f"{self.count} ")
        if what == "updated":
            self.parts.setdefault(part, "")
            return updated(part, self.parts[part])
        return event("session.idle", {"n": self.count})


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["delta", "updated", "other"]), st.sampled_from("ab")),
        st.tuples(st.just("read"), st.integers(1, 2000)),
    ),
    max_size=80,
)


@given(steps)
def test_a_reader_that_comes_and_goes_sees_what_one_that_stayed_sees(
    walk: list[tuple[str, str | int]],
) -> None:
    ring, opencode, stayed, slept = Ring(BIG), OpenCode(), Page(), Page()
    cursor = 0
    for what, detail in walk:
        if what == "read":
            assert isinstance(detail, int)
            batch = ring.since(cursor, detail)
            assert batch is not None
            assert [entry.id for entry in batch] == sorted({entry.id for entry in batch})
            assert all(entry.id > cursor for entry in batch)
            for entry in batch:
                slept.take(entry.event)
                cursor = entry.id
        else:
            raw = opencode.act(what, str(detail))
            stayed.take(raw)
            assert ring.append(raw) == opencode.count
    for entry in ring.since(cursor, BIG) or []:
        slept.take(entry.event)
    assert slept.parts == stayed.parts == opencode.parts
    assert slept.others == stayed.others


@given(steps, st.integers(300, 3000))
def test_a_bounded_ring_says_so_when_events_are_lost(
    walk: list[tuple[str, str | int]], bound: int
) -> None:
    ring, opencode, stayed, slept = Ring(bound), OpenCode(), Page(), Page()
    cursor = 0
    for what, detail in [*walk, ("read", BIG), ("read", BIG)]:
        if what != "read":
            raw = opencode.act(what, str(detail))
            stayed.take(raw)
            ring.append(raw)
            assert ring.size <= bound
            continue
        batch = ring.since(cursor, int(detail))
        if batch is None:
            assert cursor < ring.floor
            slept, cursor = copy.deepcopy(stayed), ring.head  # the page is loaded anew
        for entry in batch or []:
            slept.take(entry.event)
            cursor = entry.id
    assert slept.parts == stayed.parts
    assert slept.others == stayed.others
    kept = ring.since(ring.floor, BIG)
    assert kept is not None
    assert ring.size == sum(len(entry.event) + ENTRY_OVERHEAD for entry in kept)


def test_a_busy_ten_minutes_stay_small() -> None:
    ring, opencode = Ring(1 << 20), OpenCode()
    for number in range(200):
        ring.append(opencode.act("updated", f"part{number}"))
        for _ in range(50):
            ring.append(opencode.act("delta", f"part{number}"))
        ring.append(opencode.act("updated", f"part{number}"))
    assert ring.floor == 0
    assert len(ring.since(0, BIG) or []) == 200


@pytest.mark.parametrize("after", [-1, 3, 99])
def test_a_cursor_never_given_out_begins_again(after: int) -> None:
    ring = Ring(BIG)
    ring.append(b"data: 1\n\n")
    ring.append(b"data: 2\n\n")
    assert ring.since(after, BIG) is None


# --- what may be asked for -------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "may"),
    [
        ("/event", True),
        ("/global/event", True),
        ("/api/event", True),
        ("/event?directory=%2Fhome%2Fme", True),
        ("/api/session/ses_1aB/event?after=12", True),
        ("/", False),
        ("/config", False),
        ("/event/", False),
        ("/global/event/../config", False),
        ("/global/%65vent", False),
        ("//event", False),
        ("http://elsewhere/event", False),
        ("/api/session/a%2Fb/event", False),
        ("/api/session/../event", False),
        ("/event?auth_token=x", False),
        ("/event?a=1&auth_token=x", False),
        ("/event?a=1;AUTH_TOKEN=x", False),
        ("/event?auth%5Ftoken=x", False),
        ("/event?a=1 HTTP/1.1\r\nx: y", False),
        ("/event?a=\r\n", False),
        ("/event#x", False),
        ("/event?x=ü", False),
        ("/event\n", False),
    ],
)
def test_only_known_streams_may_be_subscribed_to(target: str, may: bool) -> None:
    assert allowed(target) is may


def test_only_harmless_fields_pass() -> None:
    given = {
        "X-OpenCode-Directory": "/home/me",
        "authorization": "Basic x",
        "cookie": "a=b",
        "last-event-id": "1\r\nx: y",
    }
    assert passable(given) == {"x-opencode-directory": "/home/me"}


# --- the hub ---------------------------------------------------------------------------


@asynccontextmanager
async def hub_on(
    server: EventServer, limits: AllLimits | None = None, clock: Callable[[], float] = lambda: 0.0
) -> AsyncIterator[Hub]:
    hub = Hub(lambda: server.upstream, limits or Limits(), clock)
    try:
        yield hub
    finally:
        await hub.close()


def heard(one: Subscription) -> list[str]:
    return [entry.event.decode()[6:-2] for entry in one.ring.since(0, BIG) or []]


def test_a_stream_is_read_with_our_credential_only() -> None:
    async def scenario() -> None:
        async with serving() as server, hub_on(server) as hub:
            one = await hub.open("me", "/event?directory=%2Fp", {"x-opencode-directory": "/p"})
            await server.say("1", "2")
            await until(lambda: heard(one) == ["greeting 1", "1", "2"])
            [head] = server.heads
            assert head.startswith("GET /event?directory=%2Fp HTTP/1.1\r\n")
            assert "\r\nauthorization: Basic b3duOnNlY3JldA==\r\n" in head
            assert "\r\nx-opencode-directory: /p\r\n" in head

    asyncio.run(scenario())


def test_each_page_has_a_subscription_of_its_own_with_opencodes_greeting() -> None:
    async def scenario() -> None:
        async with serving() as server, hub_on(server) as hub:
            first = await hub.open("me", "/event", {})
            second = await hub.open("me", "/event", {})
            await until(lambda: heard(first) == ["greeting 1"] and heard(second) == ["greeting 2"])

    asyncio.run(scenario())


def test_nobody_finds_the_subscription_of_another() -> None:
    async def scenario() -> None:
        async with serving() as server, hub_on(server) as hub:
            one = await hub.open("me", "/event", {})
            assert hub.find("me", one.key) is one
            assert hub.find("you", one.key) is None
            hub.forget("you", one.key)
            assert hub.find("me", one.key) is one
            hub.forget("me", one.key)
            assert hub.find("me", one.key) is None
            await until(lambda: server.open_streams == 0)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("how", "status"), [("404", 404), ("401", 502), ("500", 500), ("page", 502), ("garbage", 502)]
)
def test_what_is_no_stream_is_refused(how: str, status: int) -> None:
    async def scenario() -> None:
        async with serving() as server, hub_on(server) as hub:
            server.behaviour = how
            with pytest.raises(Refused) as refused:
                await hub.open("me", "/event", {})
            assert refused.value.status == status
            assert len(hub) == 0

    asyncio.run(scenario())


def test_opening_waits_for_opencode_but_not_for_ever() -> None:
    async def scenario() -> None:
        async with serving() as server:
            where: list[Upstream] = []
            hub = Hub(lambda: where[0] if where else None, Limits(open_seconds=0.3))
            with pytest.raises(Refused) as refused:
                await hub.open("me", "/event", {})
            assert refused.value.status == 503
            hub = Hub(lambda: where[0] if where else None, Limits(open_seconds=10))
            opening = asyncio.create_task(hub.open("me", "/event", {}))
            await asyncio.sleep(0)
            where.append(server.upstream)
            await until(opening.done)
            assert not (await opening).ended
            await hub.close()

    asyncio.run(scenario())


def test_a_stream_ends_when_opencode_ends_and_keeps_what_it_had() -> None:
    async def scenario() -> None:
        async with serving() as server, hub_on(server) as hub:
            one = await hub.open("me", "/event", {})
            woken = asyncio.Event()
            hub.attach(one, woken.set)
            await server.say("last")
            await server.hang_up()
            await until(lambda: one.ended)
            assert woken.is_set()
            assert heard(one) == ["greeting 1", "last"]
            assert hub.find("me", one.key) is one

    asyncio.run(scenario())


def test_unread_streams_end_after_their_time_and_read_ones_do_not() -> None:
    async def scenario() -> None:
        now = [0.0]
        async with serving() as server, hub_on(server, clock=lambda: now[0]) as hub:
            read, slept, left = [await hub.open("me", "/event", {}) for _ in range(3)]
            for one in (read, slept, left):
                hub.attach(one, print)
            hub.detach(left, print)
            now[0] = 10 * 60.0
            hub.detach(slept, print)
            now[0] = 20 * 60.0 + 1
            assert hub.find("me", left.key) is None
            assert hub.find("me", slept.key) is slept
            now[0] = 60 * 60.0
            assert hub.find("me", slept.key) is None
            assert hub.find("me", read.key) is read
            await until(lambda: server.open_streams == 1)

    asyncio.run(scenario())


def test_numbers_are_bounded_and_the_longest_unread_gives_way() -> None:
    async def scenario() -> None:
        now = [0.0]
        limits = Limits(per_principal=2, total=3)
        async with serving() as server, hub_on(server, limits, lambda: now[0]) as hub:
            first = await hub.open("me", "/event", {})
            now[0] = 1.0
            second = await hub.open("me", "/event", {})
            third = await hub.open("me", "/event", {})
            assert [hub.find("me", one.key) for one in (first, second, third)] == [
                None,
                second,
                third,
            ]
            hub.attach(second, print)
            hub.attach(third, print)
            with pytest.raises(Refused) as refused:
                await hub.open("me", "/event", {})
            assert refused.value.status == 429
            other = await hub.open("you", "/event", {})
            hub.attach(other, print)
            with pytest.raises(Refused):
                await hub.open("them", "/event", {})
            assert len(hub) == 3

    asyncio.run(scenario())


def test_bytes_are_bounded_over_all() -> None:
    async def scenario() -> None:
        limits = Limits(ring_bytes=60_000, total_bytes=100_000)
        async with serving() as server, hub_on(server, limits) as hub:
            read = await hub.open("me", "/event", {})
            hub.attach(read, print)
            unread = await hub.open("me", "/event", {})
            for _ in range(20):
                await server.say("x" * 5000)
                assert hub.size <= 100_000 + 5300
            await until(lambda: read.ring.head == 21)
            assert hub.find("me", unread.key) is None
            assert hub.find("me", read.key) is read
            assert read.ring.floor > 0

    asyncio.run(scenario())


def test_cutting_a_principal_ends_all_of_it_and_nothing_else() -> None:
    async def scenario() -> None:
        async with serving() as server, hub_on(server) as hub:
            mine = [await hub.open("me", "/event", {}) for _ in range(2)]
            yours = await hub.open("you", "/event", {})
            hub.cut("me")
            assert all(one.ended for one in mine)
            assert len(hub) == 1
            assert not yours.ended
            await until(lambda: server.open_streams == 1)

    asyncio.run(scenario())
