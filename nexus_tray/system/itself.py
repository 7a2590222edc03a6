"""How this program starts another process of itself: its guard's child, its window, an opener.

Owns the command lines, and the roles that a process can have besides that of a command. Imports
the standard library only, for the guard, which must stay small, needs it. Pure.

Run from its sources that is Python with `-m nexus_tray`; made into one program (PyInstaller) it is
that program, which takes neither `-m` nor `-c`. So every process is entered at
`nexus_tray.__main__`, with its role first.
"""

import sys

WINDOW = "as-window"
OPENER = "as-opener"


def is_frozen() -> bool:
    """Made into one program, without a Python of its own."""
    return bool(getattr(sys, "frozen", False))


def command(*arguments: str, executable: str = "") -> list[str]:
    """What to execute for another process of ourselves. `executable`: Python, or the program, if
    not the one that runs."""
    # -P: the folder it is started in may be anybody's, and must bring no modules
    python = [] if is_frozen() else ["-P", "-m", "nexus_tray"]
    return [executable or sys.executable, *python, *arguments]
