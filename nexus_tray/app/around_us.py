"""What follows when this machine woke, moved, or got another time: everything is tried at once.

Owns that answer, and what is said while the clock cannot be believed; how a change is noticed is
`system.changes`. The supervisor's services are hurried (what waits for the network begins, what
runs is probed, times are shown anew) and every tunnel's address is visited, for until then nothing
that was known of the way counts. One thread, the watch's own.
"""

import time
from collections.abc import Callable

from nexus_tray.app.addresses import Addresses
from nexus_tray.app.door import Door
from nexus_tray.core.driver import Hurry
from nexus_tray.core.supervisor import Supervisor
from nexus_tray.gateway.signin.reference_clock import since_boot
from nexus_tray.model import Hop, Problem, Reason, ServiceKind, ServiceState, Snapshot
from nexus_tray.services.transport import network_identity, same_network
from nexus_tray.system.changes import Change, ChangeWatch, Look, outgoing

SET_CLOCK = "Have the system set its clock by the network."

NOBODY_GETS_IN = "Nobody gets in from outside, signed in or not, until it is right."

OFF = Reason(
    code="clock-off",
    hop=Hop.GATEWAY,
    what="This computer's clock is more than five minutes from Cloudflare's.",
    meaning=NOBODY_GETS_IN,
    cure=SET_CLOCK,
)
BEHIND = Reason(
    code="clock-behind",
    hop=Hop.GATEWAY,
    what="This computer's clock is behind what was already written down.",
    meaning=NOBODY_GETS_IN,
    cure=f"{SET_CLOCK} If it is right now and was wrong before, set the password again.",
)
READY = (ServiceState.RUNNING, ServiceState.DEGRADED)
RIGHT = "This computer's clock can be believed again: sign-in from outside works."


def watched(
    addresses: Addresses, supervisor: Supervisor, latest: Callable[[], Snapshot], door: Door
) -> ChangeWatch:
    """A watch that has begun; whoever asks for it closes it."""
    told: list[Reason | None] = [None]

    def look() -> Look:
        # no gateway: asked for then, it would be made
        doubt = clock_doubt(door) if _open(latest()) else told[0]
        if doubt != told[0]:
            told[0] = doubt
            supervisor.note(doubt.what if doubt else RIGHT, reason=doubt)
        return Look(since_boot(), network_identity(), outgoing(), time.time())

    def heard(change: Change) -> None:
        supervisor.note(change.words)
        addresses.hurry()
        for service in latest().services:
            supervisor.post(service.name, Hurry())

    watch = ChangeWatch(look, heard, same_network)
    watch.start()
    return watch


def _open(snapshot: Snapshot) -> bool:
    return any(s.kind is ServiceKind.GATEWAY and s.state in READY for s in snapshot.services)


def clock_doubt(door: Door) -> Reason | None:
    """Why the clock cannot be believed (SECURITY.md, "Clock uncertain"); None: it can."""
    if door.clock.off():
        return OFF
    try:
        return BEHIND if door.audit().clock_is_behind() else None
    except Problem:  # sign-in's database cannot be read, which is said elsewhere
        return None
