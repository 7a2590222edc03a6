"""The clipboard, by the program that each desktop has for it.

Owns which program that is. A toolkit would cost the tray tens of megabytes for one line
of text. Imports layer 1; `copy` may be called from any thread and blocks for a moment.
"""

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that such a program may take."""

Copy = Callable[[str], bool]


def find(environment: Mapping[str, str]) -> Copy | None:
    """What puts a text on this desktop's clipboard and says whether it did; None: nothing.

    On X11 and Wayland these programs stay behind to serve the text; they end with us.
    """
    encoding = "utf-16-le" if sys.platform == "win32" else "utf-8"  # clip.exe wants the former
    for needs, argv in _candidates():
        program = shutil.which(argv[0], path=environment.get("PATH"))
        if program and (not needs or environment.get(needs)):
            return partial(_copy, (program, *argv[1:]), environment, encoding)
    return None


def _candidates() -> Sequence[tuple[str, Sequence[str]]]:
    """Programs, best first, each with the variable without which it cannot work."""
    if sys.platform == "darwin":
        return (("", ("pbcopy",)),)
    if sys.platform == "win32":
        return (("", ("clip",)),)
    return (
        ("WAYLAND_DISPLAY", ("wl-copy",)),
        ("DISPLAY", ("xclip", "-selection", "clipboard", "-in")),
        ("DISPLAY", ("xsel", "--clipboard", "--input")),
    )


def _copy(argv: Sequence[str], environment: Mapping[str, str], encoding: str, text: str) -> bool:
    try:
        subprocess.run(
            argv,
            input=text.encode(encoding),
            env=dict(environment),
            stdout=subprocess.DEVNULL,  # kept open by what stays behind
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("The clipboard could not be written: %s", error)
        return False
    return True
