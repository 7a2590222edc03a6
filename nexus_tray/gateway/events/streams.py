"""Event streams of OpenCode that outlive the connection of the phone that reads them.

Owns `Subscription` (one stream of OpenCode, read by us into a ring) and `Hub` (all of
them, bounded in number and bytes). A subscription belongs to one principal and answers
one `fetch` of the page, exactly as if the page had asked OpenCode itself, and goes on for
`KEEP_SECONDS` after its last reader left. It is not shared between pages: each begins with
OpenCode's own greeting, and `/api/session/{id}/event?after=` replays for each asker anew.
Everything here lives on the gateway's event loop.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nexus_tray.gateway.events.ring import Ring, Splitter, TooLongError
from nexus_tray.gateway.events.source import Refused, Source, open_source
from nexus_tray.gateway.http import Upstream

KEEP_SECONDS = 20 * 60.0
"""How long a stream goes on without a reader: a phone that slept this long misses nothing."""

SETTLE_SECONDS = 0.1
"""OpenCode 1.18.33 greets before it listens to its own events: what happens right after the
greeting is lost (measured: in 6 of 20 tries, in none 50 ms later). So the page gets its
greeting, upon which it asks for the state of things, this much later."""

PATHS = (
    re.compile(r"/event"),
    re.compile(r"/global/event"),
    re.compile(r"/api/event"),
    re.compile(r"/api/session/[A-Za-z0-9_-]{1,128}/event"),
)
"""The event streams of OpenCode 1.18; nothing else can be subscribed to."""

QUERY = re.compile(r"[A-Za-z0-9._~!$'()*+,;=:@/?&%-]{0,2048}")
HEADERS = ("x-opencode-directory", "x-opencode-workspace", "last-event-id")
VALUE = re.compile(r"[\x20-\x7e]{0,1024}")


def allowed(target: str) -> bool:
    """Whether a request target is an event stream that may be subscribed to.

    `auth_token` in the query would override our own credential (FACTS.md), so the name is
    refused in any spelling: no parameter name may be percent-encoded at all.
    """
    path, _, query = target.partition("?")
    if not any(known.fullmatch(path) for known in PATHS) or not QUERY.fullmatch(query):
        return False
    names = [pair.partition("=")[0] for pair in re.split("[&;]", query)]
    return not any("%" in name or "+" in name or name.lower() == "auth_token" for name in names)


def passable(headers: Mapping[str, str]) -> dict[str, str]:
    """The page's own fields that OpenCode is to see with the subscription."""
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: lower[name] for name in HEADERS if VALUE.fullmatch(lower.get(name, "\n"))}


@dataclass(frozen=True)
class Limits:
    """Bounds of the hub: subscriptions per principal and in all, bytes of one and of all."""

    per_principal: int = 12
    total: int = 64
    ring_bytes: int = 16 * 1024 * 1024
    total_bytes: int = 64 * 1024 * 1024
    event_bytes: int = 8 * 1024 * 1024
    keep_seconds: float = KEEP_SECONDS
    open_seconds: float = 20.0
    settle_seconds: float = SETTLE_SECONDS


DEFAULT_LIMITS = Limits()


@dataclass(eq=False)
class Subscription:
    """One stream of OpenCode. `ended`: OpenCode closed it; what the ring holds is all."""

    key: str
    principal_id: str
    ring: Ring
    ended: bool = False
    left_at: float = 0.0
    readers: set[Callable[[], None]] = field(default_factory=set)

    def changed(self) -> None:
        """Tell every reader that there is something to read."""
        for wake in tuple(self.readers):
            wake()


