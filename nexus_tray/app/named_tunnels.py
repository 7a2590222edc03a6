"""Named tunnels: signing in at Cloudflare, making, leading host names, deleting, step by step.

Owns what each kind of job does, as `jobs.Plan`s that can be made again from their arguments. What
Cloudflare is asked goes through cloudflared, or its API where cloudflared has no command. Runs in
the jobs' threads; each step may block for a minute.
"""

import contextlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nexus_tray.app.handlers import Settle
from nexus_tray.app.jobs import Cancelled, Course, Plan, Step
from nexus_tray.app.zones import Zones
from nexus_tray.cloudflare import tunnel_tool as tool
from nexus_tray.model import Hop, Problem, Reason, ServiceState, Snapshot
from nexus_tray.paths import Paths
from nexus_tray.services.cloudflare_api import NotAllowed
from nexus_tray.services.cloudflare_tool import Tool
from nexus_tray.settings import RouteSettings, TunnelSettings
from nexus_tray.store import files

STOP_SECONDS = 40.0
TARGET = "{}.cfargotunnel.com"
"""What a DNS record holds that leads to a tunnel."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Routes = tuple[RouteSettings, ...]


@dataclass(frozen=True)
class World:
    """What the steps need. `forget` removes a tunnel's token; it raises Problem."""

    paths: Paths
    settings: Settle
    tool: Tool
    zones: Zones
    snapshot: Callable[[], Snapshot]
    forget: Callable[[TunnelSettings], None]


