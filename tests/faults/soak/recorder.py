"""The real OpenCode with a recorder before its port: what it was ever asked, byte for byte.

The program takes it for OpenCode: it listens where OpenCode is told to, passes everything on, and
notes whose requests it saw. It also says numbered lines, for the logs, and floods when asked.
`write` makes the script that is configured as OpenCode's program.
"""

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

STRANGER = b"from-stranger"
OWNER = b"from-owner"
FLOOD_LINES = 200_000


def write(path: Path, opencode: Path, notes: Path) -> None:
    """A script at `path` that is OpenCode with the recorder; what was seen stands in `notes`."""
    tests = Path(__file__).resolve().parents[3]
    path.write_text(
        f"#!{sys.executable} -P\n"
        f"import sys\nsys.path.insert(0, {str(tests)!r})\n"
        "from tests.faults.soak.recorder import main\n"
        f"sys.exit(main({str(opencode)!r}, {str(notes)!r}, sys.argv[1:]))\n"
    )
    path.chmod(0o700)
    notes.mkdir(exist_ok=True)


def seen(notes: Path, who: bytes) -> int:
    """How many pieces of a request were seen that name them."""
    path = notes / who.decode()
    return path.stat().st_size if path.exists() else 0


def main(opencode: str, notes: str, arguments: list[str]) -> int:
    """Be OpenCode."""
    if arguments[:1] != ["serve"]:
        return subprocess.call([opencode, *arguments])
    at = arguments.index("--port") + 1
    front = int(arguments[at])
    with socket.create_server(("127.0.0.1", 0)) as probe:
        behind = int(probe.getsockname()[1])
    listener = socket.create_server(("127.0.0.1", front), backlog=256)
    real = subprocess.Popen(
        [opencode, *arguments[:at], str(behind), *arguments[at + 1 :]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    signal.signal(signal.SIGTERM, lambda *_: real.terminate())
    folder = Path(notes)
    for work in (
        lambda: _accept(listener, behind, folder),
        lambda: _repeat(real, str(behind).encode(), str(front).encode()),
        lambda: _speak(folder),
    ):
        threading.Thread(target=work, daemon=True).start()
    return real.wait()


def _accept(listener: socket.socket, behind: int, notes: Path) -> None:
    while True:
        visitor, _ = listener.accept()
        try:
            inner = socket.create_connection(("127.0.0.1", behind), timeout=5.0)
        except OSError:
            visitor.close()
            continue
        inner.settimeout(None)
        for here, there, note in ((visitor, inner, notes), (inner, visitor, None)):
            threading.Thread(target=_pass, args=(here, there, note), daemon=True).start()


def _pass(here: socket.socket, there: socket.socket, notes: Path | None) -> None:
    tail = b""
    try:
        while data := here.recv(65536):
            if notes is not None:
                whole = tail + data
                for who in (STRANGER, OWNER):
                    if who in whole:
                        with (notes / who.decode()).open("ab") as file:
                            file.write(b"x" * whole.count(who))
                tail = whole[-len(STRANGER) + 1 :].replace(OWNER, b"")
            there.sendall(data)
    except OSError:
        pass
    finally:
        for one in (here, there):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def _repeat(real: "subprocess.Popen[bytes]", behind: bytes, front: bytes) -> None:
    assert real.stdout is not None
    port = re.compile(rb"(?<=127\.0\.0\.1:)%b\b" % behind)
    for line in real.stdout:
        sys.stdout.buffer.write(port.sub(front, line))
        sys.stdout.buffer.flush()


def _speak(notes: Path) -> None:
    run, number = time.time_ns(), 0
    while True:
        number += 1
        sys.stdout.write(f"soak line {run} {number}\n")
        sys.stdout.flush()
        if (notes / "flood").exists():
            (notes / "flood").unlink(missing_ok=True)
            for count in range(FLOOD_LINES):
                sys.stdout.write(f"flood {count} {'x' * 100}\n")
        time.sleep(0.1)
