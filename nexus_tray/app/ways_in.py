"""Who may come in from outside, put together: pause, devices, panic, pairing, tokens, sign-in.

Owns who is who among the handlers of the commands about access, and the report of it. Any thread
may call; each part says what it waits for.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import msgspec

from nexus_tray import commands
from nexus_tray.app import access
from nexus_tray.app.access_handlers import AccessHandlers, Ways
from nexus_tray.app.api_token_handlers import ApiTokenHandlers
from nexus_tray.app.door import Door, machine_name
from nexus_tray.app.handlers import Settle
from nexus_tray.app.idle import IdleWatch, Look, busy, is_open
from nexus_tray.app.network_door import NetworkKeeper
from nexus_tray.app.pairing_handlers import PairingHandlers
from nexus_tray.app.passkey_handlers import PasskeyHandlers
from nexus_tray.app.pause import PauseKeeper
from nexus_tray.app.second_factor_handlers import SecondFactorHandlers
from nexus_tray.app.step_up import StepUp
from nexus_tray.core.local_backend import Handler
from nexus_tray.core.snapshot import Pause
from nexus_tray.model import Snapshot
from nexus_tray.paths import Paths
from nexus_tray.reports import Access
from nexus_tray.store.secrets import SecretStore


@dataclass(frozen=True)
class Grounds:
    """What it stands on. `publish_pause` shows a pause, `void_dashboards` ends every page of
    the dashboard, `reapply` makes holds and specs true again; `wall` in seconds since the
    epoch, `monotonic` in seconds.
    """

    paths: Paths
    door: Door
    network: NetworkKeeper
    settings: Settle
    secrets: SecretStore
    snapshot: Callable[[], Snapshot]
    publish_pause: Callable[[Pause | None], None]
    void_dashboards: Callable[[], None]
    reapply: Callable[[], None]
    wall: Callable[[], float]
    monotonic: Callable[[], float] = time.monotonic


class WaysIn:
    """The commands about access and their report. `begin` and `close` once each."""

    def __init__(self, grounds: Grounds) -> None:
        door = self._door = grounds.door
        self._step_up = StepUp(door.accounts, door.audit, door.passwords, grounds.monotonic)
        self._reapply = grounds.reapply
        self._ending = ExitStack()
        self._pause = PauseKeeper(
            grounds.paths.pause_file,
            grounds.wall,
            grounds.network.with_pause(grounds.publish_pause),
            lambda: self._handlers.note_resumed("nexus-tray", "its time was over"),
        )
        self._ending.callback(self._pause.close)
        self._handlers = AccessHandlers(
            Ways(
                accounts=grounds.door.accounts,
                audit=grounds.door.audit,
                settings=grounds.settings,
                pause=self._pause,
                cut=grounds.network.with_cut(grounds.door.cut_tunnels),
                void_dashboards=grounds.void_dashboards,
            )
        )

        self._idle = IdleWatch(lambda: _look(grounds), self._handlers.close_unused)
        self._ending.callback(self._idle.close)
        self._pairing = PairingHandlers(
            self._step_up,
            door.accounts,
            lambda: door.vault().pairings,
            grounds.snapshot,
            lambda: _further_addresses(grounds),
        )

        self._factor = SecondFactorHandlers(
            self._step_up,
            lambda: door.vault().second_factor,
            grounds.secrets,
            machine_name(),
            grounds.wall,
            grounds.monotonic,
        )

    def table(self) -> dict[type[commands.AnyCommand], Handler]:
        """Which handler is whose."""
        return {
            **self._handlers.table(),
            **self._pairing.table(),
            **self._factor.table(),
            **PasskeyHandlers(self._door.accounts).table(),
            **ApiTokenHandlers(self._step_up, lambda: self._door.vault().tokens).table(),
            commands.SetPassword: self._set_password,
        }

    def report(self) -> Access:
        """See Backend.access."""
        report = access.read(self._door.vault())
        return msgspec.structs.replace(report, countries=self._door.countries())

    def begin(self) -> None:
        """A pause that was kept goes on; what nobody uses may close."""
        self._pause.start()
        self._idle.start()

    def _set_password(self, command: commands.SetPassword) -> None:
        shown = self._step_up.require_if_set(command.current)
        self._door.accounts().set_password(command.password, shown)
        self._reapply()

    def close(self) -> None:
        """End what waits for a moment."""
        self._ending.close()


def _look(grounds: Grounds) -> Look:
    minutes = grounds.settings.read().settings.access.idle_minutes
    if not minutes:  # the gateway need not be asked
        return Look(0, False, None, ())
    snapshot = grounds.snapshot()
    return Look(
        minutes,
        is_open(snapshot, network=grounds.network.is_open),
        busy(snapshot),
        grounds.door.visits(),
    )


def _further_addresses(grounds: Grounds) -> list[str]:
    """Host names that lead to OpenCode, of tunnels that run, and the local network's door."""
    running = {one.name for one in grounds.snapshot().services if one.facts.address}
    found = [
        f"https://{route.hostname}"
        for tunnel in grounds.settings.read().settings.tunnels
        for route in tunnel.routes
        if tunnel.name in running and route.hostname and not route.service
    ]
    url = grounds.network.report().url
    return [*found, url.rstrip("/")] if url else found
