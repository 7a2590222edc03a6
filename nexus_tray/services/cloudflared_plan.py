"""What every run of one tunnel is given: the plan, and what it needs of the gateway and the rest.

Owns these values. Imports this room; nothing here acts.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nexus_tray.model import Level
from nexus_tray.services import cloudflared_public as public
from nexus_tray.services.address_watch import AddressWatch
from nexus_tray.services.cloudflared_launch import Checker, Identity
from nexus_tray.services.cloudflared_watch import Limits
from nexus_tray.services.public_visit import Front
from nexus_tray.services.transport import Transports


@dataclass(frozen=True)
class Doors:
    """What a tunnel needs of the gateway; each may be called from any thread.

    `open_door(name, secret, holds_events)` admits what carries the secret as coming by
    this tunnel; `close_door(name)` ends that; `channel_proved(name)` tells whether a
    request with the present secret has arrived.
    """

    open_door: Callable[[str, str, bool], None]
    close_door: Callable[[str], None]
    channel_proved: Callable[[str], bool]


@dataclass(frozen=True)
class LabOptions:
    """A test facility: leads cloudflared to a Cloudflare of the tests' own.

    `environment` and `arguments` are added to what the child gets, `front` replaces the
    public front. Nothing else changes: the environment is scrubbed as always.
    """

    environment: Mapping[str, str]
    arguments: tuple[str, ...]
    front: Front


@dataclass(frozen=True)
class Plan:
    """What every run of one tunnel has in common; see `TunnelDriver`.

    `service(transport)` and `way(transport)`: where cloudflared has to lead, and where it may.
    `untold` is set once Cloudflare refused the tunnel without a word.
    """

    name: str
    transport: str
    program: Callable[[], Path]
    environment: Callable[[], Mapping[str, str]]
    service: Callable[[str], str]
    folder: Path
    doors: Doors
    addresses: AddressWatch
    transports: Transports
    on_log: Callable[[Level, str], None]
    limits: Limits = field(default_factory=Limits)
    lab: LabOptions | None = None
    now: Callable[[], float] = time.monotonic
    identity: Identity = field(default_factory=Identity)
    way: Callable[[str], public.Way] = lambda _: public.Way()
    routes: Callable[[], Sequence[str]] = tuple
    checker: Checker = field(default_factory=Checker)
    untold: threading.Event = field(default_factory=threading.Event)
