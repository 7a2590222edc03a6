"""Services, the ways into the program's own pages, and the program itself."""

from enum import StrEnum

from nexus_tray.commands.base import Command


class StartService(Command, frozen=True):
    """Wish a service to run, now and after the next start."""

    name: str


class StopService(Command, frozen=True):
    """Wish a service to be stopped, now and after the next start."""

    name: str


class RestartService(Command, frozen=True):
    """End the service's process and start it again. Also leaves FAILED."""

    name: str


class OpenDoor(Command, frozen=True):
    """Make a one-time link into the gateway's local door. The outcome's value is the URL."""

    path: str = "/"


class OpenDashboard(Command, frozen=True):
    """Make a one-time link to the dashboard, at a page of it. The outcome's value is the URL."""

    page: str = "/"


class ShowWindow(Command, frozen=True):
    """Show the dashboard's window at a page, raised; the browser where there is no window."""

    page: str = "/"


class Autostart(StrEnum):
    """Whether the program starts by itself, read back from the system.

    SIGNED_IN: on, but the system will end it when the user signs out, and start it only
    when they sign in (systemd without lingering). STALE: on, but what would start is not
    this program: it was moved, or another copy was set up.
    """

    ON = "on"
    OFF = "off"
    SIGNED_IN = "on-signed-in"
    STALE = "stale"


class GetAutostart(Command, frozen=True):
    """Ask whether the program starts at login; the outcome's value is an `Autostart`."""


class SetAutostart(Command, frozen=True):
    """Start the program at login, or no longer; the outcome's value is the `Autostart` now."""

    enabled: bool


class Shutdown(Command, frozen=True):
    """End the program in order."""
