"""What looks after OpenCode besides its driver: its sessions are followed and remembered.

Owns what these are put together of. The activity has a thread of its own.
"""

from collections.abc import Callable

from nexus_tray.model import Activity
from nexus_tray.paths import Paths
from nexus_tray.services.activity import ActivityWatch
from nexus_tray.store.unfinished import UnfinishedFile


def followed(paths: Paths, publish: Callable[[Activity | None], None]) -> ActivityWatch:
    """What OpenCode's sessions do; whose turn was broken off survives the program's own end."""
    file = UnfinishedFile(paths.unfinished_file)
    return ActivityWatch(publish, unfinished=file.recall(), keep=file.keep)
