"""Whether the icon stands on a light or a dark panel.

No protocol says what colour a panel has. GNOME's is dark in either style; elsewhere the
panel follows the desktop's colour scheme, which the settings portal tells and keeps
telling (XDG Desktop Portal, org.freedesktop.portal.Settings, "color-scheme"). Pure
functions over messages; jeepney is imported when they are made.
"""

from collections.abc import Mapping
from typing import Any

from nexus_tray.desktop.icon import Panel

PORTAL, PLACE = "org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop"
SETTINGS = "org.freedesktop.portal.Settings"
NAMESPACE, KEY = "org.freedesktop.appearance", "color-scheme"
PREFER_DARK = 1
ALWAYS_DARK = ("gnome", "ubuntu", "unity", "pantheon", "budgie")


def is_always_dark(environment: Mapping[str, str]) -> bool:
    """Whether this desktop's panel is dark whatever the colour scheme is."""
    names = environment.get("XDG_CURRENT_DESKTOP", "").lower().split(":")
    return any(name in ALWAYS_DARK for name in names)


def panel_for(scheme: object) -> Panel:
    """The panel that goes with a colour scheme, which may come wrapped in variants."""
    while isinstance(scheme, tuple) and len(scheme) == 2:
        scheme = scheme[1]
    return Panel.DARK if scheme == PREFER_DARK else Panel.LIGHT


def question() -> Any:
    """The call that asks for the scheme; it does not start a portal that does not run."""
    from jeepney import DBusAddress, MessageFlag, new_method_call

    address = DBusAddress(PLACE, PORTAL, SETTINGS)
    message = new_method_call(address, "Read", "ss", (NAMESPACE, KEY))
    message.header.flags |= MessageFlag.no_auto_start
    return message


def changed(body: tuple[Any, ...]) -> Panel | None:
    """The panel after a SettingChanged signal; None: it was about something else."""
    if len(body) == 3 and tuple(body[:2]) == (NAMESPACE, KEY):
        return panel_for(body[2])
    return None
