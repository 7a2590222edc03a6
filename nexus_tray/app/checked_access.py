"""The access rules as a person sets them: checked before they are kept.

Owns the one rule that the settings' shape cannot say: an address is one. Imports the gateway's
reading of networks, the model and the settings. Any thread.
"""

from collections.abc import Mapping

from nexus_tray.app.folder import Store
from nexus_tray.gateway.limits.rules import read_network
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.settings import Configuration

LISTS = ("allow_addresses", "deny_addresses")


class CheckedAccess:
    """The settings' store, refusing addresses that are none."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self) -> Configuration:
        """See Backend.config."""
        return self._store.read()

    def update(self, change: Mapping[str, object], etag: str | None) -> Configuration:
        """See Backend.update_config."""
        access = change.get("access")
        if isinstance(access, Mapping):
            for name in LISTS:
                _check(name, access.get(name))
        return self._store.update(change, etag)


def _check(name: str, wished: object) -> None:
    for text in wished if isinstance(wished, list | tuple) else ():
        if not isinstance(text, str):
            continue  # the settings' shape says it
        try:
            read_network(text)
        except ValueError as error:
            raise Problem(
                Reason(
                    code="config-invalid",
                    hop=Hop.GATEWAY,
                    what=f"access.{name}: {error}.",
                    meaning="Nothing was changed.",
                    cure="Name an address or a network, such as 203.0.113.7 or 2001:db8::/32.",
                )
            ) from error
