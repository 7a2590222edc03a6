"""Makes the program into one folder that needs no Python: PyInstaller, by one command.

    python build/bundle.py [FOLDER]        default: dist/nexus-tray

Needs `pip install -r build/requirements.txt pyinstaller`. Afterwards `FOLDER/nexus-tray selftest`
is run, and its size and the time it took are told. With the gateway compiled before
(`build/native.py`) the compiled one is in it.
"""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPEC = ROOT / "build" / "nexus-tray.spec"


def megabytes(folder: Path) -> float:
    """What it takes on the disk."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> int:
    """Build, then have it test itself; the self-test's exit code."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist" / "nexus-tray").absolute()
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN"]
    folders = ["--distpath", str(target.parent), "--workpath", str(target.parent / "work")]
    subprocess.run([*command, *folders, str(SPEC)], cwd=ROOT, check=True)
    made = target.parent / "nexus-tray"
    if made != target:
        made.rename(target)
    began = time.monotonic()
    tested = subprocess.run([target / "nexus-tray", "selftest"], check=False)
    took = time.monotonic() - began
    sys.stdout.write(f"{target}: {megabytes(target):.0f} MB; its self-test took {took:.1f} s\n")
    return tested.returncode


if __name__ == "__main__":
    sys.exit(main())
