"""What follows when this machine woke, moved, or got another time: everything is tried at once.

Owns that answer; how it is noticed is `system.changes`. The supervisor's services are hurried
(what waits for the network begins, what runs is probed) and every tunnel's address is visited
anew, for until then nothing that was known of the way counts. One thread, the watch's own.
"""

import time
from collections.abc import Callable

from nexus_tray.app.addresses import Addresses
from nexus_tray.core.driver import Hurry
from nexus_tray.core.supervisor import Supervisor
from nexus_tray.gateway.signin.reference_clock import since_boot
from nexus_tray.model import Snapshot
from nexus_tray.services.transport import network_identity, same_network
from nexus_tray.system.changes import Change, ChangeWatch, Look, outgoing


def watched(
    addresses: Addresses,
    supervisor: Supervisor,
    latest: Callable[[], Snapshot],
    look: Callable[[], Look] | None = None,
) -> ChangeWatch:
    """A watch that has begun; whoever asks for it closes it. `look`: the tests' own eyes."""

    def heard(change: Change) -> None:
        supervisor.note(change.words)
        addresses.hurry()
        for service in latest().services:
            supervisor.post(service.name, Hurry())

    watch = ChangeWatch(look or _look, heard, same_network)
    watch.start()
    return watch


def _look() -> Look:
    return Look(since_boot(), network_identity(), outgoing(), time.time())
