"""Records what every commit that ever landed leaves on disk, by that commit's own code.

`python -m tests.faults.landed` walks the history of the files that say what is stored, runs
`landed_filler.py` with each commit's code in a home of its own, and keeps every file whose form
was not seen before below `tests/faults/landed/`, as NAME/COMMIT. A form is a database's version
and schema and which tables hold something, or which keys a JSON document has; what is sealed tells
no form, so each change of the code that seals counts. What is there already stays as it is.
"""

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).with_name("landed")
SOURCES = (
    "nexus_tray/settings.py", "nexus_tray/store", "nexus_tray/app/jobs.py",
    "nexus_tray/app/job_record.py", "nexus_tray/services/shelf.py",
    "nexus_tray/services/transport.py",
)  # fmt: skip
STORED = (
    "config/config.json", "data/nexus.db", "data/logs.db", "data/traffic.db", "data/secrets.enc",
    "data/pause.json", "data/setup.json", "data/jobs.json", "data/transport.json",
    "tools/cloudflared/use.json",
)  # fmt: skip


def form(path: Path) -> str:
    """What two files have in common that one version reads alike."""
    if path.suffix == ".db":
        with closing(sqlite3.connect(path)) as database:
            version = database.execute("PRAGMA user_version").fetchone()
            schema = database.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
            return repr((version, schema, filled_tables(database)))
    return repr(sorted(keys(json.loads(path.read_bytes()), "")))


def filled_tables(database: sqlite3.Connection) -> list[str]:
    """The tables that hold something."""
    tables = database.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE TABLE %'")
    return sorted(
        name
        for (name,) in tables.fetchall()
        if database.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone()
    )


def keys(document: Any, above: str) -> set[str]:
    if isinstance(document, dict):
        return {above}.union(*(keys(value, f"{above}.{key}") for key, value in document.items()))
    if isinstance(document, list):
        return {above}.union(*(keys(value, f"{above}[]") for value in document))
    return {above}


def sealing(commit: str) -> str:
    """The commit in which the code that seals secrets was last changed before this one."""
    found = subprocess.run(
        ["git", "log", "-1", "--format=%h", commit, "--", "nexus_tray/store/secret_file.py"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return found.stdout.strip()


def seen_as(path: Path, name: str, commit: str) -> tuple[str, str]:
    return name, form(path) + (sealing(commit) if path.suffix == ".enc" else "")


def commits() -> list[str]:
    listed = subprocess.run(
        ["git", "log", "--reverse", "--format=%h", "--abbrev=8", "--", *SOURCES],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return listed.stdout.split()


def filled(commit: str, folder: Path) -> Path:
    """A home that the commit's own code has filled."""
    packed = subprocess.run(
        ["git", "archive", commit, "nexus_tray"], cwd=ROOT, check=True, capture_output=True
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as tree:
        tree.extractall(folder / "code", filter="data")
    filler = Path(__file__).with_name("landed_filler.py")
    done = subprocess.run(
        [sys.executable, str(filler), str(folder / "home")],
        cwd=folder, check=True, capture_output=True, text=True, timeout=120,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder / "code")},
    )  # fmt: skip
    if done.stdout != "{}":
        print(commit, done.stdout)
    return folder / "home"


def main() -> None:
    seen = {
        seen_as(kept, kept.parent.name, kept.stem)
        for kept in KEPT.glob("*/*")
        if kept.parent.name in {Path(name).name for name in STORED}
    }
    for commit in commits():
        with tempfile.TemporaryDirectory() as folder:
            home = filled(commit, Path(folder))
            for path in (home / name for name in STORED):
                if not path.exists() or (known := seen_as(path, path.name, commit)) in seen:
                    continue
                seen.add(known)
                kept = KEPT / path.name / f"{commit}{path.suffix}"
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, kept)
                print("kept", kept.relative_to(ROOT))


if __name__ == "__main__":
    main()
