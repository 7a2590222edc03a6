"""The outer process: starts the real program, and ends whatever that leaves behind.

`nexus-tray run` *is* the guard: `__main__` calls `run` with the program's argv before
anything else is imported, and the program calls `watch`. The guard holds a pipe open
while it lives; it passes the first signal on, kills at the second, starts a crashed
program again, and returns only when nothing below it runs any more (SECURITY 15). It also keeps
the local API's listening socket: while a crashed program is down, whoever calls waits in
its queue, and nobody else can listen where open dashboards offer their tokens.

One thread. It lives as long as the product, so it imports next to nothing: no typing, no
dataclasses, no pathlib (together 2.5 MB). What differs by operating system is `Ward`, in
`guard_posix` (Linux; macOS untested) and `guard_windows` (untested).
"""

import os
import stat
import sys
import time
from collections.abc import Callable, Sequence

# How the program ends decides what the guard does. Numbers are those of sysexits.h.
NORMAL = 0
"""Ended as asked. The guard ends too."""
USAGE = 2
"""The command line was wrong (argparse's own code). The guard ends too."""
ALREADY_RUNNING = 69
"""Another instance runs. The guard ends too."""
GAVE_UP = 70
"""The guard's own: the program crashed too often."""
RESTART = 75
"""The program asks to be started again, at once."""
REFUSED = 78
"""Starting again would not help; the program has said why. The guard ends too."""

FINAL = (NORMAL, USAGE, ALREADY_RUNNING, REFUSED)

LEFT_BEHIND_GRACE = 1.5
"""Seconds between TERM and KILL for what the program leaves behind; SECURITY 15 allows 5."""

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
WINDOW, MOST_STARTS = 600.0, 6
"""SECURITY 19: 1 to 60 s between starts, at most 6 starts in 10 minutes."""

SETTLED = 60.0
"""Seconds after which a life counts as a good one, and the waits begin anew."""

PIPE = "NEXUS_TRAY_GUARD"
"""Names the guard's pipe (a descriptor) to the program; taken away again by `watch`."""


LISTENER = "NEXUS_TRAY_LISTENER"
"""Names the listening socket to the program, as `descriptor:life`; taken away by `listener`."""


def back_off(starts: Sequence[float], now: float) -> float | None:
    """Seconds to wait after a crash at `now`; None: it crashed too often, give up.

    `starts` are the times of all starts so far, the last one being the life that crashed.
    """
    recent = [start for start in starts if now - start < WINDOW]
    if len(recent) >= MOST_STARTS:
        return None
    if now - starts[-1] >= SETTLED:
        return FIRST_WAIT
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (len(recent) - 1))


def run(argv: Sequence[str]) -> int:
    """Run the program until it ends for good; the exit code to end with.

    A program ended by signal n gives 128 + n. `argv[0]` is an absolute path. Call it from
    the main thread, once in the life of a process: it takes over signals and children.
    Raises OSError when the program cannot be started at all.
    """
    if sys.platform == "win32":
        from nexus_tray.system.guard_windows import Ward
    else:
        from nexus_tray.system.guard_posix import Ward
    ward = Ward()
    starts: list[float] = []
    while True:
        starts.append(time.monotonic())
        ward.start(argv)
        code = ward.wait()
        left = ward.end_rest(LEFT_BEHIND_GRACE)
        if left:
            _say(f"{left} processes could not be ended; the system holds them.")
        if ward.asked or code in FINAL:
            return code if code >= 0 else 128 - code
        wait = back_off(starts, time.monotonic())
        if wait is None:
            _say(
                f"Nexus Tray {_ending(code)} {MOST_STARTS} times in {WINDOW / 60:.0f} minutes and"
                " is not started again. Its last messages stand above."
            )
            return GAVE_UP
        wait = 0.0 if code == RESTART else wait
        if wait:
            _say(f"Nexus Tray {_ending(code)}. It starts again in {wait:.0f} s.")
        ward.pause(wait)
        if ward.asked:
            return NORMAL


def watch(on_gone: Callable[[], None]) -> bool:
    """For the program: have `on_gone` called, in a thread of its own, when the guard dies.

    Returns False, and never calls, if there is no guard: started without one, or on
    Windows, where the program ends with its guard. Call once, before any child is
    started. Nothing of it is passed on to children.
    """
    text = os.environ.pop(PIPE, "")
    if not text.isdigit():
        return False
    pipe = int(text)
    os.set_inheritable(pipe, False)
    import threading

    def wait() -> None:
        while os.read(pipe, 64):  # the guard never writes: this returns when its end closes
            pass
        os.close(pipe)
        on_gone()

    threading.Thread(target=wait, name="guard watch", daemon=True).start()
    return True


def listener() -> tuple[int, str] | None:
    """For the program: the guard's listening socket on loopback, and a name of its life.

    The descriptor stays the guard's too: close it, never shut it down. The name is the same
    for every program that this guard starts, and for no other. None: there is no guard, or
    it has none to give (Windows). Call once, before any child is started: from then on
    nothing of it is passed on to children. Raises nothing.
    """
    number, _, life = os.environ.pop(LISTENER, "").partition(":")
    if not (number.isascii() and number.isdigit() and life):
        return None
    descriptor = int(number)
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None
    except OSError:  # a name left over from elsewhere: no such descriptor here
        return None
    os.set_inheritable(descriptor, False)
    return descriptor, life


def _ending(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended unexpectedly (code {code})"


def _say(text: str) -> None:
    try:
        sys.stderr.write(f"nexus-tray: {text}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # the terminal is gone; whoever wants to know reads the program's own log
