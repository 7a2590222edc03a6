"""One service as an entry of the menu: its state in a line, and what can be done about it.

Pure; imports layer 1 and the pure parts of core; any thread.
"""

from collections.abc import Iterator

from nexus_tray.commands import RestartService, StartService, StopService
from nexus_tray.core.snapshot import ago
from nexus_tray.desktop.items import Copy, Item, Submit, dashboard
from nexus_tray.desktop.words import elided, lines
from nexus_tray.model import Desired, Service, ServiceKind, ServiceState

S = ServiceState

WORDS = {
    S.STOPPED: "stopped",
    S.STARTING: "starting",
    S.RUNNING: "running",
    S.DEGRADED: "does not answer as it should",
    S.STOPPING: "stopping",
    S.BACKOFF: "waits to try again",
    S.FAILED: "cannot run",
}
MINUTE = 60.0


def service_item(service: Service, now: float, *, can_copy: bool = False) -> Item:
    """The service with its submenu: why it is not well, then what can be done."""
    key = f"service {service.name}"
    label = f"{_name(service)}: {_state(service, now)}"
    deeds = [*_deeds(service, key)]
    address = service.facts.address if service.kind is ServiceKind.TUNNEL else None
    if can_copy and address and service.state is S.RUNNING:
        deeds.insert(-1, Item(f"{key} copy {address}", "Copy address", Copy(address)))
    return Item(key, label, items=(*_why(service, key), *deeds))


def _name(service: Service) -> str:
    names = {ServiceKind.OPENCODE: "OpenCode", ServiceKind.GATEWAY: "Gateway"}
    return names.get(service.kind, f"Tunnel {elided(service.name, 32)}")


def _state(service: Service, now: float) -> str:
    if service.state is S.RUNNING:
        since = now - service.since_at
        return f"running, {ago(since)}" if since >= MINUTE else "running"
    if service.state is S.BACKOFF and service.next_try_at is not None:
        return f"next try in {ago(max(0.0, service.next_try_at - now))}"
    if service.state is S.STOPPED and _is_held(service):
        return "off"
    return WORDS[service.state]


def _is_held(service: Service) -> bool:
    """Wished to run, but it may not now, and says why."""
    return service.desired is Desired.RUNNING and service.reason is not None


def _why(service: Service, key: str) -> Iterator[Item]:
    if service.reason is None:
        return
    told = [line for part in (service.reason.what, service.reason.cure) for line in lines(part)]
    for number, line in enumerate(told):
        yield Item(f"{key} why {number}", line)
    yield Item(f"{key} gap")


def _deeds(service: Service, key: str) -> Iterator[Item]:
    """What can be done. The gateway runs as long as the program does; it has no stop."""
    stopped = service.desired is Desired.STOPPED
    if stopped:
        yield Item(f"{key} start", "Start", Submit(StartService(name=service.name)))
    else:
        word = {S.BACKOFF: "Try now", S.FAILED: "Try again"}.get(service.state, "Restart")
        if service.state is not S.STOPPED:
            yield Item(f"{key} restart", word, Submit(RestartService(name=service.name)))
        if service.kind is not ServiceKind.GATEWAY:
            yield Item(f"{key} stop", "Stop", Submit(StopService(name=service.name)))
    page = f"/logs?source={service.name}"
    yield Item(f"{key} logs", "Logs", dashboard(page))
