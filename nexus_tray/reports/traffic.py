"""What passed through the gateway, and what was counted."""

from typing import Annotated

import msgspec

from nexus_tray.model import Value


class TrafficQuery(Value, frozen=True):
    """The last `seconds` of traffic, in at most `points` steps of equal length; of one `tunnel`
    (empty: of all ways in together)."""

    seconds: Annotated[int, msgspec.Meta(ge=60, le=604_800)] = 3600
    points: Annotated[int, msgspec.Meta(ge=10, le=1000)] = 360
    tunnel: str = ""


class TrafficPoint(Value, frozen=True):
    """What passed through the gateway in one step that began at `at`.

    `failures` are answers of 500 and above; `latency_ms` is the median time to the first
    byte of the answer (None: no request); `streams` the most that were open at a time.
    """

    at: float
    requests: int = 0
    failures: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    streams: int = 0
    latency_ms: float | None = None


class Traffic(Value, frozen=True):
    """Traffic over time, oldest first. A step in which nothing was measured is not there."""

    step: float
    points: tuple[TrafficPoint, ...] = ()


class Figures(Value, frozen=True):
    """What was counted at one place since this program started: a door of the gateway (a tunnel's
    name, `local`, `network`), or what lies behind it.

    Words as in `model.Metrics`. `answered` counts the answers whose first byte was timed, `seconds`
    is the sum of those times; `within`: (seconds, answers that began within them), rising.
    """

    name: str
    requests: int = 0
    refused: int = 0
    failed: int = 0
    unreachable: int = 0
    concurrent: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    answered: int = 0
    seconds: float = 0.0
    within: tuple[tuple[float, int], ...] = ()


class CloudflaredCounters(Value, frozen=True):
    """What a tunnel's cloudflared counts itself, since its process started; None: not told.

    `errors`: requests that it could not pass on, or whose visitor left. `responses`: (status,
    count); `refused`: (the edge's word, registrations that it turned down so).
    """

    tunnel: str
    requests: int | None = None
    errors: int | None = None
    concurrent: int | None = None
    responses: tuple[tuple[int, int], ...] = ()
    registered: int = 0
    refused: tuple[tuple[str, int], ...] = ()
    memory_bytes: int | None = None


class Measured(Value, frozen=True):
    """Every counter there is, at one moment. `opencode` None: nothing was measured yet."""

    at: float
    doors: tuple[Figures, ...] = ()
    opencode: Figures | None = None
    cloudflared: tuple[CloudflaredCounters, ...] = ()
