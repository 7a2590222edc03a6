"""Where cloudflared leads and what it is given: the parts of a tunnel's report about that.

Owns the answers that `app.tunnel_reports` asks for: what to paste into Cloudflare, the file that
cloudflared gets, and what is left to do by hand for a token tunnel. Any thread.
"""

import contextlib
import sys
from collections.abc import Callable, Sequence

from nexus_tray.app.fleet import Fleet, useful_first
from nexus_tray.app.ingress_watch import Around, IngressWatch
from nexus_tray.cloudflare.config_file import service_of
from nexus_tray.core.driver import Input
from nexus_tray.model import Facts, Problem, Snapshot
from nexus_tray.paths import Paths
from nexus_tray.services import cloudflared_launch as launch
from nexus_tray.services import cloudflared_public as public
from nexus_tray.services.cloudflare_api import Api
from nexus_tray.settings import TunnelSettings
from nexus_tray.store import files

_SIZE_LIMIT = 64 * 1024


class TunnelOrigin:
    """Answers for every tunnel."""

    def __init__(self, paths: Paths, fleet: Fleet, snapshot: Callable[[], Snapshot]) -> None:
        self._paths = paths
        self._fleet = fleet
        self._snapshot = snapshot

    def origin(self, _: TunnelSettings) -> str:
        """What a rule at Cloudflare must name; empty while there is nothing to lead to."""
        way = self.way()
        return way.shown if way.socket or way.port else ""

    def configuration(self, tunnel: TunnelSettings) -> str:
        """The file that cloudflared got at its last start, else the one it will get. No secret."""
        file = self._paths.tunnel(tunnel.name) / launch.CONFIG
        with contextlib.suppress(FileNotFoundError):
            return files.read_private(file, _SIZE_LIMIT).decode("utf-8", "replace")
        service = self.origin(tunnel)
        return launch.content(self._fleet.identity(tunnel), service).decode() if service else ""

    def by_hand(self, tunnel: TunnelSettings) -> tuple[str, ...]:
        """What is left to do at Cloudflare for a token tunnel, in order."""
        if tunnel.kind != "token":
            return ()
        service = self._snapshot().service(tunnel.name)
        return public.token_steps(
            tunnel.name,
            useful_first(tunnel),
            service.facts if service is not None else Facts(),
            service.reason if service is not None else None,
            self.way(),
        )

    def watch(
        self,
        tunnels: Callable[[], Sequence[TunnelSettings]],
        api: Callable[[str], Api | None],
        post: Callable[[str, Input], None],
    ) -> IngressWatch:
        """Begin to notice that foreign rules were put right; see there for what is needed."""
        watch = IngressWatch(Around(tunnels, self._snapshot, api, self.way, post))
        watch.start()
        return watch

    def way(self) -> public.Way:
        """Where rules at Cloudflare may lead."""
        socket = None
        if sys.platform != "win32":
            with contextlib.suppress(Problem):  # said where the tunnel is started
                socket = service_of(self._paths.tunnel_socket)
        return public.Way(socket=socket, port=self._fleet.tunnel_port.remembered())
