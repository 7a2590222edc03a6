"""Who shows notifications on this desktop: the seam, and the choice.

Owns what every notifier promises. On Linux we speak to the desktop's own service over
D-Bus, as the tray does; elsewhere a library knows the system. Imports its own room.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Protocol

from nexus_tray.desktop.notice_words import Button, Notice
from nexus_tray.desktop.session import session_bus

NAME = "Nexus Tray"

OnClick = Callable[[Notice, Button | None], None]
"""Told of a click on a notification's button, or (None) on the rest of it. Must be quick."""


class Notifier(Protocol):
    """Shows notifications. Any thread may call; nothing waits for the desktop."""

    def show(self, notice: Notice) -> None:
        """Show it, in the place of the one with the same key."""

    def withdraw(self, key: str) -> None:
        """Take it back; one that is not there is no error."""

    def close(self) -> None:
        """Take back what is shown, for nobody would hear the clicks; end the threads."""


def choose(environment: Mapping[str, str], on_click: OnClick) -> Notifier:
    """The notifier of this desktop. Raises Problem where there is none."""
    if sys.platform in ("darwin", "win32"):
        from nexus_tray.desktop.notifier_stock import StockNotifier

        return StockNotifier(on_click)
    from nexus_tray.desktop.notifier_bus import BusNotifier

    return BusNotifier(session_bus(environment), on_click)
