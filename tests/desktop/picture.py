"""A menu as the text it looks like, for tests that read like the menu."""

from collections.abc import Iterator
from typing import Any

import msgspec

from nexus_tray.desktop.items import Item
from nexus_tray.model import Snapshot
from tests.api.doubles import first_snapshot


def drawn(items: tuple[Item, ...]) -> str:
    """One line an entry: (text), [x] check, * default, > submenu with its entries below."""
    return "\n".join(_lines(items, ""))


def find(items: tuple[Item, ...], *labels: str) -> Item:
    """The entry at these labels."""
    found = next(item for item in items if item.label == labels[0])
    return found if len(labels) == 1 else find(found.items, *labels[1:])


def everything(items: tuple[Item, ...]) -> Iterator[Item]:
    for item in items:
        yield item
        yield from everything(item.items)


def said(**changes: Any) -> Snapshot:
    """All is well, but for these changes."""
    return msgspec.structs.replace(first_snapshot(), **changes)


def _lines(items: tuple[Item, ...], indent: str) -> Iterator[str]:
    for item in items:
        yield (indent + _line(item)).rstrip()
        yield from _lines(item.items, indent + "    ")


def _line(item: Item) -> str:
    if not item.label:
        return "---"
    label = item.label if item.enabled else f"({item.label})"
    check = {None: "", True: "[x] ", False: "[ ] "}[item.checked]
    return f"{check}{label}{' *' if item.default else ''}{' >' if item.items else ''}"
