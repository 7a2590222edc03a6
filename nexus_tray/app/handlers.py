"""One handler per command: what the product does when a front end asks.

Owns the translation of commands into the parts' own calls. Runs on the caller's thread
(the local API's, the gateway site's); everything called here is made for any thread.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from nexus_tray import commands
from nexus_tray.core.driver import Input, Restart, Wish
from nexus_tray.core.links import session_link
from nexus_tray.core.local_backend import Handler
from nexus_tray.model import Desired, Hop, Problem, Reason
from nexus_tray.settings import Configuration, Settings

GATEWAY = "gateway"
OPENCODE = "opencode"


class Accounts(Protocol):
    """What the handlers need of sign-in."""

    def clear_password(self) -> None:
        """Remove it."""

    def new_ticket(self, path: str) -> str:
        """A one-time ticket for the local door."""


class Answers(Protocol):
    """What the handlers need of OpenCode's activity."""

    def answer_permission(self, question_id: str, reply: str) -> None:
        """Raises Problem when OpenCode does not take it."""

    def answer_question(self, question_id: str, answers: tuple[tuple[str, ...], ...]) -> None:
        """Raises Problem when OpenCode does not take it."""


class Secrets(Protocol):
    """What the handlers need of the secret store."""

    def set(self, name: str, secret: str) -> None:
        """Store under a checked name; raises Problem."""

    def delete(self, name: str) -> None:
        """Forget; raises Problem."""

    def unlock(self, passphrase: str) -> None:
        """Open the encrypted file; raises Problem."""


class AtLogin(Protocol):
    """What the handlers need of the start at login."""

    def state(self) -> commands.Autostart:
        """How it stands, read from the system; raises Problem."""

    def set(self, *, enabled: bool) -> commands.Autostart:
        """Switch it; raises Problem."""


class Settle(Protocol):
    """The settings' store."""

    def read(self) -> Configuration:
        """The settings in force."""

    def update(self, change: Mapping[str, object], etag: str | None = None) -> Configuration:
        """Merge and save."""


