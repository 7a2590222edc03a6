"""Compiles the gateway's inner loop to machine code, with mypyc (docs/performance.md).

    python build/native.py            in this checkout, beside the sources; --clean takes it away
    python build/native.py FOLDER     a copy of the product in FOLDER, compiled there

Needs a C compiler and Python's headers (Debian: gcc, python3-dev), and mypy from
`build/requirements-dev.txt`. Nothing else of the product changes: the same modules, with the same
types, which mypyc holds at run time. Sources that are newer than what was compiled from them are
not seen by Python, so the tests refuse to run then (tests/conftest.py).
"""

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "nexus_tray"
PARTS = ("nexus_tray", "ui", "icons")
MODULES = (
    *("bounds", "doors", "http", "meter", "proof", "routes"),
    *("limits/buckets", "limits/limits", "limits/pacing", "limits/rules", "limits/usage"),
    *("relay/answering", "relay/answers", "relay/bodies", "relay/exchange", "relay/fields"),
    *("relay/framing", "relay/heads", "relay/known", "relay/metering", "relay/pool"),
    *("relay/rules", "relay/upstream", "relay/visitor", "relay/wire", "shaping/shaping"),
    *("signin/reading", "signin/sessions"),
)
"""Of the gateway: what every request passes. No module with a coroutine is among them, for what
waits gains nothing."""
SUFFIXES = ("*.so", "*.pyd")


def sources(root: Path) -> list[Path]:
    """What is compiled, relative to `root`."""
    found = [root / PACKAGE / "gateway" / f"{name}.py" for name in MODULES]
    return [path.relative_to(root) for path in found]


def endless(path: Path) -> list[str]:
    """Functions that mypyc 2.4 compiles to code that runs on into the next function: their body is
    a text alone, and what they return is not None."""
    tree = ast.parse(path.read_text("utf-8"))
    protocols = {
        part
        for one in ast.walk(tree)
        if isinstance(one, ast.ClassDef) and any("Protocol" in ast.unparse(b) for b in one.bases)
        for part in one.body
        if not any("." in ast.unparse(base) for base in one.bases)
    }
    return [
        one.name
        for one in ast.walk(tree)
        if isinstance(one, ast.FunctionDef)
        and one not in protocols
        and len(one.body) == 1
        and isinstance(one.body[0], ast.Expr)
        and (one.returns is None or ast.unparse(one.returns) != "None")
    ]


def compiled(root: Path) -> list[Path]:
    """What stands compiled in `root`. mypyc puts what all modules share at the top."""
    return [
        path
        for folder, deep in ((root, False), (root / PACKAGE, True))
        for suffix in SUFFIXES
        for path in (folder.rglob(suffix) if deep else folder.glob(suffix))
    ]


def clean(root: Path) -> None:
    """Take it away."""
    for path in compiled(root):
        path.unlink()


def build(root: Path) -> list[Path]:
    """Compile the modules of `root`, beside their sources. Raises CalledProcessError."""
    clean(root)
    modules = sources(root)
    for module in modules:
        if found := endless(root / module):
            raise SystemExit(f"{module}: say what {found[0]} returns; mypyc needs it.")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        shutil.copytree(
            root / PACKAGE, work / PACKAGE, ignore=shutil.ignore_patterns("__pycache__")
        )
        environment = os.environ | {"MYPYC_OPT_LEVEL": "3", "MYPYC_DEBUG_LEVEL": "0"}
        command = [sys.executable, "-m", "mypyc", *map(str, modules)]
        ran = subprocess.run(
            command, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if ran.returncode:
            sys.stderr.buffer.write(ran.stdout)
        ran.check_returncode()
        made = compiled(work)
        placed = [root / path.relative_to(work) for path in made]
        for path, place in zip(made, placed, strict=True):
            shutil.copy2(path, place)
    return placed


def main() -> int:
    """As the text above says. Exit code 1: it could not be compiled."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--clean", action="store_true")
    chosen = parser.parse_args()
    if chosen.clean:
        clean(chosen.folder or ROOT)
        return 0
    root = chosen.folder
    if root is None:
        root = ROOT
    else:
        for part in PARTS:
            ignored = shutil.ignore_patterns("__pycache__", *SUFFIXES)
            shutil.copytree(ROOT / part, root / part, ignore=ignored, dirs_exist_ok=True)
    try:
        made = build(root)
    except subprocess.CalledProcessError:
        sys.stderr.write(
            "The gateway could not be compiled (see above). It runs as it is, only slower. Are a C "
            "compiler and Python's headers there? Debian: apt-get install gcc python3-dev\n"
        )
        return 1
    sys.stdout.write(f"{len(made) - 1} modules of the gateway are compiled in {root}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
