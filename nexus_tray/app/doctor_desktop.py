"""What the desktop offers: a panel for the icon, notifications. Asked over its message bus.

Owns these two looks; everything of a desktop is imported here and only when asked. The
calling thread makes, uses and closes a connection of its own.
"""

import sys
from collections.abc import Mapping

from nexus_tray.desktop.session import has_desktop, session_bus
from nexus_tray.finding import Finding, good, unknown, warning
from nexus_tray.model import Hop, Problem, Reason

PANEL = "org.kde.StatusNotifierWatcher"
NOTIFICATIONS = "org.freedesktop.Notifications"
HEADLESS = "not looked at: there is no desktop here"


def panel(environment: Mapping[str, str]) -> Finding:
    """Whether a panel shows tray icons."""
    if sys.platform in ("darwin", "win32"):
        return good("every desktop of this system has one")
    if not has_desktop(environment):
        return unknown(HEADLESS)
    from nexus_tray.desktop.choice import has_old_tray

    if PANEL in _names(session_bus(environment)):
        return good("a panel shows tray icons")
    if has_old_tray(environment.get("DISPLAY", "")):
        return good("a panel with an old tray is there")
    what = "No panel of this desktop shows tray icons."
    meaning = "The icon comes as soon as there is one; until then: nexus-tray status."
    cure = "On GNOME install the extension AppIndicator; elsewhere add a tray to the panel."
    return warning(_reason("no-panel", what, meaning, cure))


def notifications(environment: Mapping[str, str]) -> Finding:
    """Whether somebody shows notifications, or would be started to."""
    if sys.platform in ("darwin", "win32"):
        return good("every desktop of this system shows them")
    if not has_desktop(environment):
        return unknown(HEADLESS)
    if NOTIFICATIONS in _names(session_bus(environment)):
        return good("a service shows them")
    what = "No notification service is there."
    meaning = "Questions of OpenCode and troubles are seen in the tray and the dashboard only."
    cure = "Install one, such as notification-daemon or dunst."
    return warning(_reason("no-notifications", what, meaning, cure))


def _names(address: str) -> set[str]:
    """The names on the bus, and those that it would start. Raises Problem without a bus."""
    from jeepney import message_bus

    from nexus_tray.desktop.bus import Bus

    bus = Bus(address)
    try:
        (there,) = bus.ask(message_bus.ListNames())
        (startable,) = bus.ask(message_bus.ListActivatableNames())
    except LookupError as error:
        what = f"The desktop's message bus did not say who is there: {error}."
        raise Problem(_reason("bus", what, "", "")) from error
    finally:
        bus.close()
    return {*there, *startable}


def _reason(code: str, what: str, meaning: str, cure: str) -> Reason:
    return Reason(code=f"doctor-{code}", hop=Hop.DEVICE, what=what, meaning=meaning, cure=cure)
