"""The whole program: made, run, and ended in order.

Owns who is who; how it is run below the guard is `app.running`. The main thread waits, or is
the tray icon's; everything else has threads of its own.

The order of the end: no new commands, services (tunnels, gateway, OpenCode), the journal's
readers, local API, logs flushed, runtime files, lock. It is bounded: a second signal makes
the guard kill what is left.
"""

import contextlib
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from nexus_tray import __version__
from nexus_tray.api import pages
from nexus_tray.api.server import ApiServer
from nexus_tray.api.tickets import Tickets
from nexus_tray.app import around_us, log_handler, metrics, network_door, traffic
from nexus_tray.app import locked_secrets as locked
from nexus_tray.app.bundle import Bundler
from nexus_tray.app.bundle import Sources as BundleSources
from nexus_tray.app.checked_access import CheckedAccess
from nexus_tray.app.doctor import Doctor, Running, joined
from nexus_tray.app.doctor_account import Surroundings
from nexus_tray.app.door import Door, ui_folder
from nexus_tray.app.fleet import Fleet, Parts
from nexus_tray.app.folder import CheckedFolder
from nexus_tray.app.handlers import Handlers
from nexus_tray.app.notify import Notify, on_desktop
from nexus_tray.app.opencode_care import OpenCodeCare
from nexus_tray.app.repairs import Hands, Repairs
from nexus_tray.app.session_handlers import SessionHandlers, conversations
from nexus_tray.app.setup import Ground, SetupKeeper
from nexus_tray.app.token_handlers import TokenHandlers
from nexus_tray.app.traffic import Surface
from nexus_tray.app.tunnel_account import Around as AccountAround
from nexus_tray.app.tunnel_account import TunnelAccount
from nexus_tray.app.tunnel_origin import TunnelOrigin
from nexus_tray.app.tunnel_reports import Sources, TunnelReports
from nexus_tray.app.ways_in import Grounds, WaysIn
from nexus_tray.app.window_handlers import Around, WindowHandlers
from nexus_tray.commands import AnyCommand, Outcome
from nexus_tray.core.journal import Journal
from nexus_tray.core.local_backend import LocalBackend, Reports
from nexus_tray.core.supervisor import Clock, Supervisor
from nexus_tray.gateway.http import Upstream
from nexus_tray.model import Level, ServiceKind, Snapshot
from nexus_tray.paths import Paths
from nexus_tray.services.environment import LoginPath
from nexus_tray.store.config import ConfigStore
from nexus_tray.store.logs import LogStore
from nexus_tray.store.secrets import SecretStore
from nexus_tray.system import browser, instance, leftovers, runtime
from nexus_tray.system.autostart import AtLogin
from nexus_tray.system.open_pages import OpenPages

logger = logging.getLogger(__name__)

STOP_SECONDS = 14.0
"""Within which every service has ended; the whole end is promised within 15."""

MEGABYTE = 1024 * 1024