class Hub:
    """All subscriptions. `upstream` says where OpenCode is now, None while it is down."""

    def __init__(
        self,
        upstream: Callable[[], Upstream | None],
        limits: Limits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upstream = upstream
        self._limits = limits
        self._clock = clock
        self._subscriptions: dict[str, Subscription] = {}
        self._following: dict[str, tuple[asyncio.Task[None], Source]] = {}
        self._opening: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._subscriptions)

    @property
    def size(self) -> int:
        """Bytes kept over all subscriptions."""
        return sum(one.ring.size for one in self._subscriptions.values())

    async def open(
        self, principal_id: str, target: str, headers: Mapping[str, str]
    ) -> Subscription:
        """Subscribe to a stream, waiting up to `open_seconds` for OpenCode to be there.

        Raises Refused with the status that the page's `fetch` is to see.
        """
        if not allowed(target):
            raise Refused(404)
        self.sweep()
        self._make_room(principal_id)
        self._opening[principal_id] = self._opening.get(principal_id, 0) + 1
        try:
            source = await open_source(
                self._upstream, target, passable(headers), self._limits.open_seconds
            )
            await self._settle(source)
        finally:
            self._opening[principal_id] -= 1
            if not self._opening[principal_id]:
                del self._opening[principal_id]
        one = Subscription(secrets.token_urlsafe(16), principal_id, Ring(self._limits.ring_bytes))
        one.left_at = self._clock()
        self._subscriptions[one.key] = one
        self._following[one.key] = asyncio.create_task(self._follow(one, source)), source
        return one

    def find(self, principal_id: str, key: str) -> Subscription | None:
        """A subscription of this principal that still stands."""
        self.sweep()
        one = self._subscriptions.get(key)
        return one if one and one.principal_id == principal_id else None

    def attach(self, one: Subscription, wake: Callable[[], None]) -> None:
        """`wake` is called whenever there is something new."""
        one.readers.add(wake)

    def detach(self, one: Subscription, wake: Callable[[], None]) -> None:
        """The reader left; the stream goes on for a while."""
        one.readers.discard(wake)
        one.left_at = self._clock()

    def drop(self, one: Subscription) -> None:
        """End a subscription: its page is gone, or it has ended and was read."""
        self._subscriptions.pop(one.key, None)
        following = self._following.pop(one.key, None)
        if following:
            task, source = following
            source.close()  # here too: a task cancelled before its first step closes nothing
            task.cancel()
        one.ended = True
        one.changed()

    def forget(self, principal_id: str, key: str) -> None:
        """The page says that it will not come back to this subscription."""
        one = self._subscriptions.get(key)
        if one and one.principal_id == principal_id:
            self.drop(one)

    def cut(self, principal_id: str) -> None:
        """End everything of a principal whose session ended."""
        for one in [s for s in self._subscriptions.values() if s.principal_id == principal_id]:
            self.drop(one)

    def sweep(self) -> None:
        """End what nobody has read for `keep_seconds`."""
        oldest = self._clock() - self._limits.keep_seconds
        for one in [s for s in self._subscriptions.values() if not s.readers]:
            if one.left_at < oldest:
                self.drop(one)

    async def close(self) -> None:
        """End all subscriptions and wait until their connections are closed."""
        while self._following:
            tasks = [task for task, _ in self._following.values()]
            for one in list(self._subscriptions.values()):
                self.drop(one)
            await asyncio.gather(*tasks, return_exceptions=True)

    def _make_room(self, principal_id: str) -> None:
        """Raises Refused(429) when every subscription is being read."""
        own = [s for s in self._subscriptions.values() if s.principal_id == principal_id]
        opening = self._opening.get(principal_id, 0)
        if len(own) + opening >= self._limits.per_principal:
            self._drop_least_wanted(own)
        if len(self._subscriptions) + sum(self._opening.values()) >= self._limits.total:
            self._drop_least_wanted(list(self._subscriptions.values()))

    def _drop_least_wanted(self, candidates: list[Subscription]) -> None:
        unread = [one for one in candidates if not one.readers]
        if not unread:
            raise Refused(429)
        self.drop(min(unread, key=lambda one: one.left_at))

    async def _settle(self, source: Source) -> None:
        try:
            await asyncio.sleep(self._limits.settle_seconds)
        except BaseException:
            source.close()
            raise

    async def _follow(self, one: Subscription, source: Source) -> None:
        """Read OpenCode's stream into the ring until either ends."""
        splitter = Splitter(self._limits.event_bytes)
        try:
            async for data in source.chunks():
                events = splitter.feed(data)
                for event in events:
                    one.ring.append(event)
                if events:
                    self._stay_within_bounds()
                    one.changed()
        except (OSError, TooLongError):
            pass  # ends like a stream that OpenCode closed: the page begins again
        finally:
            source.close()
            one.ended = True
            one.changed()

    def _stay_within_bounds(self) -> None:
        """Over the bound for all: the unread longest alone goes first, then the largest shrink."""
        while self.size > self._limits.total_bytes:
            unread = [s for s in self._subscriptions.values() if not s.readers]
            if unread:
                self.drop(min(unread, key=lambda one: one.left_at))
            else:
                largest = max(self._subscriptions.values(), key=lambda one: one.ring.size)
                largest.ring.trim(largest.ring.size // 2)