class NamedTunnels:
    """Makes the plans. Any thread."""

    def __init__(self, world: World) -> None:
        self._world = world

    def create(self, given: Mapping[str, str]) -> Plan:
        """Make a tunnel `name` in `zone`, lead `routes` (JSON) to it, and have it run."""
        name, zone = given["name"], given["zone"]
        routes = msgspec.json.decode(given["routes"], type=Routes)
        lead = [self._lead_step(zone, route.hostname) for route in routes]
        steps = [
            Step("zone", "Look at the domain", lambda c: self._look(c, zone, routes)),
            Step("make", f"Make “{name}” at Cloudflare", lambda c: self._make(c, zone, name)),
            *lead,
            Step("keep", "Start it", lambda c: self._keep(c, zone, name, routes)),
        ]
        return Plan(steps, undo=lambda c: self._undo(c, zone, routes))

    def routes(self, given: Mapping[str, str]) -> Plan:
        """Give the tunnel `routes`: lead the host names `new` to it, then no longer those of `old`
        (all JSON). The settings are changed between, so that what is not led is not listed."""
        zone, tunnel_id, name = given["zone"], given["tunnel_id"], given["name"]
        routes = msgspec.json.decode(given["routes"], type=Routes)
        new = msgspec.json.decode(given["new"], type=tuple[str, ...])
        old = msgspec.json.decode(given["old"], type=tuple[str, ...])

        def known(course: Course) -> str:
            said = self._in_zone(course, zone, new)
            course.memo["tunnel_id"] = tunnel_id  # from here on, something may have to be undone
            return said

        steps = [Step("zone", "Look at the domain", known)]
        steps += [self._lead_step(zone, host) for host in new]
        steps.append(Step("keep", "Change its routes", lambda _: self._reroute(name, routes)))
        if old:
            what = "Remove the DNS records no longer needed"
            steps.append(Step("old", what, lambda c: self._remove(c, zone, tunnel_id, old)))
        return Plan(steps, undo=lambda c: self._unlead(c, zone, tunnel_id, new))

    def delete(self, given: Mapping[str, str]) -> Plan:
        """Delete a tunnel: its run, what is at Cloudflare (unless `only_here`), what is here."""
        name, ident, zone = given["name"], given["tunnel_id"], given["zone"]
        steps = [Step("stop", "Stop it", lambda c: self._stop(c, name))]
        if given["kind"] == "named" and given["only_here"] != "yes":
            hosts = msgspec.json.decode(given["hosts"], type=tuple[str, ...])
            steps += [
                Step("connections", "End its connections", lambda c: self._end(c, zone, ident)),
                Step("delete", "Delete it at Cloudflare", lambda c: self._delete(c, zone, ident)),
                Step("records", "Delete its DNS records",
                     lambda c: self._remove(c, zone, ident, hosts)),
            ]  # fmt: skip
        steps.append(Step("files", "Forget it here", lambda _: self._forget(name)))
        return Plan(steps)

    # making

    def _look(self, course: Course, zone: str, routes: Sequence[RouteSettings]) -> str:
        return self._in_zone(course, zone, [route.hostname for route in routes])

    def _in_zone(self, course: Course, zone: str, hosts: Sequence[str]) -> str:
        """Whether the host names lie in the zone: outside of it, Cloudflare would make another
        name of each without a word (FACTS.md)."""
        name = self._world.zones.name_of(zone)
        course.check()
        if name is None:
            return "its name is not known; each host name is checked when it is led"
        for host in hosts:
            if host != name and not host.endswith(f".{name}"):
                raise Problem(_outside(host, name))
        return name

    def _make(self, course: Course, zone: str, name: str) -> str:
        paths = self._world.paths
        folder = paths.credentials("x").parent
        files.ensure_private_dir(folder)
        fresh = folder / f"new-{name}.json"
        ident = _made_before(fresh)
        if ident is None:
            fresh.unlink(missing_ok=True)
            certificate = self._world.zones.certificate(zone)
            said = self._run(course, tool.create_arguments(certificate, fresh, name))
            ident = tool.made(said, name)
        course.memo["tunnel_id"] = ident
        course.memo["account_id"] = self._world.zones.read(zone).account_id
        course.remember()
        fresh.chmod(0o600)
        fresh.replace(paths.credentials(ident))
        return ident

    def _lead_step(self, zone: str, host: str) -> Step:
        return Step(f"lead {host}", f"Lead {host} to it", lambda c: self._lead(c, zone, host))

    def _lead(self, course: Course, zone: str, host: str) -> str:
        ident = course.memo["tunnel_id"]
        led = self._route(course, zone, ident, host, overwrite=False)
        if led is None:
            if not course.ask(_conflict(host)):
                raise Cancelled
            led = self._route(course, zone, ident, host, overwrite=True)
        if led != host:
            raise Problem(self._trapped(zone, ident, host, led or ""))
        course.memo[f"led {host}"] = "yes"
        return "leads to it"

    def _route(
        self, course: Course, zone: str, ident: str, host: str, *, overwrite: bool
    ) -> str | None:
        certificate = self._world.zones.certificate(zone)
        asked = tool.route_arguments(certificate, ident, host, overwrite=overwrite)
        return tool.routed(self._run(course, asked))

    def _trapped(self, zone: str, ident: str, host: str, led: str) -> Reason:
        """Cloudflare made `host.zone` of it: take that back, and say so."""
        removed = False
        with contextlib.suppress(NotAllowed, Problem):
            api = self._world.zones.api(zone)
            for record in api.records(content=TARGET.format(ident)):
                if record.name == led:
                    api.delete_record(record)
                    removed = True
        meaning = f"Cloudflare led {led} to the tunnel instead"
        meaning += "; that was removed again." if removed else ", which is still there."
        cure = "Choose a host name of this zone, or sign in for the domain it belongs to."
        return _reason("host-outside", f"{host} does not belong to this zone.", cure, meaning)

    def _keep(self, course: Course, zone: str, name: str, routes: Routes) -> str:
        tunnel = TunnelSettings(
            name=name, kind="named", tunnel_id=course.memo["tunnel_id"],
            account_id=course.memo["account_id"], zone_id=zone, routes=routes,
        )  # fmt: skip
        tunnels = self._world.settings.read().settings.tunnels
        if all(one.name != name for one in tunnels):
            self._save((*tunnels, tunnel))
        return "it will run, now and after the next start"

    def _reroute(self, name: str, routes: Routes) -> str:
        tunnels = self._world.settings.read().settings.tunnels
        self._save([
            msgspec.structs.replace(one, routes=routes) if one.name == name else one
            for one in tunnels
        ])  # fmt: skip
        return "changed"

    def _unlead(self, course: Course, zone: str, ident: str, hosts: Sequence[str]) -> str:
        """The routes were not changed: take back the records that were led until then."""
        if "keep" in course.done:
            return "The routes are changed already."
        led = [host for host in hosts if course.memo.get(f"led {host}")]
        said = self._remove(course, zone, ident, led) if led else "Nothing was changed"
        return f"The routes are as before. DNS records: {said}."

    def _undo(self, course: Course, zone: str, routes: Routes) -> str:
        """Delete what was made until it was cancelled."""
        ident = course.memo.get("tunnel_id")
        if ident is None:
            return "Nothing was made."
        hosts = [r.hostname for r in routes if course.memo.get(f"led {r.hostname}")]
        self._end(course, zone, ident)
        self._delete(course, zone, ident)
        said = self._remove(course, zone, ident, hosts) if hosts else ""
        self._world.paths.credentials(ident).unlink(missing_ok=True)
        return f"What was made at Cloudflare is deleted again. {said}".strip()

    # deleting

    def _stop(self, course: Course, name: str) -> str:
        tunnels = self._world.settings.read().settings.tunnels
        if any(one.name == name and one.enabled for one in tunnels):
            self._save([
                msgspec.structs.replace(one, enabled=False) if one.name == name else one
                for one in tunnels
            ])  # fmt: skip
        end = time.monotonic() + STOP_SECONDS
        while time.monotonic() < end:
            course.check()
            service = self._world.snapshot().service(name)
            if service is None or service.state is ServiceState.STOPPED:
                return "stopped"
            course.cancelled.wait(0.1)
        raise Problem(_reason("tunnel-stops-not", "The tunnel does not stop.", "Try again."))

    def _end(self, course: Course, zone: str, ident: str) -> str:
        certificate = self._world.zones.certificate(zone)
        tool.cleaned(self._run(course, tool.cleanup_arguments(certificate, ident)))
        return "none is left"

    def _delete(self, course: Course, zone: str, ident: str) -> str:
        """cloudflared takes any answer for a yes (measured): only that it is gone is believed."""
        certificate = self._world.zones.certificate(zone)
        for _ in range(2):
            said = self._run(course, tool.delete_arguments(certificate, ident))
            if tool.gone(said) and said.code != 0:
                return "deleted"
        raise Problem(tool.still_there())

    def _remove(self, course: Course, zone: str, ident: str, hosts: Sequence[str]) -> str:
        """Delete DNS records that lead to this tunnel; of `hosts` only, and never another's."""
        try:
            api = self._world.zones.api(zone)
            found = [r for r in api.records(content=TARGET.format(ident)) if r.name in hosts]
            for record in found:
                course.check()
                api.delete_record(record)
        except NotAllowed:
            names = ", ".join(hosts)
            course.leave((
                "Open dash.cloudflare.com, choose the domain, then DNS > Records.",
                f"Delete the records {names}, which point to {TARGET.format(ident)}.",
            ))  # fmt: skip
            return "the certificate does not allow it; to be done by hand"
        return f"{len(found)} deleted" if found else "there were none"

    def _forget(self, name: str) -> str:
        world = self._world
        tunnels = world.settings.read().settings.tunnels
        tunnel = next((one for one in tunnels if one.name == name), None)
        if tunnel is not None:
            world.forget(tunnel)
            if tunnel.kind == "named" and tunnel.tunnel_id:
                world.paths.credentials(tunnel.tunnel_id).unlink(missing_ok=True)
            self._save([one for one in tunnels if one.name != name])
        return "forgotten"

    # for all

    def _run(self, course: Course, arguments: Sequence[str]) -> tool.Said:
        home = self._home()
        said = self._world.tool.run(arguments, home, course.cancelled)
        if said.code is None:  # what was answered is read, even if it is not wanted any more
            course.check()
        return said

    def _home(self) -> Path:
        home = self._world.paths.zones.parent
        files.ensure_private_dir(home)
        return home

    def _save(self, tunnels: Sequence[TunnelSettings]) -> None:
        self._world.settings.update({"tunnels": [msgspec.to_builtins(one) for one in tunnels]})


class _Credentials(msgspec.Struct):
    TunnelID: str


def _made_before(fresh: Path) -> str | None:
    """The tunnel that was made, and not noted any more, when the program was killed."""
    try:
        found = msgspec.json.decode(fresh.read_bytes(), type=_Credentials).TunnelID
    except (OSError, msgspec.DecodeError):
        return None
    return found if _UUID.fullmatch(found) else None


def _reason(code: str, what: str, cure: str, meaning: str = "") -> Reason:
    return Reason(code=code, hop=Hop.EDGE, what=what, meaning=meaning, cure=cure)


def _outside(host: str, zone: str) -> Reason:
    return _reason(
        "host-outside",
        f"{host} does not belong to {zone}.",
        f"Choose a host name such as {host.split('.')[0]}.{zone}, or sign in for its own domain.",
        f"Cloudflare would lead {host}.{zone} to the tunnel instead, without saying so.",
    )


def _conflict(host: str) -> Reason:
    return _reason(
        "record-there",
        f"There is a DNS record for {host} already, and it leads somewhere else.",
        f"Overwrite the record of {host}?",
        "Overwriting it ends what it leads to now.",
    )
