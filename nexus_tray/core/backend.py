"""What every front end holds, and its in-process form.

Owns the `Backend` protocol and `LocalBackend`. The other form, over HTTP, is
`api.client`; one contract suite (tests/contract/test_backend.py) runs over both. All
methods may be called from any thread.
"""

from collections.abc import Mapping
from typing import Protocol

from nexus_tray.commands import AnyCommand, Outcome
from nexus_tray.model import Batch, Cursor, LogPage, LogQuery, Snapshot
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


class Backend(Protocol):
    """The whole product as a front end sees it: draw a Snapshot, submit a Command."""

    def snapshot(self) -> Snapshot:
        """The truth now."""

    def events(self, since: Cursor | None, timeout: float) -> Batch:
        """Journal entries after `since`, waiting up to `timeout` seconds for the first.

        None, another boot or a cursor too far behind: one RESET event with the Snapshot.
        """

    def logs(self, query: LogQuery, timeout: float = 0.0) -> LogPage:
        """Stored log lines; with `after` and a timeout, waits for the first new one.

        Raises Problem when the query cannot be understood (a bad regular expression).
        """

    def submit(self, command: AnyCommand) -> Outcome:
        """Carry out a command; returns when it is accepted or refused, within seconds."""

    def config(self) -> Configuration:
        """The settings and their etag."""

    def update_config(self, change: Mapping[str, object], etag: str | None) -> Configuration:
        """Merge `change` (JSON merge patch, RFC 7396) into the settings and save them.

        With `etag`, only if it is still the present one. Raises Problem when it is not
        ("config-changed") or when the result is not valid ("config-invalid"); then
        nothing is changed.
        """

    def access(self) -> Access:
        """Who can come in and who did. Raises Problem when that cannot be read."""

    def audit(self, query: AuditQuery) -> AuditPage:
        """What happened at the doors. Raises Problem: no such event, or it cannot be read."""

    def traffic(self, query: TrafficQuery) -> Traffic:
        """What passed through the gateway."""

    def measured(self) -> Measured:
        """Every counter there is, as it stands."""

    def examine(self) -> Examination:
        """Look at everything that can be looked at; takes seconds."""

    def setup(self) -> Setup:
        """How far the first start has come. Raises Problem when that cannot be read."""

    def tunnels(self) -> Tunnels:
        """What there is to know of the tunnels; may ask Cloudflare, and takes seconds then."""

    def inspect_token(self, text: str) -> TokenFacts:
        """What a token, or the line for installing it, says. Raises Problem if it is none."""

    def importable(self) -> tuple[Importable, ...]:
        """What an existing cloudflared of this user left that can be taken over."""

    def transcript(self, session_id: str) -> Transcript:
        """A session of OpenCode's with its newest messages; asks OpenCode. Raises Problem."""

    def bundle(self) -> Bundle:
        """What a support bundle holds now; takes seconds."""
