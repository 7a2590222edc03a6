"""Tunnels made, changed and deleted: the commands, checked before anything is done.

Owns these checks and which job does the rest; the steps are `named_tunnels`'s and `login`'s, and
what concerns tokens is `token_handlers`'s. Runs on the caller's thread, and returns at once.
"""

from collections.abc import Callable, Sequence

import msgspec

from nexus_tray.app.handlers import Settle, names
from nexus_tray.app.importing import Importing
from nexus_tray.app.jobs import JobKeeper
from nexus_tray.app.zones import Zones
from nexus_tray.cloudflare import config_file
from nexus_tray.commands import (
    AnyCommand,
    CreateTunnel,
    DeleteTunnel,
    ForgetZone,
    ImportTunnel,
    Login,
    SetRoutes,
)
from nexus_tray.core.local_backend import Handler
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.settings import Settings, TunnelSettings
from nexus_tray.store.config_document import decode


class TunnelHandlers:
    """`create_by_token`: see `TokenHandlers.create`."""

    def __init__(
        self,
        settings: Settle,
        jobs: JobKeeper,
        zones: Zones,
        importing: Importing,
        create_by_token: Callable[[CreateTunnel], str],
    ) -> None:
        self._settings = settings
        self._jobs = jobs
        self._zones = zones
        self._importing = importing
        self._create_by_token = create_by_token

    def table(self) -> dict[type[AnyCommand], Handler]:
        """Which handler is whose."""
        return {
            CreateTunnel: self._create,
            DeleteTunnel: self._delete,
            SetRoutes: self._set_routes,
            Login: lambda _: self._jobs.start("login", "", {}),
            ForgetZone: lambda command: self._zones.forget(command.zone_id),
            ImportTunnel: lambda command: self._importing.take_over(command.path),
        }

    def _create(self, command: CreateTunnel) -> str:
        now = self._settings.read().settings
        if command.name in names(now):
            raise Problem(_taken(command.name))
        self._check(now, TunnelSettings(name=command.name, routes=command.routes))
        if command.kind == "token":
            return self._create_by_token(command)
        if command.kind == "quick":
            if len(command.routes) > 1 or any(route.hostname for route in command.routes):
                raise Problem(QUICK_HOSTS)
            self._save((*now.tunnels, TunnelSettings(name=command.name, routes=command.routes)))
            return ""
        return self._create_named(command)

    def _create_named(self, command: CreateTunnel) -> str:
        config_file.tunnel_name(command.name)
        if not command.routes:
            raise Problem(NO_HOSTS)
        zone = command.zone_id or self._zones.only()
        self._zones.read(zone)
        given = {
            "name": command.name,
            "zone": zone,
            "routes": msgspec.json.encode(command.routes).decode(),
        }
        return self._jobs.start("create", command.name, given)

    def _delete(self, command: DeleteTunnel) -> str:
        tunnel = self._find(command.name)
        only_here = command.only_here
        if tunnel.kind == "named" and not only_here:
            if not tunnel.zone_id:
                raise Problem(_without_zone(tunnel.name))
            self._zones.read(tunnel.zone_id)
        given = {
            "name": tunnel.name,
            "kind": tunnel.kind,
            "tunnel_id": tunnel.tunnel_id,
            "zone": tunnel.zone_id,
            "only_here": "yes" if only_here else "no",
            "hosts": msgspec.json.encode([route.hostname for route in tunnel.routes]).decode(),
        }
        return self._jobs.start("delete", tunnel.name, given)

    def _set_routes(self, command: SetRoutes) -> str:
        now = self._settings.read().settings
        tunnel = self._find(command.name)
        changed = msgspec.structs.replace(tunnel, routes=command.routes)
        self._check(now, changed)
        if tunnel.kind == "quick" and (
            len(command.routes) > 1 or any(route.hostname for route in command.routes)
        ):
            raise Problem(QUICK_HOSTS)
        before = {route.hostname for route in tunnel.routes}
        after = {route.hostname for route in command.routes}
        new, old = sorted(after - before), sorted(before - after)
        if tunnel.kind != "named" or not (new or old):
            self._save([changed if one.name == tunnel.name else one for one in now.tunnels])
            return ""
        if not tunnel.zone_id:
            raise Problem(_without_zone(tunnel.name))
        self._zones.read(tunnel.zone_id)
        given = {
            "name": tunnel.name,
            "zone": tunnel.zone_id,
            "tunnel_id": tunnel.tunnel_id,
            "routes": msgspec.json.encode(command.routes).decode(),
            "new": msgspec.json.encode(new).decode(),
            "old": msgspec.json.encode(old).decode(),
        }
        return self._jobs.start("routes", tunnel.name, given)

    def _check(self, settings: Settings, tunnel: TunnelSettings) -> None:
        """Whether the settings would take it; raises Problem, and nothing was done."""
        others = [one for one in settings.tunnels if one.name != tunnel.name]
        document = msgspec.to_builtins(settings)
        document["tunnels"] = msgspec.to_builtins([*others, tunnel])
        decode(document)
        hosts = [route.hostname for route in tunnel.routes]
        for place, host in enumerate(hosts):
            if host in hosts[:place]:
                raise Problem(_twice(host))
            if host:
                config_file.hostname(host)
            for other in others:
                if any(route.hostname == host and host for route in other.routes):
                    raise Problem(_elsewhere(host, other.name))

    def _find(self, name: str) -> TunnelSettings:
        tunnels = self._settings.read().settings.tunnels
        found = next((tunnel for tunnel in tunnels if tunnel.name == name), None)
        if found is None:
            raise Problem(_none(name))
        return found

    def _save(self, tunnels: Sequence[TunnelSettings]) -> None:
        self._settings.update({"tunnels": [msgspec.to_builtins(one) for one in tunnels]})


def _reason(code: str, what: str, cure: str, meaning: str = "Nothing was changed.") -> Reason:
    return Reason(code=code, hop=Hop.CLOUDFLARED, what=what, meaning=meaning, cure=cure)


NO_HOSTS = _reason(
    "tunnel-without-host",
    "A named tunnel needs a host name to be reached by.",
    "Give one of your domain, such as code.example.com.",
)
QUICK_HOSTS = _reason(
    "quick-host",
    "A quick tunnel gets its host name from Cloudflare, a new one at each start.",
    "Leave the host name empty; for one of your own, make a named tunnel.",
)


def _taken(name: str) -> Reason:
    return _reason(
        "tunnel-name-taken", f"There is something named “{name}” already.", "Choose another name."
    )


def _twice(host: str) -> Reason:
    return _reason(
        "host-twice", f"The host name {host or '(none)'} is there twice.", "Keep one of them."
    )


def _elsewhere(host: str, tunnel: str) -> Reason:
    return _reason(
        "host-elsewhere",
        f"The host name {host} belongs to the tunnel “{tunnel}”.",
        "Remove it there first.",
    )


def _none(name: str) -> Reason:
    return _reason(
        "no-such-tunnel",
        f"There is no tunnel named “{name}”.",
        "`nexus-tray tunnel list` lists them.",
    )


def _without_zone(name: str) -> Reason:
    return _reason(
        "tunnel-without-zone",
        f"“{name}” was not made here, so nothing of it can be changed at Cloudflare from here.",
        "Delete it only here (--only-here); change it in Cloudflare's dashboard.",
    )
