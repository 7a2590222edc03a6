"""The root of all commands. Imports msgspec only."""

import msgspec


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """Something a front end asks for. Subclasses are told apart by their name in JSON."""
