"""Which back end draws the icon on this desktop.

Owns the order: what panels speak today (StatusNotifierItem) first, then an old XEmbed tray
if one is there now; if neither is there, the first, which waits for a panel. Imports its
own room; python-xlib comes with pystray and is imported only to look for an old tray.
"""

import contextlib
import logging
import sys
from collections.abc import Mapping
from pathlib import Path

from nexus_tray.desktop.session import session_bus
from nexus_tray.desktop.view import Icon, OnClick

logger = logging.getLogger(__name__)


def choose(environment: Mapping[str, str], folder: Path, on_click: OnClick) -> Icon:
    """The icon for this desktop; `folder` holds the pictures. Raises Problem without a bus."""
    from nexus_tray.desktop.stock import StockIcon

    if sys.platform in ("darwin", "win32"):
        return StockIcon(folder, on_click)
    from nexus_tray.desktop.sni import SniIcon

    modern = SniIcon(session_bus(environment), environment, folder, on_click)
    if modern.has_panel() or not has_old_tray(environment.get("DISPLAY", "")):
        return modern
    try:
        old = StockIcon(folder, on_click)
    except Exception:
        # toolkits fail in ways of their own; then the icon waits for a panel of today
        logger.exception("The old tray of this desktop cannot be used.")
        return modern
    modern.close()
    return old


def has_old_tray(display: str) -> bool:
    """Whether an XEmbed tray is there (System Tray Protocol 0.4: who owns the selection)."""
    if not display:
        return False
    from Xlib.display import Display
    from Xlib.error import ConnectionClosedError, DisplayError

    try:
        with contextlib.closing(Display(display)) as connection:
            name = f"_NET_SYSTEM_TRAY_S{connection.get_default_screen()}"
            return bool(connection.get_selection_owner(connection.intern_atom(name)))
    except (DisplayError, ConnectionClosedError, OSError) as error:
        logger.debug("The X display cannot be asked for a tray: %s", error)
        return False
