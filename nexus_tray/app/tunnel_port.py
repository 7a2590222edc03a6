"""The gateway's loopback port for tunnels, the same after each start.

A token tunnel is configured at Cloudflare, by hand: what was pasted there should stay true. Owns
the file that remembers the port. Any thread.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from nexus_tray.gateway.server import Gateway
from nexus_tray.model import Problem
from nexus_tray.store import files

log = logging.getLogger(__name__)

_SIZE_LIMIT = 64
_PORTS = range(1024, 65536)


class TunnelPort:
    """Opens the port and remembers it. `gateway` raises Problem while it must stay shut."""

    def __init__(self, file: Path, gateway: Callable[[], Gateway]) -> None:
        self._file = file
        self._gateway = gateway

    def open(self) -> int:
        """The port, open from now on. Raises RuntimeError while the gateway does not run."""
        gateway, known = self._gateway(), self.remembered()
        gateway.wish_tunnel_port(known)
        port = gateway.tunnel_port()
        if port != known:
            self._remember(port)
        return port

    def remembered(self) -> int:
        """The port as it was last; 0 while there was none."""
        try:
            port = msgspec.json.decode(files.read_private(self._file, _SIZE_LIMIT), type=int)
        except FileNotFoundError:
            return 0
        except (Problem, msgspec.DecodeError) as error:
            log.warning("The tunnels' port of the last start is not known: %s", error)
            return 0
        return port if port in _PORTS else 0

    def _remember(self, port: int) -> None:
        try:
            files.ensure_private_dir(self._file.parent)
            files.write_atomic(self._file, msgspec.json.encode(port))
        except Problem as problem:  # it is another one next time, and that is said then
            log.warning("The tunnels' port is not remembered: %s", problem)
