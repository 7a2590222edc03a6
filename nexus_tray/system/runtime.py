"""How front ends find the running instance: `api.json`, written at start, removed at the end.

Written only while the lock of `system.instance` is held. A file that a killed instance
left behind is harmless: its token died with it, and the next start replaces it. Read by
`api.client`. Any thread may call.
"""

import contextlib

import msgspec

from nexus_tray.paths import Paths
from nexus_tray.store.files import ensure_private_dir, sync_folder, write_atomic


def publish(paths: Paths, url: str, token: str) -> None:
    """Say where the local API is (`http://127.0.0.1:PORT`) and the token it wants; 0600.

    Raises Problem when the file cannot be written, or what stands there is not ours.
    """
    ensure_private_dir(paths.run)
    write_atomic(paths.api_file, msgspec.json.encode({"url": url, "token": token}))


def withdraw(paths: Paths) -> None:
    """Say no more. May be called again. Raises OSError if the file cannot be removed."""
    with contextlib.suppress(FileNotFoundError):
        paths.api_file.unlink()
        sync_folder(paths.run)
