"""Notices that rules at Cloudflare were put right, for a tunnel that was ended because of them.

cloudflared is told its rules only while it runs, and while it runs they are public; so it is never
started just to look (SECURITY.md: it fails closed). Where a certificate of the same account is
here, Cloudflare's API is asked instead; where not, a person starts the tunnel again.

Owns one thread, which asks every LOOK_SECONDS and only while such a tunnel waits.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nexus_tray.cloudflare.metrics import parse_config
from nexus_tray.core.driver import Input, Restart
from nexus_tray.model import Problem, ServiceState, Snapshot
from nexus_tray.services.cloudflare_api import Api, NotAllowed
from nexus_tray.services.cloudflared_public import FOREIGN, Way
from nexus_tray.settings import TunnelSettings

log = logging.getLogger(__name__)

LOOK_SECONDS = 20.0


@dataclass(frozen=True)
class Around:
    """What is needed of the rest. `api` answers for an account, None without a certificate;
    `way`: where rules may lead; `post` reaches the supervisor."""

    tunnels: Callable[[], Sequence[TunnelSettings]]
    snapshot: Callable[[], Snapshot]
    api: Callable[[str], Api | None]
    way: Callable[[], Way]
    post: Callable[[str, Input], None]


class IngressWatch:
    """`start` once, `close` at the end."""

    def __init__(self, around: Around, seconds: float = LOOK_SECONDS) -> None:
        self._around = around
        self._seconds = seconds
        self._over = threading.Event()
        self._tried: dict[str, str] = {}
        self._thread = threading.Thread(target=self._watch, name="ingress watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; one that asks just now ends when it has its answer."""
        self._over.set()

    def look(self) -> None:
        """Once, at every tunnel that waits."""
        for tunnel in self._around.tunnels():
            if self._waits(tunnel) and self._put_right(tunnel):
                self._around.post(tunnel.name, Restart())

    def _watch(self) -> None:
        while not self._over.wait(self._seconds):
            self.look()

    def _waits(self, tunnel: TunnelSettings) -> bool:
        service = self._around.snapshot().service(tunnel.name)
        if service is None or service.reason is None or not tunnel.tunnel_id:
            return False
        return service.state is ServiceState.FAILED and service.reason.code == FOREIGN

    def _put_right(self, tunnel: TunnelSettings) -> bool:
        try:
            api = self._around.api(tunnel.account_id)
            told = api.configuration(tunnel.tunnel_id) if api is not None else b""
        except (NotAllowed, Problem) as error:  # the next look may fare better
            log.info("The rules of tunnel %s could not be looked at: %r", tunnel.name, error)
            return False
        ingress = parse_config(told)
        if ingress is None or ingress.stranger(self._around.way().services) is not None:
            return False
        # Should cloudflared judge the same rules otherwise, it is not started for them again.
        seen = hashlib.sha256(told).hexdigest()
        known, self._tried[tunnel.name] = self._tried.get(tunnel.name), seen
        return known != seen
