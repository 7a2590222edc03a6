"""Settings by dotted keys, as `nexus-tray config` names them.

Owns the way from `tunnels.quick.enabled` to a value and back to a JSON merge patch. Pure;
works on the plain (builtin) form of the settings; whether a value is valid is decided by
the store alone. Imports layer 1 only.
"""

import json
from collections.abc import Iterator
from typing import Any

from nexus_tray.cli.console import failed

LISTED = "tunnels"
"""The one list whose entries have names; a key names an entry by its name."""


def leaves(tree: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every key with its value, in the order of the settings."""
    for key, value in _children(tree):
        path = f"{above}{key}"
        if isinstance(value, dict) or path == LISTED:
            yield from leaves(_named(value), f"{path}.")
        else:
            yield path, value


def find(tree: Any, key: str) -> Any:
    """The value or section at a dotted key. Raises Problem when there is none."""
    here = tree
    for part in key.split("."):
        children = dict(_children(_named(here)))
        if part not in children:
            raise failed(f"There is no setting “{key}”.", "See them all: nexus-tray config list")
        here = children[part]
    return here


def change(tree: Any, key: str, text: str) -> dict[str, Any]:
    """The merge patch that sets `key` to what `text` says. Raises Problem.

    Text settings take the text as it is; all others are JSON (`true`, `8080`, `["A"]`).
    """
    present = find(tree, key)
    value = text if isinstance(present, str) else _json(key, text)
    first, *rest = key.split(".")
    if first == LISTED and rest:
        # RFC 7396 replaces lists whole, so the others go back as they were.
        entries = [
            _with(entry, rest[1:], value) if entry["name"] == rest[0] else entry
            for entry in tree[LISTED]
        ]
        return {LISTED: entries}
    return _nested([first, *rest], value)


def plain(value: Any) -> str:
    """A value as `config get` prints it: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _with(entry: dict[str, Any], path: list[str], value: Any) -> Any:
    if not path:
        return value
    return {**entry, path[0]: value}


def _nested(path: list[str], value: Any) -> dict[str, Any]:
    for part in reversed(path):
        value = {part: value}
    return dict(value)


def _children(tree: Any) -> Iterator[tuple[str, Any]]:
    return iter(tree.items()) if isinstance(tree, dict) else iter(())


def _named(tree: Any) -> Any:
    """A list of named entries as a table by name; anything else as it is."""
    if isinstance(tree, list | tuple) and all(
        isinstance(entry, dict) and "name" in entry for entry in tree
    ):
        return {entry["name"]: entry for entry in tree}
    return tree


def _json(key: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise failed(
            f"“{text}” is no value for {key}.",
            'Write JSON: true or false, a number, or a list such as ["A", "B"].',
        ) from error
