"""The relay's limits and what it counts. Values; no clock, no I/O, imports nothing of ours."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Bounds:
    """How long and how much a peer may take (SECURITY.md 12). Seconds and bytes.

    `idle`: cloudflared drops an idle connection to us after 90 s; ours is longer, so that it
    is always cloudflared that closes and no request meets a connection that just ended.
    `stall`: a peer that neither sends nor takes a byte it owes for so long is dropped; what
    OpenCode thinks about, however long, is not bounded here. `upstream_idle`: below the 10 s
    after which Bun ends idle connections unless told not to (OpenCode 1.18.33 keeps them for
    more than 200 s, measured). `previews`: what is under way to previews at once, of all
    sessions; their services run what an agent wrote, and may be slow to keep others out.
    """

    head: float = 15.0
    own_body: float = 15.0
    idle: float = 120.0
    stall: float = 60.0
    linger: float = 2.0
    sweep: float = 0.5
    connect: float = 5.0
    upstream_idle: float = 8.0
    upload: int = 512 * 1024 * 1024
    buffer: int = 256 * 1024
    connections: int = 4096
    pooled: int = 32
    previews: int = 256


@dataclass(slots=True)
class DoorCounters:
    """One way in: requests admitted, and when the last one of a signed-in session came (Unix
    epoch; None: never). Whoever else knocks, our own checks too, is nobody's device. Counted on;
    what `Counters` holds is a copy."""

    requests: int = 0
    last_at: float | None = None


@dataclass(frozen=True)
class Counters:
    """What the relay measured since it was made. `received` and `sent` are bytes on the
    visitors' side; `refused` counts answers of ours that refused, by status."""

    connections: int
    streams: int
    requests: int
    forwarded: int
    failed: int
    received: int
    sent: int
    refused: dict[int, int]
    doors: dict[str, DoorCounters]


@dataclass
class Tally:
    """The live figures behind Counters. Touched on the gateway's loop only."""

    requests: int = 0
    forwarded: int = 0
    failed: int = 0
    received: int = 0
    sent: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    doors: dict[str, DoorCounters] = field(default_factory=dict)

    def refuse(self, status: int) -> None:
        """One request was refused."""
        self.refused[status] = self.refused.get(status, 0) + 1

    def admit(self, door: str) -> None:
        """One request passed its door."""
        self._door(door).requests += 1

    def recognise(self, door: str, at: float) -> None:
        """It carried a session."""
        self._door(door).last_at = at

    def _door(self, name: str) -> DoorCounters:
        found = self.doors.get(name)
        if found is None:
            found = self.doors[name] = DoorCounters()
        return found

    def counters(self, connections: int, streams: int) -> Counters:
        """The figures now, frozen."""
        return Counters(
            connections=connections,
            streams=streams,
            requests=self.requests,
            forwarded=self.forwarded,
            failed=self.failed,
            received=self.received,
            sent=self.sent,
            refused=dict(self.refused),
            doors={name: replace(one) for name, one in self.doors.items()},
        )
