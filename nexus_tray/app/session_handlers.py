"""OpenCode's sessions, begun, continued and stopped: what a front end asks for.

Runs on the caller's thread; `Conversations` is made for any thread.
"""

from collections.abc import Callable

from nexus_tray import commands
from nexus_tray.core.local_backend import Handler
from nexus_tray.model import Snapshot
from nexus_tray.services.conversations import Conversations


def conversations(snapshot: Callable[[], Snapshot]) -> Conversations:
    """About the sessions that the snapshot knows; OpenCode's own folder is the default one."""

    def default() -> str | None:
        service = snapshot().service("opencode")
        return service.facts.directory if service is not None else None

    return Conversations(lambda: snapshot().activity, default)


class SessionHandlers:
    """The commands, carried out; raises Problem."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations

    def table(self) -> dict[type[commands.AnyCommand], Handler]:
        """Which handler is whose."""
        return {
            commands.CreateSession: self._create,
            commands.PromptSession: self._prompt,
            commands.AbortSession: self._abort,
        }

    def _create(self, command: commands.CreateSession) -> str:
        return self._conversations.create(command.text, command.directory)

    def _prompt(self, command: commands.PromptSession) -> None:
        self._conversations.prompt(command.session_id, command.text)

    def _abort(self, command: commands.AbortSession) -> None:
        self._conversations.abort(command.session_id)