class Program:
    """Everything, put together. Made on the main thread; `close` may be called by any.

    Raises Problem when it cannot even begin: another instance, settings that cannot be
    read, folders that are not ours. `listener` is what `guard.listener` found: the socket
    that open pages know, and the name of the guard's life.
    """

    def __init__(
        self,
        paths: Paths,
        directory: Path,
        starter: AtLogin,
        listener: tuple[int, str] | None = None,
        *,
        desktop: bool = False,
    ) -> None:
        self._ending = contextlib.ExitStack()
        self._wanted_end = threading.Event()
        self._notify: Notify | None = None
        try:
            self._window = self._make_window(paths, desktop=desktop)
            self._build(paths, directory, starter, listener)
        except BaseException:
            self._ending.close()
            raise

    def _build(
        self, paths: Paths, directory: Path, starter: AtLogin, listener: tuple[int, str] | None
    ) -> None:
        held = instance.take(paths)
        self._ending.callback(held.release)
        settings = ConfigStore(paths)
        first = settings.load().settings
        logs = LogStore(paths.log_database, first.logs.max_megabytes * MEGABYTE)
        self._ending.callback(logs.close)
        self._ending.callback(log_handler.install(logs.append))
        mine = leftovers.own(os.environ)
        leftovers.sweep(paths, mine)
        journal = Journal(
            secrets.token_hex(8), time.time, on_note=log_handler.note_line(logs.append)
        )
        self.supervisor = Supervisor(
            journal, __version__, Clock(time.monotonic, time.time, secrets.SystemRandom().random)
        )
        keys = self._secrets = SecretStore(paths)
        self._locked = locked.kept(keys, self.supervisor, journal, lambda: self._reapply())
        self._ending.callback(self._locked.close)
        self._conversations = conversations(journal.latest)
        self._door = Door(
            paths, journal.latest, self._submit, keys.sign_in_secret, self._conversations.transcript
        )
        self._door.set_routes(first.tunnels)
        self._door.set_limits(first.access)
        self._ending.callback(self._door.close)
        self._network = network_door.kept(paths, settings, self._door)
        self._ending.callback(self._network.close)
        self._traffic = traffic.kept(
            paths.traffic_database,
            lambda text: logs.append(log_handler.SOURCE, Level.WARNING, text),
            self._door.read_meters,
            Surface(
                snapshot=journal.latest,
                publish=self.supervisor.observe_all,
                tunnels=lambda: [tunnel.name for tunnel in settings.read().settings.tunnels],
            ),
        )
        self._ending.callback(self._traffic.close)
        self._care = OpenCodeCare(
            paths, self.supervisor, journal.latest, lambda: settings.read().settings
        )
        self._ending.callback(self._care.close)
        login_path = LoginPath(os.environ)
        self._doctor = Doctor(
            Surroundings(
                paths=paths,
                environment=os.environ,
                settings=lambda: settings.read().settings,
                search_path=lambda: joined(login_path.get(), os.environ.get("PATH", "")),
                secrets=keys,
                starter=starter,
                left=lambda: leftovers.left(paths, mine.mark if mine else None),
                api_base=lambda: self._account.api_base,
            ),
            Running(
                snapshot=journal.latest,
                door=self._door.address,
                has_password=lambda: self._door.accounts().has_password(),
                drift=self._door.clock.drift,
                tunnels=lambda: self.backend.tunnels(),
            ),
        )
        self._fleet = Fleet(
            Parts(
                paths=paths,
                started_in=directory,
                login_path=login_path,
                secrets=keys,
                door=self._door,
                on_upstream=self._upstream_changed,
                on_visit=self.supervisor.set_visited,
                append=logs.append,
                restarts=lambda name: _restarts(journal.latest(), name),
                note=self.supervisor.note,
                held=self._locked.hold,
            )
        )
        addresses = self._fleet.addresses
        around = around_us.watched(addresses, self.supervisor, journal.latest, self._door)
        self._ending.callback(around.close)
        settings.listen(lambda now: self._door.set_routes(now.settings.tunnels))
        settings.listen(lambda now: self._door.set_limits(now.settings.access))
        settings.listen(lambda now: self.supervisor.adopt(self._fleet.entries(now.settings)))
        settings.listen(lambda _: self._setup.retry(ServiceKind.OPENCODE))
        settings.listen(lambda now: logs.set_bound(now.settings.logs.max_megabytes * MEGABYTE))
        self._reapply: Callable[[], None] = lambda: self.supervisor.adopt(
            self._fleet.entries(settings.read().settings)
        )
        handlers = Handlers(
            settings=settings,
            post=self.supervisor.post,
            accounts=self._door.accounts,
            answers=self._care.activity,
            secrets=keys,
            at_login=starter,
            door=self._door.address,
            dashboard=lambda page: self._api.invite(page),
            reapply=self._reapply,
            shut_down=self.ask_to_end,
        )
        self._ways_in = WaysIn(
            Grounds(
                paths=paths,
                door=self._door,
                network=self._network,
                settings=settings,
                secrets=keys,
                snapshot=journal.latest,
                publish_pause=self.supervisor.set_pause,
                void_dashboards=lambda: self.tickets.void_all(),
                reapply=lambda: self._reapply(),
                wall=time.time,
            )
        )
        self._ending.callback(self._ways_in.close)
        self._setup = SetupKeeper(
            Ground(
                file=paths.setup_file,
                tools=paths.tools,
                started_in=directory,
                settings=lambda: settings.read().settings,
                search_path=lambda: joined(login_path.get(), os.environ.get("PATH", "")),
                has_password=lambda: self._door.accounts().has_password(),
                snapshot=journal.latest,
                post=self.supervisor.post,
                reapply=self._reapply,
            )
        )
        self._ending.callback(self._setup.close)
        self._tokens = TokenHandlers(settings, keys, self.supervisor.post)
        self._account = TunnelAccount(
            AccountAround(
                paths=paths,
                settings=settings,
                program=lambda: self._fleet.cloudflared(settings.read().settings),
                tokens=self._tokens,
                snapshot=journal.latest,
                publish=self.supervisor.set_jobs,
            )
        )
        self._ending.callback(self._account.close)
        end_left = lambda: leftovers.sweep(paths, mine)  # noqa: E731
        table = {
            **handlers.table(),
            **self._tokens.table(),
            **self._window.table(),
            **self._ways_in.table(),
            **self._setup.table(),
            **SessionHandlers(self._conversations).table(),
            **Repairs(Hands(paths, self._submit, journal.latest, end_left)).table(),
            **self._account.table(),
        }
        reports = self._reports(paths, settings)
        kept = CheckedAccess(CheckedFolder(settings))
        self.backend = LocalBackend(journal, logs, kept, table, reports)
        token, scrape_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        remembered = OpenPages(paths, listener[1] if listener else None)
        self.tickets = Tickets(sessions=remembered.recall(), keep=remembered.keep, own=token)
        self._ending.callback(remembered.forget)
        self._api = ApiServer(
            self.backend,
            token,
            pages=pages.load(ui_folder("dashboard")),
            bound=socket.socket(fileno=listener[0]) if listener else None,
            tickets=self.tickets,
            scrape_token=scrape_token,
        )
        self._door.bar_ports(lambda: frozenset((urlsplit(self._api.url).port or 0,)))
        self._ending.callback(self._api.stop)
        self._ending.callback(journal.close)
        self._publish: Callable[[], None] = lambda: runtime.publish(
            paths, self._api.url, token, scrape_token
        )
        self._ending.callback(runtime.withdraw, paths)
        logs.append(log_handler.SOURCE, Level.INFO, f"Nexus Tray {__version__} starts.")

    def start(self) -> None:
        """Begin: services first, then the local API, so that the first answer is true."""
        self.supervisor.start()
        self._ways_in.begin()
        self._network.start()
        self._setup.begin()
        self._account.begin()
        self._locked.await_first()
        self._reapply()
        self._locked.begin()
        self._api.start()
        self._publish()
        self._window.come_back()

    def notify(self, environment: Mapping[str, str]) -> None:
        """Tell the desktop what matters, from now on; where there is a desktop."""
        self._notify = on_desktop(self.backend, self._newest_entry, environment)
        self._notify.start()

    def ask_to_end(self) -> None:
        """Have `wait` return. Any thread, a signal handler too."""
        self._wanted_end.set()

    def wait(self) -> None:
        """Until somebody asks for the end."""
        self._wanted_end.wait()

    def close(self) -> bool:
        """End everything in order; True if all services ended in time."""
        if self._notify is not None:
            self._notify.stop()
        in_time = self.supervisor.close(STOP_SECONDS)
        self._window.close()
        self._ending.close()
        if self._notify is not None:
            self._notify.join()
        return in_time

    def _make_window(self, paths: Paths, *, desktop: bool) -> WindowHandlers:
        around = Around(
            environment=os.environ,
            data=paths.data,
            desktop=desktop,
            invite=lambda page: self._api.invite(page),
            browse=lambda address: browser.open_address(address, os.environ),
        )
        return WindowHandlers(lambda: self.backend.config().settings.dashboard.open_in, around)

    def _newest_entry(self) -> int:
        """The number of the audit trail's newest row. Raises Problem."""
        rows = self._door.audit().newest(1)
        return rows[0].id if rows else 0

    def _reports(self, paths: Paths, settings: ConfigStore) -> Reports:
        return Reports(
            access=self._ways_in.report,
            audit=lambda query: self._door.audit().search(query),
            traffic=self._traffic.report,
            examine=self._doctor.examine,
            setup=self._setup.read,
            tunnels=self._tunnel_reports(paths, settings).read,
            inspect_token=self._tokens.inspect,
            importable=self._account.importable,
            bundle=self._bundler(paths, settings).read,
            transcript=self._conversations.transcript,
            measured=lambda: metrics.measured(
                time.time(), self._traffic.latest, self._fleet.counters()
            ),
        )

    def _bundler(self, paths: Paths, settings: ConfigStore) -> Bundler:
        return Bundler(
            BundleSources(
                paths=paths,
                environment=os.environ,
                settings=lambda: settings.read().settings,
                examine=self._doctor.examine,
                logs=lambda query: self.backend.logs(query),
                secrets=lambda: self._secrets.all().values(),
                snapshot=lambda: self.backend.snapshot(),
                setup=self._setup.read,
            )
        )

    def _tunnel_reports(self, paths: Paths, settings: ConfigStore) -> TunnelReports:
        origin = TunnelOrigin(paths, self._fleet, lambda: self.backend.snapshot())
        ingress = origin.watch(
            lambda: settings.read().settings.tunnels, self._account.api_of, self.supervisor.post
        )
        self._ending.callback(ingress.close)
        return TunnelReports(
            Sources(
                settings=lambda: settings.read().settings,
                origin=origin.origin,
                configuration=origin.configuration,
                routes=self._account.routes,
                certificates=self._fleet.addresses.certificates,
                by_hand=origin.by_hand,
                changes=self._fleet.addresses.changes,
                counters=lambda name: metrics.counted(name, self._fleet.counters().get(name)),
                reason=lambda tunnel: self._fleet.addresses.reason(tunnel.name),
                zones=self._account.zones,
                network=self._network.report,
            )
        )

    def _submit(self, command: AnyCommand) -> Outcome:
        return self.backend.submit(command)

    def _upstream_changed(self, upstream: Upstream | None) -> None:
        self._door.set_upstream(upstream)
        self._care.set_upstream(upstream)
        self._conversations.set_upstream(upstream)
        self._doctor.set_upstream(upstream)


def _restarts(snapshot: Snapshot, name: str) -> int:
    """How often that service was started again although nobody asked."""
    service = snapshot.service(name)
    return service.restarts if service is not None else 0
