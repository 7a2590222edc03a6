"""What a sleeping phone missed: server-sent events kept by number, bounded in bytes.

Owns `Splitter`, which cuts a byte stream into events, and `Ring`, which keeps the newest
ones. Both are pure: no clock, no socket. Used on the gateway's event loop only; imports
nothing of ours.

The ring forgets in two ways. *Superseded*: `message.part.updated` carries the whole part,
so the part's earlier updates and deltas tell nothing more and go at once; this keeps ten
minutes of a busy conversation small. *Evicted*: past the bound the oldest go, and a reader
who had not read them is told that events are lost.
"""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import takewhile

import msgspec

ENTRY_OVERHEAD = 240
"""Bytes that Python's own bookkeeping takes for each event, counted with it."""


class TooLongError(ValueError):
    """An event longer than any that OpenCode sends: the stream cannot be followed."""


class Splitter:
    """Cuts a stream into events (WHATWG HTML, 9.2.5): each ends with a blank line.

    Line ends become LF; a UTF-8 byte order mark at the start is left out.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._buffer = b""
        self._held = b""
        self._begun = False

    def feed(self, data: bytes) -> list[bytes]:
        """The events that these bytes complete, each with its closing blank line.

        Raises TooLongError when an unfinished event grows beyond the bound.
        """
        data = self._held + data
        self._held = b""
        if data.endswith(b"\r"):  # its LF may come with the next bytes
            data, self._held = data[:-1], b"\r"
        whole = self._buffer + data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not self._begun and len(whole) >= 3:
            self._begun = True
            whole = whole.removeprefix(b"\xef\xbb\xbf")
        *events, self._buffer = whole.split(b"\n\n")
        if len(self._buffer) > self._max:
            raise TooLongError(f"an event is longer than {self._max} bytes")
        return [event + b"\n\n" for event in events if event.strip(b"\n")]


class _Part(msgspec.Struct):
    id: str = ""


class _Properties(msgspec.Struct):
    part: _Part | None = None
    part_id: str = msgspec.field(default="", name="partID")


class _Sync(msgspec.Struct):
    type: str = ""
    data: _Properties | None = None


class _Payload(msgspec.Struct):
    type: str = ""
    properties: _Properties | None = None
    sync_event: _Sync | None = msgspec.field(default=None, name="syncEvent")


class _Envelope(_Payload):
    payload: _Payload | None = None  # /global/event wraps; /event does not


_decoder = msgspec.json.Decoder(_Envelope)


def subject(event: bytes) -> tuple[str, bool] | None:
    """Which message part an event is about, and whether it carries the whole of it.

    None for every other event. OpenCode 1.18.33 (measured): `message.part.updated` has
    `properties.part.id`, `message.part.delta` has `properties.partID`, and `sync` repeats
    the update for other consumers.
    """
    if b'"message.part.' not in event or not event.startswith(b"data:"):
        return None
    try:
        envelope = _decoder.decode(event[5:])
    except msgspec.DecodeError:  # of another shape: then it is kept as it is
        return None
    payload = envelope.payload or envelope
    if payload.type == "message.part.delta" and payload.properties:
        return (payload.properties.part_id, False) if payload.properties.part_id else None
    kind, properties, prefix = payload.type, payload.properties, ""
    if kind == "sync" and payload.sync_event:
        kind = payload.sync_event.type.removesuffix(".1")
        properties, prefix = payload.sync_event.data, "sync:"
    if kind == "message.part.updated" and properties and properties.part and properties.part.id:
        return prefix + properties.part.id, True
    return None


@dataclass(frozen=True, slots=True)
class Entry:
    """One kept event with its number and the part it is about."""

    id: int
    event: bytes
    part: str | None

    @property
    def size(self) -> int:
        """Bytes counted against the ring's bound."""
        return len(self.event) + ENTRY_OVERHEAD


class Ring:
    """The newest events of one stream, numbered from 1; at most `max_bytes` of them."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._parts: dict[str, list[int]] = {}
        self.head = 0
        """The number of the newest event; 0 before the first."""
        self.floor = 0
        """Readers that have not read this far have lost events."""
        self.size = 0
        """Bytes kept."""

    def append(self, event: bytes) -> int:
        """Keep an event and answer its number."""
        self.head += 1
        about = subject(event)
        entry = Entry(self.head, event, about[0] if about else None)
        if about and about[1]:
            for number in self._parts.pop(about[0], []):
                self.size -= self._entries.pop(number).size
        if about:
            self._parts.setdefault(about[0], []).append(self.head)
        self._entries[self.head] = entry
        self.size += entry.size
        self.trim(self._max)
        return self.head

    def trim(self, max_bytes: int) -> None:
        """Evict the oldest until at most `max_bytes` are kept."""
        while self.size > max_bytes and self._entries:
            number, entry = self._entries.popitem(last=False)
            self.floor = number
            self.size -= entry.size
            if entry.part is not None:
                numbers = self._parts[entry.part]
                numbers.remove(number)
                if not numbers:
                    del self._parts[entry.part]

    def since(self, after: int, max_bytes: int) -> list[Entry] | None:
        """Events after number `after`, oldest first, about `max_bytes` at most, one at least.

        None when some of them were evicted, or `after` was never given out: begin again.
        """
        if after < self.floor or after > self.head:
            return None
        newer = takewhile(lambda number: number > after, reversed(self._entries))
        found: list[Entry] = []
        for number in reversed(list(newer)):
            if max_bytes <= 0:
                break
            found.append(self._entries[number])
            max_bytes -= len(found[-1].event)
        return found
