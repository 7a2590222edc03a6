"""Opens the person's browser, so that it is theirs: it outlives us.

A browser that was not running yet would be below the guard, which ends everything below it
when the program ends. It is therefore started with a mark that spares it (process_tree) and
without ours. Through Python's own `webbrowser`, in a process of its own, because that has no
way to give the browser another environment. Any thread may call.
"""

import subprocess
from collections.abc import Mapping

from nexus_tray.system import itself, process_tree

PATIENCE = 15.0
"""Seconds that opening may take; some browsers' commands stay for as long as they run."""


def open_address(address: str, environment: Mapping[str, str]) -> bool:
    """Show `address` in the browser; whether one was found that took it. It goes over stdin: it
    may be a one-time link, and argv is everybody's to read."""
    opening = subprocess.Popen(
        itself.command(itself.OPENER),
        env=process_tree.spared(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        opening.communicate(address, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        _wait_later(opening)
        return True
    return opening.returncode == 0


def _wait_later(opening: subprocess.Popen[str]) -> None:
    """Reap it when it ends, so that no zombie and no open pipe stays."""
    import threading

    threading.Thread(target=opening.communicate, name="browser", daemon=True).start()
