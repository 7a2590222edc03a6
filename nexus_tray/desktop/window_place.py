"""Where the dashboard's window stands, and how that is remembered.

Owns the file of the window (`window.json`) and the one decision about places: what was
remembered is taken only as far as a screen of today shows it. Pure but for reading and
writing that file. Imports layer 1 and `store.files`; the window's own process calls it.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from nexus_tray.model import Problem
from nexus_tray.store.files import ensure_private_dir, read_private, write_atomic

logger = logging.getLogger(__name__)

LIMIT = 4096
"""Bytes that the file may have; what we write has about 150."""

LEAST_WIDTH, LEAST_HEIGHT = 360, 320
"""Pixels below which the window cannot be made: the pages are made for 360 and more."""

HANDLE = 48
"""Pixels of the window's upper edge that must be on a screen, for it to be moved by hand."""

Pixel = Annotated[int, msgspec.Meta(ge=-100_000, le=100_000)]
Extent = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class Screen(msgspec.Struct, frozen=True):
    """The part of one screen that windows may use, in the desktop's pixels."""

    x: int
    y: int
    width: int
    height: int


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is remembered of the window.

    `x` and `y` are None where the system does not say (Wayland) or nothing is known yet:
    then it chooses. `open_under` is the mark of the guard under which the window is open,
    for a program that comes back after a crash; empty: it was closed.
    """

    x: Pixel | None = None
    y: Pixel | None = None
    width: Extent = 1100
    height: Extent = 780
    maximized: bool = False
    zoom: Annotated[float, msgspec.Meta(ge=0.25, le=5.0)] = 1.0
    open_under: str = ""


def fitted(place: Place, screens: Sequence[Screen]) -> Place:
    """The place as it can be seen on these screens: never larger, never out of reach.

    A window whose upper edge no screen shows any more (a screen is gone) loses its
    position, so that it comes where the system puts new ones.
    """
    if not screens:
        return place
    home = next((screen for screen in screens if _reaches(place, screen)), None)
    bounds = home or screens[0]
    width = max(LEAST_WIDTH, min(place.width, bounds.width))
    height = max(LEAST_HEIGHT, min(place.height, bounds.height))
    x, y = (place.x, place.y) if home else (None, None)
    return msgspec.structs.replace(place, x=x, y=y, width=width, height=height)


def _reaches(place: Place, screen: Screen) -> bool:
    """Whether enough of the upper edge is on this screen to take hold of it."""
    if place.x is None or place.y is None:
        return False
    seen = min(place.x + place.width, screen.x + screen.width) - max(place.x, screen.x)
    return seen >= HANDLE and screen.y <= place.y <= screen.y + screen.height - HANDLE


def read(path: Path) -> Place:
    """What is remembered; what cannot be read is as if nothing were, and is said in the log."""
    try:
        return msgspec.json.decode(read_private(path, LIMIT), type=Place)
    except FileNotFoundError:
        return Place()
    except (msgspec.MsgspecError, UnicodeDecodeError, Problem) as error:
        logger.warning("The window's place is not known: %s", error)
        return Place()


def write(path: Path, place: Place) -> None:
    """Remember it, privately and whole. A failure costs only the place, and is said."""
    try:
        ensure_private_dir(path.parent)
        write_atomic(path, msgspec.json.encode(place))
    except Problem as problem:
        logger.warning("%s", problem.reason)
