"""What is told where the program cannot even start: at login nobody reads standard error.

Owns one notification that stays when we are gone. On Linux only, over the session bus; elsewhere
the system shows what a program that ends has written. Imports layer 1 and its room; the calling
thread, for two seconds at most.
"""

import contextlib
import html
import sys
from collections.abc import Mapping
from typing import Any

from nexus_tray.desktop.session import session_bus
from nexus_tray.desktop.words import elided
from nexus_tray.model import Reason

SERVICE = "org.freedesktop.Notifications"
PATH = "/org/freedesktop/Notifications"
TITLE = "Nexus Tray did not start"
LIMIT = 2.0
"""Seconds for the desktop to take it."""
_MOST_TEXT = 300


def tell(reason: Reason, environment: Mapping[str, str]) -> bool:
    """Show why; whether the desktop took it. Never raises: the reason stands on standard error."""
    address = session_bus(environment)
    if sys.platform in ("darwin", "win32") or not address:
        return False
    from jeepney import DBusAddress, MessageType, new_method_call
    from jeepney.io.blocking import open_dbus_connection

    text = "\n".join(elided(part, _MOST_TEXT) for part in (reason.what, reason.cure) if part)
    hints = {"desktop-entry": ("s", "nexus-tray"), "urgency": ("y", 2)}
    # Markup is the default where nothing else is known, so nothing of ours may look like it.
    said = (TITLE, html.escape(text, quote=False))
    body: tuple[Any, ...] = (
        "Nexus Tray",
        0,
        "nexus-tray",
        *said,
        [],
        hints,
        0,
    )  # 0: it stays until it is read
    message = new_method_call(DBusAddress(PATH, SERVICE, SERVICE), "Notify", "susssasa{sv}i", body)
    with (
        contextlib.suppress(OSError, LookupError, ValueError, TimeoutError),
        open_dbus_connection(address) as bus,
    ):
        answer = bus.send_and_get_reply(message, timeout=LIMIT)
        return bool(answer.header.message_type is MessageType.method_return)
    return False
