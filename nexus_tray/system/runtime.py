"""How front ends find the running instance: `api.json`, written at start, removed at the end.

Beside it, for Prometheus: where to look, and a token that opens `/metrics` and nothing else, so
that whoever watches the figures does not hold the key to the machine. It reads both files anew
(docs/metrics.md), so they may change with each start.

Written only while the lock of `system.instance` is held. A file that a killed instance
left behind is harmless: its token died with it, and the next start replaces it. Read by
`api.client`. Any thread may call.
"""

import contextlib

import msgspec

from nexus_tray.paths import Paths
from nexus_tray.store.files import ensure_private_dir, sync_folder, write_atomic


def publish(paths: Paths, url: str, token: str, metrics_token: str) -> None:
    """Say where the local API is (`http://127.0.0.1:PORT`) and the tokens it wants; 0600.

    Raises Problem when the file cannot be written, or what stands there is not ours.
    """
    ensure_private_dir(paths.run)
    write_atomic(paths.api_file, msgspec.json.encode({"url": url, "token": token}))
    target = [{"targets": [url.removeprefix("http://")]}]
    write_atomic(paths.metrics_token, metrics_token.encode("ascii"))
    write_atomic(paths.metrics_target, msgspec.json.encode(target))


def withdraw(paths: Paths) -> None:
    """Say no more. May be called again. Raises OSError if a file cannot be removed."""
    for file in (paths.api_file, paths.metrics_token, paths.metrics_target):
        with contextlib.suppress(FileNotFoundError):
            file.unlink()
            sync_folder(paths.run)
