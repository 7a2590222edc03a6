"""A small program below the guard, as the tests of tests/faults want it to behave.

Run as a script: `program.py FOLDER BEHAVIOUR...`. It says what happens by files and lines
in FOLDER, and leaves behind what SECURITY 15 is about: grandchildren in sessions of their
own that ignore TERM.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from nexus_tray.model import Problem
from nexus_tray.paths import find
from nexus_tray.services.process import ChildProcess
from nexus_tray.system import guard, instance

DEAF = """
trap '' TERM HUP INT
echo $$ >> "$1/deaf"
while :; do sleep 0.05; done
"""

LEAVE = """
setsid sh "$1/deaf.sh" "$1" &
setsid env -i PATH="$PATH" sh "$1/deaf.sh" "$1" &
exec "$2" -c "$3" "$1"
"""

LISTEN = """
import os, signal, socket, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
server = socket.create_server(("127.0.0.1", 0))
with open(sys.argv[1] + "/port.new", "w") as file:
    file.write(str(server.getsockname()[1]))
os.rename(sys.argv[1] + "/port.new", sys.argv[1] + "/port")
while True:
    signal.pause()
"""


def note(folder: Path, text: str) -> None:
    with (folder / "notes").open("a") as file:
        file.write(text + "\n")


def leave_deaf_ones(folder: Path) -> ChildProcess:
    """A deaf child with a port and two deaf ones, and a third that nothing tells any more."""
    (folder / "deaf.sh").write_text(DEAF)
    for name in ("deaf", "port"):
        (folder / name).unlink(missing_ok=True)
    env = {"PATH": os.environ["PATH"]}
    child = ChildProcess(
        ["/bin/sh", "-c", LEAVE, "sh", str(folder), sys.executable, LISTEN],
        env,
        folder,
        on_line=lambda *_: None,
        on_exit=lambda _: None,
    )
    orphan = 'setsid sh -c \'sh "$1/deaf.sh" "$1" & exit\' sh "$1"'
    subprocess.run(["/bin/sh", "-c", orphan, "sh", str(folder)], check=True, env=env)
    while len(lines(folder / "deaf")) < 3 or not (folder / "port").exists():
        time.sleep(0.01)
    note(folder, f"left {child.pid} {' '.join(lines(folder / 'deaf'))}")
    return child


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def take(folder: Path) -> instance.Instance | None:
    """Become the only instance, or say why not."""
    try:
        held = instance.take(find({"NEXUS_TRAY_HOME": str(folder)}))
    except Problem as problem:
        note(folder, f"refused {problem.reason.code}")
        return None
    note(folder, "alone")
    return held


def run(folder: Path, behaviour: str, ending: threading.Event) -> int:
    if behaviour.startswith("exit "):
        return int(behaviour.removeprefix("exit "))
    held = take(folder) if behaviour == "alone" else None
    if behaviour == "alone" and held is None:
        return guard.ALREADY_RUNNING
    child = leave_deaf_ones(folder) if behaviour.startswith("leave") else None
    if behaviour == "leave and exit":
        return 0
    while not ending.wait(600):
        pass
    if child is not None:
        child.stop(1)
        while not child.over:
            time.sleep(0.01)
    note(folder, "ended in order")
    return 0


def main() -> int:
    folder, behaviour = Path(sys.argv[1]), sys.argv[2]
    ending = threading.Event()

    def told(number: int, _frame: object) -> None:
        note(folder, f"signal {number}")
        if behaviour != "deaf":
            ending.set()

    def gone() -> None:
        note(folder, "guard gone")
        ending.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, told)
    watched = guard.watch(gone)
    note(folder, f"started {os.getpid()} {watched} {guard.PIPE in os.environ}")
    return run(folder, behaviour, ending)


if __name__ == "__main__":
    sys.exit(main())