class Handlers:
    """The commands, carried out. `accounts` raises Problem while sign-in is not available;
    `post` reaches the supervisor; `reapply` makes holds and specs true again; `door` is the
    local door's address, or None while the gateway is down; `dashboard` makes a one-time
    link to a page of the dashboard."""

    def __init__(
        self,
        *,
        settings: Settle,
        post: Callable[[str, Input], None],
        accounts: Callable[[], Accounts],
        answers: Answers,
        secrets: Secrets,
        at_login: AtLogin,
        door: Callable[[], str | None],
        dashboard: Callable[[str], str],
        reapply: Callable[[], None],
        shut_down: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._post = post
        self._accounts = accounts
        self._answers = answers
        self._secrets = secrets
        self._at_login = at_login
        self._door = door
        self._dashboard = dashboard
        self._reapply = reapply
        self._shut_down = shut_down

    def table(self) -> dict[type[commands.AnyCommand], Handler]:
        """Which handler is whose."""
        return {
            commands.StartService: self._start,
            commands.StopService: self._stop,
            commands.RestartService: self._restart,
            commands.AnswerPermission: self._answer_permission,
            commands.AnswerQuestion: self._answer_question,
            commands.ClearPassword: self._clear_password,
            commands.OpenDoor: self._open_door,
            commands.OpenDashboard: lambda command: self._dashboard(command.page),
            commands.SetSecret: self._set_secret,
            commands.DeleteSecret: self._delete_secret,
            commands.UnlockSecrets: self._unlock_secrets,
            commands.GetAutostart: lambda _: self._at_login.state(),
            commands.SetAutostart: lambda command: self._at_login.set(enabled=command.enabled),
            commands.Shutdown: self._shutdown,
        }

    def _start(self, command: commands.StartService) -> None:
        self._wish(command.name, enabled=True)
        self._reapply()  # what was refused before (a missing program) may be there now
        self._post(command.name, Wish(Desired.RUNNING))

    def _stop(self, command: commands.StopService) -> None:
        self._wish(command.name, enabled=False)

    def _restart(self, command: commands.RestartService) -> None:
        if command.name not in names(self._settings.read().settings):
            raise Problem(_no_such(command.name))
        self._reapply()
        self._post(command.name, Restart())

    def _wish(self, name: str, *, enabled: bool) -> None:
        """The wish is a setting, so it survives restarts; the listener makes it true."""
        change = wish(self._settings.read().settings, name, enabled=enabled)
        if change:
            self._settings.update(change)

    def _answer_permission(self, command: commands.AnswerPermission) -> None:
        self._answers.answer_permission(command.question_id, command.reply)

    def _answer_question(self, command: commands.AnswerQuestion) -> None:
        self._answers.answer_question(command.question_id, command.answers)

    def _clear_password(self, _: commands.ClearPassword) -> None:
        self._accounts().clear_password()
        self._reapply()

    def _open_door(self, command: commands.OpenDoor) -> str:
        address = self._door()
        if address is None:
            raise Problem(DOOR_CLOSED)
        path = command.path
        if path == "/":  # no place named: the default folder's
            path = front_path(self._settings.read().settings)
        return f"{address}/_nexus/enter?ticket={self._accounts().new_ticket(path)}"

    def _set_secret(self, command: commands.SetSecret) -> str:
        self._secrets.set(command.name, command.secret)
        return AT_NEXT_START

    def _delete_secret(self, command: commands.DeleteSecret) -> str:
        self._secrets.delete(command.name)
        return AT_NEXT_START

    def _unlock_secrets(self, command: commands.UnlockSecrets) -> str:
        self._secrets.unlock(command.passphrase)
        return AT_NEXT_START

    def _shutdown(self, _: commands.Shutdown) -> None:
        self._shut_down()


def names(settings: Settings) -> tuple[str, ...]:
    """Every service of these settings."""
    return (OPENCODE, GATEWAY, *(tunnel.name for tunnel in settings.tunnels))


def front_path(settings: Settings) -> str:
    """Where OpenCode opens when no place is named: the default folder, if one is set."""
    folder = settings.opencode.directory
    return session_link(str(Path(folder).expanduser())) if folder else "/"


def wish(settings: Settings, name: str, *, enabled: bool) -> dict[str, Any]:
    """The change of settings that makes a wish; empty when it is wished already.

    Raises Problem for a name that is no service, and for stopping the gateway alone.
    """
    if name == OPENCODE:
        same = settings.opencode.enabled == enabled
        return {} if same else {"opencode": {"enabled": enabled}}
    if name == GATEWAY:
        if not enabled:
            raise Problem(GATEWAY_STAYS)
        return {}
    tunnel = next((t for t in settings.tunnels if t.name == name), None)
    if tunnel is None:
        raise Problem(_no_such(name))
    if tunnel.enabled == enabled:
        return {}
    tunnels = [msgspec.to_builtins(t) for t in settings.tunnels]
    for found in tunnels:
        if found["name"] == name:
            found["enabled"] = enabled
    return {"tunnels": tunnels}  # RFC 7396 replaces arrays whole


AT_NEXT_START = "OpenCode sees it from its next start on: nexus-tray restart opencode"
"""Not at once: a restart would cut off what the agent is doing."""

DOOR_CLOSED = Reason(
    code="local-door-closed",
    hop=Hop.GATEWAY,
    what="The local door is closed: the gateway is not running.",
    meaning="OpenCode is reachable only through it.",
    cure="See `nexus-tray status` for why, then `nexus-tray restart gateway`.",
)

GATEWAY_STAYS = Reason(
    code="gateway-stays",
    hop=Hop.GATEWAY,
    what="The gateway runs as long as the program does.",
    meaning="It is the only door; stopping the tunnels closes the way from outside.",
    cure="Stop the tunnels instead, or restart the gateway.",
)


def _no_such(name: str) -> Reason:
    return Reason(
        code="no-such-service",
        hop=Hop.GATEWAY,
        what=f"There is no service named “{name}”.",
        cure="`nexus-tray status` lists them.",
    )
