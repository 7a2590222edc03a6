"""What may be loaded in the dashboard's window, and what belongs in the browser.

Owns that one rule (SECURITY.md 30): the window shows the dashboard's own origin and
nothing else, ever. Pure, imports nothing of ours; any thread.
"""

from enum import Enum
from urllib.parse import urlsplit

LONGEST = 8192
"""Characters of an address that is handed on; more is no address that a person follows."""


class Target(Enum):
    """Where an address leads."""

    INSIDE = "inside"
    BROWSER = "browser"
    NOWHERE = "nowhere"


def origin(link: str) -> str:
    """The scheme, host and port of a link to the dashboard. Raises ValueError."""
    parts = urlsplit(link)
    if parts.scheme != "http" or parts.hostname != "127.0.0.1" or not parts.port:
        raise ValueError("not a link to the dashboard")
    return f"http://127.0.0.1:{parts.port}"


def target(address: str, own: str) -> Target:
    """Where this address leads; `own` is the dashboard's origin.

    `address` is as the web view has resolved it. Only http and https go to the browser: any
    other scheme could start a program.
    """
    if address.startswith(own + "/"):
        return Target.INSIDE
    if len(address) > LONGEST or not all(" " < letter != "\x7f" for letter in address):
        return Target.NOWHERE
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return Target.NOWHERE
    return Target.BROWSER if parts.scheme in ("http", "https") and host else Target.NOWHERE
