"""Foreign and long text, made fit for a menu.

Owns how wide an entry may get. Pure; imports layer 1 only; any thread.
"""

import textwrap

from nexus_tray.inert import inert

WIDTH = 60
"""Characters: wider entries make a menu that covers half of a small screen."""


def elided(text: str, width: int = WIDTH) -> str:
    """`text` inert, on one line, at most `width` characters, its cut marked by an ellipsis."""
    flat = inert(" ".join(text.split()))
    return flat if len(flat) <= width else flat[: width - 1].rstrip() + "…"


def lines(text: str, width: int = WIDTH) -> list[str]:
    """`text` inert and whole, wrapped into lines; none for no text."""
    return [
        part
        for line in text.splitlines()
        for part in textwrap.wrap(inert(line), width, break_on_hyphens=False)
    ]
