"""What the tray shows at one moment, and what an icon is to the tray.

Owns the seam between deciding (menu, icon) and drawing (the back ends `sni` and `stock`).
Imports layer 1 and its own room; values, so any thread may hold them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nexus_tray.desktop.icon import Picture, picture
from nexus_tray.desktop.items import Action, Item
from nexus_tray.desktop.menu import Around, menu, title
from nexus_tray.model import Snapshot

OnClick = Callable[[Action], None]
"""Told of each click, on the back end's thread: it must not block."""


@dataclass(frozen=True)
class View:
    """Everything that is drawn. Two equal views need no drawing between them."""

    picture: Picture
    title: str
    items: tuple[Item, ...]


def view(snapshot: Snapshot, around: Around, now: float) -> View:
    """The view of a Snapshot; `now` in epoch seconds."""
    return View(picture(snapshot), title(snapshot), menu(snapshot, around, now))


class Icon(Protocol):
    """A tray icon, whoever draws it. `run` is the thread's own; the rest is for any thread."""

    @property
    def seen(self) -> bool | None:
        """Whether a panel shows it; None where the system does not say."""

    def run(self) -> None:
        """Show it until `stop`, or until the desktop is gone. Call it on the main thread."""

    def show(self, view: View) -> None:
        """Draw this from now on. Returns at once, also before `run`."""

    def tell(self, title: str, text: str) -> None:
        """Show a notification, where there is something that shows them."""

    def stop(self) -> None:
        """Have `run` return. May be called before it, and again."""
