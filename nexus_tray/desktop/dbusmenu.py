"""The menu as com.canonical.dbusmenu shows it: nodes with numbers, and what changed.

Owns the numbers. An entry keeps its number as long as its key is in the menu, and no
number is given twice: a click that comes late finds its own entry, or none. Pure: values
in, D-Bus bodies out; used by `sni` on its thread only.

Source: the interface's description in libdbusmenu (com.canonical.dbusmenu, version 3).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from nexus_tray.desktop.items import Action, Item

ROOT = 0

Variant = tuple[str, Any]
Properties = dict[str, Variant]
Layout = tuple[int, Properties, list[tuple[str, Any]]]
"""What GetLayout answers for one node: number, properties, and its entries as variants."""


@dataclass
class Node:
    """One entry as hosts see it."""

    properties: Properties
    children: list[int] = field(default_factory=list)
    action: Action | None = None

    @property
    def shape(self) -> tuple[Any, ...]:
        """What, when it changes, makes the layout a new one."""
        kinds = ("type", "toggle-type", "children-display")
        return (tuple(self.children), *(self.properties.get(kind) for kind in kinds))


class Tree:
    """The menu as it stands. `revision` grows with each new layout."""

    def __init__(self) -> None:
        self.revision = 1
        self._numbers: dict[str, int] = {}
        self._given = ROOT
        self._nodes: dict[int, Node] = {ROOT: _root([])}

    def show(self, items: Sequence[Item]) -> "Change":
        """Replace the menu; what hosts have to be told."""
        before = self._nodes
        numbers: dict[str, int] = {}
        nodes: dict[int, Node] = {}
        nodes[ROOT] = _root(self._add(items, numbers, nodes))
        self._numbers, self._nodes = numbers, nodes
        if {n: node.shape for n, node in before.items()} != {
            n: node.shape for n, node in nodes.items()
        }:
            self.revision += 1
            return Change(layout=True)
        changed = tuple(
            (number, _newer(node.properties, before[number].properties))
            for number, node in nodes.items()
            if node.properties != before[number].properties
        )
        return Change(properties=changed)

    def layout(self, number: int, depth: int) -> Layout:
        """A node with its entries, `depth` levels of them (-1: all). Raises KeyError."""
        node = self._nodes[number]
        below = [] if depth == 0 else node.children
        return (
            number,
            node.properties,
            [("(ia{sv}av)", self.layout(child, depth - 1)) for child in below],
        )

    def group(self, numbers: Iterable[int]) -> list[tuple[int, Properties]]:
        """The properties of these nodes; of all, when none is named."""
        wanted = list(numbers) or list(self._nodes)
        return [(n, self._nodes[n].properties) for n in wanted if n in self._nodes]

    def property(self, number: int, name: str) -> Variant:
        """One property of a node. Raises KeyError."""
        return self._nodes[number].properties[name]

    def action(self, number: int) -> Action | None:
        """What a click on this node does: nothing, if it is gone or is text."""
        node = self._nodes.get(number)
        return node.action if node else None

    def _add(
        self, items: Sequence[Item], numbers: dict[str, int], nodes: dict[int, Node]
    ) -> list[int]:
        added = []
        for item in items:
            number = self._numbers.get(item.key)
            if number is None:
                self._given += 1
                number = self._given
            numbers[item.key] = number
            nodes[number] = Node(
                _properties(item), self._add(item.items, numbers, nodes), item.action
            )
            added.append(number)
        return added


@dataclass(frozen=True)
class Change:
    """A new layout, or new properties of some nodes, or neither."""

    layout: bool = False
    properties: tuple[tuple[int, Properties], ...] = ()


def _root(children: list[int]) -> Node:
    return Node({"children-display": ("s", "submenu")}, children)


def _properties(item: Item) -> Properties:
    """All of them, always: hosts keep what a later answer leaves out."""
    if not item.label:
        return {"type": ("s", "separator"), "visible": ("b", True)}
    shown: Properties = {
        # an underscore would mark the next letter as the entry's shortcut
        "label": ("s", item.label.replace("_", "__")),
        "enabled": ("b", item.enabled),
        "visible": ("b", True),
    }
    if item.checked is not None:
        shown["toggle-type"] = ("s", "checkmark")
        shown["toggle-state"] = ("i", int(item.checked))
    if item.items:
        shown["children-display"] = ("s", "submenu")
    return shown


def _newer(now: Properties, before: Properties) -> Properties:
    return {name: value for name, value in now.items() if before.get(name) != value}
