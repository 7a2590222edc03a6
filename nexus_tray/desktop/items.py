"""What a menu is made of, and what a click means: values, drawn by any back end.

Imports layer 1 and the pure parts of core. Immutable, so any thread may hold them.
"""

from dataclasses import dataclass

from nexus_tray.commands import AnyCommand, ShowWindow
from nexus_tray.core.moments import Span


@dataclass(frozen=True)
class Submit:
    """A click asks Backend for something."""

    command: AnyCommand


@dataclass(frozen=True)
class Browse:
    """A click asks Backend for a one-time link, and opens it in the browser."""

    command: AnyCommand


@dataclass(frozen=True)
class Copy:
    """A click puts this text on the clipboard."""

    text: str


@dataclass(frozen=True)
class PauseFor:
    """A click pauses remote access, for so long from the click on: a menu may be open long."""

    span: Span


Action = Submit | Browse | Copy | PauseFor


def dashboard(page: str = "/") -> Action:
    """What opens a page of the dashboard."""
    return Submit(ShowWindow(page=page))


@dataclass(frozen=True)
class Item:
    """One entry of the menu.

    `key` is who it is, unique in its menu and the same while it means the same: a click
    that was aimed at one entry must never hit another that took its place meanwhile.
    Without a label it is a line between groups. Without action and `items` it is text.
    `checked` is None where there is nothing to check; `default` is the left click's.
    """

    key: str
    label: str = ""
    action: Action | None = None
    items: tuple["Item", ...] = ()
    checked: bool | None = None
    default: bool = False

    @property
    def enabled(self) -> bool:
        """Whether it can be clicked or opened."""
        return self.action is not None or bool(self.items)


def default_action(items: tuple[Item, ...]) -> Action | None:
    """What a left click on the icon does."""
    return next((item.action for item in items if item.default), None)
