"""The in-process form of Backend: journal and logs to read, handlers to act.

Holds no state of its own. The composition root gives it one handler per command; what a
handler raises as `Problem` becomes a refused Outcome. Any thread may call any method.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from nexus_tray.commands import AnyCommand, Outcome
from nexus_tray.core.journal import Journal
from nexus_tray.model import Batch, Cursor, Hop, LogPage, LogQuery, Problem, Reason, Snapshot
from nexus_tray.reports import (
    Access,
    AuditPage,
    AuditQuery,
    Bundle,
    Examination,
    Importable,
    Measured,
    Setup,
    TokenFacts,
    Traffic,
    TrafficQuery,
    Transcript,
    Tunnels,
)
from nexus_tray.settings import Configuration

Handler = Callable[[Any], str | None]
"""Carries out one command; its answer becomes the Outcome's value. Raises Problem."""


class LogReader(Protocol):
    """What the backend needs of the log store."""

    def query(self, query: LogQuery, timeout: float = 0.0) -> LogPage:
        """See Backend.logs."""


class SettingsStore(Protocol):
    """What the backend needs of the settings' store."""

    def read(self) -> Configuration:
        """See Backend.config."""

    def update(self, change: Mapping[str, object], etag: str | None) -> Configuration:
        """See Backend.update_config."""


@dataclass(frozen=True)
class Reports:
    """What answers for each report; see Backend."""

    access: Callable[[], Access]
    audit: Callable[[AuditQuery], AuditPage]
    traffic: Callable[[TrafficQuery], Traffic]
    examine: Callable[[], Examination]
    setup: Callable[[], Setup]
    tunnels: Callable[[], Tunnels]
    inspect_token: Callable[[str], TokenFacts]
    importable: Callable[[], tuple[Importable, ...]]
    bundle: Callable[[], Bundle]
    measured: Callable[[], Measured]
    transcript: Callable[[str], Transcript]


class LocalBackend:
    """Backend without a wire."""

    def __init__(
        self,
        journal: Journal,
        logs: LogReader,
        settings: SettingsStore,
        handlers: Mapping[type[AnyCommand], Handler],
        reports: Reports,
    ) -> None:
        self._journal = journal
        self._logs = logs
        self._settings = settings
        self._handlers = handlers
        self._reports = reports

    def snapshot(self) -> Snapshot:
        """See Backend."""
        return self._journal.latest()

    def events(self, since: Cursor | None, timeout: float) -> Batch:
        """See Backend."""
        return self._journal.since(since, timeout)

    def logs(self, query: LogQuery, timeout: float = 0.0) -> LogPage:
        """See Backend."""
        return self._logs.query(query, timeout)

    def submit(self, command: AnyCommand) -> Outcome:
        """See Backend."""
        handler = self._handlers.get(type(command))
        if handler is None:
            return Outcome(ok=False, reason=_unknown(type(command).__name__))
        try:
            return Outcome(ok=True, value=handler(command) or "")
        except Problem as problem:
            return Outcome(ok=False, reason=problem.reason)

    def config(self) -> Configuration:
        """See Backend."""
        return self._settings.read()

    def update_config(self, change: Mapping[str, object], etag: str | None) -> Configuration:
        """See Backend."""
        return self._settings.update(change, etag)

    def access(self) -> Access:
        """See Backend."""
        return self._reports.access()

    def audit(self, query: AuditQuery) -> AuditPage:
        """See Backend."""
        return self._reports.audit(query)

    def traffic(self, query: TrafficQuery) -> Traffic:
        """See Backend."""
        return self._reports.traffic(query)

    def measured(self) -> Measured:
        """See Backend."""
        return self._reports.measured()

    def examine(self) -> Examination:
        """See Backend."""
        return self._reports.examine()

    def setup(self) -> Setup:
        """See Backend."""
        return self._reports.setup()

    def tunnels(self) -> Tunnels:
        """See Backend."""
        return self._reports.tunnels()

    def inspect_token(self, text: str) -> TokenFacts:
        """See Backend."""
        return self._reports.inspect_token(text)

    def importable(self) -> tuple[Importable, ...]:
        """See Backend."""
        return self._reports.importable()

    def transcript(self, session_id: str) -> Transcript:
        """See Backend."""
        return self._reports.transcript(session_id)

    def bundle(self) -> Bundle:
        """See Backend."""
        return self._reports.bundle()


def _unknown(name: str) -> Reason:
    return Reason(
        code="command-unknown",
        hop=Hop.GATEWAY,
        what=f"This program does not know the command {name}.",
        cure="Use the same version of the program on both sides.",
    )
